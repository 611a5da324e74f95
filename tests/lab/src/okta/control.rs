//! The control interface over HTTP, for people with `curl`. See [`super::Okta::control_url`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State as Extracted};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::codes::CodeFactor;
use super::fault::{Call, Fault};
use super::push::{Behaviour, NumberChallenge, Outcome};
use super::state::Shared;

type Shelf = Extracted<Arc<Shared>>;
type Reply = Result<Json<Value>, (StatusCode, String)>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_lab/pending", get(pending))
        .route("/_lab/people", get(people))
        .route("/_lab/journal", get(journal).delete(clear_journal))
        .route("/_lab/approve", post(approve))
        .route("/_lab/reject", post(reject))
        .route("/_lab/expire", post(expire))
        .route("/_lab/behaviour", post(behaviour))
        .route("/_lab/number-challenge", post(number_challenge))
        .route("/_lab/code", post(code))
        .route("/_lab/factor", post(factor))
        .route("/_lab/sent", get(sent))
        .route("/_lab/fault", post(set_fault).delete(clear_faults))
        .route("/_lab/fail-next", post(fail_next))
        .route("/_lab/rate-limit", post(rate_limit))
        .route("/_lab/revoke-token", post(revoke_token))
        .route("/_lab/log-sign-ins", post(log_sign_ins))
        .route("/_lab/log-events", post(log_events))
        .route("/_lab/expire-cursors", post(expire_cursors))
        .layer(from_fn(no_browsers))
        .with_state(shared)
}

/// A web page that somebody has open must not be able to press the buttons here; browsers name the page in `Origin`.
async fn no_browsers(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "the control interface is not for web pages\n").into_response();
    }
    next.run(request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    login: String,
    number: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    login: String,
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolment {
    login: String,
    kind: CodeFactor,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reaction {
    login: String,
    #[serde(rename = "do")]
    what: What,
    #[serde(default)]
    after_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Wait,
    Approve,
    Reject,
    Expire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    login: String,
    /// `0` for never, a number of a poll for unasked, nothing for when it is asked for.
    from_poll: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    n: usize,
    call: Option<Call>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: u32,
    call: Option<Call>,
}

async fn pending(Extracted(shared): Shelf) -> Json<Value> {
    Json(json!(shared.lock().pending()))
}

async fn people(Extracted(shared): Shelf) -> Json<Value> {
    let state = shared.lock();
    let person = |user: &super::people::User| {
        let devices = user.factors.iter().map(|factor| json!({ "device": factor.device, "active": factor.active }));
        let devices: Vec<_> = devices.collect();
        json!({ "login": user.login, "status": user.status, "pushes": user.pushes, "factors": devices })
    };
    Json(state.users.iter().map(person).collect())
}

async fn journal(Extracted(shared): Shelf) -> Json<Value> {
    Json(json!(shared.lock().journal.entries()))
}

async fn clear_journal(Extracted(shared): Shelf) -> Json<Value> {
    shared.lock().journal.clear();
    done()
}

async fn approve(Extracted(shared): Shelf, Query(who): Query<Who>) -> Reply {
    let decided = match who.number {
        Some(number) => shared.lock().decide_by(&who.login, picked(number)),
        None => shared.lock().decide(&who.login, Outcome::Approved),
    };
    counted(decided)
}

/// Picking a wrong number on the phone is a rejection.
pub(super) fn picked(number: u8) -> impl Fn(&super::push::Push) -> Outcome {
    move |push| match push.number {
        Some(right) if right != number => Outcome::Rejected,
        _ => Outcome::Approved,
    }
}

async fn reject(Extracted(shared): Shelf, Query(who): Query<Who>) -> Reply {
    counted(shared.lock().decide(&who.login, Outcome::Rejected))
}

async fn expire(Extracted(shared): Shelf, Query(who): Query<Who>) -> Reply {
    counted(shared.lock().decide(&who.login, Outcome::Expired))
}

async fn behaviour(Extracted(shared): Shelf, Query(reaction): Query<Reaction>) -> Reply {
    let after = Duration::from_millis(reaction.after_ms);
    let behaviour = match reaction.what {
        What::Wait => Behaviour::Wait,
        What::Approve => Behaviour::ApproveAfter(after),
        What::Reject => Behaviour::RejectAfter(after),
        What::Expire => Behaviour::ExpireAfter(after),
    };
    shared.lock().known_user(&reaction.login).map_err(not_found)?.behaviour = behaviour;
    Ok(done())
}

async fn number_challenge(Extracted(shared): Shelf, Query(numbers): Query<Numbers>) -> Reply {
    let when = match numbers.from_poll {
        None => NumberChallenge::OnRequest,
        Some(0) => NumberChallenge::Never,
        Some(poll) => NumberChallenge::InPoll(poll),
    };
    shared.lock().known_user(&numbers.login).map_err(not_found)?.number_challenge = when;
    Ok(done())
}

async fn code(Extracted(shared): Shelf, Query(typed): Query<Typed>) -> Reply {
    shared.lock().known_user(&typed.login).map_err(not_found)?.codes.shown = Some((typed.code, false));
    Ok(done())
}

async fn factor(Extracted(shared): Shelf, Query(enrolment): Query<Enrolment>) -> Reply {
    let id = shared.lock().known_user(&enrolment.login).map_err(not_found)?.add_factor(enrolment.kind);
    Ok(Json(json!({ "id": id })))
}

async fn sent(Extracted(shared): Shelf, Query(who): Query<Who>) -> Reply {
    Ok(Json(json!(shared.lock().known_user(&who.login).map_err(not_found)?.codes.sent)))
}

async fn set_fault(Extracted(shared): Shelf, Json(fault): Json<Fault>) -> Json<Value> {
    shared.lock().faults.set(Some(fault));
    done()
}

async fn clear_faults(Extracted(shared): Shelf) -> Json<Value> {
    shared.lock().faults.clear();
    done()
}

async fn fail_next(Extracted(shared): Shelf, Query(count): Query<Count>, Json(fault): Json<Fault>) -> Reply {
    const MOST: usize = 10_000;
    if count.n > MOST {
        return Err((StatusCode::BAD_REQUEST, format!("at most {MOST} at once\n")));
    }
    shared.lock().faults.add(count.call, count.n, &fault);
    Ok(done())
}

async fn rate_limit(Extracted(shared): Shelf, Query(limit): Query<Limit>) -> Json<Value> {
    shared.lock().limits.set(limit.call, limit.limit);
    done()
}

async fn revoke_token(Extracted(shared): Shelf) -> Json<Value> {
    shared.lock().token = None;
    done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIns {
    #[serde(default)]
    first: usize,
    count: usize,
}

async fn log_sign_ins(Extracted(shared): Shelf, Query(wanted): Query<SignIns>) -> Reply {
    const MOST: usize = 1_000_000;
    if wanted.count > MOST {
        return Err((StatusCode::BAD_REQUEST, format!("at most {MOST} at once\n")));
    }
    let mut state = shared.lock();
    let events = state.sign_ins(wanted.first, wanted.count);
    state.log.push(events);
    Ok(done())
}

async fn log_events(Extracted(shared): Shelf, Json(events): Json<Vec<Value>>) -> Json<Value> {
    shared.lock().log.push(events);
    done()
}

async fn expire_cursors(Extracted(shared): Shelf) -> Json<Value> {
    shared.lock().log.expire_cursors();
    done()
}

fn done() -> Json<Value> {
    Json(json!({ "done": true }))
}

fn counted(decided: anyhow::Result<usize>) -> Reply {
    decided.map(|count| Json(json!({ "pushes": count }))).map_err(not_found)
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn not_found(error: anyhow::Error) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("{error}\n"))
}
