//! The small store of each connector.

use std::sync::Arc;

use portcullis_core::store::{PluginStateStore, StoreError};

use crate::bindings::connector::portcullis::gateway::state::StateError;

/// Longest key, in bytes.
const MAX_KEY: usize = 256;
/// Longest value, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// One connector's part of the gateway's store. The connector's name is not the plugin's to choose.
pub(crate) struct PluginState {
    store: Arc<dyn PluginStateStore>,
    connector: String,
    quota: u64,
}

impl PluginState {
    pub(crate) fn new(store: Arc<dyn PluginStateStore>, connector: &str, quota: u64) -> Self {
        Self { store, connector: connector.to_owned(), quota }
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        check("key", key.len(), MAX_KEY)?;
        self.store.plugin_state(&self.connector, key).await.map_err(|error| state_error(&error))
    }

    pub(crate) async fn set(&self, key: &str, value: &[u8]) -> Result<(), StateError> {
        check("key", key.len(), MAX_KEY)?;
        check("value", value.len(), MAX_VALUE)?;
        self.store.put_plugin_state(&self.connector, key, value, self.quota).await.map_err(|error| state_error(&error))
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), StateError> {
        check("key", key.len(), MAX_KEY)?;
        self.store.delete_plugin_state(&self.connector, key).await.map_err(|error| state_error(&error))
    }
}

fn check(what: &str, length: usize, limit: usize) -> Result<(), StateError> {
    if length <= limit {
        return Ok(());
    }
    Err(StateError::Quota(format!("the {what} has {length} bytes; {limit} are allowed")))
}

fn state_error(error: &StoreError) -> StateError {
    match error {
        StoreError::Quota(text) => StateError::Quota(text.clone()),
        // Where the gateway keeps its data, and what is wrong with it, is the administrator's business, not the plugin's.
        StoreError::Unavailable(_) | StoreError::Overloaded(_) | StoreError::Damaged(_) => {
            tracing::warn!(%error, "the state of a plugin cannot be reached");
            StateError::Unavailable("the gateway's store does not answer".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use portcullis_core::store::{PluginStateStore, StoreError};

    use super::{PluginState, StateError};

    /// Keeps values by plugin and key, and is full when a quota of 0 is asked for.
    #[derive(Default)]
    struct Memory(Mutex<BTreeMap<(String, String), Vec<u8>>>);

    #[async_trait]
    impl PluginStateStore for Memory {
        async fn plugin_state(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
            if key == "broken" {
                return Err(StoreError::Unavailable("/var/lib/secret-place: disk full".into()));
            }
            Ok(self.0.lock().unwrap().get(&(plugin.into(), key.into())).cloned())
        }
        async fn put_plugin_state(&self, plugin: &str, key: &str, value: &[u8], quota: u64) -> Result<(), StoreError> {
            if quota == 0 {
                return Err(StoreError::Quota("full".into()));
            }
            self.0.lock().unwrap().insert((plugin.into(), key.into()), value.into());
            Ok(())
        }
        async fn delete_plugin_state(&self, plugin: &str, key: &str) -> Result<(), StoreError> {
            self.0.lock().unwrap().remove(&(plugin.into(), key.into()));
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_connector_sees_its_own_state_alone() {
        let store = Arc::new(Memory::default());
        let one = PluginState::new(store.clone(), "one", 100);
        let other = PluginState::new(store, "other", 100);
        one.set("k", b"v").await.unwrap();
        assert_eq!(one.get("k").await.unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(other.get("k").await.unwrap(), None);
        other.delete("k").await.unwrap();
        assert!(one.get("k").await.unwrap().is_some());
        one.delete("k").await.unwrap();
        assert_eq!(one.get("k").await.unwrap(), None);
    }

    #[tokio::test]
    async fn keys_values_and_their_sum_are_bounded() {
        let state = PluginState::new(Arc::new(Memory::default()), "one", 0);
        assert!(matches!(state.get(&"k".repeat(257)).await, Err(StateError::Quota(_))));
        assert!(
            matches!(state.set("k", &vec![0; (64 << 10) + 1]).await, Err(StateError::Quota(text)) if text.contains("65536"))
        );
        assert!(matches!(state.set("k", b"v").await, Err(StateError::Quota(text)) if text == "full"));
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_store_is_not_told_to_plugins() {
        let state = PluginState::new(Arc::new(Memory::default()), "one", 1);
        let Err(StateError::Unavailable(text)) = state.get("broken").await else { panic!("no error") };
        assert!(!text.contains("secret-place"), "{text}");
    }
}
