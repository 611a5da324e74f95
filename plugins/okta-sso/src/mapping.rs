//! An event of the System Log in the contract's words.

use okta::contract::portcullis::gateway::types::{Attribute, Operation, Outcome};
use okta::dates;

use crate::contract::exports::portcullis::gateway::event_source::{ForeignEvent, Position};
use crate::kinds::{self, Kind, Subject};
use crate::log_event::{Bare, LogEvent, Party};
use crate::risk::Judgement;

/// Okta's answers to a push that is not approved: in sign-ins without and with a number to pick.
const PUSH_REFUSALS: [&str; 2] = ["OV_RESPONSE_DENY", "OV_WITH_CHALLENGE_RESPONSE_INVALID"];
/// What Okta writes in place of a name that it does not know, and its own name.
const NOBODY: [&str; 3] = ["unknown", "system@okta.com", "anonymous"];

/// Reads one event. `received_at`, in milliseconds since 1970, stands in for a time that cannot be read. None for what has no
/// id: without one, nobody could tell whether it has been seen before.
#[must_use]
pub fn read(text: &str, received_at: u64) -> Option<ForeignEvent> {
    let event = serde_json::from_str(text).ok().or_else(|| bare(text))?;
    let id = event.uuid.get()?.to_owned();
    let event_type = event.event_type.get().unwrap_or("unknown");
    let kind = judge(&event, event_type);
    let at = event.published.get().and_then(dates::iso_time);
    let who = subject(&event, kind.subject);
    let application = application(&event);
    let client = &event.client;
    Some(ForeignEvent {
        id,
        at: at.unwrap_or(received_at),
        identities: who.map(identities).unwrap_or_default(),
        address: address(&event),
        user_agent: user_agent(&event),
        position: position(&event),
        place: joined(
            [
                &client.geographical_context.city,
                &client.geographical_context.state,
                &client.geographical_context.country,
            ],
            ", ",
        ),
        detail: detail(&event, &kind, application.as_deref()),
        application,
        outcome: outcome(&event, &kind.operation),
        operation: kind.operation,
        attributes: attributes(&event, event_type, who, at.is_none()),
        raw: text.to_owned(),
    })
}

/// An event with a member twice, a number that is none, or the like: known by its id, type and time alone.
fn bare(text: &str) -> Option<LogEvent<'_>> {
    let Bare { uuid, published, event_type } = serde_json::from_str(text).ok()?;
    Some(LogEvent { uuid, published, event_type, ..LogEvent::default() })
}

/// The meaning of the event's type, refined by what else it says.
fn judge(event: &LogEvent<'_>, event_type: &str) -> Kind {
    let kind = kinds::of(event_type).unwrap_or_else(|| Kind {
        operation: Operation::Other(event_type.to_owned()),
        subject: Subject::Actor,
        what: "",
    });
    if kind.operation != Operation::Other(kinds::SECOND_FACTOR.to_owned()) {
        return kind;
    }
    let named = |name: &str, what| Kind { operation: Operation::Other(name.to_owned()), what, ..kind.clone() };
    if is_denied_push(event) {
        return named(kinds::PUSH_DENIED, kinds::PUSH_DENIED_WHAT);
    }
    // Identity Engine logs each factor in the same way, a password too.
    let words = [&event.debug_context.debug_data.factor, &event.authentication_context.credential_type];
    if words.into_iter().filter_map(|word| word.get()).any(|word| word.contains("PASSWORD")) {
        return named(kinds::FIRST_FACTOR, kinds::FIRST_FACTOR_WHAT);
    }
    kind
}

fn is_denied_push(event: &LogEvent<'_>) -> bool {
    let debug = &event.debug_context.debug_data;
    let answers = [&debug.push_only_response_type, &debug.push_with_number_challenge_response_type];
    event.outcome.result.get() == Some("FAILURE")
        && answers.into_iter().filter_map(|answer| answer.get()).any(|answer| PUSH_REFUSALS.contains(&answer))
}

/// Okta's result. What is neither a yes nor a no, words of later times included, is not decided.
fn outcome(event: &LogEvent<'_>, operation: &Operation) -> Outcome {
    if *operation == Operation::Other(kinds::PUSH_DENIED.to_owned()) {
        // Okta's Classic Engine calls it a success that somebody could deny.
        return Outcome::Failure;
    }
    match event.outcome.result.get() {
        Some("SUCCESS" | "ALLOW") => Outcome::Success,
        Some("FAILURE" | "DENY" | "RATE_LIMIT" | "ABANDONED" | "UNANSWERED") => Outcome::Failure,
        _ => Outcome::Pending,
    }
}

/// Whose account it is about: the party that the kind names, or else the other one.
fn subject<'a>(event: &'a LogEvent<'a>, wanted: Subject) -> Option<&'a Party<'a>> {
    let of_kind = |kind: &str| event.target.iter().find(|party| party.kind.get() == Some(kind));
    let is_somebody = |party: &&Party<'_>| !names(party).is_empty();
    let target = of_kind("User").or_else(|| of_kind("AppUser")).filter(is_somebody);
    // A machine or an application that acts is nobody whom a directory could know.
    let is_person = matches!(event.actor.kind.get(), Some("User") | None);
    let actor = Some(&event.actor.0).filter(|_| is_person).filter(is_somebody);
    match wanted {
        Subject::Actor => actor.or(target),
        Subject::Target => target.or(actor),
    }
}

fn names<'a>(party: &'a Party<'_>) -> Vec<&'a str> {
    let words = [party.id.get(), party.alternate_id.get()];
    let is_name = |name: &&str| !NOBODY.iter().any(|nobody| nobody.eq_ignore_ascii_case(name));
    words.into_iter().flatten().filter(is_name).collect()
}

/// The user's id and login. The id of an assignment to an application is no user's.
fn identities(party: &Party<'_>) -> Vec<String> {
    let is_assignment = party.kind.get() == Some("AppUser");
    names(party).into_iter().filter(|name| !is_assignment || Some(*name) != party.id.get()).map(str::to_owned).collect()
}

fn address(event: &LogEvent<'_>) -> Option<String> {
    let hop = || event.request.ip_chain.iter().find_map(|hop| hop.ip.get());
    event.client.ip_address.get().or_else(hop).map(str::to_owned)
}

fn user_agent(event: &LogEvent<'_>) -> Option<String> {
    let agent = &event.client.user_agent;
    agent.raw_user_agent.get().map(str::to_owned).or_else(|| joined([&agent.browser, &agent.os], ", "))
}

fn position(event: &LogEvent<'_>) -> Option<Position> {
    let place = &event.client.geographical_context.geolocation;
    Some(Position { latitude: place.lat.0?, longitude: place.lon.0? })
}

fn joined<'a, const N: usize>(words: [&'a crate::lenient::Word<'a>; N], between: &str) -> Option<String> {
    let words: Vec<&str> = words.into_iter().filter_map(|word| word.get()).collect();
    (!words.is_empty()).then(|| words.join(between))
}

fn application(event: &LogEvent<'_>) -> Option<String> {
    let instance = event.target.iter().find(|party| party.kind.get() == Some("AppInstance"))?;
    instance.display_name.get().or_else(|| instance.alternate_id.get()).map(str::to_owned)
}

/// One sentence: what, what came of it, and why.
fn detail(event: &LogEvent<'_>, kind: &Kind, application: Option<&str>) -> String {
    let what = match (&kind.operation, application) {
        (Operation::AppAccess, Some(application)) => format!("Sign-on to {application}"),
        _ if !kind.what.is_empty() => kind.what.to_owned(),
        _ => event.display_message.get().or_else(|| event.event_type.get()).unwrap_or("An event of Okta").to_owned(),
    };
    let result = event.outcome.result.get().map(|result| result.to_lowercase().replace('_', " "));
    let words = [result.as_deref(), event.outcome.reason.get()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    if words.is_empty() { format!("{what}.") } else { format!("{what}: {}.", words.join(", ")) }
}

/// What rules and analysts may want to know beyond the fields that every source has.
fn attributes(event: &LogEvent<'_>, event_type: &str, who: Option<&Party<'_>>, no_time: bool) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(24);
    let mut many = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            attributes.push(Attribute { name: name.to_owned(), values });
        }
    };
    let debug = &event.debug_context.debug_data;
    let judgement = Judgement::of(event);
    let answer = debug.push_with_number_challenge_response_type.get().or_else(|| debug.push_only_response_type.get());
    let one = |value: Option<&str>| value.map(str::to_owned).into_iter().collect::<Vec<_>>();
    many("event-type", one(Some(event_type)));
    many("result", one(event.outcome.result.get()));
    many("reason", one(event.outcome.reason.get()));
    many("severity", one(event.severity.get()));
    many("message", one(event.display_message.get()));
    many("factor", one(debug.factor.get()));
    many("push-answer", one(answer));
    many("engine", one(engine(event)));
    many("risk", one(judgement.level.as_deref()));
    many("risk-reason", judgement.reasons);
    many("behavior", judgement.behaviors);
    many("threat-suspected", one(debug.threat_suspected.get().filter(|text| *text == "true")));
    many("privilege", list(debug.privilege_granted.get()));
    many("case", one(debug.case_number.get()));
    many("proxy", one(event.security_context.is_proxy.get().filter(|text| *text == "true")));
    many("network", one(event.security_context.as_org.get().or_else(|| event.security_context.isp.get())));
    many("zone", one(event.client.zone.get()));
    many("device", one(event.device.name.get().or_else(|| event.device.id.get())));
    many("session", one(event.authentication_context.external_session_id.get()));
    many("root-session", one(event.authentication_context.root_session_id.get()));
    many("transaction", one(event.transaction.id.get()));
    many("job", one(event.transaction.kind.get().filter(|kind| *kind == "JOB")));
    let is_other = who.is_none_or(|who| who.id.get() != event.actor.id.get());
    many("actor", if is_other { party(&event.actor).into_iter().collect() } else { Vec::new() });
    let targets = event.target.iter().filter(|target| who.is_none_or(|who| who.id.get() != target.id.get()));
    many("target", targets.filter_map(party).take(20).collect());
    many("published", if no_time { one(Some(event.published.get().unwrap_or("missing"))) } else { Vec::new() });
    attributes
}

fn list(text: Option<&str>) -> Vec<String> {
    let parts = text.into_iter().flat_map(|text| text.split(','));
    parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Who somebody is, in one line: `UserGroup: Administrators`.
fn party(party: &Party<'_>) -> Option<String> {
    let name = party.display_name.get().or_else(|| party.alternate_id.get()).or_else(|| party.id.get())?;
    Some(format!("{}: {name}", party.kind.get().unwrap_or("Unknown")))
}

/// By which of Okta's two engines the sign-in was served, where the request tells.
fn engine(event: &LogEvent<'_>) -> Option<&'static str> {
    let path = event.debug_context.debug_data.request_uri.get()?;
    if path.starts_with("/idp/") {
        Some("identity")
    } else if path.starts_with("/api/v1/authn") {
        Some("classic")
    } else {
        None
    }
}
