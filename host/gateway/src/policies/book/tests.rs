use portcullis_core::policies::PolicyDesk as _;
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::ListedLimits;
use portcullis_core::store::EventStore as _;
use portcullis_core::{PolicyName, Timestamp};
use portcullis_store::StoreOptions;

use super::*;

/// A book of which the first revision, without policies, is in force.
async fn book(folder: &tempfile::TempDir) -> Book {
    let key = "untrusted comment: minisign public key\nRWQBAgMEBQYHCAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n";
    std::fs::write(folder.path().join("key"), key).unwrap();
    let config = crate::config::example(folder.path());
    let store = Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap();
    let book = Book::new(store, config.clone(), None, None);
    put(&book, 1, Vec::new()).await;
    book.is_in_force(&mut *book.lock().await, config, 1, Vec::new());
    book
}

/// As somebody else puts one into the store.
async fn put(book: &Book, number: u64, policies: Vec<ListedPolicy>) {
    let (actor, comment) = ("ada".to_owned(), String::new());
    let revision = Revision { number, at: Timestamp(number), actor, comment, policies };
    let event = applied(&revision);
    assert!(book.store.put_revision(NewRevision { revision, file: None, draft: None }, event).await.unwrap());
}

/// A policy whose component is nowhere.
fn broken() -> ListedPolicy {
    ListedPolicy {
        name: PolicyName::new("night"),
        plugin: "nowhere.wasm".to_owned(),
        component: None,
        mode: Mode::Enforce,
        fail: FailMode::Closed,
        canary_of: None,
        limits: ListedLimits::default(),
        settings: serde_json::json!({}),
    }
}

#[tokio::test]
async fn a_revision_that_is_refused_is_not_shown_as_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(&folder).await;
    put(&book, 2, vec![broken()]).await;
    book.look().await;
    book.look().await;
    let shown = book.in_force().await.unwrap();
    let refused = shown.refused.clone().unwrap();
    assert_eq!((shown.revision.number, refused.number, shown.newest()), (1, 2, 2));
    assert!(refused.why.contains("nowhere.wasm"), "{}", refused.why);
    let told = book.store.recent(None, 10).await.unwrap();
    let told = told.iter().filter(
        |stored| matches!(&stored.event, Event::Administration(event) if event.action == "policies-not-applied"),
    );
    assert_eq!(told.count(), 1, "it is tried once");

    let draft = book.save("bob", 0, Some(2), Vec::new()).await.unwrap();
    assert_eq!(draft.draft.based_on, 2, "so that it can be applied");
    assert!(draft.difference.is_empty(), "{:?}", draft.difference);
    assert_eq!(book.apply("bob", 1, "").await.unwrap().number, 3);
    let shown = book.in_force().await.unwrap();
    assert_eq!((shown.revision.number, shown.refused), (3, None));
}

#[tokio::test]
async fn a_draft_from_before_another_revision_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(&folder).await;
    put(&book, 2, Vec::new()).await;
    assert_eq!(book.save("bob", 0, Some(1), Vec::new()).await.unwrap_err(), PolicyError::Conflict);
    book.look().await;
    assert_eq!(book.in_force().await.unwrap().revision.number, 2);
    assert_eq!(book.save("bob", 0, Some(1), Vec::new()).await.unwrap_err(), PolicyError::Conflict);
    assert_eq!(book.save("bob", 0, Some(2), Vec::new()).await.unwrap().draft.based_on, 2);
    assert_eq!(book.save("bob", 1, None, Vec::new()).await.unwrap().draft.version, 2, "whoever names none may");
}

#[test]
fn a_moment_of_the_store_is_no_refusal() {
    assert!(is_passing(&StoreError::Unavailable("busy".to_owned())));
    assert!(is_passing(&StoreError::Overloaded(1)));
    assert!(!is_passing(&StoreError::Damaged("a revision".to_owned())));
}
