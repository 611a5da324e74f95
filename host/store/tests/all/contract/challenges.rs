use portcullis_core::challenge::{ChallengeRecord, ChallengeState, RememberKey};
use portcullis_core::store::ChallengeStore as _;
use portcullis_core::{AccountId, ChallengeId, ConnectorName, PolicyName, Timestamp};
use uuid::Uuid;

use super::Place;
use crate::sample::address;

fn challenge(number: u128, state: ChallengeState, ended_at: Option<u64>) -> ChallengeRecord {
    ChallengeRecord {
        id: ChallengeId(Uuid::from_u128(number)),
        account: AccountId::new("a"),
        login: "mia".to_owned(),
        address: Some(address(1)),
        application: "wiki".to_owned(),
        policy: PolicyName::new("second-factor"),
        connector: ConnectorName::new("okta-verify"),
        opened_at: Timestamp(10),
        ended_at: ended_at.map(Timestamp),
        state,
    }
}

fn key() -> RememberKey {
    RememberKey {
        account: AccountId::new("a"),
        address: Some(address(1)),
        application: "wiki".to_owned(),
        policy: PolicyName::new("second-factor"),
        connector: ConnectorName::new("okta-verify"),
    }
}

fn found(number: u128, at: u64) -> Option<(ChallengeId, Timestamp)> {
    Some((ChallengeId(Uuid::from_u128(number)), Timestamp(at)))
}

pub async fn only_an_approval_for_the_same_key_counts<P: Place>(place: &P) {
    use ChallengeState::{Cancelled, Closed, Denied, Expired, Failed, Open};
    let store = place.open().await;
    for (number, state) in (1..).zip([Cancelled, Closed, Denied, Expired, Failed]) {
        store.put_challenge(&challenge(number, state, Some(50))).await.unwrap();
    }
    store.put_challenge(&challenge(6, Open, None)).await.unwrap();
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), None);

    store.put_challenge(&challenge(7, ChallengeState::Approved, Some(50))).await.unwrap();
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), found(7, 50));
    let others = [
        RememberKey { account: AccountId::new("b"), ..key() },
        RememberKey { address: Some(address(2)), ..key() },
        RememberKey { address: None, ..key() },
        RememberKey { application: "mail".to_owned(), ..key() },
        RememberKey { policy: PolicyName::new("another"), ..key() },
        RememberKey { connector: ConnectorName::new("okta-otp"), ..key() },
    ];
    for other in others {
        assert_eq!(store.approval_since(&other, Timestamp(0)).await.unwrap(), None, "{other:?}");
    }
    // Without an address is a key of its own, not one that fits all.
    let nowhere = ChallengeRecord { address: None, ..challenge(8, ChallengeState::Approved, Some(60)) };
    store.put_challenge(&nowhere).await.unwrap();
    let key_without = RememberKey { address: None, ..key() };
    assert_eq!(store.approval_since(&key_without, Timestamp(0)).await.unwrap(), found(8, 60));
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), found(7, 50));
}

pub async fn the_newest_approval_counts<P: Place>(place: &P) {
    let store = place.open().await;
    for (number, ended_at) in [(1, 50), (2, 80), (3, 70)] {
        store.put_challenge(&challenge(number, ChallengeState::Approved, Some(ended_at))).await.unwrap();
    }
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), found(2, 80));
    assert_eq!(store.approval_since(&key(), Timestamp(80)).await.unwrap(), found(2, 80));
    assert_eq!(store.approval_since(&key(), Timestamp(81)).await.unwrap(), None);
}

pub async fn a_challenge_is_replaced<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_challenge(&challenge(1, ChallengeState::Open, None)).await.unwrap();
    store.put_challenge(&challenge(1, ChallengeState::Approved, Some(50))).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), found(1, 50));
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
    assert_eq!(store.approval_since(&key(), Timestamp(0)).await.unwrap(), found(4, 50));
}
