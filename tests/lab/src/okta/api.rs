//! The API itself: who may ask, what is asked, and the answer.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::TokenRights;
use super::answer::Answer;
use super::fault::Call;
use super::limits::Budget;
use super::oauth;
use super::people::Kind;
use super::push::Outcome;
use super::sso;
use super::state::State;

/// A request as it came.
pub(super) struct Request {
    pub(super) method: String,
    /// The parts of the path, percent-decoded.
    pub(super) segments: Vec<String>,
    /// The query, percent-decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// How an answer that says WAITING treats the transaction's id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// The answer has a new id, and the old one is gone.
    Change,
    /// The id stays, because the client will not be able to read the answer.
    Keep,
}

/// Answers a request, with the headers that every answer has.
pub(super) fn answer(state: &mut State, base: &str, request: &Request, call: Call, links: Links) -> Answer {
    if let Some(refused) = front_door(request) {
        return refused;
    }
    if is_token_request(request) {
        let random = state.next_id("");
        return state.tokens.answer(base, &request.body, &random);
    }
    let now = Timestamp::now();
    let (answer, budget) = match check_token(state, request) {
        Some(refused) => (refused, state.limits.peek(call, now)),
        None => match state.limits.take(call, now) {
            Ok(budget) => (route(state, base, request, links), budget),
            Err(budget) => (too_many(), budget),
        },
    };
    with_budget(answer, budget)
}

pub(super) fn too_many() -> Answer {
    Answer::error(429, "E0000047", "API call exceeded rate limit due to too many requests.")
}

pub(super) fn with_budget(answer: Answer, budget: Budget) -> Answer {
    answer
        .with_header("x-rate-limit-limit", budget.limit.to_string())
        .with_header("x-rate-limit-remaining", budget.remaining.to_string())
        .with_header("x-rate-limit-reset", budget.reset.to_string())
}

fn is_token_request(request: &Request) -> bool {
    request.method == "POST" && request.segments.iter().eq(["oauth2", "v1", "token"])
}

/// What the front-end server refuses before Okta sees it.
fn front_door(request: &Request) -> Option<Answer> {
    let sized = request.header("content-length").is_some() || request.header("transfer-encoding").is_some();
    if request.method == "POST" && !sized {
        return Some(Answer::html(411));
    }
    if request.header("authorization").is_some_and(|value| value.split(' ').count() > 2) {
        // A token with a blank in it.
        return Some(Answer::html(400));
    }
    if request.header("user-agent").is_none_or(|agent| agent.trim().is_empty()) {
        return Some(Answer::error(400, "E0000001", "Api validation failed: User-Agent"));
    }
    let json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    if !request.body.is_empty() && !json && !is_token_request(request) {
        return Some(Answer::error(400, "E0000021", "Bad request. Accept and/or Content-Type headers are not valid."));
    }
    None
}

/// The page this follows: Okta, "Core Okta API", authentication with SSWS tokens.
fn check_token(state: &State, request: &Request) -> Option<Answer> {
    let (scheme, token) = request.header("authorization").and_then(|value| value.split_once(' ')).unwrap_or_default();
    match scheme {
        "SSWS" if token.is_empty() => Some(no_session()),
        "SSWS" if state.token.as_deref() != Some(token) => {
            Some(Answer::error(401, "E0000011", "Invalid token provided"))
        }
        "SSWS" if state.rights == TokenRights::ReadOnly && request.method != "GET" => {
            let summary = "You do not have permission to perform the requested action";
            Some(Answer::error(403, "E0000006", summary))
        }
        "SSWS" => None,
        "Bearer" => state.tokens.refuse(token, oauth::scope(&request.method, &request.segments)),
        "DPoP" => {
            let challenge = format!(r#"{scheme} authorization_uri="/oauth2/v1/authorize", error="invalid_token""#);
            Some(Answer::empty(401).with_header("www-authenticate", challenge))
        }
        _ => Some(no_session()),
    }
}

fn no_session() -> Answer {
    Answer::error(403, "E0000005", "Invalid session")
}

/// Whom the API token belongs to. Not one of the company's people: it can neither be asked nor bind.
fn token_owner() -> Value {
    let login = "portcullis-connector@example.com";
    json!({
        "id": "00uLabTokenOwner0001",
        "status": "ACTIVE",
        "type": { "id": "otyLabType0000000001" },
        "profile": { "login": login, "email": login, "firstName": "Portcullis", "lastName": "Connector" },
        "credentials": { "provider": { "type": "OKTA", "name": "OKTA" } },
    })
}

fn owner_roles(state: &State) -> Answer {
    if state.owner_roles.is_empty() {
        return Answer::error(403, "E0000006", "You do not have permission to perform the requested action");
    }
    let role = |kind: &String| json!({ "id": format!("ra1{kind}"), "type": kind, "status": "ACTIVE" });
    Answer::json(200, Value::Array(state.owner_roles.iter().map(role).collect()))
}

fn route(state: &mut State, base: &str, request: &Request, links: Links) -> Answer {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    if let ("GET", ["api", "v1", "org"]) = (method, segments.as_slice()) {
        return Answer::json(200, json!({ "companyName": "Acme", "subdomain": "acme", "status": "ACTIVE" }));
    }
    if let ("GET", ["api", "v1", "users", "00uLabTokenOwner0001", "roles"]) = (method, segments.as_slice()) {
        return owner_roles(state);
    }
    if let Some(answer) = sso::route(state, base, method, &segments, &request.query) {
        return answer;
    }
    let ["api", "v1", "users", name, rest @ ..] = segments.as_slice() else {
        return Answer::error(404, "E0000008", "The requested path was not found");
    };
    if let ("GET", "me", []) = (method, *name, rest) {
        return Answer::older_json(200, token_owner());
    }
    if rest.is_empty() {
        let found = state.user(name).and_then(|at| state.users.get(at));
        return match (method, found) {
            ("GET", Some(user)) => Answer::older_json(200, user.json(base)),
            ("GET", None) => Answer::not_found(name, "User"),
            _ => wrong_method(),
        };
    }
    // Everything below a user is documented for the id only.
    let Some(user_at) = state.users.iter().position(|user| user.id == **name) else {
        return Answer::not_found(name, "User");
    };
    match (method, rest) {
        ("GET", ["factors"]) => list_factors(state, base, user_at),
        ("GET", ["factors", id]) => get_factor(state, base, user_at, id),
        ("POST", ["factors", id, "verify"]) => verify(state, base, request, user_at, id),
        ("GET", ["factors", id, "transactions", link]) => poll(state, base, (user_at, id, link), links),
        ("DELETE", ["factors", id, "transactions", link]) => cancel(state, (user_at, id, link)),
        (_, ["factors"] | ["factors", _] | ["factors", _, "verify"] | ["factors", _, "transactions", _]) => {
            wrong_method()
        }
        _ => Answer::error(404, "E0000008", "The requested path was not found"),
    }
}

fn wrong_method() -> Answer {
    Answer::error(405, "E0000022", "The endpoint does not support the provided HTTP method")
}

fn list_factors(state: &State, base: &str, user_at: usize) -> Answer {
    let Some(user) = state.users.get(user_at) else { return Answer::not_found("", "User") };
    let factors = user.factors.iter().map(|factor| user.factor_json(factor, base)).collect();
    let link = format!("<{base}/api/v1/users/{}/factors>; rel=\"self\"", user.id);
    Answer::json(200, Value::Array(factors)).with_header("link", link)
}

fn get_factor(state: &State, base: &str, user_at: usize, id: &str) -> Answer {
    let user = state.users.get(user_at);
    let found = user.and_then(|user| user.factors.iter().find(|factor| factor.id == id).map(|factor| (user, factor)));
    found.map_or_else(
        || Answer::not_found(id, "UserFactor"),
        |(user, factor)| Answer::json(200, user.factor_json(factor, base)),
    )
}

/// `POST .../verify`: starts a push, or checks a code.
fn verify(state: &mut State, base: &str, request: &Request, user_at: usize, id: &str) -> Answer {
    let body: Value = if request.body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&request.body) {
            Ok(body @ Value::Object(_)) => body,
            _ => return Answer::error(400, "E0000003", "The request body was not well-formed."),
        }
    };
    let Some(user) = state.users.get_mut(user_at) else { return Answer::not_found("", "User") };
    let Some(factor_at) = user.factors.iter().position(|factor| factor.id == id) else {
        return Answer::not_found(id, "UserFactor");
    };
    if !user.is_active() {
        let summary = "This operation is not allowed in the user's current status.";
        return Answer::error(403, "E0000038", summary);
    }
    match user.factors.get(factor_at).map(|factor| (factor.kind, factor.active)) {
        Some((Kind::Push, true)) => {
            let asked = body.get("useNumberMatchingChallenge") == Some(&Value::Bool(true));
            let agent = request.header("user-agent").unwrap_or_default();
            let at = state.start_push(user_at, factor_at, asked, agent);
            let factor_url = factor_url(state, base, user_at, id);
            state.pushes.get(at).map_or_else(
                || Answer::error(500, "E0000009", "Internal Server Error"),
                |push| Answer::json(201, push.json(&factor_url)),
            )
        }
        Some((Kind::Totp | Kind::Google | Kind::Sms | Kind::Call | Kind::Email, true)) => {
            state.verify_code(user_at, factor_at, &body)
        }
        Some((Kind::FastPass, _)) => Answer::error(501, "E0000060", "Unsupported operation."),
        _ => Answer::error(410, "E0000154", "The factor is not active."),
    }
}

type Transaction<'a> = (usize, &'a str, &'a str);

fn find_push(state: &State, (user_at, id, link): Transaction<'_>) -> Option<usize> {
    state.pushes.iter().position(|push| push.user == user_at && push.factor_id == id && push.link == link)
}

fn poll(state: &mut State, base: &str, transaction: Transaction<'_>, links: Links) -> Answer {
    let (user_at, id, link) = transaction;
    let new_link = state.next_id("v2mst.");
    let factor_url = factor_url(state, base, user_at, id);
    let at = find_push(state, transaction);
    let Some(push) = at.and_then(|at| state.pushes.get_mut(at)) else {
        return Answer::not_found(link, "FactorTransaction");
    };
    push.settle(Instant::now());
    push.polls += 1;
    if push.outcome.is_none() && links == Links::Change {
        push.link = new_link;
    }
    Answer::json(200, push.json(&factor_url))
}

/// The operation is not in Okta's specification; 204 for an open push and 404 for any other is what clients expect.
fn cancel(state: &mut State, transaction: Transaction<'_>) -> Answer {
    let at = find_push(state, transaction);
    if let Some(push) = at.and_then(|at| state.pushes.get_mut(at)) {
        push.settle(Instant::now());
        if push.outcome.is_none() {
            push.outcome = Some(Outcome::Cancelled);
            return Answer::empty(204);
        }
    }
    Answer::not_found(transaction.2, "FactorTransaction")
}

fn factor_url(state: &State, base: &str, user_at: usize, factor_id: &str) -> String {
    let user_id = state.users.get(user_at).map(|user| user.id.as_str()).unwrap_or_default();
    format!("{base}/api/v1/users/{user_id}/factors/{factor_id}")
}
