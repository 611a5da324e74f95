//! The client's side of NTLM, version 2 (MS-NLMP, section 3.3.2), without a security layer, as far as a script needs it.

use anyhow::{Context as _, Result};
use md5::Md5;

use super::super::hmac::hmac;

const SIGNATURE: &[u8] = b"NTLMSSP\0";
/// Names in UTF-16, a challenge with the server's particulars, NTLM, extended session security (MS-NLMP, section 2.2.2.5).
const FLAGS: u32 = 0x0000_0001 | 0x0000_0004 | 0x0000_0200 | 0x0008_0000;
/// MD4 of `alice-secret` in UTF-16 (MS-NLMP, section 3.3.1, NTOWFv1).
pub(super) const ALICE_HASH: [u8; 16] =
    [0xd8, 0x1b, 0xb5, 0x23, 0x9f, 0x92, 0x0e, 0x18, 0x72, 0x28, 0x26, 0x18, 0x45, 0xde, 0xbd, 0x0d];

/// The first message.
pub(super) fn negotiate() -> Vec<u8> {
    [SIGNATURE, &1_u32.to_le_bytes(), &FLAGS.to_le_bytes(), &[0; 16]].concat()
}

/// The last one, for the challenge in what the server said.
pub(super) fn authenticate(user: &str, domain: &str, hash: &[u8; 16], said: &[u8]) -> Result<Vec<u8>> {
    let at = said.windows(SIGNATURE.len()).position(|part| part == SIGNATURE).context("no NTLM")?;
    let message = &said[at..];
    let challenge = message.get(24..32).context("no challenge")?;
    let field = message.get(40..48).context("no particulars")?;
    let (length, from) = (u16::from_le_bytes([field[0], field[1]]), u32::from_le_bytes(field[4..8].try_into()?));
    let from = usize::try_from(from)?;
    let particulars = message.get(from..from + usize::from(length)).context("particulars cut short")?;
    let key = hmac::<Md5>(hash, &[wide(&user.to_uppercase()), wide(domain)].concat());
    let blob = [&[1, 1, 0, 0, 0, 0, 0, 0][..], &time(particulars), &[0xaa; 8], &[0; 4], particulars, &[0; 4]].concat();
    let response = [hmac::<Md5>(&key, &[challenge, &blob].concat()), blob].concat();
    // Domain, user, machine, the answer of version 1, that of version 2, and no key of a session (section 2.2.1.3).
    let (domain, user) = (wide(domain), wide(user));
    let mut offset = 64;
    let mut header = [SIGNATURE, &3_u32.to_le_bytes()].concat();
    let mut payload = Vec::new();
    let none: &[u8] = &[];
    for part in [none, &response, &domain, &user, none, none] {
        let length = u16::try_from(part.len())?.to_le_bytes();
        header.extend([&length[..], &length, &u32::try_from(offset)?.to_le_bytes()].concat());
        payload.extend_from_slice(part);
        offset += part.len();
    }
    header.extend(FLAGS.to_le_bytes());
    Ok([header, payload].concat())
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The server's time among its particulars, pairs of number, length and value; it wants none where it tells none.
fn time(mut particulars: &[u8]) -> [u8; 8] {
    const TIMESTAMP: u16 = 7;
    while let [a, b, c, d, rest @ ..] = particulars {
        let (number, length) = (u16::from_le_bytes([*a, *b]), usize::from(u16::from_le_bytes([*c, *d])));
        let Some(value) = rest.get(..length) else { break };
        if number == TIMESTAMP
            && let Ok(value) = value.try_into()
        {
            return value;
        }
        particulars = &rest[length..];
    }
    [0; 8]
}
