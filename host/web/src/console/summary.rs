//! Operations that were summed up: one line, and the numbers behind it.

use maud::{Markup, html};
use portcullis_core::OperationKind;
use portcullis_core::summary::{MOST_BASES, ResultCount, SessionSummary, Tally};

use super::view::badge;
use crate::time::{Show, minute, time};
use crate::words::{self, Badge};

pub(super) fn rows(summary: &SessionSummary) -> Markup {
    let summed_up = Badge { name: "summary", icon: "Σ", word: "Summed up" };
    html! {
        tbody.summary id={ "event-" (summary.id) } {
            tr {
                td data-label="Time" { (time(summary.to, Show::Full)) }
                td data-label="Account" {
                    @match &summary.account {
                        Some(account) => strong { (account.login) },
                        None => span.none { "nobody" },
                    }
                }
                td data-label="Machine" { (machine(summary)) }
                td data-label="Application" { (summary.application) }
                td data-label="Operation" { (operations(&summary.tally)) }
                td data-label="Decision" { (badge(summed_up, "decision")) }
                td data-label="Policy" { span.none { "none" } }
            }
            tr.why {
                td colspan="7" {
                    details data-key=(summary.id) {
                        summary id={ "why-" (summary.id) } { (sentence(summary)) }
                        (details(summary))
                    }
                }
            }
        }
    }
}

fn machine(summary: &SessionSummary) -> Markup {
    let endpoint = &summary.endpoint;
    html! {
        @match &endpoint.name {
            Some(name) => span title=(endpoint.address) { (name) },
            None => (endpoint.address),
        }
    }
}

fn operations(tally: &Tally) -> Markup {
    html! {
        @if tally.operations.is_empty() { "Answers only" }
        @for (place, (kind, count)) in tally.operations.iter().enumerate() {
            @if place > 0 { ", " }
            (words::operation_kind(*kind)) @if *count > 1 { "\u{a0}×" (words::number(*count)) }
        }
    }
}

/// "alice read 1,204 times (3 bases, 12,000 entries) between 10:01 and 10:02 from alice-laptop."
fn sentence(summary: &SessionSummary) -> Markup {
    let who = summary.account.as_ref().map_or("Somebody without an account", |account| &account.login);
    let same_minute = minute(summary.from) == minute(summary.to);
    html! {
        (who) " " (what(&summary.tally))
        @if same_minute { " at " } @else { " between " (time(summary.from, Show::Minute)) " and " }
        (time(summary.to, Show::Minute)) " from " (machine(summary))
        @if summary.connections > 1 { " over " (words::number(summary.connections)) " connections" }
        "."
    }
}

fn what(tally: &Tally) -> String {
    let of = |kind| tally.operations.get(&kind).copied().unwrap_or(0);
    let reads = of(OperationKind::Search).saturating_add(of(OperationKind::Compare));
    let others = tally.total().saturating_sub(reads);
    let entries = (tally.entries > 0).then(|| words::count(tally.entries, "entry", "entries"));
    let failed = tally.failures.iter().fold(0_u64, |sum, failure| sum.saturating_add(failure.count));
    let failed = (failed > 0).then(|| format!("{} without success", words::number(failed)));
    let brackets: Vec<String> = [bases(tally), entries.clone(), failed].into_iter().flatten().collect();
    let brackets = if brackets.is_empty() { String::new() } else { format!(" ({})", brackets.join(", ")) };
    let requests = |other| words::count(others, &format!("{other}request"), &format!("{other}requests"));
    match (reads, others) {
        (0, 0) => format!("went on receiving answers{brackets}"),
        (0, _) => format!("sent {}{brackets}", requests("")),
        (1, 0) => format!("read once{brackets}"),
        (_, 0) => format!("read {} times{brackets}", words::number(reads)),
        (1, _) => format!("read once{brackets} and sent {}", requests("other ")),
        _ => format!("read {} times{brackets} and sent {}", words::number(reads), requests("other ")),
    }
}

fn bases(tally: &Tally) -> Option<String> {
    match tally.bases.len() {
        0 => None,
        1 => Some("1 base".to_owned()),
        some if some < MOST_BASES => Some(format!("{some} bases")),
        many => Some(format!("{many} bases or more")),
    }
}

fn details(summary: &SessionSummary) -> Markup {
    let (endpoint, tally) = (&summary.endpoint, &summary.tally);
    html! {
        div.details {
            section {
                h3 { "Who and from where" }
                dl.facts {
                    @if let Some(of) = &summary.account {
                        div {
                            dt { "Account" }
                            dd { (of.dn.as_deref().unwrap_or(of.id.as_str())) " · " (words::account_kind(of.kind)) }
                        }
                    }
                    div {
                        dt { "Machine" }
                        dd { (endpoint.address) @if let Some(site) = &endpoint.site { " · site " (site) } }
                    }
                    div { dt { "Listener" } dd { (summary.listener) } }
                    div {
                        dt { "Over" }
                        dd {
                            @match &summary.client {
                                Some(client) => (client),
                                None => (words::count(summary.connections, "connection", "connections")),
                            }
                        }
                    }
                    div { dt { "From" } dd { (time(summary.from, Show::Full)) } }
                    div { dt { "To" } dd { (time(summary.to, Show::Full)) } }
                    div { dt { "Event" } dd { code { (summary.id) } } }
                }
            }
            section {
                h3 { "Requests and answers" }
                dl.facts {
                    @for (kind, count) in &tally.operations {
                        div { dt { (words::operation_kind(*kind)) } dd { (words::number(*count)) } }
                    }
                    div { dt { "Entries" } dd { (words::number(tally.entries)) } }
                    div { dt { "Octets" } dd { (words::number(tally.octets)) } }
                    @if !tally.failures.is_empty() {
                        div { dt { "No success" } dd { @for one in &tally.failures { div { (failure(*one)) } } } }
                    }
                }
            }
            section {
                h3 { "Bases" }
                @if tally.bases.is_empty() { p.none { "Nothing was searched." } } @else {
                    ul {
                        @for base in &tally.bases {
                            li { @if base.is_empty() { span.none { "the root" } } @else { (base) } }
                        }
                        @if tally.bases.len() >= MOST_BASES { li.none { "There may be more." } }
                    }
                }
            }
        }
    }
}

fn failure(failure: ResultCount) -> String {
    let count = words::number(failure.count);
    match failure.code {
        None => format!("other codes ×{count}"),
        Some(code) => match words::result_code(code) {
            Some(name) => format!("{name} ({code}) ×{count}"),
            None => format!("{code} ×{count}"),
        },
    }
}
