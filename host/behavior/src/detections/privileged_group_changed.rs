//! `privileged-group-changed`: somebody changes who is in a privileged group.
//!
//! Threshold: one change of the members of, or an addition, deletion or renaming of, a group whose DN or common name is among
//! `groups`, or among the directory's `privileged-groups`. Learning period: none. False positives: it is a fact and says nothing of
//! whether it was meant. MITRE ATT&CK: T1098 (Account Manipulation).

use portcullis_core::{Operation, Outcome, attribute, dn};

use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "privileged-group-changed",
    group: Group::Changes,
    technique: Some("T1098"),
    score: 60,
    weights: Weights { account: 40, endpoint: 20, application: 0 },
};

settings! { ABOUT;
    /// DNs or common names.
    groups: Vec<String> = POWERFUL.map(str::to_owned).to_vec(),
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let seen = scene.seen;
    let changes = match seen.operation {
        Operation::Add | Operation::Delete | Operation::Rename => true,
        operation => operation.changed().is_some_and(|attributes| {
            attributes.iter().any(|written| MEMBERS.iter().any(|member| attribute::is(written, member)))
        }),
    };
    let entry = seen.entry.filter(|_| changes && seen.outcome != Outcome::Failure)?;
    let leaf = dn::loosely(&dn::leaf(entry)?);
    let is_it =
        |group: &&String| if group.contains('=') { dn::may_be_same(entry, group) } else { leaf == dn::loosely(group) };
    let group = settings.groups.iter().find(is_it)?;
    Some(format!("It changes the privileged group {group}."))
}

const MEMBERS: [&str; 4] = ["member", "uniqueMember", "memberUid", "nisNetgroupTriple"];

/// Groups of Active Directory that own the domain, or can.
pub const POWERFUL: [&str; 12] = [
    "Domain Admins",
    "Enterprise Admins",
    "Schema Admins",
    "Administrators",
    "Account Operators",
    "Backup Operators",
    "Server Operators",
    "Print Operators",
    "Group Policy Creator Owners",
    "DnsAdmins",
    "Key Admins",
    "Enterprise Key Admins",
];
