//! The PROXY protocol, versions 1 and 2: a load balancer says whose connection it hands on
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>), and so does the gateway to a directory that wants to know.
//!
//! Only load balancers that the listener trusts are listened to: anybody else could choose an address for himself. From
//! them a header is a must, because a connection without one would count as the load balancer's own.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use proxy_header::{ParseConfig, Protocol, ProxiedAddress, ProxyHeader};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How a header of version 1 begins, and how long its line may be (section 2.1).
const V1_START: &[u8] = b"PROXY ";
const V1_LIMIT: usize = 107;
/// How a header of version 2 begins, and how long its part of fixed size is (section 2.2).
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED: usize = 16;
/// Octets that may follow that part. The addresses take few; a load balancer that ends TLS may add a client's certificate.
const V2_LIMIT: usize = 8 * 1024;
/// Version 2, command LOCAL: the load balancer speaks for itself, mostly to see whether anybody is there.
const V2_LOCAL: u8 = 0x20;
/// The shortest header there is: `PROXY UNKNOWN` and the end of the line.
const SHORTEST: usize = 15;

/// Whose connection the gateway hands on to the directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handed {
    /// The client.
    pub(crate) client: SocketAddr,
    /// Where it came to.
    pub(crate) to: SocketAddr,
}

/// A load balancer did not say whose connection it hands on.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    #[error("it does not begin with a PROXY protocol header")]
    Missing,
    #[error("its PROXY protocol header is malformed")]
    Malformed,
    #[error("its PROXY protocol header is too long")]
    TooLong,
    #[error("it ended within its PROXY protocol header")]
    Ended,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether connections from this address begin with a header.
pub(crate) fn is_trusted(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Takes the header off the stream, and not one octet of what follows it. None where it names no client: then the
/// connection is the load balancer's own.
pub(crate) async fn read_client(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = Vec::with_capacity(V1_LIMIT);
    loop {
        let missing = missing(&header)?;
        if missing == 0 {
            return client(&header);
        }
        // Never more than belongs to the header for sure: what follows is for TLS, or for the session.
        let mut rest = (&mut *stream).take(u64::try_from(missing).unwrap_or(u64::MAX));
        if rest.read_buf(&mut header).await? == 0 {
            return Err(ProxyError::Ended);
        }
    }
}

/// Octets that are missing at least; none when the header is whole.
fn missing(header: &[u8]) -> Result<usize, ProxyError> {
    let begins = |start: &[u8]| header.iter().zip(start).all(|(is, should)| is == should);
    if begins(V2_START) {
        let Some(fixed) = header.get(..V2_FIXED) else { return Ok(first(header, V2_FIXED)) };
        let [.., high, low] = *fixed else { return Err(ProxyError::Malformed) };
        let rest = usize::from(u16::from_be_bytes([high, low]));
        return if rest > V2_LIMIT {
            Err(ProxyError::TooLong)
        } else {
            Ok((V2_FIXED + rest).saturating_sub(header.len()))
        };
    }
    if !begins(V1_START) {
        return Err(ProxyError::Missing);
    }
    match header.iter().position(|octet| *octet == b'\n') {
        Some(end) if end + 1 == header.len() => Ok(0),
        Some(_) => Err(ProxyError::Malformed),
        None if header.len() >= V1_LIMIT => Err(ProxyError::TooLong),
        None if header.len() < SHORTEST => Ok(first(header, SHORTEST)),
        None => Ok(if header.ends_with(b"\r") { 1 } else { 2.min(V1_LIMIT - header.len()) }),
    }
}

/// Nothing may be asked for that goes beyond the shortest header as long as the version is open.
fn first(header: &[u8], whole: usize) -> usize {
    if header.is_empty() { SHORTEST } else { whole.saturating_sub(header.len()) }
}

/// Whom a whole header names.
fn client(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    if header.starts_with(V2_START) && header.get(V2_START.len()) == Some(&V2_LOCAL) {
        // Whatever else stands in it is to be ignored.
        return Ok(None);
    }
    let parsed = ProxyHeader::parse(header, ParseConfig { include_tlvs: false, ..ParseConfig::default() });
    match parsed {
        Ok((parsed, length)) if length == header.len() => match parsed.proxied_address() {
            Some(address) if address.protocol != Protocol::Stream => Err(ProxyError::Malformed),
            // An address is the same however it is written.
            Some(address) => Ok(Some(SocketAddr::new(address.source.ip().to_canonical(), address.source.port()))),
            None => Ok(None),
        },
        _ => Err(ProxyError::Malformed),
    }
}

/// The header, of version 2, with which a connection to the directory begins; LOCAL for one of the gateway's own.
pub(crate) fn header(handed: Option<Handed>) -> io::Result<Vec<u8>> {
    let header = handed.map_or_else(ProxyHeader::with_local, |Handed { client, to }| {
        let (client, to) = same_family(canonical(client), canonical(to));
        ProxyHeader::with_address(ProxiedAddress::stream(client, to))
    });
    let mut octets = Vec::new();
    header.encode_v2(&mut octets).map_err(io::Error::other)?;
    Ok(octets)
}

/// An address is the same whether it comes in through an IPv4 or a dual-stack socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A header has room for two addresses of one family only. A load balancer that is reached over one may hand on a client
/// that was reached over the other.
fn same_family(client: SocketAddr, to: SocketAddr) -> (SocketAddr, SocketAddr) {
    let six = |address: SocketAddr| match address.ip() {
        IpAddr::V4(four) => SocketAddr::new(four.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    if client.is_ipv4() == to.is_ipv4() { (client, to) } else { (six(client), six(to)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of these octets, and what is left of them.
    fn read(octets: &[u8]) -> (Result<Option<String>, ProxyError>, Vec<u8>) {
        let mut stream = octets;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let client = runtime.block_on(read_client(&mut stream));
        (client.map(|client| client.map(|client| client.to_string())), stream.to_vec())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, rest].concat()
    }

    const FOUR: &[u8] = &[203, 0, 113, 9, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0x85];

    #[test]
    fn headers_name_the_client_and_nothing_behind_them_is_taken() {
        let six = [&[0x20, 0x01, 0x0d, 0xb8], &[0; 11][..], &[1], &[0; 15], &[1], &[0x30, 0x39, 1, 0x85]].concat();
        let mapped = [&[0; 10][..], &[255, 255, 203, 0, 113, 9], &[0; 15], &[1], &[0x30, 0x39, 1, 0x85]].concat();
        let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 12345 389\r\n".to_vec(), Some("203.0.113.9:12345")),
            (b"PROXY TCP6 2001:db8::1 ::1 12345 389\r\n".to_vec(), Some("[2001:db8::1]:12345")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), None),
            (v2(0x21, 0x11, FOUR), Some("203.0.113.9:12345")),
            (v2(0x21, 0x11, &[FOUR, &[4, 0, 2, 0, 0]].concat()), Some("203.0.113.9:12345")),
            (v2(0x21, 0x21, &six), Some("[2001:db8::1]:12345")),
            (v2(0x21, 0x21, &mapped), Some("203.0.113.9:12345")),
            (v2(0x21, 0x00, &[]), None),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x20, 0x11, FOUR), None),
            (v2(0x20, 0xff, &[1, 2, 3]), None),
        ];
        for (header, wanted) in cases {
            let (client, left) = read(&[&header[..], b"0\x0c\r\n"].concat());
            assert_eq!(client.unwrap().as_deref(), wanted, "{header:?}");
            assert_eq!(left, b"0\x0c\r\n", "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_told_from_what_lies() {
        let long = v2(0x21, 0x11, &[0; V2_LIMIT + 1]);
        let line = format!("PROXY TCP6 {} ::1 1 1\r\n", "f".repeat(V1_LIMIT));
        let cases: [(&[u8], &str); 14] = [
            (b"0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", "does not begin"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03aaaaaaaa", "does not begin"),
            (b"PROXX TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "does not begin"),
            (b"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", "malformed"),
            (b"PROXY TCP4 1.1.1.999 2.2.2.2 1 2\r\n", "malformed"),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 70000\r\n", "malformed"),
            (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "malformed"),
            (b"PROXY \r\nTCP4 1.1.1.1 2.2.2.2 1 2\r\n", "malformed"),
            (b"PROXY TCP4 1.1.1.1", "ended"),
            (b"", "ended"),
            (line.as_bytes(), "too long"),
            (&long, "too long"),
            // Shorter than the addresses that it says it holds, and longer than what comes.
            (&v2(0x21, 0x11, &FOUR[..8]), "malformed"),
            (&v2(0x21, 0x11, FOUR)[..20], "ended"),
        ];
        for (octets, wanted) in cases {
            let error = read(octets).0.unwrap_err().to_string();
            assert!(error.contains(wanted), "{:?}: {error}", String::from_utf8_lossy(octets));
        }
        for (command, family) in [(0x22, 0x11), (0x11, 0x11), (0x21, 0x12), (0x21, 0x41)] {
            assert!(matches!(read(&v2(command, family, FOUR)).0, Err(ProxyError::Malformed)), "{command} {family}");
        }
    }

    #[test]
    fn a_connection_that_is_handed_on_is_the_client_s_and_others_are_the_gateway_s_own() {
        let octets = |client: &str, to: &str| {
            header(Some(Handed { client: client.parse().unwrap(), to: to.parse().unwrap() })).unwrap()
        };
        assert_eq!(octets("203.0.113.9:12345", "10.0.0.1:389"), v2(0x21, 0x11, FOUR));
        assert_eq!(octets("[::ffff:203.0.113.9]:12345", "[::ffff:10.0.0.1]:389"), v2(0x21, 0x11, FOUR));
        let six = [&[0x20, 0x01, 0x0d, 0xb8], &[0; 11][..], &[1], &[0; 15], &[1], &[0x30, 0x39, 1, 0x85]].concat();
        assert_eq!(octets("[2001:db8::1]:12345", "[::1]:389"), v2(0x21, 0x21, &six));
        assert_eq!(header(None).unwrap(), v2(0x20, 0, &[]));
        for (client, to) in [("203.0.113.9:12345", "[::1]:389"), ("[2001:db8::1]:1", "10.0.0.1:389")] {
            assert_eq!(read(&octets(client, to)).0.unwrap().as_deref(), Some(client), "{to}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_it_panic_or_read_without_bound(start in 0..3usize, rest: Vec<u8>) {
            let start = [&b""[..], V1_START, V2_START][start];
            let octets = [start, &rest].concat();
            let (_, left) = read(&octets);
            prop_assert!(octets.ends_with(&left));
            prop_assert!(octets.len() - left.len() <= V2_FIXED + V2_LIMIT);
        }
    }
}
