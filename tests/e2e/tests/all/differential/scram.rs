//! The client's side of SCRAM-SHA-256 (RFC 5802 and RFC 7677), as far as a script needs it.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::hmac::hmac;

/// What a client says first, without the part about channel binding.
pub(super) fn first_bare(name: &str) -> String {
    format!("n={name},r=0123456789abcdefghij")
}

/// What proves the password to the server that has answered with this challenge.
pub(super) fn proof(name: &str, password: &str, challenge: &str) -> Result<String> {
    let field = |sign: &str| challenge.split(',').find_map(|part| part.strip_prefix(sign));
    let nonce = field("r=").context("no nonce")?;
    let salt = STANDARD.decode(field("s=").context("no salt")?)?;
    let rounds: u32 = field("i=").context("no number of rounds")?.parse()?;
    let last = format!("c=biws,r={nonce}");
    let message = format!("{},{challenge},{last}", first_bare(name));
    let key = hmac::<Sha256>(&salted(password, &salt, rounds), b"Client Key");
    let signature = hmac::<Sha256>(&Sha256::digest(&key), message.as_bytes());
    let proof: Vec<u8> = key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    Ok(format!("{last},p={}", STANDARD.encode(proof)))
}

/// `Hi` of RFC 5802, section 2.2.
fn salted(password: &str, salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut round = hmac::<Sha256>(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = round.clone();
    for _ in 1..rounds {
        round = hmac::<Sha256>(password.as_bytes(), &round);
        for (sum, octet) in sum.iter_mut().zip(&round) {
            *sum ^= octet;
        }
    }
    sum
}
