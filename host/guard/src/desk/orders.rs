//! What the person does on the page: a code, or another way to be asked.

use portcullis_core::Secret;
use portcullis_core::challenge::NotTaken;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::live::Live;

/// What is wanted.
pub(super) enum Wish {
    /// Try this code.
    Code(Secret),
    /// Ask in this way.
    Choice(String),
}

/// A wish on its way to whoever follows the challenge. There is one at a time, from the moment that it is taken to the
/// moment that its answer is shown: a form that is sent twice tries its code once.
pub(super) struct Order {
    pub(super) wish: Wish,
    turn: OwnedSemaphorePermit,
}

impl Order {
    /// Lets the next one come. For after its answer is shown.
    pub(super) fn done(self) {
        drop(self.turn);
    }
}

/// As many as there can be.
pub(super) type Orders = mpsc::Receiver<Order>;

pub(super) fn channel() -> (mpsc::Sender<Order>, Orders) {
    mpsc::channel(1)
}

impl Live {
    /// Hands the wish to the follower and waits until the view shows what came of it.
    pub(super) async fn order(&self, wish: Wish) -> Result<(), NotTaken> {
        if self.ended_at().is_some() {
            return Err(NotTaken::Ended);
        }
        let view = self.view();
        let can_be_done = match &wish {
            Wish::Code(_) => view.code.is_some(),
            Wish::Choice(id) => view.choices.iter().any(|choice| choice.id == *id),
        };
        if !can_be_done {
            return Err(NotTaken::NothingToDo);
        }
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| NotTaken::Busy)?;
        // There is one turn, so there is room. Nobody receives any more when it has just ended.
        self.orders.try_send(Order { wish, turn }).map_err(|_| NotTaken::Ended)?;
        self.changed(view.version).await;
        Ok(())
    }
}
