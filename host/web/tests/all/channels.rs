//! The Notifications page.

use std::time::Duration;

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

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_told_of_in_time_and_on_record_afterwards() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    *stage.world.channels.takes.lock().unwrap() = Duration::from_secs(7);
    let answer = browser.post("/notifications/old/test", &format!("csrf={csrf}")).await;
    assert_eq!(answer.status(), 202);
    let page = answer.text().await.unwrap();
    assert!(page.contains("old has not answered the test yet"), "{page}");
    // Nobody waits any more, and it ends all the same.
    let told = || stage.world.store.administration().pop().is_some_and(|event| event.action == "channel-tested");
    assert!(!told());
    tokio::time::timeout(crate::stage::PATIENCE, async {
        while !told() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the test is put on record");
}
