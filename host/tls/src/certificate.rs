//! What a client's certificate says.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_core::ClientCertificate;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::asn1_rs::Tag;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Names that one certificate may have besides its subject, and octets of all its names.
const MOST_NAMES: usize = 64;
const LONGEST: usize = 4 * 1024;

/// Descriptors of attribute types: those of RFC 4514, section 3, and two that certificates of machines have.
const DESCRIPTORS: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Reads a certificate that was verified. One that it cannot read as a whole it does not read at all: a rule about a name
/// that was left out would not match.
///
/// # Errors
/// What is in the way.
pub(crate) fn read(der: &CertificateDer<'_>) -> Result<ClientCertificate, &'static str> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it is no X.509 certificate")?;
    if !rest.is_empty() {
        return Err("something stands behind it");
    }
    let subject = name(certificate.subject())?;
    let alternative = certificate.subject_alternative_name().map_err(|_| "its alternative names cannot be read")?;
    let alternative_names = match alternative {
        Some(names) => alternatives(&names.value.general_names)?,
        None => Vec::new(),
    };
    let length = subject.len() + alternative_names.iter().map(String::len).sum::<usize>();
    if length > LONGEST || alternative_names.len() > MOST_NAMES {
        return Err("it has too many names, or too long ones");
    }
    let mut fingerprint = String::with_capacity(64);
    for octet in Sha256::digest(der) {
        let _ = write!(fingerprint, "{octet:02x}");
    }
    Ok(ClientCertificate { subject, alternative_names, fingerprint })
}

/// RFC 4514, section 2: the last level first.
fn name(name: &X509Name<'_>) -> Result<String, &'static str> {
    let mut levels = Vec::new();
    for level in name.iter_rdn() {
        let pairs: Vec<_> = level.iter().map(pair).collect::<Result<_, _>>()?;
        levels.push(pairs.join("+"));
    }
    levels.reverse();
    Ok(levels.join(","))
}

fn pair(pair: &AttributeTypeAndValue<'_>) -> Result<String, &'static str> {
    let oid = pair.attr_type().to_id_string();
    let value = pair.attr_value();
    let text = match value.tag() {
        Tag::BmpString => value.clone().bmpstring().map(|text| text.string()).ok(),
        // Latin-1 is what is written where T.61 is promised.
        Tag::TeletexString => Some(value.data.iter().copied().map(char::from).collect()),
        _ => pair.as_str().ok().map(str::to_owned),
    };
    let text = text.ok_or("a value of its subject is no text")?;
    let descriptor = DESCRIPTORS.iter().find_map(|(known, short)| (*known == oid).then_some(*short));
    Ok(format!("{}={}", descriptor.unwrap_or(&oid), escaped(&text)))
}

fn alternatives(names: &[GeneralName<'_>]) -> Result<Vec<String>, &'static str> {
    let mut told = Vec::new();
    for name in names {
        told.push(match name {
            GeneralName::DNSName(name) => format!("dns:{}", escaped(&name.to_ascii_lowercase())),
            GeneralName::RFC822Name(name) => format!("email:{}", escaped(name)),
            GeneralName::URI(name) => format!("uri:{}", escaped(name)),
            GeneralName::IPAddress(octets) => format!("ip:{}", address(octets)?),
            GeneralName::Invalid(..) => return Err("one of its alternative names cannot be read"),
            // Names that nobody has asked for yet.
            _ => continue,
        });
    }
    Ok(told)
}

fn address(octets: &[u8]) -> Result<String, &'static str> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(Ipv4Addr::from(octets).to_string());
    }
    let octets = <[u8; 16]>::try_from(octets).map_err(|_| "an address among its names is none")?;
    Ok(Ipv6Addr::from(octets).to_string())
}

/// A value with every character that means something, or that cannot be seen, as hexadecimal digits: RFC 4514, section 2.4,
/// allows that for any. So no value can look like two.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (place, letter) in text.chars().enumerate() {
        let at_an_end = place == 0 || place == last;
        let special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' | '*')
            || letter == ' ' && at_an_end
            || letter == '#' && place == 0
            || is_invisible(letter);
        if special {
            for octet in letter.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\{octet:02X}");
            }
        } else {
            out.push(letter);
        }
    }
    out
}

/// Controls, and what changes how its neighbours look.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn subject(pairs: &[(DnType, &str)]) -> String {
        let der =
            made(|params| pairs.iter().for_each(|(of, value)| params.distinguished_name.push(of.clone(), *value)));
        read(&der).unwrap().subject
    }

    #[test]
    fn a_subject_is_written_from_its_end() {
        let pairs = [(DnType::CountryName, "DE"), (DnType::OrganizationName, "Acme"), (DnType::CommonName, "web 1")];
        assert_eq!(subject(&pairs), "CN=web 1,O=Acme,C=DE");
        assert_eq!(subject(&[(DnType::CustomDnType(vec![1, 2, 3]), "x")]), "1.2.3=x");
        assert_eq!(subject(&[]), "");
    }

    #[test]
    fn no_value_can_look_like_another_level() {
        assert_eq!(subject(&[(DnType::CommonName, "x,O=Acme")]), "CN=x\\2CO\\3DAcme");
        assert_eq!(subject(&[(DnType::CommonName, "a+b\\\"*\u{202e}\n")]), "CN=a\\2Bb\\5C\\22\\2A\\E2\\80\\AE\\0A");
        assert_eq!(subject(&[(DnType::CommonName, " # ")]), "CN=\\20#\\20");
        assert_eq!(subject(&[(DnType::CommonName, "#1 Zoë")]), "CN=\\231 Zoë");
    }

    #[test]
    fn alternative_names_say_what_they_are() {
        let der = made(|params| {
            params.subject_alt_names = vec![
                SanType::DnsName("Web-1.Acme.example".try_into().unwrap()),
                SanType::IpAddress([10, 0, 0, 7].into()),
                SanType::IpAddress("2001:db8::7".parse().unwrap()),
                SanType::Rfc822Name("ops@acme.example".try_into().unwrap()),
                SanType::URI("spiffe://acme/web,1".try_into().unwrap()),
            ];
        });
        let read = read(&der).unwrap();
        let expected = [
            "dns:web-1.acme.example",
            "ip:10.0.0.7",
            "ip:2001:db8::7",
            "email:ops@acme.example",
            "uri:spiffe://acme/web\\2C1",
        ];
        assert_eq!(read.alternative_names, expected);
        assert_eq!(read.fingerprint.len(), 64);
    }

    #[test]
    fn what_cannot_be_read_as_a_whole_is_not_read() {
        assert!(read(&CertificateDer::from(vec![0x30, 0])).is_err());
        let mut long = made(|_| {}).to_vec();
        long.push(0);
        assert_eq!(read(&CertificateDer::from(long)), Err("something stands behind it"));
        let many = made(|params| {
            let name = |number| SanType::DnsName(format!("h{number}").try_into().unwrap());
            params.subject_alt_names = (0..=MOST_NAMES).map(name).collect();
        });
        assert_eq!(read(&many), Err("it has too many names, or too long ones"));
        assert_eq!(
            read(&made(|params| params.distinguished_name.push(DnType::CommonName, "x".repeat(LONGEST)))),
            Err("it has too many names, or too long ones")
        );
    }
}
