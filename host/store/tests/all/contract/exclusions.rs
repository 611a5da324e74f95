//! Exclusions that people make. Event number n is at 1,000 + n milliseconds.

use portcullis_core::event::Record;
use portcullis_core::exclusion::{
    Exclusion, ExclusionState, ExclusionStore as _, MOST_EXCLUSIONS, NewExclusion, Scope, network_of,
};
use portcullis_core::incident::{IncidentChange, IncidentSource, IncidentState, IncidentStep, IncidentVerdict};
use portcullis_core::policy::Severity;
use portcullis_core::store::{EventStore as _, IncidentStore as _, StoreError};
use portcullis_core::{AccountId, Timestamp};

use super::Place;
use crate::sample::{administration, event_id, incident_id, raise, with_incidents};

/// An incident of a detection, with the id 100 + number.
fn detected(number: u128) -> Record {
    let mut change = raise(100 + number, "a", Severity::Critical, "t");
    if let IncidentChange::Raise { source, .. } = &mut change {
        *source = IncidentSource::Detection("honeytoken".to_owned());
    }
    with_incidents(number, vec![change])
}

fn wanted(until: Option<u64>) -> NewExclusion {
    let scope = Scope {
        detections: "honeytoken".to_owned(),
        account: Some(AccountId::new("a")),
        login: Some("mia".to_owned()),
        network: network_of("10.1.0.0/16"),
        until: until.map(Timestamp),
    };
    NewExclusion { scope, reason: "A test of ours.".to_owned() }
}

pub async fn resolving_and_excluding_are_one<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(detected(1)).await.unwrap();
    assert!(!store.exclude(incident_id(999), wanted(None), "ada", administration(2)).await.unwrap());
    assert!(store.exclude(incident_id(101), wanted(None), "ada", administration(3)).await.unwrap());
    assert!(!store.exclude(incident_id(101), wanted(None), "bob", administration(4)).await.unwrap(), "resolved");
    let expected = Exclusion {
        number: 1,
        scope: wanted(None).scope,
        reason: "A test of ours.".to_owned(),
        person: "ada".to_owned(),
        made_at: Timestamp(1_003),
        incident: incident_id(101),
        event: event_id(3),
        undone: None,
    };
    assert_eq!(store.exclusions(None, 10).await.unwrap(), [expected]);
    let report = store.incident(incident_id(101)).await.unwrap().unwrap();
    let incident = &report.incident;
    assert_eq!((incident.state, incident.verdict), (IncidentState::Resolved, Some(IncidentVerdict::FalsePositive)));
    let life: Vec<_> = report.history.iter().map(|entry| (entry.step, entry.text.as_str(), entry.event)).collect();
    let note = "Exclusion of honeytoken of mia (a) from 10.1.0.0/16: A test of ours.";
    assert_eq!(
        life,
        [
            (IncidentStep::Opened, "t", event_id(1)),
            (IncidentStep::Resolved, "false-positive", event_id(3)),
            (IncidentStep::Noted, note, event_id(3)),
        ]
    );
    let events: Vec<_> = store.recent(None, 10).await.unwrap().iter().map(|stored| stored.event.id()).collect();
    assert_eq!(events, [event_id(3), event_id(1)], "what was not done has no event");
    // When the event cannot be stored, nothing has happened.
    store.append(detected(5)).await.unwrap();
    store.exclude(incident_id(105), wanted(None), "ada", administration(5)).await.unwrap_err();
    assert_eq!(store.exclusions(None, 10).await.unwrap().len(), 1);
    assert_eq!(store.incident(incident_id(105)).await.unwrap().unwrap().incident.state, IncidentState::Open);
}

pub async fn an_incident_of_a_policy_makes_none<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "t")])).await.unwrap();
    assert!(!store.exclude(incident_id(101), wanted(None), "ada", administration(2)).await.unwrap());
    assert_eq!(store.exclusions(None, 10).await.unwrap(), []);
    assert_eq!(store.incident(incident_id(101)).await.unwrap().unwrap().incident.state, IncidentState::Open);
}

pub async fn what_is_undone_or_over_is_in_force_no_more<P: Place>(place: &P) {
    let store = place.open().await;
    for (number, until) in [(1, None), (3, Some(5_000)), (5, None)] {
        store.append(detected(number)).await.unwrap();
        let made = store.exclude(incident_id(100 + number), wanted(until), "ada", administration(number + 1)).await;
        assert!(made.unwrap());
    }
    P::close(store).await;

    let store = place.open().await;
    let in_force = async |at| {
        let found = store.exclusions_in_force(Timestamp(at)).await.unwrap();
        found.iter().map(|one| one.number).collect::<Vec<_>>()
    };
    assert_eq!(in_force(4_999).await, [1, 2, 3]);
    assert_eq!(in_force(5_000).await, [1, 3]);
    assert!(store.undo_exclusion(3, "bob", administration(10)).await.unwrap());
    assert!(!store.undo_exclusion(3, "bob", administration(11)).await.unwrap(), "not twice");
    assert!(!store.undo_exclusion(9, "bob", administration(12)).await.unwrap());
    assert_eq!(in_force(5_000).await, [1]);
    let all = store.exclusions(None, 10).await.unwrap();
    let states: Vec<_> = all.iter().map(|one| (one.number, one.state(Timestamp(5_000)))).collect();
    use ExclusionState::{Expired, InForce, Undone};
    assert_eq!(states, [(3, Undone), (2, Expired), (1, InForce)]);
    assert_eq!(all[0].undone, Some((Timestamp(1_010), "bob".to_owned())));
    assert_eq!(store.exclusions(Some(3), 1).await.unwrap()[0].number, 2);
    let last = store.recent(None, 1).await.unwrap();
    assert_eq!(last[0].event.id(), event_id(10));
}

pub async fn there_is_a_bound<P: Place>(place: &P) {
    let store = place.open().await;
    let most = u128::from(MOST_EXCLUSIONS);
    for number in 1..=most {
        store.append(detected(2 * number)).await.unwrap();
        let event = administration(2 * number + 1);
        assert!(store.exclude(incident_id(100 + 2 * number), wanted(Some(9_000)), "ada", event).await.unwrap());
    }
    store.append(detected(4_000)).await.unwrap();
    let again = async |number| store.exclude(incident_id(4_100), wanted(None), "ada", administration(number)).await;
    let refused = again(4_001).await.unwrap_err();
    assert!(matches!(refused, StoreError::Quota(_)), "{refused}");
    assert_eq!(store.incident(incident_id(4_100)).await.unwrap().unwrap().incident.state, IncidentState::Open);
    // What is undone, or over, leaves room.
    assert!(store.undo_exclusion(1, "ada", administration(4_002)).await.unwrap());
    assert!(again(4_003).await.unwrap());
    store.append(detected(10_000)).await.unwrap();
    assert!(store.exclude(incident_id(10_100), wanted(None), "ada", administration(10_001)).await.unwrap());
}
