//! Server-sent events (WHATWG HTML, section 9.2), as far as the gateway sends them.

use serde::Deserialize;

/// The longest message; a longer one is no message of a gateway.
const MAX_MESSAGE: usize = 64 << 10;

/// A challenge, as `GET /notify/events` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Challenge {
    path: String,
    pub(crate) application: String,
    pub(crate) login: String,
    pub(crate) endpoint: Option<String>,
}

impl Challenge {
    /// Where its page is; none where that is no page of a challenge.
    pub(crate) fn path(&self) -> Option<&str> {
        let link = self.path.strip_prefix("/challenge/")?;
        let is_link = link.len() == 32 && link.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_link.then_some(self.path.as_str())
    }
}

/// Cuts what arrives into messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    line: Vec<u8>,
    data: String,
}

/// What arrived is no stream of events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Messages {
    /// Takes the next bytes, and gives the challenges that are complete. What is no challenge is passed over.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Challenge>, TooLong> {
        let mut challenges = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => challenges.extend(self.end_of_line()),
                b'\r' => {}
                byte => self.line.push(*byte),
            }
            if self.line.len().saturating_add(self.data.len()) > MAX_MESSAGE {
                return Err(TooLong);
            }
        }
        Ok(challenges)
    }

    fn end_of_line(&mut self) -> Option<Challenge> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return serde_json::from_str(&data).ok();
        }
        // Lines that begin with a colon are signs of life, and there are no other fields.
        let line = String::from_utf8_lossy(&line);
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"path":"/challenge/0123456789abcdef0123456789abcdef","application":"wiki","login":"alice","endpoint":null,"opened_at":1,"new":[]}"#;

    #[test]
    fn messages_are_put_together_from_pieces_of_any_size() {
        let text = format!(": alive\n\ndata: {ONE}\r\n\r\n:\n\nid: 1\ndata:{ONE}\n\ndata: no json\n\n");
        for size in 1..50 {
            let mut messages = Messages::default();
            let found: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| messages.take(piece).unwrap()).collect();
            assert_eq!(found.len(), 2, "pieces of {size}");
            assert_eq!(found[0].path(), Some("/challenge/0123456789abcdef0123456789abcdef"));
            assert_eq!((found[1].application.as_str(), found[1].login.as_str()), ("wiki", "alice"));
        }
    }

    #[test]
    fn what_is_no_page_of_a_challenge_is_not_opened() {
        for path in [
            "/challenge/0123456789abcdef0123456789abcdeF",
            "/challenge/0123456789abcdef0123456789abcdef/x",
            "/challenge/../../../etc/passwd0000000000000",
            "https://evil.example/challenge/0123456789abcdef0123456789abcdef",
            "",
        ] {
            let challenge =
                Challenge { path: path.into(), application: String::new(), login: String::new(), endpoint: None };
            assert_eq!(challenge.path(), None, "{path}");
        }
    }

    #[test]
    fn an_endless_line_is_cut_off() {
        let mut messages = Messages::default();
        assert_eq!(messages.take(&vec![b'x'; 70_000]), Err(TooLong));
        let mut messages = Messages::default();
        let lines = "data: yyyyyyyy\n".repeat(10_000);
        assert_eq!(messages.take(lines.as_bytes()), Err(TooLong));
    }
}
