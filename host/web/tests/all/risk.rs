//! Risks and account kinds over the API.

use crate::stage::Stage;

#[tokio::test]
async fn risks_are_listed_and_each_point_is_explained() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let listed = browser.json("/api/v1/risk/accounts?limit=5").await;
    assert_eq!(listed["risks"][0]["name"], "bob");
    assert_eq!(listed["risks"][0]["subject"], serde_json::json!({ "kind": "account", "key": "bob-id" }));
    assert!(browser.json("/api/v1/risk/endpoints").await["risks"].as_array().unwrap().is_empty());
    let one = browser.json("/api/v1/risk/accounts/bob-id").await;
    assert_eq!((&one["score"], &one["factors"][0]["name"]), (&30.into(), &"brute-force".into()));
    assert_eq!(one["factors"][0]["origin"], "signal");
    for path in ["/api/v1/risk/people", "/api/v1/risk/accounts/eve-id", "/api/v1/risk/endpoints/nowhere"] {
        assert_eq!(browser.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(browser.get("/api/v1/risk/accounts?limit=0").await.status(), 400);
}

#[tokio::test]
async fn a_person_changes_a_risk_by_name() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let post = async |path: &str, rest: &str| {
        browser.post(&format!("/api/v1/risk/accounts/{path}"), &format!("csrf={csrf}{rest}")).await.status().as_u16()
    };
    assert_eq!(post("bob-id/put-out", "&name=brute-force").await, 200);
    assert_eq!(post("bob-id/add", "&name=leaver&weight=40&reason=Has+given+notice").await, 200);
    let changes = stage.world.risks.changes.lock().unwrap().clone();
    assert_eq!(
        changes,
        [
            "admin: PutOut { name: \"brute-force\" }",
            "admin: Add { name: \"leaver\", weight: 40, reason: \"Has given notice\" }"
        ]
    );
    for (path, rest, status) in [
        ("bob-id/put-out", "&name=other", 404),
        ("bob-id/put-out", "", 400),
        ("eve-id/add", "&name=a&weight=1&reason=b", 404),
        ("bob-id/add", "&name=a&weight=0&reason=b", 400),
        ("bob-id/add", "&name=a&weight=101&reason=b", 400),
        ("bob-id/add", "&name=a&weight=x&reason=b", 400),
        ("bob-id/add", "&name=&weight=5&reason=b", 400),
        ("bob-id/add", "&name=a%0Ab&weight=5&reason=b", 400),
    ] {
        assert_eq!(post(path, rest).await, status, "{path} {rest}");
    }
    assert_eq!(stage.world.risks.changes.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_person_says_what_an_account_is() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let proposals = browser.json("/api/v1/accounts/kinds").await;
    assert_eq!(proposals["proposals"][0]["login"], "alice");
    assert_eq!(proposals["proposals"][0]["kind"], "service");
    let csrf = browser.csrf().await;
    for (account, kind, status) in
        [("alice-id", "service", 204), ("alice-id", "automatic", 204), ("alice-id", "robot", 400), ("x", "human", 404)]
    {
        let path = format!("/api/v1/accounts/{account}/kind");
        assert_eq!(browser.post(&path, &format!("csrf={csrf}&kind={kind}")).await.status(), status, "{account} {kind}");
    }
    let changes = stage.world.risks.changes.lock().unwrap().clone();
    assert_eq!(changes, ["admin: alice-id Some(Service)", "admin: alice-id None"]);
}
