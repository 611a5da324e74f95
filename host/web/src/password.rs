//! Passwords of the console: Argon2id (RFC 9106).

use std::sync::Arc;

use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use portcullis_core::{Ids, Secret};
use tokio::sync::Semaphore;

use crate::WebError;

/// RFC 9106, section 4, second recommended option: 64 MiB of memory (in KiB),
const MEMORY_KIB: u32 = 64 * 1024;
/// three passes,
const PASSES: u32 = 3;
/// four lanes,
const LANES: u32 = 4;
/// and a 256-bit tag.
const TAG_BYTES: usize = 32;
/// So many hashes are computed at once: each takes the memory above and a core.
const AT_ONCE: usize = 2;
/// So many sign-ins may be under way, those that wait for their turn included.
const QUEUE: usize = 16;

/// Hashes a password with a random salt; takes some hundred milliseconds. PHC string form.
///
/// # Errors
/// [`WebError::Hash`].
pub(crate) fn hash(password: &Secret, salt: [u8; 16]) -> Result<String, WebError> {
    let failed = |error: &dyn std::fmt::Display| WebError::Hash(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(TAG_BYTES)).map_err(|error| failed(&error))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| failed(&error))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = hasher.hash_password(password.reveal().as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// The same in a thread that may block.
pub(crate) async fn hash_elsewhere(password: Secret, salt: [u8; 16]) -> Result<String, WebError> {
    let hashed = tokio::task::spawn_blocking(move || hash(&password, salt)).await;
    hashed.map_err(|error| WebError::Hash(error.to_string()))?
}

/// More sign-ins than can be looked at.
#[derive(Debug)]
pub(crate) struct Busy;

/// Checks passwords, a few at a time.
pub(crate) struct Passwords {
    queue: Semaphore,
    turns: Arc<Semaphore>,
    /// Hash of a password that nobody knows. A login that does not exist is checked against it, so that the answer takes
    /// as long as for one that does.
    nobody: String,
}

impl Passwords {
    pub(crate) async fn new(ids: &dyn Ids) -> Result<Self, WebError> {
        let unknown = Secret::new(ids.random().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let nobody = hash_elsewhere(unknown, ids.random()).await?;
        Ok(Self { queue: Semaphore::new(QUEUE), turns: Arc::new(Semaphore::new(AT_ONCE)), nobody })
    }

    /// Whether the password is the one of the hash. Without a hash it never is, after the same work.
    pub(crate) async fn verify(&self, password: Secret, hash: Option<String>) -> Result<bool, Busy> {
        let _place = self.queue.try_acquire().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let matches = tokio::task::spawn_blocking(move || {
            let matches = matches(&password, &hash);
            // The turn ends with the work, not with the request that may have gone away.
            drop(turn);
            matches
        });
        Ok(matches.await.unwrap_or(false) && known)
    }
}

fn matches(password: &Secret, hash: &str) -> bool {
    match PasswordHash::new(hash) {
        Ok(hash) => Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash is damaged");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_names_the_parameters_of_the_rfc_and_fits_its_password_alone() {
        let stored = hash(&Secret::new("correct horse"), [7; 16]).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{stored}");
        assert!(matches(&Secret::new("correct horse"), &stored));
        assert!(!matches(&Secret::new("correct horsf"), &stored));
        assert!(!matches(&Secret::new("correct horse"), "damaged"));
        assert_ne!(hash(&Secret::new("correct horse"), [8; 16]).unwrap(), stored, "the salt counts");
    }
}
