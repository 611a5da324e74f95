//! The Policy page and what programs can ask of the list.

use serde_json::{Value, json};

use crate::stage::{Browser, Stage, header};

/// Form encoding of a text.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(crate) struct Seat {
    pub(crate) stage: Stage,
    pub(crate) browser: Browser,
    csrf: String,
}

impl Seat {
    pub(crate) async fn new() -> Self {
        let stage = Stage::new().await;
        let browser = stage.signed_in().await;
        let csrf = browser.csrf().await;
        Self { stage, browser, csrf }
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields: String = fields.iter().map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        let answer = self.browser.post(path, &format!("csrf={}{fields}", self.csrf)).await;
        let status = answer.status().as_u16();
        if status == 303 {
            assert_eq!(header(&answer, "location"), "/policy", "{path}");
        }
        (status, answer.text().await.unwrap())
    }

    /// The list in force as the API gives it.
    pub(crate) async fn list(&self) -> Value {
        self.browser.json("/api/v1/policies").await["revision"]["policies"].clone()
    }

    pub(crate) async fn save(&self, version: u64, list: &Value) -> (u16, Value) {
        let fields = [("version", &*version.to_string()), ("policies", &*list.to_string())];
        let (status, text) = self.post("/api/v1/policies/draft/save", &fields).await;
        (status, serde_json::from_str(&text).unwrap())
    }
}

/// The fields of the form on the page, as a browser would send them: first of each name, `<select>` by what is selected.
pub(crate) fn fields(page: &str) -> Vec<(String, String)> {
    let form = page.split("action=\"/policy/save\"").nth(1).unwrap().split("</form>").next().unwrap();
    let attribute = |tag: &str, name: &str| {
        let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
        Some(unescaped(rest.split('"').next()?))
    };
    let mut found = Vec::new();
    for part in form.split('<').skip(1) {
        let (tag, after) = part.split_once('>').unwrap();
        let name = attribute(tag, "name");
        match (tag.split(' ').next().unwrap(), name) {
            ("input", Some(name)) if name != "csrf" && !tag.contains("checkbox") => {
                found.push((name, attribute(tag, "value").unwrap_or_default()));
            }
            ("textarea", Some(name)) => found.push((name, unescaped(after.strip_prefix('\n').unwrap_or(after)))),
            ("select", Some(name)) => found.push((name, String::new())),
            ("option", None) if tag.contains(" selected") => {
                found.last_mut().unwrap().1 = attribute(tag, "value").unwrap();
            }
            _ => {}
        }
    }
    found
}

/// Types something into a field.
pub(crate) fn set(form: &mut [(String, String)], name: &str, value: &str) {
    form.iter_mut().find(|(found, _)| found == name).unwrap().1 = value.to_owned();
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[tokio::test]
async fn the_page_shows_the_list_and_what_each_policy_did() {
    let seat = Seat::new().await;
    let page = seat.browser.text("/policy").await;
    for shown in ["revision 2", "unusual-endpoint", "abstain 1,204", "Enforced", "Canary", "of unusual-endpoint"] {
        assert!(page.contains(shown), "{shown} is not shown: {page}");
    }
    assert!(page.contains("17 differences") && page.contains("1 fault"), "{page}");
    assert!(page.contains("&lt;b&gt;night&lt;/b&gt;") && !page.contains("<b>night"), "names are text");
    assert!(page.contains("Now &lt;i&gt;for real"), "comments are text");
    assert!(!page.contains("Apply all changes"), "there is no draft");
    let page = seat.browser.text("/policy/revisions/2").await;
    assert!(page.contains("mode: monitor → enforce") && page.contains("added at position 2"), "{page}");
    assert_eq!(seat.browser.get("/policy/revisions/9").await.status(), 404);
    assert_eq!(seat.browser.get("/policy/revisions/x").await.status(), 404);
}

#[tokio::test]
async fn a_draft_is_typed_saved_and_applied_without_scripts() {
    let seat = Seat::new().await;
    let mut form = fields(&seat.browser.text("/policy/edit").await);
    let send = async |form: &[(String, String)]| {
        let fields: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        seat.post("/policy/save", &fields).await
    };
    // What is no JSON is not saved, and shown again as it was typed.
    set(&mut form, "mode-0", "monitor");
    set(&mut form, "settings-0", "{\"rules\": [ <typo>");
    let (status, page) = send(&form).await;
    assert_eq!(status, 422);
    assert!(page.contains("Nothing was saved") && page.contains("are no JSON"), "{page}");
    assert!(page.contains("[ &lt;typo&gt;"), "what was typed is there");
    assert!(seat.stage.world.policies.said().is_empty());

    // Good JSON that the component refuses is saved, and cannot be applied.
    set(&mut form, "settings-0", "{}");
    set(&mut form, "place-2", "0");
    set(&mut form, "name-2", "night");
    set(&mut form, "name-3", "new-one");
    set(&mut form, "settings-3", "{\"rules\": []}");
    form.push(("remove-1".to_owned(), "yes".to_owned()));
    assert_eq!(send(&form).await.0, 303);
    let page = seat.browser.text("/policy").await;
    for shown in
        ["Apply all changes", "settings/rules", "is missing", "mode: enforce → monitor", "removed from position 2"]
    {
        assert!(page.contains(shown), "{shown} is not shown: {page}");
    }
    assert!(page.contains("disabled>Apply"), "it cannot be applied");
    assert_eq!(seat.post("/policy/apply", &[("version", "1")]).await.0, 422);
    let page = seat.browser.text("/policy/edit").await;
    assert!(page.contains("<li class=\"problem\"><code>settings/rules</code>: is missing"), "{page}");

    let mut form = fields(&page);
    let names: Vec<_> =
        form.iter().filter(|(name, _)| name.starts_with("name-")).map(|(_, name)| name.clone()).collect();
    assert_eq!(names, ["night", "unusual-endpoint", "new-one", ""], "in the new order");
    set(&mut form, "settings-1", "{\"rules\": [1]}");
    assert_eq!(send(&form).await.0, 303);
    // Somebody who still has the form from before.
    let (status, page) = send(&form).await;
    assert_eq!(status, 409);
    assert!(page.contains("somebody else has changed the draft"), "{page}");
    assert_eq!(seat.post("/policy/apply", &[("version", "1"), ("comment", "old")]).await.0, 409);
    assert_eq!(seat.post("/policy/apply", &[("version", "2"), ("comment", "Better")]).await.0, 303);
    assert_eq!(seat.stage.world.policies.said(), ["admin saved", "admin saved", "admin applied: Better"]);
    let list = seat.list().await;
    assert_eq!((&list[0]["name"], &list[1]["mode"]), (&json!("night"), &json!("monitor")));
    assert_eq!(list[1]["settings"], json!({ "rules": [1] }));
    let page = seat.browser.text("/policy").await;
    assert!(page.contains("revision 3") && page.contains("Better"), "{page}");
}

#[tokio::test]
async fn one_click_reverts_and_a_draft_can_be_dropped() {
    let seat = Seat::new().await;
    assert_eq!(seat.post("/policy/revert", &[("revision", "1")]).await.0, 303);
    assert_eq!(seat.list().await.as_array().unwrap().len(), 1);
    let (status, page) = seat.post("/policy/revert", &[("revision", "77")]).await;
    assert_eq!((status, page.contains("there is no revision 77")), (404, true));
    let (status, page) = seat.post("/policy/drop", &[("version", "0")]).await;
    assert_eq!((status, page.contains("there is no draft")), (409, true));
    let list = seat.list().await;
    assert_eq!(seat.save(0, &list).await.0, 200);
    assert_eq!(seat.post("/policy/drop", &[("version", "1")]).await.0, 303);
    assert_eq!(seat.stage.world.policies.said(), ["admin reverted to 1", "admin saved", "admin dropped"]);
    for (path, fields) in [
        ("/policy/revert", vec![("revision", "x")]),
        ("/policy/revert", vec![]),
        ("/policy/apply", vec![("version", "2"), ("comment", "two\nlines")]),
        ("/policy/backtest", vec![("of", "everything")]),
        ("/policy/backtest", vec![("of", "draft"), ("days", "0")]),
        ("/policy/backtest", vec![("of", "draft"), ("days", "99999")]),
        ("/policy/save", vec![("version", "2"), ("count", "1")]),
        ("/policy/save", vec![("version", "2"), ("count", "99999999")]),
    ] {
        assert_eq!(seat.post(path, &fields).await.0, 400, "{path} {fields:?}");
    }
}

#[tokio::test]
async fn programs_save_apply_and_revert() {
    let seat = Seat::new().await;
    let mut list = seat.list().await;
    list[2]["name"] = json!("night");
    list[0]["mode"] = json!("off");
    list[0]["settings"] = json!({});
    // A canary of what is not enforced, and settings that are refused.
    let (status, saved) = seat.save(0, &list).await;
    assert_eq!((status, &saved["draft"]["version"]), (200, &json!(1)));
    let problems: Vec<_> = saved["problems"].as_array().unwrap().iter().map(|problem| &problem["field"]).collect();
    assert_eq!(problems, ["canary-of", "settings/rules"]);
    assert_eq!(saved["draft"]["changed"]["night"]["actor"], "admin");
    let (status, refused) = seat.post("/api/v1/policies/draft/apply", &[("version", "1")]).await;
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!((status, refused["problems"].as_array().unwrap().len()), (422, 2), "{refused}");
    let (status, refused) = seat.save(0, &list).await;
    assert_eq!(status, 409);
    assert!(refused["error"].as_str().unwrap().contains("somebody else"), "{refused}");
    let (status, refused) = seat.save(1, &json!([{ "name": "a", "modus": "off" }])).await;
    assert_eq!((status, refused["error"].as_str().unwrap().contains("modus")), (400, true), "{refused}");

    list[0]["mode"] = json!("enforce");
    list[0]["settings"] = json!({ "rules": [] });
    // As large as a list may be, and larger than any other form.
    list[0]["settings"]["padding"] = json!("x".repeat(100_000));
    assert_eq!(seat.save(1, &list).await.0, 200);
    let too_large = json!("x".repeat(600_000));
    let fields = [("version", "2"), ("policies", &*too_large.to_string())];
    assert_eq!(seat.post("/api/v1/policies/draft/save", &fields).await.0, 413);
    assert_eq!(seat.browser.json("/api/v1/policies/draft").await["version"], 2);
    let (status, applied) = seat.post("/api/v1/policies/draft/apply", &[("version", "2"), ("comment", "why")]).await;
    assert_eq!(status, 200, "{applied}");
    let applied: Value = serde_json::from_str(&applied).unwrap();
    assert_eq!(
        (&applied["number"], &applied["actor"], &applied["comment"]),
        (&json!(3), &json!("admin"), &json!("why"))
    );
    assert_eq!(seat.browser.json("/api/v1/policies/draft").await, json!({ "version": 3, "draft": null }));
    assert_eq!(seat.post("/api/v1/policies/revert", &[("revision", "1")]).await.0, 200);
    let revisions = seat.browser.json("/api/v1/policies/revisions?limit=3").await;
    let numbers: Vec<_> = revisions["revisions"].as_array().unwrap().iter().map(|one| &one["number"]).collect();
    assert_eq!((numbers, &revisions["next_before"]), (vec![&json!(4), &json!(3), &json!(2)], &json!(2)));
    let rest = seat.browser.json("/api/v1/policies/revisions?before=2").await;
    assert_eq!((&rest["revisions"][0]["number"], &rest["next_before"]), (&json!(1), &Value::Null));
    let one = seat.browser.json("/api/v1/policies/revisions/4").await;
    assert_eq!(one["difference"].as_array().unwrap().len(), 3, "{one}");
    assert_eq!(seat.browser.get("/api/v1/policies/revisions/9").await.status(), 404);
    assert_eq!(seat.post("/api/v1/policies/draft/drop", &[("version", "3")]).await.0, 409);
}

#[tokio::test]
async fn a_backtest_is_begun_watched_cancelled_and_read() {
    let seat = Seat::new().await;
    assert_eq!(seat.post("/policy/backtest", &[("of", "2"), ("days", "30")]).await.0, 303);
    let page = seat.browser.text("/policy").await;
    assert!(page.contains("41,000 of 120,500 events") && page.contains("<progress"), "{page}");
    let (status, page) = seat.post("/policy/backtest", &[("of", "draft"), ("days", "")]).await;
    assert_eq!((status, page.contains("under way already")), (409, true));
    assert_eq!(seat.post("/api/v1/policies/backtest/start", &[("of", "draft")]).await.0, 409);
    assert_eq!(seat.browser.json("/api/v1/policies/backtest").await["running"], true);
    assert_eq!(seat.post("/policy/backtest/cancel", &[]).await.0, 303);
    assert_eq!(seat.post("/api/v1/policies/backtest/start", &[("of", "draft")]).await.0, 202);
    assert_eq!(seat.post("/api/v1/policies/backtest/cancel", &[]).await.0, 204);
    let said = seat.stage.world.policies.said();
    assert_eq!(said, ["Revision(2) of 30 days", "cancelled", "Draft of 0 days", "cancelled"]);
    seat.stage.world.policies.report();
    let page = seat.browser.text("/policy").await;
    for shown in
        ["1.3 %", "allowed → blocked", "asked and allowed → allowed", "12 more, 7 fewer", "carol", "2 affected"]
    {
        assert!(page.contains(shown), "{shown} is not shown: {page}");
    }
    assert!(page.contains("&lt;script&gt;bob") && !page.contains("<script>bob"), "logins are text");
    assert_eq!(seat.browser.json("/api/v1/policies/backtest").await["report"]["accounts"][1]["name"], "carol");
}
