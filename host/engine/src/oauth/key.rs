//! A client's private key, and what it signs (RFC 7515, RFC 7518).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use portcullis_core::Secret;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

/// A key that can sign assertions.
pub(crate) struct SigningKey {
    pair: Pair,
    /// `kid` of a JSON Web Key, where it has one.
    pub(crate) id: Option<String>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>, &'static str),
}

/// Curves: the name in a JSON Web Key, ring's algorithm, the name in a signature's header.
static CURVES: [(&str, &EcdsaSigningAlgorithm, &str); 2] =
    [("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"), ("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING, "ES384")];

impl SigningKey {
    /// Reads a PEM file's text (PKCS #8, or PKCS #1 for RSA) or a JSON Web Key (RFC 7517).
    ///
    /// # Errors
    /// What is wrong, and what to do; nothing of the key.
    pub(crate) fn read(text: &Secret) -> Result<Self, String> {
        if text.reveal().trim_start().starts_with('{') { Self::from_jwk(text) } else { Self::from_pem(text) }
    }

    /// The name of what [`SigningKey::sign`] does (RFC 7518, section 3.1).
    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_, name) => name,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |_| "signing failed".to_owned();
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ec(pair, _) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    fn from_pem(text: &Secret) -> Result<Self, String> {
        let refused = "is neither RSA with 2048 to 4096 bits nor EC on P-256 or P-384";
        let pair = match PrivateKeyDer::from_pem_slice(text.reveal().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => pkcs8(der.secret_pkcs8_der()).ok_or(refused)?,
            Ok(PrivateKeyDer::Pkcs1(der)) => {
                Pair::Rsa(Box::new(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| refused)?))
            }
            Ok(_) => {
                let advice =
                    "is in a form that is not read; `openssl pkcs8 -topk8 -nocrypt` turns it into the usual one";
                return Err(advice.to_owned());
            }
            Err(_) if text.reveal().contains("ENCRYPTED") => {
                return Err("is protected by a passphrase; take it off with `openssl pkcs8 -topk8 -nocrypt`".to_owned());
            }
            Err(_) => return Err("holds no private key, neither as PEM nor as a JSON Web Key".to_owned()),
        };
        Ok(Self { pair, id: None })
    }

    fn from_jwk(text: &Secret) -> Result<Self, String> {
        let key: Value = serde_json::from_str(text.reveal()).map_err(|_| "is neither PEM nor JSON".to_owned())?;
        let member = |name: &str| key.get(name).and_then(Value::as_str);
        let number = |name: &str| {
            let decoded = member(name).and_then(|text| BASE64URL.decode(text).ok());
            decoded.ok_or_else(|| format!("has no `{name}`, so it is no private JSON Web Key"))
        };
        let pair = match member("kty") {
            Some("RSA") => rsa_of_jwk(number)?,
            Some("EC") => {
                let curve = CURVES.iter().find(|(name, ..)| member("crv") == Some(*name));
                let (_, algorithm, name) = curve.ok_or("is on another curve than P-256 and P-384")?;
                let public = [vec![4], number("x")?, number("y")?].concat();
                let made = EcdsaKeyPair::from_private_key_and_public_key(
                    algorithm,
                    &number("d")?,
                    &public,
                    &SystemRandom::new(),
                );
                Pair::Ec(Box::new(made.map_err(|_| "has parts that do not fit together")?), name)
            }
            _ => return Err("is a JSON Web Key of another kind than `RSA` and `EC`".to_owned()),
        };
        Ok(Self { pair, id: member("kid").map(str::to_owned) })
    }
}

fn pkcs8(der: &[u8]) -> Option<Pair> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(Box::new(pair)));
    }
    CURVES.iter().find_map(|(_, algorithm, name)| {
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der, &SystemRandom::new()).ok()?;
        Some(Pair::Ec(Box::new(pair), name))
    })
}

/// RFC 7518, section 6.3.2. The factors are needed: without them signing would be slow, and ring does not do it.
fn rsa_of_jwk(number: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<Pair, String> {
    let components = ring::rsa::KeyPairComponents {
        public_key: ring::rsa::PublicKeyComponents { n: number("n")?, e: number("e")? },
        d: number("d")?,
        p: number("p")?,
        q: number("q")?,
        dP: number("dp")?,
        dQ: number("dq")?,
        qInv: number("qi")?,
    };
    let pair = RsaKeyPair::from_components(&components)
        .map_err(|_| "has parts that do not fit together, or other than 2048 to 4096 bits")?;
    Ok(Pair::Rsa(Box::new(pair)))
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    use super::*;

    fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(algorithm).unwrap()
    }

    fn signs(key: &SigningKey, public: &[u8], algorithm: &'static dyn VerificationAlgorithm) {
        let signature = key.sign(b"message").unwrap();
        UnparsedPublicKey::new(algorithm, public).verify(b"message", &signature).unwrap();
        assert!(UnparsedPublicKey::new(algorithm, public).verify(b"massage", &signature).is_err());
    }

    #[test]
    fn a_pem_key_signs_as_its_kind_does() {
        for (algorithm, name, verify) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256", &ECDSA_P256_SHA256_FIXED as &'static dyn VerificationAlgorithm),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384", &ECDSA_P384_SHA384_FIXED),
        ] {
            let pair = pem(algorithm);
            let key = SigningKey::read(&Secret::new(pair.serialize_pem())).unwrap();
            assert_eq!((key.algorithm(), &key.id), (name, &None));
            signs(&key, pair.public_key_raw(), verify);
        }
    }

    #[test]
    fn an_rsa_key_is_read_in_each_of_its_forms() {
        let first = SigningKey::read(&Secret::new(include_str!("testing/rsa-pkcs8.pem"))).unwrap();
        let Pair::Rsa(pair) = &first.pair else { panic!("no RSA") };
        for text in [
            include_str!("testing/rsa-pkcs8.pem"),
            include_str!("testing/rsa-pkcs1.pem"),
            include_str!("testing/rsa.jwk.json"),
        ] {
            let key = SigningKey::read(&Secret::new(text)).unwrap();
            assert_eq!(key.algorithm(), "RS256");
            signs(&key, pair.public().as_ref(), &RSA_PKCS1_2048_8192_SHA256);
        }
        let key = SigningKey::read(&Secret::new(include_str!("testing/rsa.jwk.json"))).unwrap();
        assert_eq!(key.id.as_deref(), Some("for-tests"));
    }

    #[test]
    fn an_ec_key_as_json_signs_too() {
        let pair = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
        let public = pair.public_key_raw();
        // PKCS #8 of this kind has the private number at a fixed place (RFC 5915).
        let private = &pair.serialized_der()[36..68];
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": "k1", "d": BASE64URL.encode(private),
            "x": BASE64URL.encode(&public[1..33]), "y": BASE64URL.encode(&public[33..])});
        let key = SigningKey::read(&Secret::new(jwk.to_string())).unwrap();
        assert_eq!((key.algorithm(), key.id.as_deref()), ("ES256", Some("k1")));
        signs(&key, public, &ECDSA_P256_SHA256_FIXED);
    }

    #[test]
    fn what_is_no_usable_key_is_said_without_showing_it() {
        let pair = pem(&rcgen::PKCS_ED25519);
        let public_only = r#"{"kty":"RSA","n":"c2VjcmV0c2VjcmV0","e":"AQAB"}"#;
        for (text, says) in [
            (pair.serialize_pem(), "neither RSA"),
            (String::new(), "no private key"),
            ("00token-instead-of-a-key".to_owned(), "no private key"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----".to_owned(),
                "passphrase",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----".to_owned(), "openssl pkcs8"),
            (public_only.to_owned(), "no `d`"),
            (r#"{"kty":"oct","k":"c2VjcmV0c2VjcmV0"}"#.to_owned(), "another kind"),
            (r#"{"kty":"EC","crv":"P-521","d":"AA","x":"AA","y":"AA"}"#.to_owned(), "another curve"),
            (r#"{"kty":"EC","crv":"P-256","d":"AA","x":"AA","y":"AA"}"#.to_owned(), "do not fit"),
            ("{".to_owned(), "neither PEM nor JSON"),
        ] {
            let refused = SigningKey::read(&Secret::new(text.clone())).err().unwrap();
            assert!(refused.contains(says), "{refused}");
            assert!(!refused.contains("c2Vj") && !refused.contains("00token"), "{refused}");
        }
    }
}
