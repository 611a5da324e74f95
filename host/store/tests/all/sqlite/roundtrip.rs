use portcullis_core::event::{AccessEvent, Decision, Event, Record};
use portcullis_core::store::EventStore as _;
use portcullis_core::{Operation, Signal, Timestamp};
use proptest::prelude::*;

use super::Folder;
use crate::sample::access;

fn any_event() -> impl Strategy<Value = AccessEvent> {
    let decision =
        prop_oneof![Just(Decision::Allow), Just(Decision::Block), Just(Decision::Refused), Just(Decision::Abandoned)];
    let operation = prop_oneof![
        any::<String>().prop_map(Operation::Other),
        any::<Vec<String>>().prop_map(Operation::Modify),
        Just(Operation::Search(None)),
    ];
    let signal = (any::<String>(), any::<u8>(), any::<String>());
    let signals = prop::collection::vec(signal.prop_map(|(name, score, reason)| Signal { name, score, reason }), 0..4);
    (any::<u128>(), any::<u64>(), any::<String>(), decision, operation, signals, any::<Option<u32>>()).prop_map(
        |(id, at, text, decision, operation, signals, directory_result)| {
            let Event::Access(mut event) = access(id, &text) else { unreachable!("an access") };
            event.access.at = Timestamp(at);
            event.access.target.entry = Some(text);
            (event.access.operation, event.access.signals) = (operation, signals);
            AccessEvent { decision, directory_result, ..*event }
        },
    )
}

proptest! {
    // A case opens a database, so that there are fewer than usual, each with several events.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_event_comes_back_and_verifies(events in prop::collection::vec(any_event(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::create();
            let store = folder.store().await;
            let events: Vec<_> = events.into_iter().map(|event| Event::Access(Box::new(event))).collect();
            let waiting: Vec<_> = events
                .iter()
                .map(|event| store.append(Record { event: event.clone(), learned: None, incidents: vec![] }))
                .collect();
            for answer in waiting {
                answer.await.unwrap();
            }
            let mut stored: Vec<_> =
                store.recent(None, 100).await.unwrap().into_iter().map(|stored| stored.event).collect();
            stored.reverse();
            prop_assert_eq!(stored, events);
            prop_assert_eq!(store.verify().await.unwrap().damage, None);
            Ok(())
        })?;
    }
}
