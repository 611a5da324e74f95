//! Everything that is on record about one access.

use maud::{Markup, html};
use portcullis_core::cloud::Foreign;
use portcullis_core::event::{AccessEvent, RecordedChallenge, RecordedRuling};
use portcullis_core::{Access, Account, ClientCertificate, Endpoint, Protection, Signal};

use crate::time::{Show, time};
use crate::words;

pub(super) fn access(event: &AccessEvent) -> Markup {
    let access = &event.access;
    html! {
        div.details {
            (facts(event))
            @if let Some(told) = &event.foreign { (foreign(told)) }
            (list("Signals", "Nothing was noticed.", &access.signals, signal))
            (list("Rulings", "No policy was asked.", &event.rulings, ruling))
            (list("Challenges", "No second factor was asked for.", &event.challenges, challenge))
        }
    }
}

fn facts(event: &AccessEvent) -> Markup {
    let access = &event.access;
    html! {
        section {
            h3 { "Access" }
            dl.facts {
                @if let Some(of) = &access.account { div { dt { "Account" } dd { (account(of)) } } }
                @if let Some(of) = &access.endpoint { div { dt { "Machine" } dd { (endpoint(of)) } } }
                @if let Some(of) = &access.protection { div { dt { "Connection" } dd { (protection(of)) } } }
                @if let Some(certificate) = certificate(access) {
                    div { dt { "Certificate" } dd {
                        (certificate.subject)
                        @for name in &certificate.alternative_names { " · " (name) }
                        " · SHA-256 " code { (certificate.fingerprint) }
                    } }
                }
                @if let Some(entry) = &access.target.entry { div { dt { "Entry" } dd { (entry) } } }
                @if let Some(detail) = words::operation_detail(&access.operation) {
                    div { dt { "Request" } dd { (detail) } }
                }
                @if let Some(code) = event.directory_result {
                    div { dt { "Directory" } dd { "answered " (code) @if code == 0 { " (success)" } } }
                }
                div { dt { "Source" } dd { (access.source) } }
                div { dt { "Event" } dd { code { (access.id) } } }
            }
        }
    }
}

/// What a cloud service told.
fn foreign(told: &Foreign) -> Markup {
    html! {
        section {
            h3 { "At the service" }
            dl.facts {
                @if !told.detail.is_empty() { div { dt { "What" } dd { (told.detail) } } }
                @if let Some(place) = &told.place { div { dt { "Place" } dd {
                    (place)
                    @if let Some(at) = &told.position { " (" (format!("{:.2}, {:.2}", at.latitude, at.longitude)) ")" }
                } } }
                @if let Some(client) = &told.user_agent { div { dt { "Client" } dd { (client) } } }
                @if let Some(account) = &told.account { div { dt { "Account there" } dd { code { (account) } } } }
                @for attribute in &told.attributes {
                    div { dt { (attribute.name) } dd { (attribute.values.join(", ")) } }
                }
                div { dt { "Heard of" } dd { (time(told.received_at, Show::Full)) } }
                @if let Some(event) = &told.follows { div { dt { "Follows from" } dd { code { (event) } } } }
                div { dt { "Event there" } dd { code { (told.id) } } }
            }
        }
    }
}

fn account(account: &Account) -> Markup {
    html! {
        (account.dn.as_deref().unwrap_or(account.id.as_str()))
        " · " (words::account_kind(account.kind))
        @if account.privileged { " · privileged" }
        " · risk " (account.risk)
    }
}

fn endpoint(endpoint: &Endpoint) -> Markup {
    html! {
        (endpoint.address)
        @if let Some(site) = &endpoint.site { " · site " (site) }
        @if endpoint.shared { " · shared" }
        @if endpoint.associated { " · used before" } @else { " · new for this account" }
        " · risk " (endpoint.risk)
    }
}

fn protection(protection: &Protection) -> Markup {
    html! {
        @match protection {
            Protection::Cleartext => "in clear text",
            Protection::Tls(tls) => { (tls.version) " · " (tls.cipher_suite) }
        }
    }
}

fn certificate(access: &Access) -> Option<&ClientCertificate> {
    match access.protection.as_ref()? {
        Protection::Tls(tls) => tls.client_certificate.as_ref(),
        Protection::Cleartext => None,
    }
}

fn list<T>(title: &str, none: &str, items: &[T], item: impl Fn(&T) -> Markup) -> Markup {
    html! {
        section {
            h3 { (title) }
            @if items.is_empty() { p.none { (none) } } @else {
                ul { @for one in items { li { (item(one)) } } }
            }
        }
    }
}

fn signal(signal: &Signal) -> Markup {
    html! { strong { (signal.name) } " (" (signal.score) ") " (signal.reason) }
}

fn ruling(ruling: &RecordedRuling) -> Markup {
    html! {
        strong { (ruling.policy) } " (" (words::mode(ruling.mode)) "): "
        em { (words::verdict(&ruling.verdict)) } " – " (ruling.reason)
        @for effect in &ruling.effects { br; "→ " (words::effect(effect)) }
        @if let Some(fault) = &ruling.fault { br; span.fault { "Fault: " (fault) } }
    }
}

fn challenge(challenge: &RecordedChallenge) -> Markup {
    html! {
        strong { (challenge.connector) } ": " em { (words::challenge_outcome(challenge.outcome)) }
        @if challenge.remembered { " (remembered)" }
        " after " (format!("{:.1}", f64::from(u32::try_from(challenge.waited_ms).unwrap_or(u32::MAX)) / 1_000.0)) " s"
        @if !challenge.detail.is_empty() { " – " (challenge.detail) }
    }
}
