//! Syslog messages (RFC 5424): one datagram each (RFC 5426), or over TCP and TLS with their length in front (RFC 6587, section
//! 3.4.1; RFC 5425, section 4.3).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_core::channel::{Channel, ChannelError, Notice, NoticeKind};
use portcullis_core::policy::Severity;
use portcullis_tls::{MinVersion, client_config};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;

use crate::text::{self, line};
use crate::{ChannelSetupError, PATIENCE, chain};

/// Octets of a message that every receiver should take (RFC 5424, section 6.1).
const LONGEST: usize = 2_048;
/// Octets of a value.
const LONGEST_VALUE: usize = 200;
/// There is no answer to a syslog message. What a receiver that takes none does is hang up while it could have read: it gets so
/// long for that.
const FAREWELL: Duration = Duration::from_secs(2);
/// Our own parameters. An enterprise number of our own there is none; this one is set aside for examples (RFC 5612).
const SD_ID: &str = "portcullis@32473";

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams: nobody learns whether they arrive.
    Udp,
    /// A connection in clear text.
    Tcp,
    /// TLS.
    Tls,
}

/// Where messages are filed (RFC 5424, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facility {
    /// Security and authorization messages, 4.
    Auth,
    /// The same, not for everybody, 10.
    AuthPriv,
    /// `local0` to `local7`, by their digit.
    Local(u8),
}

impl Facility {
    fn number(self) -> u8 {
        match self {
            Self::Auth => 4,
            Self::AuthPriv => 10,
            Self::Local(digit) => 16 + digit.min(7),
        }
    }
}

/// The settings of a syslog channel.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// Name or address of the server; with TLS, its certificate has to bear it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How messages travel.
    pub transport: Transport,
    /// Where they are filed.
    pub facility: Facility,
    /// Certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// A collector of logs.
pub struct Syslog {
    options: SyslogOptions,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    origin: Origin,
}

/// Who says so.
struct Origin {
    host: String,
    process: u32,
}

impl Syslog {
    /// Sends nothing yet. Blocks while certificates are read.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(options: &SyslogOptions) -> Result<Self, ChannelSetupError> {
        let tls = match options.transport {
            Transport::Udp | Transport::Tcp => None,
            Transport::Tls => {
                let config = client_config(options.ca_file.as_deref(), MinVersion::Tls12)?;
                let name = ServerName::try_from(options.host.clone())
                    .map_err(|_| ChannelSetupError::of("server", "has to begin with a host name or an address"))?;
                Some((TlsConnector::from(Arc::clone(&config)), name))
            }
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let origin = Origin { host: field(host.trim(), 255), process: std::process::id() };
        Ok(Self { options: options.clone(), tls, origin })
    }

    /// Transport and server.
    #[must_use]
    pub fn target(&self) -> String {
        let transport = match self.options.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        };
        format!("{} by {transport}", self.server())
    }

    fn server(&self) -> String {
        format!("{}:{}", self.options.host, self.options.port)
    }

    async fn deliver(&self, message: &str) -> Result<(), std::io::Error> {
        let place = (self.options.host.as_str(), self.options.port);
        if self.options.transport == Transport::Udp {
            return send_datagram(lookup_host(place).await?, message).await;
        }
        let stream = TcpStream::connect(place).await?;
        match &self.tls {
            None => say(stream, message).await,
            Some((tls, name)) => say(tls.connect(name.clone(), stream).await?, message).await,
        }
    }

    async fn reach(&self) -> Result<String, std::io::Error> {
        let place = (self.options.host.as_str(), self.options.port);
        if self.options.transport == Transport::Udp {
            drop(lookup_host(place).await?);
            return Ok(format!("{} is known; whether datagrams arrive, its log shows", self.options.host));
        }
        let stream = TcpStream::connect(place).await?;
        if let Some((tls, name)) = &self.tls {
            tls.connect(name.clone(), stream).await?.shutdown().await?;
        }
        Ok(format!("{} can be reached; whether it takes messages, a test and its log show", self.server()))
    }
}

#[async_trait]
impl Channel for Syslog {
    async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        let message = message(notice, self.options.facility, &self.origin);
        match tokio::time::timeout(PATIENCE, self.deliver(&message)).await {
            Ok(sent) => sent.map_err(|error| ChannelError::later(format!("{}: {}", self.server(), chain(&error)))),
            Err(_) => {
                Err(ChannelError::later(format!("{} was not done within {} s", self.server(), PATIENCE.as_secs())))
            }
        }
    }

    async fn check(&self) -> Result<String, String> {
        match tokio::time::timeout(PATIENCE, self.reach()).await {
            Ok(reached) => reached.map_err(|error| format!("{}: {}", self.server(), chain(&error))),
            Err(_) => Err(format!("{} does not answer", self.server())),
        }
    }
}

/// To the first address that takes it: a name can have one of a kind that this machine has no way to.
async fn send_datagram(addresses: impl IntoIterator<Item = SocketAddr>, message: &str) -> Result<(), std::io::Error> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let sent = async {
            let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own).await?;
            socket.connect(address).await?;
            socket.send(message.as_bytes()).await
        };
        match sent.await {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One message on a connection of its own.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, message: &str) -> Result<(), std::io::Error> {
    stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
    stream.shutdown().await?;
    let mut nothing = [0; 64];
    let end = tokio::time::timeout(FAREWELL, async {
        while stream.read(&mut nothing).await? > 0 {}
        Ok::<_, std::io::Error>(())
    });
    match end.await {
        // TLS peers that go without saying so have read what came before the connection's own end.
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(()),
    }
}

fn message(notice: &Notice, facility: Facility, origin: &Origin) -> String {
    let told = &notice.told;
    let priority = u16::from(facility.number()) * 8 + u16::from(severity(notice));
    let mut out = format!(
        "<{priority}>1 {} {} portcullis {} {} ",
        text::time(told.at),
        origin.host,
        origin.process,
        text::event_type(told.kind)
    );
    let event = told.event.to_string();
    let incident = told.incident.map(|id| id.to_string()).unwrap_or_default();
    let count = notice.summed_up.as_ref().map(|sum| sum.count.to_string()).unwrap_or_default();
    let parameters = [
        ("id", notice.id.as_str()),
        ("event", &event),
        ("incident", &incident),
        ("severity", told.severity.map(text::severity).unwrap_or_default()),
        ("account", told.account.as_str()),
        ("login", &told.login),
        ("source", &told.source),
        ("count", &count),
        ("link", notice.link.as_deref().unwrap_or_default()),
    ];
    out.push('[');
    out.push_str(SD_ID);
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        // The link is our own; all else may be anybody's.
        let value = if *name == "link" { (*value).to_owned() } else { line(value, LONGEST_VALUE) };
        out.push_str(&format!(" {name}=\"{}\"", escaped(&value)));
    }
    // The mark says that what follows is UTF-8 (RFC 5424, section 6.4).
    out.push_str("] \u{feff}");
    out.push_str(&text::summary(notice));
    out.truncate(out.floor_char_boundary(LONGEST));
    out
}

/// RFC 5424, section 6.3.3.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A field of the header: printable ASCII, or `-` for nothing.
fn field(text: &str, most: usize) -> String {
    let clean: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

/// RFC 5424, table 2.
fn severity(notice: &Notice) -> u8 {
    match (notice.told.kind, notice.told.severity) {
        (NoticeKind::Test, _) => 6,
        (NoticeKind::IncidentResolved, _) => 5,
        (_, Some(Severity::Critical)) => 2,
        (_, Some(Severity::High)) => 3,
        (_, Some(Severity::Medium)) | (NoticeKind::Policy, None) => 4,
        (_, Some(Severity::Low) | None) => 5,
    }
}

#[cfg(test)]
mod tests;
