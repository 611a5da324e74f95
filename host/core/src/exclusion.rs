//! Exclusions that people make of what a detection was wrong about, and take back.

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::Event;
use crate::incident::Incident;
use crate::policy::Severity;
use crate::store::StoreError;
use crate::{AccountId, EventId, IncidentId, Timestamp};

/// What an exclusion silences: all of it has to fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Name of a detection, or of a group of them.
    pub detections: String,
    /// The account, by the id that it keeps; none for any.
    pub account: Option<AccountId>,
    /// The account's login when the exclusion was made, for reading.
    pub login: Option<String>,
    /// Where it comes from; none for anywhere.
    pub network: Option<IpNet>,
    /// The end of it; none for as long as nobody takes it back.
    pub until: Option<Timestamp>,
}

impl Scope {
    /// Whether it silences what this account does from this address at that moment, as far as a detection, by its own name or
    /// its group's, is meant.
    #[must_use]
    pub fn covers(&self, names: [&str; 2], account: Option<&AccountId>, from: Option<IpAddr>, at: Timestamp) -> bool {
        names.contains(&self.detections.as_str())
            // Of nobody in particular from nowhere in particular, it would be everybody's: nobody can make such a one.
            && (self.account.is_some() || self.network.is_some())
            && self.account.as_ref().is_none_or(|own| account == Some(own))
            && self.network.is_none_or(|network| from.is_some_and(|from| network.contains(&from)))
            && self.until.is_none_or(|until| at < until)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detections)?;
        match (&self.account, &self.login) {
            (Some(id), Some(login)) => write!(f, " of {login} ({id})")?,
            (Some(id), None) => write!(f, " of {id}")?,
            (None, _) => write!(f, " of anybody")?,
        }
        match self.network {
            Some(network) if network.prefix_len() == network.max_prefix_len() => write!(f, " from {}", network.addr()),
            Some(network) => write!(f, " from {network}"),
            None => write!(f, " from anywhere"),
        }
    }
}

/// An exclusion that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewExclusion {
    /// What it silences.
    pub scope: Scope,
    /// Why.
    pub reason: String,
}

/// An exclusion that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Its number, never used again.
    pub number: u64,
    /// What it silences.
    #[serde(flatten)]
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub person: String,
    /// When.
    pub made_at: Timestamp,
    /// The incident that it was made for.
    pub incident: IncidentId,
    /// The event of its making.
    pub event: EventId,
    /// When and by whom it was undone.
    pub undone: Option<(Timestamp, String)>,
}

/// How an exclusion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExclusionState {
    /// It silences.
    InForce,
    /// Its time is over.
    Expired,
    /// Somebody has taken it back.
    Undone,
}

impl Exclusion {
    /// At this moment.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ExclusionState {
        match (&self.undone, self.scope.until) {
            (Some(_), _) => ExclusionState::Undone,
            (None, Some(until)) if until <= now => ExclusionState::Expired,
            (None, _) => ExclusionState::InForce,
        }
    }
}

/// Exclusions that are in force at once, at most.
pub const MOST_EXCLUSIONS: u32 = 500;

/// Keeps exclusions.
#[async_trait]
pub trait ExclusionStore: Send + Sync {
    /// The newest `limit` of all that were ever made; only those before `before`, where given.
    async fn exclusions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Exclusion>, StoreError>;
    /// All that are in force.
    async fn exclusions_in_force(&self, now: Timestamp) -> Result<Vec<Exclusion>, StoreError>;
    /// Makes one, and resolves the detection's incident that it is made for as a false positive, in one transaction with the event
    /// that tells of both. Says whether that incident was there and not resolved. More than [`MOST_EXCLUSIONS`] in force are a
    /// [`StoreError::Quota`].
    async fn exclude(
        &self,
        incident: IncidentId,
        new: NewExclusion,
        person: &str,
        event: Event,
    ) -> Result<bool, StoreError>;
    /// Takes one back, together with the event that tells of it. Says whether it was there and not taken back.
    async fn undo_exclusion(&self, number: u64, person: &str, event: Event) -> Result<bool, StoreError>;
}

/// What a person chooses when he makes an exclusion; the rest is the incident's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The whole group of the detection.
    pub group: bool,
    /// Of the incident's account only.
    pub for_account: bool,
    /// From there only.
    pub network: Option<IpNet>,
    /// The end of it.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// He knows that it silences what is as good as always an attack.
    pub sure: bool,
}

/// A detection, as far as it matters who decides what it is silent about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silenced {
    /// Name of the detection.
    pub name: String,
    /// How severe the incidents are that it opens; none where it opens none.
    pub severity: Option<Severity>,
}

/// What an exclusion can be made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The incident is an account's, and not a machine's.
    pub has_account: bool,
    /// The detection of the incident.
    pub detection: Silenced,
    /// Its group.
    pub group: String,
    /// All of that group.
    pub members: Vec<Silenced>,
}

impl Silenced {
    /// Somebody has to be sure to be told nothing of it.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.severity >= Some(Severity::High)
    }
}

impl Choice {
    /// Those that are silenced by it.
    #[must_use]
    pub fn silenced(&self, group: bool) -> &[Silenced] {
        if group { &self.members } else { std::slice::from_ref(&self.detection) }
    }
}

/// Reads a network, or an address, which is one of its own. What is beyond the prefix is left out.
#[must_use]
pub fn network_of(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    Some(network.trunc())
}

/// Why an exclusion was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExclusionError {
    /// It would silence what it must not, or says too little.
    #[error("{0}")]
    Refused(String),
    /// The incident is not there, or resolved.
    #[error("the incident is not there, or resolved already")]
    TooLate,
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shows exclusions, and lets people make them and take them back. What is done is in force when it is answered.
#[async_trait]
pub trait ExclusionDesk: Send + Sync {
    /// What an exclusion could be made for; none for the incident of a policy, or of a detection that is not known.
    fn choice(&self, incident: &Incident) -> Option<Choice>;
    /// The newest first; only those before `before`, where given.
    async fn exclusions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Exclusion>, StoreError>;
    /// Resolves the incident as a false positive and makes an exclusion, as this person's.
    async fn exclude(&self, incident: &Incident, wish: Wish, person: &str) -> Result<(), ExclusionError>;
    /// Takes one back. Says whether it was there and not taken back.
    async fn undo(&self, number: u64, person: &str) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["brute-force", "guessing"];

    fn scope(account: Option<&str>, network: Option<&str>) -> Scope {
        Scope {
            detections: "brute-force".to_owned(),
            account: account.map(AccountId::new),
            login: None,
            network: network.map(|text| text.parse().unwrap()),
            until: None,
        }
    }

    fn covers(scope: &Scope, account: Option<&str>, from: Option<&str>) -> bool {
        let from = from.map(|text| text.parse().unwrap());
        scope.covers(NAMES, account.map(AccountId::new).as_ref(), from, Timestamp(1_000))
    }

    #[test]
    fn it_silences_exactly_what_it_names() {
        let both = scope(Some("alice"), Some("10.1.0.0/16"));
        assert!(covers(&both, Some("alice"), Some("10.1.255.255")));
        assert!(!covers(&both, Some("alice"), Some("10.2.0.0")), "from elsewhere");
        assert!(!covers(&both, Some("alice"), None));
        assert!(!covers(&both, Some("bob"), Some("10.1.2.3")), "somebody else from there");
        assert!(!covers(&both, Some("Alice"), Some("10.1.2.3")), "an id is exact");
        assert!(!covers(&both, None, Some("10.1.2.3")), "nobody in particular is not alice");
        let account = scope(Some("alice"), None);
        assert!(covers(&account, Some("alice"), None) && covers(&account, Some("alice"), Some("::1")));
        assert!(!covers(&account, None, Some("::1")));
        let machine = scope(None, Some("10.1.2.3/32"));
        assert!(covers(&machine, None, Some("10.1.2.3")) && covers(&machine, Some("bob"), Some("10.1.2.3")));
        assert!(!covers(&machine, None, Some("10.1.2.4")) && !covers(&machine, None, Some("::ffff:10.1.2.3")));
        assert!(!covers(&scope(None, None), Some("alice"), Some("10.1.2.3")), "everybody's is nobody's");
    }

    #[test]
    fn networks_and_addresses_are_read() {
        let read = |text| network_of(text).map(|network| network.to_string());
        assert_eq!(read("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(read("10.1.2.3/16").as_deref(), Some("10.1.0.0/16"));
        assert_eq!(read("2001:db8::1").as_deref(), Some("2001:db8::1/128"));
        for wrong in ["", "10.1", "10.1.2.3/33", "wiki"] {
            assert_eq!(read(wrong), None);
        }
    }

    #[test]
    fn names_and_ends_are_exact() {
        let mut it = scope(Some("alice"), None);
        let alice = AccountId::new("alice");
        let at = |it: &Scope, names, at| it.covers(names, Some(&alice), None, Timestamp(at));
        assert!(!at(&it, ["password-spray", "guessing"], 1), "another one of the group");
        it.detections = "guessing".to_owned();
        assert!(at(&it, ["password-spray", "guessing"], 1) && !at(&it, ["honeytoken", "reconnaissance"], 1));
        it.detections = "*".to_owned();
        assert!(!at(&it, NAMES, 1), "there is no word for all");
        it.detections = "brute-force".to_owned();
        it.until = Some(Timestamp(5_000));
        assert!(at(&it, NAMES, 4_999) && !at(&it, NAMES, 5_000));
    }
}
