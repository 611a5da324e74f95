//! `secret-attributes-read`: somebody asks for attributes that hold secrets.
//!
//! Threshold: one search that asks for, or filters by, one of `attributes`, from a machine that has not asked for it for a day.
//! Learning period: none. False positives: the tools that manage local administrators' passwords, until they have done it for a day;
//! applications that compare password hashes themselves. MITRE ATT&CK: T1003 (OS Credential Dumping).

use portcullis_core::{Operation, attribute};

use crate::filter::comparisons;
use crate::profile::window;
use crate::seen::short;

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "secret-attributes-read",
    group: Group::Reconnaissance,
    technique: Some("T1003"),
    score: 70,
    weights: Weights { account: 50, endpoint: 40, application: 0 },
};

settings! { ABOUT;
    /// Attributes that hold secrets.
    attributes: Vec<String> = SECRETS.map(str::to_owned).to_vec(),
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let Operation::Search(Some(search)) = scene.seen.operation else { return None };
    let is_secret = |name: &str| settings.attributes.iter().any(|secret| attribute::is(name, secret));
    let asked = search.attributes.iter().map(String::as_str);
    let name = asked.chain(comparisons(&search.filter).map(|one| one.attribute)).find(|name| is_secret(name))?;
    let name = attribute::name(name);
    let usual = scene.endpoint.and_then(|endpoint| endpoint.attributes.get(&short(name)));
    let now = window::seconds(scene.seen.at);
    let is_usual = usual.is_some_and(|habit| now.saturating_sub(habit.first) >= 86_400 && habit.count >= 5);
    (!is_usual).then(|| format!("It asks for {name}, which holds a secret."))
}

/// Local administrators' passwords (both generations), managed service accounts, keys, and passwords themselves.
pub const SECRETS: [&str; 12] = [
    "ms-Mcs-AdmPwd",
    "msLAPS-Password",
    "msLAPS-EncryptedPassword",
    "msLAPS-EncryptedPasswordHistory",
    "msLAPS-EncryptedDSRMPassword",
    "msDS-ManagedPassword",
    "msDS-KeyCredentialLink",
    "unicodePwd",
    "supplementalCredentials",
    "userPassword",
    "sambaNTPassword",
    "krbPrincipalKey",
];
