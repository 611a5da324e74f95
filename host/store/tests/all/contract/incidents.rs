use portcullis_core::event::Record;
use portcullis_core::incident::{
    Incident, IncidentAction, IncidentChange, IncidentSource, IncidentState, IncidentStep, IncidentVerdict,
};
use portcullis_core::policy::Severity;
use portcullis_core::store::{EventStore as _, IncidentStore as _, StoreError};
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
        source: PolicyName::new("second-factor").into(),
        address: None,
        severity: Severity::High,
        title: "second".to_owned(),
        state: IncidentState::Open,
        opened_at: Timestamp(1_001),
        changed_at: Timestamp(1_002),
        count: 2,
        raised_by: event_id(2),
        resolved_by: None,
        resolved_by_person: None,
        verdict: None,
        assignee: None,
        escalates_at: None,
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
    if let IncidentChange::Raise { source, .. } = &mut other_policy {
        *source = PolicyName::new("another").into();
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
    assert!(!store.act(incident_id(999), IncidentAction::Resolve(None), "ada", administration(2)).await.unwrap());
    assert!(store.act(incident_id(101), IncidentAction::Resolve(None), "ada", administration(3)).await.unwrap());
    assert!(!store.act(incident_id(101), IncidentAction::Resolve(None), "bob", administration(4)).await.unwrap());
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
    store.act(incident_id(102), IncidentAction::Resolve(None), "ada", administration(5)).await.unwrap_err();
    assert_eq!(store.incidents(1).await.unwrap()[0].state, IncidentState::Open);
}

pub async fn people_take_release_resolve_and_reopen<P: Place>(place: &P) {
    use IncidentAction::{Note, Release, Reopen, Resolve, Take};
    let store = place.open().await;
    let id = incident_id(101);
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "first")])).await.unwrap();
    store.append(with_incidents(2, vec![raise(102, "a", Severity::Low, "second")])).await.unwrap();
    let act = async |number, action, person: &str| store.act(id, action, person, administration(number)).await.unwrap();
    assert!(!act(3, Release, "ada").await, "nobody has it");
    assert!(!act(3, Reopen, "ada").await, "it is not resolved");
    assert!(act(3, Take, "ada").await);
    assert_eq!(
        store.incident(id).await.unwrap().map(|report| (report.incident.state, report.incident.assignee)),
        Some((IncidentState::InProgress, Some("ada".to_owned())))
    );
    assert!(act(4, Release, "ada").await);
    assert!(act(5, Note("a ticket".to_owned()), "bob").await);
    assert!(act(6, Resolve(Some(IncidentVerdict::FalsePositive)), "ada").await);
    assert!(!act(7, Take, "bob").await, "it is resolved");
    let resolved = store.incident(id).await.unwrap().unwrap().incident;
    assert_eq!((resolved.verdict, resolved.assignee), (Some(IncidentVerdict::FalsePositive), None));
    assert!(act(7, Reopen, "bob").await);
    let report = store.incident(id).await.unwrap().unwrap();
    assert_eq!((report.incident.state, report.incident.verdict), (IncidentState::Open, None));
    assert_eq!((report.incident.resolved_by_person, report.incident.count), (None, 2));
    let life: Vec<_> = report.history.iter().map(|e| (e.step, e.person.as_deref(), e.text.as_str(), e.event)).collect();
    assert_eq!(
        life,
        [
            (IncidentStep::Opened, None, "first", event_id(1)),
            (IncidentStep::Raised, None, "second", event_id(2)),
            (IncidentStep::Taken, Some("ada"), "", event_id(3)),
            (IncidentStep::Released, Some("ada"), "", event_id(4)),
            (IncidentStep::Noted, Some("bob"), "a ticket", event_id(5)),
            (IncidentStep::Resolved, Some("ada"), "false-positive", event_id(6)),
            (IncidentStep::Reopened, Some("bob"), "", event_id(7)),
        ]
    );
    assert_eq!(store.recent(None, 20).await.unwrap().len(), 7, "what was not done has no event");
    assert_eq!(store.incident(incident_id(999)).await.unwrap(), None);
}

pub async fn one_is_not_reopened_beside_its_successor<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "t"), resolve("a")])).await.unwrap();
    store.append(with_incidents(2, vec![raise(102, "a", Severity::Low, "t")])).await.unwrap();
    assert!(!store.act(incident_id(101), IncidentAction::Reopen, "ada", administration(3)).await.unwrap());
    store.append(with_incidents(4, vec![resolve("a")])).await.unwrap();
    assert!(store.act(incident_id(101), IncidentAction::Reopen, "ada", administration(5)).await.unwrap());
}

pub async fn a_history_is_bounded_and_counts_go_on<P: Place>(place: &P) {
    let store = place.open().await;
    for number in 1..=210 {
        store.append(with_incidents(number, vec![raise(1_000 + number, "a", Severity::Low, "t")])).await.unwrap();
    }
    let id = incident_id(1_001);
    let report = store.incident(id).await.unwrap().unwrap();
    assert_eq!((report.history.len(), report.incident.count), (200, 210));
    // Of what people do, nothing is lost: a note is refused where there is no room.
    for number in 1..=800 {
        let note = IncidentAction::Note("n".to_owned());
        assert!(store.act(id, note, "ada", administration(1_000 + number)).await.unwrap());
    }
    let note = IncidentAction::Note("n".to_owned());
    let refused = store.act(id, note, "ada", administration(3_000)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Quota(_)), "{refused}");
    assert!(store.act(id, IncidentAction::Resolve(None), "ada", administration(3_001)).await.unwrap());
}

pub async fn detections_and_policies_are_apart<P: Place>(place: &P) {
    let store = place.open().await;
    let mut detected = raise(102, "a", Severity::High, "t");
    if let IncidentChange::Raise { source, .. } = &mut detected {
        *source = IncidentSource::Detection("second-factor".to_owned());
    }
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "t"), detected])).await.unwrap();
    store.append(with_incidents(2, vec![resolve("a")])).await.unwrap();
    let report = store.incident(incident_id(102)).await.unwrap().unwrap();
    assert_eq!(report.incident.source, IncidentSource::Detection("second-factor".to_owned()));
    assert_eq!(report.incident.state, IncidentState::Open);
}

pub async fn distrust_reopens_what_a_policy_resolved<P: Place>(place: &P) {
    let store = place.open().await;
    let distrust = |since| IncidentChange::Distrust {
        account: AccountId::new("a"),
        since: Timestamp(since),
        why: "okta told of factors-reset".to_owned(),
    };
    let state = async |number| store.incident(incident_id(number)).await.unwrap().unwrap().incident.state;
    // One that the policy resolved twice over, one of somebody else, one that a person resolved.
    store.append(with_incidents(1, vec![raise(101, "a", Severity::Low, "t"), resolve("a")])).await.unwrap();
    store.append(with_incidents(2, vec![raise(102, "a", Severity::Low, "t"), resolve("a")])).await.unwrap();
    store.append(with_incidents(3, vec![raise(103, "b", Severity::Low, "t"), resolve("b")])).await.unwrap();
    let resolved_at = administration(2).at().0;
    // What somebody writes about it later does not make it younger.
    let note = IncidentAction::Note("a typo".to_owned());
    assert!(store.act(incident_id(102), note, "ada", administration(3_000)).await.unwrap());
    store.append(with_incidents(4, vec![distrust(resolved_at + 1)])).await.unwrap();
    assert_eq!(state(102).await, IncidentState::Resolved, "that was before");
    store.append(with_incidents(5, vec![distrust(resolved_at)])).await.unwrap();
    assert_eq!(
        (state(101).await, state(102).await),
        (IncidentState::Resolved, IncidentState::Open),
        "the latest alone"
    );
    assert_eq!(state(103).await, IncidentState::Resolved);
    let report = store.incident(incident_id(102)).await.unwrap().unwrap();
    assert_eq!(report.incident.resolved_by, None);
    let last = report.history.last().unwrap();
    assert_eq!((last.step, last.text.as_str()), (IncidentStep::Reopened, "okta told of factors-reset"));
    assert_eq!(last.event, event_id(5));
    // Once more changes nothing, and what a person resolved stays so.
    store.append(with_incidents(6, vec![distrust(resolved_at)])).await.unwrap();
    let event = administration(7);
    assert!(store.act(incident_id(102), IncidentAction::Resolve(None), "ada", event).await.unwrap());
    store.append(with_incidents(8, vec![distrust(0)])).await.unwrap();
    assert_eq!(state(102).await, IncidentState::Resolved);
    assert_eq!(state(101).await, IncidentState::Resolved, "nor is an older one opened in its place");
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

pub async fn the_most_severe_are_listed_first<P: Place>(place: &P) {
    let store = place.open().await;
    let severities = [Severity::Critical, Severity::Low, Severity::High, Severity::High, Severity::Medium];
    for ((number, account), severity) in (1..).zip(["a", "b", "c", "d", "e"]).zip(severities) {
        store.append(with_incidents(number, vec![raise(100 + number, account, severity, "t")])).await.unwrap();
    }
    store.append(with_incidents(6, vec![raise(106, "f", Severity::Critical, "t"), resolve("f")])).await.unwrap();
    let order = |incidents: Vec<Incident>| -> String {
        incidents.iter().map(|incident| incident.account.to_string()).collect()
    };
    assert_eq!(order(store.incidents(10).await.unwrap()), "adcebf");
    assert_eq!(order(store.incidents(2).await.unwrap()), "ad", "however many newer ones there are");
    assert_eq!(store.open_incidents().await.unwrap(), 5);
}

pub async fn pages_of_the_list_meet_whatever_becomes_of_their_ends<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.open_incidents().await.unwrap(), 0);
    let accounts = ["a", "b", "c", "d", "e", "f", "g"];
    for (number, account) in (1..).zip(accounts) {
        let severity = if number % 2 == 0 { Severity::High } else { Severity::Low };
        store.append(with_incidents(number, vec![raise(100 + number, account, severity, "t")])).await.unwrap();
    }
    let first = store.incidents_after(None, 3).await.unwrap();
    let (mut seen, mut last) = (first.clone(), first[2].clone());
    // That the last one of a page is resolved does not make the next page begin among the resolved.
    let event = administration(50);
    assert!(store.act(last.id, IncidentAction::Resolve(None), "ada", event).await.unwrap());
    loop {
        let page = store.incidents_after(Some(last.place()), 3).await.unwrap();
        let Some(end) = page.last() else { break };
        last = end.clone();
        seen.extend(page);
    }
    let order: String = seen.iter().map(|incident| incident.account.to_string()).collect();
    assert_eq!(order, "fdbgecab", "the one that was resolved comes once more, at the end");
}
