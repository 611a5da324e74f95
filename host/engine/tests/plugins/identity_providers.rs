//! Connectors to cloud identity providers: what they are asked, and what they may hand over.

use std::time::Duration;

use portcullis_core::Timestamp;
use portcullis_core::plugin::{ConnectorError, PluginFault};
use portcullis_core::source::{AccountDirectory, Enforcement, Enforcer, EventSource};
use portcullis_engine::{ConnectorLimits, ConnectorSpec, EngineError, Grants, LoadedIdentityProvider, World};

use crate::support::guest::{self, About};
use crate::support::{Plugins, connector_spec};

fn load(plugins: &Plugins, poll: &str, limits: ConnectorLimits) -> LoadedIdentityProvider {
    plugins.add("x.wasm", &guest::identity_provider(&About::default(), poll));
    let spec = ConnectorSpec { limits, ..connector_spec("x.wasm", plugins.trusting(Grants::default())) };
    plugins.engine().load_identity_provider(spec).unwrap()
}

async fn fault(poll: &str, limits: ConnectorLimits) -> PluginFault {
    let plugins = Plugins::new();
    match load(&plugins, poll, limits).poll(None).await {
        Err(ConnectorError::Fault(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_provider_answers_in_all_its_roles() {
    let plugins = Plugins::new();
    let provider = load(&plugins, "", ConnectorLimits::identity_provider());
    assert_eq!(provider.manifest().name, "test-guest");
    assert_eq!(provider.check().await.unwrap().detail, "fine");
    for cursor in [None, Some("cursor")] {
        let batch = provider.poll(cursor).await.unwrap();
        assert_eq!((batch.events.len(), batch.cursor.as_str(), batch.poll_after_ms), (0, "cursor", 1_000));
        assert_eq!(batch.complete_to, Some(Timestamp(7)));
    }
    assert_eq!(provider.find(&["mona@acme.example".into()]).await.unwrap(), None);
    provider.enforce("00u1", Enforcement::EndSessions).await.unwrap();
    provider.enforce("00u1", Enforcement::Unsuspend).await.unwrap();
    let refused = provider.enforce("00u1", Enforcement::Suspend).await.unwrap_err();
    assert_eq!(refused, ConnectorError::RateLimited(9));
}

#[test]
fn a_component_is_loaded_as_what_it_is() {
    let plugins = Plugins::new();
    plugins.add("provider.wasm", &guest::identity_provider(&About::default(), ""));
    plugins.add("authenticator.wasm", &guest::authenticator(&About::default(), "", "https://a.example/"));
    let engine = plugins.engine();
    let info = engine.inspect("provider.wasm").unwrap();
    assert_eq!((info.world, info.imports.len()), (World::IdentityProvider, 0));
    let spec = |file| connector_spec(file, plugins.trusting(Grants::default()));
    let wrong = engine.load_authenticator(spec("provider.wasm")).err().unwrap();
    assert!(matches!(wrong, EngineError::WrongWorld { found: World::IdentityProvider, .. }), "{wrong}");
    let wrong = engine.load_identity_provider(spec("authenticator.wasm")).err().unwrap();
    assert!(wrong.to_string().contains("`identity-provider-plugin` is needed here"), "{wrong}");
}

#[tokio::test]
async fn a_flood_of_events_is_a_fault_and_events_without_an_id_are_left_out() {
    let limits = ConnectorLimits::identity_provider;
    let many = fault("(call $events (i32.const 10001))", limits()).await;
    assert!(matches!(&many, PluginFault::Limit(text) if text.contains("10001 events")), "{many}");
    let plugins = Plugins::new();
    let batch = load(&plugins, "(call $events (i32.const 9000))", limits()).poll(None).await.unwrap();
    assert_eq!(batch.events.len(), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_copied() {
    // Zeros, which are text, behind everything that the guest has.
    let large = "(i32.store (i32.const 272) (i32.mul (memory.grow (i32.const 200)) (i32.const 65536)))
                 (i32.store (i32.const 276) (i32.const 10000000))";
    let small = ConnectorLimits { answer: 1 << 20, ..ConnectorLimits::identity_provider() };
    let refused = fault(large, small).await;
    assert!(matches!(&refused, PluginFault::Limit(text) if text.contains("fuel")), "{refused}");
    let cursor = fault(large, ConnectorLimits::identity_provider()).await;
    assert!(matches!(&cursor, PluginFault::Limit(text) if text.contains("a cursor of 10000000 bytes")), "{cursor}");
}

#[tokio::test]
async fn a_feed_that_computes_without_end_is_stopped() {
    let limits = ConnectorLimits { call_timeout: Duration::from_millis(300), ..ConnectorLimits::identity_provider() };
    assert_eq!(fault("(loop $again (br $again))", limits).await, PluginFault::Deadline(300));
}
