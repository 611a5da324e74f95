//! The groups that an account is in, those reached through other groups included.
//!
//! Either all of them or an error: a policy must not miss a group because there were too many.

use std::collections::{HashMap, HashSet};

use ldap3::{Scope, SearchEntry};
use portcullis_core::Group;
use portcullis_core::directory::DirectoryError;

use super::find::{octets, text};
use super::link::{Link, Searched};
use super::{LookupOptions, Schema, cache, dn};
use crate::filter::escape;

/// Names that one filter asks for.
const BATCH: usize = 50;
/// Active Directory's matching rule in chain (MS-ADTS, section 3.1.1.3.4.4.3).
const IN_CHAIN: &str = "member:1.2.840.113556.1.4.1941:";

pub(super) async fn of(
    link: &Link,
    options: &LookupOptions,
    entry: &SearchEntry,
) -> Result<Vec<Group>, DirectoryError> {
    let mut found = all(link, options, entry, None).await?;
    found.sort();
    Ok(found)
}

/// The groups that the account would be in if this one did not name it. This one is among them where the account is in it
/// through another group, or by its primary group.
pub(super) async fn without(
    link: &Link,
    options: &LookupOptions,
    entry: &SearchEntry,
    group: &str,
) -> Result<Vec<Group>, DirectoryError> {
    all(link, options, entry, Some(group)).await
}

async fn all(
    link: &Link,
    options: &LookupOptions,
    entry: &SearchEntry,
    aside: Option<&str>,
) -> Result<Vec<Group>, DirectoryError> {
    match options.schema {
        Schema::Rfc2307 => upwards(link, options, entry, aside).await,
        Schema::ActiveDirectory => in_chain(link, options, entry, aside).await,
    }
}

/// Level by level, each group once, however they contain each other.
async fn upwards(
    link: &Link,
    options: &LookupOptions,
    entry: &SearchEntry,
    aside: Option<&str>,
) -> Result<Vec<Group>, DirectoryError> {
    let mut seen = HashSet::new();
    let mut groups = Vec::new();
    let mut level = vec![entry.dn.clone()];
    let mut member_uid = text(entry, "uid");
    for depth in 0..=options.group_depth {
        let is_aside = |group: &Group| depth == 0 && aside.is_some_and(|aside| dn::is_same(aside, &group.dn));
        let mut next = Vec::new();
        for names in level.chunks(BATCH) {
            let filter = holding(names, member_uid.take());
            for group in search(link, options, &filter).await? {
                if !is_aside(&group) && seen.insert(cache::key(&group.dn)) {
                    next.push(group.dn.clone());
                    groups.push(group);
                }
            }
            bounded(options, groups.len())?;
        }
        if next.is_empty() {
            return Ok(groups);
        }
        level = next;
    }
    Err(DirectoryError::Unreachable(format!(
        "{} is in groups nested more than {} deep; raise group_depth",
        entry.dn, options.group_depth
    )))
}

/// Groups that hold one of these names. `member` is indexed wherever groups are used for access control. The other two
/// attributes often are not, and one unindexed alternative makes a directory look at all its entries; with the object class
/// beside it, which always is indexed, it looks at the groups of that kind (RFC 4519, sections 3.6 and 2.40; RFC 2307,
/// section 4).
fn holding(names: &[String], member_uid: Option<&str>) -> String {
    let alternatives = |filter: &mut String, attribute: &str| {
        for name in names {
            equals(filter, attribute, name);
        }
    };
    let mut filter = "(|".to_owned();
    alternatives(&mut filter, "member");
    filter.push_str("(&(objectClass=groupOfUniqueNames)(|");
    alternatives(&mut filter, "uniqueMember");
    filter.push_str("))");
    if let Some(uid) = member_uid {
        filter.push_str("(&(objectClass=posixGroup)");
        equals(&mut filter, "memberUid", uid);
        filter.push(')');
    }
    filter.push(')');
    filter
}

fn equals(filter: &mut String, attribute: &str, value: &str) {
    filter.push('(');
    filter.push_str(attribute);
    filter.push('=');
    escape(filter, value.as_bytes());
    filter.push(')');
}

/// The directory follows the chain itself; only the primary group, which is no member's attribute, needs a second step.
async fn in_chain(
    link: &Link,
    options: &LookupOptions,
    entry: &SearchEntry,
    aside: Option<&str>,
) -> Result<Vec<Group>, DirectoryError> {
    let mut below = Vec::new();
    if let Some(sid) = primary_group(entry) {
        below = search(link, options, &format!("(objectSid={sid})")).await?;
    }
    let mut names = Vec::new();
    match aside {
        None => names.push(entry.dn.clone()),
        // The chain of the account's own name goes through the group that is set aside; those of its other groups do not.
        Some(aside) => {
            let mut filter = String::new();
            equals(&mut filter, "member", &entry.dn);
            let own = search(link, options, &filter).await?;
            below.extend(own.into_iter().filter(|group| !dn::is_same(aside, &group.dn)));
        }
    }
    names.extend(below.iter().map(|group| group.dn.clone()));
    let mut groups: HashMap<String, Group> = below.into_iter().map(|group| (cache::key(&group.dn), group)).collect();
    for name in names {
        let mut filter = format!("({IN_CHAIN}=");
        escape(&mut filter, name.as_bytes());
        filter.push(')');
        let above = search(link, options, &filter).await?;
        groups.extend(above.into_iter().map(|group| (cache::key(&group.dn), group)));
        bounded(options, groups.len())?;
    }
    Ok(groups.into_values().collect())
}

/// The SID of the primary group: the account's own with another last part (MS-ADTS, section 3.1.1.1.3; MS-DTYP, 2.4.2).
fn primary_group(entry: &SearchEntry) -> Option<String> {
    let group: u32 = text(entry, "primaryGroupID")?.parse().ok()?;
    let sid = octets(entry, "objectSid")?;
    let (&[revision, count, ref authority @ ..], parts) = sid.split_first_chunk::<8>()?;
    let domain = usize::from(count).checked_sub(1)?;
    let authority = authority.iter().fold(0_u64, |sum, &octet| (sum << 8) | u64::from(octet));
    let mut out = format!("S-{revision}-{authority}");
    let mut parts = parts.chunks_exact(4);
    for _ in 0..domain {
        let part: [u8; 4] = parts.next()?.try_into().ok()?;
        out.push_str(&format!("-{}", u32::from_le_bytes(part)));
    }
    out.push_str(&format!("-{group}"));
    Some(out)
}

async fn search(link: &Link, options: &LookupOptions, filter: &str) -> Result<Vec<Group>, DirectoryError> {
    let base = options.group_base.as_ref().unwrap_or(&options.base);
    match link.search(base, Scope::Subtree, filter, &["cn"], 0).await? {
        Searched::Entries(entries) => Ok(entries.into_iter().map(group).collect()),
        // Without the base nobody can say which groups there are.
        Searched::NoBase => Err(DirectoryError::Refused(format!("there is no entry {base:?} to search groups below"))),
    }
}

fn group(entry: SearchEntry) -> Group {
    let name = text(&entry, "cn").map(ToOwned::to_owned).or_else(|| dn::leaf(&entry.dn));
    Group { name: name.unwrap_or_else(|| entry.dn.clone()), dn: entry.dn }
}

fn bounded(options: &LookupOptions, count: usize) -> Result<(), DirectoryError> {
    if count <= options.group_count {
        return Ok(());
    }
    Err(DirectoryError::Unreachable(format!("an account is in more than {count} groups; raise group_count")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_group_s_sid_is_that_of_the_domain_with_its_own_end() {
        let mut sid = vec![1, 5, 0, 0, 0, 0, 0, 5];
        for part in [21_u32, 1_000, 2_000, 3_000, 1_105] {
            sid.extend_from_slice(&part.to_le_bytes());
        }
        let entry = SearchEntry {
            dn: String::new(),
            attrs: HashMap::from([("primaryGroupID".to_owned(), vec!["512".to_owned()])]),
            bin_attrs: HashMap::from([("objectSid".to_owned(), vec![sid])]),
        };
        assert_eq!(primary_group(&entry).as_deref(), Some("S-1-5-21-1000-2000-3000-512"));
    }

    #[test]
    fn names_cannot_break_out_of_the_filter() {
        assert_eq!(
            holding(&["cn=a\\2a(b".to_owned()], Some("u*")),
            "(|(member=cn=a\\5c2a\\28b)(&(objectClass=groupOfUniqueNames)(|(uniqueMember=cn=a\\5c2a\\28b)))\
             (&(objectClass=posixGroup)(memberUid=u\\2a)))"
        );
    }
}
