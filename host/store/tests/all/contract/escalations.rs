//! Incidents that become more severe by themselves. Event number n is at 1,000 + n milliseconds.

use portcullis_core::challenge::ChallengeState;
use portcullis_core::channel::{NoticeKind, OutboxStore as _, Subscription};
use portcullis_core::escalation::{DueEscalation, Escalation, EscalationStore as _};
use portcullis_core::event::Record;
use portcullis_core::incident::{
    IncidentAction, IncidentChange, IncidentReport, IncidentSource, IncidentState, IncidentStep,
};
use portcullis_core::policy::Severity;
use portcullis_core::store::{ChallengeStore as _, EventStore as _, IncidentStore as _};
use portcullis_core::{ChannelName, EventId, Timestamp};

use super::Place;
use super::challenges::{EVER, challenge, key};
use crate::sample::{access, administration, event_id, incident_id, raise, resolve, with_incidents};

fn after(seconds: u32, severity: Severity) -> Escalation {
    Escalation { from_times: 0, after_seconds: seconds, unless_taken: false, severity }
}

fn times(from_times: u32, severity: Severity) -> Escalation {
    Escalation { from_times, after_seconds: 0, unless_taken: false, severity }
}

/// Raises the incident of `a` as low, with these escalations.
fn raised(number: u128, escalate: &[Escalation]) -> Record {
    let mut change = raise(100 + number, "a", Severity::Low, "t");
    if let IncidentChange::Raise { escalate: list, .. } = &mut change {
        *list = escalate.to_vec();
    }
    with_incidents(number, vec![change])
}

/// The same of a detection.
fn detected(number: u128, escalate: &[Escalation]) -> Record {
    let mut record = raised(number, escalate);
    if let Some(IncidentChange::Raise { source, .. }) = record.incidents.first_mut() {
        *source = IncidentSource::Detection("brute-force".to_owned());
    }
    record
}

async fn report<P: Place>(store: &P::Store, number: u128) -> IncidentReport {
    store.incident(incident_id(number)).await.unwrap().unwrap()
}

/// What is due at that millisecond, and is then done with an event of that moment.
async fn escalate<P: Place>(store: &P::Store, at: u64) -> Vec<DueEscalation> {
    let due = store.due_escalations(Timestamp(at), 10).await.unwrap();
    for one in &due {
        assert!(store.escalate(one, administration(u128::from(at) - 1_000)).await.unwrap(), "{one:?}");
    }
    due
}

fn steps(report: &IncidentReport) -> Vec<(IncidentStep, &str, EventId)> {
    report.history.iter().map(|entry| (entry.step, entry.text.as_str(), entry.event)).collect()
}

pub async fn raised_often_enough_it_is_more_severe_with_that_event<P: Place>(place: &P) {
    let store = place.open().await;
    let list = [times(2, Severity::Medium), times(3, Severity::Critical)];
    store.append(raised(1, &list)).await.unwrap();
    store.append(raised(2, &list)).await.unwrap();
    assert_eq!(report::<P>(&store, 101).await.incident.severity, Severity::Medium);
    // Raised in another way, which knows of no escalation: those that are there stay.
    store.append(raised(3, &[])).await.unwrap();
    let third = report::<P>(&store, 101).await;
    assert_eq!((third.incident.severity, third.incident.count), (Severity::Critical, 3));
    assert_eq!(
        steps(&third),
        [
            (IncidentStep::Opened, "t", event_id(1)),
            (IncidentStep::Raised, "t", event_id(2)),
            (IncidentStep::Escalated, "medium: raised 2 times", event_id(2)),
            (IncidentStep::Raised, "t", event_id(3)),
            (IncidentStep::Escalated, "critical: raised 3 times", event_id(3)),
        ]
    );
    store.append(raised(4, &list)).await.unwrap();
    let fourth = report::<P>(&store, 101).await;
    assert_eq!((fourth.incident.severity, fourth.history.len()), (Severity::Critical, 6), "once, and never down");
    // A new incident begins anew.
    store.append(with_incidents(5, vec![resolve("a")])).await.unwrap();
    store.append(raised(6, &list)).await.unwrap();
    assert_eq!(report::<P>(&store, 106).await.incident.severity, Severity::Low);
}

pub async fn time_does_it_once_with_an_event_and_across_a_restart<P: Place>(place: &P) {
    let store = place.open().await;
    let soc = Subscription { name: ChannelName::new("soc"), incidents: Some(Severity::High), resolved: false };
    store.set_channels(vec![soc.clone()]).await.unwrap();
    store.append(raised(1, &[after(10, Severity::High), after(20, Severity::Critical)])).await.unwrap();
    let open = report::<P>(&store, 101).await.incident;
    assert_eq!(open.escalates_at, Some(Timestamp(11_001)));
    assert_eq!(store.due_escalations(Timestamp(11_000), 10).await.unwrap(), []);
    P::close(store).await;

    let store = place.open().await;
    let due = store.due_escalations(Timestamp(11_001), 10).await.unwrap();
    assert_eq!((due.len(), due[0].escalation), (1, after(10, Severity::High)));
    assert_eq!(due[0].incident, open);
    assert!(store.escalate(&due[0], administration(10_001)).await.unwrap());
    assert!(!store.escalate(&due[0], administration(10_002)).await.unwrap(), "not twice");
    assert_eq!(store.due_escalations(Timestamp(11_002), 10).await.unwrap(), []);
    let high = report::<P>(&store, 101).await;
    assert_eq!((high.incident.severity, high.incident.count), (Severity::High, 1));
    assert_eq!((high.incident.changed_at, high.incident.escalates_at), (Timestamp(11_001), Some(Timestamp(21_001))));
    let last = high.history.last().unwrap();
    assert_eq!((last.step, last.text.as_str()), (IncidentStep::Escalated, "high: not resolved for 10 s"));
    assert_eq!((last.event, last.person.as_deref()), (event_id(10_001), None));
    let events: Vec<_> = store.recent(None, 10).await.unwrap().iter().map(|stored| stored.event.id()).collect();
    assert_eq!(events, [event_id(10_001), event_id(1)], "what was not done has no event");
    let told = store.due(&soc.name, Timestamp(u64::MAX / 4), 10).await.unwrap();
    assert_eq!(told.len(), 1, "channels are told of it, and of it alone");
    assert_eq!((told[0].told.kind, told[0].told.event), (NoticeKind::IncidentRaised, event_id(10_001)));
    // Long not looked at, the most severe counts, and nothing is left.
    assert_eq!(escalate::<P>(&store, 99_000).await.len(), 1);
    let critical = report::<P>(&store, 101).await.incident;
    assert_eq!((critical.severity, critical.escalates_at), (Severity::Critical, None));
    assert_eq!(store.due_escalations(Timestamp(u64::MAX / 2), 10).await.unwrap(), []);
}

pub async fn what_is_resolved_rests_and_begins_anew_when_reopened<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(raised(1, &[after(10, Severity::High)])).await.unwrap();
    let due = store.due_escalations(Timestamp(12_000), 10).await.unwrap();
    let act = async |action, number| {
        store.act(incident_id(101), action, "ada", administration(number)).await.unwrap();
    };
    act(IncidentAction::Resolve(None), 11_100).await;
    assert!(!store.escalate(&due[0], administration(11_200)).await.unwrap(), "somebody was faster");
    assert_eq!(store.due_escalations(Timestamp(99_000), 10).await.unwrap(), []);
    assert_eq!(report::<P>(&store, 101).await.incident.escalates_at, None);
    act(IncidentAction::Reopen, 50_000).await;
    assert_eq!(report::<P>(&store, 101).await.incident.escalates_at, Some(Timestamp(61_000)));
    assert_eq!(escalate::<P>(&store, 60_999).await, []);
    assert_eq!(escalate::<P>(&store, 61_000).await.len(), 1);
    // Reopened because a second factor is in doubt: likewise.
    store.append(raised(70_000, &[after(100, Severity::Critical)])).await.unwrap();
    store.append(with_incidents(70_001, vec![resolve("a")])).await.unwrap();
    assert_eq!(report::<P>(&store, 101).await.incident.escalates_at, None);
    let account = portcullis_core::AccountId::new("a");
    let distrust = IncidentChange::Distrust { account, since: Timestamp(0), why: "doubt".to_owned() };
    store.append(with_incidents(80_000, vec![distrust])).await.unwrap();
    let again = report::<P>(&store, 101).await.incident;
    assert_eq!((again.state, again.escalates_at), (IncidentState::Open, Some(Timestamp(181_000))));
}

pub async fn who_works_on_it_holds_up_what_says_so<P: Place>(place: &P) {
    let store = place.open().await;
    let unless_taken = Escalation { unless_taken: true, ..after(10, Severity::High) };
    store.append(raised(1, &[unless_taken, after(20, Severity::Critical)])).await.unwrap();
    let act = async |action, number| {
        assert!(store.act(incident_id(101), action, "ada", administration(number)).await.unwrap());
    };
    act(IncidentAction::Take, 2).await;
    assert_eq!(report::<P>(&store, 101).await.incident.escalates_at, Some(Timestamp(21_001)));
    assert_eq!(escalate::<P>(&store, 15_000).await, []);
    // Given back after that time, it is due at once, with the event of the giving back.
    act(IncidentAction::Release, 15_000).await;
    let released = report::<P>(&store, 101).await;
    assert_eq!(released.incident.severity, Severity::High);
    let last = released.history.last().unwrap();
    assert_eq!((last.step, last.event), (IncidentStep::Escalated, event_id(15_000)));
    act(IncidentAction::Take, 15_001).await;
    assert_eq!(escalate::<P>(&store, 22_000).await.len(), 1, "the other one does not care");
}

pub async fn a_note_and_more_of_the_same_do_not_move_its_time<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(raised(1, &[after(10, Severity::High)])).await.unwrap();
    store.append(raised(5_000, &[after(10, Severity::High)])).await.unwrap();
    let note = IncidentAction::Note("n".to_owned());
    assert!(store.act(incident_id(101), note, "ada", administration(6_000)).await.unwrap());
    assert_eq!(report::<P>(&store, 101).await.incident.escalates_at, Some(Timestamp(11_001)));
    // Raised when the time is over: that is the event of it, and nothing is left for later.
    store.append(raised(12_000, &[])).await.unwrap();
    assert_eq!(report::<P>(&store, 101).await.incident.severity, Severity::High);
    assert_eq!(store.due_escalations(Timestamp(99_000), 10).await.unwrap(), []);
}

pub async fn rising_ends_remembered_approvals_as_raising_does<P: Place>(place: &P) {
    let store = place.open().await;
    let approve = async |number: u128, at: u64| {
        store.put_challenge(&challenge(number, ChallengeState::Approved, Some(at))).await.unwrap();
    };
    let counts = async || store.approval_within(&key(), EVER, 0).await.unwrap().is_some();
    // A policy's: whatever severity it rises to.
    store.append(raised(1, &[after(10, Severity::Medium)])).await.unwrap();
    approve(1, 5_000).await;
    assert!(counts().await, "it was given after the incident was opened");
    escalate::<P>(&store, 11_001).await;
    assert!(!counts().await);
    store.append(with_incidents(11_000, vec![resolve("a")])).await.unwrap();

    // A detection's: only what becomes high or critical, and once for each step, however often somebody guesses.
    approve(2, 20_000).await;
    store.append(detected(20_000, &[times(2, Severity::Medium), times(4, Severity::High)])).await.unwrap();
    store.append(detected(20_001, &[])).await.unwrap();
    store.append(detected(20_002, &[])).await.unwrap();
    assert!(counts().await, "medium by now");
    store.append(detected(20_003, &[])).await.unwrap();
    assert!(!counts().await, "high by now");
    approve(3, 22_000).await;
    for number in 21_500..21_520 {
        store.append(detected(number, &[])).await.unwrap();
    }
    assert!(counts().await, "guessing on does not do it again");
}

pub async fn an_incident_knows_from_where_and_when_its_time_began<P: Place>(place: &P) {
    let store = place.open().await;
    // Told by a cloud service of what was long ago: its time begins when the incident was made (an id of version 7).
    let made_at: u64 = 1_800_000_000_000;
    let id = (u128::from(made_at) << 80) | (7 << 76) | (2 << 62);
    let mut record = Record { event: access(1, "a"), ..raised(1, &[after(10, Severity::High)]) };
    if let Some(IncidentChange::Raise { new_id, .. }) = record.incidents.first_mut() {
        *new_id = incident_id(id);
    }
    store.append(record).await.unwrap();
    let incident = report::<P>(&store, id).await.incident;
    assert_eq!(incident.address.map(|address| address.to_string()).as_deref(), Some("192.0.2.7"));
    assert_eq!((incident.opened_at, incident.escalates_at), (Timestamp(1_001), Some(Timestamp(made_at + 10_000))));
    // What has no address does not take it away.
    store.append(raised(2, &[])).await.unwrap();
    assert!(report::<P>(&store, id).await.incident.address.is_some());
}
