//! Who binds, as far as a bind itself tells.

use portcullis_core::gate::{Asked, Claim, Connection};
use portcullis_core::{BindMethod, Operation, Outcome};

use crate::decode::Bind;

/// A bind, as the gate is asked about it.
pub(super) fn bind_asked(
    connection: &Connection,
    bind: &Bind,
    claim: Claim,
    outcome: Outcome,
    directory_result: Option<u32>,
) -> Asked {
    Asked {
        connection: connection.clone(),
        claim,
        operation: Operation::Bind(bind.method.clone()),
        entry: Some(bind.name.clone()).filter(|name| !name.is_empty()),
        outcome,
        directory_result,
        code: bind.code.clone(),
        tried: bind.tried,
    }
}

/// What a bind said about who asks; not proven as long as the directory has not said success.
pub(super) fn said(bind: &Bind) -> Claim {
    match &bind.method {
        BindMethod::Anonymous => Claim::Anonymous,
        // A password without a name: somebody, but who would be the directory's to say.
        BindMethod::Simple if bind.name.is_empty() => Claim::Unreadable,
        BindMethod::Simple => Claim::Name(bind.name.clone()),
        BindMethod::Sasl(_) | BindMethod::OpaqueSasl(_) => bind.step.claim.clone().unwrap_or(Claim::Unreadable),
    }
}

/// The SASL mechanism; nothing with other methods.
pub(super) fn mechanism(bind: &Bind) -> &str {
    match &bind.method {
        BindMethod::Sasl(mechanism) | BindMethod::OpaqueSasl(mechanism) => mechanism,
        BindMethod::Anonymous | BindMethod::Simple => "",
    }
}

/// Only the directory can say who this is: SASL names mean what it maps them to, and names that are no DNs (Active
/// Directory takes half a dozen forms) mean what it finds them to mean.
pub(super) fn is_named_by_directory(bind: &Bind) -> bool {
    match &bind.method {
        BindMethod::Anonymous => false,
        BindMethod::Simple => !bind.empty_password && !bind.name.is_empty() && !bind.name.contains('='),
        BindMethod::Sasl(_) | BindMethod::OpaqueSasl(_) => true,
    }
}
