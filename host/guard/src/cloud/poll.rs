//! Reading one source, page after page.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::cloud::SourceState;
use portcullis_core::plugin::ConnectorError;
use portcullis_core::source::SourceBatch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Cloud, Reader};

/// First and longest pause after trouble.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A service is left alone for at most so long, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// A source that has nothing, and says that more is waiting, is not asked in a circle.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);

/// Why a page was not taken. The cursor stays, so it is asked for again.
pub(super) struct Trouble {
    why: String,
    /// When the service wants to be asked again.
    wait: Option<Duration>,
}

impl Trouble {
    #[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come")]
    pub(super) fn of(why: impl ToString) -> Self {
        Self { why: why.to_string(), wait: None }
    }

    pub(super) fn into_text(self) -> String {
        self.why
    }
}

impl From<ConnectorError> for Trouble {
    fn from(error: ConnectorError) -> Self {
        let wait = match &error {
            ConnectorError::RateLimited(ms) => Some(Duration::from_millis(u64::from(*ms))),
            _ => None,
        };
        Self { why: error.to_string(), wait }
    }
}

/// How far a source has been read.
struct Place {
    /// As it is stored.
    state: SourceState,
    /// What the service has said to the question for what comes behind it.
    ahead: Option<Result<SourceBatch, ConnectorError>>,
}

impl Reader {
    /// Never ends by itself.
    pub(super) async fn read(self: &Arc<Self>, cloud: &Cloud) {
        let name = &self.source.name;
        let (mut place, mut pause) = (None, PAUSE_MIN);
        loop {
            let wait = match self.step(cloud, &mut place).await {
                Ok(wait) => {
                    pause = PAUSE_MIN;
                    wait
                }
                Err(trouble) => {
                    if self.status.failed(cloud.guard.rooms.clock.now(), &trouble.why) {
                        warn!(source = %name, error = trouble.why, "the events of a cloud service cannot be read");
                    }
                    // What is stored is the truth; what a failed write has done is not known here.
                    place = None;
                    let wait = trouble.wait.map_or(pause, |wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
                    pause = (pause * 2).min(PAUSE_MAX);
                    wait
                }
            };
            sleep(wait).await;
        }
    }

    /// Asks for a page and stores it. Returns how long the service is to be left alone.
    async fn step(self: &Arc<Self>, cloud: &Cloud, place: &mut Option<Place>) -> Result<Duration, Trouble> {
        let name = &self.source.name;
        let Place { state, ahead } = match place.take() {
            Some(place) => place,
            None => {
                let stored = cloud.store.source_state(name).await.map_err(Trouble::of)?;
                let state = stored.unwrap_or(SourceState { cursor: None, complete_to: None });
                self.status.begin(state.complete_to);
                Place { state, ahead: None }
            }
        };
        let batch = match ahead {
            Some(batch) => batch?,
            None => self.source.provider.poll(state.cursor.as_deref()).await?,
        };
        let (count, wait) = (batch.events.len(), Duration::from_millis(u64::from(batch.poll_after_ms)));
        let moved = state.cursor.as_deref() != Some(&batch.cursor);
        // The latest that is known: a source that has gone back does not make the stored events incomplete.
        let complete_to = batch.complete_to.max(state.complete_to);
        let next = SourceState { cursor: Some(batch.cursor), complete_to };
        // Where more is waiting, the next page comes while this one is stored. It counts for nothing unless this one is.
        let more = async {
            let goes_on = wait.is_zero() && moved;
            if goes_on { Some(self.source.provider.poll(next.cursor.as_deref()).await) } else { None }
        };
        let (stored, ahead) = tokio::join!(self.take(cloud, batch.events, &state, next.clone()), more);
        let stored = stored?;
        let again = u64::try_from(count).unwrap_or(u64::MAX).saturating_sub(stored);
        let now = cloud.guard.rooms.clock.now();
        if self.status.read(now, stored, again, complete_to, wait.is_zero()) {
            info!(source = %name, "the events of a cloud service are read again");
        }
        *place = Some(Place { state: next, ahead });
        let is_idle = count == 0 && !moved;
        Ok(wait.clamp(if is_idle { SHORTEST_WAIT } else { Duration::ZERO }, LONGEST_WAIT))
    }
}
