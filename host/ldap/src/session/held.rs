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
    /// By message id, with the application number.
    handles: HashMap<i32, (AbortHandle, u8)>,
}

impl<G: Gate> Default for Held<'_, G> {
    fn default() -> Self {
        Self { deciding: FuturesUnordered::new(), handles: HashMap::new() }
    }
}

impl<'s, G: Gate> Held<'s, G> {
    pub(super) fn hold(&mut self, id: i32, request: u8, deciding: BoxFuture<'s, Decided<G>>) {
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(id, (handle, request));
        self.deciding.push(Abortable::new(deciding, registration));
    }

    pub(super) fn contains(&self, id: i32) -> bool {
        self.handles.contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.handles.len() >= MAX_HELD
    }

    /// Gives up the request with this id, where there is one: its application number. The gate sees its future dropped.
    pub(super) fn abandon(&mut self, id: i32) -> Option<u8> {
        let (handle, request) = self.handles.remove(&id)?;
        handle.abort();
        Some(request)
    }

    /// Gives up all of them: their ids and application numbers.
    pub(super) fn clear(&mut self) -> Vec<(i32, u8)> {
        self.deciding.clear();
        self.handles.drain().map(|(id, (_, request))| (id, request)).collect()
    }

    /// The next that is decided. Safe to drop.
    pub(super) async fn next(&mut self) -> Decided<G> {
        loop {
            match self.deciding.next().await {
                Some(Ok(decided)) => {
                    self.handles.remove(&decided.id);
                    return decided;
                }
                // It was abandoned, and is gone with this.
                Some(Err(_)) => {}
                None => pending().await,
            }
        }
    }
}
