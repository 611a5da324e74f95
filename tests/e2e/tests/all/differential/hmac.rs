//! HMAC (RFC 2104) over a hash whose blocks have 64 octets, as those of MD5 and SHA-256 do.

use sha2::Digest;

/// For keys of at most one block.
pub(super) fn hmac<D: Digest>(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "no key here is longer than a block");
    let padded = |filler: u8| {
        let mut block = [filler; 64];
        for (octet, key) in block.iter_mut().zip(key) {
            *octet ^= key;
        }
        block
    };
    let inner = D::new().chain_update(padded(0x36)).chain_update(message).finalize();
    D::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// The second test cases of RFC 4231 and RFC 2202.
#[test]
fn a_hash_with_a_key_is_that_of_the_rfcs() {
    let hex = |octets: Vec<u8>| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let (key, message) = (&b"Jefe"[..], &b"what do ya want for nothing?"[..]);
    assert_eq!(
        hex(hmac::<sha2::Sha256>(key, message)),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert_eq!(hex(hmac::<md5::Md5>(key, message)), "750c783e6ab0b503eaa86e310a5db738");
}
