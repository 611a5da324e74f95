//! The JSON of events on its way to the writer.
//!
//! It is just longer than what the system's allocator hands out quickly, and is taken on one thread and given back on another. So
//! the memory of texts that are stored is kept for the next ones.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_core::event::Event;

/// Pieces of memory that are kept, as many as a transaction has writes.
const MOST: usize = 256;
/// The largest that is kept, in bytes, and the smallest that is asked for.
const LARGEST: usize = 8 * 1024;
const SMALLEST: usize = 2 * 1024;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// The JSON of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    /// # Errors
    /// What serde says of an event that cannot be written.
    pub(crate) fn of(event: &Event) -> Result<Self, String> {
        let mut bytes = spare().pop().unwrap_or_else(|| Vec::with_capacity(SMALLEST));
        serde_json::to_writer(&mut bytes, event).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map(Self).map_err(|error| error.to_string())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        if bytes.capacity() > LARGEST {
            return;
        }
        bytes.clear();
        let mut spare = spare();
        if spare.len() < MOST {
            spare.push(bytes);
        }
    }
}

fn spare() -> MutexGuard<'static, Vec<Vec<u8>>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use portcullis_core::EventId;
    use portcullis_core::Timestamp;
    use portcullis_core::event::AdministrationEvent;

    use super::*;

    fn event(detail: &str) -> Event {
        Event::Administration(AdministrationEvent {
            id: EventId(uuid::Uuid::nil()),
            at: Timestamp(1),
            actor: "anna".to_owned(),
            action: "signed-in".to_owned(),
            detail: detail.to_owned(),
        })
    }

    #[test]
    fn memory_that_is_used_again_holds_nothing_of_what_was_there() {
        let long = event(&"x".repeat(3_000));
        let expected = serde_json::to_string(&event("short")).unwrap();
        for _ in 0..4 {
            drop(Text::of(&long).unwrap());
            assert_eq!(*Text::of(&event("short")).unwrap(), *expected);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        drop(Text::of(&event(&"x".repeat(2 * LARGEST))).unwrap());
        let texts: Vec<_> = (0..2 * MOST).map(|_| Text::of(&event("short")).unwrap()).collect();
        drop(texts);
        let kept = spare();
        assert!(kept.len() <= MOST);
        assert!(kept.iter().all(|bytes| bytes.capacity() <= LARGEST && bytes.is_empty()));
    }
}
