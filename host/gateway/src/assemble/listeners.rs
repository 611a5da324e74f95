//! What is listened on, from the configuration: sockets of LDAP, challenge page and console.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::ListenerName;
use portcullis_ldap::{BindRules, Limits, Listener, Mode, OpaqueSasl, Referrals};
use portcullis_tls::{Authority, ClientCertificates, MinVersion, ServerFiles, TlsError, server_config};
use portcullis_web::WebOptions;

use crate::certificates::Certificates;
use crate::config::{self, Config, ListenerTls, Problem, TlsMin};

/// The sockets of LDAP, in their order.
pub(crate) fn listeners(config: &Config, certificates: &mut Certificates) -> Result<Vec<Listener>, Problem> {
    let items = config.listeners.iter().enumerate();
    let made = items.map(|(index, item)| {
        let position = index.to_string();
        let mut made = listener(&position, item, certificates)?;
        made.referrals = referrals(&config.directory, &position, item)?.map(Arc::new);
        Ok(made)
    });
    made.collect()
}

fn referrals(
    directory: &config::Directory,
    position: &str,
    item: &config::Listener,
) -> Result<Option<Referrals>, Problem> {
    let gateway = item.gateway_url().transpose();
    let gateway = gateway.map_err(|text| Problem::new(["listener", position, "rewrite-referrals"], text))?;
    let Some(gateway) = gateway else { return Ok(None) };
    let servers = directory.addresses().map_err(|text| Problem::new(["directory", "url"], text))?;
    let own = directory.own_names.iter().chain(servers.iter().map(|server| &server.host));
    Ok(Some(Referrals::new(own, gateway)))
}

fn listener(position: &str, item: &config::Listener, certificates: &mut Certificates) -> Result<Listener, Problem> {
    let tls = match item.certificate.as_ref().zip(item.key.as_ref()) {
        None => None,
        Some((certificate, key)) => {
            let clients = client_certificates(item)
                .map_err(|text| Problem::new(["listener", position, "client-certificates"], text))?;
            let files = ServerFiles { clients, at_least: at_least(item.tls_min), ..ServerFiles::new(certificate, key) };
            let (position, item) = (position.to_owned(), item.clone());
            Some(certificates.add(move || {
                server_config(&files)
                    .map_err(|error| Problem::new(["listener", &position, setting(&error, &item)], error.to_string()))
            })?)
        }
    };
    let mode = match (item.tls, tls) {
        (ListenerTls::Ldaps, Some(tls)) => Mode::Ldaps(tls),
        (ListenerTls::StartTls, Some(tls)) => Mode::Plain { starttls: Some(tls) },
        (ListenerTls::None, None) => Mode::Plain { starttls: None },
        _ => return Err(Problem::new(["listener", position, "tls"], "does not go with the certificate and key")),
    };
    // The address of a socket that is handed over is known when it is there.
    let address = item.address.socket().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    let mut listener = Listener::new(ListenerName::new(&item.name), address, mode);
    listener.proxy_protocol_from.clone_from(&item.proxy_protocol_from);
    listener.rules = BindRules {
        allow_unauthenticated_bind: item.allow_unauthenticated_bind,
        opaque_sasl: if item.relay_opaque_sasl { OpaqueSasl::Relay } else { OpaqueSasl::Refuse },
        require_tls: item.require_tls,
        allow_cleartext_passwords: item.allow_cleartext_passwords,
        appended_codes: item.appended_codes.clone(),
    };
    listener.limits = limits(item);
    Ok(listener)
}

fn limits(item: &config::Listener) -> Limits {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    Limits {
        connections: item.connections,
        connections_per_address: item.connections_per_address,
        handshake_timeout: seconds(item.handshake_seconds),
        first_message_timeout: seconds(item.first_message_seconds),
        message_timeout: seconds(item.message_seconds),
        idle_timeout: item.idle_seconds.map(seconds),
        operation_timeout: Some(item.operation_seconds).filter(|seconds| *seconds > 0).map(seconds),
        search_timeout: item.search_seconds.map(seconds),
        outstanding: item.outstanding_operations,
        waiting_octets: item.waiting_kib.saturating_mul(1 << 10),
        request_size: item.request_mib.saturating_mul(1 << 20),
        anonymous_request_size: item.anonymous_request_kib.saturating_mul(1 << 10),
        answer_size: item.answer_mib.saturating_mul(1 << 20),
        large_messages: item.large_messages_mib.saturating_mul(1 << 20),
        drain: seconds(item.drain_seconds),
        ..Limits::default()
    }
}

pub(super) fn at_least(version: TlsMin) -> MinVersion {
    match version {
        TlsMin::V12 => MinVersion::Tls12,
        TlsMin::V13 => MinVersion::Tls13,
    }
}

/// The setting that names the file in which something is wrong.
fn setting(error: &TlsError, item: &config::Listener) -> &'static str {
    match error.path() {
        Some(path) if item.client_ca.as_deref() == Some(path) => "client-ca",
        Some(path) if item.client_crl.as_deref() == Some(path) => "client-crl",
        Some(path) if item.key.as_deref() == Some(path) => "key",
        _ => "certificate",
    }
}

fn client_certificates(item: &config::Listener) -> Result<ClientCertificates, &'static str> {
    let authority = item.client_ca.clone().map(|ca| Authority { ca, crl: item.client_crl.clone() });
    match (item.client_certificates, authority) {
        (config::ClientCertificates::None, _) => Ok(ClientCertificates::None),
        (config::ClientCertificates::Asked, Some(authority)) => Ok(ClientCertificates::Asked(authority)),
        (config::ClientCertificates::Required, Some(authority)) => Ok(ClientCertificates::Required(authority)),
        (_, None) => Err("needs `client-ca`"),
    }
}

/// How challenge page and console are served.
pub(crate) fn web(config: &Config, certificates: &mut Certificates) -> Result<WebOptions, Problem> {
    let web = &config.web;
    let files = web.certificate.as_ref().zip(web.key.as_ref());
    let tls = files.map(|(certificate, key)| {
        let files = ServerFiles::new(certificate, key);
        certificates
            .add(move || server_config(&files).map_err(|error| Problem::new(["web", "certificate"], error.to_string())))
    });
    let token = web.notify_token.as_ref().map(config::secret).transpose();
    let notify_token = token.map_err(|text| Problem::new(["web", "notify-token"], text))?;
    Ok(WebOptions { tls: tls.transpose()?, public_url: web.public_url.clone(), notify_token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_the_console_that_is_none_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file.pem"), "something").unwrap();
        let mut config = config::example(folder.path());
        assert!(web(&config, &mut Certificates::default()).unwrap().tls.is_none());
        let file = folder.path().join("file.pem");
        (config.web.certificate, config.web.key) = (Some(file.clone()), Some(file));
        let problem = web(&config, &mut Certificates::default()).err().unwrap();
        assert_eq!(problem.path, ["web", "certificate"]);
    }
}
