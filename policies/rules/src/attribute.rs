//! Names of attributes (RFC 4512, section 2.5), which requests may write in several ways.

/// Other names of attributes (RFC 4519, RFC 4524, RFC 2798).
const LONG: [(&str, &str); 15] = [
    ("commonName", "cn"),
    ("surname", "sn"),
    ("countryName", "c"),
    ("localityName", "l"),
    ("stateOrProvinceName", "st"),
    ("streetAddress", "street"),
    ("organizationName", "o"),
    ("organizationalUnitName", "ou"),
    ("fax", "facsimileTelephoneNumber"),
    ("gn", "givenName"),
    ("userid", "uid"),
    ("rfc822Mailbox", "mail"),
    ("homeTelephoneNumber", "homePhone"),
    ("domainComponent", "dc"),
    ("mobileTelephoneNumber", "mobile"),
];

/// Numbers of attributes that entries are named by, that give power or that hold secrets (RFC 4519, RFC 4524, RFC 2307, MS-ADA1 to
/// MS-ADA3, and the schemas of Samba and MIT Kerberos).
const NUMBERS: [(&str, &str); 56] = [
    ("2.5.4.0", "objectClass"),
    ("2.5.4.3", "cn"),
    ("2.5.4.4", "sn"),
    ("2.5.4.6", "c"),
    ("2.5.4.7", "l"),
    ("2.5.4.8", "st"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "o"),
    ("2.5.4.11", "ou"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.20", "telephoneNumber"),
    ("2.5.4.23", "facsimileTelephoneNumber"),
    ("2.5.4.31", "member"),
    ("2.5.4.32", "owner"),
    ("2.5.4.35", "userPassword"),
    ("2.5.4.36", "userCertificate"),
    ("2.5.4.42", "givenName"),
    ("2.5.4.50", "uniqueMember"),
    ("0.9.2342.19200300.100.1.1", "uid"),
    ("0.9.2342.19200300.100.1.3", "mail"),
    ("0.9.2342.19200300.100.1.20", "homePhone"),
    ("0.9.2342.19200300.100.1.25", "dc"),
    ("0.9.2342.19200300.100.1.41", "mobile"),
    ("1.3.6.1.1.1.1.12", "memberUid"),
    ("1.3.6.1.1.1.1.14", "nisNetgroupTriple"),
    ("1.3.6.1.4.1.24552.500.1.1.1.13", "sshPublicKey"),
    ("1.3.6.1.4.1.7165.2.1.24", "sambaLMPassword"),
    ("1.3.6.1.4.1.7165.2.1.25", "sambaNTPassword"),
    ("2.16.840.1.113719.1.301.4.39.1", "krbPrincipalKey"),
    ("1.2.840.113556.1.2.1", "instanceType"),
    ("1.2.840.113556.1.2.102", "memberOf"),
    ("1.2.840.113556.1.2.281", "nTSecurityDescriptor"),
    ("1.2.840.113556.1.4.8", "userAccountControl"),
    ("1.2.840.113556.1.4.55", "dBCSPwd"),
    ("1.2.840.113556.1.4.62", "scriptPath"),
    ("1.2.840.113556.1.4.90", "unicodePwd"),
    ("1.2.840.113556.1.4.125", "supplementalCredentials"),
    ("1.2.840.113556.1.4.150", "adminCount"),
    ("1.2.840.113556.1.4.221", "sAMAccountName"),
    ("1.2.840.113556.1.4.302", "sAMAccountType"),
    ("1.2.840.113556.1.4.609", "sIDHistory"),
    ("1.2.840.113556.1.4.771", "servicePrincipalName"),
    ("1.2.840.113556.1.4.782", "objectCategory"),
    ("1.2.840.113556.1.4.867", "altSecurityIdentities"),
    ("1.2.840.113556.1.4.1787", "msDS-AllowedToDelegateTo"),
    ("1.2.840.113556.1.4.2182", "msDS-AllowedToActOnBehalfOfOtherIdentity"),
    ("1.2.840.113556.1.4.2196", "msDS-ManagedPassword"),
    ("1.2.840.113556.1.4.2200", "msDS-GroupMSAMembership"),
    ("1.2.840.113556.1.4.2328", "msDS-KeyCredentialLink"),
    ("1.2.840.113556.1.6.44.1.2", "msLAPS-Password"),
    ("1.2.840.113556.1.6.44.1.3", "msLAPS-EncryptedPassword"),
    ("1.2.840.113556.1.6.44.1.4", "msLAPS-EncryptedPasswordHistory"),
    ("1.2.840.113556.1.6.44.1.5", "msLAPS-EncryptedDSRMPassword"),
    ("1.2.840.113556.1.6.44.1.6", "msLAPS-EncryptedDSRMPasswordHistory"),
    ("1.2.840.113556.1.8000.2554.50051.45980.28112.18903.35903.6685103.1224907.2.1", "ms-Mcs-AdmPwd"),
];

/// The name of an attribute without its options, and without another way of writing it that is known here. Case stays as it is.
#[must_use]
pub fn name(written: &str) -> &str {
    let name = written.split_once(';').map_or(written, |(name, _)| name).trim();
    let name = match name.split_at_checked(4) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("oid.") => rest,
        _ => name,
    };
    let others = if is_number(name) { &NUMBERS[..] } else { &LONG[..] };
    others.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or(name, |(_, name)| name)
}

fn is_number(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_digit())
}

/// Both mean the same attribute.
#[must_use]
pub fn is(written: &str, known: &str) -> bool {
    name(written).eq_ignore_ascii_case(name(known))
}

/// It is a number that is not known here: it may mean any attribute. Not `1.1`, which means none (RFC 4511, section 4.5.1.8).
#[must_use]
pub fn is_any(written: &str) -> bool {
    let name = name(written);
    name != "1.1" && is_number(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_the_same_however_it_is_written() {
        for (written, known) in [
            ("MEMBER;range=0-9", "member"),
            ("2.5.4.31", "member"),
            ("OID.2.5.4.31;x", "Member"),
            (" commonName ", "CN"),
            ("cn", "2.5.4.3"),
            ("1.2.840.113556.1.4.90", "unicodePwd"),
            ("salary", "SALARY"),
        ] {
            assert!(is(written, known), "{written}");
        }
        assert!(!is("2.5.4.32", "member") && !is("memberUid", "member") && !is("oid", "member"));
    }

    #[test]
    fn a_number_that_nobody_knows_may_be_any() {
        assert!(is_any("1.2.3") && is_any("oid.1.2.3;x"));
        assert!(!is_any("1.1") && !is_any("2.5.4.31") && !is_any("cn") && !is_any(""));
    }
}
