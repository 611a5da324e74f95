use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::profile::*;
use portcullis_core::store::{EventStore as _, Sequence};
use portcullis_core::{AccountId, AccountKind, Timestamp};

use super::Place;
use crate::sample;

fn profile(subject: Subject, mark: u64, risk: u8) -> StoredProfile {
    let value = format!("{subject:?} {mark}").into_bytes();
    StoredProfile { subject, mark, value, risk }
}

fn account(number: u64) -> Subject {
    Subject::Account(AccountId::new(format!("a{number:05}")))
}

fn mark(number: u64, through: u64, ahead: &[u64]) -> ProfileMark {
    ProfileMark { number, through, ahead: ahead.to_vec(), imported: 0, complete: true }
}

pub async fn profiles_are_replaced_and_survive_reopening<P: Place>(place: &P) {
    let store = place.open().await;
    let (wiki, here) = (Subject::Application("a'; --".to_owned()), Subject::Endpoint([10, 0, 0, 1].into()));
    // More than one transaction takes.
    let mut all: Vec<_> = (0..1_300).map(|number| profile(account(number), 1, 0)).collect();
    all.extend([profile(wiki.clone(), 1, 7), profile(here.clone(), 1, 0)]);
    store.put_profiles(mark(1, 5, &[u64::MAX, 3]), all).await.unwrap();
    store.put_profiles(mark(2, 9, &[]), vec![profile(account(3), 2, 50)]).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.profile_marks().await.unwrap(), [mark(2, 9, &[])]);
    let mut asked = vec![account(3), account(1_299), wiki.clone(), here.clone(), account(99_999)];
    let mut found = store.profiles(&asked).await.unwrap();
    found.sort_by(|one, other| one.subject.cmp(&other.subject));
    let mut expected =
        vec![profile(account(3), 2, 50), profile(account(1_299), 1, 0), profile(wiki, 1, 7), profile(here, 1, 0)];
    expected.sort_by(|one, other| one.subject.cmp(&other.subject));
    assert_eq!(found, expected);
    // More than one statement takes.
    asked = (0..200).map(account).collect();
    assert_eq!(store.profiles(&asked).await.unwrap().len(), 200);
    assert!(store.profiles(&[]).await.unwrap().is_empty());
    let page = store.profiles_after(SubjectKind::Account, Some("a01297"), 10).await.unwrap();
    assert_eq!(page.iter().map(|found| found.subject.key()).collect::<Vec<_>>(), ["a01298", "a01299"]);
}

pub async fn the_riskiest_come_first<P: Place>(place: &P) {
    let store = place.open().await;
    let all = (0..20_u8).map(|risk| profile(account(u64::from(risk)), 1, risk)).collect();
    store.put_profiles(mark(1, 0, &[]), all).await.unwrap();
    let risks = |found: Vec<StoredProfile>| found.into_iter().map(|found| found.risk).collect::<Vec<_>>();
    assert_eq!(risks(store.riskiest(SubjectKind::Account, None, 3).await.unwrap()), [19, 18, 17]);
    assert_eq!(store.riskiest(SubjectKind::Account, None, 100).await.unwrap().len(), 19, "none without risk");
    assert!(store.riskiest(SubjectKind::Endpoint, None, 3).await.unwrap().is_empty());
}

pub async fn all_risky_ones_come_page_by_page<P: Place>(place: &P) {
    let store = place.open().await;
    let risk = |number: u64| if number.is_multiple_of(3) { 60 } else { 30 };
    let all = (0..30).map(|number| profile(account(number), 1, risk(number))).collect();
    store.put_profiles(mark(1, 0, &[]), all).await.unwrap();
    let mut found: Vec<StoredProfile> = Vec::new();
    loop {
        let last = found.last().map(|last| (last.risk, last.subject.key()));
        let after = last.as_ref().map(|(risk, key)| (*risk, key.as_str()));
        let page = store.riskiest(SubjectKind::Account, after, 7).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    let order = |profile: &StoredProfile| (std::cmp::Reverse(profile.risk), profile.subject.key());
    assert!(found.len() == 30 && found.is_sorted_by_key(order), "{found:?}");
}

pub async fn a_risk_that_has_decayed_is_lower_unless_the_profile_was_written_meanwhile<P: Place>(place: &P) {
    let store = place.open().await;
    let all = vec![profile(account(1), 1, 60), profile(account(2), 1, 60), profile(account(3), 1, 60)];
    store.put_profiles(mark(1, 0, &[]), all).await.unwrap();
    store.put_profiles(mark(2, 0, &[]), vec![profile(account(2), 2, 70)]).await.unwrap();
    let decayed = [account(1), account(2), account(9)].map(|subject| profile(subject, 1, 5));
    store.put_risks(decayed.to_vec()).await.unwrap();
    let found = store.riskiest(SubjectKind::Account, None, 9).await.unwrap();
    let expected = [profile(account(2), 2, 70), profile(account(3), 1, 60), profile(account(1), 1, 5)];
    assert_eq!(found, expected);
}

pub async fn an_unfinished_mark_stands_beside_the_last_finished_one<P: Place>(place: &P) {
    let store = place.open().await;
    assert!(store.profile_marks().await.unwrap().is_empty());
    store.put_profiles(mark(1, 5, &[1]), vec![profile(account(1), 1, 0)]).await.unwrap();
    let unfinished = ProfileMark { complete: false, ..mark(2, 8, &[2, 3]) };
    store.put_profiles(unfinished.clone(), vec![profile(account(2), 2, 0)]).await.unwrap();
    assert_eq!(store.profile_marks().await.unwrap(), [mark(1, 5, &[1]), unfinished]);
    store.put_profiles(mark(3, 9, &[]), vec![]).await.unwrap();
    assert_eq!(store.profile_marks().await.unwrap(), [mark(3, 9, &[])]);
}

pub async fn events_come_in_their_order<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.last_sequence().await.unwrap(), Sequence(0));
    for number in 0..5 {
        store.append(sample::record(number)).await.unwrap();
    }
    assert_eq!(store.last_sequence().await.unwrap(), Sequence(5));
    let sequences = |found: Vec<portcullis_core::store::StoredEvent>| {
        found.into_iter().map(|stored| stored.sequence.0).collect::<Vec<_>>()
    };
    assert_eq!(sequences(store.events_after(Sequence(1), 3).await.unwrap()), [2, 3, 4]);
    assert_eq!(sequences(store.events_after(Sequence(4), 3).await.unwrap()), [5]);
    assert!(store.events_after(Sequence(5), 3).await.unwrap().is_empty());
}

pub async fn a_kind_is_decided_with_an_event_and_taken_back<P: Place>(place: &P) {
    let store = place.open().await;
    let event = |number: u128| {
        Event::Administration(AdministrationEvent {
            id: portcullis_core::EventId(uuid::Uuid::from_u128(number)),
            at: Timestamp(5),
            actor: "ada".to_owned(),
            action: "account-kind".to_owned(),
            detail: String::new(),
        })
    };
    let alice = AccountId::new("alice-id");
    let decided = |kind| DecidedKind {
        account: alice.clone(),
        login: "alice".to_owned(),
        kind,
        person: "ada".to_owned(),
        at: Timestamp(5),
    };
    store.decide_kind(&alice, Some(decided(AccountKind::Service)), event(1)).await.unwrap();
    assert_eq!(store.decided_kinds().await.unwrap(), [decided(AccountKind::Service)]);
    store.decide_kind(&alice, Some(decided(AccountKind::Human)), event(2)).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.decided_kinds().await.unwrap(), [decided(AccountKind::Human)]);
    store.decide_kind(&alice, None, event(3)).await.unwrap();
    assert!(store.decided_kinds().await.unwrap().is_empty());
    assert_eq!(store.recent(None, 10).await.unwrap().len(), 3);
}
