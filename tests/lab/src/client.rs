//! A small LDAP client that chooses the address it comes from and shows every byte it gets.
//!
//! One machine plays several with it, because all of 127.0.0.0/8 is ours: a connection from 127.0.0.2 and one from
//! 127.0.0.3 are two endpoints to the server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapExtendedRequest, LdapMsg, LdapOp, LdapResult, LdapResultCode,
    LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope, OID_WHOAMI,
};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::filter_text::parse_filter;

const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Larger answers are refused, so that a broken length cannot take all memory.
const MAX_FRAME: usize = 16 * 1024 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One LDAP connection.
pub struct LdapClient {
    stream: Box<dyn Stream>,
    local: SocketAddr,
    buffer: BytesMut,
    last_id: i32,
    timeout: Duration,
}

/// What a search brought.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchAnswer {
    /// The entries in the order of their arrival.
    pub entries: Vec<LdapSearchResultEntry>,
    /// How the search ended.
    pub result: LdapResult,
}

impl LdapClient {
    /// Connects without TLS, from the given local address.
    ///
    /// # Errors
    /// When the local address is not ours or the server does not accept.
    pub async fn connect(server: SocketAddr, from: IpAddr) -> anyhow::Result<Self> {
        let tcp = connect_from(server, from).await?;
        Ok(Self::over(tcp.local_addr()?, Box::new(tcp)))
    }

    /// Connects without TLS and sends these octets before anything else, as a load balancer does with a PROXY protocol
    /// header.
    ///
    /// # Errors
    /// As [`LdapClient::connect`].
    pub async fn connect_saying(server: SocketAddr, from: IpAddr, first: &[u8]) -> anyhow::Result<Self> {
        let mut tcp = connect_from(server, from).await?;
        tcp.write_all(first).await?;
        Ok(Self::over(tcp.local_addr()?, Box::new(tcp)))
    }

    /// Connects with TLS from the first byte (`ldaps`), from the given local address. The certificate must be for
    /// `host`.
    ///
    /// # Errors
    /// As [`LdapClient::connect`], and when the server's certificate is not accepted.
    pub async fn connect_tls(
        server: SocketAddr,
        from: IpAddr,
        config: Arc<ClientConfig>,
        host: &str,
    ) -> anyhow::Result<Self> {
        let tcp = connect_from(server, from).await?;
        let local = tcp.local_addr()?;
        let tls = TlsConnector::from(config).connect(server_name(host)?, tcp).await.context("TLS handshake")?;
        Ok(Self::over(local, Box::new(tls)))
    }

    fn over(local: SocketAddr, stream: Box<dyn Stream>) -> Self {
        Self { stream, local, buffer: BytesMut::new(), last_id: 0, timeout: Duration::from_secs(30) }
    }

    /// Asks for StartTLS (RFC 4511, section 4.14) and goes on with TLS.
    ///
    /// # Errors
    /// When the server refuses or its certificate is not accepted; the connection is gone then.
    pub async fn start_tls(mut self, config: Arc<ClientConfig>, host: &str) -> anyhow::Result<Self> {
        let request = LdapExtendedRequest { name: START_TLS.to_owned(), value: None };
        let LdapOp::ExtendedResponse(answer) = self.request(LdapOp::ExtendedRequest(request)).await? else {
            anyhow::bail!("the server answered StartTLS with something else");
        };
        anyhow::ensure!(answer.res.code == LdapResultCode::Success, "StartTLS was refused: {:?}", answer.res);
        anyhow::ensure!(self.buffer.is_empty(), "the server sent bytes between StartTLS and TLS");
        let name = server_name(host)?;
        let tls = TlsConnector::from(config).connect(name, self.stream).await.context("TLS handshake")?;
        Ok(Self { stream: Box::new(tls), ..self })
    }

    /// How long every wait for an answer may take; 30 seconds unless told.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The address and port that the server sees.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// A simple bind (RFC 4511, section 4.2). A refusal is a result, not an error.
    ///
    /// # Errors
    /// When the connection ends or time runs out before the answer, or the answer is not one to a bind.
    pub async fn bind(&mut self, dn: &str, password: &str) -> anyhow::Result<LdapResult> {
        let id = self.send_bind(dn, password).await?;
        match self.answer_to(id).await? {
            LdapOp::BindResponse(answer) => Ok(answer.res),
            other => anyhow::bail!("the server answered a bind with {other:?}"),
        }
    }

    /// Sends a simple bind and does not wait; gives its message id.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_bind(&mut self, dn: &str, password: &str) -> anyhow::Result<i32> {
        let cred = LdapBindCred::Simple(password.to_owned());
        self.send(LdapOp::BindRequest(LdapBindRequest { version: 3, dn: dn.to_owned(), cred })).await
    }

    /// A search with the filter in the text form of RFC 4515.
    ///
    /// # Errors
    /// When the filter is malformed, the connection ends or time runs out, or the answer is not one to a search.
    pub async fn search(
        &mut self,
        base: &str,
        scope: LdapSearchScope,
        filter: &str,
        attrs: &[&str],
    ) -> anyhow::Result<SearchAnswer> {
        let id = self.send_search(base, scope, filter, attrs).await?;
        let mut entries = Vec::new();
        loop {
            match self.answer_to(id).await? {
                LdapOp::SearchResultEntry(entry) => entries.push(entry),
                LdapOp::SearchResultReference(_) => {}
                LdapOp::SearchResultDone(result) => return Ok(SearchAnswer { entries, result }),
                other => anyhow::bail!("the server answered a search with {other:?}"),
            }
        }
    }

    /// Sends a search and does not wait; gives its message id.
    ///
    /// # Errors
    /// When the filter is malformed or the connection is gone.
    pub async fn send_search(
        &mut self,
        base: &str,
        scope: LdapSearchScope,
        filter: &str,
        attrs: &[&str],
    ) -> anyhow::Result<i32> {
        let filter = parse_filter(filter)?;
        self.send(LdapOp::SearchRequest(LdapSearchRequest {
            base: base.to_owned(),
            scope,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter,
            attrs: attrs.iter().map(|&attribute| attribute.to_owned()).collect(),
        }))
        .await
    }

    /// Asks who is bound (RFC 4532); the answer is `dn:...`, or empty for nobody.
    ///
    /// # Errors
    /// When the server refuses or the connection ends or time runs out.
    pub async fn whoami(&mut self) -> anyhow::Result<String> {
        let request = LdapExtendedRequest { name: OID_WHOAMI.to_owned(), value: None };
        match self.request(LdapOp::ExtendedRequest(request)).await? {
            LdapOp::ExtendedResponse(answer) if answer.res.code == LdapResultCode::Success => {
                Ok(String::from_utf8_lossy(&answer.value.unwrap_or_default()).into_owned())
            }
            other => anyhow::bail!("the server answered \"who am I\" with {other:?}"),
        }
    }

    /// Says good-bye (RFC 4511, section 4.3) and closes the connection.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub async fn unbind(mut self) -> anyhow::Result<()> {
        self.send(LdapOp::UnbindRequest).await?;
        self.stream.shutdown().await.context("closing")
    }

    /// Sends an operation under the next message id and waits for the first answer with this id.
    ///
    /// # Errors
    /// When the connection ends or time runs out.
    pub async fn request(&mut self, op: LdapOp) -> anyhow::Result<LdapOp> {
        let id = self.send(op).await?;
        self.answer_to(id).await
    }

    /// Sends an operation under the next message id, which is returned, and does not wait.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, op: LdapOp) -> anyhow::Result<i32> {
        self.last_id += 1;
        let bytes = encode(LdapMsg::new(self.last_id, op))?;
        self.send_raw(&bytes).await?;
        Ok(self.last_id)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await.context("sending")?;
        self.stream.flush().await.context("sending")
    }

    /// The next message as its bytes, whole and undecoded; nothing when the server has closed the connection.
    ///
    /// # Errors
    /// When the connection breaks within a message, time runs out, or a message is larger than 16 MiB.
    pub async fn read_frame(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.next_frame())
            .await
            .with_context(|| format!("the server has not answered within {timeout:?}"))?
    }

    /// The next message, decoded; nothing when the server has closed the connection.
    ///
    /// # Errors
    /// As [`LdapClient::read_frame`], and when the message is not one of LDAP.
    pub async fn read_message(&mut self) -> anyhow::Result<Option<LdapMsg>> {
        self.read_frame().await?.map(|frame| decode(&frame)).transpose()
    }

    async fn answer_to(&mut self, id: i32) -> anyhow::Result<LdapOp> {
        loop {
            let message = self.read_message().await?.context("the server closed the connection before its answer")?;
            // Message id 0 is an unsolicited notice (RFC 4511, section 4.4), which announces the end.
            anyhow::ensure!(message.msgid != 0, "the server announced the end: {:?}", message.op);
            if message.msgid == id {
                return Ok(message.op);
            }
        }
    }

    async fn next_frame(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(length) = frame_length(&self.buffer)?
                && self.buffer.len() >= length
            {
                return Ok(Some(self.buffer.split_to(length).to_vec()));
            }
            if self.stream.read_buf(&mut self.buffer).await.context("receiving")? == 0 {
                anyhow::ensure!(self.buffer.is_empty(), "the connection ended within a message");
                return Ok(None);
            }
        }
    }
}

/// The bytes of a message.
///
/// # Errors
/// When it cannot be encoded.
pub fn encode(message: LdapMsg) -> anyhow::Result<Vec<u8>> {
    let mut buffer = BytesMut::new();
    LdapCodec::default().encode(message, &mut buffer)?;
    Ok(buffer.to_vec())
}

/// The message that the bytes are.
///
/// # Errors
/// When they are not exactly one message.
pub fn decode(frame: &[u8]) -> anyhow::Result<LdapMsg> {
    let mut buffer = BytesMut::from(frame);
    let message = LdapCodec::new(Some(MAX_FRAME), None).decode(&mut buffer)?.context("not a whole message")?;
    anyhow::ensure!(buffer.is_empty(), "{} bytes after the message", buffer.len());
    Ok(message)
}

/// How many bytes the message at the start of the buffer has (X.690, section 8.1.3), once enough of it is there.
fn frame_length(buffer: &[u8]) -> anyhow::Result<Option<usize>> {
    let [tag, first, rest @ ..] = buffer else { return Ok(None) };
    anyhow::ensure!(*tag == 0x30, "a message starts with {tag:#04x} instead of a sequence");
    let (header, content) = if *first < 0x80 {
        (2, usize::from(*first))
    } else {
        let count = usize::from(*first & 0x7f);
        anyhow::ensure!((1..=4).contains(&count), "a message with a length of {count} bytes");
        let Some(digits) = rest.get(..count) else { return Ok(None) };
        (2 + count, digits.iter().fold(0, |length, &digit| (length << 8) | usize::from(digit)))
    };
    anyhow::ensure!(content <= MAX_FRAME, "a message of {content} bytes is too large");
    Ok(Some(header + content))
}

async fn connect_from(server: SocketAddr, from: IpAddr) -> anyhow::Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(from, 0)).with_context(|| format!("cannot come from {from}"))?;
    let stream = socket.connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn server_name(host: &str) -> anyhow::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is not a host name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_measured_only_when_their_length_is_there() {
        assert_eq!(frame_length(&[]).unwrap(), None);
        assert_eq!(frame_length(&[0x30]).unwrap(), None);
        assert_eq!(frame_length(&[0x30, 0x05]).unwrap(), Some(7));
        assert_eq!(frame_length(&[0x30, 0x82, 0x01]).unwrap(), None);
        assert_eq!(frame_length(&[0x30, 0x82, 0x01, 0x00]).unwrap(), Some(260));
        assert!(frame_length(&[0x30, 0x80]).is_err());
        assert!(frame_length(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(frame_length(b"GET / HTTP/1.1").is_err());
    }

    #[test]
    fn a_message_survives_encoding() {
        let message = LdapMsg::new(7, LdapOp::UnbindRequest);
        assert_eq!(decode(&encode(message.clone()).unwrap()).unwrap(), message);
        assert!(decode(&[0x30, 0x01]).is_err());
    }
}
