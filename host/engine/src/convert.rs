//! Between the words of the core and the words of the contract. The contract is frozen, the core is not: a change of the core
//! ends here.

mod authenticator;
mod identity_provider;
mod policy;

use portcullis_core::{Account, AccountKind, Endpoint};

pub(crate) use authenticator::{connector_error, context, health, start_error, step};
pub(crate) use identity_provider::{batch, cloud_account, enforcement};
pub(crate) use policy::{access, evidence, operation_kind, ruling};

use crate::bindings::policy::portcullis::gateway::types as wit;

pub(crate) fn account(account: &Account) -> wit::Account {
    wit::Account {
        id: account.id.as_str().to_owned(),
        login: account.login.clone(),
        dn: account.dn.clone(),
        mail: account.mail.clone(),
        kind: match account.kind {
            AccountKind::Human => wit::AccountKind::Human,
            AccountKind::Service => wit::AccountKind::Service,
            AccountKind::Machine => wit::AccountKind::Machine,
            AccountKind::Unknown => wit::AccountKind::Unknown,
        },
        privileged: account.privileged,
        cloud_enabled: account.cloud_enabled,
        risk: account.risk,
    }
}

pub(crate) fn endpoint(endpoint: &Endpoint) -> wit::Endpoint {
    wit::Endpoint {
        address: endpoint.address.to_string(),
        name: endpoint.name.clone(),
        site: endpoint.site.clone(),
        shared: endpoint.shared,
        associated: endpoint.associated,
        risk: endpoint.risk,
    }
}
