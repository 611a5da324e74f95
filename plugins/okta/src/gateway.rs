//! The gateway behind the trait.

use crate::Host;
use crate::contract::portcullis::gateway::{clock, http, log};

/// The gateway that this component runs in.
pub struct Gateway;

impl Host for Gateway {
    fn send(&self, request: http::Request) -> Result<http::Response, http::HttpError> {
        http::send(&request)
    }

    fn now(&self) -> u64 {
        clock::now()
    }

    fn log(&self, level: log::Level, message: &str) {
        log::write(level, message);
    }
}
