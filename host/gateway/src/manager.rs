//! What a service manager is told of the gateway's life (`sd_notify(3)`). Nothing, where there is none.

use sd_notify::NotifyState;
use tracing::warn;

/// Every socket is open and clients are served.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The certificates are being read again; [`ready`] follows.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the system has no monotonic clock"),
    }
}

/// The gateway ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, ?state, "the service manager cannot be told");
    }
}
