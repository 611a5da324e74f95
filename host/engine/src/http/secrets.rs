//! Secrets on their way out, and kept from coming back.

use portcullis_core::Secret;
use reqwest::header::HeaderValue;

use crate::grants::{Grants, HostGrant};

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";
/// What a plugin sees where a service repeated a secret.
const MASK: &[u8] = b"[secret]";

/// Names of the secrets in a header's value, each of which may go to the host.
///
/// # Errors
/// The reason, which names the secret.
pub(super) fn named<'a>(value: &'a str, host: &HostGrant, grants: &Grants) -> Result<Vec<&'a str>, String> {
    let mut names = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once(OPEN) {
        let (name, after) = after.split_once(CLOSE).ok_or("a `{{secret:` is not closed by `}}`")?;
        let secret = grants.secrets.get(name).map(|grant| &grant.hosts);
        let hosts = secret.or_else(|| grants.tokens.get(name).map(|grant| &grant.hosts));
        if !hosts.ok_or_else(|| format!("there is no secret `{name}`"))?.contains(host) {
            return Err(format!("the secret `{name}` may not be sent to {host}"));
        }
        names.push(name);
        rest = after;
    }
    Ok(names)
}

/// Replaces each `{{secret:NAME}}` by the secret that the function knows.
///
/// # Errors
/// The reason, which shows no secret.
pub(super) fn fill(value: &str, secret: impl Fn(&str) -> Option<Secret>) -> Result<HeaderValue, String> {
    // Wiped when it is dropped; what the HTTP client makes of it is not, and is marked as sensitive.
    let mut filled = Secret::new("");
    let mut rest = value;
    let mut sensitive = false;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (name, after) = after.split_once(CLOSE).ok_or("a `{{secret:` is not closed by `}}`")?;
        let secret = secret(name).ok_or_else(|| format!("there is no secret `{name}`"))?;
        filled = Secret::new([filled.reveal(), before, secret.reveal()].concat());
        (rest, sensitive) = (after, true);
    }
    filled = Secret::new([filled.reveal(), rest].concat());
    let mut header = HeaderValue::from_str(filled.reveal()).map_err(|_| "a header value has forbidden characters")?;
    header.set_sensitive(sensitive);
    Ok(header)
}

/// Replaces every secret of the connector by a mask, so that a service that repeats a credential, in an error message for
/// instance, does not carry it into the sandbox.
pub(super) fn mask(bytes: Vec<u8>, secrets: &[Secret]) -> Vec<u8> {
    let mut secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.reveal().as_bytes()).collect();
    secrets.retain(|secret| !secret.is_empty());
    // A page of a log has megabytes and no secret.
    if !secrets.iter().any(|secret| memchr::memmem::find(&bytes, secret).is_some()) {
        return bytes;
    }
    // The longest first: one secret can be the beginning of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let found = |rest: &[u8]| secrets.iter().find(|secret| rest.starts_with(secret)).map(|secret| secret.len());
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(length) = found(rest) {
            out.extend_from_slice(MASK);
            rest = rest.get(length..).unwrap_or_default();
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;

    use reqwest::header::HeaderValue;

    use super::{mask, named};
    use crate::grants::{Grants, HostGrant, SecretGrant};

    fn host(name: &str) -> HostGrant {
        HostGrant { host: name.into(), port: 443 }
    }

    fn grants() -> Grants {
        let secret = |value: &str, to: &str| SecretGrant { value: Secret::new(value), hosts: vec![host(to)] };
        Grants {
            hosts: vec![host("a.example"), host("b.example")],
            secrets: [
                ("token".into(), secret("00tokentoken", "a.example")),
                ("longer".into(), secret("00tokentoken-and-more", "a.example")),
                ("other".into(), secret("otherother", "b.example")),
            ]
            .into(),
            ..Grants::default()
        }
    }

    fn fill(value: &str, host: &HostGrant, grants: &Grants) -> Result<HeaderValue, String> {
        named(value, host, grants)?;
        super::fill(value, |name| grants.secrets.get(name).map(|grant| grant.value.clone()))
    }

    #[test]
    fn secrets_are_filled_in_for_their_own_hosts() {
        let grants = grants();
        let filled = fill("SSWS {{secret:token}}/{{secret:longer}}!", &host("a.example"), &grants).unwrap();
        assert_eq!(filled.to_str().unwrap(), "SSWS 00tokentoken/00tokentoken-and-more!");
        assert!(filled.is_sensitive());
        assert!(!format!("{filled:?}").contains("token"));
        assert!(fill("{{secret:token}}", &host("b.example"), &grants).unwrap_err().contains("may not be sent"));
        assert!(fill("{{secret:token}}", &HostGrant { host: "a.example".into(), port: 8443 }, &grants).is_err());
    }

    #[test]
    fn what_is_no_granted_secret_is_not_sent_as_it_stands() {
        let grants = grants();
        for bad in ["{{secret:nobody}}", "{{secret:token", "{{secret:}}", "{{secret:TOKEN}}", "a\r\nx: y"] {
            assert!(fill(bad, &host("a.example"), &grants).is_err(), "{bad}");
        }
        assert_eq!(fill("{{other}} }}", &host("a.example"), &grants).unwrap(), "{{other}} }}");
    }

    #[test]
    fn a_secret_is_not_filled_in_twice() {
        let mut grants = grants();
        let nested = SecretGrant { value: Secret::new("{{secret:other}}"), hosts: vec![host("a.example")] };
        grants.secrets.insert("nested".into(), nested);
        assert_eq!(fill("{{secret:nested}}", &host("a.example"), &grants).unwrap(), "{{secret:other}}");
    }

    #[test]
    fn repeated_secrets_are_masked_wherever_they_stand() {
        let grants: Vec<_> = grants().secrets.into_values().map(|grant| grant.value).collect();
        let masked = mask(b"a 00tokentoken-and-more b 00tokentoken00tokentoken otherother \xff".to_vec(), &grants);
        assert_eq!(masked, b"a [secret] b [secret][secret] [secret] \xff");
        assert_eq!(mask(b"00tokentoke".to_vec(), &grants), b"00tokentoke");
        assert!(mask(Vec::new(), &grants).is_empty());
    }
}
