use std::collections::HashSet;

use portcullis_core::AccountId;
use portcullis_core::store::{EventStore as _, LearnedStore as _};
use portcullis_store::Store;

use super::Folder;
use crate::sample::{address, event_id, record, seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_share_commits() {
    const TASKS: u128 = 64;
    const ALL: u128 = 10_000;
    let folder = Folder::create();
    let store = folder.store().await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in (0..ALL).skip(usize::try_from(task).unwrap()).step_by(64) {
                    store.append(record(number)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stored = store.recent(None, u32::MAX).await.unwrap();
    assert_eq!(stored.len(), 10_000);
    let ids: HashSet<_> = stored.iter().map(|stored| stored.event.id()).collect();
    assert_eq!(ids, (0..ALL).map(event_id).collect());
    let report = store.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 10_000));
    assert!(report.batches * 4 < report.events, "{} batches", report.batches);
}

/// What another process teaches is known here at the latest after this one has written again.
#[tokio::test]
async fn what_another_process_teaches_is_not_missed() {
    let folder = Folder::create();
    let (here, there) = (Store::open(folder.options()).await.unwrap(), Store::open(folder.options()).await.unwrap());
    let account = AccountId::new("a");
    here.append(seen(1, "a", address(1), 10)).await.unwrap();
    assert_eq!(here.account_history(&account).await.unwrap().associations.len(), 1);
    there.append(seen(2, "a", address(2), 20)).await.unwrap();
    here.append(seen(3, "b", address(1), 30)).await.unwrap();
    assert_eq!(here.account_history(&account).await.unwrap().associations.len(), 2);
    here.close().await;
    there.close().await;
}

/// Sightings are added to the associations many at a time. Nobody who asks can see which of them have been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_learned_is_the_same_before_and_after_it_is_settled() {
    let folder = Folder::create();
    let store = folder.store().await;
    let mut intruder = folder.intruder().await;
    let mut counts: Vec<(i64, i64)> = vec![];
    for round in 0..20_u128 {
        let waiting: Vec<_> = (0..250)
            .map(|step| {
                let number = round * 250 + step;
                let last = u8::try_from(number % 3).unwrap();
                let account = format!("account-{}", number % 7);
                store.append(seen(number + 1, &account, address(last), 1_000 + u64::try_from(number).unwrap()))
            })
            .collect();
        for answer in waiting {
            answer.await.unwrap();
        }
        // A store that remembers nothing reads everything from the database.
        let fresh = folder.store().await;
        let history = fresh.account_history(&AccountId::new("account-0")).await.unwrap();
        let total: u64 = history.associations.iter().map(|association| association.count).sum();
        assert_eq!(u128::from(total), ((round + 1) * 250).div_ceil(7));
        assert_eq!(history.associations.iter().map(|association| association.first_seen.0).min(), Some(1_000));
        assert_eq!(fresh.endpoint_history(address(1)).await.unwrap().accounts, 7);
        fresh.close().await;
        let count = "SELECT (SELECT COUNT(*) FROM associations), (SELECT COUNT(*) FROM sightings)";
        counts.push(sqlx::query_as(count).fetch_one(&mut intruder).await.unwrap());
    }
    // Twenty times 250 pass the mark of 512 several times.
    assert_eq!(counts.first(), Some(&(0, 250)));
    assert_eq!(counts.last().map(|(associations, _)| *associations), Some(21));
    assert!(counts.iter().all(|(_, sightings)| *sightings < 512 + 250), "{counts:?}");
    assert_eq!(store.verify().await.unwrap().damage, None);
}
