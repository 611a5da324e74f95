//! Those who are told: an HTTPS server of the test's own, a mail server and a collector of logs as Debian has them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_lab::net::{free_port, own_address, wait_listening};
use portcullis_lab::pki::{Pki, ServerCert};
use portcullis_lab::process::Child;
use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::stage::PATIENCE;

const KEY: [u8; 32] = *b"a key that both sides know of :)";

/// A receiver of webhooks that takes nothing whose signature is not right.
pub(super) struct Hooks {
    pub(super) address: SocketAddr,
    tls: TlsAcceptor,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    /// Statuses that are answered next, instead of 204.
    pub(super) next: Arc<Mutex<Vec<u16>>>,
    task: Option<JoinHandle<()>>,
}

impl Hooks {
    pub(super) fn secret() -> String {
        format!("whsec_{}", STANDARD.encode(KEY))
    }

    /// On an address of its own, where nobody else takes its port while it is away.
    pub(super) fn new(pki: &Pki) -> Result<Self> {
        let ip = own_address();
        let tls = pki.issue("hooks", &[&ip.to_string()])?.server_config(&["http/1.1"])?;
        let address = SocketAddr::new(ip.into(), free_port(ip.into())?);
        Ok(Self { address, tls: TlsAcceptor::from(tls), heard: Arc::default(), next: Arc::default(), task: None })
    }

    pub(super) async fn open(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let (tls, heard, next) = (self.tls.clone(), Arc::clone(&self.heard), Arc::clone(&self.next));
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, heard, next) = (tls.clone(), Arc::clone(&heard), Arc::clone(&next));
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = serve(stream, &heard, &next).await;
                    }
                });
            }
        }));
        Ok(())
    }

    /// What was taken, by ids: the same one twice would be two.
    pub(super) fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until there are so many messages, and returns their types in order of the alphabet.
    pub(super) async fn wait_for(&self, wanted: usize) -> Result<Vec<String>> {
        let begun = Instant::now();
        while self.heard().len() < wanted {
            ensure!(begun.elapsed() < PATIENCE, "{wanted} messages are wanted: {:?}", self.heard());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mut types: Vec<_> =
            self.heard().iter().map(|(_, body)| body["type"].as_str().unwrap_or_default().to_owned()).collect();
        types.sort();
        Ok(types)
    }
}

/// One request of HTTP/1.1, whose body has a length.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    heard: &Mutex<Vec<(String, Value)>>,
    next: &Mutex<Vec<u16>>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "no whole head");
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec())?;
    let headers: HashMap<_, _> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let length: usize = headers.get("content-length").map_or(Ok(0), |text| text.parse())?;
    while bytes.len() < end + length {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "no whole body");
    }
    let body = &bytes[end..];
    let status = if head.starts_with("HEAD ") {
        405
    } else {
        let id = headers.get("webhook-id").context("no id")?;
        verify(id, headers.get("webhook-timestamp"), headers.get("webhook-signature"), body)?;
        let status = next.lock().unwrap().pop().unwrap_or(204);
        if status == 204 {
            heard.lock().unwrap().push(((*id).to_owned(), serde_json::from_slice(body)?));
        }
        status
    };
    stream
        .write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes())
        .await?;
    Ok(stream.shutdown().await?)
}

/// As receivers are told to by the Standard Webhooks specification. What does not hold is not answered.
fn verify(id: &str, timestamp: Option<&&str>, signature: Option<&&str>, body: &[u8]) -> Result<()> {
    let timestamp = timestamp.context("no timestamp")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    ensure!(timestamp.parse::<u64>()?.abs_diff(now) < 300, "an old message");
    let signature = signature.and_then(|text| text.strip_prefix("v1,")).context("no signature")?;
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &signed, &STANDARD.decode(signature)?)
        .map_err(|_| anyhow::anyhow!("a wrong signature"))
}

/// aiosmtpd.
pub(super) struct Mails {
    pub(super) port: u16,
    child: Child,
}

impl Mails {
    pub(super) async fn start(certificate: &ServerCert) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/channels/smtpd.py");
        let port = free_port(Ipv4Addr::LOCALHOST.into())?;
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).args(["127.0.0.1", &port.to_string()]);
        command.arg(certificate.cert_path()).arg(certificate.key_path());
        let mut child = Child::spawn("aiosmtpd", command)?;
        child.wait_for_line("ready", PATIENCE).await?;
        Ok(Self { port, child })
    }

    /// The messages, once there are so many.
    pub(super) async fn wait_for(&self, wanted: usize) -> Result<Vec<Value>> {
        let begun = Instant::now();
        loop {
            let lines = self.child.output().lines();
            let mails: Vec<Value> =
                lines.iter().filter_map(|line| serde_json::from_str(line.strip_prefix("mail ")?).ok()).collect();
            if mails.len() >= wanted {
                return Ok(mails);
            }
            ensure!(begun.elapsed() < PATIENCE, "{wanted} mails are wanted: {lines:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// rsyslogd, with TLS.
pub(super) struct Logs {
    pub(super) port: u16,
    file: PathBuf,
    child: Child,
}

impl Logs {
    pub(super) async fn start(folder: &Path, ca: &Path, certificate: &ServerCert) -> Result<Self> {
        let port = free_port(Ipv4Addr::LOCALHOST.into())?;
        let file = folder.join("messages");
        let config = folder.join("rsyslog.conf");
        let text = format!(
            r#"
global(workDirectory="{folder}" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{ca}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="parts" type="string"
         string="%syslogfacility-text%.%syslogseverity-text% %app-name% %msgid% %structured-data% %msg%\n")
action(type="omfile" file="{file}" template="parts")
"#,
            folder = folder.display(),
            ca = ca.display(),
            certificate = certificate.cert_path().display(),
            key = certificate.key_path().display(),
            file = file.display(),
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(config).arg("-i").arg(folder.join("rsyslogd.pid"));
        let child = Child::spawn("rsyslogd", command)?;
        wait_listening(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), PATIENCE).await?;
        Ok(Self { port, file, child })
    }

    /// The line with this text.
    pub(super) async fn wait_for(&self, text: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let all = std::fs::read_to_string(&self.file).unwrap_or_default();
            if let Some(line) = all.lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            let own = self.child.output().lines();
            ensure!(begun.elapsed() < PATIENCE, "{text:?} was never logged: {all}\n{}", own.join("\n"));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
