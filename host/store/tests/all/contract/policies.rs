use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::{
    LastChange, ListedLimits, ListedPolicy, NewRevision, PolicyDraft, PolicyStore, Revision, TakenOver,
};
use portcullis_core::store::EventStore;
use portcullis_core::{PolicyName, Timestamp};

use super::Place;
use crate::sample::administration;

fn list(names: &[&str]) -> Vec<ListedPolicy> {
    let policy = |name: &&str| ListedPolicy {
        name: PolicyName::new(*name),
        plugin: "rules.wasm".to_owned(),
        component: Some("ab".repeat(32)),
        mode: Mode::Canary,
        fail: FailMode::Open,
        canary_of: Some(PolicyName::new("other")),
        limits: ListedLimits { memory_mib: Some(4), call_ms: None, concurrent_calls: Some(2) },
        settings: serde_json::json!({ "rules": [{ "then": "block" }], "ü": null }),
    };
    names.iter().map(policy).collect()
}

fn revision(number: u64, names: &[&str]) -> Revision {
    Revision {
        number,
        at: Timestamp(1_000 + number),
        actor: "ada".to_owned(),
        comment: format!("number {number}"),
        policies: list(names),
    }
}

fn new(number: u64, names: &[&str]) -> NewRevision {
    NewRevision { revision: revision(number, names), file: None, draft: None }
}

fn draft(version: u64, based_on: u64, names: &[&str]) -> PolicyDraft {
    let saved = LastChange { actor: "ada".to_owned(), at: Timestamp(version) };
    let changed = [(PolicyName::new("a"), saved.clone())].into();
    PolicyDraft { version, based_on, policies: list(names), saved, changed }
}

async fn events<S: EventStore>(store: &S) -> usize {
    store.recent(None, 100).await.unwrap().len()
}

pub async fn revisions_are_numbered_and_stay<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.newest_revision().await.unwrap(), 0);
    assert_eq!(store.revision(1).await.unwrap(), None);
    for number in 1..=3 {
        assert!(store.put_revision(new(number, &["a"]), administration(u128::from(number))).await.unwrap());
    }
    for wrong in [3, 5, 0] {
        assert!(!store.put_revision(new(wrong, &["b"]), administration(90)).await.unwrap(), "{wrong} is not the next");
    }
    assert_eq!(events(&store).await, 3, "what was not stored is no event");
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.newest_revision().await.unwrap(), 3);
    assert_eq!(store.revision(2).await.unwrap(), Some(revision(2, &["a"])));
    assert_eq!(store.revisions(None, 2).await.unwrap(), [revision(3, &["a"]), revision(2, &["a"])]);
    assert_eq!(store.revisions(Some(2), 9).await.unwrap(), [revision(1, &["a"])]);
}

pub async fn the_file_is_taken_over_by_its_digest<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.taken_over().await.unwrap(), None);
    let of_file = NewRevision { file: Some([7; 32]), ..new(1, &["a"]) };
    assert!(store.put_revision(of_file, administration(1)).await.unwrap());
    assert!(store.put_revision(new(2, &["b"]), administration(2)).await.unwrap());
    assert_eq!(store.taken_over().await.unwrap(), Some(TakenOver { digest: [7; 32], revision: 1 }));
    let of_file = NewRevision { file: Some([8; 32]), ..new(3, &["c"]) };
    assert!(store.put_revision(of_file, administration(3)).await.unwrap());
    assert_eq!(store.taken_over().await.unwrap(), Some(TakenOver { digest: [8; 32], revision: 3 }));
}

pub async fn a_draft_is_changed_by_who_has_seen_it<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.draft().await.unwrap(), (0, None));
    assert!(store.put_draft(draft(1, 1, &["a"]), administration(1)).await.unwrap());
    assert_eq!(store.draft().await.unwrap(), (1, Some(draft(1, 1, &["a"]))));
    assert!(store.put_draft(draft(2, 1, &["a", "b"]), administration(2)).await.unwrap());
    // Somebody who has seen the first only.
    assert!(!store.put_draft(draft(2, 1, &["c"]), administration(3)).await.unwrap());
    assert!(!store.drop_draft(1, administration(4)).await.unwrap());
    assert_eq!(store.draft().await.unwrap(), (2, Some(draft(2, 1, &["a", "b"]))));
    assert!(store.drop_draft(2, administration(5)).await.unwrap());
    assert!(!store.drop_draft(3, administration(6)).await.unwrap(), "there is none");
    assert_eq!(store.draft().await.unwrap(), (3, None), "a version is never used again");
    assert_eq!(events(&store).await, 3);
}

pub async fn of_two_who_save_at_once_one_is_told<P: Place>(place: &P) {
    let store = place.open().await;
    let saving = |number: u128| {
        let store = store.clone();
        tokio::spawn(async move { store.put_draft(draft(1, 0, &["a"]), administration(number)).await.unwrap() })
    };
    let all: Vec<_> = (1..=8).map(saving).collect();
    let mut stored = 0;
    for one in all {
        stored += u32::from(one.await.unwrap());
    }
    assert_eq!((stored, events(&store).await), (1, 1));
}

pub async fn a_draft_becomes_a_revision_in_one_transaction<P: Place>(place: &P) {
    let store = place.open().await;
    assert!(store.put_draft(draft(1, 0, &["a"]), administration(1)).await.unwrap());
    assert!(store.put_draft(draft(2, 0, &["a"]), administration(2)).await.unwrap());
    let of_draft = |number, version| NewRevision { draft: Some(version), ..new(number, &["a"]) };
    assert!(!store.put_revision(of_draft(1, 1), administration(3)).await.unwrap(), "it is another draft by now");
    assert_eq!((store.newest_revision().await.unwrap(), store.draft().await.unwrap().0), (0, 2));
    assert!(store.put_revision(of_draft(1, 2), administration(4)).await.unwrap());
    assert_eq!(store.draft().await.unwrap(), (3, None), "and is gone");
    assert!(!store.put_revision(of_draft(2, 3), administration(5)).await.unwrap(), "there is no draft of that version");
    assert_eq!(events(&store).await, 3);
    // An event that cannot be stored takes everything with it.
    assert!(store.put_draft(draft(4, 1, &["b"]), administration(6)).await.unwrap());
    assert!(store.put_revision(of_draft(2, 4), administration(6)).await.is_err(), "that id is there already");
    assert_eq!(store.newest_revision().await.unwrap(), 1);
    assert_eq!(store.draft().await.unwrap(), (4, Some(draft(4, 1, &["b"]))));
}
