//! Serves the pages with made-up data, to be looked at in a browser:
//!
//! ```text
//! cargo run -p portcullis-web --example preview -- 8088
//! ```
//!
//! It signs in by itself and prints the cookie of the session and the first password. Challenges of several machines are
//! shown by their links. Listens on the loopback interface alone and ends after ten minutes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis_core::challenge::ChallengeState;
use portcullis_core::cloud::SourceStatus;
use portcullis_core::event::{AdministrationEvent, Decision, Event};
use portcullis_core::incident::{IncidentSource, IncidentState};
use portcullis_core::plugin::Health;
use portcullis_core::policy::{ChallengeOutcome, Severity};
use portcullis_core::status::{AboutConnector, ConnectorRole, ConnectorStatus};
use portcullis_core::{ConnectorName, Ids as _, OperationKind, Timestamp};
use portcullis_web::{FIRST_LOGIN, WebOptions, ensure_first_administrator, serve};
use support::{World, sample};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const LIFETIME: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8088);
    let empty = std::env::args().any(|argument| argument == "empty");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port is free");
    let base = format!("http://{}", listener.local_addr().unwrap());
    let world = World::new();
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    world.clock.0.store(now, Ordering::SeqCst);
    let password = ensure_first_administrator(world.store.as_ref(), world.ids.as_ref()).await.unwrap().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, WebOptions::default(), world.state(), shutdown.clone()));

    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let body = format!("login={FIRST_LOGIN}&password={}", password.reveal());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let answer = client.post(format!("{base}/sign-in")).header(form.0, form.1).body(body).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    println!("cookie {cookie}\npassword {}", password.reveal());
    if !empty {
        fill(&world, now);
        connect(&world, now);
        world.policies.report();
        for (name, number) in [
            ("number", 1),
            ("plain", 2),
            ("approved", 3),
            ("denied", 4),
            ("expired", 5),
            ("hostile", 6),
            ("code", 9),
            ("wrong", 10),
        ] {
            println!("{name} {base}/challenge/{}", sample::link(number).reveal());
        }
    }
    println!("ready");

    let mut more = 100;
    let end = tokio::time::Instant::now() + LIFETIME;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.clock.0.fetch_add(500, Ordering::SeqCst);
        more += 1;
        if !empty && more % 10 == 0 {
            let at = Timestamp(world.clock.0.load(Ordering::SeqCst));
            world.store.put_event(Event::Access(Box::new(sample::allowed(more, "carol", at))));
        }
    }
    shutdown.cancel();
    server.await.unwrap().unwrap();
}

fn connect(world: &World, now: u64) {
    let ago = |seconds: u64| Timestamp(now - seconds * 1_000);
    let status = |name: &str, plugin: Option<&str>, roles: &[ConnectorRole], tried| ConnectorStatus {
        name: ConnectorName::new(name),
        about: AboutConnector {
            plugin: plugin.map(|plugin| (plugin.to_owned(), "0.1.0".to_owned())),
            roles: roles.to_vec(),
        },
        tried,
    };
    let provider = [ConnectorRole::EventSource, ConnectorRole::AccountDirectory, ConnectorRole::Enforcement];
    let detail = "acme.okta.com, as portcullis-connector@example.com (Read-only Administrator).".to_owned();
    let warnings = vec![
        "The token has more rights than are needed: it is a super administrator's.".to_owned(),
        "The token has not been used for 25 days and ends in 5.".to_owned(),
    ];
    let fine = Health { detail: detail.clone(), warnings: Vec::new() };
    let failing =
        "Okta refused the token (E0000011: Invalid token provided). Make a new one and send SIGHUP.".to_owned();
    *world.connectors.lock().unwrap() = vec![
        status("okta", Some("okta-sso"), &provider, Some((ago(600), Ok(fine.clone())))),
        status(
            "okta-otp",
            Some("okta-otp"),
            &[ConnectorRole::SecondFactor],
            Some((ago(50), Ok(Health { detail, warnings }))),
        ),
        status("okta-second", Some("okta-sso"), &provider, Some((ago(20), Ok(fine)))),
        status("okta-verify", Some("okta-verify"), &[ConnectorRole::SecondFactor], Some((ago(30), Err(failing)))),
        status("spare", None, &[ConnectorRole::SecondFactor], None),
    ];
    let source = |name: &str| SourceStatus {
        source: ConnectorName::new(name),
        last_success: Some(ago(4)),
        last_error: None,
        complete_to: Some(ago(20)),
        behind: false,
        stored: 1_204,
        again: 0,
        polls: 96,
        failures: 0,
    };
    *world.sources.lock().unwrap() = vec![
        source("okta"),
        SourceStatus {
            complete_to: Some(ago(86_400 * 12 + 7_300)),
            behind: true,
            stored: 48_211,
            again: 312,
            failures: 2,
            last_error: Some((ago(2), "Okta wants to be left alone for 31 seconds.".to_owned())),
            ..source("okta-second")
        },
    ];
}

fn fill(world: &World, now: u64) {
    let ago = |seconds: u64| Timestamp(now - seconds * 1_000);
    let machine = |last| IpAddr::from([10, 1, 7, last]);
    for number in 1..=6 {
        let mut view = sample::challenge(number, machine(number), ago(5));
        view.expires_at = Timestamp(now + 55_000);
        view.number = (number == 1).then_some(42);
        if number == 6 {
            view.login = "<script>alert('login')</script>".repeat(4);
            view.application = "a-very-long-name-without-a-single-blank-".repeat(5);
        }
        world.desk.put(view);
    }
    // Two on the machine that the preview is looked at from, so that there is a list.
    for (number, application) in [(7, "wiki"), (8, "mail")] {
        let mut view = sample::challenge(number, Ipv4Addr::LOCALHOST.into(), ago(5));
        view.application = application.to_owned();
        world.desk.put(view);
    }
    let mut code = sample::code(9, machine(9), ago(5));
    code.expires_at = Timestamp(now + 295_000);
    world.desk.put(code);
    let mut wrong = sample::code(10, machine(10), ago(50));
    wrong.note = Some("This code is not right. You have one more try.".to_owned());
    wrong.expires_at = Timestamp(now + 250_000);
    world.desk.put(wrong);
    world.desk.end(&sample::link(3), ChallengeState::Approved);
    world.desk.end(&sample::link(4), ChallengeState::Denied);
    world.desk.end(&sample::link(5), ChallengeState::Expired);

    let store = &world.store;
    for number in 1..=48 {
        let login = ["alice", "bob", "carol", "dave"][usize::try_from(number % 4).unwrap()];
        store.put_event(Event::Access(Box::new(sample::allowed(number, login, ago(4_000 - number * 60)))));
    }
    store.put_event(Event::Access(Box::new(sample::search(60, ago(600)))));
    let mut refused = sample::allowed(61, "bob", ago(420));
    refused.decision = Decision::Refused;
    refused.directory_result = Some(49);
    refused.reason = "The directory refused: invalid credentials.".to_owned();
    store.put_event(Event::Access(Box::new(refused)));
    store.put_event(Event::Access(Box::new(sample::challenged(62, "bob", ago(300), ChallengeOutcome::Denied))));
    let mut gone = sample::allowed(63, "dave", ago(200));
    gone.decision = Decision::Abandoned;
    gone.reason = "The client went away while it waited for the second factor.".to_owned();
    store.put_event(Event::Access(Box::new(gone)));
    store.put_event(Event::Access(Box::new(sample::challenged(64, "alice", ago(90), ChallengeOutcome::Approved))));
    let mut hostile = sample::allowed(65, &"<img src=x onerror=alert(1)>".repeat(3), ago(60));
    hostile.reason = "\"><script>alert(1)</script>".to_owned();
    hostile.access.target.application = "x".repeat(120);
    store.put_event(Event::Access(Box::new(hostile)));
    store.put_event(Event::Summary(Box::new(sample::summary(66, "alice", ago(50)))));
    let mut merged = sample::summary(67, "svc-backup", ago(40));
    (merged.client, merged.connections) = (None, 1_000);
    merged.tally.operations =
        [(OperationKind::Compare, 7), (OperationKind::Extended, 1), (OperationKind::Other, 2)].into();
    merged.tally.bases = (1..=8).map(|unit| format!("ou=a-long-name-of-a-unit-{unit},dc=example,dc=com")).collect();
    merged.tally.fail(Some(32), 12);
    store.put_event(Event::Summary(Box::new(merged)));
    store.put_event(Event::Administration(AdministrationEvent {
        id: world.ids.event_id(ago(30)),
        at: ago(30),
        actor: "gateway".to_owned(),
        action: "gateway-started".to_owned(),
        detail: "Version 0.1.0 started.".to_owned(),
    }));

    let mut denied = sample::incident(1, "bob", Severity::High, "Second factor denied", ago(900));
    denied.count = 3;
    denied.changed_at = ago(300);
    store.put_incident(denied);
    let mut trap = sample::incident(5, "mallory", Severity::Critical, "The account is a honeytoken.", ago(700));
    trap.source = IncidentSource::Detection("honeytoken".to_owned());
    trap.escalates_at = Some(Timestamp(now + 3_600_000));
    println!("trap {}", trap.id);
    store.put_incident(trap);
    let title = "Hunting for accounts without pre-authentication";
    store.put_incident(sample::incident(2, "svc-backup", Severity::Critical, title, ago(600)));
    store.put_incident(sample::incident(3, "dave", Severity::Low, "Second factor expired", ago(2_000)));
    let mut done = sample::incident(4, "alice", Severity::Medium, "Second factor closed", ago(5_000));
    done.state = IncidentState::Resolved;
    done.resolved_by_person = Some("admin".to_owned());
    store.put_incident(done);
}
