//! The list of all incidents, page by page.

use std::fmt;
use std::str::FromStr;

use super::{Incident, IncidentState};
use crate::policy::Severity;
use crate::{IncidentId, Timestamp};

impl Incident {
    /// Where it stands in the list of all.
    #[must_use]
    pub fn place(&self) -> IncidentPlace {
        let severity = (self.state != IncidentState::Resolved).then_some(self.severity);
        IncidentPlace { severity, changed_at: self.changed_at, id: self.id }
    }
}

/// A place in the list of all incidents, which goes from the highest to the lowest: first those that are not resolved, the most
/// severe before others, then those that are; among equals what changed last comes first. Where to go on does not depend on
/// what becomes of the incident that a page ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentPlace {
    /// None of one that is resolved.
    pub severity: Option<Severity>,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Which.
    pub id: IncidentId,
}

const SEVERITIES: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
/// What stands in place of the severity where an incident is resolved.
const RESOLVED: &str = "resolved";

impl fmt::Display for IncidentPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, changed_at, id } = self;
        match severity {
            Some(severity) => write!(f, "{severity}_{}_{id}", changed_at.0),
            None => write!(f, "{RESOLVED}_{}_{id}", changed_at.0),
        }
    }
}

/// The text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no place in the list of incidents")]
pub struct NoPlace;

impl FromStr for IncidentPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (word, rest) = text.split_once('_').ok_or(NoPlace)?;
        let (changed_at, id) = rest.split_once('_').ok_or(NoPlace)?;
        let severity = match word {
            RESOLVED => None,
            word => Some(SEVERITIES.into_iter().find(|one| one.to_string() == word).ok_or(NoPlace)?),
        };
        let changed_at = Timestamp(changed_at.parse().map_err(|_| NoPlace)?);
        Ok(Self { severity, changed_at, id: id.parse().map_err(|_| NoPlace)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let id: IncidentId = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
        for severity in [Some(Severity::Critical), Some(Severity::Low), None] {
            let place = IncidentPlace { severity, changed_at: Timestamp(17), id };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in ["", "low", "low_1", "low_x_0198c0de-0000-7000-8000-000000000001", "worst_1_x", "low_1_x"] {
            assert_eq!(wrong.parse::<IncidentPlace>(), Err(NoPlace), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_resolved_stands_higher_and_then_what_is_more_severe() {
        let id = |number| IncidentId(uuid::Uuid::from_u128(number));
        let place = |severity, at, number| IncidentPlace { severity, changed_at: Timestamp(at), id: id(number) };
        let falling = [
            place(Some(Severity::Critical), 1, 1),
            place(Some(Severity::Low), 9, 2),
            place(Some(Severity::Low), 9, 1),
            place(Some(Severity::Low), 8, 7),
            place(None, 100, 3),
        ];
        assert!(falling.is_sorted_by(|one, next| one > next));
    }
}
