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
