//! Octets that nobody should send, from both sides at once and in any pieces. Whatever comes, the gateway does not panic,
//! takes no more memory than its limits say, ends when both sides have, says whole messages only, and no more binds succeed
//! than the gate has permitted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod scene;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use scene::{Directory, LIMIT, Scene, Side, Until};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What the gateway and the test may take for one connection, in octets. Twice the longest message for each direction, and
/// as much again for what is on its way.
const ROOM: usize = 16 * LIMIT;

/// Memory is the whole process's, so one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics so far. A session that panics is not seen by whoever serves: it is a connection that ends.
fn panics() -> usize {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
    COUNT.load(Ordering::SeqCst)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let panicked = panics();
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    assert_eq!(panics(), panicked, "something has panicked");
    done
}

/// An element with a length in the long form, of four octets.
fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag, 0x84][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn message(id: u8, tag: u8, value: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id][..], &element(tag, value)].concat())
}

/// Messages that make the gateway do something of its own, well-formed.
fn known(kind: usize, id: u8) -> Vec<u8> {
    let name = |text: &str| element(4, text.as_bytes());
    let result = [&[10, 1, 0][..], &[4, 0, 4, 0]].concat();
    let referral = [&[10, 1, 10, 4, 0, 4, 0][..], &element(0xa3, &name("ldap://dc1/dc=x"))].concat();
    let search = [&name("dc=x")[..], b"\x0a\x01\x02\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0\x87\x02cn\x30\0"].concat();
    match kind % 18 {
        0 => message(id, 0x60, &[&[2, 1, 3][..], &name("uid=alice,dc=x"), &element(0x80, b"secret")].concat()),
        1 => message(id, 0x60, &[&[2, 1, 3][..], &name("X\\alice"), &element(0x80, b"secret")].concat()),
        2 => message(id, 0x60, &[&[2, 1, 3][..], &name("uid=alice,dc=x"), &element(0x80, b"")].concat()),
        3 => message(id, 0x60, &[&[2, 1, 3][..], &name(""), &element(0xa3, &name("PLAIN"))].concat()),
        4 => message(id, 0x60, &[&[2, 1, 3][..], &name(""), &element(0xa3, &name("GSSAPI"))].concat()),
        5 => message(id, 0x63, &search),
        6 => message(id, 0x42, b""),
        7 => message(id, 0x50, &[id ^ 1]),
        8 => message(id, 0x77, &element(0x80, b"1.3.6.1.4.1.1466.20037")),
        9 => message(id, 0x77, &element(0x80, b"1.3.6.1.4.1.4203.1.11.3")),
        10 => message(id, 0x4a, b"uid=alice,dc=x"),
        11 => message(id, 0x61, &result),
        12 => message(id, 0x61, &referral),
        13 => message(id, 0x65, &referral),
        14 => message(id, 0x73, &[name("ldap://dc1/dc=x"), name("ldap://dc2/")].concat()),
        15 => message(0, 0x78, &result),
        16 => message(id, 0x78, &[&result[..], &element(0x8b, b"dn:uid=alice,dc=x")].concat()),
        _ => message(id, 0x66, &[name("uid=alice,dc=x"), element(0x30, b"")].concat()),
    }
}

fn part() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![Just(1_u8), Just(2), 0..=127_u8];
    prop_oneof![
        6 => (any::<usize>(), id.clone()).prop_map(|(kind, id)| known(kind, id)),
        2 => (any::<usize>(), id.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(kind, id, at, octet)| {
            let mut message = known(kind, id);
            let at = at.index(message.len());
            message[at] = octet;
            message
        }),
        1 => (any::<usize>(), id, any::<prop::sample::Index>()).prop_map(|(kind, id, at)| {
            let mut message = known(kind, id);
            message.truncate(at.index(message.len()));
            message
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

fn side(parts: usize) -> impl Strategy<Value = Side> {
    let octets = prop::collection::vec(part(), 0..parts).prop_map(|parts| parts.concat());
    (octets, prop::collection::vec(1..2_000_usize, 1..6)).prop_map(|(octets, pieces)| Side { octets, pieces })
}

/// Requests in good order, and perhaps something else behind them.
fn orderly() -> impl Strategy<Value = Side> {
    let requests = prop::collection::vec(prop::sample::select(vec![0, 1, 3, 5, 9, 10, 17]), 1..8);
    let behind = prop_oneof![Just(Vec::new()), part()];
    let pieces = prop::collection::vec(1..200_usize, 1..6);
    (requests, behind, pieces).prop_map(|(kinds, behind, pieces)| {
        let requests = kinds.into_iter().zip(1..).flat_map(|(kind, id)| known(kind, id));
        Side { octets: requests.chain(behind).collect(), pieces }
    })
}

fn directory() -> impl Strategy<Value = Directory> {
    let bind = prop_oneof![3 => Just(0_u8), 1 => Just(49), 1 => Just(14)];
    // Mostly quiet, so that sessions live to see more than the first message that they were not waiting for.
    let noise = prop_oneof![4 => Just(Side { octets: Vec::new(), pieces: vec![1] }), 1 => side(6)];
    (noise, bind).prop_map(|(noise, bind)| Directory { noise, bind, deaf: Duration::ZERO })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_comes_from_both_sides_the_gateway_keeps_its_promises(
        directory in directory(),
        clients in prop::collection::vec(prop_oneof![orderly(), side(14)], 1..3),
        moods: u64,
    ) {
        let _turn = alone();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        run(async {
            let scene = Scene::new(moods, directory).await;
            for client in &clients {
                scene.client(client, Until::Said(Duration::from_millis(5))).await;
            }
            scene.end().await;
        });
        let taken = MEMORY.peak_usage().saturating_sub(before);
        prop_assert!(taken < ROOM, "{taken} octets were taken");
    }
}

#[test]
fn wherever_a_stream_is_cut_the_answers_are_the_same() {
    let _turn = alone();
    run(async {
        let quiet = Side { octets: Vec::new(), pieces: vec![1] };
        let scene = Scene::new(u64::MAX, Directory { noise: quiet, bind: 0, deaf: Duration::ZERO }).await;
        // A search, a bind, a removal that the gate is asked about, a question who that is, and another search.
        let octets = [known(5, 1), known(0, 2), known(10, 3), known(9, 4), known(5, 5)].concat();
        let mut said = Vec::new();
        for at in 0..octets.len() {
            let pieces = if at == 0 { vec![1] } else { vec![at, octets.len()] };
            let mut answers = scene.client(&Side { octets: octets.clone(), pieces }, Until::Answers(5)).await;
            // Answers to requests that are decided on one by one may overtake each other.
            answers.sort();
            said.push(answers);
        }
        assert_eq!(said[0].len(), 5);
        assert!(said.iter().all(|answers| *answers == said[0]), "{said:?}");
        scene.end().await;
    });
}

#[test]
fn a_flood_from_either_side_does_not_pile_up() {
    let _turn = alone();
    let flood =
        |size: usize, message: Vec<u8>| Side { octets: message.repeat(size / message.len()), pieces: vec![LIMIT] };
    // The system's own buffers between two sockets take some megabytes.
    let deluge = |message| flood(16 * ROOM, message);
    let trickle = |message| flood(ROOM + ROOM / 2, message);
    let big = |tag: u8| message(1, tag, &vec![0; 20_000]);
    let referrals = message(1, 0x73, &element(4, b"ldap://dc1/dc=x").repeat(500));
    let quiet = Side { octets: Vec::new(), pieces: vec![1] };
    let asks = Side { octets: known(5, 1), pieces: vec![1000] };
    let cases = [
        // Requests to a directory that does not read, and behind a bind and behind requests that are not decided.
        (deluge(big(0x63)), quiet.clone()),
        (trickle(known(0, 1)), quiet.clone()),
        (trickle(known(10, 1)), quiet.clone()),
        // Answers for a client that does not read, referrals that are made longer, and a message that is too long.
        (asks.clone(), deluge(big(0x64))),
        (asks.clone(), deluge(referrals)),
        (asks, Side { octets: vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], pieces: vec![6] }),
        (Side { octets: element(0x30, &vec![2; LIMIT - 6]), pieces: vec![1000] }, quiet),
    ];
    for (number, (client, noise)) in cases.into_iter().enumerate() {
        let directory = Directory { noise, bind: 0, deaf: Duration::from_millis(700) };
        let before = MEMORY.current_usage() + directory.noise.octets.len();
        MEMORY.reset_peak_usage();
        run(async {
            let scene = Scene::new(u64::MAX, directory).await;
            scene.client(&client, Until::Deaf(Duration::from_millis(500))).await;
            scene.end().await;
        });
        let taken = MEMORY.peak_usage().saturating_sub(before);
        assert!(taken < ROOM, "case {number}: {taken} octets were taken");
    }
}
