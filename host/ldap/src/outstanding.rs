//! What the directory has got and not answered, and what it may not answer any more.

use std::collections::{HashMap, HashSet};

use portcullis_core::gate::Told;
use tokio::time::Instant;

use crate::decode;
use crate::encode::OwnAnswer;
use crate::frame::{Header, op, result_code};
use crate::returned::Returned;

/// The requests that the directory has got and not answered, by message id.
#[derive(Debug, Default)]
pub struct Outstanding {
    requests: HashMap<i32, Request>,
    /// Operations that the gateway has ended in the directory's place. What the directory still says about them is for
    /// nobody, and must not be taken for the answer to a later request with the same id.
    given_up: HashSet<i32>,
    /// No request is due before this; none may be due at this very moment.
    due: Option<Instant>,
    /// The directory has sent a Notice of Disconnection.
    pub(crate) farewell: bool,
    /// What it has answered since that was asked last.
    pub(crate) returned: Returned,
}

#[derive(Debug)]
struct Request {
    op: u8,
    due: Option<Instant>,
    /// Who wants to know its result.
    told: Option<Told>,
}

impl Outstanding {
    /// A request with this application number has been sent, to be answered until `due`.
    pub(crate) fn insert(&mut self, id: i32, op: u8, due: Option<Instant>) {
        // Unbind and abandon have no answer; what is not in the RFC is not known to have one.
        if OwnAnswer::has_answer(op) {
            self.requests.insert(id, Request { op, due, told: None });
            self.due = earlier(self.due, due);
        }
    }

    /// The gate wants to know what becomes of the request that was sent last under this id.
    pub(crate) fn tell(&mut self, id: i32, told: Told) {
        if let Some(request) = self.requests.get_mut(&id) {
            request.told = Some(told);
        }
    }

    pub(crate) fn remove(&mut self, id: i32) {
        self.requests.remove(&id);
    }

    pub(crate) fn contains(&self, id: i32) -> bool {
        self.requests.contains_key(&id)
    }

    /// The operation with this id was ended by the gateway, and the directory may still answer it.
    pub(crate) fn is_given_up(&self, id: i32) -> bool {
        !self.given_up.is_empty() && self.given_up.contains(&id)
    }

    /// Operations that the directory may still be busy with.
    pub(crate) fn len(&self) -> usize {
        self.requests.len() + self.given_up.len()
    }

    /// Operations that the gateway has ended.
    pub(crate) fn given_up(&self) -> usize {
        self.given_up.len()
    }

    /// The client waits for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// When to look for requests that are due; at times too early, never too late.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives up what is due: message ids and application numbers.
    pub(crate) fn give_up_due(&mut self, now: Instant) -> Vec<(i32, u8)> {
        let late = self.requests.extract_if(|_, request| request.due.is_some_and(|due| due <= now));
        let late: Vec<_> = late.map(|(id, request)| (id, request.op)).collect();
        self.given_up.extend(late.iter().map(|(id, _)| *id));
        self.due = self.requests.values().fold(None, |due, request| earlier(due, request.due));
        late
    }

    /// The directory has answered a bind. Before it did, it had to finish or abandon everything else (RFC 4511,
    /// sections 4.2.1 and 4.11), so nothing more can come for what was given up.
    pub(crate) fn bind_answered(&mut self) {
        self.given_up.clear();
    }

    /// A bind was let through: what the directory had not answered before it has given up (RFC 4511, section 4.2.1). Whether
    /// there was anything.
    pub(crate) fn forget_unanswered(&mut self) -> bool {
        let unanswered = !self.requests.is_empty();
        self.requests.clear();
        self.due = None;
        unanswered
    }

    /// Takes out all that is not answered, by message id. For a connection to the directory that is given up.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (i32, u8)> {
        self.given_up.clear();
        self.due = None;
        let mut unanswered: Vec<_> = self.requests.drain().map(|(id, request)| (id, request.op)).collect();
        unanswered.sort_unstable();
        unanswered.into_iter()
    }

    /// Notes an answer.
    pub(crate) fn answered(&mut self, header: Header, message: &[u8]) {
        self.returned.message(header.op, message.len());
        let last = matches!(
            header.op,
            op::SEARCH_DONE
                | op::MODIFY_RESPONSE
                | op::ADD_RESPONSE
                | op::DELETE_RESPONSE
                | op::MODIFY_DN_RESPONSE
                | op::COMPARE_RESPONSE
                | op::EXTENDED_RESPONSE
        );
        if last && header.id == 0 {
            // Directories may announce other things, after which they go on (RFC 4511, section 4.4).
            self.farewell |= !decode::is_other_notification(message);
        } else if last && !self.given_up.remove(&header.id) {
            self.returned.result(message);
            let told = self.requests.remove(&header.id).and_then(|request| request.told);
            if let (Some(told), Ok(code)) = (told, result_code(message)) {
                told.tell(code);
            }
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_is_given_up_and_the_rest_waits_for_its_own_time() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut outstanding = Outstanding::default();
        outstanding.insert(1, op::MODIFY, Some(begin + 2 * second));
        outstanding.insert(2, op::SEARCH, None);
        outstanding.insert(3, op::ADD, Some(begin + second));
        assert_eq!(outstanding.due(), Some(begin + second));
        outstanding.answered(Header { id: 3, op: op::ADD_RESPONSE, controls: false }, &[]);
        assert_eq!(outstanding.give_up_due(begin + second), []);
        assert_eq!(outstanding.due(), Some(begin + 2 * second));
        assert_eq!(outstanding.give_up_due(begin + 2 * second), [(1, op::MODIFY)]);
        assert_eq!(outstanding.due(), None);
        assert!(outstanding.is_given_up(1) && !outstanding.is_given_up(2) && !outstanding.contains(1));
        assert_eq!((outstanding.len(), outstanding.given_up()), (2, 1));
        outstanding.answered(Header { id: 1, op: op::MODIFY_RESPONSE, controls: false }, &[]);
        assert!(!outstanding.is_given_up(1), "the directory has nothing more to say about it");
    }
}
