//! Requests that the gate has not decided on yet.

use std::collections::HashMap;
use std::future::pending;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use portcullis_core::gate::{Answer, Gate};
use portcullis_core::{BoxFuture, OperationKind};

use crate::frame::Frame;

/// Requests of one connection that may be undecided at a time.
const MAX_HELD: usize = 64;

/// A request on which the gate has decided.
pub(super) struct Decided<G: Gate> {
    pub(super) id: i32,
    pub(super) op: u8,
    pub(super) kind: OperationKind,
    /// For the summary, where it becomes part of one.
    pub(super) base: Option<Box<[u8]>>,
    pub(super) answer: Answer<G::Permitted<Frame>>,
}

/// The undecided requests of a connection. They are decided in any order.
pub(super) struct Held<'s, G: Gate> {
    deciding: FuturesUnordered<Abortable<BoxFuture<'s, Decided<G>>>>,
    /// By message id.
    requests: HashMap<i32, Request>,
    /// What they take together.
    octets: usize,
}

struct Request {
    abort: AbortHandle,
    op: u8,
    octets: usize,
}

impl<G: Gate> Default for Held<'_, G> {
    fn default() -> Self {
        Self { deciding: FuturesUnordered::new(), requests: HashMap::new(), octets: 0 }
    }
}

impl<'s, G: Gate> Held<'s, G> {
    /// Holds a request of this many octets.
    pub(super) fn hold(&mut self, id: i32, op: u8, octets: usize, deciding: BoxFuture<'s, Decided<G>>) {
        let (abort, registration) = AbortHandle::new_pair();
        self.requests.insert(id, Request { abort, op, octets });
        self.octets += octets;
        self.deciding.push(Abortable::new(deciding, registration));
    }

    pub(super) fn contains(&self, id: i32) -> bool {
        self.requests.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// No more may be undecided, of which `most` octets do not wait for one another.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.requests.len() >= MAX_HELD || self.octets >= most
    }

    /// Octets of all of them.
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    fn remove(&mut self, id: i32) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        self.octets -= request.octets;
        Some(request)
    }

    /// Gives up the request with this id, where there is one: its application number. The gate sees its future dropped.
    pub(super) fn abandon(&mut self, id: i32) -> Option<u8> {
        let request = self.remove(id)?;
        request.abort.abort();
        Some(request.op)
    }

    /// Gives up all of them: their ids and application numbers.
    pub(super) fn clear(&mut self) -> Vec<(i32, u8)> {
        self.deciding.clear();
        self.octets = 0;
        self.requests.drain().map(|(id, request)| (id, request.op)).collect()
    }

    /// The next that is decided. Safe to drop.
    pub(super) async fn next(&mut self) -> Decided<G> {
        loop {
            match self.deciding.next().await {
                Some(Ok(decided)) => {
                    self.remove(decided.id);
                    return decided;
                }
                // It was abandoned, and is gone with this.
                Some(Err(_)) => {}
                None => pending().await,
            }
        }
    }
}
