//! The component `okta-sso` in the engine, against a simulated Okta over TLS: its log, its accounts, and acting on them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use portcullis_core::plugin::ConnectorError;
use portcullis_core::source::{AccountDirectory, Enforcement, Enforcer, EventSource, SourceBatch};
use portcullis_core::store::{PluginStateStore, StoreError};
use portcullis_core::{Clock, Operation, Outcome, Secret, Timestamp};
use portcullis_engine::{
    ConnectorLimits, ConnectorSpec, Engine, EngineOptions, Grants, HostGrant, LoadedIdentityProvider, SecretGrant,
    TrustedKeys,
};
use portcullis_lab::company::Company;
use portcullis_lab::okta::{Call, DEFAULT_TOKEN, Fault, Okta, OktaOptions, RateHeaders};
use serde_json::{Value, json};

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(u64::try_from(since.as_millis()).unwrap())
    }
}

/// This connector keeps nothing beside its cursor.
struct NoState;

#[async_trait]
impl PluginStateStore for NoState {
    async fn plugin_state(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
    async fn put_plugin_state(&self, _: &str, _: &str, _: &[u8], _: u64) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("not in this test".into()))
    }
    async fn delete_plugin_state(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

fn dist(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dist").join(path)
}

/// The component with these settings beside the address; `cargo xtask plugins` has built and signed it.
fn load(okta: &Okta, more: &Value) -> LoadedIdentityProvider {
    let engine = Engine::new(EngineOptions {
        plugin_folder: dist("plugins"),
        trusted_keys: TrustedKeys::from_files(&[dist("keys/dev.pub")]).expect("`cargo xtask plugins` makes the key"),
        compile_cache: None,
        clock: Arc::new(WallClock),
        plugin_state: Arc::new(NoState),
    })
    .unwrap();
    let host = HostGrant { host: "localhost".into(), port: okta.addr().port() };
    let grants = Grants {
        hosts: vec![host.clone()],
        secrets: [("api-token".into(), SecretGrant { value: Secret::new(DEFAULT_TOKEN), hosts: vec![host] })].into(),
        ca_file: Some(okta.ca_pem_path().to_owned()),
        ..Grants::default()
    };
    let mut settings = json!({ "base-url": okta.base_url() });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let spec = ConnectorSpec {
        name: "okta".into(),
        file: "okta-sso.wasm".into(),
        settings,
        grants,
        limits: ConnectorLimits::identity_provider(),
    };
    engine.load_identity_provider(spec).unwrap()
}

async fn okta() -> Okta {
    Okta::start(&Company::generate(), OktaOptions { rate_limit: 100_000, ..OktaOptions::default() }).await.unwrap()
}

/// Reads until nothing is waiting.
async fn read(provider: &LoadedIdentityProvider, mut cursor: Option<String>) -> Vec<SourceBatch> {
    let mut batches = Vec::new();
    loop {
        let batch = provider.poll(cursor.as_deref()).await.unwrap();
        let is_end = batch.poll_after_ms > 0;
        cursor = Some(batch.cursor.clone());
        batches.push(batch);
        if is_end {
            return batches;
        }
    }
}

fn ids(batches: &[SourceBatch]) -> BTreeSet<String> {
    batches.iter().flat_map(|batch| &batch.events).map(|event| event.id.clone()).collect()
}

fn expected(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(Okta::sign_in_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_to_its_end_with_late_repeated_and_odd_events() {
    let okta = okta().await;
    okta.log_sign_ins(0, 2_500);
    okta.log_events([okta.sign_in(7), json!({"nobody": "knows"}), json!(null), json!({"uuid": "odd", "client": 5})]);
    let provider = load(&okta, &json!({}));
    let batches = read(&provider, None).await;
    assert_eq!(batches.iter().map(|batch| batch.events.len()).collect::<Vec<_>>(), [1_000, 1_000, 502]);
    let mut all = expected(0..2_500);
    all.insert("odd".into());
    assert_eq!(ids(&batches), all);
    let event = &batches[0].events[0];
    assert_eq!((&event.operation, event.outcome), (&Operation::SignIn, Outcome::Success));
    assert!(event.address.is_some() && event.position.is_some() && event.identities.len() == 2);
    assert!(batches.windows(2).all(|two| two[0].complete_to <= two[1].complete_to));

    // What happened an hour ago and is logged now comes next.
    let cursor = batches.last().unwrap().cursor.clone();
    let mut late = okta.sign_in(2_500);
    late["published"] = json!("2026-01-01T00:00:00.000Z");
    okta.log_events([late]);
    assert_eq!(ids(&read(&provider, Some(cursor.clone())).await), expected([2_500]));

    okta.expire_cursors();
    okta.log_sign_ins(2_501, 10);
    let again = ids(&read(&provider, Some(cursor)).await);
    assert!(again.is_superset(&expected(2_500..2_511)), "a lost cursor loses nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_error_and_the_same_cursor_goes_on() {
    let okta = okta().await;
    okta.log_sign_ins(0, 3);
    let provider = load(&okta, &json!({}));
    let cursor = provider.poll(None).await.unwrap().cursor;
    type Is = fn(&ConnectorError) -> bool;
    let cases: [(Fault, Is); 12] = [
        (Fault::Status(401, "E0000011".into()), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (Fault::Status(403, "E0000005".into()), |e| matches!(e, ConnectorError::Unauthorized(_))),
        (Fault::Status(403, "E0000006".into()), |e| matches!(e, ConnectorError::Forbidden(_))),
        (Fault::Status(500, "E0000009".into()), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Fault::Html(502), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Fault::EmptyBody, |e| matches!(e, ConnectorError::Protocol(_))),
        (Fault::Truncated, |e| matches!(e, ConnectorError::Unavailable(_))),
        (Fault::Reset, |e| matches!(e, ConnectorError::Unavailable(_))),
        (Fault::Huge(100_000_000), |e| matches!(e, ConnectorError::Unavailable(_))),
        (Fault::BadJson, |e| matches!(e, ConnectorError::Protocol(_))),
        (Fault::RateLimited(RateHeaders::Absent), |e| matches!(e, ConnectorError::RateLimited(2_000))),
        (Fault::RateLimited(RateHeaders::Bucket), |e| matches!(e, ConnectorError::RateLimited(_))),
    ];
    for (fault, is_right) in cases {
        okta.fail_next_call(Call::Logs, 1, &fault);
        let error = provider.poll(Some(&cursor)).await.unwrap_err();
        assert!(is_right(&error), "{fault:?}: {error:?}");
    }
    okta.log_sign_ins(3, 2);
    assert_eq!(ids(&read(&provider, Some(cursor)).await), expected([3, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_found_and_acted_on() {
    let okta = okta().await;
    let cast = okta.cast();
    let provider = load(&okta, &json!({ "application": okta.application() }));
    assert!(provider.check().await.unwrap().detail.contains("(Acme)"));
    let login = cast.two_devices.as_str();
    let account = provider.find(&["nobody@example.com".into(), login.to_owned()]).await.unwrap().unwrap();
    assert_eq!((account.status.as_str(), account.enabled), ("ACTIVE", true));
    assert_eq!(account.applications, ["Acme Gateway"], "two links on two pages, one application");
    assert_eq!(account.factors.iter().filter(|factor| factor.kind == "push" && factor.active).count(), 2);
    assert_eq!(provider.find(std::slice::from_ref(&cast.absent)).await.unwrap(), None);
    let suspended = provider.find(std::slice::from_ref(&cast.suspended)).await.unwrap().unwrap();
    assert_eq!((suspended.status.as_str(), suspended.enabled), ("SUSPENDED", false));
    okta.assign(login, false).unwrap();
    assert!(!provider.find(std::slice::from_ref(&account.id)).await.unwrap().unwrap().enabled);
    okta.fail_next(1, &Fault::Status(500, "E0000009".into()));
    assert!(matches!(provider.find(std::slice::from_ref(&account.id)).await, Err(ConnectorError::Unavailable(_))));

    provider.enforce(&account.id, Enforcement::EndSessions).await.unwrap();
    for _ in 0..2 {
        provider.enforce(&account.id, Enforcement::Suspend).await.unwrap();
        assert_eq!(okta.status(login).unwrap(), ("SUSPENDED", 1));
    }
    for _ in 0..2 {
        provider.enforce(&account.id, Enforcement::Unsuspend).await.unwrap();
        assert_eq!(okta.status(login).unwrap(), ("ACTIVE", 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_away_takes_no_token_along() {
    let (okta, evil) = (okta().await, okta().await);
    okta.log_sign_ins(0, 1);
    let provider = load(&okta, &json!({}));
    okta.fail_next_call(Call::Logs, 1, &Fault::ForeignNextLink(evil.base_url().to_owned()));
    // The simulator adds this link behind its own, which is the one that is followed.
    let cursor = provider.poll(None).await.unwrap().cursor;
    assert!(cursor.contains(okta.base_url()) && !cursor.contains(evil.base_url()), "{cursor}");
    let foreign = json!({ "next": format!("{}/api/v1/logs?after=0_0", evil.base_url()), "read_to": 0 }).to_string();
    provider.poll(Some(&foreign)).await.unwrap();
    assert!(evil.journal().is_empty());
}
