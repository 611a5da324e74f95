//! The challenge page, the console and their server.
//!
//! The only room that knows axum. What it shows and does it asks of the traits of `portcullis-core`; the caller hands it
//! the implementations and the socket ([`serve`]).
//!
//! [`routes`] lists everything that can be asked for, each with the authority that it takes. The router is built from
//! that same list. A handler that acts for a person can only be called with a `SignedIn` value, and one that
//! changes something with a `Confirmed` value; neither can be made but by checking the request.

mod app;
mod assets;
mod challenge;
mod connection;
mod console;
mod error;
mod failure;
mod first;
mod headers;
mod metrics;
mod notify;
mod origin;
mod page;
mod password;
mod routes;
mod seats;
mod server;
mod session;
mod sign_in;
mod throttle;
mod time;
mod words;

pub use error::WebError;
pub use first::{FIRST_LOGIN, ensure_first_administrator};
pub use metrics::{MetricsPage, serve_metrics};
pub use routes::{Authority, Route, routes};
pub use server::{WebOptions, WebState, serve};
