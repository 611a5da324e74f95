//! A client that logs in rightly and wrongly and searches, and writes down all that it is told.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::Person;
use portcullis_lab::proto::{LdapExtendedRequest, LdapMsg, LdapOp, LdapResultCode, LdapSearchScope, OID_WHOAMI};
use tokio::sync::watch;

use crate::stage::PATIENCE;

/// Requests after which a client opens a new connection although nothing is wrong with the old one.
const PER_CONNECTION: usize = 24;

/// Somebody who logs in.
#[derive(Clone)]
pub(super) struct Account {
    uid: String,
    dn: String,
    password: String,
}

impl Account {
    pub(super) fn of(person: &Person) -> Self {
        Self { uid: person.uid.clone(), dn: person.dn.clone(), password: person.password.clone() }
    }
}

/// What was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    RightBind,
    WrongBind,
    Search,
    WhoAmI,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saw {
    /// An answer with this result code.
    Code(i64),
    /// Notice of Disconnection (RFC 4511, section 4.4.1).
    Notice,
    /// The end of the connection.
    Closed,
    /// Nothing.
    Hung,
}

impl fmt::Display for Saw {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(0) => to.write_str("success"),
            Self::Code(32) => to.write_str("noSuchObject"),
            Self::Code(49) => to.write_str("invalidCredentials"),
            Self::Code(52) => to.write_str("unavailable"),
            Self::Code(code) => write!(to, "result {code}"),
            Self::Notice => to.write_str("Notice of Disconnection"),
            Self::Closed => to.write_str("closed"),
            Self::Hung => to.write_str("no answer"),
        }
    }
}

pub(super) struct Attempt {
    pub(super) kind: Kind,
    pub(super) begun: Instant,
    pub(super) ended: Instant,
    pub(super) saw: Saw,
}

/// What one client has to tell.
pub(super) struct Record {
    pub(super) uid: String,
    pub(super) from: IpAddr,
    pub(super) attempts: Vec<Attempt>,
    /// What no client should ever see.
    pub(super) faults: Vec<String>,
    /// When login and search worked again after the last start of the directory.
    pub(super) recovered: Option<Instant>,
}

impl Record {
    pub(super) fn count(&self, kind: Kind, wanted: impl Fn(Saw) -> bool) -> usize {
        self.attempts.iter().filter(|attempt| attempt.kind == kind && wanted(attempt.saw)).count()
    }
}

/// A request that has not been answered yet.
struct Pending {
    kind: Kind,
    begun: Instant,
    /// Whose entry was asked for.
    dn: String,
    entries: usize,
}

struct Connection {
    client: LdapClient,
    /// The last bind on it succeeded.
    bound: bool,
    requests: usize,
}

pub(super) struct Worker {
    server: SocketAddr,
    nth: usize,
    own: Account,
    other: Account,
    record: Record,
    connection: Option<Connection>,
}

impl Worker {
    pub(super) fn new(server: SocketAddr, from: IpAddr, nth: usize, own: Account, other: Account) -> Self {
        let record = Record { uid: own.uid.clone(), from, attempts: Vec::new(), faults: Vec::new(), recovered: None };
        Self { server, nth, own, other, record, connection: None }
    }

    /// Works until it has worked again after the last start, or the time for that is over.
    pub(super) async fn run(mut self, restarted: watch::Receiver<Option<Instant>>, recovery: Duration) -> Record {
        for round in 0_usize.. {
            let last_start = *restarted.borrow();
            if last_start.is_some_and(|start| start.elapsed() > recovery) {
                break;
            }
            let first = self.record.attempts.len();
            self.bind(Kind::RightBind).await;
            self.look_around().await;
            if last_start.is_some() && self.all_succeeded_since(first) {
                self.record.recovered = Some(Instant::now());
                break;
            }
            if (round + self.nth).is_multiple_of(2) {
                self.bind(Kind::WrongBind).await;
                self.look_around().await;
            }
            // Spread, so that at any moment some are between any two of their steps.
            tokio::time::sleep(Duration::from_millis(20 + (self.nth as u64 * 37 + round as u64 * 53) % 160)).await;
        }
        self.leave().await;
        self.record
    }

    fn all_succeeded_since(&self, first: usize) -> bool {
        let latest = &self.record.attempts[first..];
        latest.len() > 3 && latest.iter().all(|attempt| attempt.saw == Saw::Code(0))
    }

    async fn bind(&mut self, kind: Kind) {
        let begun = Instant::now();
        let password = if kind == Kind::RightBind { &self.own.password } else { &self.other.password }.clone();
        let dn = self.own.dn.clone();
        let Some(connection) = self.connected().await else { return };
        connection.bound = false;
        let sent = connection.client.send_bind(&dn, &password).await;
        self.finish(vec![(sent, Pending { kind, begun, dn, entries: 0 })]).await;
    }

    /// Two searches and a question at once, on the connection that is there.
    async fn look_around(&mut self) {
        let (own, other) = (self.own.dn.clone(), self.other.dn.clone());
        let Some(connection) = self.connection.as_mut() else { return };
        let mut sent = Vec::new();
        for dn in [&own, &other] {
            let pending = Pending { kind: Kind::Search, begun: Instant::now(), dn: dn.clone(), entries: 0 };
            let id = connection.client.send_search(dn, LdapSearchScope::Base, "(objectClass=*)", &["uid"]).await;
            sent.push((id, pending));
        }
        let begun = Instant::now();
        let question = LdapExtendedRequest { name: OID_WHOAMI.to_owned(), value: None };
        let id = connection.client.send(LdapOp::ExtendedRequest(question)).await;
        sent.push((id, Pending { kind: Kind::WhoAmI, begun, dn: own, entries: 0 }));
        self.finish(sent).await;
    }

    async fn connected(&mut self) -> Option<&mut Connection> {
        if self.connection.as_ref().is_some_and(|connection| connection.requests >= PER_CONNECTION) {
            self.leave().await;
        }
        if self.connection.is_none() {
            match LdapClient::connect(self.server, self.record.from).await {
                Ok(mut client) => {
                    client.set_timeout(PATIENCE);
                    self.connection = Some(Connection { client, bound: false, requests: 0 });
                }
                Err(error) => self.record.faults.push(format!("the gateway does not accept: {error:#}")),
            }
        }
        self.connection.as_mut()
    }

    /// Reads until every request is answered or the connection ends.
    async fn finish(&mut self, sent: Vec<(Result<i32>, Pending)>) {
        let Some(mut connection) = self.connection.take() else { return };
        let mut pending = BTreeMap::new();
        for (id, request) in sent {
            match id {
                Ok(id) => drop(pending.insert(id, request)),
                // The connection was closed before.
                Err(_) => self.settle(&request, Saw::Closed),
            }
        }
        connection.requests += pending.len();
        while !pending.is_empty() {
            let end = match connection.client.read_message().await {
                Ok(Some(message)) if message.msgid == 0 => {
                    self.hear_the_end(&mut connection.client).await;
                    Saw::Notice
                }
                Ok(Some(message)) => {
                    self.take(&message, &mut pending, &mut connection.bound);
                    continue;
                }
                Err(error) if error.to_string().contains("has not answered") => Saw::Hung,
                Ok(None) | Err(_) => Saw::Closed,
            };
            for request in std::mem::take(&mut pending).into_values() {
                self.settle(&request, end);
            }
            return;
        }
        self.connection = Some(connection);
    }

    fn settle(&mut self, request: &Pending, saw: Saw) {
        self.record.attempts.push(Attempt { kind: request.kind, begun: request.begun, ended: Instant::now(), saw });
    }

    fn fault(&mut self, what: String) {
        self.record.faults.push(what);
    }

    fn take(&mut self, message: &LdapMsg, pending: &mut BTreeMap<i32, Pending>, bound: &mut bool) {
        let Some(request) = pending.get_mut(&message.msgid) else {
            return self.fault(format!("an answer to nothing, or a second one: {message:?}"));
        };
        let code = match (request.kind, &message.op) {
            (Kind::RightBind | Kind::WrongBind, LdapOp::BindResponse(answer)) => {
                *bound = answer.res.code == LdapResultCode::Success;
                answer.res.code.clone()
            }
            (Kind::Search, LdapOp::SearchResultEntry(entry)) => {
                request.entries += 1;
                let right = entry.dn == request.dn && *bound;
                let what = format!("{} for {} (logged in: {bound})", entry.dn, request.dn);
                if !right {
                    self.fault(what);
                }
                return;
            }
            (Kind::Search, LdapOp::SearchResultDone(answer)) => answer.code.clone(),
            (Kind::WhoAmI, LdapOp::ExtendedResponse(answer)) => {
                let who = answer.value.clone().unwrap_or_default();
                let wanted = if *bound { format!("dn:{}", self.own.dn) } else { String::new() };
                if answer.res.code == LdapResultCode::Success && who != wanted.as_bytes() {
                    self.fault(format!("{:?} instead of {wanted:?}", String::from_utf8_lossy(&who)));
                }
                answer.res.code.clone()
            }
            (kind, op) => return self.fault(format!("{op:?} to a {kind:?}")),
        };
        let code = i64::from(code as i32);
        if let Some(request) = pending.remove(&message.msgid) {
            // Whoever is logged in sees the entry; whoever is not does not even see that there is one.
            let right = match code {
                0 => !*bound || request.entries == 1,
                32 => !*bound && request.entries == 0,
                _ => true,
            };
            if request.kind == Kind::Search && !right {
                self.fault(format!("{} entries with result {code} (logged in: {bound})", request.entries));
            }
            self.settle(&request, Saw::Code(code));
        }
    }

    /// Behind the announcement of the end nothing may come but the end.
    async fn hear_the_end(&mut self, client: &mut LdapClient) {
        if let Ok(Some(message)) = client.read_message().await {
            self.fault(format!("after a Notice of Disconnection: {message:?}"));
        }
    }

    /// Says goodbye. All was answered, so nothing more may come, unless the directory is just dying.
    async fn leave(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if connection.client.send(LdapOp::UnbindRequest).await.is_err() {
            return;
        }
        while let Ok(Some(message)) = connection.client.read_message().await {
            if message.msgid != 0 {
                self.fault(format!("after the last answer: {message:?}"));
            }
        }
    }
}
