//! Events, incidents, learned behaviour, challenges and settings in a database.
//!
//! [`Store`] implements every trait of [`portcullis_core::store`] over one SQLite file. No other crate knows SQL.
//!
//! # How a write becomes durable
//!
//! Every write goes through one queue to one thread, the writer. It takes what is waiting, up to 256 writes, and puts all
//! of it into one transaction: the events, what was learned, what happens to incidents, and a row of the hash chain.
//!
//! Nearly all transactions are nothing but events and what is learned from them. Those the writer's thread writes itself,
//! over a connection that it calls directly (`rusqlite`): work is handed to it once and its answers go straight to those who
//! wait. All others go over a second connection, which has a thread of its own (`sqlx`, as everything that reads). Where
//! the log ended after the last transaction the writer knows; that it still ends there is looked up when anybody else has
//! written, another process or the other connection.
//!
//! A transaction of events changes the ends of two tables and no index: what an event is found by otherwise (its identifier, what its
//! account and its endpoint have to do with each other) is brought up to date for some thousand at once, in a transaction that nobody
//! waits for, and whoever asks looks at the events behind that as well. A third thread folds the write-ahead log into the
//! database while the writer goes on.
//!
//! Only after the commit (WAL with `synchronous = FULL`, so after the disk has it) are the callers told. If the
//! transaction fails, each write is tried again in a transaction of its own, so that a bad one harms no other.
//!
//! A page of a cloud service's log is one write, however many events it has. Its cursor, and the ids by which an event that was
//! delivered before is left out, are in the events' own transaction: so each is stored exactly once, whenever the process
//! ends.
//!
//! # What the hash chain proves
//!
//! Each batch of events holds a SHA-256 hash over the batch before it and over its own events. [`Store::verify`]
//! recomputes all of it and names the first event or batch that was changed, removed or added. That finds damage, and
//! it finds tampering by somebody who edits single rows. It does *not* stop somebody who can write the whole file and
//! knows this code: such a person can recompute the chain from the change onwards, or cut off its end, and the result
//! is consistent. Against that there is the [`Head`] that `verify` reports: written down somewhere this person cannot
//! reach, it can be held against the store later with [`Store::still_holds`]. The chain covers events; incidents,
//! learned behaviour, challenges and settings are not part of it.

mod access_log;
mod batch;
mod chain;
mod challenges;
mod checkpoint;
mod cloud_accounts;
mod demotions;
mod direct;
mod events;
mod exclusions;
mod fault;
mod history;
mod identifiers;
mod incidents;
mod learned;
mod memory;
mod numbers;
mod open;
mod outbox;
mod plugin_state;
mod policies;
mod profiles;
mod queue;
mod rows;
mod settings;
mod settle;
mod sources;
mod store;
mod text;
mod verify;
mod work;
mod writer;

pub use chain::Head;
pub use open::StoreOptions;
pub use store::{Health, Store};
pub use verify::{Damage, VerifyReport};
