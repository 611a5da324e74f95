//! What is still to be told.

use std::time::Duration;

use portcullis_core::channel::{ChannelLog, LONGEST_PAUSE, NoticeKind, OutboxStore, Settled, Subscription, Waiting};
use portcullis_core::event::{Event, Record};
use portcullis_core::incident::{IncidentAction, IncidentChange};
use portcullis_core::policy::{ChallengeRequest, Effect, Mode, Severity, Verdict};
use portcullis_core::store::{EventStore as _, IncidentStore as _};
use portcullis_core::{AccountId, ChannelName, ConnectorName, Timestamp};

use super::Place;
use crate::sample::{access, administration, event_id, raise, record, resolve, with_incidents};

fn channel(name: &str, incidents: Option<Severity>, resolved: bool) -> Subscription {
    Subscription { name: ChannelName::new(name), incidents, resolved }
}

/// An access about which a policy says these things, in this mode, with this verdict.
fn telling(number: u128, mode: Mode, verdict: Verdict, said: &[(&str, &str)]) -> Record {
    let Event::Access(mut event) = access(number, "mia") else { unreachable!("an access") };
    let ruling = &mut event.rulings[0];
    (ruling.mode, ruling.verdict) = (mode, verdict);
    let notify = |(channel, text): &(&str, &str)| Effect::Notify { channel: (*channel).into(), text: (*text).into() };
    ruling.effects = said.iter().map(notify).collect();
    Record { event: Event::Access(event), learned: None, incidents: vec![] }
}

async fn due(store: &impl OutboxStore, channel: &str) -> Vec<Waiting> {
    store.due(&ChannelName::new(channel), Timestamp(u64::MAX / 4), 10_000).await.unwrap()
}

async fn told(store: &impl OutboxStore, channel: &str) -> Vec<(NoticeKind, String)> {
    due(store, channel).await.into_iter().map(|row| (row.told.kind, row.told.text)).collect()
}

async fn log(store: &impl OutboxStore, channel: &str) -> ChannelLog {
    let logs = store.channel_logs().await.unwrap();
    logs.into_iter().find(|(name, _)| name.as_str() == channel).unwrap().1
}

pub async fn what_enforced_policies_say_waits_with_its_event<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", None, false), channel("it", None, false)]).await.unwrap();
    let challenge = Verdict::Challenge(ChallengeRequest {
        connector: ConnectorName::new("okta-verify"),
        remember_seconds: 0,
        timeout_seconds: 0,
    });
    for (number, mode, verdict) in
        [(1, Mode::Monitor, Verdict::Block), (2, Mode::Canary, Verdict::Block), (3, Mode::Enforce, challenge)]
    {
        store.append(telling(number, mode, verdict, &[("soc", "not this")])).await.unwrap();
    }
    let mut faulty = telling(4, Mode::Enforce, Verdict::Block, &[("soc", "not this")]);
    if let Event::Access(event) = &mut faulty.event {
        event.rulings[0].fault = Some("it trapped".to_owned());
    }
    store.append(faulty).await.unwrap();
    assert!(due(&store, "soc").await.is_empty(), "monitor, canary, a question and a fault tell nobody");

    let said = [("soc", "Look."), ("it", "Mend."), ("nobody", "Lost?")];
    store.append(telling(5, Mode::Enforce, Verdict::Allow, &said)).await.unwrap();
    P::close(store).await;
    let store = place.open().await;
    let rows = due(&store, "soc").await;
    assert_eq!(rows.len(), 1);
    let (row, told) = (&rows[0], &rows[0].told);
    assert_eq!((row.tries, row.first_try, told.kind, told.event), (0, None, NoticeKind::Policy, event_id(5)));
    assert_eq!((told.login.as_str(), told.source.as_str(), told.text.as_str()), ("mia", "second-factor", "Look."));
    assert_eq!((&told.account, told.severity, told.incident), (&AccountId::new("mia"), None, None));
    assert_eq!(due(&store, "it").await.len(), 1);
    let mut names = store.channels_due(Timestamp(0)).await.unwrap();
    names.sort();
    assert_eq!(names, ["it", "nobody", "soc"].map(ChannelName::new), "an unknown channel is not forgotten in silence");
}

pub async fn incidents_are_told_when_opened_raised_resolved_and_reopened<P: Place>(place: &P) {
    use NoticeKind::{IncidentOpened, IncidentRaised, IncidentReopened, IncidentResolved};
    let store = place.open().await;
    let all = vec![
        channel("all", Some(Severity::Low), true),
        channel("high", Some(Severity::High), false),
        channel("none", None, false),
    ];
    store.set_channels(all).await.unwrap();
    let say = async |number, change| store.append(with_incidents(number, vec![change])).await.unwrap();
    say(1, raise(7, "mia", Severity::Low, "First")).await;
    say(2, raise(8, "mia", Severity::Low, "Again")).await;
    say(3, raise(9, "mia", Severity::High, "Worse")).await;
    say(4, raise(10, "mia", Severity::Medium, "More")).await;
    say(5, resolve("mia")).await;
    let doubt =
        IncidentChange::Distrust { account: AccountId::new("mia"), since: Timestamp(0), why: "Doubt".to_owned() };
    say(6, doubt).await;
    let id = store.incidents(1).await.unwrap()[0].id;
    let done = store.act(id, IncidentAction::Note("seen".to_owned()), "ada", administration(7)).await.unwrap();
    assert!(done);
    assert!(store.act(id, IncidentAction::Resolve(None), "ada", administration(8)).await.unwrap());
    let kinds: Vec<_> = told(&store, "all").await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [IncidentOpened, IncidentRaised, IncidentResolved, IncidentReopened, IncidentResolved]);
    let kinds: Vec<_> = told(&store, "high").await.into_iter().collect();
    assert_eq!(kinds, [(IncidentRaised, "Worse".to_owned()), (IncidentReopened, "More".to_owned())]);
    assert!(told(&store, "none").await.is_empty());
    let first = due(&store, "all").await.remove(0).told;
    assert_eq!((first.incident, first.severity, first.event), (Some(id), Some(Severity::Low), event_id(1)));
    assert_eq!((first.login.as_str(), first.source.as_str()), ("login of mia", "second-factor"));
}

pub async fn what_is_settled_is_counted_and_survives_reopening<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", None, false)]).await.unwrap();
    let soc = ChannelName::new("soc");
    for number in 1..=3 {
        store.append(telling(number, Mode::Enforce, Verdict::Block, &[("soc", "Look.")])).await.unwrap();
    }
    let numbers: Vec<u64> = due(&store, "soc").await.iter().map(|row| row.number).collect();
    let at = Timestamp(50_000);
    let later = Settled::Later { not_before: at.plus(Duration::from_secs(9)), why: "away".to_owned() };
    store.settle(&soc, vec![numbers[0]], later, at).await.unwrap();
    store.settle(&soc, vec![numbers[1]], Settled::Delivered { left_out: 0 }, at).await.unwrap();
    let given_up = Settled::GivenUp { why: "refused".to_owned(), record: Box::new(record(99)) };
    store.settle(&soc, vec![numbers[2]], given_up, at).await.unwrap();
    P::close(store).await;

    let store = place.open().await;
    assert!(store.due(&soc, at.plus(Duration::from_secs(8)), 10).await.unwrap().is_empty());
    assert!(store.channels_due(at).await.unwrap().is_empty());
    let left = due(&store, "soc").await;
    assert_eq!((left.len(), left[0].tries, left[0].first_try), (1, 1, Some(at)));
    let log = log(&store, "soc").await;
    assert_eq!((log.waiting, log.delivered, log.given_up), (1, 1, 1));
    assert_eq!((log.last_success, log.hour), (Some(at), Some((at, 1))));
    assert_eq!(log.last_error, Some((at, "refused".to_owned())));
    assert_eq!(store.recent(None, 1).await.unwrap()[0].event.id(), event_id(99), "giving up is an event");
}

pub async fn messages_are_counted_by_the_hour<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", None, false)]).await.unwrap();
    let deliver = async |at| {
        let done = Settled::Delivered { left_out: 0 };
        store.settle(&ChannelName::new("soc"), vec![], done, Timestamp(at)).await.unwrap();
        log(&store, "soc").await.hour
    };
    assert_eq!(deliver(1_000).await, Some((Timestamp(1_000), 1)));
    assert_eq!(deliver(3_600_999).await, Some((Timestamp(1_000), 2)));
    assert_eq!(deliver(3_601_000).await, Some((Timestamp(3_601_000), 1)));
    assert_eq!(deliver(2_000).await, Some((Timestamp(2_000), 1)), "the clock was set back");
}

pub async fn what_was_postponed_by_a_clock_that_was_ahead_is_due<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", None, false)]).await.unwrap();
    let soc = ChannelName::new("soc");
    store.append(telling(1, Mode::Enforce, Verdict::Block, &[("soc", "Look.")])).await.unwrap();
    let number = due(&store, "soc").await[0].number;
    let at = Timestamp(5_000_000);
    let later = Settled::Later { not_before: at.plus(LONGEST_PAUSE), why: "away".to_owned() };
    store.settle(&soc, vec![number], later, at).await.unwrap();
    assert!(store.channels_due(at).await.unwrap().is_empty() && store.due(&soc, at, 10).await.unwrap().is_empty());
    let before = Timestamp(4_000_000);
    assert_eq!(store.channels_due(before).await.unwrap(), std::slice::from_ref(&soc));
    assert_eq!(store.due(&soc, before, 10).await.unwrap().len(), 1);
}

pub async fn a_flood_is_counted_and_not_kept<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", Some(Severity::Low), false)]).await.unwrap();
    let changes = |from: u128| {
        let one = |number: u128| raise(number, &format!("account {number}"), Severity::High, "Flood");
        (from..from + 505).map(one).collect::<Vec<_>>()
    };
    store.append(with_incidents(1, changes(1_000))).await.unwrap();
    store.append(with_incidents(2, changes(5_000))).await.unwrap();
    store.append(telling(3, Mode::Enforce, Verdict::Block, &[("soc", "Look.")])).await.unwrap();
    let before = log(&store, "soc").await;
    assert_eq!((before.waiting, before.left_out), (1_000, 11));
    let done = Settled::Delivered { left_out: 10 };
    store.settle(&ChannelName::new("soc"), vec![], done, Timestamp(9)).await.unwrap();
    assert_eq!(log(&store, "soc").await.left_out, 1);
}

pub async fn channels_come_and_go<P: Place>(place: &P) {
    let store = place.open().await;
    store.set_channels(vec![channel("soc", None, false), channel("it", None, false)]).await.unwrap();
    let soc = ChannelName::new("soc");
    store.settle(&soc, vec![], Settled::Delivered { left_out: 0 }, Timestamp(9)).await.unwrap();
    store.append(telling(1, Mode::Enforce, Verdict::Block, &[("it", "Mend.")])).await.unwrap();
    store.set_channels(vec![channel("soc", Some(Severity::High), true)]).await.unwrap();
    let logs = store.channel_logs().await.unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!((&logs[0].0, logs[0].1.delivered), (&soc, 1), "what is known of those that stay, stays");
    assert_eq!(due(&store, "it").await.len(), 1, "what waits for those that go is for others to give up");
    store.append(with_incidents(2, vec![raise(7, "mia", Severity::High, "Told")])).await.unwrap();
    assert_eq!(due(&store, "soc").await.len(), 1);
}
