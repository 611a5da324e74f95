//! Taking accounts out of groups and putting them back, over a connection of its own and as an account that has the right to.
//!
//! What is decided here is decided on what the directory says at that moment, not on what is remembered: who is in the group,
//! through what, and who would be left.

use std::collections::HashSet;

use async_trait::async_trait;
use ldap3::{Mod, Scope, SearchEntry};
use portcullis_core::demotion::{GroupError, Groups, Membership};
use portcullis_core::directory::{Directory as _, DirectoryError};
use portcullis_core::{AccountId, Group, Secret};

use super::find::text;
use super::link::{Link, Searched};
use super::{Lookup, LookupOptions, Schema, cache, dn, groups};
use crate::filter::escape;

const ANY: &str = "(objectClass=*)";
/// Members of a vital group that are looked at in search of one who is left.
const MOST_LOOKED_AT: usize = 200;

/// Result codes of RFC 4511, appendix A, and of Active Directory where it has its own idea of them.
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(super) const VALUE_EXISTS: u32 = 20;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
    /// What Active Directory says where there is no such member, among much else.
    pub(super) const UNWILLING_TO_PERFORM: u32 = 53;
    pub(super) const OBJECT_CLASS_VIOLATION: u32 = 65;
    /// What Active Directory says to a member that is one already.
    pub(super) const ENTRY_EXISTS: u32 = 68;
}

/// Changes groups of the directory.
pub struct Members {
    lookup: Lookup,
    options: LookupOptions,
    link: Link,
    vital: Vec<String>,
}

impl Members {
    /// Changes groups as the account of this name. `vital` are groups, by DN or common name, that have to keep a member.
    #[must_use]
    pub fn new(lookup: &Lookup, bind_name: String, password: Secret, vital: Vec<String>) -> Self {
        let options = LookupOptions { bind_name, password, ..lookup.0.options.clone() };
        Self { lookup: lookup.clone(), link: Link::new(&options), options, vital }
    }

    /// Tries the account, and looks for the vital groups.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub async fn check(&self) -> Result<(), GroupError> {
        let base = self.link.search(&self.options.base, Scope::Base, ANY, &["objectClass"], 2).await;
        match base.map_err(|error| of_directory(&error))? {
            Searched::Entries(entries) if !entries.is_empty() => {}
            _ => return Err(refused(format!("{} may not read {}", self.options.bind_name, self.options.base))),
        }
        for group in &self.vital {
            self.group(group).await?;
        }
        Ok(())
    }

    /// The entry of the one group that a DN or a common name stands for.
    async fn group(&self, name: &str) -> Result<SearchEntry, GroupError> {
        let wanted = ["cn", "gidNumber"];
        let found = if name.contains('=') {
            self.search(name, Scope::Base, ANY, &wanted, 2).await?
        } else {
            let class = match self.options.schema {
                Schema::Rfc2307 => {
                    "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
                }
                Schema::ActiveDirectory => "(objectClass=group)",
            };
            let mut filter = format!("(&{class}(cn=");
            escape(&mut filter, name.as_bytes());
            filter.push_str("))");
            let base = self.options.group_base.as_ref().unwrap_or(&self.options.base);
            self.search(base, Scope::Subtree, &filter, &wanted, 2).await?
        };
        only(found).map_err(|count| match count {
            0 => no_place(format!("there is no group {name:?}, or {} may not read it", self.options.bind_name)),
            _ => no_place(format!("there is more than one group {name:?}; name it by its DN")),
        })
    }

    /// The entry of an account as the look-up sees it, by the id that stays the same when it is renamed.
    async fn account(&self, account: &AccountId) -> Result<SearchEntry, GroupError> {
        let id = account.as_str();
        let (base, scope, filter) = match (self.options.schema, id.strip_prefix("dn:")) {
            (_, Some(dn)) => (dn.to_owned(), Scope::Base, ANY.to_owned()),
            (Schema::Rfc2307, None) => (self.options.base.clone(), Scope::Subtree, equals("entryUUID", id)),
            (Schema::ActiveDirectory, None) => (format!("<GUID={id}>"), Scope::Base, ANY.to_owned()),
        };
        let wanted = ["objectClass", "uid", "gidNumber", "objectSid", "primaryGroupID"];
        let found = entries(self.lookup.0.link.search(&base, scope, &filter, &wanted, 2).await)?;
        only(found).map_err(|_| no_place("the account is not in the directory any more".to_owned()))
    }

    async fn search(
        &self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        limit: i32,
    ) -> Result<Vec<SearchEntry>, GroupError> {
        entries(self.link.search(base, scope, filter, attributes, limit).await)
    }

    /// The attributes and values by which the group itself names the account.
    async fn places(&self, group: &str, account: &SearchEntry) -> Result<Vec<Membership>, GroupError> {
        let mut places = Vec::new();
        for attribute in attributes(self.options.schema) {
            let Some(value) = value_of(attribute, account) else { continue };
            if !self.search(group, Scope::Base, &equals(attribute, &value), &["cn"], 2).await?.is_empty() {
                places.push(Membership { group: group.to_owned(), attribute: (*attribute).to_owned(), value });
            }
        }
        Ok(places)
    }

    /// The one place that can be taken away so that the account is out of the group, with what it would lose beside it: the
    /// groups above that it is in by this place alone.
    async fn place(&self, group: &SearchEntry, account: &SearchEntry) -> Result<(Membership, Vec<Group>), GroupError> {
        let of_group = |known: &Group| dn::is_same(&known.dn, &group.dn);
        let (link, options) = (&self.lookup.0.link, &self.lookup.0.options);
        let mut all = groups::of(link, options, account).await.map_err(|error| of_directory(&error))?;
        let rest = groups::without(link, options, account, &group.dn).await.map_err(|error| of_directory(&error))?;
        let is_indirect = rest.iter().any(of_group) || self.is_primary(group, account);
        let group = &group.dn;
        match (self.places(group, account).await?.as_slice(), is_indirect) {
            ([place], false) => {
                all.retain(|known| !of_group(known) && !rest.contains(known));
                Ok((place.clone(), all))
            }
            ([], true) => {
                Err(no_place(format!("it is in {group} only through another group, or by its primary group")))
            }
            ([], false) if all.iter().any(of_group) => Err(no_place(format!(
                "the look-up sees it in {group}, but {} may not read its members",
                self.options.bind_name
            ))),
            ([], false) => Err(GroupError::NotMember(group.clone())),
            ([_], true) => {
                Err(refused(format!("it is in {group} also through another group, or by its primary group")))
            }
            ([one, other, ..], _) => Err(refused(format!(
                "it is in {group} by {} and by {}; take one of them out by hand",
                one.attribute, other.attribute
            ))),
        }
    }

    /// Whether the group is the account's primary one (RFC 2307, section 4). What Active Directory has of the kind is found with
    /// its groups.
    fn is_primary(&self, group: &SearchEntry, account: &SearchEntry) -> bool {
        let number = |entry| text(entry, "gidNumber").filter(|_| self.options.schema == Schema::Rfc2307);
        number(group).is_some_and(|of_group| number(account) == Some(of_group))
    }

    /// The gateway must not take its own rights away.
    async fn is_own(&self, account: &AccountId, entry: &SearchEntry) -> Result<bool, GroupError> {
        for own in [&self.options.bind_name, &self.lookup.0.options.bind_name] {
            if dn::is_same(own, &entry.dn) {
                return Ok(true);
            }
            let found = self.lookup.find(own).await.map_err(|error| of_directory(&error))?;
            if found.is_some_and(|found| found.account.id == *account) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_vital(&self, name: &str, group: &str) -> bool {
        self.vital.iter().any(|vital| {
            if vital.contains('=') { dn::is_same(vital, group) } else { cache::key(name) == cache::key(vital) }
        })
    }

    /// Whether somebody else is in the group who could do what it is for: a person or a program whose entry is there and,
    /// with Active Directory, not disabled. Groups in it do not count.
    async fn has_another(&self, group: &str, account: &SearchEntry) -> Result<bool, GroupError> {
        let known = attributes(self.options.schema);
        let found = self.search(group, Scope::Base, ANY, known, 2).await?;
        let own = text(account, "uid").map(cache::key);
        let mut members = HashSet::new();
        for entry in &found {
            for (name, values) in &entry.attrs {
                // Active Directory gives many values in ranges (`member;range=0-1499`, MS-ADTS, section 3.1.1.3.1.3.3).
                let name = name.split(';').next().unwrap_or(name);
                let is_dn = !name.eq_ignore_ascii_case("memberUid");
                let is_own = |value: &String| !is_dn && own.as_ref() == Some(&cache::key(value));
                if known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    members.extend(values.iter().filter(|value| !is_own(value)).map(|value| (is_dn, value.clone())));
                }
            }
        }
        for (is_dn, value) in members.iter().take(MOST_LOOKED_AT) {
            let wanted = ["objectClass", "userAccountControl"];
            let entries = if *is_dn {
                self.search(value, Scope::Base, ANY, &wanted, 2).await?
            } else {
                self.search(&self.options.base, Scope::Subtree, &equals("uid", value), &wanted, 2).await?
            };
            if entries.iter().any(|entry| !dn::is_same(&entry.dn, &account.dn) && can_act(entry)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses to take the last account out of a vital group. Whoever else is in the group itself is in those above it in the
    /// same way.
    async fn check_vital(
        &self,
        group: &SearchEntry,
        above: Vec<Group>,
        account: &SearchEntry,
    ) -> Result<(), GroupError> {
        let own = Group { name: text(group, "cn").unwrap_or_default().to_owned(), dn: group.dn.clone() };
        let mut lost: Vec<Group> = std::iter::once(own).chain(above).collect();
        lost.retain(|group| self.is_vital(&group.name, &group.dn));
        if lost.is_empty() || self.has_another(&group.dn, account).await? {
            return Ok(());
        }
        for Group { dn, .. } in lost {
            if dn::is_same(&dn, &group.dn) || !self.has_another(&dn, account).await? {
                return Err(refused(format!("it is the last account in {dn}, which is vital")));
            }
        }
        Ok(())
    }

    /// Changes one value. A request that was sent is not sent again: whoever asks looks first what came of it.
    async fn modify(&self, group: &str, change: Mod<String>) -> Result<(u32, String), GroupError> {
        let result = self.link.modify(group, change).await.map_err(|error| of_directory(&error))?;
        match result.rc {
            code::BUSY | code::UNAVAILABLE => Err(GroupError::Unreachable(result.text)),
            code => Ok((code, result.text)),
        }
    }
}

#[async_trait]
impl Groups for Members {
    async fn membership(&self, group: &str, account: &AccountId) -> Result<Membership, GroupError> {
        let (group, entry) = (self.group(group).await?, self.account(account).await?);
        if self.is_own(account, &entry).await? {
            return Err(refused("it is one of the gateway's own accounts".to_owned()));
        }
        let (place, above) = self.place(&group, &entry).await?;
        self.check_vital(&group, above, &entry).await?;
        Ok(place)
    }

    async fn leave(&self, membership: &Membership, account: &AccountId) -> Result<(), GroupError> {
        let Membership { group, attribute, value } = membership;
        let change = Mod::Delete(attribute.clone(), HashSet::from([value.clone()]));
        let (code, said) = self.modify(group, change).await?;
        self.lookup.forget(account);
        if matches!(code, code::NO_SUCH_ATTRIBUTE | code::UNWILLING_TO_PERFORM) {
            let entry = self.account(account).await?;
            let places = self.places(group, &entry).await?;
            if places.is_empty() {
                return Ok(());
            }
            if !places.contains(membership) {
                return Err(GroupError::Unreachable(format!("{group} names it otherwise now")));
            }
        }
        match code {
            code::SUCCESS => Ok(()),
            code::NO_SUCH_OBJECT => Err(refused(format!("{group} is not there any more"))),
            code::OBJECT_CLASS_VIOLATION => {
                Err(refused(format!("the directory does not let the last member go out of {group} ({said})")))
            }
            code => Err(refused(format!("the directory does not take it out of {group}: result {code}: {said}"))),
        }
    }

    async fn join(&self, membership: &Membership, account: &AccountId) -> Result<(), GroupError> {
        let Membership { group, attribute, .. } = membership;
        let entry = self.account(account).await?;
        let value = value_of(attribute, &entry)
            .ok_or_else(|| refused(format!("{} has no name that {attribute} takes", entry.dn)))?;
        let (code, said) = self.modify(group, Mod::Add(attribute.clone(), HashSet::from([value]))).await?;
        self.lookup.forget(account);
        match code {
            code::SUCCESS | code::VALUE_EXISTS | code::ENTRY_EXISTS => Ok(()),
            code::NO_SUCH_OBJECT => Err(refused(format!("{group} is not there any more"))),
            code => Err(refused(format!("the directory does not put it back into {group}: result {code}: {said}"))),
        }
    }
}

fn equals(attribute: &str, value: &str) -> String {
    let mut filter = format!("({attribute}=");
    escape(&mut filter, value.as_bytes());
    filter.push(')');
    filter
}

fn entries(searched: Result<Searched, DirectoryError>) -> Result<Vec<SearchEntry>, GroupError> {
    match searched {
        Ok(Searched::Entries(entries)) => Ok(entries),
        Ok(Searched::NoBase) => Ok(Vec::new()),
        Err(error) => Err(of_directory(&error)),
    }
}

/// Attributes by which a group names its members (RFC 4519, sections 2.17 and 2.40; RFC 2307, section 4).
fn attributes(schema: Schema) -> &'static [&'static str] {
    match schema {
        Schema::Rfc2307 => &["member", "uniqueMember", "memberUid"],
        Schema::ActiveDirectory => &["member"],
    }
}

/// What a group holds of an account in this attribute.
fn value_of(attribute: &str, account: &SearchEntry) -> Option<String> {
    if attribute.eq_ignore_ascii_case("memberUid") {
        text(account, "uid").map(ToOwned::to_owned)
    } else {
        Some(account.dn.clone())
    }
}

/// ADS_UF_ACCOUNTDISABLE (MS-ADTS, section 2.2.16).
const DISABLED: u32 = 0x2;

fn can_act(entry: &SearchEntry) -> bool {
    let classes = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case("objectClass"));
    let is_group = classes.is_some_and(|(_, classes)| {
        classes.iter().any(|class| {
            ["group", "groupOfNames", "groupOfUniqueNames", "posixGroup"].iter().any(|g| g.eq_ignore_ascii_case(class))
        })
    });
    let control: u32 = text(entry, "userAccountControl").and_then(|text| text.parse().ok()).unwrap_or(0);
    !is_group && control & DISABLED == 0
}

/// The one entry; how many there are where it is not one.
fn only(mut entries: Vec<SearchEntry>) -> Result<SearchEntry, usize> {
    match (entries.pop(), entries.len()) {
        (Some(entry), 0) => Ok(entry),
        (None, _) => Err(0),
        (Some(_), rest) => Err(rest + 1),
    }
}

fn no_place(why: String) -> GroupError {
    GroupError::NoPlace(why)
}

fn refused(why: String) -> GroupError {
    GroupError::Refused(why)
}

fn of_directory(error: &DirectoryError) -> GroupError {
    match error {
        DirectoryError::Unreachable(why) => GroupError::Unreachable(why.clone()),
        // Rights and passwords are repaired by people, while this waits.
        DirectoryError::Refused(_) => GroupError::Unreachable(error.to_string()),
    }
}
