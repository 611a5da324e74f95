//! The Notifications page.

use crate::stage::Stage;

#[tokio::test]
async fn channels_are_shown_with_how_they_fare() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let page = browser.text("/notifications").await;
    for text in [
        "https://hooks.example.com",
        "incidents from high on, their end too",
        "what policies say",
        "1,204 messages",
        "Does not get through",
        "Stopped",
        "Nothing sent yet",
        "&lt;b&gt;connection refused",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("<b>"), "{page}");
    let listed = browser.json("/api/v1/channels").await;
    let channels = listed["channels"].as_array().unwrap();
    assert_eq!((channels.len(), &channels[0]["name"], &channels[0]["log"]["waiting"]), (4, &"it".into(), &12.into()));
}

#[tokio::test]
async fn a_test_is_sent_by_who_is_signed_in_and_recorded() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let post = async |name: &str, csrf: &str| {
        browser.post(&format!("/notifications/{name}/test"), &format!("csrf={csrf}")).await.status().as_u16()
    };
    assert_eq!(post("soc", "wrong").await, 403);
    assert_eq!(post("soc", &csrf).await, 303);
    assert_eq!(post("old", &csrf).await, 303);
    assert_eq!(post("nobody", &csrf).await, 404);
    assert_eq!(stage.world.channels.tested.lock().unwrap().as_slice(), ["admin: soc", "admin: old"]);
    let activity = browser.text("/activity").await;
    for text in ["A test message went out through soc.", "A test message did not go out through old: HTTP 410."] {
        assert!(activity.contains(text), "{text} in {activity}");
    }
}
