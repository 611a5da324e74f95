//! The Demotions page.

use crate::stage::Stage;

#[tokio::test]
async fn demotions_are_shown_and_those_that_stand_can_be_undone() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let page = browser.text("/demotions").await;
    for text in ["eve", "alice", "bob", "cn=vault-users,ou=groups,dc=example,dc=com", "there is no group &lt;b&gt;"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert_eq!(page.matches("/restore\"").count(), 1, "only what stands");
    let csrf = browser.csrf().await;
    let post = async |number: &str| {
        let path = format!("/demotions/{number}/restore");
        browser.post(&path, &format!("csrf={csrf}")).await.status().as_u16()
    };
    assert_eq!(post("2").await, 303);
    assert_eq!(post("9").await, 303);
    assert_eq!(post("x").await, 404);
    assert_eq!(stage.world.demotions.restored.lock().unwrap().as_slice(), ["admin: 2"]);
    let older = browser.text("/demotions?before=2").await;
    assert!(older.contains("bob") && !older.contains("alice"));
    assert_eq!(browser.get("/demotions?before=x").await.status(), 400);
}

#[tokio::test]
async fn programs_read_demotions() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let listed = browser.json("/api/v1/demotions?limit=2").await;
    let demotions = listed["demotions"].as_array().unwrap();
    assert_eq!(demotions.len(), 2);
    assert_eq!((&demotions[0]["state"], &demotions[1]["state"]), (&"failed".into(), &"demoted".into()));
    assert_eq!(demotions[1]["membership"]["attribute"], "member");
    assert_eq!(demotions[1]["wanted"]["login"], "alice");
    assert_eq!(browser.get("/api/v1/demotions?limit=0").await.status(), 400);
}

#[tokio::test]
async fn programs_put_back_what_stands() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let post = async |number: &str| {
        let path = format!("/api/v1/demotions/{number}/restore");
        browser.post(&path, &format!("csrf={csrf}")).await.status().as_u16()
    };
    assert_eq!((post("2").await, post("9").await, post("x").await), (204, 404, 404));
    assert_eq!(stage.world.demotions.restored.lock().unwrap().as_slice(), ["admin: 2"]);
}
