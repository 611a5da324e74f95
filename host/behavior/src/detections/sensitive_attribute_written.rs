//! `sensitive-attribute-written`: somebody writes an attribute that gives power over an account.
//!
//! Threshold: one change of one of `attributes`, or of the `AdminSDHolder` entry. Not by a computer's own account, which writes its
//! service principals itself. Learning period: none. False positives: setting up services, devices and delegation. MITRE ATT&CK:
//! T1098 (Account Manipulation).

use portcullis_core::{AccountKind, attribute, dn};

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "sensitive-attribute-written",
    group: Group::Changes,
    technique: Some("T1098"),
    score: 60,
    weights: Weights { account: 40, endpoint: 20, application: 0 },
};

settings! { ABOUT;
    /// Attributes.
    attributes: Vec<String> = POWERFUL.map(str::to_owned).to_vec(),
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let attributes = scene.seen.operation.changed()?;
    if scene.seen.account.is_some_and(|account| account.kind == AccountKind::Machine) {
        return None;
    }
    let entry = scene.seen.entry.unwrap_or_default();
    if dn::leaf(entry).is_some_and(|leaf| dn::loosely(&leaf) == "adminsdholder") {
        return Some("It changes AdminSDHolder, whose rights every protected account inherits.".to_owned());
    }
    let is_powerful = |name: &&str| settings.attributes.iter().any(|powerful| attribute::is(name, powerful));
    let name = attributes.iter().map(|written| attribute::name(written)).find(is_powerful)?;
    Some(format!("It writes {name} of {entry}."))
}

/// Keys, delegation, service principals, earlier identities, and what logs in with a certificate or a script.
pub const POWERFUL: [&str; 9] = [
    "msDS-KeyCredentialLink",
    "msDS-AllowedToActOnBehalfOfOtherIdentity",
    "msDS-AllowedToDelegateTo",
    "servicePrincipalName",
    "nTSecurityDescriptor",
    "sIDHistory",
    "altSecurityIdentities",
    "scriptPath",
    "sshPublicKey",
];
