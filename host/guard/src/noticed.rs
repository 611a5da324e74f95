//! Signals that open incidents.

use std::net::IpAddr;

use portcullis_behavior::detections::severity;
use portcullis_core::incident::{IncidentChange, IncidentSource, whose};
use portcullis_core::{Account, Signal};

use crate::Guard;

/// The longest title, in bytes: what clients call themselves can stand in it.
const LONGEST_TITLE: usize = 500;

impl Guard {
    /// Whether one of the signals opens an incident.
    pub(crate) fn calls_for_a_person(&self, signals: &[Signal]) -> bool {
        signals.iter().any(|signal| self.options.behavior.detections.incident(&signal.name).is_some())
    }

    /// The incidents that the signals of one event open or add to.
    pub(crate) fn noticed(
        &self,
        signals: &[Signal],
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Vec<IncidentChange> {
        let raise = |signal: &Signal| {
            let severity = self.options.behavior.detections.incident(&signal.name)?;
            let account = account.filter(|_| address.is_none() || !severity::is_of_machine(&signal.name));
            let (account, login) = whose(account, address);
            let title = signal.reason.get(..signal.reason.floor_char_boundary(LONGEST_TITLE)).unwrap_or_default();
            Some(IncidentChange::Raise {
                new_id: self.new_incident(),
                account,
                login,
                source: IncidentSource::Detection(signal.name.clone()),
                severity,
                title: title.to_owned(),
                escalate: self.options.behavior.detections.escalations(&signal.name).to_vec(),
            })
        };
        signals.iter().filter_map(raise).collect()
    }
}
