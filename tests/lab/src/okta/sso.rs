//! What single sign-on needs of the API beside the log: applications, assignments, sessions, suspension.

use serde_json::{Value, json};

use super::answer::Answer;
use super::state::State;

/// The application that everybody who is active is assigned to.
pub(super) const APP: &str = "0oa1labGATEWAY000001";
const APP_LABEL: &str = "Acme Gateway";

/// Answers a request about these, or gives it back.
pub(super) fn route(
    state: &mut State,
    base: &str,
    method: &str,
    segments: &[&str],
    query: &[(String, String)],
) -> Option<Answer> {
    match (method, segments) {
        ("GET", ["api", "v1", "logs"]) => Some(state.log.answer(base, query, jiff::Timestamp::now())),
        ("GET", ["api", "v1", "users"]) => Some(search(state, base, query)),
        ("GET", ["api", "v1", "apps", id]) if *id == APP => {
            Some(Answer::json(200, json!({ "id": APP, "label": APP_LABEL, "name": "acme_gw", "status": "ACTIVE" })))
        }
        ("GET", ["api", "v1", "apps", id]) => Some(Answer::not_found(id, "AppInstance")),
        ("GET", ["api", "v1", "apps", app, "users", user]) => Some(assignment(state, app, user)),
        ("GET", ["api", "v1", "users", id, "appLinks"]) => Some(links(state, base, id, query)),
        ("DELETE", ["api", "v1", "users", id, "sessions"]) => Some(end_sessions(state, id)),
        ("POST", ["api", "v1", "users", id, "lifecycle", word @ ("suspend" | "unsuspend")]) => {
            Some(lifecycle(state, id, word))
        }
        _ => None,
    }
}

/// Two kinds of search are enough: `profile.login eq "..."` and `profile.email eq "..."`, which are the same name here.
fn search(state: &State, base: &str, query: &[(String, String)]) -> Answer {
    let Some(search) = query.iter().find(|(name, _)| name == "search").map(|(_, value)| value.as_str()) else {
        return Answer::json(200, Value::Array(state.users.iter().map(|user| user.json(base)).collect()));
    };
    let value = ["profile.login eq \"", "profile.email eq \""].into_iter().find_map(|start| search.strip_prefix(start));
    let Some(value) = value.and_then(|value| value.strip_suffix('"')) else {
        return Answer::error(400, "E0000031", "Invalid search criteria.");
    };
    let found = state.users.iter().filter(|user| user.login.eq_ignore_ascii_case(value)).map(|user| user.json(base));
    Answer::json(200, Value::Array(found.collect()))
}

fn assignment(state: &State, app: &str, user_id: &str) -> Answer {
    let user = state.users.iter().find(|user| user.id == user_id && user.is_active());
    match user {
        Some(user) if app == APP && !state.unassigned.contains(&user.id) => Answer::json(
            200,
            json!({ "id": user.id, "externalId": null, "scope": "GROUP", "status": "ACTIVE", "credentials": { "userName": user.login }, "profile": {} }),
        ),
        _ => Answer::not_found(user_id, "AppUser"),
    }
}

/// One application with two links, on two pages.
fn links(state: &State, base: &str, id: &str, query: &[(String, String)]) -> Answer {
    let Some(user) = state.users.iter().find(|user| user.id == id) else { return Answer::not_found(id, "User") };
    let link = |label: &str| {
        json!({ "id": user.id, "label": label, "linkUrl": format!("{base}/home/acme_gw/{APP}/61"), "appName": "acme_gw",
            "appInstanceId": APP, "appAssignmentId": "0ua1labASSIGN000001", "hidden": false, "sortOrder": 0 })
    };
    if state.unassigned.contains(&user.id) || !user.is_active() {
        return Answer::json(200, json!([]));
    }
    if query.iter().any(|(name, _)| name == "after") {
        return Answer::json(200, json!([link("Acme Gateway (mobile)")]));
    }
    let next = format!("<{base}/api/v1/users/{id}/appLinks?after=lab2>; rel=\"next\"");
    Answer::json(200, json!([link(APP_LABEL)])).with_header("link", next)
}

fn end_sessions(state: &mut State, id: &str) -> Answer {
    let Some(user) = state.users.iter_mut().find(|user| user.id == id) else { return Answer::not_found(id, "User") };
    user.sessions_ended += 1;
    Answer::empty(204)
}

/// Only who is active can be suspended, and only who is suspended be let in again.
fn lifecycle(state: &mut State, id: &str, word: &str) -> Answer {
    let Some(user) = state.users.iter_mut().find(|user| user.id == id) else { return Answer::not_found(id, "User") };
    let (from, to) = if word == "suspend" { ("ACTIVE", "SUSPENDED") } else { ("SUSPENDED", "ACTIVE") };
    if user.status != from {
        return Answer::error(
            400,
            "E0000001",
            &format!("Api validation failed: Cannot {word} a user that is {}", user.status),
        );
    }
    user.status = to;
    Answer::json(200, json!({}))
}
