//! A gateway between a client and a directory that both say whatever the test makes up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_core::gate::{Answer, Asked, Gate, Permit, Refusal, Summary};
use portcullis_core::{ListenerName, Operation, OperationKind, Outcome};
use portcullis_ldap::frame::{FrameReader, op, result_code};
use portcullis_ldap::{Listener, Mode, Referrals, Security, Shared, Upstream, Upstreams, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longest message that the gateway takes from either side here, in octets.
pub const LIMIT: usize = 64 * 1024;
/// Longer than anything takes.
pub const SOON: Duration = Duration::from_secs(20);

/// A gate that permits and refuses by turns, and counts the binds that it let through.
pub struct Moody {
    /// One bit per question; set permits.
    moods: u64,
    questions: AtomicUsize,
    permitted_binds: AtomicUsize,
}

pub struct Leave<T>(T);

impl<T> Permit<T> for Leave<T> {
    fn redeem(self) -> T {
        self.0
    }
}

impl Gate for Moody {
    type Permitted<T: Send> = Leave<T>;

    fn pass<T: Send>(&self, kind: OperationKind, held: T) -> Result<Leave<T>, T> {
        if matches!(kind, OperationKind::Search | OperationKind::Other) { Ok(Leave(held)) } else { Err(held) }
    }

    async fn decide<T: Send>(&self, asked: Asked, held: T) -> Answer<Leave<T>> {
        let question = self.questions.fetch_add(1, Ordering::SeqCst);
        for _ in 0..question % 3 {
            tokio::task::yield_now().await;
        }
        if self.moods >> (question % 64) & 1 == 0 {
            return Answer::Refused(Refusal { diagnostic: "no".to_owned() });
        }
        if matches!(asked.operation, Operation::Bind(_)) {
            assert_eq!(asked.outcome, Outcome::Success, "nothing but a success is asked about");
            self.permitted_binds.fetch_add(1, Ordering::SeqCst);
        }
        Answer::Permitted(Leave(held))
    }

    fn wants_summaries(&self) -> bool {
        true
    }

    fn summarize(&self, _: Summary) {}

    async fn note(&self, asked: Asked, _: &str) {
        assert_eq!(asked.outcome, Outcome::Failure);
    }
}

/// What one side says, in which pieces.
#[derive(Debug, Clone)]
pub struct Side {
    pub octets: Vec<u8>,
    /// Sizes of the pieces, by turns.
    pub pieces: Vec<usize>,
}

impl Side {
    async fn say(&self, to: &mut OwnedWriteHalf) {
        let (mut rest, mut sizes) = (&self.octets[..], self.pieces.iter().cycle());
        while let Some(&size) = sizes.next().filter(|_| !rest.is_empty()) {
            let (piece, behind) = rest.split_at(size.clamp(1, rest.len()));
            // The gateway may have hung up.
            if to.write_all(piece).await.is_err() {
                return;
            }
            rest = behind;
            tokio::task::yield_now().await;
        }
    }
}

/// When a client hangs up.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So long after it has said everything.
    Said(Duration),
    /// So long after it has begun, whether it could say everything or not; until then it does not listen either.
    Deaf(Duration),
    /// When it has got so many messages.
    Answers(usize),
}

/// How the directory behaves.
#[derive(Debug, Clone)]
pub struct Directory {
    /// What it says at once, asked or not.
    pub noise: Side,
    /// The result code with which it answers binds.
    pub bind: u8,
    /// It does not read for so long.
    pub deaf: Duration,
}

pub struct Scene {
    gate: Arc<Moody>,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    answering: JoinHandle<()>,
}

impl Scene {
    pub async fn new(moods: u64, directory: Directory) -> Self {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new("127.0.0.1", there.local_addr().unwrap().port(), Security::Plain);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(ListenerName::new("noise"), address, Mode::Plain { starttls: None });
        listener.limits.request_size = LIMIT;
        listener.limits.answer_size = LIMIT;
        listener.limits.drain = Duration::from_millis(100);
        listener.referrals = Some(Arc::new(Referrals::new(["dc1"], "ldaps://gateway.example")));
        let gate = Arc::new(Moody { moods, questions: AtomicUsize::new(0), permitted_binds: AtomicUsize::new(0) });
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(listener, Upstreams::single(upstream), Arc::clone(&gate)));
        let serving = tokio::spawn(serve(socket, shared, stop.clone()));
        let answering = tokio::spawn(async move {
            while let Ok((stream, _)) = there.accept().await {
                tokio::spawn(answer(stream, directory.clone()));
            }
        });
        Self { gate, address, stop, serving, answering }
    }

    /// Lets a client say this and hang up, and gives what came back, message by message.
    pub async fn client(&self, says: &Side, until: Until) -> Vec<Vec<u8>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reading, mut writing) = stream.into_split();
        let (heard, mut hears) = watch::channel(0);
        let says = async move {
            match until {
                Until::Said(rest) => {
                    says.say(&mut writing).await;
                    tokio::time::sleep(rest).await;
                }
                Until::Deaf(limit) => {
                    let _ = timeout(limit, says.say(&mut writing)).await;
                }
                Until::Answers(count) => {
                    says.say(&mut writing).await;
                    let _ = hears.wait_for(|heard| *heard >= count).await;
                }
            }
            let _ = writing.shutdown().await;
        };
        let keep = matches!(until, Until::Answers(_));
        let hears = async {
            if let Until::Deaf(limit) = until {
                tokio::time::sleep(limit).await;
            }
            self.hear(reading, keep, heard).await
        };
        let both = async { tokio::join!(hears, says) };
        timeout(SOON, both).await.expect("it ends").0
    }

    /// Everything that the gateway says, which is whole messages to the end.
    async fn hear(&self, mut from: OwnedReadHalf, keep: bool, heard: watch::Sender<usize>) -> Vec<Vec<u8>> {
        let (mut reader, mut got, mut successes) = (FrameReader::new(usize::MAX), Vec::new(), 0);
        while let Ok(1..) = from.read_buf(reader.buffer()).await {
            while let Some(frame) = reader.next_frame().expect("the gateway says nothing but LDAP") {
                if frame.op() == op::BIND_RESPONSE && result_code(frame.bytes()) == Ok(0) {
                    successes += 1;
                }
                heard.send_modify(|heard| *heard += 1);
                if keep {
                    got.push(frame.into_bytes().to_vec());
                }
            }
        }
        let permitted = self.gate.permitted_binds.load(Ordering::SeqCst);
        assert!(successes <= permitted, "{successes} binds succeeded, {permitted} were permitted");
        got
    }

    pub async fn end(self) {
        self.stop.cancel();
        timeout(SOON, self.serving).await.expect("serving ends").unwrap();
        self.answering.abort();
    }
}

/// Says its noise, and answers what is asked.
async fn answer(stream: TcpStream, directory: Directory) {
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.into_split();
    directory.noise.say(&mut writing).await;
    tokio::time::sleep(directory.deaf).await;
    let mut reader = FrameReader::new(LIMIT + 1024);
    while let Ok(1..) = reading.read_buf(reader.buffer()).await {
        while let Some(frame) = reader.next_frame().expect("the gateway forwards nothing but LDAP") {
            let (op, code) = match frame.op() {
                op::BIND => (op::BIND_RESPONSE, directory.bind),
                op::SEARCH => (op::SEARCH_DONE, 0),
                op::EXTENDED => (op::EXTENDED_RESPONSE, 0),
                op::MODIFY | op::ADD | op::DELETE | op::MODIFY_DN | op::COMPARE => (frame.op() + 1, 0),
                _ => continue,
            };
            let id = frame.id().to_be_bytes();
            let answer = [&[0x30, 15, 2, 4][..], &id, &[0x60 | op, 7, 10, 1, code, 4, 0, 4, 0]].concat();
            if writing.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
