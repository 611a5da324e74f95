//! What always holds of profiles, whatever was learned: several gateways' profiles can be put together in any order, they stay
//! small, come back from the store as they were, survive damage there, and fade.

use std::time::Duration;

use portcullis_core::gate::Tried;
use portcullis_core::profile::Subject;
use portcullis_core::risk::FactorOrigin;
use portcullis_core::*;
use proptest::prelude::*;

use super::decayed::{Histogram, Volume};
use super::tests::{BEGIN, Login, event, learn, logins, of};
use super::*;
use crate::Settings;
use crate::memory::{Memory, Room};
use crate::risk::Finding;
use crate::seen::Seen;

const DAY: u64 = 86_400_000;
const HALF_LIFE: Duration = Duration::from_secs(86_400);

type All = (AccountProfile, EndpointProfile, ApplicationProfile);

fn merged(one: &All, other: &All) -> All {
    let mut sum = one.clone();
    sum.0.merge(&other.0);
    sum.1.merge(&other.1);
    sum.2.merge(&other.2);
    sum
}

fn near(one: f32, other: f32) -> bool {
    (one - other).abs() <= 0.01 * one.abs().max(other.abs()).max(1.0)
}

/// Whether both say the same, as well as numbers that were added up in another order can; none of the lists is full.
fn alike(one: &All, other: &All, at: Timestamp) -> Result<(), TestCaseError> {
    let ((account, endpoint, application), (their_account, their_endpoint, their_application)) = (one, other);
    prop_assert_eq!(
        (&account.login, account.first, account.last, account.logins, account.latest_place),
        (
            &their_account.login,
            their_account.first,
            their_account.last,
            their_account.logins,
            their_account.latest_place
        )
    );
    for (one, other) in [
        (&account.hours, &their_account.hours),
        (&account.weekdays, &their_account.weekdays),
        (&account.operations, &their_account.operations),
        (&endpoint.operations, &their_endpoint.operations),
        (&application.hours, &their_application.hours),
    ] {
        prop_assert!((0..24).all(|class| near(one.weight(class), other.weight(class))), "{:?} {:?}", one, other);
    }
    prop_assert_eq!(sorted(&account.applications), sorted(&their_account.applications));
    prop_assert_eq!(sorted(&account.endpoints), sorted(&their_account.endpoints));
    prop_assert_eq!(sorted(&endpoint.accounts), sorted(&their_endpoint.accounts));
    prop_assert_eq!(sorted(&endpoint.applications), sorted(&their_endpoint.applications));
    let count = |window: &Option<Box<window::Window>>| window.as_ref().map_or(0, |window| window.count(at, 60));
    prop_assert_eq!(count(&account.failures), count(&their_account.failures));
    prop_assert_eq!(count(&account.recent), count(&their_account.recent));
    prop_assert_eq!(count(&endpoint.failures), count(&their_endpoint.failures));
    prop_assert_eq!(
        (endpoint.accesses, endpoint.first, endpoint.last, endpoint.failed.distinct(at, 60)),
        (their_endpoint.accesses, their_endpoint.first, their_endpoint.last, their_endpoint.failed.distinct(at, 60))
    );
    prop_assert_eq!(
        (application.accesses, application.first, application.accounts.distinct(at, 60)),
        (their_application.accesses, their_application.first, their_application.accounts.distinct(at, 60))
    );
    Ok(())
}

fn sorted<K: Ord + Clone>(habits: &window::Habits<K>) -> Vec<(K, u32, u32, u32)> {
    let each = habits.iter().map(|habit| (habit.what.clone(), habit.first, habit.last, habit.count));
    let mut all: Vec<_> = each.collect();
    all.sort();
    all
}

/// So few different things that no list is full.
fn few() -> impl Strategy<Value = Vec<Login>> {
    logins().prop_map(|all| {
        let few = |login: Login| Login { address: login.address % 9, application: login.application % 7, ..login };
        all.into_iter().map(few).collect()
    })
}

fn end() -> Timestamp {
    Timestamp(BEGIN + 20_000 * 60_000)
}

proptest! {
    #[test]
    fn it_does_not_matter_which_gateways_are_merged_first(one in few(), two in few(), three in few()) {
        let (one, two, three) = (of(&one), of(&two), of(&three));
        alike(&merged(&merged(&one, &two), &three), &merged(&one, &merged(&two, &three)), end())?;
        alike(&merged(&one, &two), &merged(&two, &one), end())?;
        // How much there was in all; on how many days depends on which gateways have shared one when it was over.
        let volume = |all: &All| all.0.volume.usual(end()).0 * all.0.volume.days_before(end());
        let (left, right) =
            (volume(&merged(&merged(&one, &two), &three)), volume(&merged(&one, &merged(&two, &three))));
        prop_assert!(near(left, right), "{} {}", left, right);
    }

    #[test]
    fn nothing_learned_changes_nothing(one in few()) {
        let one = of(&one);
        alike(&merged(&one, &All::default()), &one, end())?;
        alike(&merged(&All::default(), &one), &one, end())?;
    }

    #[test]
    fn several_gateways_together_know_what_one_would(all in few(), chosen in any::<u64>()) {
        let part = |which: u64| -> Vec<_> {
            let turn = |number: usize| (chosen >> (number % 32 * 2)) % 4 % 3;
            let own = all.iter().enumerate().filter(|(number, _)| turn(*number) == which);
            own.map(|(_, login)| login.clone()).collect()
        };
        let together = merged(&merged(&of(&part(0)), &of(&part(1))), &of(&part(2)));
        let (whole, at) = (of(&all), end());
        // How often the same wrong password was tried, each can only tell for itself.
        let mut together = together;
        together.0.failures.clone_from(&whole.0.failures);
        alike(&together, &whole, at)?;
    }

    #[test]
    fn what_tells_when_and_which_is_the_same_however_often_it_is_merged(one in few()) {
        let one = of(&one);
        let twice = merged(&one, &one);
        prop_assert_eq!((twice.0.first, twice.0.last, &twice.0.login), (one.0.first, one.0.last, &one.0.login));
        prop_assert_eq!(twice.0.latest_place, one.0.latest_place);
        prop_assert_eq!(twice.1.failed.distinct(end(), 60), one.1.failed.distinct(end(), 60));
        prop_assert_eq!(twice.2.accounts.distinct(end(), 60), one.2.accounts.distinct(end(), 60));
        prop_assert_eq!(twice.0.logins, 2 * one.0.logins, "what is counted counts twice");
    }

    #[test]
    fn the_order_of_learning_changes_little(all in few(), seed in any::<u64>()) {
        // As an import of history tells of it: what is older comes later.
        let mut late = all.clone();
        late.sort_by_key(|login| (seed >> (login.minute % 60) & 1, login.minute));
        let (in_time, late) = (of(&all), of(&late));
        prop_assert_eq!((in_time.0.first, in_time.0.last, in_time.0.logins), (late.0.first, late.0.last, late.0.logins));
        for hour in 0..24 {
            prop_assert!(near(in_time.0.hours.weight(hour), late.0.hours.weight(hour)));
        }
        prop_assert_eq!(sorted(&in_time.0.endpoints), sorted(&late.0.endpoints));
        prop_assert_eq!(sorted(&in_time.0.applications), sorted(&late.0.applications));
    }

}

proptest! {
    // Each of them does some thousand things.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn profiles_stay_small_whatever_comes(hostile in hostile(), more in hostile()) {
        for profiles in [of_hostile(&hostile), merged(&of_hostile(&hostile), &of_hostile(&more))] {
            for octets in [profiles.0.encode().len(), profiles.1.encode().len(), profiles.2.encode().len()] {
                prop_assert!((1..=MOST_BYTES).contains(&octets), "{} octets", octets);
            }
            let read = (
                AccountProfile::decode(&profiles.0.encode()),
                EndpointProfile::decode(&profiles.1.encode()),
                ApplicationProfile::decode(&profiles.2.encode()),
            );
            prop_assert!(read.0.is_some() && read.1.is_some() && read.2.is_some());
        }
    }
}

proptest! {
    #[test]
    fn damage_in_the_store_makes_nothing_panic(
        all in logins(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in prop::option::of(any::<prop::sample::Index>()), next in logins(),
    ) {
        let (account, endpoint, application) = of(&all);
        let damaged = |mut octets: Vec<u8>| {
            for (place, octet) in &changes {
                let place = place.index(octets.len());
                octets[place] = *octet;
            }
            if let Some(length) = length {
                octets.truncate(length.index(octets.len()));
            }
            octets
        };
        let (account, endpoint) = (damaged(account.encode()), damaged(endpoint.encode()));
        let application = damaged(application.encode());
        // Where it can be read it is looked at, learned into, merged and written as if it were good.
        let (settings, mut memory) = (Settings::default(), Memory::new(Room::default()));
        for login in next.iter().take(8) {
            let event = event(login);
            let seen = Seen::of(&event.access, None, None, Tried::Nothing);
            let subjects = memory.missing(&seen);
            for subject in subjects {
                let octets = match &subject {
                    Subject::Account(_) => &account,
                    Subject::Endpoint(_) => &endpoint,
                    Subject::Application(_) => &application,
                };
                memory.put(subject, Some((octets, 1)));
            }
            let _ = memory.look(&seen, &settings, Vec::new());
            memory.learn(&event, (Tried::Nothing, None), &settings, &|_| false);
        }
        for changed in memory.take_changed() {
            let _ = changed.encode(end(), HALF_LIFE);
        }
        if let Some(mut read) = AccountProfile::decode(&account) {
            let _ = crate::kind::propose(&read, AccountKind::Human, end());
            read.merge(&read.clone());
            read.merge(&of(&all).0);
        }
        if let Some(mut read) = EndpointProfile::decode(&endpoint) {
            read.merge(&read.clone());
        }
        if let Some(mut read) = ApplicationProfile::decode(&application) {
            read.merge(&read.clone());
        }
    }

    #[test]
    fn what_was_counted_only_fades(
        counted in prop::collection::vec((0u64..100, 0usize..7, 1u64..500), 1..40), waits in prop::collection::vec(1u64..60, 1..6),
    ) {
        let (mut histogram, mut volume) = (Histogram::default(), Volume::default());
        for (day, class, amount) in &counted {
            histogram.add(*class, 7, *amount as f32, Timestamp(day * DAY));
            volume.add(*amount, Timestamp(day * DAY));
        }
        let (mut at, mut before) = (Timestamp(101 * DAY), (f32::MAX, f32::MAX));
        for wait in waits {
            let after = (histogram.total(), volume.days_before(at));
            prop_assert!(after.0 >= 0.0 && after.1 >= 0.0 && after.0 <= before.0 && after.1 <= before.1);
            before = after;
            at = Timestamp(at.0 + wait * DAY);
            // Time passes for it when somebody looks.
            histogram.add(0, 7, 0.0, at);
        }
    }
}

/// Something that somebody does who wants profiles to grow.
#[derive(Debug, Clone)]
struct Hostile {
    login: Login,
    names: String,
    factor: (String, String, u8),
}

fn hostile() -> impl Strategy<Value = Vec<Hostile>> {
    let login = (0u64..40_000, any::<u128>(), any::<u32>(), any::<bool>(), any::<u64>(), any::<(i8, i8)>()).prop_map(
        |(minute, address, application, good, tag, place)| Login {
            minute,
            address,
            application,
            good,
            tag,
            place: Some(place),
        },
    );
    let factor = ("[a-zß€𝄞]{1,90}", "[a-zß€𝄞]{1,400}", any::<u8>());
    let one = (login, "[a-zß€𝄞]{1,300}", factor).prop_map(|(login, names, factor)| Hostile { login, names, factor });
    prop::collection::vec(one, 0..40)
}

/// Each of them again and again under other names, which costs the list of cases nothing.
fn of_hostile(all: &[Hostile]) -> All {
    let mut profiles = All::default();
    for (number, Hostile { login, names, factor }) in all.iter().enumerate() {
        for round in 0..12_u64 {
            let login = Login {
                address: login.address.wrapping_add(u128::from(round) << 70),
                tag: login.tag.wrapping_add(round),
                application: login.application.wrapping_add(u32::try_from(round).unwrap()),
                ..login.clone()
            };
            learn(&mut profiles, &login);
            let mut event = event(&login);
            event.access.account.as_mut().unwrap().id = AccountId::new(format!("name:{number}{round}{names}"));
            event.access.target.application = format!("{round}{names}");
            event.access.operation = Operation::Search(Some(Search {
                base: names.clone(),
                scope: SearchScope::Subtree,
                filter: format!("(a{number}{round}=*)"),
                attributes: (0..20).map(|attribute| format!("{names}{number}{round}{attribute}")).collect(),
            }));
            let seen = Seen::of(&event.access, None, None, Tried::Nothing);
            profiles.0.learn(&seen, &event, true);
            profiles.1.learn(&seen, &[], true);
            profiles.2.learn(&seen, true);
            for outcome in [Outcome::Success, Outcome::Failure] {
                event.access.operation = Operation::Bind(BindMethod::Simple);
                event.access.outcome = outcome;
                let seen = Seen::of(&event.access, None, None, Tried::Nothing);
                profiles.0.learn(&seen, &event, outcome == Outcome::Success);
                profiles.1.learn(&seen, &[], outcome == Outcome::Success);
                profiles.2.learn(&seen, outcome == Outcome::Success);
            }
        }
        let (name, reason, weight) = factor;
        let id = Some(EventId(uuid::Uuid::max()));
        let at = Timestamp(u64::MAX);
        let found = Finding { name, origin: FactorOrigin::Person, reason, weight: *weight, at, event: id };
        for risk in [profiles.0.risk_mut(), profiles.1.risk_mut(), profiles.2.risk_mut()] {
            risk.add(found, HALF_LIFE);
            risk.put_out(name, reason);
        }
    }
    profiles
}
