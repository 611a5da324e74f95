//! Plugins that behave, and how they are called.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::plugin::{
    Authenticator, ChallengeContext, Choice, ConnectorError, PluginFault, Policy, Progress, Prompt,
};
use portcullis_core::policy::Verdict;
use portcullis_core::{AccountFacts, ConnectorName, Group, OperationKind};
use portcullis_engine::{ConnectorLimits, ConnectorSpec, Grants, HostGrant, World};

use crate::support::guest::{self, About};
use crate::support::{Plugins, access, account, connector_spec, policy_spec};

#[test]
fn a_policy_tells_its_needs_and_rules() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), ""));
    let policy = plugins.engine().load_policy(policy_spec("x.wasm")).unwrap();
    assert_eq!(policy.needs().operations, [OperationKind::Bind]);
    assert_eq!(policy.needs().connectors, [ConnectorName::new("okta-verify")]);
    assert_eq!(policy.manifest().name, "test-guest");
    let ruling = policy.evaluate(&access(), &Arc::default(), &[]).unwrap();
    assert_eq!((ruling.verdict, ruling.reason.as_str()), (Verdict::Allow, "static reason"));
}

#[test]
fn facts_are_those_of_the_account_that_is_asked_about() {
    let plugins = Plugins::new();
    let block_admins =
        "(call $verdict (select (i32.const 3) (i32.const 1) (call $member_of (i32.const 800) (i32.const 22))))";
    plugins.add("x.wasm", &guest::policy(&About::default(), block_admins));
    let policy = plugins.engine().load_policy(policy_spec("x.wasm")).unwrap();
    let group = Group { dn: "CN=admins,DC=example".into(), name: "admins".into() };
    let admin = Arc::new(AccountFacts { groups: vec![group], ..AccountFacts::default() });
    let ask = |facts: &Arc<AccountFacts>| policy.evaluate(&access(), facts, &[]).unwrap().verdict;
    assert_eq!(ask(&admin), Verdict::Block);
    assert_eq!(ask(&Arc::default()), Verdict::Allow, "nothing is left of the one before");
}

#[test]
fn a_thousand_calls_from_many_threads_are_all_answered() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), ""));
    let policy = plugins.engine().load_policy(policy_spec("x.wasm")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..125 {
                    policy.evaluate(&access(), &Arc::default(), &[]).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_compiled_component_is_taken_from_the_cache() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::policy(&About::default(), ""));
    let cache = plugins.path("cache");
    let mut first = None;
    for _ in 0..2 {
        let policy = plugins.engine_with_cache(Some(cache.clone())).load_policy(policy_spec("x.wasm")).unwrap();
        policy.evaluate(&access(), &Arc::default(), &[]).unwrap();
        let files: Vec<_> =
            fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ino()).collect();
        assert_eq!(files.len(), 1);
        // A component that is compiled again replaces its file.
        assert_eq!(*first.get_or_insert(files[0]), files[0]);
    }
}

#[test]
fn inspecting_tells_what_a_file_is() {
    let plugins = Plugins::new();
    plugins.add("policy.wasm", &guest::policy(&About::default(), ""));
    plugins.add("authenticator.wasm", &guest::authenticator(&About::default(), "", "https://a.example/"));
    let engine = plugins.engine();
    let info = engine.inspect("policy.wasm").unwrap();
    assert_eq!((info.world, info.manifest.version.as_str()), (World::Policy, "1.2.3"));
    assert_eq!(info.imports, ["portcullis:gateway/log@0.1.0", "portcullis:gateway/facts@0.1.0"]);
    assert_eq!(info.signed.name.as_deref(), Some("test-guest"));
    let info = engine.inspect("authenticator.wasm").unwrap();
    assert_eq!(
        (info.world, info.imports.as_slice()),
        (World::Authenticator, &["portcullis:gateway/http@0.1.0".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_answers() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::authenticator(&About::default(), "", "https://a.example/"));
    let connector =
        plugins.engine().load_authenticator(connector_spec("x.wasm", plugins.trusting(Grants::default()))).unwrap();
    assert_eq!(connector.check().await.unwrap().detail, "fine");
    let context = ChallengeContext { account: account(), endpoint: None, application: "wiki".into() };
    let step = connector.start(&context).await.unwrap();
    assert_eq!((step.progress, step.prompt.clone()), (Progress::Waiting, Prompt::Push(Some(42))));
    assert_eq!((step.handle.as_str(), step.poll_after_ms, step.expires_in_seconds), ("h", 1000, 60));
    let choice = Choice { id: "c".to_owned(), label: "C\\nx".to_owned(), current: true, wait_ms: 5000 };
    assert_eq!((step.choices.as_slice(), step.note.as_deref()), (&[choice][..], Some("n")));
    assert!(connector.poll("h").await.unwrap() == step);
    assert!(connector.verify("h", "123456").await.unwrap() == step);
    assert!(connector.choose("h", "c").await.unwrap() == step);
    connector.cancel("h").await.unwrap();
}

#[tokio::test]
async fn an_authenticator_that_computes_without_end_is_stopped_and_holds_nobody_up() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::authenticator(&About::default(), "(loop $again (br $again))", "https://a.example/"));
    let limits = ConnectorLimits { call_timeout: Duration::from_millis(300), ..ConnectorLimits::default() };
    let spec = ConnectorSpec { limits, ..connector_spec("x.wasm", plugins.trusting(Grants::default())) };
    let connector = plugins.engine().load_authenticator(spec).unwrap();
    // This runtime has one thread: were the guest on it, nothing else could run.
    let mut beats = 0_u32;
    let heart = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            beats += 1;
        }
    };
    let answer = tokio::select! { answer = connector.poll("h") => answer, () = heart => unreachable!() };
    assert_eq!(answer.unwrap_err(), ConnectorError::Fault(PluginFault::Deadline(300)));
    assert!(beats > 5, "{beats}");
    assert!(connector.check().await.is_ok(), "the next call has an instance of its own");
}

#[tokio::test]
async fn calls_beyond_the_limit_wait_and_then_hear_that_it_is_busy() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &guest::authenticator(&About::default(), "(loop $again (br $again))", "https://a.example/"));
    let limits =
        ConnectorLimits { call_timeout: Duration::from_millis(300), concurrency: 1, ..ConnectorLimits::default() };
    let spec = ConnectorSpec { limits, ..connector_spec("x.wasm", plugins.trusting(Grants::default())) };
    let connector = plugins.engine().load_authenticator(spec).unwrap();
    let (one, other) = tokio::join!(connector.poll("h"), connector.poll("h"));
    let mut faults = [one.unwrap_err(), other.unwrap_err()];
    faults.sort_by_key(|fault| *fault == ConnectorError::Fault(PluginFault::Busy));
    assert_eq!(faults[0], ConnectorError::Fault(PluginFault::Deadline(300)));
    // Both can end in the same moment; then the second one got its turn and had no time left.
    assert!(matches!(faults[1], ConnectorError::Fault(PluginFault::Busy | PluginFault::Deadline(300))));
    assert!(connector.check().await.is_ok());
}

#[tokio::test]
async fn giving_up_on_a_call_takes_its_request_back() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let plugins = Plugins::new();
    let url = format!("https://127.0.0.1:{port}/");
    plugins.add("x.wasm", &guest::authenticator(&About::default(), "(drop (call $send))", &url));
    let grants = Grants { hosts: vec![HostGrant { host: "127.0.0.1".into(), port }], ..Grants::default() };
    let connector = plugins.engine().load_authenticator(connector_spec("x.wasm", plugins.trusting(grants))).unwrap();

    let server = tokio::task::spawn_blocking(move || {
        use std::io::Read;
        let (mut connection, _) = silent.accept().unwrap();
        let greeted = Instant::now();
        // The TLS greeting, then the end of the connection, because nobody waits any more.
        let mut all = Vec::new();
        let _ = connection.read_to_end(&mut all);
        (all.len(), greeted.elapsed())
    });
    let given_up = tokio::time::timeout(Duration::from_millis(300), connector.poll("h")).await;
    assert!(given_up.is_err());
    let (bytes, open) = tokio::time::timeout(Duration::from_secs(20), server).await.unwrap().unwrap();
    assert!(bytes > 0);
    assert!(open < Duration::from_secs(4), "closed by giving up, not by the time limit for connecting: {open:?}");
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let plugins = Plugins::new();
    // Traps unless the answer is an error of the case `denied`.
    let denied = "(if (i32.eqz (call $send)) (then unreachable)) (if (i32.load8_u (i32.const 516)) (then unreachable))";
    plugins.add("x.wasm", &guest::authenticator(&About::default(), denied, &url));
    let connector =
        plugins.engine().load_authenticator(connector_spec("x.wasm", plugins.trusting(Grants::default()))).unwrap();
    connector.poll("h").await.unwrap();
    assert!(listener.accept().is_err());
}
