//! How the page Service accounts looks.

use maud::{Markup, html};
use portcullis_core::AccountKind;
use portcullis_core::fence::{Fence, FenceProposal, Fences, Known, Part, SearchPlace, WeekHours};
use portcullis_core::policies::mode_name;
use portcullis_core::policy::Mode;
use portcullis_core::risk::KindProposal;

use super::SHOWN;
use crate::console::view::badge;
use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words::{self, Badge};

pub(super) fn page(
    kinds: &[KindProposal],
    fences: Option<&Fences>,
    signed_in: &SignedIn,
    refused: Option<&str>,
) -> Markup {
    html! {
        div.title {
            h1 { "Service accounts" }
            a.button.quiet.small href="/service-accounts" { "Look again" }
        }
        @if let Some(text) = refused { p.problem role="alert" { (text) } }
        section.part aria-labelledby="kinds-title" {
            h2 id="kinds-title" { "Seem to be something else " span.count { (counted(kinds.len(), "account", "accounts")) } }
            @if kinds.is_empty() {
                p.empty { "Every account behaves as what is known of it." }
            } @else {
                ul.cards { @for (number, one) in kinds.iter().take(SHOWN).enumerate() { li { (kind(number, one, signed_in)) } } }
            }
        }
        @if let Some(Fences { revision, proposals }) = fences {
            section.part aria-labelledby="fences-title" {
                h2 id="fences-title" { "Fences " span.count { (counted(proposals.len(), "service account", "service accounts")) } }
                p.hint {
                    "What an account is used for, as its behaviour tells. Accepted, the fence is a rule in front of the list of policies: what is "
                    "outside is an incident, and blocked where the rule is enforced. One click on the page " a href="/policy" { "Policy" }
                    " takes it back."
                }
                @if proposals.is_empty() {
                    p.empty { "No account that has been used is known to be a service account." }
                } @else {
                    ul.cards.connectors {
                        @for (number, one) in proposals.iter().take(SHOWN).enumerate() { li { (proposal(number, one, *revision, signed_in)) } }
                    }
                }
                p.hint.times { "All times are UTC." }
            }
        }
    }
}

/// How many there are, as far as they were counted.
fn counted(found: usize, one: &str, many: &str) -> String {
    if found > SHOWN {
        format!("more than {SHOWN} {many}, {SHOWN} shown")
    } else {
        words::count(found as u64, one, many)
    }
}

fn kind(number: usize, one: &KindProposal, signed_in: &SignedIn) -> Markup {
    let (what, value) = match one.kind {
        AccountKind::Service => ("a service account", "service"),
        _ => ("a person's account", "human"),
    };
    html! {
        article.connector aria-labelledby={ "kind-" (number) } {
            header { h3 id={ "kind-" (number) } { (one.login) } (badge(Badge { name: "recorded", icon: "?", word: "Proposed" }, "kind")) }
            p { "Seems to be " (what) "." }
            ul.plain { @for reason in &one.reasons { li { (reason) } } }
            form.actions method="post" action="/service-accounts/kind" {
                input type="hidden" name="csrf" value=(signed_in.csrf());
                input type="hidden" name="account" value=(one.account);
                button.button.small type="submit" name="kind" value=(value) {
                    "It is" span.unseen { " " (what) ": " (one.login) }
                }
                button.button.quiet.small type="submit" name="kind" value=(if value == "service" { "human" } else { "service" }) {
                    "It is not" span.unseen { " " (what) ": " (one.login) }
                }
            }
        }
    }
}

fn proposal(number: usize, one: &FenceProposal, revision: u64, signed_in: &SignedIn) -> Markup {
    html! {
        article.connector data-name=(state(one).name) aria-labelledby={ "fence-" (number) } {
            header { h3 id={ "fence-" (number) } { (one.login) } (badge(state(one), "fence")) }
            @if let Some(known) = &one.accepted {
                p {
                    "In the policy " (known.policy) ", mode " (mode_name(known.mode)) "."
                    @if !known.is_same && one.rule.is_some() { " What is proposed now is another one." }
                }
            }
            @match &one.fence {
                Err(why) => p { (why) },
                Ok(fence) => (parts(number, fence)),
            }
            @if let Some(rule) = &one.rule {
                details {
                    summary id={ "rule-" (number) } { "The rule" }
                    pre tabindex="0" aria-labelledby={ "rule-" (number) } { (pretty(rule)) }
                }
                form.actions method="post" action="/service-accounts/fence" {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    input type="hidden" name="account" value=(one.account);
                    input type="hidden" name="revision" value=(revision);
                    input type="hidden" name="seal" value=(one.seal);
                    button.button.small type="submit" name="mode" value="monitor" {
                        "Accept and watch" span.unseen { ": the fence of " (one.login) }
                    }
                    button.button.danger.small type="submit" name="mode" value="enforce" {
                        "Accept and enforce" span.unseen { ": the fence of " (one.login) }
                    }
                }
            }
        }
    }
}

fn state(one: &FenceProposal) -> Badge {
    match &one.accepted {
        Some(known) if known.mode == Mode::Enforce => Badge { name: "allow", icon: "✓", word: "Enforced" },
        Some(known) if known.mode == Mode::Monitor => Badge { name: "recorded", icon: "…", word: "Watched" },
        Some(_) => Badge { name: "refused", icon: "!", word: "Not in force" },
        None if one.rule.is_some() => Badge { name: "recorded", icon: "?", word: "Proposed" },
        None => Badge { name: "recorded", icon: "–", word: "None" },
    }
}

fn pretty(rule: &serde_json::Value) -> String {
    serde_json::to_string_pretty(rule).unwrap_or_else(|_| rule.to_string())
}

fn parts(number: usize, fence: &Fence) -> Markup {
    html! {
        dl.facts {
            (part("Machines", &fence.machines, |address| html! { (address) }))
            (part("Applications", &fence.applications, |name| html! { (name) }))
            (part("Hours of logins", &fence.hours, |hours| html! { (week(hours)) }))
            (part("Operations", &fence.operations, |kind| html! { (words::operation_kind(*kind)) }))
            (part("Filters", &fence.filters, |shape| html! { code { (shape) } }))
            (part("Places", &fence.places, place))
        }
        (left_out(number, fence))
    }
}

fn part<T>(title: &str, part: &Part<T>, word: impl Fn(&T) -> Markup) -> Markup {
    html! {
        div {
            dt { (title) }
            dd {
                @if part.allowed.is_empty() {
                    span.none { "Not asked for. " (part.why_not.as_deref().unwrap_or("None is known.")) }
                } @else {
                    ul.plain { @for known in &part.allowed { li { (word(&known.what)) " " span.hint { (seen(known)) } } } }
                }
            }
        }
    }
}

/// "412 times since 2026-11-02, last 2026-11-24".
fn seen<T>(known: &Known<T>) -> Markup {
    html! {
        (words::count(known.count, "time", "times"))
        @match known.first { Some(at) => { " since " (time(at, Show::Full)) }, None => " of late" }
        @if let Some(at) = known.last { ", last " (time(at, Show::Full)) }
    }
}

fn left_out(number: usize, fence: &Fence) -> Markup {
    let mut left: Vec<(Markup, &str)> = Vec::new();
    left.extend(fence.machines.left_out.iter().map(|one| (html! { (one.known.what) }, one.why.as_str())));
    left.extend(fence.applications.left_out.iter().map(|one| (html! { (one.known.what) }, one.why.as_str())));
    let operations = fence.operations.left_out.iter();
    left.extend(operations.map(|one| (html! { (words::operation_kind(one.known.what)) }, one.why.as_str())));
    left.extend(fence.filters.left_out.iter().map(|one| (html! { code { (one.known.what) } }, one.why.as_str())));
    left.extend(fence.places.left_out.iter().map(|one| (place(&one.known.what), one.why.as_str())));
    html! {
        @if !left.is_empty() {
            details {
                summary id={ "left-" (number) } { "Left out (" (left.len()) ")" }
                ul.plain { @for (what, why) in &left { li { (what) ": " (why) } } }
            }
        }
    }
}

fn place(place: &SearchPlace) -> Markup {
    html! {
        @if place.dn.is_empty() { "the root entry" } @else { code { (place.dn) } }
        @if place.below { " and below" }
    }
}

fn week(hours: &WeekHours) -> String {
    let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let days: Vec<_> = hours.days.iter().filter_map(|day| names.get(usize::from(*day)).copied()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(" ") };
    format!("{days}, {:02}:00 to {:02}:00", hours.from, hours.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_are_shown_are_not_counted() {
        assert_eq!(counted(1, "account", "accounts"), "1 account");
        assert_eq!(counted(SHOWN, "account", "accounts"), "100 accounts");
        assert_eq!(counted(SHOWN + 1, "account", "accounts"), "more than 100 accounts, 100 shown");
    }
}
