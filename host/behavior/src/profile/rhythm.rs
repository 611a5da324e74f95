//! Logins that keep time.

/// Logins that follow each other faster, in seconds, are one: a program opens several connections at once.
const SHORTEST: u32 = 5;
/// After a longer pause, in seconds, it begins anew: who comes each morning at nine is no clock.
const LONGEST: u32 = 3_600;
/// By how much of their mean the pauses may be off.
const TOLERANCE: f32 = 0.25;

/// How the logins to an account from one machine follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rhythm {
    /// The machine, as [`short`](crate::seen::short) has it.
    machine: u32,
    /// The latest login, in seconds since 1970.
    last: u32,
    /// Mean of the pauses, in seconds.
    pause: f32,
    logins: u16,
}

impl Rhythm {
    /// As it is after another login.
    #[must_use]
    pub(crate) fn after(self, machine: u32, now: u32) -> Self {
        let pause = now.saturating_sub(self.last);
        if machine != self.machine || now < self.last || pause > LONGEST {
            return Self { machine, last: now, pause: 0.0, logins: 1 };
        }
        if pause < SHORTEST {
            return self;
        }
        let pause = pause as f32;
        let off = pause - self.pause;
        if self.logins < 2 || off.abs() > TOLERANCE * self.pause {
            return Self { machine, last: now, pause, logins: 2 };
        }
        let mean = self.pause + off / f32::from(self.logins);
        Self { machine, last: now, pause: mean, logins: self.logins.saturating_add(1) }
    }

    /// Logins in a row that keep time.
    pub(crate) fn logins(self) -> u32 {
        self.logins.into()
    }

    /// Seconds between two.
    pub(crate) fn pause(self) -> f32 {
        self.pause
    }

    /// The one that was heard last.
    pub(crate) fn merge(&mut self, other: &Self) {
        let order = |rhythm: &Self| (rhythm.last, rhythm.logins, rhythm.machine);
        if order(other) > order(self) {
            *self = *other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(pauses: impl IntoIterator<Item = u32>) -> Rhythm {
        let (mut rhythm, mut now) = (Rhythm::default().after(7, 1_800_000_000), 1_800_000_000);
        for pause in pauses {
            now += pause;
            rhythm = rhythm.after(7, now);
        }
        rhythm
    }

    #[test]
    fn a_clock_is_heard_and_chance_is_not() {
        let clock = heard([58, 61, 60, 59, 62, 60, 66, 54]);
        assert_eq!((clock.logins(), clock.pause()), (9, 60.0));
        assert_eq!(heard([60, 60, 60, 200, 60]).logins(), 2, "what breaks it begins another one");
        assert_eq!(heard([60, 0, 1, 4, 60]).logins(), 2, "pauses of 60 and 65 - 60: too short ones do not count");
        assert_eq!(heard([3_600, 3_600]).logins(), 3);
        assert_eq!(heard([3_600, 3_601]).logins(), 1);
        assert_eq!(clock.after(8, 1_800_000_500).logins(), 1, "another machine");
        assert_eq!(clock.after(7, 1_700_000_000).logins(), 1, "the clock was put back");
    }
}
