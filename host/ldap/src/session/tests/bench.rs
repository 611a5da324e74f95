//! What the tests play with: a gate that the test answers for, sockets, and messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::*;
use portcullis_core::gate::{Answer, Asked, Gate, Permit, Refusal, Summary};
use portcullis_core::{ListenerName, OperationKind};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::codec::Encoder as _;
use tokio_util::sync::CancellationToken;

use crate::accept::{Shared, serve};
use crate::frame::{DEFAULT_LIMIT, Frame, FrameReader};
use crate::listener::{Listener, Mode};
use crate::upstream::{Security, Upstream};
use crate::upstreams::Upstreams;
use crate::workers::Workers;

/// Longer than anything takes that is going to happen.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Long enough for something to happen that must not.
pub(crate) const A_WHILE: Duration = Duration::from_millis(150);

/// Private to the tests: nothing else can permit.
pub(crate) struct Leave<T>(T, Option<String>);

impl<T> Permit<T> for Leave<T> {
    fn application(&self) -> Option<&str> {
        self.1.as_deref()
    }

    fn redeem(self) -> T {
        self.0
    }
}

/// A question to the gate, answered by the test.
pub(crate) struct Question {
    pub(crate) asked: Asked,
    reply: oneshot::Sender<Result<Option<String>, String>>,
}

impl Question {
    pub(crate) fn permit(self) {
        self.reply.send(Ok(None)).unwrap();
    }

    /// Permits the bind of an application's service account.
    pub(crate) fn permit_application(self, name: &str) {
        self.reply.send(Ok(Some(name.to_owned()))).unwrap();
    }

    pub(crate) fn refuse(self, diagnostic: &str) {
        self.reply.send(Err(diagnostic.to_owned())).unwrap();
    }

    /// Waits until the session drops the gate's future.
    pub(crate) async fn cancelled(mut self) {
        timeout(SOON, self.reply.closed()).await.expect("the decision is given up");
    }
}

pub(crate) struct TestGate {
    watched: Vec<OperationKind>,
    questions: UnboundedSender<Question>,
    notes: UnboundedSender<(Asked, String)>,
    /// None where no summaries are wanted.
    summaries: Option<UnboundedSender<Summary>>,
}

impl Gate for TestGate {
    type Permitted<T: Send> = Leave<T>;

    fn pass<T: Send>(&self, kind: OperationKind, held: T) -> Result<Leave<T>, T> {
        if self.watched.contains(&kind) { Err(held) } else { Ok(Leave(held, None)) }
    }

    async fn decide<T: Send>(&self, asked: Asked, held: T) -> Answer<Leave<T>> {
        let (reply, answer) = oneshot::channel();
        let _ = self.questions.send(Question { asked, reply });
        match answer.await {
            Ok(Ok(application)) => Answer::Permitted(Leave(held, application)),
            Ok(Err(diagnostic)) => Answer::Refused(Refusal { diagnostic }),
            Err(_) => Answer::Refused(Refusal { diagnostic: "the test is over".to_owned() }),
        }
    }

    async fn note(&self, asked: Asked, reason: &str) {
        let _ = self.notes.send((asked, reason.to_owned()));
    }

    fn wants_summaries(&self) -> bool {
        self.summaries.is_some()
    }

    fn summarize(&self, summary: Summary) {
        let _ = self.summaries.as_ref().expect("summaries are wanted").send(summary);
    }
}

/// A gateway between a client and a directory.
pub(crate) struct Bench {
    pub(crate) directory: TcpListener,
    pub(crate) shared: Arc<Shared<TestGate>>,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
    pub(crate) address: std::net::SocketAddr,
    questions: UnboundedReceiver<Question>,
    notes: UnboundedReceiver<(Asked, String)>,
    summaries: UnboundedReceiver<Summary>,
}

impl Bench {
    /// Where nothing but binds is watched.
    pub(crate) async fn new() -> Self {
        Self::with(&[], Mode::Plain { starttls: None }, |_| {}).await
    }

    pub(crate) async fn with(watched: &[OperationKind], mode: Mode, change: impl FnOnce(&mut Listener)) -> Self {
        let directory = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = directory.local_addr().unwrap().port();
        let upstream = Upstream::new("127.0.0.1", port, Security::Plain);
        Self::before(directory, Upstreams::single(upstream), watched, mode, change).await
    }

    pub(crate) async fn before(
        directory: TcpListener,
        upstreams: Upstreams,
        watched: &[OperationKind],
        mode: Mode,
        change: impl FnOnce(&mut Listener),
    ) -> Self {
        Self::set(directory, upstreams, watched, mode, change, true, None).await
    }

    /// Where threads of their own serve the clients.
    pub(crate) async fn on(workers: &Workers, directory: TcpListener, upstreams: Upstreams) -> Self {
        Self::set(directory, upstreams, &[], Mode::Plain { starttls: None }, |_| {}, true, Some(workers)).await
    }

    /// Where no summaries are wanted.
    pub(crate) async fn without_summaries() -> Self {
        let directory = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = directory.local_addr().unwrap().port();
        let upstream = Upstream::new("127.0.0.1", port, Security::Plain);
        Self::set(directory, Upstreams::single(upstream), &[], Mode::Plain { starttls: None }, |_| {}, false, None)
            .await
    }

    async fn set(
        directory: TcpListener,
        upstreams: Upstreams,
        watched: &[OperationKind],
        mode: Mode,
        change: impl FnOnce(&mut Listener),
        summed_up: bool,
        workers: Option<&Workers>,
    ) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(ListenerName::new("test"), address, mode);
        listener.limits.drain = Duration::from_millis(200);
        change(&mut listener);
        let (ask, questions) = unbounded_channel();
        let (write, notes) = unbounded_channel();
        let (sum_up, summaries) = unbounded_channel();
        let summed_up = summed_up.then_some(sum_up);
        let gate = TestGate { watched: watched.to_vec(), questions: ask, notes: write, summaries: summed_up };
        let shared = Shared::new(listener, upstreams, Arc::new(gate));
        let shared = Arc::new(match workers {
            Some(workers) => shared.on(workers),
            None => shared,
        });
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(socket, Arc::clone(&shared), stop.clone()));
        Self { directory, shared, stop, serving, address, questions, notes, summaries }
    }

    pub(crate) async fn client(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// The gateway's next connection to the directory.
    pub(crate) async fn accept(&self) -> Peer<TcpStream> {
        Peer::new(timeout(SOON, self.directory.accept()).await.expect("the gateway connects").unwrap().0)
    }

    pub(crate) async fn no_connection(&self) {
        assert!(timeout(A_WHILE, self.directory.accept()).await.is_err(), "the gateway must not connect");
    }

    pub(crate) async fn question(&mut self) -> Question {
        timeout(SOON, self.questions.recv()).await.expect("the gate is asked").unwrap()
    }

    pub(crate) async fn no_question(&mut self) {
        assert!(timeout(A_WHILE, self.questions.recv()).await.is_err(), "the gate must not be asked");
    }

    pub(crate) async fn note(&mut self) -> (Asked, String) {
        timeout(SOON, self.notes.recv()).await.expect("the gate is told").unwrap()
    }

    pub(crate) async fn summary(&mut self) -> Summary {
        timeout(SOON, self.summaries.recv()).await.expect("something is summed up").unwrap()
    }

    pub(crate) async fn no_summary(&mut self) {
        let more = timeout(A_WHILE, self.summaries.recv()).await;
        assert!(matches!(more, Err(_) | Ok(None)), "nothing more is summed up, but {more:?}");
    }

    /// What the gate has been told by now.
    pub(crate) fn noted(&mut self) -> Option<(Asked, String)> {
        self.notes.try_recv().ok()
    }

    /// A client and its directory connection, on which a bind of this name is permitted.
    pub(crate) async fn bound(&mut self, name: &str) -> (Peer<TcpStream>, Peer<TcpStream>) {
        let mut client = self.client().await;
        client.send(&bind(1, name, "secret")).await;
        let mut directory = self.accept().await;
        assert_eq!(directory.next().await, bind(1, name, "secret"));
        directory.send(&response(1, 1, 0)).await;
        self.question().await.permit();
        assert_eq!(client.next().await, response(1, 1, 0));
        (client, directory)
    }
}

/// One side of a connection, played by the test.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    reader: FrameReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, reader: FrameReader::new(DEFAULT_LIMIT) }
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message; none at the end of the stream.
    pub(crate) async fn maybe(&mut self) -> Option<Vec<u8>> {
        timeout(SOON, async {
            loop {
                if let Some(frame) = self.reader.next_frame().unwrap() {
                    return Some(frame.into_bytes().to_vec());
                }
                match self.stream.read_buf(self.reader.buffer()).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
        .expect("something comes")
    }

    pub(crate) async fn next(&mut self) -> Vec<u8> {
        self.maybe().await.expect("a message")
    }

    /// The result of the next message, with its id and application number.
    pub(crate) async fn result(&mut self) -> (i32, u8, u32) {
        result(&self.next().await)
    }

    pub(crate) async fn nothing(&mut self) {
        assert!(self.reader.is_empty(), "something has come");
        let got = timeout(A_WHILE, self.stream.read_buf(self.reader.buffer())).await;
        assert!(got.is_err(), "nothing must come, but {got:?} did");
    }

    /// Nothing more comes, and the other side closes.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(self.maybe().await, None, "only the end must come");
    }
}

pub(crate) fn result(octets: &[u8]) -> (i32, u8, u32) {
    let frame = Frame::new(octets.to_vec().into()).unwrap();
    (frame.id(), frame.op(), crate::frame::result_code(octets).unwrap())
}

pub(crate) fn encode(id: i32, op: LdapOp) -> Vec<u8> {
    let mut out = BytesMut::new();
    LdapCodec::default().encode(LdapMsg::new(id, op), &mut out).unwrap();
    out.to_vec()
}

pub(crate) fn bind(id: i32, name: &str, password: &str) -> Vec<u8> {
    let cred = LdapBindCred::Simple(password.to_owned());
    encode(id, LdapOp::BindRequest(LdapBindRequest { version: 3, dn: name.to_owned(), cred }))
}

pub(crate) fn sasl_bind(id: i32, mechanism: &str, credentials: &[u8]) -> Vec<u8> {
    let cred =
        LdapBindCred::SASL(SaslCredentials { mechanism: mechanism.to_owned(), credentials: credentials.to_vec() });
    encode(id, LdapOp::BindRequest(LdapBindRequest { version: 3, dn: String::new(), cred }))
}

pub(crate) fn search(id: i32, base: &str) -> Vec<u8> {
    let request = LdapSearchRequest {
        base: base.to_owned(),
        scope: LdapSearchScope::Base,
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter: LdapFilter::Present("objectClass".to_owned()),
        attrs: vec![],
    };
    encode(id, LdapOp::SearchRequest(request))
}

pub(crate) fn delete(id: i32) -> Vec<u8> {
    encode(id, LdapOp::DelRequest("uid=x".to_owned()))
}

pub(crate) fn extended(id: i32, oid: &str) -> Vec<u8> {
    encode(id, LdapOp::ExtendedRequest(LdapExtendedRequest { name: oid.to_owned(), value: None }))
}

pub(crate) fn unbind(id: i32) -> Vec<u8> {
    encode(id, LdapOp::UnbindRequest)
}

/// An answer of the directory's with this application number and result, and a text by which it is known.
pub(crate) fn response(id: u8, op: u8, code: u8) -> Vec<u8> {
    vec![0x30, 0x0f, 0x02, 0x01, id, 0x60 | op, 0x0a, 0x0a, 0x01, code, 0x04, 0x00, 0x04, 0x03, b'd', b'i', b'r']
}

/// What this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.clone())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) async fn wait_for(&self, needle: &str) -> String {
        let looking = async {
            loop {
                if let Some(line) = self.lines().into_iter().find(|line| line.contains(needle)) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, looking).await.expect("it is logged")
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            line.push_str(&format!("{field}={value:?} "));
        });
        self.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
