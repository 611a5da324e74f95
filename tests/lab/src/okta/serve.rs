//! From HTTP to the API and back, with faults and the journal in between.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State as Extracted};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Request as HttpRequest, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Answer;
use super::api::{Links, Request, answer, too_many, with_budget};
use super::fault::{Call, Fault, RateHeaders};
use super::journal::Entry;
use super::limits::Budget;
use super::listener::Scissors;
use super::state::Shared;

const MAX_BODY: usize = 1024 * 1024;
const HUGE_PIECE: usize = 64 * 1024;

/// How the answer leaves.
enum Way {
    Whole(Answer),
    /// The first half, then the connection breaks.
    Half(Answer),
    /// As it should, but with this text for a body.
    Spoiled(Answer, &'static str),
    Huge(usize),
    Bomb,
    /// With a pause between any two bytes.
    Drip(Answer, Duration),
    Reset,
}

/// Serves one request.
pub(super) async fn handle(
    Extracted(shared): Extracted<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: HttpRequest<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let began = Instant::now();
    let headers = parts.headers.iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        segments: parts.uri.path().trim_matches('/').split('/').map(percent_decode).collect(),
        query: query(parts.uri.query().unwrap_or_default()),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: body.to_vec(),
    };
    let mut entry = Entry {
        at: Timestamp::now(),
        method: request.method.clone(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: request.headers.clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
        took: Duration::ZERO,
    };
    let way = decide(&shared, &request).await;
    entry.status = match &way {
        Way::Whole(answer) | Way::Half(answer) | Way::Spoiled(answer, _) => answer.status,
        Way::Drip(answer, _) => answer.status,
        Way::Huge(_) | Way::Bomb => 200,
        Way::Reset => 0,
    };
    entry.took = began.elapsed();
    let request_id = {
        let mut state = shared.lock();
        state.journal.push(entry);
        state.next_id("lab-req-")
    };
    respond(way, &request_id, &scissors)
}

async fn decide(shared: &Shared, request: &Request) -> Way {
    let call = Call::of(&request.method, &request.segments);
    let fault = shared.lock().faults.take(call);
    if let Some(Fault::Slow(delay)) = fault {
        tokio::time::sleep(delay).await;
    }
    let mut state = shared.lock();
    let mut really = |links| answer(&mut state, &shared.base_url, request, call, links);
    match fault {
        None | Some(Fault::Slow(_)) => Way::Whole(really(Links::Change)),
        Some(Fault::Status(status, code)) => Way::Whole(Answer::error(status, &code, "A fault of the simulator")),
        Some(Fault::Html(status)) => Way::Whole(Answer::html(status)),
        Some(Fault::EmptyBody) => Way::Whole(Answer::empty(really(Links::Keep).status)),
        Some(Fault::Truncated) => Way::Half(really(Links::Keep)),
        Some(Fault::Reset) => Way::Reset,
        Some(Fault::LostAnswer) => {
            really(Links::Keep);
            Way::Reset
        }
        Some(Fault::Huge(bytes)) => Way::Huge(bytes),
        Some(Fault::BadJson) => Way::Spoiled(really(Links::Keep), r#"{"factorResult":"SUCCESS",,"status":ACTIVE"#),
        Some(Fault::RateLimited(headers)) => {
            let now = Timestamp::now();
            let budget = state.limits.peek(call, now);
            Way::Whole(match headers {
                RateHeaders::Absent => too_many(),
                RateHeaders::Bucket => with_budget(too_many(), Budget { remaining: 0, ..budget }),
                RateHeaders::Concurrency => with_budget(too_many(), Budget { limit: 0, remaining: 0, ..budget }),
            })
        }
        Some(Fault::ForeignNextLink(base)) => {
            let path = request.segments.join("/");
            let link = format!("<{base}/{path}?after=labCursor>; rel=\"next\"");
            Way::Whole(really(Links::Change).with_header("link", link))
        }
        Some(Fault::ForeignPollLink(base)) => {
            let mut answer = really(Links::Change);
            lead_away(&mut answer, &shared.base_url, &base);
            Way::Whole(answer)
        }
        Some(Fault::GzipBomb) => Way::Bomb,
        Some(Fault::Drip(pause)) => Way::Drip(really(Links::Keep), pause),
        Some(Fault::Redirect(base)) => {
            let path = request.segments.join("/");
            Way::Whole(Answer::empty(302).with_header("location", format!("{base}/{path}")))
        }
        Some(Fault::Null(pointers)) => {
            let mut answer = really(Links::Keep);
            pointers.iter().for_each(|pointer| set(&mut answer, pointer, Some(&Value::Null)));
            Way::Whole(answer)
        }
        Some(Fault::Missing(pointers)) => {
            let mut answer = really(Links::Keep);
            pointers.iter().for_each(|pointer| set(&mut answer, pointer, None));
            Way::Whole(answer)
        }
        Some(Fault::Clock(ahead)) => {
            let answer = really(Links::Change);
            let shown = Timestamp::now().checked_add(jiff::SignedDuration::from_secs(ahead)).unwrap_or(Timestamp::MAX);
            // RFC 9110, section 5.6.7.
            Way::Whole(answer.with_header("date", shown.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()))
        }
        Some(Fault::UnknownFactorResult(result)) => {
            let mut answer = really(Links::Change);
            if let Some(told) = answer.body_mut().and_then(|body| body.get_mut("factorResult")) {
                *told = json!(result);
            }
            Way::Whole(answer)
        }
    }
}

/// Replaces a member of the answer's body, or takes it out. Of a list's elements, the member of each.
fn set(answer: &mut Answer, pointer: &str, value: Option<&Value>) {
    let Some(body) = answer.body_mut() else { return };
    let Some((parent, member)) = pointer.rsplit_once('/') else { return };
    let change = |parent: Option<&mut Value>| {
        if let Some(Value::Object(object)) = parent {
            match value {
                Some(value) => drop(object.insert(member.to_owned(), value.clone())),
                None => drop(object.remove(member)),
            }
        }
    };
    match body {
        Value::Array(elements) => elements.iter_mut().for_each(|element| change(element.pointer_mut(parent))),
        body => change(body.pointer_mut(parent)),
    }
}

fn lead_away(answer: &mut Answer, from: &str, to: &str) {
    for relation in ["poll", "cancel"] {
        let link = answer.body_mut().and_then(|body| body.get_mut("_links")).and_then(|links| links.get_mut(relation));
        if let Some(Value::String(href)) = link.and_then(|link| link.get_mut("href"))
            && let Some(path) = href.strip_prefix(from)
        {
            *href = format!("{to}{path}");
        }
    }
}

fn respond(way: Way, request_id: &str, scissors: &Scissors) -> Response {
    match way {
        Way::Reset => {
            scissors.cut();
            plain(StatusCode::OK)
        }
        Way::Whole(answer) => {
            let bytes = answer.bytes();
            build(&answer, request_id, in_chunks(bytes))
        }
        Way::Spoiled(answer, text) => build(&answer, request_id, in_chunks(text.as_bytes().to_vec())),
        Way::Half(answer) => {
            let bytes = answer.bytes();
            let half = Bytes::copy_from_slice(bytes.get(..bytes.len() / 2).unwrap_or_default());
            let pieces = stream::once(async move { Ok(half) }).chain(stream::once(async {
                // The first half has to be on its way before the connection breaks.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
            }));
            build(&answer, request_id, Body::from_stream(pieces))
        }
        Way::Bomb => {
            let answer = Answer::json(200, Value::Null).with_header("content-encoding", "gzip".to_owned());
            build(&answer, request_id, Body::from(bomb()))
        }
        Way::Drip(answer, pause) => {
            let bytes = stream::iter(answer.bytes()).then(move |byte| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, Infallible>(Bytes::copy_from_slice(&[byte]))
            });
            build(&answer, request_id, Body::from_stream(bytes))
        }
        Way::Huge(bytes) => build(&Answer::json(200, Value::Null), request_id, huge(bytes)),
    }
}

/// A thousand times 100,000 zero bytes, each a member of its own (RFC 1952, section 2.2).
fn bomb() -> Vec<u8> {
    const HEAD: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x0d\x0f\xa0";
    const TAIL: &[u8] = b"\x80\x57\x03\x7d\x95\x11\xd4\xa0\x86\x01\x00";
    const ZEROS: usize = 96;
    [HEAD, &[0; ZEROS], TAIL].concat().repeat(1_000)
}

fn build(answer: &Answer, request_id: &str, body: Body) -> Response {
    let mut response = Response::new(if answer.bytes().is_empty() { Body::empty() } else { body });
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = answer.content_type() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let own = [("x-okta-request-id", request_id.to_owned())];
    for (name, value) in answer.headers.iter().chain(&own) {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Okta's answers come in chunks, without a length.
fn in_chunks(bytes: Vec<u8>) -> Body {
    Body::from_stream(stream::once(async move { Ok::<_, Infallible>(Bytes::from(bytes)) }))
}

fn huge(bytes: usize) -> Body {
    const START: &str = r#"{"factorResult":"WAITING","padding":""#;
    const END: &str = r#""}"#;
    let padding = bytes.saturating_sub(START.len() + END.len());
    let piece = Bytes::from(vec![b'a'; HUGE_PIECE]);
    let whole = stream::iter(std::iter::repeat_n(piece, padding / HUGE_PIECE));
    let rest = Bytes::from(vec![b'a'; padding % HUGE_PIECE]);
    let pieces = stream::iter([Bytes::from_static(START.as_bytes())])
        .chain(whole)
        .chain(stream::iter([rest, Bytes::from_static(END.as_bytes())]));
    Body::from_stream(pieces.map(Ok::<_, Infallible>))
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (percent_decode(name), percent_decode(&value.replace('+', " ")))).collect()
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        bytes.extend(before.bytes());
        match escape.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = escape.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = escape.get(1..).unwrap_or_default();
            }
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
