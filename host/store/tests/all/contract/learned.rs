use std::net::IpAddr;

use portcullis_core::learned::Association;
use portcullis_core::store::{EventStore as _, LearnedStore as _};
use portcullis_core::{AccountId, Timestamp};

use super::Place;
use crate::sample::{address, seen};

pub async fn associations_are_counted<P: Place>(place: &P) {
    let store = place.open().await;
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    // The second one is older: records need not come in the order of their times.
    for (number, address, at) in [(1, address(1), 50), (2, address(1), 20), (3, address(1), 90), (4, v6, 60)] {
        store.append(seen(number, "a", address, at)).await.unwrap();
    }
    store.append(seen(5, "b", address(1), 10)).await.unwrap();
    let mut associations = store.account_history(&AccountId::new("a")).await.unwrap().associations;
    associations.sort_by_key(|association| association.address);
    let association = |address, first, last, count| Association {
        address,
        first_seen: Timestamp(first),
        last_seen: Timestamp(last),
        count,
    };
    assert_eq!(associations, [association(address(1), 20, 90, 3), association(v6, 60, 60, 1)]);
    assert_eq!(store.account_history(&AccountId::new("nobody")).await.unwrap().associations, []);
}

pub async fn endpoints_count_accounts<P: Place>(place: &P) {
    let store = place.open().await;
    for (number, account) in (1..).zip(["a", "b", "a", "c", "a"]) {
        store.append(seen(number, account, address(1), 50)).await.unwrap();
    }
    assert_eq!(store.endpoint_history(address(1)).await.unwrap().accounts, 3);
    assert_eq!(store.endpoint_history(address(2)).await.unwrap().accounts, 0);
}

pub async fn what_is_learned_survives_reopening<P: Place>(place: &P) {
    let store = place.open().await;
    store.append(seen(1, "a", address(1), 50)).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    store.append(seen(2, "a", address(1), 70)).await.unwrap();
    let [association] = &store.account_history(&AccountId::new("a")).await.unwrap().associations[..] else {
        panic!("one association")
    };
    assert_eq!((association.first_seen, association.count), (Timestamp(50), 2));
}
