//! For whom detections are silent: as the configuration has it, and as people have said while the gateway runs.

use std::net::IpAddr;

use ipnet::IpNet;
use portcullis_core::dn;
use portcullis_core::exclusion::Scope;
use serde::Deserialize;

use super::{About, Common};
use crate::Settings;
use crate::seen::Seen;

/// Exclusion of accounts and networks from some detections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Exclusion {
    /// Names of detections and of groups; `*` for all.
    pub detections: Vec<String>,
    /// Logins or DNs; empty for any.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// Networks; empty for any.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Why, for whoever reads it.
    #[serde(default)]
    pub reason: String,
}

impl Exclusion {
    fn covers(&self, about: &About, seen: &Seen<'_>) -> bool {
        let is_meant = |name: &String| name == "*" || name == about.name || name == about.group.as_str();
        self.detections.iter().any(is_meant)
            && (self.accounts.is_empty() || names_account(&self.accounts, seen))
            && (self.networks.is_empty() || holds(&self.networks, seen.address))
    }
}

/// One of the names is the account's login, DN or id, or what was typed.
pub(crate) fn names_account(names: &[String], seen: &Seen<'_>) -> bool {
    let own = seen.account.map(|account| (account.login.as_str(), account.id.as_str(), account.dn.as_deref()));
    names.iter().any(|name| {
        if name.contains('=') {
            own.and_then(|(.., dn)| dn)
                .into_iter()
                .chain(seen.entry.filter(|_| seen.is_login()))
                .any(|dn| dn.eq_ignore_ascii_case(name) || dn::is_same(dn, name))
        } else {
            own.is_some_and(|(login, id, _)| login.eq_ignore_ascii_case(name) || id == name)
        }
    })
}

fn holds(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
}

/// Whether somebody wants to be told of it.
pub(super) fn is_wanted(about: &About, own: &impl Common, seen: &Seen<'_>, settings: &Settings) -> bool {
    own.enabled()
        && !names_account(own.except_accounts(), seen)
        && !holds(own.except_networks(), seen.address)
        && !settings.exclusions.iter().any(|exclusion| exclusion.covers(about, seen))
        && !settings.made.iter().any(|scope| is_covered(scope, about, seen))
}

fn is_covered(scope: &Scope, about: &About, seen: &Seen<'_>) -> bool {
    scope.covers([about.name, about.group.as_str()], seen.account.map(|account| &account.id), seen.address, seen.at)
}
