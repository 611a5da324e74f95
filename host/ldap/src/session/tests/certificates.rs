//! Certificates of clients.

use std::sync::Arc;

use portcullis_core::OperationKind;
use portcullis_tls::{Authority, ClientCertificates, ServerFiles, server_config};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair,
    date_time_ymd,
};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::decode::START_TLS;
use crate::frame::op;
use crate::listener::Mode;
use crate::tls::ServerTls;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// An authority that vouches for the listener and for clients.
struct World {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl World {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A list of nobody, out of date from the beginning of that year on.
    fn revocations(&self, until: i32) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn listener(&self, clients: impl Fn(Authority) -> ClientCertificates) -> ServerTls {
        let file = |name: &str| self.folder.path().join(name);
        let (certificate, key) = self.issue("localhost");
        std::fs::write(file("server.pem"), certificate.pem()).unwrap();
        std::fs::write(file("server.key"), key.serialize_pem()).unwrap();
        let clients = clients(Authority { ca: file("ca.pem"), crl: None });
        let files = ServerFiles { clients, ..ServerFiles::new(file("server.pem"), file("server.key")) };
        watch::channel(server_config(&files).unwrap()).1
    }

    /// A client that trusts the authority, and shows what `of` has issued.
    fn client(&self, version: &'static SupportedProtocolVersion, of: Option<&Self>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let config = config.with_root_certificates(roots);
        Arc::new(match of {
            None => config.with_no_client_auth(),
            Some(world) => {
                let (certificate, key) = world.issue("web-1");
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                config.with_client_auth_cert(vec![certificate.der().clone()], key.into()).unwrap()
            }
        })
    }
}

async fn connect(bench: &Bench, config: &Arc<ClientConfig>) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, bench.client().await.stream).await?;
    Ok(Peer::new(stream))
}

/// Asks something; what the gate is told of the certificate, and which handshake it was.
async fn shown(bench: &mut Bench, mut client: Peer<TlsStream<TcpStream>>) -> (Option<String>, Option<HandshakeKind>) {
    client.send(&search(1, "dc=a")).await;
    let question = bench.question().await;
    let tls = question.asked.connection.tls.clone().expect("TLS is there");
    question.refuse("no");
    assert_eq!(client.result().await, (1, op::SEARCH_DONE, 50));
    (tls.client_certificate.clone().map(|certificate| certificate.subject), client.stream.get_ref().1.handshake_kind())
}

/// The alert may come within the handshake (TLS 1.2) or as the first thing that is read (TLS 1.3).
async fn alert(bench: &Bench, config: &Arc<ClientConfig>) -> String {
    use tokio::io::AsyncReadExt as _;
    match connect(bench, config).await {
        Err(error) => error.to_string(),
        Ok(mut client) => client.stream.read_u8().await.expect_err("nothing is served").to_string(),
    }
}

#[tokio::test]
async fn what_a_client_shows_is_told_with_each_access_and_proved_on_each_connection() {
    let world = World::new("ours");
    let mode = Mode::Ldaps(world.listener(ClientCertificates::Required));
    let mut bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
    for version in VERSIONS {
        let config = world.client(version, Some(&world));
        for _ in 0..2 {
            let client = connect(&bench, &config).await.unwrap();
            let expected = (Some("CN=web-1,O=Acme\\2C Inc.".to_owned()), Some(HandshakeKind::Full));
            assert_eq!(shown(&mut bench, client).await, expected, "{version:?}");
        }
    }
}

#[tokio::test]
async fn who_shows_none_where_one_is_required_gets_an_alert() {
    let (world, other) = (World::new("ours"), World::new("theirs"));
    let mode = Mode::Ldaps(world.listener(ClientCertificates::Required));
    let bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
    let none = alert(&bench, &world.client(&TLS13, None)).await;
    assert!(none.contains("CertificateRequired"), "{none}");
    let none = alert(&bench, &world.client(&TLS12, None)).await;
    assert!(none.contains("alert"), "{none}");
    for version in VERSIONS {
        let foreign = alert(&bench, &world.client(version, Some(&other))).await;
        assert!(foreign.contains("UnknownCA"), "{foreign}");
    }
    bench.no_connection().await;
}

#[tokio::test]
async fn who_is_only_asked_may_show_none_but_not_a_foreign_one() {
    let (world, other) = (World::new("ours"), World::new("theirs"));
    let mode = Mode::Ldaps(world.listener(ClientCertificates::Asked));
    let mut bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
    for version in VERSIONS {
        let client = connect(&bench, &world.client(version, None)).await.unwrap();
        assert_eq!(shown(&mut bench, client).await, (None, Some(HandshakeKind::Full)));
        let foreign = alert(&bench, &world.client(version, Some(&other))).await;
        assert!(foreign.contains("UnknownCA"), "{foreign}");
    }
}

#[tokio::test]
async fn a_revocation_list_that_says_nothing_about_a_certificate_vouches_for_nobody() {
    let (world, other) = (World::new("ours"), World::new("theirs"));
    let with = |list: String| {
        let crl = world.folder.path().join("crl.pem");
        std::fs::write(&crl, list).unwrap();
        Mode::Ldaps(
            world.listener(|authority| ClientCertificates::Required(Authority { crl: Some(crl.clone()), ..authority })),
        )
    };
    let config = world.client(&TLS13, Some(&world));
    let mut current = Bench::with(&[OperationKind::Search], with(world.revocations(2049)), |_| {}).await;
    let client = connect(&current, &config).await.unwrap();
    assert!(shown(&mut current, client).await.0.is_some());
    for (list, what) in [(world.revocations(2021), "out of date"), (other.revocations(2049), "another authority's")] {
        let bench = Bench::with(&[OperationKind::Search], with(list), |_| {}).await;
        let refused = alert(&bench, &config).await;
        assert!(refused.contains("alert"), "{what}: {refused}");
    }
}

#[tokio::test]
async fn who_is_not_asked_shows_nothing() {
    let world = World::new("ours");
    let mode = Mode::Ldaps(world.listener(|_| ClientCertificates::None));
    let mut bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
    let client = connect(&bench, &world.client(&TLS13, Some(&world))).await.unwrap();
    assert_eq!(shown(&mut bench, client).await, (None, Some(HandshakeKind::Full)));
}

#[tokio::test]
async fn start_tls_asks_as_well() {
    let world = World::new("ours");
    let mode = Mode::Plain { starttls: Some(world.listener(ClientCertificates::Required)) };
    let mut bench = Bench::with(&[OperationKind::Search], mode, |_| {}).await;
    let mut client = bench.client().await;
    client.send(&extended(1, START_TLS)).await;
    assert_eq!(client.result().await, (1, op::EXTENDED_RESPONSE, 0));
    let client = tls::protect(client, world.client(&TLS13, Some(&world))).await;
    assert_eq!(shown(&mut bench, client).await.0, Some("CN=web-1,O=Acme\\2C Inc.".to_owned()));
}
