//! A TLS server that answers every request with the same bytes and remembers what it was asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(super) struct Server {
    pub(super) port: u16,
    /// PEM file of the authority that issued its certificate.
    pub(super) authority: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

/// What it does once it has answered.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    ReadOn,
    Close,
    SaySilent,
}

impl Server {
    /// Answers each request with what the function makes of it.
    pub(super) async fn with(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |request| answer(request).into_bytes(), Then::ReadOn).await
    }

    /// Answers and waits for the next request on the same connection.
    pub(super) async fn answering(answer: &[u8]) -> Self {
        Self::start(always(answer), Then::ReadOn).await
    }

    /// Answers and closes the connection.
    pub(super) async fn answering_once(answer: &[u8]) -> Self {
        Self::start(always(answer), Then::Close).await
    }

    /// Answers and then keeps the connection open without another word.
    pub(super) async fn silent_after(answer: &[u8]) -> Self {
        Self::start(always(answer), Then::SaySilent).await
    }

    /// Answers with 200, behind a certificate for these names that ended when `expired`.
    pub(super) async fn certified(names: &[&str], expired: bool) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let answer = always(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Self::start_with(certificates(names, expired), answer, Then::ReadOn).await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static, then: Then) -> Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        Self::start_with(certificates(names, false), answer, then).await
    }

    async fn start_with(
        (config, pem): (ServerConfig, String),
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
        then: Then,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, pem).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, seen, answer) = (acceptor.clone(), Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(connection).await else { return };
                    while let Some(request) = read_request(&mut stream).await {
                        let bytes = answer(&request);
                        seen.lock().unwrap().push(request);
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.flush().await;
                        match then {
                            Then::ReadOn => {}
                            Then::Close => {
                                let _ = stream.shutdown().await;
                                return;
                            }
                            Then::SaySilent => std::future::pending().await,
                        }
                    }
                });
            }
        });
        Self { port, authority, requests, task, _folder: folder }
    }
}

fn always(answer: &[u8]) -> impl Fn(&str) -> Vec<u8> + Send + Sync + 'static {
    let answer = answer.to_vec();
    move |_| answer.clone()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Head and body of one request.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(stream.read_u8().await.ok()?));
    }
    let length =
        text.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await.ok()?;
    text.push_str(&String::from_utf8_lossy(&body));
    Some(text)
}

fn certificates(names: Vec<String>, expired: bool) -> (ServerConfig, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let certificate = params.signed_by(&server_key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (config, authority.pem())
}
