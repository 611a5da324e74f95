//! The domains of an Active Directory forest, by what people write before `\` and behind `@`.
//!
//! A name that is qualified by a domain of which this directory has no accounts is nobody's here: the local account of the
//! same name is somebody else.

use std::sync::Arc;
use std::time::Duration;

use ldap3::Scope;
use portcullis_core::directory::DirectoryError;
use portcullis_core::dn;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::LookupOptions;
use super::find::text;
use super::link::{Link, Searched};

/// How long what was read is believed. Domains and suffixes are seldom added, and until then their names are nobody's.
const BELIEVED: Duration = Duration::from_secs(300);
const ANY: &str = "(objectClass=*)";

/// The names of the domain that is looked up in, for a directory that does not show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainNames {
    /// DNS name, e.g. `corp.example.com`.
    pub dns: String,
    /// `NetBIOS` name, e.g. `CORP`.
    pub netbios: String,
    /// Other suffixes behind `@` that stand for this domain (MS-ADTS, section 6.1.1.2.3, `uPNSuffixes`).
    pub upn_suffixes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Domain {
    /// DN of its root.
    root: String,
    names: Vec<String>,
}

/// The domains whose accounts can be looked up, and the suffixes that stand for any of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Domains {
    domains: Vec<Domain>,
    suffixes: Vec<String>,
}

impl Domains {
    /// One domain, which has everything that is below `base`.
    pub(super) fn configured(names: &DomainNames, base: &str) -> Self {
        let domain = Domain { root: base.to_owned(), names: vec![names.dns.clone(), names.netbios.clone()] };
        Self { domains: vec![domain], suffixes: names.upn_suffixes.clone() }
    }

    /// What the accounts of the domain with this name are below, within `base`. None where nothing below `base` is of that
    /// domain.
    pub(super) fn within<'a>(&'a self, name: &str, base: &'a str) -> Option<&'a str> {
        let domain = self.domains.iter().find(|domain| domain.names.iter().any(|own| is_same(own, name)))?;
        if dn::is_under(base, &domain.root) {
            Some(base)
        } else {
            dn::is_under(&domain.root, base).then_some(&domain.root)
        }
    }

    /// This stands for the domain of whoever has it behind the `@`.
    pub(super) fn is_suffix(&self, name: &str) -> bool {
        self.suffixes.iter().any(|suffix| is_same(suffix, name))
    }
}

fn is_same(one: &str, other: &str) -> bool {
    dn::folded_value(one) == dn::folded_value(other)
}

/// The domains, read when they are first needed and again after a while.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<(Instant, Arc<Domains>)>>);

impl Known {
    /// # Errors
    /// When they cannot be read: then nobody can tell whose name it is.
    pub(super) async fn get(&self, link: &Link, options: &LookupOptions) -> Result<Arc<Domains>, DirectoryError> {
        let mut known = self.0.lock().await;
        if let Some((read, domains)) = &*known
            && read.elapsed() < BELIEVED
        {
            return Ok(Arc::clone(domains));
        }
        let domains = Arc::new(match &options.domain {
            Some(names) => Domains::configured(names, &options.base),
            None => read(link).await?,
        });
        *known = Some((Instant::now(), Arc::clone(&domains)));
        Ok(domains)
    }
}

/// Reads the cross-reference objects of the forest's domains and the suffixes (MS-ADTS, sections 6.1.1.2.1.1 and 6.1.1.2.3).
async fn read(link: &Link) -> Result<Domains, DirectoryError> {
    let missing = |what: &str| {
        DirectoryError::Refused(format!(
            "it does not show {what} to the service account; let it read that, or set domain and netbios-name"
        ))
    };
    let root = link.search("", Scope::Base, ANY, &["configurationNamingContext"], 2).await?;
    let configuration = first(&root).and_then(|entry| text(entry, "configurationNamingContext"));
    let configuration = configuration.ok_or_else(|| missing("the name of its configuration"))?;
    let partitions = format!("CN=Partitions,{configuration}");

    let wanted = ["nCName", "dnsRoot", "nETBIOSName"];
    let filter = "(&(objectClass=crossRef)(nETBIOSName=*))";
    let found = link.search(&partitions, Scope::OneLevel, filter, &wanted, 0).await?;
    let Searched::Entries(references) = found else { return Err(missing("the domains of its forest")) };
    let domains: Vec<Domain> = references
        .iter()
        .filter_map(|entry| {
            let names = ["dnsRoot", "nETBIOSName"].into_iter().filter_map(|name| text(entry, name));
            Some(Domain { root: text(entry, "nCName")?.to_owned(), names: names.map(str::to_owned).collect() })
        })
        .collect();
    if domains.is_empty() {
        return Err(missing("the domains of its forest"));
    }

    let found = link.search(&partitions, Scope::Base, ANY, &["uPNSuffixes"], 2).await?;
    let attributes = first(&found).map(|entry| &entry.attrs);
    let suffixes = attributes.into_iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("uPNSuffixes"));
    Ok(Domains { domains, suffixes: suffixes.map(|(_, values)| values.clone()).unwrap_or_default() })
}

fn first(found: &Searched) -> Option<&ldap3::SearchEntry> {
    match found {
        Searched::Entries(entries) => entries.first(),
        Searched::NoBase => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A forest of two domains.
    pub(in super::super) fn forest() -> Domains {
        let domain =
            |root: &str, names: [&str; 2]| Domain { root: root.to_owned(), names: names.map(str::to_owned).to_vec() };
        Domains {
            domains: vec![
                domain("DC=corp,DC=example", ["corp.example", "CORP"]),
                domain("DC=lab,DC=corp,DC=example", ["lab.corp.example", "LAB"]),
            ],
            suffixes: vec!["people.example".to_owned()],
        }
    }

    #[test]
    fn a_domain_s_accounts_are_looked_for_where_that_domain_is() {
        let forest = forest();
        let corp = "dc=corp, dc=example";
        assert_eq!(forest.within("corp", corp), Some(corp));
        assert_eq!(forest.within("Corp.Example", corp), Some(corp));
        assert_eq!(forest.within("LAB", corp), Some("DC=lab,DC=corp,DC=example"));
        let units = "OU=units,DC=lab,DC=corp,DC=example";
        assert_eq!(forest.within("lab", units), Some(units));
        assert_eq!(forest.within("OTHER", corp), None);
        assert_eq!(forest.within("", corp), None);
        assert_eq!(forest.within("OTHER\\CORP", corp), None);
        assert_eq!(forest.within("CORP", "DC=else,DC=where"), None);
        assert!(forest.is_suffix("People.example") && !forest.is_suffix("example"));
    }

    #[test]
    fn what_is_configured_stands_for_the_whole_base() {
        let names = DomainNames {
            dns: "corp.example".to_owned(),
            netbios: "CORP".to_owned(),
            upn_suffixes: vec!["people.example".to_owned()],
        };
        let domains = Domains::configured(&names, "OU=x,DC=y");
        assert_eq!(domains.within("corp", "OU=x,DC=y"), Some("OU=x,DC=y"));
        assert_eq!(domains.within("other", "OU=x,DC=y"), None);
        assert!(domains.is_suffix("people.example"));
    }
}
