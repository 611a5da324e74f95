use portcullis_core::Timestamp;
use portcullis_core::store::{Administrator, ConsoleSession, SettingsStore as _};

use super::Place;

fn session(token: u8, expires_at: u64) -> ConsoleSession {
    ConsoleSession { token_hash: [token; 32], login: "ada".to_owned(), expires_at: Timestamp(expires_at) }
}

pub async fn settings_are_set_and_replaced<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.setting("policies").await.unwrap(), None);
    store.put_setting("policies", r#"{"a":1}"#).await.unwrap();
    store.put_setting("other", "null").await.unwrap();
    store.put_setting("policies", r#"{"a":2}"#).await.unwrap();
    assert_eq!(store.setting("policies").await.unwrap().as_deref(), Some(r#"{"a":2}"#));
    assert_eq!(store.setting("other").await.unwrap().as_deref(), Some("null"));
}

pub async fn administrators_are_added_and_replaced<P: Place>(place: &P) {
    let store = place.open().await;
    assert_eq!(store.administrator_count().await.unwrap(), 0);
    store.put_administrator(&ada("one")).await.unwrap();
    store.put_administrator(&Administrator { login: "bob".to_owned(), ..ada("three") }).await.unwrap();
    store.put_administrator(&ada("two")).await.unwrap();
    assert_eq!(store.administrator_count().await.unwrap(), 2);
    assert!(store.administrator("ada").await.unwrap() == Some(ada("two")));
    assert!(store.administrator("eve").await.unwrap().is_none());
    // A login is taken letter by letter.
    assert!(store.administrator("ADA").await.unwrap().is_none());
}

fn ada(hash: &str) -> Administrator {
    Administrator { login: "ada".to_owned(), password_hash: hash.to_owned() }
}

pub async fn sessions_end_in_time<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_administrator(&ada("one")).await.unwrap();
    store.put_session(&session(1, 100), Timestamp(10)).await.unwrap();
    assert!(store.session(&[1; 32], Timestamp(99)).await.unwrap() == Some(session(1, 100)));
    assert!(store.session(&[1; 32], Timestamp(100)).await.unwrap().is_none());
    assert!(store.session(&[2; 32], Timestamp(10)).await.unwrap().is_none());
    // A new session sweeps out those that have ended; a clock that is set back does not bring them to life.
    store.put_session(&session(2, 500), Timestamp(101)).await.unwrap();
    assert!(store.session(&[1; 32], Timestamp(50)).await.unwrap().is_none());
    assert!(store.session(&[2; 32], Timestamp(101)).await.unwrap().is_some());
}

pub async fn sessions_are_ended<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_administrator(&ada("one")).await.unwrap();
    store.put_session(&session(1, 100), Timestamp(10)).await.unwrap();
    store.put_session(&session(2, 100), Timestamp(10)).await.unwrap();
    store.end_session(&[1; 32]).await.unwrap();
    store.end_session(&[9; 32]).await.unwrap();
    assert!(store.session(&[1; 32], Timestamp(20)).await.unwrap().is_none());
    assert!(store.session(&[2; 32], Timestamp(20)).await.unwrap().is_some());
}

pub async fn sessions_are_administrators_and_end_with_the_password<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_session(&session(1, 100), Timestamp(10)).await.unwrap();
    assert!(store.session(&[1; 32], Timestamp(20)).await.unwrap().is_none(), "of nobody");
    let bob = Administrator { login: "bob".to_owned(), ..ada("three") };
    store.put_administrator(&bob).await.unwrap();
    store.put_administrator(&ada("one")).await.unwrap();
    assert!(store.session(&[1; 32], Timestamp(20)).await.unwrap().is_none(), "from before");
    store.put_session(&session(2, 100), Timestamp(10)).await.unwrap();
    let of_bob = ConsoleSession { login: "bob".to_owned(), ..session(3, 100) };
    store.put_session(&of_bob, Timestamp(10)).await.unwrap();
    store.put_administrator(&ada("two")).await.unwrap();
    assert!(store.session(&[2; 32], Timestamp(20)).await.unwrap().is_none(), "a new password");
    assert!(store.session(&[3; 32], Timestamp(20)).await.unwrap().is_some(), "somebody else's");
}

pub async fn settings_survive_reopening<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_setting("policies", "[]").await.unwrap();
    store.put_administrator(&ada("one")).await.unwrap();
    store.put_session(&session(1, 100), Timestamp(10)).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    assert_eq!(store.setting("policies").await.unwrap().as_deref(), Some("[]"));
    assert!(store.session(&[1; 32], Timestamp(20)).await.unwrap().is_some());
}
