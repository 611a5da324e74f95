//! The proof that something was decided on.

use portcullis_core::gate::{Permit, Told};

/// Holds what may go on. Made in this crate alone, after a decision; opened once.
///
/// Its field and its constructor are not visible outside, so no other room can make one:
///
/// ```compile_fail
/// let forged = portcullis_guard::Permitted { held: "a request that nobody decided on" };
/// ```
///
/// ```compile_fail
/// let forged = portcullis_guard::Permitted::new("a request that nobody decided on");
/// ```
#[derive(Debug)]
#[must_use]
pub struct Permitted<T> {
    held: T,
    application: Option<String>,
    told: Option<Told>,
}

impl<T> Permitted<T> {
    pub(crate) fn new(held: T) -> Self {
        Self { held, application: None, told: None }
    }

    /// Of a bind by the service account of this application.
    pub(crate) fn by_application(held: T, application: Option<String>) -> Self {
        Self { held, application, told: None }
    }

    /// With somebody who has to know what the directory makes of it.
    pub(crate) fn telling(self, told: Option<Told>) -> Self {
        Self { told, ..self }
    }
}

impl<T> Permit<T> for Permitted<T> {
    fn application(&self) -> Option<&str> {
        self.application.as_deref()
    }

    fn take_told(&mut self) -> Option<Told> {
        self.told.take()
    }

    fn redeem(self) -> T {
        self.held
    }
}
