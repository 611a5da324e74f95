//! The editor's form: what is saved of it, and what is shown again.

use serde_json::json;

use crate::policy::{Seat, fields, set};

type Form = Vec<(String, String)>;

async fn form(seat: &Seat) -> Form {
    fields(&seat.browser.text("/policy/edit").await)
}

async fn send(seat: &Seat, form: &Form) -> (u16, String) {
    let fields: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    seat.post("/policy/save", &fields).await
}

/// Names in the order of the draft.
async fn order(seat: &Seat) -> Vec<String> {
    let draft = seat.browser.json("/api/v1/policies/draft").await["draft"]["draft"].clone();
    let names = draft["policies"].as_array().unwrap().iter().map(|policy| policy["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn a_form_from_before_another_revision_is_not_saved() {
    let seat = Seat::new().await;
    let old = form(&seat).await;
    assert_eq!(seat.post("/policy/revert", &[("revision", "1")]).await.0, 303);
    let (status, page) = send(&seat, &old).await;
    assert_eq!(status, 409);
    assert!(page.contains("put a revision into force meanwhile"), "{page}");
    assert_eq!(seat.stage.world.policies.said(), ["admin reverted to 1"], "nothing was saved");
    let list = seat.list().await.to_string();
    let save = async |revision: &str| {
        let fields = [("version", "0"), ("revision", revision), ("policies", &*list)];
        seat.post("/api/v1/policies/draft/save", &fields).await.0
    };
    assert_eq!((save("2").await, save("x").await, save("3").await), (409, 400, 200));
}

#[tokio::test]
async fn a_revision_that_is_not_in_force_is_told_of() {
    let seat = Seat::new().await;
    seat.stage.world.policies.refuse("the connector <b>nobody</b> does not exist");
    let page = seat.browser.text("/policy").await;
    assert!(page.contains("revision 2</span>"), "what is in force is the one before: {page}");
    let said = "Revision 3 is stored and not in force: the connector &lt;b&gt;nobody&lt;/b&gt; does not exist.";
    assert!(page.contains(said), "{page}");
    let told = seat.browser.json("/api/v1/policies").await;
    assert_eq!((&told["revision"]["number"], &told["refused"]["number"]), (&json!(2), &json!(3)));
    assert_eq!(send(&seat, &form(&seat).await).await.0, 303, "a form that was made since is saved");
}

#[tokio::test]
async fn a_policy_takes_the_place_that_is_typed() {
    let seat = Seat::new().await;
    for (moved, to, expected) in [
        ("place-2", "1", ["night", "unusual-endpoint", "stricter"]),
        ("place-0", "3", ["stricter", "night", "unusual-endpoint"]),
        ("place-0", "2", ["stricter", "unusual-endpoint", "night"]),
        ("place-1", "9", ["unusual-endpoint", "night", "stricter"]),
    ] {
        let mut form = fields(&seat.browser.text("/policy/edit").await);
        set(&mut form, "name-2", "night");
        set(&mut form, moved, to);
        assert_eq!(send(&seat, &form).await.0, 303);
        assert_eq!(order(&seat).await, expected, "{moved} to {to}");
        let version = seat.browser.json("/api/v1/policies/draft").await["version"].to_string();
        assert_eq!(seat.post("/policy/drop", &[("version", &version)]).await.0, 303);
    }
}

#[tokio::test]
async fn no_row_is_left_out_because_its_name_is_missing() {
    let seat = Seat::new().await;
    let untouched = form(&seat).await;
    for (name, value) in [("name-1", ""), ("settings-3", "{\"rules\": []}")] {
        let mut form = untouched.clone();
        set(&mut form, name, value);
        let (status, page) = send(&seat, &form).await;
        assert_eq!(status, 422, "{name}");
        assert!(page.contains("<code>name</code>: is missing"), "{page}");
    }
    assert!(seat.stage.world.policies.said().is_empty());
    // As browsers send the lines of the empty row.
    let mut form = untouched;
    set(&mut form, "settings-3", "{\r\n}");
    assert_eq!(send(&seat, &form).await.0, 303);
    assert_eq!(order(&seat).await.len(), 3);
}

#[tokio::test]
async fn limits_are_typed_as_numbers() {
    let seat = Seat::new().await;
    let mut form = form(&seat).await;
    set(&mut form, "memory-mib-0", "32");
    set(&mut form, "call-ms-0", " 250 ");
    assert_eq!(send(&seat, &form).await.0, 303);
    let draft = seat.browser.json("/api/v1/policies/draft").await["draft"]["draft"].clone();
    let limits = json!({ "memory_mib": 32, "call_ms": 250, "concurrent_calls": null });
    assert_eq!(draft["policies"][0]["limits"], limits);
    let mut form = fields(&seat.browser.text("/policy/edit").await);
    assert!(form.contains(&("memory-mib-0".to_owned(), "32".to_owned())), "{form:?}");
    set(&mut form, "concurrent-calls-0", "-1");
    let (status, page) = send(&seat, &form).await;
    assert_eq!((status, page.contains("<code>concurrent-calls</code>: is no number")), (422, true), "{page}");
    // None at all would refuse everybody.
    set(&mut form, "concurrent-calls-0", "0");
    assert_eq!(send(&seat, &form).await.0, 303);
    let page = seat.browser.text("/policy/edit").await;
    assert!(page.contains("<code>limits/concurrent-calls</code>: is 0"), "{page}");
}

#[tokio::test]
async fn a_comment_is_as_long_as_its_field_takes() {
    let seat = Seat::new().await;
    for (comment, status) in [("ä".repeat(200), 303), ("ä".repeat(201), 400)] {
        let mut list = seat.list().await;
        list[2]["name"] = json!("night");
        let version = seat.browser.json("/api/v1/policies/draft").await["version"].as_u64().unwrap();
        assert_eq!(seat.save(version, &list).await.0, 200);
        let fields = [("version", &*(version + 1).to_string()), ("comment", &*comment)];
        assert_eq!(seat.post("/policy/apply", &fields).await.0, status, "{} characters", comment.chars().count());
    }
}
