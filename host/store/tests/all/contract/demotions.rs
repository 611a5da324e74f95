//! Demotions.

use portcullis_core::demotion::{DemotionState, DemotionStep, DemotionStore as _, Membership, WantedDemotion};
use portcullis_core::event::Record;
use portcullis_core::policy::Severity;
use portcullis_core::store::EventStore as _;
use portcullis_core::{AccountId, PolicyName, Timestamp};

use super::Place;
use crate::sample::{administration, event_id, raise, record, with_incidents};

fn wanted(event: u128, account: &str) -> WantedDemotion {
    WantedDemotion {
        event: event_id(event),
        at: Timestamp(5_000),
        account: AccountId::new(account),
        login: format!("login of {account}"),
        policy: PolicyName::new("second-factor"),
        group: "admins".to_owned(),
        restore_after_seconds: 600,
        from_times: 2,
    }
}

fn membership() -> Membership {
    Membership {
        group: "cn=admins,dc=example".to_owned(),
        attribute: "member".to_owned(),
        value: "uid=mia,dc=example".to_owned(),
    }
}

pub async fn a_wish_waits_for_its_event_and_counts_its_incident<P: Place>(place: &P) {
    let store = place.open().await;
    store.want_demotion(wanted(1, "mia")).await.unwrap();
    let due = store.due_demotions(Timestamp(6_000), 0, 10).await.unwrap();
    assert_eq!((due.len(), due[0].is_stored, due[0].times), (1, false, 0));
    assert_eq!(due[0].demotion.wanted, wanted(1, "mia"));
    store.append(with_incidents(1, vec![raise(7, "mia", Severity::High, "First")])).await.unwrap();
    store.append(with_incidents(2, vec![raise(8, "mia", Severity::High, "Second")])).await.unwrap();
    store.append(with_incidents(3, vec![raise(9, "ben", Severity::High, "Another's")])).await.unwrap();
    let due = store.due_demotions(Timestamp(6_000), 0, 10).await.unwrap();
    assert_eq!((due.len(), due[0].is_stored, due[0].times), (1, true, 2));
    assert!(store.due_demotions(Timestamp(6_000), due[0].demotion.number, 10).await.unwrap().is_empty());
}

pub async fn each_step_is_taken_once_and_survives_reopening<P: Place>(place: &P) {
    use DemotionState::{Demoted, Leaving, Restored, Wanted};
    let store = place.open().await;
    store.want_demotion(wanted(1, "mia")).await.unwrap();
    let number = store.demotions(None, 1).await.unwrap()[0].number;
    let at = Timestamp(7_000);
    let leaving = || DemotionStep::Leaving(membership());
    assert!(store.step_demotion(number, Wanted, leaving(), None, at).await.unwrap());
    assert!(!store.step_demotion(number, Wanted, leaving(), Some(record(2)), at).await.unwrap(), "not twice");
    P::close(store).await;

    let store = place.open().await;
    let due = store.due_demotions(at, 0, 10).await.unwrap();
    assert_eq!((due[0].demotion.state, due[0].demotion.membership.clone()), (Leaving, Some(membership())));
    assert_eq!(store.standing_demotions(&AccountId::new("mia")).await.unwrap(), [due[0].demotion.clone()]);
    let until = DemotionStep::Demoted(Some(Timestamp(9_000)));
    assert!(store.step_demotion(number, Leaving, until, Some(record(3)), at).await.unwrap());
    assert!(store.due_demotions(Timestamp(8_999), 0, 10).await.unwrap().is_empty(), "its time is not over");
    let standing = store.standing_demotions(&AccountId::new("mia")).await.unwrap();
    assert_eq!((standing.len(), standing[0].restore_at), (1, Some(Timestamp(9_000))));
    assert!(store.standing_demotions(&AccountId::new("ben")).await.unwrap().is_empty());
    assert_eq!(store.due_demotions(Timestamp(9_000), 0, 10).await.unwrap().len(), 1);
    assert!(store.step_demotion(number, Demoted, DemotionStep::Restored, Some(record(4)), at).await.unwrap());
    assert!(store.due_demotions(Timestamp(10_000), 0, 10).await.unwrap().is_empty());
    let end = &store.demotions(None, 10).await.unwrap()[0];
    assert_eq!((end.state, end.restore_at, end.changed_at), (Restored, None, at));
    let events: Vec<_> = store.recent(None, 10).await.unwrap().into_iter().map(|stored| stored.event.id()).collect();
    assert_eq!(events, [event_id(4), event_id(3)], "a step that is not taken has no event");
}

pub async fn a_person_puts_back_what_stands_and_nothing_else<P: Place>(place: &P) {
    let store = place.open().await;
    store.want_demotion(wanted(1, "mia")).await.unwrap();
    store.want_demotion(wanted(2, "ben")).await.unwrap();
    let [second, first] = store.demotions(None, 10).await.unwrap().try_into().unwrap();
    assert_eq!(store.demotions(Some(second.number), 10).await.unwrap(), std::slice::from_ref(&first));
    let at = Timestamp(7_000);
    assert!(!store.restore_demotion(first.number, "ada", at, administration(5)).await.unwrap(), "it is not out");
    let leaving = DemotionStep::Leaving(membership());
    store.step_demotion(first.number, DemotionState::Wanted, leaving, None, at).await.unwrap();
    let forever = DemotionStep::Demoted(None);
    store.step_demotion(first.number, DemotionState::Leaving, forever, None, at).await.unwrap();
    let refused = DemotionStep::NotRestored("the group is gone".to_owned());
    store.step_demotion(first.number, DemotionState::Demoted, refused, None, at).await.unwrap();
    let standing = store.standing_demotions(&AccountId::new("mia")).await.unwrap();
    assert_eq!(standing[0].note, "the group is gone");
    assert!(store.restore_demotion(first.number, "ada", at, administration(6)).await.unwrap());
    let due = store.due_demotions(at, 0, 10).await.unwrap();
    let back = due.iter().find(|due| due.demotion.number == first.number).unwrap();
    assert_eq!((back.demotion.restore_by.as_deref(), back.demotion.note.as_str()), (Some("ada"), ""));
    let longer = DemotionStep::Demoted(None);
    assert!(
        !store.step_demotion(first.number, DemotionState::Demoted, longer, None, at).await.unwrap(),
        "ada wants it"
    );
    assert!(!store.restore_demotion(999, "ada", at, administration(7)).await.unwrap());
    let dropped = DemotionStep::Dropped;
    assert!(store.step_demotion(second.number, DemotionState::Wanted, dropped, None, at).await.unwrap());
    assert_eq!(store.demotions(None, 10).await.unwrap().len(), 1);
    let events: Vec<_> = store.recent(None, 10).await.unwrap().into_iter().map(|stored| stored.event.id()).collect();
    assert_eq!(events, [event_id(6)]);
}

pub async fn a_step_and_its_incident_are_one<P: Place>(place: &P) {
    let store = place.open().await;
    store.want_demotion(wanted(1, "mia")).await.unwrap();
    let number = store.demotions(None, 1).await.unwrap()[0].number;
    let failed = || DemotionStep::Failed("there is no such group".to_owned());
    let with_incident = |id| Record { ..with_incidents(id, vec![raise(9, "mia", Severity::High, "Not taken out")]) };
    let at = Timestamp(7_000);
    assert!(store.step_demotion(number, DemotionState::Wanted, failed(), Some(with_incident(2)), at).await.unwrap());
    assert!(!store.step_demotion(number, DemotionState::Wanted, failed(), Some(with_incident(3)), at).await.unwrap());
    let incidents = portcullis_core::store::IncidentStore::incidents(&store, 10).await.unwrap();
    assert_eq!((incidents.len(), incidents[0].count), (1, 1));
    assert_eq!(store.demotions(None, 1).await.unwrap()[0].note, "there is no such group");
}
