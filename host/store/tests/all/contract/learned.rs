use std::net::{IpAddr, Ipv4Addr};

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
    let nobodys = (0..3_000).map(|number| IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + number)));
    let many: Vec<_> = nobodys.chain([address(1), address(2), address(1)]).collect();
    let many = store.endpoint_histories(&many).await.unwrap();
    assert_eq!((many.len(), many[&address(1)].accounts, many[&address(2)].accounts), (3_002, 3, 0));
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

/// Whoever asks while others teach makes nothing wrong: what is answered in the end is what a store that was opened anew reads.
pub async fn asking_meanwhile_changes_nothing<P: Place>(place: &P) {
    const ACCOUNTS: u128 = 7;
    let account = |number: u128| AccountId::new(format!("account-{}", number % ACCOUNTS));
    let place_of = |number: u128| address(u8::try_from(number % 5).unwrap());
    let store = place.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8_u128 {
        let store = store.clone();
        tasks.spawn(async move {
            for step in 0..40 {
                let number = writer * 1_000 + step + 1;
                let name = account(number);
                store.append(seen(number, name.as_str(), place_of(number * 3), 50)).await.unwrap();
            }
        });
    }
    for asker in 0..4_u128 {
        let store = store.clone();
        tasks.spawn(async move {
            for step in 0..200 {
                store.account_history(&account(asker + step)).await.unwrap();
                store.endpoint_history(place_of(step)).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let sorted = |mut associations: Vec<Association>| {
        associations.sort_by_key(|association| association.address);
        associations
    };
    let mut remembered = Vec::new();
    for number in 0..ACCOUNTS {
        remembered.push(sorted(store.account_history(&account(number)).await.unwrap().associations));
    }
    let mut endpoints = Vec::new();
    for number in 0..5 {
        endpoints.push(store.endpoint_history(place_of(number)).await.unwrap());
    }
    let total: u64 = remembered.iter().flatten().map(|association| association.count).sum();
    assert_eq!(total, 320);
    P::close(store).await;
    let store = place.open().await;
    for (number, remembered) in (0..).zip(remembered) {
        assert_eq!(sorted(store.account_history(&account(number)).await.unwrap().associations), remembered);
    }
    for (number, endpoint) in (0..).zip(endpoints) {
        assert_eq!(store.endpoint_history(place_of(number)).await.unwrap(), endpoint);
    }
}
