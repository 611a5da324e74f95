use portcullis_core::store::{PluginStateStore as _, StoreError};

use super::Place;

pub async fn values_are_kept_per_plugin<P: Place>(place: &P) {
    let store = place.open().await;
    store.put_plugin_state("p", "cursor", b"\x00\xff", 100).await.unwrap();
    store.put_plugin_state("q", "cursor", b"", 100).await.unwrap();
    assert_eq!(store.plugin_state("p", "cursor").await.unwrap().as_deref(), Some(&b"\x00\xff"[..]));
    assert_eq!(store.plugin_state("q", "cursor").await.unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(store.plugin_state("p", "other").await.unwrap(), None);
    store.delete_plugin_state("p", "cursor").await.unwrap();
    store.delete_plugin_state("p", "cursor").await.unwrap();
    assert_eq!(store.plugin_state("p", "cursor").await.unwrap(), None);
    assert!(store.plugin_state("q", "cursor").await.unwrap().is_some());
    P::close(store).await;
    assert!(place.open().await.plugin_state("q", "cursor").await.unwrap().is_some());
}

pub async fn the_quota_holds<P: Place>(place: &P) {
    let store = place.open().await;
    let refused = |result| matches!(result, Err(StoreError::Quota(_)));
    // Key and value count, in bytes: 2 + 8.
    store.put_plugin_state("p", "ä", &[1; 8], 10).await.unwrap();
    assert!(refused(store.put_plugin_state("p", "k", &[], 10).await));
    assert!(refused(store.put_plugin_state("p", "ä", &[2; 9], 10).await));
    assert!(refused(store.put_plugin_state("p", "k", &[3; 1_000], 10).await));
    assert_eq!(store.plugin_state("p", "ä").await.unwrap(), Some(vec![1; 8]));
    assert_eq!(store.plugin_state("p", "k").await.unwrap(), None);
    // What is replaced does not count; what another plugin keeps does not either.
    store.put_plugin_state("p", "ä", &[4; 7], 10).await.unwrap();
    store.put_plugin_state("p", "k", &[], 10).await.unwrap();
    store.put_plugin_state("q", "k", &[5; 9], 10).await.unwrap();
    // What is deleted makes room.
    store.delete_plugin_state("p", "ä").await.unwrap();
    store.put_plugin_state("p", "k", &[6; 9], 10).await.unwrap();
}

pub async fn any_text_is_a_key<P: Place>(place: &P) {
    let store = place.open().await;
    let keys = ["", " ", "a", "A", "a'; DROP TABLE plugin_state; --", "%", "\u{1f512}", "a\n"];
    for (number, key) in (0_u8..).zip(keys) {
        store.put_plugin_state("p", key, &[number], 1_000).await.unwrap();
    }
    for (number, key) in (0_u8..).zip(keys) {
        assert_eq!(store.plugin_state("p", key).await.unwrap(), Some(vec![number]), "{key:?}");
    }
}
