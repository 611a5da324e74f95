use std::collections::HashSet;

use portcullis_core::store::EventStore as _;

use super::Folder;
use crate::sample::{event_id, record};

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
