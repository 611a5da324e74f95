use std::net::IpAddr;
use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::Secret;
use portcullis_core::challenge::{ChallengeDesk, ChallengeState, ChallengeView, LinkToken, NotTaken, PageId, Presence};
use tokio::sync::watch;

/// A desk whose challenges the test opens and ends.
pub struct FakeDesk {
    views: Mutex<Vec<ChallengeView>>,
    /// What came from pages: the link, and what it was.
    pub said: Mutex<Vec<(LinkToken, Said)>>,
    /// The code that is right; any other is noted as wrong.
    pub right_code: Mutex<String>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Code(String),
    Choice(String),
    Seen(PageId, Presence),
}

impl Default for FakeDesk {
    fn default() -> Self {
        Self {
            views: Mutex::default(),
            said: Mutex::default(),
            right_code: Mutex::default(),
            changes: watch::Sender::new(0),
        }
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

    /// What came from the pages of a link.
    pub fn said(&self, link: &LinkToken) -> Vec<Said> {
        self.said.lock().unwrap().iter().filter(|(of, _)| of == link).map(|(_, said)| said.clone()).collect()
    }

    fn hear(&self, link: &LinkToken, said: Said) -> Result<(), NotTaken> {
        self.said.lock().unwrap().push((link.clone(), said));
        let open = self.view(link).is_some_and(|view| view.state == ChallengeState::Open);
        if open { Ok(()) } else { Err(NotTaken::Ended) }
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

    async fn deny(&self, link: &LinkToken) -> bool {
        let open = self.view(link).is_some_and(|view| view.state == ChallengeState::Open);
        if open {
            self.end(link, ChallengeState::Denied);
        }
        open
    }

    async fn verify(&self, link: &LinkToken, code: Secret) -> Result<(), NotTaken> {
        self.hear(link, Said::Code(code.reveal().to_owned()))?;
        if code.reveal() == *self.right_code.lock().unwrap() {
            self.end(link, ChallengeState::Approved);
        } else {
            self.change(link, |view| view.note = Some("This code is not right.".to_owned()));
        }
        Ok(())
    }

    async fn choose(&self, link: &LinkToken, choice: &str) -> Result<(), NotTaken> {
        self.hear(link, Said::Choice(choice.to_owned()))?;
        self.change(link, |view| {
            for one in &mut view.choices {
                one.current = one.id == choice;
            }
        });
        Ok(())
    }

    async fn seen(&self, link: &LinkToken, page: PageId, presence: Presence) -> bool {
        self.hear(link, Said::Seen(page, presence)).is_ok()
    }
}
