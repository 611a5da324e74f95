//! Whether the pages on which a challenge is shown are still there.
//!
//! A page tells every few seconds that it is there, and says goodbye when it goes. Neither is certain: a goodbye is also said
//! when the page is loaded again, and a machine that falls asleep says nothing at all. So a goodbye counts after a moment in
//! which the page may come back, and silence counts like a goodbye. A page without scripts never says anything, and then
//! nothing is concluded from silence.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_core::challenge::{PageId, Presence};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// In this time a page that was left because it is loaded again is there again.
const COMES_BACK: Duration = Duration::from_secs(4);
/// A page that is looked at tells every five seconds; three in a row do not get lost.
const SILENCE: Duration = Duration::from_secs(20);
/// Browsers wake the script of a hidden page once a minute, and phones not at all while the person looks for the code in
/// another application.
const SILENCE_WHEN_HIDDEN: Duration = Duration::from_secs(120);
/// More pages of one challenge than these are not kept apart; the one that was silent for longest is forgotten.
const PAGES: usize = 16;

/// The pages of one challenge.
pub(super) struct Pages(watch::Sender<Known>);

#[derive(Default)]
struct Known {
    open: HashMap<PageId, Heard>,
    /// When the last one went.
    left_at: Option<Instant>,
}

struct Heard {
    at: Instant,
    hidden: bool,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// A page tells.
    pub(super) fn seen(&self, page: PageId, presence: Presence) {
        self.0.send_modify(|known| known.hear(page, presence, Instant::now()));
    }

    /// Ends when all pages that ever told are gone or silent.
    pub(super) async fn left(&self) {
        let mut known = self.0.subscribe();
        loop {
            let closes_at = known.borrow_and_update().closes_at();
            let silent = async {
                match closes_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = known.changed() => {
                    // The sender is this very object, which is borrowed here.
                    if changed.is_err() {
                        return;
                    }
                }
                () = silent => return,
            }
        }
    }
}

impl Known {
    fn hear(&mut self, page: PageId, presence: Presence, now: Instant) {
        if matches!(presence, Presence::Gone | Presence::Elsewhere) {
            let was_there = self.open.remove(&page).is_some();
            if presence == Presence::Elsewhere {
                self.left_at = None;
            } else if was_there && self.open.is_empty() {
                self.left_at = Some(now);
            }
            return;
        }
        if self.open.len() >= PAGES && !self.open.contains_key(&page) {
            let oldest = self.open.iter().min_by_key(|(_, heard)| heard.at).map(|(page, _)| *page);
            oldest.map(|page| self.open.remove(&page));
        }
        self.left_at = None;
        self.open.insert(page, Heard { at: now, hidden: presence == Presence::Hidden });
    }

    /// When there will be nobody any more unless something is heard; none while nothing can be concluded.
    fn closes_at(&self) -> Option<Instant> {
        let silent = |heard: &Heard| heard.at + if heard.hidden { SILENCE_WHEN_HIDDEN } else { SILENCE };
        self.open.values().map(silent).max().or_else(|| self.left_at.map(|at| at + COMES_BACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PageId = PageId(1);
    const TWO: PageId = PageId(2);

    async fn closes_within(pages: &Pages, limit: Duration) -> bool {
        tokio::time::timeout(limit, pages.left()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_was_never_open_is_never_closed() {
        let pages = Pages::new();
        pages.seen(ONE, Presence::Gone);
        assert!(!closes_within(&pages, Duration::from_secs(10_000)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_counts_after_a_moment_unless_the_page_comes_back() {
        let pages = Pages::new();
        pages.seen(ONE, Presence::Visible);
        pages.seen(ONE, Presence::Gone);
        assert!(!closes_within(&pages, COMES_BACK / 2).await);
        // Loaded again: another number, the same challenge.
        pages.seen(TWO, Presence::Visible);
        assert!(!closes_within(&pages, COMES_BACK * 2).await);
        pages.seen(TWO, Presence::Gone);
        assert!(closes_within(&pages, COMES_BACK * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_back_to_the_list_of_several_has_not_closed_any() {
        let pages = Pages::new();
        pages.seen(ONE, Presence::Visible);
        pages.seen(ONE, Presence::Gone);
        pages.seen(TWO, Presence::Elsewhere);
        assert!(!closes_within(&pages, SILENCE_WHEN_HIDDEN * 2).await);
        // A list arrives on the page that showed it.
        pages.seen(ONE, Presence::Visible);
        pages.seen(ONE, Presence::Elsewhere);
        assert!(!closes_within(&pages, SILENCE_WHEN_HIDDEN * 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_pages_is_enough() {
        let pages = Pages::new();
        pages.seen(ONE, Presence::Visible);
        pages.seen(TWO, Presence::Visible);
        pages.seen(ONE, Presence::Gone);
        assert!(!closes_within(&pages, SILENCE / 2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_goodbye_and_a_hidden_page_may_be_silent_for_longer() {
        let pages = Pages::new();
        for _ in 0..5 {
            pages.seen(ONE, Presence::Visible);
            assert!(!closes_within(&pages, SILENCE / 2).await);
        }
        pages.seen(ONE, Presence::Hidden);
        assert!(!closes_within(&pages, SILENCE * 2).await);
        assert!(closes_within(&pages, SILENCE_WHEN_HIDDEN).await);
    }

    #[tokio::test(start_paused = true)]
    async fn pages_without_number_cost_no_memory_without_end() {
        let pages = Pages::new();
        for page in 0..10_000 {
            pages.seen(PageId(page), Presence::Visible);
        }
        assert_eq!(pages.0.borrow().open.len(), PAGES);
    }
}
