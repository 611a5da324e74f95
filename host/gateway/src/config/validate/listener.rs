//! Listeners.

use super::file;
use crate::config::model::{ClientCertificates, Listener, ListenerTls, TlsMin};
use crate::config::problem::Problem;

pub(super) fn validate(problems: &mut Vec<Problem>, position: &str, listener: &Listener) {
    settings(problems, position, listener);
    client_certificates(problems, position, listener);
}

fn settings(problems: &mut Vec<Problem>, position: &str, listener: &Listener) {
    let mut at = |key: &str, text: &str| problems.push(Problem::new(["listener", position, key], text));
    if listener.proxy_protocol_from.iter().any(|network| network.prefix_len() == 0) {
        at("proxy-protocol-from", "would let every client choose its address: name the load balancers' own networks");
    }
    let amounts = [
        ("connections", listener.connections),
        ("connections-per-address", listener.connections_per_address),
        ("request-mib", listener.request_mib),
        ("anonymous-request-kib", listener.anonymous_request_kib),
        ("answer-mib", listener.answer_mib),
        ("large-messages-mib", listener.large_messages_mib),
        ("outstanding-operations", listener.outstanding_operations),
        ("waiting-kib", listener.waiting_kib),
    ];
    amounts
        .iter()
        .filter(|(_, amount)| *amount == 0)
        .for_each(|(key, _)| at(key, "is 0, with which nothing would work"));
    for (key, time) in [
        ("handshake-seconds", listener.handshake_seconds),
        ("first-message-seconds", listener.first_message_seconds),
        ("message-seconds", listener.message_seconds),
    ] {
        if time == 0 {
            at(key, "is 0, with which nobody could connect");
        }
    }
    for (key, time) in [("idle-seconds", listener.idle_seconds), ("search-seconds", listener.search_seconds)] {
        if time == Some(0) {
            at(key, "is 0: leave it out where there is to be no limit");
        }
    }
    if let Some(delimiter) = &listener.appended_codes
        && (!(1..=8).contains(&delimiter.len()) || delimiter.contains(|c: char| c.is_alphanumeric() || c.is_control()))
    {
        at("appended-codes", "has to be 1 to 8 octets that are neither letters nor digits, for example \",\"");
    }
    if let Some(Err(text)) = listener.gateway_url() {
        at(
            "rewrite-referrals",
            &format!("{text}; give the address at which clients reach this listener, and nothing behind it"),
        );
    }
    if listener.tls == ListenerTls::None && listener.tls_min != TlsMin::default() {
        at("tls-min", "is about TLS, which tls = \"none\" leaves out: set \"start-tls\" or \"ldaps\", or leave it out");
    }
    if listener.allow_cleartext_passwords && (listener.tls != ListenerTls::StartTls || listener.require_tls) {
        at(
            "allow-cleartext-passwords",
            "goes with tls = \"start-tls\" without require-tls; elsewhere it changes nothing: leave it out",
        );
    }
    match (listener.tls, &listener.certificate, &listener.key) {
        (ListenerTls::None, None, None) if listener.require_tls => {
            at("require-tls", "cannot be met with tls = \"none\": use \"start-tls\" or \"ldaps\"");
        }
        (ListenerTls::None, None, None) => {}
        (ListenerTls::Ldaps, ..) if listener.require_tls => {
            at("require-tls", "goes with tls = \"start-tls\"; with \"ldaps\" there is nothing but TLS: leave it out");
        }
        (ListenerTls::None, ..) => {
            at("tls", "is \"none\", yet there is a certificate or key: set \"start-tls\" or \"ldaps\"");
        }
        (_, Some(certificate), Some(key)) => {
            file(problems, &["listener", position, "certificate"], certificate);
            file(problems, &["listener", position, "key"], key);
        }
        (_, None, _) => at("tls", "needs `certificate`, a PEM file with the certificate and those that vouch for it"),
        (_, _, None) => at("tls", "needs `key`, a PEM file with the certificate's private key"),
    }
}

fn client_certificates(problems: &mut Vec<Problem>, position: &str, listener: &Listener) {
    let at = |key: &str, text: &str| Problem::new(["listener", position, key], text);
    let asked = listener.client_certificates != ClientCertificates::None;
    if asked && listener.tls == ListenerTls::None {
        problems.push(at("client-certificates", "are shown over TLS: set tls = \"start-tls\" or \"ldaps\""));
    }
    if asked && listener.tls == ListenerTls::StartTls && !listener.require_tls {
        let required = listener.client_certificates == ClientCertificates::Required;
        if required {
            let text = "is \"required\", yet whoever leaves StartTLS out shows none: set require-tls = true";
            problems.push(at("client-certificates", text));
        }
    }
    match (&listener.client_ca, &listener.client_crl) {
        (None, _) if asked => {
            let text = "needs `client-ca`, a PEM file with the certificate authorities that vouch for clients";
            problems.push(at("client-certificates", text));
        }
        (Some(_), _) if !asked => {
            let text =
                "is used with client-certificates = \"asked\" or \"required\" only: set one of them, or leave it out";
            problems.push(at("client-ca", text));
        }
        (None, Some(_)) => {
            problems.push(at("client-crl", "goes with client-certificates and client-ca: add them, or leave it out"));
        }
        _ => {}
    }
    for (key, path) in [("client-ca", &listener.client_ca), ("client-crl", &listener.client_crl)] {
        if let Some(path) = path {
            file(problems, &["listener", position, key], path);
        }
    }
}
