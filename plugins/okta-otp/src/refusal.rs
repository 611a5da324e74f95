//! Faults in the contract's words.

use okta::Fault;
use okta::person::NotFound;

use crate::contract::exports::portcullis::gateway::authenticator::StartError;
use crate::contract::exports::portcullis::gateway::connector::ConnectorError;

impl From<Fault> for ConnectorError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unauthorized(text) => Self::Unauthorized(text),
            Fault::Forbidden(text) => Self::Forbidden(text),
            Fault::RateLimited(milliseconds) => Self::RateLimited(milliseconds),
            Fault::Unreachable(text) | Fault::Uncertain(text) => Self::Unavailable(text),
            Fault::Protocol(text) => Self::Protocol(text),
            Fault::Misconfigured(text) => Self::Misconfigured(text),
            Fault::NotFound => Self::Protocol("Okta does not know what its own answer named".to_owned()),
            Fault::Refused(code) => Self::Protocol(format!("Okta refused the request ({code})")),
        }
    }
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<NotFound> for StartError {
    fn from(why: NotFound) -> Self {
        match why {
            NotFound::NotEnrolled(why) => Self::NotEnrolled(why),
            NotFound::Fault(fault) => fault.into(),
        }
    }
}
