//! A case: what a client does on its connections, and what of the answers is compared how.

use std::sync::Arc;

use anyhow::Result;

use super::ber::Octets;
use super::request::{Op, bind, unbind};

/// Makes a request from the frames that the connection has received so far.
pub(super) type Reply = Arc<dyn Fn(&[Octets]) -> Result<Op> + Send + Sync>;

/// One thing that the client does.
#[derive(Clone)]
pub(super) enum Step {
    /// Sends these octets with one call.
    Send(Octets),
    /// Sends these octets one by one.
    Trickle(Octets),
    /// Sends a request with this message id that is made of what was received.
    Reply(i64, Reply),
    /// Reads until each of these ids has its last answer.
    Wait(Vec<i32>),
    /// Reads until so many frames have come in all.
    Frames(usize),
    /// Reads until the server closes.
    Closed,
    /// Closes the sending side.
    HalfClose,
}

/// How the answers are compared.
#[derive(Clone)]
pub(super) enum Compare {
    /// All octets in their order.
    Whole,
    /// Operations run at the same time, and a directory answers them in any order: the octets of each message id.
    PerId,
    /// The answer to this id was cut short by the client, earlier or later: it is a beginning, in whole messages, of what the
    /// same request on the first connection brought. All else as in `PerId`.
    CutShort(i32),
    /// The gateway answers differently on purpose.
    ByDesign(Design),
}

/// A difference that is meant.
#[derive(Clone)]
pub(super) struct Design {
    pub(super) why: &'static str,
    /// What comes back through the gateway on the first connection: in all, or in the place of one of the directory's messages.
    pub(super) octets: Octets,
    pub(super) place: Option<usize>,
    /// The directory may happen to answer the same, because it depends on which of its threads comes first.
    pub(super) now_and_then: bool,
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    /// Each step with the number of its connection. Connections are opened when they are first named.
    pub(super) steps: Vec<(usize, Step)>,
    pub(super) compare: Compare,
    connection: usize,
    next_id: Vec<i64>,
    /// Unbind and wait for the end on each connection.
    ends: bool,
}

impl Case {
    pub(super) fn new(name: impl Into<String>) -> Self {
        let compare = Compare::Whole;
        Self { name: name.into(), steps: Vec::new(), compare, connection: 0, next_id: Vec::new(), ends: true }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push((self.connection, step));
        self
    }

    /// From here on, the steps are those of this connection.
    pub(super) fn on(mut self, connection: usize) -> Self {
        self.connection = connection;
        self
    }

    fn take_id(&mut self) -> i64 {
        if self.next_id.len() <= self.connection {
            self.next_id.resize(self.connection + 1, 1);
        }
        let id = self.next_id[self.connection];
        self.next_id[self.connection] += 1;
        id
    }

    /// Binds as the directory's administrator, under message id 1.
    pub(super) fn manager(self) -> Self {
        self.ask(bind("cn=manager,dc=example,dc=com", "manager-secret"))
    }

    /// Sends under the next message id and waits for the last answer.
    pub(super) fn ask(mut self, op: impl Into<Op>) -> Self {
        let id = self.take_id();
        self.ask_as(id, op)
    }

    pub(super) fn ask_as(self, id: i64, op: impl Into<Op>) -> Self {
        let wait = vec![i32::try_from(id).unwrap()];
        self.step(Step::Send(op.into().message(id))).step(Step::Wait(wait))
    }

    /// Sends under the next message id and does not wait.
    pub(super) fn send(mut self, op: impl Into<Op>) -> Self {
        let id = self.take_id();
        self.octets(op.into().message(id))
    }

    /// Answers what was received, under the next message id, and waits for the last answer.
    pub(super) fn reply(mut self, make: impl Fn(&[Octets]) -> Result<Op> + Send + Sync + 'static) -> Self {
        let id = self.take_id();
        let wait = vec![i32::try_from(id).unwrap()];
        self.step(Step::Reply(id, Arc::new(make))).step(Step::Wait(wait))
    }

    pub(super) fn octets(self, octets: impl Into<Octets>) -> Self {
        self.step(Step::Send(octets.into()))
    }

    pub(super) fn trickle(self, octets: Octets) -> Self {
        self.step(Step::Trickle(octets))
    }

    pub(super) fn wait(self, ids: impl IntoIterator<Item = i32>) -> Self {
        let ids = ids.into_iter().collect();
        self.step(Step::Wait(ids))
    }

    pub(super) fn frames(self, count: usize) -> Self {
        self.step(Step::Frames(count))
    }

    pub(super) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    /// The server closes this connection by itself; nothing is said at the end.
    pub(super) fn closed(mut self) -> Self {
        self.ends = false;
        self.step(Step::Closed)
    }

    /// Nothing is said at the end: the connections are just dropped.
    pub(super) fn dropped(mut self) -> Self {
        self.ends = false;
        self
    }

    pub(super) fn per_id(mut self) -> Self {
        self.compare = Compare::PerId;
        self
    }

    pub(super) fn cut_short(mut self, id: i32) -> Self {
        self.compare = Compare::CutShort(id);
        self
    }

    pub(super) fn by_design(mut self, why: &'static str, answers: &[Octets]) -> Self {
        self.compare = Compare::ByDesign(Design { why, octets: answers.concat(), place: None, now_and_then: false });
        self
    }

    /// As `by_design`, where all but the message in this place (from 0) is the directory's.
    pub(super) fn one_by_design(mut self, why: &'static str, place: usize, answer: Octets) -> Self {
        self.compare = Compare::ByDesign(Design { why, octets: answer, place: Some(place), now_and_then: false });
        self
    }

    /// The directory's answer depends on which of its threads comes first, and may be the same.
    pub(super) fn now_and_then(mut self) -> Self {
        if let Compare::ByDesign(design) = &mut self.compare {
            design.now_and_then = true;
        }
        self
    }

    /// The same case with every request changed.
    pub(super) fn in_other_words(mut self, change: fn(&[u8]) -> Octets) -> Self {
        for (_, step) in &mut self.steps {
            match step {
                Step::Send(octets) | Step::Trickle(octets) => *octets = change(octets),
                Step::Reply(_, make) => {
                    let before = Arc::clone(make);
                    *make = Arc::new(move |frames| Ok(before(frames)?.changed(change)));
                }
                Step::Wait(_) | Step::Frames(_) | Step::Closed | Step::HalfClose => {}
            }
        }
        self
    }

    /// All steps, with the goodbyes.
    pub(super) fn script(&self) -> Vec<(usize, Step)> {
        let mut steps = self.steps.clone();
        let connections = steps.iter().map(|(connection, _)| connection + 1).max().unwrap_or(0);
        for connection in (0..connections).filter(|_| self.ends) {
            steps.push((connection, Step::Send(unbind().message(99))));
            steps.push((connection, Step::Closed));
        }
        steps
    }
}
