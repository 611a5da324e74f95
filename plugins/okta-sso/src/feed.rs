//! The System Log as a feed (Okta, "System Log query", polling requests).
//!
//! A polling request has a beginning, no end, and goes upwards. Okta orders such pages by the time at which it stored the
//! events, so that late ones are among them, and always names the next page, behind an empty one too. That link is the only
//! thing that leads on without loss: a time of our own making would skip what arrives late.

use okta::contract::portcullis::gateway::http::Method;
use okta::contract::portcullis::gateway::log::Level;
use okta::{Answer, Client, Fault, Host, dates};
use serde_json::value::RawValue;

use crate::contract::exports::portcullis::gateway::connector::ConnectorError;
use crate::contract::exports::portcullis::gateway::event_source::Batch;
use crate::cursor::Cursor;
use crate::mapping;
use crate::settings::Settings;

/// Events of a page: the most that Okta gives.
const PAGE: usize = 1_000;
const MS_PER_MINUTE: u64 = 60_000;
const MS_PER_DAY: u64 = 86_400_000;
/// Okta keeps so much; asking for far more is an error.
const KEPT_DAYS: u64 = 90;

/// Fetches the next page.
///
/// # Errors
/// Okta, the network or the settings do not let us; the same cursor can be tried again.
pub fn poll(host: &impl Host, settings: &Settings, cursor: Option<&str>) -> Result<Batch, ConnectorError> {
    let client = settings.client(host);
    let known = cursor.and_then(Cursor::read);
    if cursor.is_some() && known.is_none() {
        host.log(Level::Warn, "the stored place in the log is not one of this connector; reading from the beginning");
    }
    let (answer, read_to) = match &known {
        Some(known) => (go_on(host, settings, &client, known)?, known.read_to),
        None => {
            let since = back(host.now(), u64::from(settings.history_days), MS_PER_DAY);
            (from(&client, since)?, since)
        }
    };
    Ok(batch(host, settings, &answer, read_to)?)
}

/// Follows the link. Where Okta no longer takes it, goes back to where the log had been read to, and a little further:
/// what comes twice is stored once.
fn go_on<H: Host>(host: &H, settings: &Settings, client: &Client<'_, H>, known: &Cursor) -> Result<Answer, Fault> {
    if let Some(link) = known.link(&settings.base) {
        match client.follow(Method::Get, link, Vec::new()) {
            Err(Fault::Protocol(why) | Fault::Misconfigured(why)) => lost(host, &why),
            Err(Fault::NotFound) => lost(host, "HTTP 404"),
            Err(Fault::Refused(code)) => lost(host, &code),
            answer_or_fault => return answer_or_fault,
        }
    } else {
        lost(host, "there is no link inside the organisation to go on from");
    }
    let oldest = back(host.now(), KEPT_DAYS, MS_PER_DAY);
    let since = back(known.read_to, u64::from(settings.overlap_minutes), MS_PER_MINUTE);
    from(client, since.max(oldest))
}

fn lost(host: &impl Host, why: &str) {
    host.log(
        Level::Warn,
        &format!("the place in the System Log is lost ({why}); going back and reading some of it again"),
    );
}

fn back(from: u64, count: u64, unit: u64) -> u64 {
    from.saturating_sub(count.saturating_mul(unit))
}

fn from<H: Host>(client: &Client<'_, H>, since: u64) -> Result<Answer, Fault> {
    let since = dates::iso_text(since).replace(':', "%3A");
    client.get(&format!("/api/v1/logs?since={since}&sortOrder=ASCENDING&limit={PAGE}"))
}

fn batch(host: &impl Host, settings: &Settings, answer: &Answer, read_to: u64) -> Result<Batch, Fault> {
    let next = answer.next_page();
    if next.is_some_and(|link| !settings.base.leads_to(link)) {
        let text = "Okta's answer names a next page outside the organisation; nothing of it is used".to_owned();
        return Err(Fault::Protocol(text));
    }
    let text = String::from_utf8_lossy(answer.body());
    let page: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Fault::Protocol(format!("Okta's page of the System Log is not a list of events, at {place}"))
    })?;
    let clock = answer.date().unwrap_or_else(|| host.now());
    let events: Vec<_> = page.iter().filter_map(|event| mapping::read(event.get(), clock)).collect();
    let unreadable = page.len().saturating_sub(events.len());
    if unreadable > 0 {
        host.log(Level::Warn, &format!("{unreadable} entries of the System Log have no id and were left out"));
    }
    let is_full = page.len() >= PAGE;
    // Behind a full page there is more; what Okta stored before its last event has come. A short page is the end of the log.
    let newest = events.iter().map(|event| event.at).filter(|at| *at <= clock).max().unwrap_or(read_to);
    let read_to = if is_full { newest.max(read_to) } else { clock.max(read_to) };
    let cursor = Cursor { next: next.map(str::to_owned), read_to };
    Ok(Batch {
        events,
        cursor: cursor.text().map_err(|error| Fault::Protocol(format!("the cursor cannot be written: {error}")))?,
        poll_after_ms: pause(settings, answer, is_full),
        complete_to: Some(read_to),
    })
}

/// How long to leave Okta alone: until the next window where the log's share of this one is used up; not at all where more is
/// waiting; for the usual time otherwise.
fn pause(settings: &Settings, answer: &Answer, is_full: bool) -> u32 {
    let usual = if is_full { 0 } else { settings.poll_seconds.saturating_mul(1_000) };
    let Some(budget) = answer.budget() else { return usual };
    let used = budget.limit.saturating_sub(budget.remaining).saturating_mul(100);
    let share = budget.limit.saturating_mul(u64::from(settings.log_share));
    if used >= share { usual.max(budget.renewed_in_ms) } else { usual }
}
