//! Risk of an account, an endpoint or an application:
//!
//! ```text
//! risk = 100 × (1 − ∏ (1 − wᵢ · dᵢ))        dᵢ = 2^(−age / half-life)
//! ```
//!
//! over its live factors. Each factor has a name (a signal's, a policy's, or a person's title), and there is one for each
//! name: what is seen again is renewed and not added, so that a thousand failures weigh as one brute-force attack. A good
//! second factor halves what it answers. A person can put a factor out; it counts again when it is seen again.

use std::time::Duration;

use portcullis_core::risk::{FactorOrigin, RiskFactor};
use portcullis_core::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

/// Factors that are kept; of more, those go that weigh least.
pub const MOST_FACTORS: usize = 24;
/// Octets of a name and of a reason that are kept.
const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 256;

/// The factors of one subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    factors: Vec<Factor>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Factor {
    name: String,
    origin: Origin,
    reason: String,
    weight: u8,
    at: Timestamp,
    count: u32,
    event: Option<EventId>,
    answered: u32,
    put_out_by: Option<String>,
}

/// As [`FactorOrigin`], in the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Origin {
    Signal,
    Policy,
    Person,
}

/// Something that makes a subject riskier.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it comes from.
    pub origin: FactorOrigin,
    /// One sentence.
    pub reason: &'a str,
    /// 1 to 100; 0 adds nothing.
    pub weight: u8,
    /// When.
    pub at: Timestamp,
    /// The event behind it.
    pub event: Option<EventId>,
}

impl Factor {
    /// What it weighs now, 0 to 1.
    fn now(&self, at: Timestamp, half_life: Duration) -> f64 {
        if self.put_out_by.is_some() {
            return 0.0;
        }
        let age = at.since(self.at).as_secs_f64() / half_life.as_secs_f64().max(1.0);
        f64::from(self.weight.min(100)) / 100.0 * (-age).exp2() * (-f64::from(self.answered)).exp2()
    }

    fn shown(&self, at: Timestamp, half_life: Duration) -> RiskFactor {
        #[expect(clippy::cast_possible_truncation, reason = "a number between 0 and 100")]
        let now = (self.now(at, half_life) * 100.0) as f32;
        RiskFactor {
            name: self.name.clone(),
            origin: match self.origin {
                Origin::Signal => FactorOrigin::Signal,
                Origin::Policy => FactorOrigin::Policy,
                Origin::Person => FactorOrigin::Person,
            },
            reason: self.reason.clone(),
            weight: self.weight,
            now,
            at: self.at,
            count: self.count,
            event: self.event,
            answered: self.answered,
            put_out_by: self.put_out_by.clone(),
        }
    }
}

impl Risk {
    /// 0 to 100.
    #[must_use]
    pub fn score(&self, at: Timestamp, half_life: Duration) -> u8 {
        self.score_with(std::iter::empty(), at, half_life)
    }

    /// The score as it would be with these findings, 0 to 100.
    #[must_use]
    pub fn score_with<'a>(
        &self,
        findings: impl Iterator<Item = (&'a str, u8)> + Clone,
        at: Timestamp,
        half_life: Duration,
    ) -> u8 {
        let is_found = |name: &str| findings.clone().any(|(found, weight)| found == name && weight > 0);
        let old = self.factors.iter().filter(|factor| !is_found(&factor.name));
        let mut rest: f64 = old.map(|factor| 1.0 - factor.now(at, half_life)).product();
        for (name, weight) in findings {
            let before = self.factors.iter().find(|factor| factor.name == name);
            let before = before.map_or(0.0, |factor| factor.now(at, half_life));
            rest *= 1.0 - before.max(f64::from(weight.min(100)) / 100.0);
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number between 0 and 100")]
        let score = (100.0 * (1.0 - rest)).round().clamp(0.0, 100.0) as u8;
        score
    }

    /// Adds a factor, or renews the one of this name: it weighs what the finding says, or what is left of it if that is more.
    pub fn add(&mut self, finding: Finding<'_>, half_life: Duration) {
        if finding.weight == 0 {
            return;
        }
        let name = cut(finding.name, LONGEST_NAME);
        let origin = match finding.origin {
            FactorOrigin::Signal => Origin::Signal,
            FactorOrigin::Policy => Origin::Policy,
            FactorOrigin::Person => Origin::Person,
        };
        if let Some(known) = self.factors.iter_mut().find(|factor| factor.name == name) {
            known.count = known.count.saturating_add(1);
            if finding.at < known.at {
                return;
            }
            let left = known.now(finding.at, half_life) * 100.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number between 0 and 100")]
            let left = left.round() as u8;
            (known.weight, known.at, known.event) = (finding.weight.max(left).min(100), finding.at, finding.event);
            (known.answered, known.put_out_by, known.origin) = (0, None, origin);
            cut(finding.reason, LONGEST_REASON).clone_into(&mut known.reason);
            return;
        }
        if self.factors.len() >= MOST_FACTORS {
            self.forget_least(finding.at, half_life);
        }
        self.factors.push(Factor {
            name: name.to_owned(),
            origin,
            reason: cut(finding.reason, LONGEST_REASON).to_owned(),
            weight: finding.weight.min(100),
            at: finding.at,
            count: 1,
            event: finding.event,
            answered: 0,
            put_out_by: None,
        });
    }

    /// A good second factor has answered what bears these names: it weighs half from now on. Says whether anything did.
    pub fn answer<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> bool {
        let names: Vec<_> = names.map(|name| cut(name, LONGEST_NAME)).collect();
        let mut any = false;
        for factor in &mut self.factors {
            if names.contains(&factor.name.as_str()) {
                factor.answered = factor.answered.saturating_add(1).min(16);
                any = true;
            }
        }
        any
    }

    /// A person puts a factor out. Says whether there is one.
    pub fn put_out(&mut self, name: &str, person: &str) -> bool {
        let name = cut(name, LONGEST_NAME);
        let found = self.factors.iter_mut().find(|factor| factor.name == name);
        found.map(|factor| factor.put_out_by = Some(cut(person, LONGEST_NAME).to_owned())).is_some()
    }

    /// All factors, the heaviest first.
    #[must_use]
    pub fn factors(&self, at: Timestamp, half_life: Duration) -> Vec<RiskFactor> {
        let mut shown: Vec<_> = self.factors.iter().map(|factor| factor.shown(at, half_life)).collect();
        shown.sort_by(|one, other| other.now.total_cmp(&one.now).then_with(|| one.name.cmp(&other.name)));
        shown
    }

    /// Nothing is known against it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    pub(crate) fn forget_future(&mut self, now: Timestamp) {
        self.factors.iter_mut().for_each(|factor| factor.at = factor.at.min(now));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let order = |factor: &Factor| (factor.at, factor.weight, factor.event, factor.answered);
        for factor in &other.factors {
            match self.factors.iter_mut().find(|known| known.name == factor.name) {
                Some(known) => {
                    let count = known.count.saturating_add(factor.count);
                    if order(factor) > order(known) {
                        *known = factor.clone();
                    }
                    known.count = count;
                }
                None => self.factors.push(factor.clone()),
            }
        }
        self.factors.sort_by(|one, other| (other.at, &one.name).cmp(&(one.at, &other.name)));
        self.factors.truncate(MOST_FACTORS);
    }

    fn forget_least(&mut self, at: Timestamp, half_life: Duration) {
        let now = |factor: &Factor| factor.now(at, half_life);
        let least = self.factors.iter().enumerate().min_by(|(_, one), (_, other)| now(one).total_cmp(&now(other)));
        if let Some(place) = least.map(|(place, _)| place) {
            self.factors.swap_remove(place);
        }
    }
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: Duration = Duration::from_secs(86_400);
    const DAY: u64 = 86_400_000;

    fn finding(name: &str, weight: u8, at: u64) -> Finding<'_> {
        Finding { name, origin: FactorOrigin::Signal, reason: "because", weight, at: Timestamp(at), event: None }
    }

    fn of(findings: &[(&str, u8, u64)]) -> Risk {
        let mut risk = Risk::default();
        findings.iter().for_each(|(name, weight, at)| risk.add(finding(name, *weight, *at), HALF_LIFE));
        risk
    }

    fn score(risk: &Risk, at: u64) -> u8 {
        risk.score(Timestamp(at), HALF_LIFE)
    }

    #[test]
    fn the_formula_by_numbers() {
        assert_eq!(score(&Risk::default(), 0), 0);
        assert_eq!(score(&of(&[("a", 60, 0)]), 0), 60);
        // 1 - 0.4 * 0.5 = 0.8
        assert_eq!(score(&of(&[("a", 60, 0), ("b", 50, 0)]), 0), 80);
        // After a day: 1 - 0.7 * 0.75 = 0.475
        assert_eq!(score(&of(&[("a", 60, 0), ("b", 50, 0)]), DAY), 48);
        // One of a day ago, one of now: 1 - 0.7 * 0.5 = 0.65
        assert_eq!(score(&of(&[("a", 60, 0), ("b", 50, DAY)]), DAY), 65);
        assert_eq!(score(&of(&[("a", 100, 0)]), 0), 100);
        assert_eq!(score(&of(&[("a", 60, 0)]), 10 * DAY), 0);
    }

    #[test]
    fn the_same_again_is_renewed_and_not_added() {
        let risk = of(&[("a", 60, 0), ("a", 60, 5), ("a", 60, DAY)]);
        assert_eq!((score(&risk, DAY), risk.factors(Timestamp(DAY), HALF_LIFE)[0].count), (60, 3));
        // A lighter one does not make it lighter than what is left.
        assert_eq!(score(&of(&[("a", 80, 0), ("a", 10, DAY)]), DAY), 40);
        // One that is told late counts, and changes nothing else.
        let risk = of(&[("a", 60, DAY), ("a", 90, 0)]);
        assert_eq!((score(&risk, DAY), risk.factors(Timestamp(DAY), HALF_LIFE)[0].count), (60, 2));
    }

    #[test]
    fn a_good_second_factor_halves_what_it_answers() {
        let mut risk = of(&[("a", 60, 0), ("b", 40, 0)]);
        assert!(risk.answer(["a"].into_iter()));
        // 1 - 0.7 * 0.6 = 0.58
        assert_eq!(score(&risk, 0), 58);
        assert!(risk.answer(["a"].into_iter()));
        // 1 - 0.85 * 0.6 = 0.49
        assert_eq!(score(&risk, 0), 49);
        assert!(!risk.answer(["c"].into_iter()));
        risk.add(finding("a", 60, 1), HALF_LIFE);
        assert_eq!(score(&risk, 1), 76, "seen again, it has not been answered");
        let long = format!("policy:{}", "é".repeat(60));
        let mut risk = of(&[(&long, 60, 0)]);
        assert!(risk.answer([long.as_str()].into_iter()));
        assert_eq!(score(&risk, 0), 30, "of a long name too, of which a part is kept");
        assert!(risk.put_out(&long, "ada"));
    }

    #[test]
    fn a_person_puts_a_factor_out_until_it_is_seen_again() {
        let mut risk = of(&[("a", 60, 0), ("b", 50, 0)]);
        assert!(risk.put_out("a", "ada") && !risk.put_out("c", "ada"));
        assert_eq!(score(&risk, 0), 50);
        assert_eq!(risk.factors(Timestamp(0), HALF_LIFE)[1].put_out_by.as_deref(), Some("ada"));
        risk.add(finding("a", 60, 1), HALF_LIFE);
        assert_eq!(score(&risk, 1), 80);
    }

    #[test]
    fn a_prospect_is_what_adding_would_give() {
        let mut risk = of(&[("a", 60, 0), ("b", 50, 0)]);
        let found = [("a", 60_u8), ("c", 20)];
        let prospect = risk.score_with(found.into_iter(), Timestamp(DAY), HALF_LIFE);
        found.iter().for_each(|(name, weight)| risk.add(finding(name, *weight, DAY), HALF_LIFE));
        assert_eq!(prospect, score(&risk, DAY));
    }

    #[test]
    fn so_many_factors_and_not_more() {
        let mut risk = of(&[("heavy", 90, 0)]);
        (0..1_000).for_each(|number| risk.add(finding(&format!("{number}"), 5, 1), HALF_LIFE));
        let factors = risk.factors(Timestamp(1), HALF_LIFE);
        assert_eq!((factors.len(), factors[0].name.as_str()), (MOST_FACTORS, "heavy"));
    }

    proptest! {
        #[test]
        fn a_risk_is_a_percentage_that_only_falls_by_itself(
            found in prop::collection::vec((0u8..5, 0u8..=255, 0u64..10 * DAY), 0..20), later in 0u64..100 * DAY,
        ) {
            let mut risk = Risk::default();
            found.iter().for_each(|(name, weight, at)| risk.add(finding(&name.to_string(), *weight, *at), HALF_LIFE));
            let (now, then) = (score(&risk, 10 * DAY), score(&risk, 10 * DAY + later));
            prop_assert!(now <= 100 && then <= now);
        }
    }
}
