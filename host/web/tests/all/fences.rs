//! The page Service accounts, and the same for programs.

use crate::stage::{Browser, Stage, header};

/// Form encoding of a text of ours.
fn form(csrf: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields.iter().map(|(name, value)| format!("&{name}={}", value.replace(' ', "+"))).collect();
    format!("csrf={csrf}{fields}")
}

#[tokio::test]
async fn the_page_shows_what_accounts_seem_to_be_and_their_fences_with_the_reasons() {
    let stage = Stage::new().await;
    let page = stage.signed_in().await.text("/service-accounts").await;
    for text in [
        // A kind that is proposed.
        "alice",
        "Seems to be a service account.",
        "It keeps time.",
        // A fence.
        "10.1.7.20",
        "412 times",
        "Mon Tue Wed Thu Fri, 05:00 to 20:00",
        "(&amp;(objectclass=?)(|(uid=?)",
        "Not asked for. The places that are known well enough are 90 %",
        "Left out (4)",
        "service-account-misused was noticed with it 12 days ago.",
        "(&lt;b&gt;=*)",
        "name=\"seal\" value=\"seal of svc-wiki\"",
        "name=\"revision\" value=\"3\"",
        // One of which too little is known, and one that has another fence.
        "Too little is known: 3 logins in 2 days",
        "In the policy fences-monitor, mode monitor. What is proposed now is another one.",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert_eq!(
        page.matches("/service-accounts/fence\"").count(),
        2,
        "nothing can be accepted where nothing is proposed"
    );
    assert!(page.contains("href=\"/service-accounts\" aria-current=\"page\""), "{page}");
}

#[tokio::test]
async fn one_click_accepts_what_was_shown_and_nothing_else() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let accept = async |account: &str, revision: &str, seal: &str, mode: &str| {
        let fields = [("account", account), ("revision", revision), ("seal", seal), ("mode", mode)];
        browser.post("/service-accounts/fence", &form(&csrf, &fields)).await
    };
    let done = accept("svc-wiki-id", "3", "seal of svc-wiki", "monitor").await;
    assert_eq!((done.status().as_u16(), header(&done, "location").as_str()), (303, "/service-accounts"));
    let done = accept("svc-old-id", "3", "seal of svc-old", "enforce").await;
    assert_eq!(done.status(), 303);
    for (account, revision, seal, mode, status, text) in [
        ("svc-wiki-id", "2", "seal of svc-wiki", "monitor", 409, "somebody else has changed"),
        ("svc-wiki-id", "3", "seal of svc-old", "monitor", 409, "the fence is another one than was shown"),
        ("svc-new-id", "3", "", "monitor", 422, "there is no fence to accept: Too little is known"),
        ("nobody", "3", "", "monitor", 404, "Page not found"),
        ("svc-wiki-id", "3", "seal of svc-wiki", "canary", 400, "Not understood"),
        ("svc-wiki-id", "x", "seal of svc-wiki", "monitor", 400, "Not understood"),
    ] {
        let answer = accept(account, revision, seal, mode).await;
        assert_eq!(answer.status(), status, "{account} {seal} {mode}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(text), "{text} in {page}");
    }
    let accepted = stage.world.fences.accepted.lock().unwrap().clone();
    assert_eq!(accepted, ["admin: svc-wiki-id Monitor", "admin: svc-old-id Enforce"]);
}

#[tokio::test]
async fn a_kind_is_decided_with_one_click() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let decide = async |account: &str, kind: &str| {
        let body = form(&csrf, &[("account", account), ("kind", kind)]);
        browser.post("/service-accounts/kind", &body).await.status().as_u16()
    };
    assert_eq!(decide("alice-id", "service").await, 303);
    assert_eq!(decide("alice-id", "robot").await, 400);
    assert_eq!(decide("nobody", "human").await, 404);
    assert_eq!(stage.world.risks.changes.lock().unwrap().as_slice(), ["admin: alice-id Some(Service)"]);
}

async fn told(browser: &Browser, path: &str, body: &str) -> (u16, serde_json::Value) {
    let answer = browser.post(path, body).await;
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn programs_read_fences_and_accept_them() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let all = browser.json("/api/v1/accounts/fences?limit=2").await;
    assert_eq!((&all["revision"], all["proposals"].as_array().unwrap().len()), (&3.into(), 2));
    assert_eq!(browser.get("/api/v1/accounts/fences?limit=0").await.status(), 400);
    let one = browser.json("/api/v1/accounts/svc-wiki-id/fence").await;
    assert_eq!(one["fence"]["Ok"]["machines"]["allowed"][0]["what"], "10.1.7.20");
    assert_eq!(one["rule"]["name"], "fence of svc-wiki");
    assert_eq!(browser.get("/api/v1/accounts/nobody/fence").await.status(), 404);
    let csrf = browser.csrf().await;
    let path = "/api/v1/accounts/svc-wiki-id/fence/accept";
    let body = |seal: &str| form(&csrf, &[("revision", "3"), ("seal", seal), ("mode", "enforce")]);
    let (status, revision) = told(&browser, path, &body("seal of svc-wiki")).await;
    assert_eq!((status, &revision["number"]), (200, &4.into()));
    let (status, refused) = told(&browser, path, &body("another")).await;
    assert_eq!(status, 409);
    assert!(refused["error"].as_str().unwrap().contains("look at it again"), "{refused}");
    let (status, refused) = told(&browser, "/api/v1/accounts/svc-new-id/fence/accept", &body("")).await;
    assert_eq!(status, 422, "{refused}");
    assert_eq!(stage.world.fences.accepted.lock().unwrap().as_slice(), ["admin: svc-wiki-id Enforce"]);
}
