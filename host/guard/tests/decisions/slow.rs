//! A policy that used up its time lately.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_core::plugin::{PluginFault, Policy};
use portcullis_core::policy::{Evidence, FailMode, Mode, Needs, Ruling, Verdict};
use portcullis_core::{Access, AccountFacts};
use portcullis_guard::PolicyEntry;

use super::support::*;

/// Does not answer before something has happened elsewhere.
struct Waiting {
    needs: Needs,
    elsewhere: Mutex<Receiver<()>>,
}

impl Policy for Waiting {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn evaluate(&self, _: &Access, _: &Arc<AccountFacts>, _: &[Evidence]) -> Result<Ruling, PluginFault> {
        match self.elsewhere.lock().unwrap().recv_timeout(Duration::from_secs(20)) {
            Ok(()) => ruling(Verdict::Allow),
            Err(_) => Err(PluginFault::Deadline(20_000)),
        }
    }

    fn is_slow(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn holds_up_nobody_else() {
    let (happens, elsewhere) = sync_channel(1);
    let quick = policy("slow", Mode::Enforce, FailMode::Closed, |_, _| ruling(Verdict::Allow));
    let slow = Waiting { needs: quick.policy.needs().clone(), elsewhere: Mutex::new(elsewhere) };
    let scene = scene(vec![PolicyEntry { policy: Arc::new(slow), ..quick }]);
    let bind = tokio::spawn(async move { scene.bind("10.0.0.1").await });
    // Behind the bind on the runtime's only worker.
    tokio::spawn(async move { happens.send(()) }).await.unwrap().unwrap();
    assert_eq!(bind.await.unwrap(), Ok("held"));
}
