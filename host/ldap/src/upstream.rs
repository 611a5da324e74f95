//! Connections to the directory.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::encode::OwnRequest;
use crate::frame::{Frame, FrameError, op, result_code};
use crate::pipe::{Pipe, Stream, Turn};
use crate::proxy::{self, Handed};

/// How long a connection may take to be ready, TLS included, by default.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection to the directory is protected.
#[derive(Debug, Clone)]
pub enum Security {
    /// Not at all. Passwords travel in the clear.
    Plain,
    /// StartTLS before anything else (RFC 4511, section 4.14). Never falls back.
    StartTls(Arc<ClientConfig>),
    /// TLS from the first octet.
    Ldaps(Arc<ClientConfig>),
}

/// Where the directory is.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection.
    pub security: Security,
    /// Name that the directory's certificate has to bear; none: the host.
    pub server_name: Option<String>,
    /// How long until a connection is ready.
    pub connect_timeout: Duration,
    /// Begin each connection with a PROXY protocol header (version 2) that names the client; the gateway's own begin with
    /// LOCAL. With it a connection is one client's from its first octet on: none can be made before there is a client, nor
    /// given to another. Off by default.
    pub send_proxy_protocol: bool,
    /// It is Active Directory, which puts no SASL security layer on a connection that TLS protects (MS-ADTS, section 5.1.2.1),
    /// and shows everybody's own security identifiers. False by default.
    pub active_directory: bool,
}

/// The directory cannot be reached.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// No TCP connection, or it broke.
    #[error("no connection to the directory at {address}: {source}")]
    Io {
        /// Host and port.
        address: String,
        /// Why. A certificate that is not trusted is told here.
        source: io::Error,
    },
    /// Not in time.
    #[error("the directory at {address} was not ready within {} s", limit.as_secs_f32())]
    Timeout {
        /// Host and port.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It has as many connections as it may have.
    #[error("the directory at {address} has all the {limit} connections that it may have")]
    Full {
        /// Host and port.
        address: String,
        /// The limit.
        limit: usize,
    },
    /// It says that it cannot work.
    #[error("the directory at {address} says that it cannot serve anybody (result {code})")]
    Useless {
        /// Host and port.
        address: String,
        /// LDAP result code.
        code: u32,
    },
    /// There is none.
    #[error("no server of the directory is configured")]
    NoServer,
    /// The name for the certificate is no name.
    #[error("{name:?} is neither a host name nor an address, so no certificate can bear it; set the server name")]
    ServerName {
        /// Which.
        name: String,
    },
    /// The directory does not offer StartTLS.
    #[error(
        "the directory at {address} refuses StartTLS (result {code}); use LDAPS, or give the directory a certificate"
    )]
    StartTls {
        /// Host and port.
        address: String,
        /// LDAP result code.
        code: u32,
    },
    /// What came back to StartTLS is no answer to it.
    #[error("the directory at {address} does not speak LDAP: {source}")]
    Protocol {
        /// Host and port.
        address: String,
        /// Why.
        source: FrameError,
    },
}

impl Upstream {
    /// The directory at this host and port, with the default time-out.
    pub fn new(host: impl Into<String>, port: u16, security: Security) -> Self {
        Self {
            host: host.into(),
            port,
            security,
            server_name: None,
            connect_timeout: CONNECT_TIMEOUT,
            send_proxy_protocol: false,
            active_directory: false,
        }
    }

    /// The directory may put a SASL security layer on a connection.
    pub(crate) fn may_layer(&self) -> bool {
        !self.active_directory || matches!(self.security, Security::Plain)
    }

    /// Host and port, as people write them.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Name that the directory's certificate has to bear.
    #[must_use]
    pub fn expected_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.host)
    }

    /// A connection that is ready for requests, anonymous, taking answers of at most `limit` octets. The directory is told
    /// for whom where it wants to know; none: it is the gateway's own.
    pub(crate) async fn connect(&self, limit: usize, handed: Option<Handed>) -> Result<Stream, UpstreamError> {
        timeout(self.connect_timeout, self.secured(limit, handed)).await.map_err(|_| self.late())?
    }

    /// A bare TCP connection of the gateway's own, for a client that does the rest itself.
    pub(crate) async fn dial(&self) -> Result<TcpStream, UpstreamError> {
        timeout(self.connect_timeout, self.dial_for(None)).await.map_err(|_| self.late())?
    }

    async fn dial_for(&self, handed: Option<Handed>) -> Result<TcpStream, UpstreamError> {
        let mut stream = self.dial_each().await?;
        let ready = async {
            stream.set_nodelay(true)?;
            if self.send_proxy_protocol {
                stream.write_all(&proxy::header(handed)?).await?;
            }
            Ok(())
        };
        ready.await.map_err(|error| self.io(error))?;
        Ok(stream)
    }

    /// The name is looked up each time. Of several addresses, each gets its share of the time: one that swallows everything
    /// must not keep the next from being tried.
    async fn dial_each(&self) -> Result<TcpStream, UpstreamError> {
        let addresses: Vec<_> =
            lookup_host((self.host.as_str(), self.port)).await.map_err(|error| self.io(error))?.collect();
        let share = self.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut refused = self.io(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => refused = self.io(error),
                Err(_) => refused = self.late(),
            }
        }
        Err(refused)
    }

    async fn secured(&self, limit: usize, handed: Option<Handed>) -> Result<Stream, UpstreamError> {
        let stream = self.dial_for(handed).await?;
        match &self.security {
            Security::Plain => Ok(Stream::Plain(stream)),
            Security::Ldaps(config) => self.handshake(stream, config).await,
            Security::StartTls(config) => {
                let stream = self.start_tls(stream, limit).await?;
                self.handshake(stream, config).await
            }
        }
    }

    async fn start_tls(&self, stream: TcpStream, limit: usize) -> Result<TcpStream, UpstreamError> {
        let id = 1;
        let mut pipe = Pipe::new(Stream::Plain(stream), limit);
        pipe.send(OwnRequest::start_tls(id).into_bytes());
        let answer = self.answer(&mut pipe).await?;
        let protocol = |source| UpstreamError::Protocol { address: self.address(), source };
        let code = result_code(answer.bytes()).map_err(protocol)?;
        // Octets behind the answer came in the clear and would be taken for protected ones.
        if answer.id() != id || answer.op() != op::EXTENDED_RESPONSE || !pipe.input.is_empty() {
            return Err(protocol(FrameError::Malformed));
        }
        match (code, pipe.stream) {
            (0, Stream::Plain(stream)) => Ok(stream),
            (code, _) => Err(UpstreamError::StartTls { address: self.address(), code }),
        }
    }

    async fn answer(&self, pipe: &mut Pipe) -> Result<Frame, UpstreamError> {
        loop {
            let next = pipe.input.next_frame();
            if let Some(frame) = next.map_err(|source| UpstreamError::Protocol { address: self.address(), source })? {
                return Ok(frame);
            }
            if pipe.turn(true).await.map_err(|e| self.io(e))? == Turn::Ended {
                return Err(self.io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    async fn handshake(&self, stream: TcpStream, config: &Arc<ClientConfig>) -> Result<Stream, UpstreamError> {
        let name = self.expected_name();
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| UpstreamError::ServerName { name: name.to_owned() })?;
        let secured = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|e| self.io(e))?;
        Ok(Stream::Tls(Box::new(secured.into())))
    }

    pub(crate) fn io(&self, source: io::Error) -> UpstreamError {
        UpstreamError::Io { address: self.address(), source }
    }

    pub(crate) fn late(&self) -> UpstreamError {
        UpstreamError::Timeout { address: self.address(), limit: self.connect_timeout }
    }
}
