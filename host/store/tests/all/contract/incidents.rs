use portcullis_core::event::Record;
use portcullis_core::incident::{Incident, IncidentState};
use portcullis_core::policy::Severity;
use portcullis_core::store::{EventStore as _, IncidentStore as _};
use portcullis_core::{AccountId, PolicyName, Timestamp};

use super::Place;
use crate::sample::{administration, event_id, incident_id, raise, record, resolve, with_incidents};

pub async fn raising_again_adds_to_the_open_one<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::High, "first")])).await.unwrap();
    store.append(with_incidents(2, vec![raise(102, "a", Severity::Low, "second")])).await.unwrap();
    let expected = Incident {
        id: incident_id(101),
        account: AccountId::new("a"),
        login: "login of a".to_owned(),
        policy: PolicyName::new("second-factor"),
        severity: Severity::High,
        title: "second".to_owned(),
        state: IncidentState::Open,
        opened_at: Timestamp(1_001),
        changed_at: Timestamp(1_002),
        count: 2,
        raised_by: event_id(2),
        resolved_by: None,
        resolved_by_person: None,
    };
    assert_eq!(store.incidents(10).await.unwrap(), [expected]);
    store.append(with_incidents(3, vec![raise(103, "a", Severity::Critical, "third")])).await.unwrap();
    let [incident] = &store.incidents(10).await.unwrap()[..] else { panic!("one incident") };
    assert_eq!((incident.severity, incident.count), (Severity::Critical, 3));
}

pub async fn resolving_names_the_proof<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Medium, "t")])).await.unwrap();
    store.append(with_incidents(2, vec![resolve("a")])).await.unwrap();
    // A second proof does not take the place of the first.
    store.append(with_incidents(3, vec![resolve("a")])).await.unwrap();
    let [incident] = &store.incidents(10).await.unwrap()[..] else { panic!("one incident") };
    assert_eq!(incident.state, IncidentState::Resolved);
    assert_eq!(incident.resolved_by, Some(event_id(2)));
    assert_eq!(incident.resolved_by_person, None);
    assert_eq!(incident.raised_by, event_id(1));
    assert_eq!((incident.opened_at, incident.changed_at), (Timestamp(1_001), Timestamp(1_002)));
    assert_eq!(incident.count, 1);
}

pub async fn after_resolving_a_new_one_is_opened<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::High, "t")])).await.unwrap();
    store.append(with_incidents(2, vec![resolve("a")])).await.unwrap();
    store.append(with_incidents(3, vec![raise(102, "a", Severity::Low, "u")])).await.unwrap();
    let incidents = store.incidents(10).await.unwrap();
    let brief: Vec<_> = incidents.iter().map(|i| (i.id, i.state, i.severity, i.count)).collect();
    assert_eq!(
        brief,
        [
            (incident_id(102), IncidentState::Open, Severity::Low, 1),
            (incident_id(101), IncidentState::Resolved, Severity::High, 1),
        ]
    );
}

pub async fn resolving_what_is_not_there_changes_nothing<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![resolve("a")])).await.unwrap();
    assert_eq!(store.incidents(10).await.unwrap(), []);
    assert_eq!(store.recent(None, 10).await.unwrap().len(), 1);
}

pub async fn accounts_and_policies_are_apart<P: Place>(place: &P) {
    let store = place.open().await;
    let mut other_policy = raise(103, "a", Severity::Low, "t");
    if let portcullis_core::incident::IncidentChange::Raise { policy, .. } = &mut other_policy {
        *policy = PolicyName::new("another");
    }
    let changes = vec![raise(101, "a", Severity::Low, "t"), raise(102, "b", Severity::Low, "t"), other_policy];
    store.append(with_incidents(1, changes)).await.unwrap();
    store.append(with_incidents(2, vec![resolve("a")])).await.unwrap();
    let incidents = store.incidents(10).await.unwrap();
    assert_eq!(incidents.len(), 3);
    let resolved: Vec<_> = incidents.iter().filter(|i| i.state == IncidentState::Resolved).map(|i| i.id).collect();
    assert_eq!(resolved, [incident_id(101)]);
}

pub async fn one_record_can_do_both<P: Place>(place: &P) {
    let store = place.open().await;
    let changes = vec![raise(101, "a", Severity::Low, "t"), resolve("a"), raise(102, "a", Severity::Low, "t")];
    store.append(with_incidents(1, changes)).await.unwrap();
    let states: Vec<_> = store.incidents(10).await.unwrap().iter().map(|i| (i.id, i.state)).collect();
    assert_eq!(states, [(incident_id(102), IncidentState::Open), (incident_id(101), IncidentState::Resolved)]);
}

pub async fn a_person_resolves_once_and_with_an_event<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "t")])).await.unwrap();
    assert!(!store.resolve(incident_id(999), "ada", administration(2)).await.unwrap());
    assert!(store.resolve(incident_id(101), "ada", administration(3)).await.unwrap());
    assert!(!store.resolve(incident_id(101), "bob", administration(4)).await.unwrap());
    let [incident] = &store.incidents(10).await.unwrap()[..] else { panic!("one incident") };
    assert_eq!(incident.state, IncidentState::Resolved);
    assert_eq!(incident.resolved_by_person.as_deref(), Some("ada"));
    assert_eq!(incident.resolved_by, None);
    assert_eq!(incident.changed_at, Timestamp(1_003));
    // Only what was done has an event.
    let ids: Vec<_> = store.recent(None, 10).await.unwrap().iter().map(|stored| stored.event.id()).collect();
    assert_eq!(ids, [event_id(3), event_id(1)]);
    // When the event cannot be stored, the incident stays as it is.
    store.append(with_incidents(5, vec![raise(102, "a", Severity::Low, "t")])).await.unwrap();
    store.resolve(incident_id(102), "ada", administration(5)).await.unwrap_err();
    assert_eq!(store.incidents(1).await.unwrap()[0].state, IncidentState::Open);
}

pub async fn concurrent_raising_makes_one<P: Place>(place: &P) {
    let store = place.open().await;
    let tasks: Vec<_> = (1..=64)
        .map(|number| {
            let store = store.clone();
            let severity = if number == 17 { Severity::High } else { Severity::Low };
            let change = raise(100 + number, "a", severity, "t");
            tokio::spawn(async move { store.append(with_incidents(number, vec![change])).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let [incident] = &store.incidents(10).await.unwrap()[..] else { panic!("one incident") };
    assert_eq!((incident.count, incident.severity, incident.state), (64, Severity::High, IncidentState::Open));
}

pub async fn unresolved_come_first<P: Place>(place: &P) {
    let store = place.open().await;
    for (number, account) in (1..).zip(["a", "b", "c", "d"]) {
        let change = raise(100 + number, account, Severity::Low, "t");
        store.append(Record { incidents: vec![change], ..record(number) }).await.unwrap();
    }
    store.append(with_incidents(5, vec![resolve("d")])).await.unwrap();
    store.append(with_incidents(6, vec![resolve("b")])).await.unwrap();
    store.append(with_incidents(7, vec![raise(107, "a", Severity::Low, "t")])).await.unwrap();
    let order = |incidents: Vec<Incident>| -> Vec<String> {
        incidents.iter().map(|incident| incident.account.to_string()).collect()
    };
    assert_eq!(order(store.incidents(10).await.unwrap()), ["a", "c", "b", "d"]);
    assert_eq!(order(store.incidents(3).await.unwrap()), ["a", "c", "b"]);
}
