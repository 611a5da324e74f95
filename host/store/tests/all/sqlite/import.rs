//! An import by another process, while a gateway has the store open.

use portcullis_core::AccountId;
use portcullis_core::event::Event;
use portcullis_core::history::HistoryStore as _;
use portcullis_core::profile::{ProfileMark, ProfileStore as _, StoredProfile, Subject};
use portcullis_core::store::{EventStore as _, LearnedStore as _, Sequence};

use super::Folder;
use crate::contract::history::past;
use crate::sample::{record, seen};

#[tokio::test]
async fn a_gateway_takes_over_what_another_process_has_imported() {
    let folder = Folder::create();
    let gateway = folder.store().await;
    let alice = AccountId::new("alice");
    gateway.append(record(1)).await.unwrap();
    gateway.append(seen(2, "alice", [10, 0, 0, 1].into(), 50)).await.unwrap();
    let known = async || gateway.account_history(&alice).await.unwrap().associations.len();
    assert_eq!(known().await, 1);

    let importing = folder.store().await;
    for part in 0..5_u64 {
        let records = (0..100).map(|number| past(u128::from(1_000 + part * 100 + number), "alice", 10 + number));
        assert_eq!(importing.put_history(records.collect()).await, Ok(100));
        // Both write in turn.
        gateway.append(record(u128::from(100 + part))).await.unwrap();
    }
    importing.close().await;
    // It has learned from them, and writes that down.
    let mark = ProfileMark { number: 1, through: 0, ahead: vec![], imported: 500, complete: true };
    let profile = StoredProfile { subject: Subject::Account(alice.clone()), mark: 1, value: vec![1], risk: 0 };
    gateway.put_profiles(mark, vec![profile]).await.unwrap();
    assert_eq!(known().await, 2, "what is remembered in memory was not true any more");
    let live = gateway.events_after(Sequence(0), 1_000).await.unwrap();
    assert!(live.iter().all(|stored| !matches!(stored.event, Event::Imported(_))));
    let mut imported = 0;
    let mut after = Sequence(0);
    loop {
        let page = gateway.imported_after(after, 64).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.iter().all(|stored| matches!(stored.event, Event::Imported(_)) && stored.sequence > after));
        after = last.sequence;
        imported += page.len();
    }
    assert_eq!(imported, 500);
    let report = gateway.verify().await.unwrap();
    assert_eq!((report.damage, report.events), (None, 507));
}

#[tokio::test]
async fn a_changed_event_of_an_import_is_found() {
    let folder = Folder::create();
    let store = folder.store().await;
    store.put_history(vec![past(1, "alice", 10)]).await.unwrap();
    store.close().await;
    let mut intruder = folder.intruder().await;
    let sql = "UPDATE events SET json = replace(json, 'old gateway', 'our gateway')";
    sqlx::query(sql).execute(&mut intruder).await.unwrap();
    drop(intruder);
    assert!(folder.store().await.verify().await.unwrap().damage.is_some());
}
