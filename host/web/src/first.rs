//! The administrator that a new gateway begins with.

use portcullis_core::store::{Administrator, SettingsStore};
use portcullis_core::{Ids, Secret};

use crate::{WebError, password};

/// Login of the first administrator.
pub const FIRST_LOGIN: &str = "admin";

/// Digits and letters without those that are easily taken for another: 32, five bits each.
const LETTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// Makes the administrator [`FIRST_LOGIN`] with a random password when there is no administrator at all, and returns the
/// password for the caller to show once; none when there is one already. Only its Argon2id hash is stored.
///
/// # Errors
/// The store cannot be read or written, or the hash cannot be computed.
pub async fn ensure_first_administrator(
    settings: &dyn SettingsStore,
    ids: &dyn Ids,
) -> Result<Option<Secret>, WebError> {
    if settings.administrator_count().await? > 0 {
        return Ok(None);
    }
    let password = new_password(ids.random());
    let password_hash = password::hash_elsewhere(password.clone(), ids.random()).await?;
    settings.put_administrator(&Administrator { login: FIRST_LOGIN.to_owned(), password_hash }).await?;
    Ok(Some(password))
}

/// 24 letters in groups of four: 120 bits of the 128 that come in.
fn new_password(random: [u8; 16]) -> Secret {
    let mut bits = u128::from_be_bytes(random);
    let mut text = String::with_capacity(29);
    for position in 0..24 {
        if position > 0 && position % 4 == 0 {
            text.push('-');
        }
        let letter = usize::try_from(bits & 31).ok().and_then(|index| LETTERS.get(index));
        text.extend(letter.map(|letter| char::from(*letter)));
        bits >>= 5;
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_24_letters_and_all_randomness_counts() {
        let password = new_password(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
        let groups: Vec<_> = password.reveal().split('-').collect();
        assert_eq!(groups.len(), 6);
        assert!(groups.iter().all(|group| group.len() == 4 && group.bytes().all(|b| LETTERS.contains(&b))));
        assert_ne!(new_password([1; 16]), new_password([2; 16]));
        let mut changed = [1; 16];
        changed[1] ^= 0x80;
        assert_ne!(new_password([1; 16]), new_password(changed));
    }
}
