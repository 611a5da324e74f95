//! Events of cloud services on their way through the guard, with every room and the service made up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and does not use all of what the tests share"
)]

#[path = "cloud/accounts.rs"]
mod accounts;
#[path = "cloud/following.rs"]
mod following;
#[path = "cloud/service.rs"]
mod service;
mod support;

use std::time::Duration;

use portcullis_core::event::{Decision, Event};
use portcullis_core::plugin::ConnectorError;
use portcullis_core::policy::*;
use portcullis_core::source::Position;
use portcullis_core::{AccountId, Operation, OperationKind, Outcome, Timestamp};
use portcullis_guard::PolicyEntry;
use portcullis_guard::cloud::OnBlock;
use service::*;
use support::*;

/// A policy for sign-ins, by what it says to an access.
fn on_sign_in<F>(name: &str, rule: F) -> PolicyEntry
where
    F: Fn(&portcullis_core::Access, &[Evidence]) -> Result<Ruling, portcullis_core::plugin::PluginFault>
        + Send
        + Sync
        + 'static,
{
    let needs = Needs { operations: vec![OperationKind::SignIn], ..Needs::default() };
    let policy = std::sync::Arc::new(Scripted(needs, rule));
    PolicyEntry {
        name: portcullis_core::PolicyName::new(name),
        mode: Mode::Enforce,
        fail: FailMode::Closed,
        canary_of: None,
        policy,
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_an_access_of_the_directory_account_with_what_the_service_told() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let mut event = sign_in("e1", cloud.now().0 - 5_000, "198.51.100.7");
    event.place = Some("Berlin, Germany".to_owned());
    event.position = Some(Position { latitude: f64::NAN, longitude: 13.4 });
    cloud.service.tell("c1", vec![event]);
    cloud.settle().await;
    let event = cloud.scene.last();
    let account = event.access.account.unwrap();
    assert_eq!((account.id.as_str(), account.login.as_str()), ("alice-id", "alice"));
    assert_eq!((event.access.source.as_str(), &event.access.operation), ("okta", &Operation::SignIn));
    assert_eq!(event.access.at, Timestamp(cloud.began - 5_000));
    assert_eq!(event.access.target.application, "okta");
    assert_eq!(event.decision, Decision::Allow);
    let foreign = event.foreign.unwrap();
    assert_eq!((foreign.id.as_str(), foreign.account.as_deref()), ("e1", Some("00u1")));
    assert_eq!(foreign.place.as_deref(), Some("Berlin, Germany"));
    assert_eq!(foreign.position, None, "what is no position on Earth could not be read again");
    assert_eq!(foreign.raw, "{\"uuid\":\"e1\"}");
    // It teaches, and by its own time.
    let learned = cloud.scene.world.records.lock().unwrap()[0].learned.clone().unwrap();
    assert_eq!((learned.account, learned.at), (AccountId::new("alice-id"), Timestamp(cloud.began - 5_000)));
}

#[tokio::test(start_paused = true)]
async fn a_factor_that_is_in_doubt_reopens_what_it_has_resolved() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let told = |id: &str, name: &str, outcome| portcullis_core::source::ForeignEvent {
        operation: Operation::Other(name.to_owned()),
        outcome,
        ..sign_in(id, cloud.now().0, "198.51.100.7")
    };
    let failure = Outcome::Failure;
    let success = Outcome::Success;
    cloud.service.tell(
        "c1",
        vec![
            told("e1", "factors-reset", success),
            told("e2", "factors-reset", failure),
            told("e3", "activity-reported", failure),
            told("e4", "push-denied", success),
            sign_in("e5", cloud.now().0, "198.51.100.7"),
        ],
    );
    cloud.settle().await;
    let records = cloud.scene.world.records.lock().unwrap();
    let reopened: Vec<_> = records
        .iter()
        .map(|record| {
            record.incidents.iter().any(|change| {
                matches!(change, portcullis_core::incident::IncidentChange::Distrust { account, why, .. }
                    if account.as_str() == "alice-id" && why.starts_with("okta told of "))
            })
        })
        .collect();
    assert_eq!(reopened, [true, false, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn a_bind_and_a_sign_in_know_each_other_s_machines() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let at = cloud.now().0;
    // In one page, told the wrong way round: the first teaches the second, and the third is new.
    cloud.service.tell(
        "c1",
        vec![
            sign_in("late", at - 1_000, "198.51.100.9"),
            sign_in("middle", at - 2_000, "198.51.100.7"),
            sign_in("early", at - 3_000, "198.51.100.7"),
        ],
    );
    cloud.settle().await;
    let signals = |event: &portcullis_core::event::AccessEvent| event.access.signals.len();
    let events = cloud.scene.events();
    assert_eq!(events.iter().map(signals).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(events[2].access.signals[0].name, "unusual-endpoint");
    assert!(events[1].access.endpoint.as_ref().unwrap().associated);
    cloud.scene.bind("198.51.100.7").await.unwrap();
    assert!(cloud.scene.last().access.endpoint.unwrap().associated, "the bind knows the machine");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_back_counts_as_learning() {
    const DAY: u64 = 86_400_000;
    let asks =
        on_sign_in("ask", |access, _| ruling(if access.signals.is_empty() { Verdict::Abstain } else { challenge(0) }));
    let scene = scene_where(vec![asks], |options| {
        options.behavior.learning_time = Duration::from_secs(7 * 86_400);
        options.behavior.learning_accesses = 20;
    });
    let cloud = cloud_of(scene, OnBlock::EndSessions);
    let now = cloud.now().0;
    let (berlin, tokyo) = ((52.5, 13.4), (35.7, 139.7));
    let told = |id: String, at: u64, address: &str, application: &str, (latitude, longitude)| {
        portcullis_core::source::ForeignEvent {
            position: Some(Position { latitude, longitude }),
            application: Some(application.to_owned()),
            ..sign_in(&id, at, address)
        }
    };
    let mut back: Vec<_> = (0..30_u64)
        .map(|half_day| {
            told(format!("a{half_day}"), now - 15 * DAY + half_day * DAY / 2, "198.51.100.7", "wiki", berlin)
        })
        .collect();
    // Somebody else uses another application.
    back.push(portcullis_core::source::ForeignEvent {
        identities: vec!["00u2".to_owned(), "bob@other.example".to_owned()],
        ..told("b".to_owned(), now - 15 * DAY, "198.51.100.8", "payroll", berlin)
    });
    cloud.service.tell("c1", back);
    cloud.settle().await;
    assert_eq!(cloud.scene.events().len(), 31);
    assert!(cloud.scene.events().iter().all(|event| event.access.signals.is_empty()), "it was learning");
    let signals = async |id: &str, address: &str, application: &str, place| {
        cloud.service.tell(id, vec![told(id.to_owned(), cloud.now().0 - 1_000, address, application, place)]);
        cloud.settle().await;
        let found =
            cloud.scene.events().into_iter().find(|event| {
                event.foreign.as_ref().is_some_and(|foreign| foreign.id == id && foreign.follows.is_none())
            });
        let mut names: Vec<_> = found.unwrap().access.signals.into_iter().map(|signal| signal.name).collect();
        names.retain(|name| name.starts_with("unusual-") && name != "unusual-hour");
        names.sort();
        names
    };
    assert!(signals("n1", "198.51.100.7", "wiki", berlin).await.is_empty(), "all of it is known");
    assert_eq!(cloud.rings(), 0);
    assert_eq!(signals("n2", "198.51.100.9", "wiki", berlin).await, ["unusual-endpoint"]);
    assert_eq!(signals("n3", "198.51.100.7", "payroll", berlin).await, ["unusual-application"]);
    assert_eq!(signals("n4", "198.51.100.7", "wiki", tokyo).await, ["unusual-place"]);
    // And the directory's side knows the machine.
    cloud.scene.bind("198.51.100.7").await.unwrap();
    assert!(cloud.scene.last().access.endpoint.unwrap().associated);
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refused_is_recorded_and_nobody_is_asked() {
    let cloud = cloud(vec![on_sign_in("ask", |_, _| ruling(challenge(0)))], OnBlock::Suspend);
    let mut refused = sign_in("e1", cloud.now().0, "198.51.100.7");
    refused.outcome = Outcome::Failure;
    cloud.service.tell("c1", vec![refused]);
    cloud.settle().await;
    assert_eq!(cloud.scene.last().decision, Decision::Refused);
    assert!(cloud.scene.world.records.lock().unwrap()[0].learned.is_none());
    assert_eq!(cloud.rings(), 0);
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_where_the_store_says_and_nothing_is_there_twice() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let at = cloud.now().0;
    cloud.service.tell("c1", vec![sign_in("e1", at, "198.51.100.7"), sign_in("e1", at, "198.51.100.7")]);
    cloud.settle().await;
    // The store loses a page, the service forgets the cursor and tells an old event again.
    cloud.store_down(true);
    cloud.service.tell("c2", vec![sign_in("e2", at, "198.51.100.7"), sign_in("e1", at, "198.51.100.7")]);
    cloud.settle().await;
    assert_eq!(cloud.scene.events().len(), 1);
    let status = cloud.cloud.status().remove(0);
    assert!(status.last_error.unwrap().1.contains("disk full"));
    cloud.store_down(false);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let ids: Vec<_> = cloud.scene.events().into_iter().map(|event| event.foreign.unwrap().id).collect();
    assert_eq!(ids, ["e1", "e2"]);
    let status = cloud.cloud.status().remove(0);
    assert_eq!((status.last_error, status.stored, status.again), (None, 2, 2));
    assert_eq!(cloud.service.asked_with().last().unwrap().as_deref(), Some("c2"));
    assert!(status.polls > 2 && status.polls < 30, "an idle source is asked as often as it wants: {}", status.polls);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_gone_and_a_service_that_asks_for_patience_lose_nothing() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    cloud.directory_down(true);
    cloud.service.tell("c1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    assert!(cloud.scene.events().is_empty(), "whose it is could not be told");
    cloud.directory_down(false);
    cloud.service.fail(ConnectorError::RateLimited(40_000));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = cloud.service.asked_with().len();
    tokio::time::sleep(Duration::from_secs(34)).await;
    assert_eq!(cloud.service.asked_with().len(), asked, "the service is left alone");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cloud.scene.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_many_is_stored_in_parts_and_the_cursor_comes_last() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let at = cloud.now().0;
    let many = (0..2_500).map(|n| sign_in(&format!("e{n}"), at - n, "198.51.100.7")).collect();
    cloud.service.tell("c1", many);
    cloud.settle().await;
    assert_eq!(cloud.scene.events().len(), 2_500);
    assert_eq!(cloud.store.cursors(), [None, None, Some("c1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn sources_come_and_go_while_it_runs() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let second = std::sync::Arc::new(Service::default());
    second.tell("x1", vec![sign_in("e1", cloud.now().0, "198.51.100.7")]);
    cloud
        .cloud
        .set_sources(vec![source("okta", &cloud.service, OnBlock::None), source("other", &second, OnBlock::None)]);
    cloud.settle().await;
    assert_eq!(cloud.scene.last().access.source, "other");
    cloud.cloud.set_sources(vec![]);
    cloud.service.tell("c1", vec![sign_in("e2", cloud.now().0, "198.51.100.7")]);
    cloud.settle().await;
    assert_eq!(cloud.scene.events().len(), 1);
    assert!(cloud.cloud.status().is_empty());
}

fn administration(cloud: &Stage, action: &str) -> Vec<String> {
    let records = cloud.scene.world.records.lock().unwrap();
    let told = records.iter().filter_map(|record| match &record.event {
        Event::Administration(event) if event.action == action => Some(event.detail.clone()),
        _ => None,
    });
    told.collect()
}
