//! Room for the most recently used profiles of one kind.

use std::collections::HashMap;
use std::hash::Hash;

use crate::profile::Profile;

/// The profiles of one kind.
pub(super) struct Shelf<K, P> {
    slots: HashMap<K, Box<Slot<P>>>,
    most: usize,
    /// Counts uses.
    clock: u64,
    pub(super) lost: u64,
}

struct Slot<P> {
    profile: P,
    used: u64,
    changed: bool,
    /// The mark under which it was stored when it came here; zero for one that began here.
    mark: u64,
}

impl<K, P> Default for Shelf<K, P> {
    fn default() -> Self {
        Self { slots: HashMap::new(), most: 1_024, clock: 0, lost: 0 }
    }
}

impl<K: Hash + Eq + Clone, P: Profile> Shelf<K, P> {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn has<Q>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.slots.contains_key(key)
    }

    pub(super) fn peek<Q>(&self, key: &Q) -> Option<&P>
    where
        K: std::borrow::Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.slots.get(key).map(|slot| &slot.profile)
    }

    pub(super) fn profiles(&mut self) -> impl Iterator<Item = &mut P> {
        self.slots.values_mut().map(|slot| &mut slot.profile)
    }

    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<&mut P>
    where
        K: std::borrow::Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.clock += 1;
        let slot = self.slots.get_mut(key)?;
        slot.used = self.clock;
        Some(&mut slot.profile)
    }

    /// The profile, to be changed; none where it is not here or has the change in it already.
    pub(super) fn change<Q>(&mut self, key: &Q, is_in: &dyn Fn(u64) -> bool) -> Option<&mut P>
    where
        K: std::borrow::Borrow<Q>,
        Q: ?Sized + Hash + Eq,
    {
        self.clock += 1;
        let slot = self.slots.get_mut(key).filter(|slot| !is_in(slot.mark))?;
        (slot.used, slot.changed) = (self.clock, true);
        Some(&mut slot.profile)
    }

    pub(super) fn put(&mut self, key: K, stored: Option<(&[u8], u64)>) -> bool {
        if self.slots.contains_key(&key) {
            return true;
        }
        if self.slots.len() >= self.most {
            self.make_room();
        }
        let read = stored.map(|(value, mark)| (P::decode(value), mark));
        let readable = !matches!(read, Some((None, _)));
        let mark = read.as_ref().map_or(0, |(_, mark)| *mark);
        let profile = read.and_then(|(profile, _)| profile).unwrap_or_default();
        self.clock += 1;
        self.slots.insert(key, Box::new(Slot { profile, used: self.clock, changed: false, mark }));
        readable
    }

    /// Lets a sixteenth go: those that were used longest ago, of those that are stored if there are enough.
    fn make_room(&mut self) {
        let leave = (self.most / 16).max(1);
        let stored = self.slots.values().filter(|slot| !slot.changed).count();
        let may_go = |slot: &Slot<P>| !slot.changed || stored < leave;
        let mut uses: Vec<_> = self.slots.values().filter(|slot| may_go(slot)).map(|slot| slot.used).collect();
        let place = leave.min(uses.len()).saturating_sub(1);
        let (_, limit, _) = uses.select_nth_unstable(place);
        let limit = *limit;
        let mut lost = 0;
        self.slots.retain(|_, slot| {
            let goes = may_go(slot) && slot.used <= limit;
            lost += u64::from(goes && slot.changed);
            !goes
        });
        self.lost += lost;
    }

    pub(super) fn take_changed(&mut self, mut take: impl FnMut(K, Box<P>)) {
        for (key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.changed) {
            slot.changed = false;
            take(key.clone(), Box::new(slot.profile.clone()));
        }
    }
}
