//! The connector as the gateway sees it.

use std::cell::RefCell;
use std::rc::Rc;

use okta::Gateway;

use crate::contract::exports::portcullis::gateway::authenticator::{self, Context, StartError, Step};
use crate::contract::exports::portcullis::gateway::connector::{self, ConnectorError, Health};
use crate::contract::exports::portcullis::gateway::plugin::{self, Manifest, Problem};
use crate::settings::{SCHEMA, Settings};
use crate::{health, push};

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// What the contract asks for.
pub(crate) struct Component;

fn settings() -> Result<Rc<Settings>, ConnectorError> {
    let settings = SETTINGS.with_borrow(Clone::clone);
    settings.ok_or_else(|| ConnectorError::Misconfigured("the connector has not been given its settings".to_owned()))
}

impl plugin::Guest for Component {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            settings_schema: SCHEMA.to_owned(),
        }
    }

    fn configure(text: String) -> Result<(), Vec<Problem>> {
        let problem = |problem: settings::Problem| Problem { setting: problem.setting, message: problem.message };
        let settings =
            Settings::parse(&text).map_err(|problems| problems.into_iter().map(problem).collect::<Vec<_>>())?;
        SETTINGS.set(Some(Rc::new(settings)));
        Ok(())
    }
}

impl connector::Guest for Component {
    fn check() -> Result<Health, ConnectorError> {
        health::check(&Gateway, &*settings()?)
    }
}

impl authenticator::Guest for Component {
    fn start(context: Context) -> Result<Step, StartError> {
        push::start(&Gateway, &*settings().map_err(StartError::Failed)?, &context)
    }

    fn poll(handle: String) -> Result<Step, ConnectorError> {
        push::poll(&Gateway, &*settings()?, &handle)
    }

    fn verify(_handle: String, _code: String) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Misconfigured("a push is answered on the phone; it takes no code".to_owned()))
    }

    fn choose(_handle: String, _choice: String) -> Result<Step, ConnectorError> {
        Err(ConnectorError::Misconfigured(
            "a push is answered on the phone that it was sent to; there is no choice".to_owned(),
        ))
    }

    fn cancel(handle: String) -> Result<(), ConnectorError> {
        push::cancel(&Gateway, &*settings()?, &handle)
    }
}
