use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::challenge::{ChallengeDesk, ChallengeState, ChallengeView, LinkToken};
use tokio::sync::watch;

/// A desk whose challenges the test opens and ends.
pub struct FakeDesk {
    views: Mutex<Vec<ChallengeView>>,
    changes: watch::Sender<u64>,
}

impl Default for FakeDesk {
    fn default() -> Self {
        Self { views: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl FakeDesk {
    pub fn put(&self, view: ChallengeView) {
        self.views.lock().unwrap().push(view);
        self.changes.send_modify(|count| *count += 1);
    }

    pub fn change(&self, link: &LinkToken, change: impl FnOnce(&mut ChallengeView)) {
        let mut views = self.views.lock().unwrap();
        let view = views.iter_mut().find(|view| view.link == *link).unwrap();
        change(view);
        view.version += 1;
        drop(views);
        self.changes.send_modify(|count| *count += 1);
    }

    pub fn end(&self, link: &LinkToken, state: ChallengeState) {
        self.change(link, |view| {
            view.state = state;
            view.number = None;
        });
    }

    pub fn view(&self, link: &LinkToken) -> Option<ChallengeView> {
        self.views.lock().unwrap().iter().find(|view| view.link == *link).cloned()
    }
}

#[async_trait]
impl ChallengeDesk for FakeDesk {
    async fn of_address(&self, address: IpAddr) -> Vec<ChallengeView> {
        self.views.lock().unwrap().iter().filter(|view| view.address == Some(address)).cloned().collect()
    }

    async fn by_link(&self, link: &LinkToken) -> Option<ChallengeView> {
        self.view(link)
    }

    async fn changed(&self, link: &LinkToken, seen: u64) -> Option<ChallengeView> {
        let mut changes = self.changes.subscribe();
        loop {
            let view = self.view(link)?;
            if view.version > seen || view.state != ChallengeState::Open {
                return Some(view);
            }
            changes.changed().await.ok()?;
        }
    }

    async fn dismiss(&self, link: &LinkToken) -> bool {
        let open = self.view(link).is_some_and(|view| view.state == ChallengeState::Open);
        if open {
            self.end(link, ChallengeState::Closed);
        }
        open
    }
}
