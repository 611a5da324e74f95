//! Sending what is to be told: with a made-up outbox and a clock that leaps, and from a ruling to a receiver with the real store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and does not use all of what the tests share"
)]

#[path = "support/outbox.rs"]
mod outbox;
#[path = "support/real.rs"]
mod real;
mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use outbox::FakeOutbox;
use portcullis_core::ChannelName;
use portcullis_core::channel::*;
use portcullis_core::event::Event;
use portcullis_core::policy::*;
use portcullis_core::store::{EventStore as _, IncidentStore as _};
use portcullis_guard::{ChannelEntry, Dispatcher};
use portcullis_store::{Store, StoreOptions};
use real::Real;
use support::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a receiver does with the next message.
enum Reaction {
    Fail(ChannelError),
    Hang,
}

/// Takes every message, but for what is prepared.
#[derive(Default)]
struct Receiver {
    got: Mutex<Vec<Notice>>,
    next: Mutex<VecDeque<Reaction>>,
    /// As long as it is there, every message fails with it.
    always: Mutex<Option<ChannelError>>,
    tried: Mutex<Vec<tokio::time::Instant>>,
}

impl Receiver {
    fn texts(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|notice| notice.told.text.clone()).collect()
    }
    fn will(&self, reaction: Reaction) {
        self.next.lock().unwrap().push_back(reaction);
    }
    fn is(&self, error: Option<ChannelError>) {
        *self.always.lock().unwrap() = error;
    }
    fn tries(&self) -> usize {
        self.tried.lock().unwrap().len()
    }
}

#[async_trait]
impl Channel for Receiver {
    async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        self.tried.lock().unwrap().push(tokio::time::Instant::now());
        if let Some(error) = self.always.lock().unwrap().clone() {
            return Err(error);
        }
        let next = self.next.lock().unwrap().pop_front();
        match next {
            Some(Reaction::Fail(error)) => return Err(error),
            Some(Reaction::Hang) => std::future::pending().await,
            None => {}
        }
        self.got.lock().unwrap().push(notice.clone());
        Ok(())
    }
    async fn check(&self) -> Result<String, String> {
        Ok("there".to_owned())
    }
}

fn entry(name: &str, per_hour: u32, receiver: &Arc<Receiver>) -> ChannelEntry {
    let name = ChannelName::new(name);
    ChannelEntry {
        subscription: Subscription { name, incidents: Some(Severity::High), resolved: false },
        kind: "webhook".to_owned(),
        target: "https://hooks.example.com".to_owned(),
        per_hour,
        channel: receiver.clone(),
    }
}

struct Place {
    outbox: Arc<FakeOutbox>,
    dispatcher: Arc<Dispatcher>,
    soc: Arc<Receiver>,
    it: Arc<Receiver>,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Place {
    async fn new(per_hour: u32) -> Self {
        let (outbox, world) = (Arc::new(FakeOutbox::default()), Arc::new(World::default()));
        let console = Some("https://portcullis.example.com/".to_owned());
        let dispatcher = Arc::new(Dispatcher::new(outbox.clone(), world.clone(), world, console));
        let (soc, it) = (Arc::<Receiver>::default(), Arc::<Receiver>::default());
        dispatcher.set_channels(vec![entry("soc", per_hour, &soc), entry("it", per_hour, &it)]).await.unwrap();
        let end = CancellationToken::new();
        let task = tokio::spawn(dispatcher.clone().run(end.clone()));
        Self { outbox, dispatcher, soc, it, end, task }
    }

    async fn status(&self, name: &str) -> ChannelStatus {
        let all = self.dispatcher.channels().await.unwrap();
        all.into_iter().find(|one| one.name.as_str() == name).unwrap()
    }
}

/// Lets so much time pass.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_silences_nobody() {
    let place = Place::new(2).await;
    let ahead = portcullis_core::Clock::now(&World::default()).plus(24 * HOUR);
    place.outbox.have_sent("soc", ahead, 2);
    place.outbox.put("soc", "one", Some(Severity::High));
    pass(5 * SECOND).await;
    assert_eq!(place.soc.texts(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn each_channel_gets_what_is_for_it_in_order_and_once() {
    let place = Place::new(30).await;
    for (channel, text) in [("soc", "one"), ("it", "other"), ("soc", "two")] {
        place.outbox.put(channel, text, Some(Severity::High));
    }
    pass(5 * SECOND).await;
    assert_eq!(place.soc.texts(), ["one", "two"]);
    assert_eq!(place.it.texts(), ["other"]);
    let first = place.soc.got.lock().unwrap()[0].clone();
    assert!(first.link.unwrap().starts_with("https://portcullis.example.com/incidents/"));
    assert_eq!((first.summed_up, first.silent_until), (None, None));
    pass(25 * HOUR).await;
    assert_eq!(place.soc.tries(), 2, "nothing is sent twice");
    assert_eq!(place.status("soc").await.log.delivered, 2);
    place.end.cancel();
    place.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_holds_up_no_other_and_gets_everything_when_it_is_back() {
    let place = Place::new(30).await;
    place.soc.is(Some(ChannelError::later("connection refused")));
    for text in ["one", "two"] {
        place.outbox.put("soc", text, None);
    }
    place.it.will(Reaction::Hang);
    place.outbox.put("it", "slow", None);
    pass(5 * SECOND).await;
    place.outbox.put("it", "late", None);
    pass(HOUR).await;
    assert_eq!(place.it.texts(), ["slow", "late"], "what took too long is tried again");
    let tries = place.soc.tries();
    assert!((8..40).contains(&tries), "pauses grow: {tries} tries in an hour");
    let status = place.status("soc").await;
    assert_eq!((status.log.waiting, status.stopped), (2, false));
    assert_eq!(status.log.last_error.unwrap().1, "connection refused");
    place.soc.is(None);
    pass(HOUR / 4).await;
    let mut texts = place.soc.texts();
    texts.sort();
    assert_eq!(texts, ["one", "two"]);
    let ids: Vec<_> = place.soc.got.lock().unwrap().iter().map(|notice| notice.id.clone()).collect();
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn after_a_day_it_is_given_up_with_an_event() {
    let place = Place::new(30).await;
    place.soc.is(Some(ChannelError::later("connection refused")));
    place.outbox.put("soc", "one", None);
    pass(23 * HOUR).await;
    assert_eq!(place.status("soc").await.log.waiting, 1);
    pass(2 * HOUR).await;
    let status = place.status("soc").await;
    assert_eq!((status.log.waiting, status.log.given_up), (0, 1));
    let notes = place.outbox.notes();
    assert_eq!(notes, ["The channel soc was not told of 1 thing: connection refused."]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_given_up_and_the_rest_goes_on() {
    let place = Place::new(30).await;
    place.soc.will(Reaction::Fail(ChannelError::Refused("HTTP 400".to_owned())));
    for text in ["bad", "good"] {
        place.outbox.put("soc", text, None);
    }
    pass(5 * SECOND).await;
    assert_eq!(place.soc.texts(), ["good"]);
    assert_eq!(place.outbox.notes(), ["The channel soc was not told of 1 thing: HTTP 400."]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_receiver_wants_is_kept() {
    let place = Place::new(30).await;
    let after = Some(Duration::from_secs(600));
    place.soc.will(Reaction::Fail(ChannelError::Later { why: "HTTP 429".to_owned(), after }));
    for text in ["one", "two"] {
        place.outbox.put("soc", text, None);
    }
    pass(590 * SECOND).await;
    assert_eq!(place.soc.tries(), 1);
    pass(30 * SECOND).await;
    assert_eq!(place.soc.texts(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_gone_is_left_alone_until_a_test_arrives() {
    let place = Place::new(30).await;
    place.soc.is(Some(ChannelError::Gone("HTTP 410".to_owned())));
    place.outbox.put("soc", "one", None);
    pass(5 * SECOND).await;
    place.outbox.put("soc", "two", None);
    pass(HOUR).await;
    assert_eq!(place.soc.tries(), 1);
    let status = place.status("soc").await;
    assert_eq!((status.stopped, status.log.given_up, status.log.waiting), (true, 1, 1));
    let soc = ChannelName::new("soc");
    assert!(place.dispatcher.test(&soc, "ada").await.unwrap().is_err());
    assert!(place.status("soc").await.stopped, "a test that does not arrive changes nothing");
    place.soc.is(None);
    assert_eq!(place.dispatcher.test(&soc, "ada").await.unwrap(), Ok(()));
    pass(5 * SECOND).await;
    assert_eq!(place.soc.texts(), ["ada wants to see whether this channel works. It does.", "two"]);
    assert!(place.dispatcher.test(&ChannelName::new("nobody"), "ada").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_summed_up() {
    let place = Place::new(10).await;
    for number in 0..500 {
        let severity = if number == 300 { Severity::Critical } else { Severity::Low };
        place.outbox.put("soc", &format!("thing {number}"), Some(severity));
    }
    place.outbox.leave_out("soc", 70);
    pass(5 * SECOND).await;
    let got = place.soc.got.lock().unwrap().clone();
    assert_eq!(got.len(), 10, "as many messages as it takes in an hour, and all is told");
    let sum = got[9].summed_up.clone().unwrap();
    assert_eq!((sum.count, sum.first.len(), got[9].told.severity), (561, 20, Some(Severity::Critical)));
    assert_eq!(sum.kinds, [(NoticeKind::IncidentOpened, 491)]);
    assert_eq!(sum.first[0].text, "thing 9");
    assert!(got[9].silent_until.is_some());
    let status = place.status("soc").await;
    assert_eq!((status.log.waiting, status.log.left_out), (0, 0));

    // What comes later in the hour waits for its end.
    for number in 0..25 {
        place.outbox.put("soc", &format!("later {number}"), Some(Severity::Low));
    }
    pass(HOUR / 2).await;
    assert_eq!(place.soc.tries(), 10);
    pass(HOUR).await;
    let got = place.soc.got.lock().unwrap().clone();
    assert_eq!((got.len(), got[19].summed_up.clone().unwrap().count), (20, 16));
}

#[tokio::test(start_paused = true)]
async fn the_last_message_of_an_hour_says_so() {
    let place = Place::new(2).await;
    for text in ["one", "two"] {
        place.outbox.put("soc", text, None);
    }
    pass(5 * SECOND).await;
    let until: Vec<_> = place.soc.got.lock().unwrap().iter().map(|notice| notice.silent_until.is_some()).collect();
    assert_eq!(until, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_no_channel_of_ours_is_given_up_aloud() {
    let place = Place::new(30).await;
    for _ in 0..3 {
        place.outbox.put("removed", "text", None);
    }
    pass(5 * SECOND).await;
    assert_eq!(place.outbox.notes(), ["The channel removed was not told of 3 things: there is no such channel."]);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_nobody_who_hangs_and_loses_nothing() {
    let place = Place::new(30).await;
    place.soc.will(Reaction::Hang);
    place.outbox.put("soc", "one", None);
    pass(5 * SECOND).await;
    place.end.cancel();
    let begun = tokio::time::Instant::now();
    place.task.await.unwrap();
    assert!(begun.elapsed() < 10 * SECOND);
    assert_eq!(place.outbox.waiting("soc"), 1);
}

/// A guard with the real store, and a dispatcher beside it.
async fn real(mode: Mode, receiver: &Arc<Receiver>) -> (tempfile::TempDir, Arc<Store>, Scene, Arc<Dispatcher>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(StoreOptions::new(folder.path().join("portcullis.db"))).await.unwrap());
    let dispatcher = Arc::new(Dispatcher::new(store.clone(), Arc::new(Real), Arc::new(Real), None));
    dispatcher.set_channels(vec![entry("soc", 30, receiver)]).await.unwrap();
    let effects = vec![
        Effect::Notify { channel: "soc".to_owned(), text: "Look at this.".to_owned() },
        Effect::RaiseIncident { severity: Severity::High, title: "Refused".to_owned(), escalate: Vec::new() },
    ];
    let ruling = Ruling { verdict: Verdict::Block, reason: "A test.".to_owned(), effects };
    let policies = vec![policy("guard", mode, FailMode::Closed, move |_, _| Ok(ruling.clone()))];
    let scene = scene_among(
        policies,
        |_| {},
        |rooms| {
            rooms.events = store.clone();
            rooms.ids = Arc::new(Real);
            rooms.clock = Arc::new(Real);
        },
    );
    (folder, store, scene, dispatcher)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ruling_and_its_incident_reach_the_receiver() {
    let receiver = Arc::<Receiver>::default();
    let (_folder, store, scene, dispatcher) = real(Mode::Enforce, &receiver).await;
    scene.bind("10.0.0.1").await.unwrap_err();
    scene.bind("10.0.0.1").await.unwrap_err();
    let end = CancellationToken::new();
    let task = tokio::spawn(dispatcher.run(end.clone()));
    let begun = std::time::Instant::now();
    while receiver.texts().len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", receiver.texts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    end.cancel();
    task.await.unwrap();
    let mut texts = receiver.texts();
    texts.sort();
    assert_eq!(texts, ["Look at this.", "Look at this.", "Refused"], "the incident is told of when it is opened only");
    let incident = store.incidents(1).await.unwrap()[0].id;
    let events = store.recent(None, 10).await.unwrap();
    let got = receiver.got.lock().unwrap();
    let opened = got.iter().find(|notice| notice.told.kind == NoticeKind::IncidentOpened).unwrap();
    assert_eq!((opened.told.incident, opened.told.login.as_str()), (Some(incident), "alice"));
    assert!(events.iter().any(|stored| stored.event.id() == opened.told.event), "the event behind it is there");
    assert!(events.iter().all(|stored| matches!(stored.event, Event::Access(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_only_watched_tells_nobody() {
    let receiver = Arc::<Receiver>::default();
    let (_folder, store, scene, _) = real(Mode::Monitor, &receiver).await;
    scene.bind("10.0.0.1").await.unwrap();
    assert!(store.channels_due(portcullis_core::Timestamp(u64::MAX / 4)).await.unwrap().is_empty());
}
