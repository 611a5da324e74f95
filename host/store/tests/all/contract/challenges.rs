use std::ops::RangeInclusive;

use portcullis_core::challenge::{ChallengeRecord, ChallengeState, Forget, RememberKey};
use portcullis_core::incident::{IncidentChange, IncidentSource};
use portcullis_core::policy::Severity;
use portcullis_core::store::{ChallengeStore as _, EventStore as _};
use portcullis_core::{AccountId, ChallengeId, ConnectorName, PolicyName, Timestamp};
use uuid::Uuid;

use super::Place;
use crate::sample::address;

pub(super) fn challenge(number: u128, state: ChallengeState, ended_at: Option<u64>) -> ChallengeRecord {
    ChallengeRecord {
        id: ChallengeId(Uuid::from_u128(number)),
        account: AccountId::new("a"),
        login: "mia".to_owned(),
        risk: 30,
        address: Some(address(1)),
        application: "wiki".to_owned(),
        policy: PolicyName::new("second-factor"),
        connector: ConnectorName::new("okta-verify"),
        opened_at: Timestamp(10),
        ended_at: ended_at.map(Timestamp),
        state,
    }
}

pub(super) fn key() -> RememberKey {
    RememberKey {
        account: AccountId::new("a"),
        address: Some(address(1)),
        application: "wiki".to_owned(),
        policy: PolicyName::new("second-factor"),
        connector: ConnectorName::new("okta-verify"),
    }
}

pub(super) const EVER: RangeInclusive<Timestamp> = Timestamp(0)..=Timestamp(u64::MAX);

fn found(number: u128, at: u64) -> Option<(ChallengeId, Timestamp)> {
    Some((ChallengeId(Uuid::from_u128(number)), Timestamp(at)))
}

pub async fn only_an_approval_for_the_same_key_counts<P: Place>(place: &P) {
    use ChallengeState::{Cancelled, Closed, Denied, Expired, Failed, Open};
    let store = place.open().await;
    for (number, state) in (1..).zip([Cancelled, Closed, Denied, Expired, Failed]) {
        store.put_challenge(&challenge(number, state, Some(40))).await.unwrap();
    }
    store.put_challenge(&challenge(6, Open, None)).await.unwrap();
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), None);

    store.put_challenge(&challenge(7, ChallengeState::Approved, Some(50))).await.unwrap();
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), found(7, 50));
    let others = [
        RememberKey { account: AccountId::new("b"), ..key() },
        RememberKey { address: Some(address(2)), ..key() },
        RememberKey { address: None, ..key() },
        RememberKey { application: "mail".to_owned(), ..key() },
        RememberKey { policy: PolicyName::new("another"), ..key() },
        RememberKey { connector: ConnectorName::new("okta-otp"), ..key() },
    ];
    for other in others {
        assert_eq!(store.approval_within(&other, EVER, 0).await.unwrap(), None, "{other:?}");
    }
    // Without an address is a key of its own, not one that fits all.
    let nowhere = ChallengeRecord { address: None, ..challenge(8, ChallengeState::Approved, Some(60)) };
    store.put_challenge(&nowhere).await.unwrap();
    let key_without = RememberKey { address: None, ..key() };
    assert_eq!(store.approval_within(&key_without, EVER, 0).await.unwrap(), found(8, 60));
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), found(7, 50));
}

pub async fn the_newest_approval_counts<P: Place>(place: &P) {
    let store = place.open().await;
    for (number, ended_at) in [(1, 50), (2, 80), (3, 70)] {
        store.put_challenge(&challenge(number, ChallengeState::Approved, Some(ended_at))).await.unwrap();
    }
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), found(2, 80));
    assert_eq!(store.approval_within(&key(), Timestamp(80)..=Timestamp(u64::MAX), 0).await.unwrap(), found(2, 80));
    assert_eq!(store.approval_within(&key(), Timestamp(81)..=Timestamp(u64::MAX), 0).await.unwrap(), None);
    assert_eq!(store.approval_within(&key(), Timestamp(80)..=Timestamp(u64::MAX), 30).await.unwrap(), found(2, 80));
    assert_eq!(
        store.approval_within(&key(), Timestamp(80)..=Timestamp(u64::MAX), 31).await.unwrap(),
        None,
        "it was less of a risk then"
    );
    let until = async |at: u64| store.approval_within(&key(), Timestamp(0)..=Timestamp(at), 0).await.unwrap();
    assert_eq!((until(79).await, until(80).await, until(49).await), (found(3, 70), found(2, 80), None));
}

pub async fn a_challenge_is_replaced<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_challenge(&challenge(1, ChallengeState::Open, None)).await.unwrap();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(50))).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), found(1, 50));
    // Nothing is left of it as an open one.
    assert_eq!(store.cancel_open_challenges(Timestamp(90)).await.unwrap(), 0);
}

pub async fn open_ones_are_cancelled<P: Place>(place: &P) {
    let store = place.open().await;
    for number in 1..=3 {
        store.put_challenge(&challenge(number, ChallengeState::Open, None)).await.unwrap();
    }
    store.put_challenge(&challenge(4, ChallengeState::Approved, Some(50))).await.unwrap();
    assert_eq!(store.cancel_open_challenges(Timestamp(90)).await.unwrap(), 3);
    assert_eq!(store.cancel_open_challenges(Timestamp(91)).await.unwrap(), 0);
    // The one that had ended is as it was.
    assert_eq!(store.approval_within(&key(), EVER, 0).await.unwrap(), found(4, 50));
}

fn forget(account: Option<&str>, before: u64, event: Option<u128>) -> Forget {
    Forget {
        account: account.map(AccountId::new),
        before: Timestamp(before),
        until_settled: event.map(crate::sample::event_id),
    }
}

pub async fn what_is_forgotten_counts_no_more<P: Place>(place: &P) {
    let store = place.open().await;
    let counts = async |store: &P::Store| store.approval_within(&key(), EVER, 0).await.unwrap();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(50))).await.unwrap();
    store.forget(forget(Some("a"), 49, None)).await.unwrap();
    store.forget(forget(Some("b"), 99, None)).await.unwrap();
    assert_eq!(counts(&store).await, found(1, 50), "another moment, another account");
    store.forget(forget(Some("a"), 50, None)).await.unwrap();
    store.forget(forget(Some("a"), 10, None)).await.unwrap();
    assert_eq!(counts(&store).await, None, "the latest moment counts");
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(counts(&store).await, None);
    store.put_challenge(&challenge(2, ChallengeState::Approved, Some(51))).await.unwrap();
    assert_eq!(counts(&store).await, found(2, 51), "what is given anew counts");
    store.forget(forget(None, 60, None)).await.unwrap();
    assert_eq!(counts(&store).await, None, "everybody's");
}

pub async fn what_is_not_settled_counts_and_can_be_taken_back<P: Place>(place: &P) {
    let store = place.open().await;
    let counts = async |store: &P::Store| store.approval_within(&key(), EVER, 0).await.unwrap().is_some();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(50))).await.unwrap();
    for event in [1, 2] {
        store.forget(forget(Some("a"), 70, Some(event))).await.unwrap();
    }
    let (one, two) = (crate::sample::event_id(1), crate::sample::event_id(2));
    store.settle(one, None).await.unwrap();
    assert!(!counts(&store).await, "the other one is under way");
    store.settle(two, None).await.unwrap();
    assert!(counts(&store).await);
    store.forget(forget(Some("a"), 70, Some(3))).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert!(!counts(&store).await, "nobody has said what became of it");
    store.settle(crate::sample::event_id(3), Some(Timestamp(80))).await.unwrap();
    store.settle(crate::sample::event_id(3), None).await.unwrap();
    store.put_challenge(&challenge(2, ChallengeState::Approved, Some(80))).await.unwrap();
    assert!(!counts(&store).await, "what was approved while it was done is no better");
    store.put_challenge(&challenge(3, ChallengeState::Approved, Some(81))).await.unwrap();
    assert!(counts(&store).await);
}

pub async fn a_refusal_and_an_incident_end_what_was_approved_before<P: Place>(place: &P) {
    let store = place.open().await;
    let counts = async || store.approval_within(&key(), EVER, 0).await.unwrap().is_some();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(50))).await.unwrap();
    let elsewhere = |number, account: &str, state| ChallengeRecord {
        account: AccountId::new(account),
        address: Some(address(9)),
        application: "mail".to_owned(),
        ..challenge(number, state, Some(60))
    };
    for state in [ChallengeState::Expired, ChallengeState::Cancelled, ChallengeState::Closed] {
        store.put_challenge(&elsewhere(2, "a", state)).await.unwrap();
    }
    store.put_challenge(&elsewhere(3, "b", ChallengeState::Denied)).await.unwrap();
    assert!(counts().await);
    store.put_challenge(&elsewhere(4, "a", ChallengeState::Denied)).await.unwrap();
    assert!(!counts().await);
    store.put_challenge(&challenge(5, ChallengeState::Approved, Some(61))).await.unwrap();
    assert!(counts().await, "what came after the refusal counts");
    let at = crate::sample::administration(7).at();
    store.put_challenge(&challenge(6, ChallengeState::Approved, Some(at.0))).await.unwrap();
    store
        .append(crate::sample::with_incidents(8, vec![crate::sample::raise(1, "b", Severity::High, "t")]))
        .await
        .unwrap();
    assert!(counts().await, "somebody else's incident");
    store
        .append(crate::sample::with_incidents(7, vec![crate::sample::raise(2, "a", Severity::Low, "t")]))
        .await
        .unwrap();
    assert!(!counts().await);
}

/// Whoever guesses passwords cannot make people be asked again.
pub async fn of_detections_only_grave_incidents_end_what_was_approved_before<P: Place>(place: &P) {
    let store = place.open().await;
    let detected = |number, severity| {
        let mut change = crate::sample::raise(number, "a", severity, "t");
        if let IncidentChange::Raise { source, .. } = &mut change {
            *source = IncidentSource::Detection(format!("detection-{number}"));
        }
        crate::sample::with_incidents(number, vec![change])
    };
    let before = crate::sample::administration(1).at();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(before.0))).await.unwrap();
    let counts = async || store.approval_within(&key(), EVER, 0).await.unwrap().is_some();
    for (number, severity) in [(1, Severity::Low), (2, Severity::Medium)] {
        store.append(detected(number, severity)).await.unwrap();
        assert!(counts().await, "{severity:?}");
    }
    store.append(detected(3, Severity::High)).await.unwrap();
    assert!(!counts().await);
}

pub async fn those_that_were_opened_lately_come_back_as_they_were<P: Place>(place: &P) {
    let store = place.open().await;
    let hour = 3_600_000;
    let at = |minute: u64| Timestamp(1_800_000_000_000 + minute * 60_000);
    // An id of version 7: 48 bits of time first.
    let opened = |minute: u64, number: u128, state, ended_at| ChallengeRecord {
        opened_at: at(minute),
        ..challenge((u128::from(at(minute).0) << 80) | (7 << 76) | number, state, ended_at)
    };
    let old = opened(0, 1, ChallengeState::Denied, Some(5));
    let denied = ChallengeRecord { address: None, ..opened(70, 2, ChallengeState::Denied, Some(at(71).0)) };
    let open = opened(61, 3, ChallengeState::Open, None);
    for one in [&old, &denied, &open] {
        store.put_challenge(one).await.unwrap();
    }
    let found = store.challenges_since(Timestamp(at(60).0)).await.unwrap();
    assert_eq!(found, [open.clone(), denied.clone()]);
    assert_eq!(store.challenges_since(Timestamp(at(60).0 - hour)).await.unwrap().len(), 3);
    assert_eq!(store.challenges_since(Timestamp(0)).await.unwrap(), [old, open, denied]);
}
