//! Telling tried passwords apart without knowing them.

use hmac::{Hmac, Mac as _};
use portcullis_core::Ids;
use portcullis_core::gate::PasswordTag;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A key that is made when the process starts, and is nowhere else. What is hashed with it tells nothing without it, and the
/// same password has another tag in another process.
pub(crate) struct Passwords {
    key: Zeroizing<[u8; 32]>,
}

impl Passwords {
    pub(crate) fn new(ids: &dyn Ids) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        for half in key.chunks_exact_mut(16) {
            half.copy_from_slice(Zeroizing::new(ids.random()).as_slice());
        }
        Self { key }
    }

    /// HMAC-SHA-256 (RFC 2104), cut to 64 bits: enough that two passwords are not taken for one, too little to be of use.
    pub(crate) fn tag(&self, password: &[u8]) -> Option<PasswordTag> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice()).ok()?;
        mac.update(password);
        let digest = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        let (first, _) = digest.split_first_chunk::<8>()?;
        Some(PasswordTag(u64::from_be_bytes(*first)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use portcullis_core::{EventId, Timestamp};

    use super::*;

    struct Counting(AtomicU8);

    impl Ids for Counting {
        fn event_id(&self, _: Timestamp) -> EventId {
            EventId(uuid::Uuid::nil())
        }
        fn random(&self) -> [u8; 16] {
            [self.0.fetch_add(1, Ordering::Relaxed); 16]
        }
    }

    #[test]
    fn the_same_password_has_the_same_tag_under_one_key_only() {
        let ids = Counting(AtomicU8::new(0));
        let (one, other) = (Passwords::new(&ids), Passwords::new(&ids));
        assert_eq!(one.tag(b"hunter2"), one.tag(b"hunter2"));
        assert_ne!(one.tag(b"hunter2"), one.tag(b"hunter3"));
        assert_ne!(one.tag(b"hunter2"), other.tag(b"hunter2"));
        assert_eq!(format!("{:?}", one.tag(b"hunter2")), "Some(PasswordTag(…))");
    }
}
