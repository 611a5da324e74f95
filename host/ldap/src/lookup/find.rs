//! From a name to an account.

use std::collections::BTreeMap;
use std::sync::Arc;

use ldap3::{Scope, SearchEntry};
use portcullis_core::directory::{DirectoryAccount, DirectoryError, MOST_WITH_VALUE};
use portcullis_core::{Account, AccountFacts, AccountId, AccountKind, Group};
use uuid::Uuid;

use super::domains::Known;
use super::forms::{Form, forms};
use super::link::{Link, Searched};
use super::{CheckError, LookupOptions, Schema, cache, dn, groups};
use crate::filter::escape;

/// Octets of the longest name that is looked for. No directory has longer ones.
pub(super) const LONGEST_NAME: usize = 4096;

const ANY: &str = "(objectClass=*)";

impl Schema {
    fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Rfc2307 => &[
                "objectClass",
                "entryUUID",
                "uid",
                "mail",
                "departmentNumber",
                "department",
                "title",
                "ou",
                "cn",
                "displayName",
                "employeeType",
            ],
            Self::ActiveDirectory => &[
                "objectClass",
                "objectGUID",
                "objectSid",
                "primaryGroupID",
                "sAMAccountName",
                "userPrincipalName",
                "mail",
                "department",
                "title",
                "cn",
                "displayName",
                "userAccountControl",
            ],
        }
    }

    fn id_attribute(self) -> &'static str {
        match self {
            Self::Rfc2307 => "entryUUID",
            Self::ActiveDirectory => "objectGUID",
        }
    }

    fn person(self) -> &'static str {
        match self {
            Self::Rfc2307 => "(objectClass=person)",
            Self::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
        }
    }
}

/// Finds the account behind a name.
pub(super) async fn find(
    link: &Link,
    options: &LookupOptions,
    domains: &Known,
    name: &str,
) -> Result<Option<DirectoryAccount>, DirectoryError> {
    let Some(entry) = entry(link, options, domains, name).await? else { return Ok(None) };
    let groups = groups::of(link, options, &entry).await?;
    Ok(Some(account(options, &entry, groups)))
}

/// Finds the accounts in which an attribute has a value. An attribute that the service account may not read, or that is none,
/// finds nobody.
pub(super) async fn with_value(
    link: &Link,
    options: &LookupOptions,
    attribute: &str,
    value: &str,
) -> Result<Vec<DirectoryAccount>, DirectoryError> {
    if attribute.is_empty() || !attribute.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';'))
    {
        return Ok(Vec::new());
    }
    let mut wanted = options.schema.attributes().to_vec();
    wanted.extend(options.attributes.iter().map(String::as_str));
    let class = match options.schema {
        Schema::Rfc2307 => "*",
        Schema::ActiveDirectory => "user",
    };
    let mut filter = format!("(&(objectClass={class})({attribute}=");
    escape(&mut filter, value.trim().as_bytes());
    filter.push_str("))");
    let most = i32::try_from(MOST_WITH_VALUE).unwrap_or(i32::MAX);
    let found = link.search(&options.base, Scope::Subtree, &filter, &wanted, most).await?;
    let Searched::Entries(entries) = found else { return Ok(Vec::new()) };
    let mut accounts = Vec::with_capacity(entries.len());
    for entry in &entries {
        accounts.push(account(options, entry, groups::of(link, options, entry).await?));
    }
    Ok(accounts)
}

async fn entry(
    link: &Link,
    options: &LookupOptions,
    domains: &Known,
    name: &str,
) -> Result<Option<SearchEntry>, DirectoryError> {
    let mut wanted = options.schema.attributes().to_vec();
    wanted.extend(options.attributes.iter().map(String::as_str));
    // The directory reads DNs itself; nothing here could read them differently.
    if name.contains('=') {
        let found = single(link.search(name, Scope::Base, ANY, &wanted, 2).await?).unwrap_or(None);
        // Active Directory also takes display names, and one of them may look like a DN. Not like one of these, by which the
        // directory itself names an entry (MS-ADTS, section 3.1.1.3.1.2.4).
        if found.is_some() || options.schema == Schema::Rfc2307 || name.trim_start().starts_with('<') {
            return Ok(found);
        }
    }
    let domains = match options.schema {
        Schema::ActiveDirectory if name.contains(['\\', '@']) => domains.get(link, options).await?,
        _ => Arc::default(),
    };
    for form in forms(options.schema, name, &domains, &options.base) {
        let found = match form {
            Form::Filter(filter) => single(link.search(&options.base, Scope::Subtree, &filter, &wanted, 2).await?),
            Form::Within(base, filter) => single(link.search(&base, Scope::Subtree, &filter, &wanted, 2).await?),
            Form::Canonical(filter) => by_canonical_name(link, options, name, &filter, &wanted).await?,
        };
        match found {
            Some(None) => {}
            Some(found) => return Ok(found),
            // Two accounts: none of them is meant for certain.
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The entry with this canonical name, as [`single`] tells it. No filter can ask for `canonicalName`, which is computed, so
/// all entries with the same last part are asked for theirs.
async fn by_canonical_name(
    link: &Link,
    options: &LookupOptions,
    name: &str,
    filter: &str,
    wanted: &[&str],
) -> Result<Option<Option<SearchEntry>>, DirectoryError> {
    let mut wanted = wanted.to_vec();
    wanted.push("canonicalName");
    let mut found = link.search(&options.base, Scope::Subtree, filter, &wanted, 0).await?;
    // The form for which a line feed stands for the last slash means the same.
    let folded = |name: &str| cache::key(&name.replace('\n', "/"));
    if let Searched::Entries(entries) = &mut found {
        entries.retain(|entry| text(entry, "canonicalName").is_some_and(|own| folded(own) == folded(name)));
    }
    Ok(single(found))
}

/// The one entry that was found; an inner none for no entry, an outer none for several.
fn single(found: Searched) -> Option<Option<SearchEntry>> {
    let mut entries = match found {
        Searched::Entries(entries) => entries,
        Searched::NoBase => return Some(None),
    };
    let first = entries.pop();
    if entries.is_empty() { Some(first) } else { None }
}

/// The first value of an attribute, as octets, whatever the case of its name.
pub(super) fn octets<'a>(entry: &'a SearchEntry, attribute: &str) -> Option<&'a [u8]> {
    let text = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    let text = text.and_then(|(_, values)| values.first()).map(String::as_bytes);
    text.or_else(|| {
        let binary = entry.bin_attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        binary.and_then(|(_, values)| values.first()).map(Vec::as_slice)
    })
}

pub(super) fn text<'a>(entry: &'a SearchEntry, attribute: &str) -> Option<&'a str> {
    octets(entry, attribute).and_then(|value| std::str::from_utf8(value).ok())
}

fn id(schema: Schema, entry: &SearchEntry) -> Option<String> {
    match schema {
        Schema::Rfc2307 => text(entry, "entryUUID").map(str::to_lowercase),
        Schema::ActiveDirectory => {
            let guid: [u8; 16] = octets(entry, "objectGUID")?.try_into().ok()?;
            Some(Uuid::from_bytes_le(guid).to_string())
        }
    }
}

fn account(options: &LookupOptions, entry: &SearchEntry, groups: Vec<Group>) -> DirectoryAccount {
    let schema = options.schema;
    let id = id(schema, entry).unwrap_or_else(|| format!("dn:{}", cache::key(&entry.dn)));
    let login = match schema {
        Schema::Rfc2307 => text(entry, "uid"),
        Schema::ActiveDirectory => text(entry, "sAMAccountName"),
    };
    let login = login.map(ToOwned::to_owned).or_else(|| dn::leaf(&entry.dn)).unwrap_or_else(|| entry.dn.clone());
    let account = Account {
        id: AccountId::new(id),
        login,
        dn: Some(entry.dn.clone()),
        mail: text(entry, "mail").map(ToOwned::to_owned),
        kind: kind(options, entry, &groups),
        privileged: is_member(&groups, &options.privileged_groups),
        cloud_enabled: None,
        risk: 0,
    };
    let attributes: BTreeMap<_, _> =
        entry.attrs.iter().map(|(name, values)| (name.to_lowercase(), values.clone())).collect();
    let attributes = without_binary(attributes);
    let facts = AccountFacts { groups, units: dn::units(&entry.dn), attributes };
    DirectoryAccount { account, facts: Arc::new(facts) }
}

/// Ids that only by chance are text.
fn without_binary(mut attributes: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for name in ["objectguid", "objectsid"] {
        attributes.remove(name);
    }
    attributes
}

fn is_member(groups: &[Group], wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| {
        groups.iter().any(|group| {
            if wanted.contains('=') {
                dn::is_same(&group.dn, wanted)
            } else {
                cache::key(&group.name) == cache::key(wanted)
            }
        })
    })
}

fn kind(options: &LookupOptions, entry: &SearchEntry, groups: &[Group]) -> AccountKind {
    let classes = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case("objectClass"));
    let has =
        |class: &str| classes.is_some_and(|(_, values)| values.iter().any(|value| value.eq_ignore_ascii_case(class)));
    let service = options.service_units.iter().any(|unit| dn::is_under(&entry.dn, unit))
        || is_member(groups, &options.service_groups)
        || has("msDS-GroupManagedServiceAccount")
        || has("msDS-ManagedServiceAccount");
    if service {
        AccountKind::Service
    } else if has("computer") {
        AccountKind::Machine
    } else if has("person") || has("inetOrgPerson") || has("user") {
        AccountKind::Human
    } else {
        AccountKind::Unknown
    }
}

/// Tries everything that a look-up needs.
pub(super) async fn check(link: &Link, options: &LookupOptions, domains: &Known) -> Result<(), CheckError> {
    let wrong = |error| match error {
        DirectoryError::Unreachable(_) => CheckError::Unreachable(error.to_string()),
        DirectoryError::Refused(reason) => CheckError::Refused { account: options.bind_name.clone(), reason },
    };
    for base in [Some(&options.base), options.group_base.as_ref()].into_iter().flatten() {
        match link.search(base, Scope::Base, ANY, &["objectClass"], 2).await.map_err(wrong)? {
            Searched::Entries(entries) if !entries.is_empty() => {}
            _ => return Err(CheckError::NoBase(base.clone())),
        }
    }
    let attribute = options.schema.id_attribute();
    let wanted = [attribute];
    let people = link.search(&options.base, Scope::Subtree, options.schema.person(), &wanted, 1);
    let Searched::Entries(people) = people.await.map_err(wrong)? else {
        return Err(CheckError::NoBase(options.base.clone()));
    };
    let person = people.first().ok_or_else(|| CheckError::NoPerson(options.base.clone()))?;
    if id(options.schema, person).is_none() {
        return Err(CheckError::NoId { entry: person.dn.clone(), attribute: attribute.to_owned() });
    }
    if options.schema == Schema::ActiveDirectory {
        domains.get(link, options).await.map_err(|error| match error {
            DirectoryError::Refused(reason) => CheckError::NoDomains(reason),
            DirectoryError::Unreachable(_) => wrong(error),
        })?;
    }
    Ok(())
}
