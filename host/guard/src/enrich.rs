//! From what was seen on the wire to an access with account, endpoint, application and signals.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis_behavior as behavior;
use portcullis_core::event::AccessEvent;
use portcullis_core::gate::{Asked, Claim};
use portcullis_core::learned::AccountHistory;
use portcullis_core::{
    Access, Account, AccountFacts, AccountId, AccountKind, Endpoint, OperationKind, Outcome, Target, dn,
};
use tracing::warn;

use crate::Guard;
use crate::gate::is_always_recorded;
use crate::surroundings::Bound;

/// An access that is ready to be decided on.
pub(crate) struct Enriched {
    pub(crate) event: Box<AccessEvent>,
    /// What policies may ask about the account; an error, for the log and the incident, where the directory or the store
    /// could not tell. Then no policy can be evaluated, because it would decide without knowing.
    pub(crate) facts: Result<Arc<AccountFacts>, String>,
    /// The application whose service account has bound with this access.
    pub(crate) shown: Option<String>,
}

impl Guard {
    pub(crate) async fn enrich(&self, asked: &Asked) -> Enriched {
        let at = self.rooms.clock.now();
        let address = asked.connection.client.ip().to_canonical();
        let (mut account, mut facts) = self.account(&asked.claim, asked.outcome).await;
        if let Some(account) = &mut account {
            self.correct(account);
        }
        let noticed = match self.notice(account.as_ref(), address, at).await {
            Ok(noticed) => noticed,
            Err(problem) => {
                facts = Err(problem);
                behavior::Noticed { associated: false, shared: false, signals: Vec::new() }
            }
        };
        let entry = match self.entry(asked, account.as_ref()).await {
            Ok(entry) => entry,
            Err(problem) => {
                facts = Err(problem);
                asked.entry.clone()
            }
        };
        let names = &self.options.surroundings;
        let bound = Bound::of(asked, account.as_ref());
        let told = names.application(&asked.connection, bound.as_ref());
        let (application, shown) = (told.name.to_owned(), told.by_this_bind.then(|| told.name.to_owned()));
        let mut event = Box::new(AccessEvent::undecided(Access {
            id: self.rooms.ids.event_id(at),
            at,
            source: "ldap".to_owned(),
            account,
            endpoint: Some(Endpoint {
                address,
                name: names.endpoint(address).map(str::to_owned),
                site: names.site(address).map(str::to_owned),
                shared: noticed.shared,
                associated: noticed.associated,
                risk: 0,
            }),
            protection: Some(asked.connection.protection()),
            target: Target { application, entry },
            operation: asked.operation.clone(),
            outcome: asked.outcome,
            signals: Vec::new(),
        }));
        event.directory_result = asked.directory_result;
        let place = self.site_place(&event.access);
        if let Err(error) = self.look(&mut event.access, place, false, asked.tried, noticed.signals).await {
            facts = Err(error.to_string());
        }
        Enriched { event, facts, shown }
    }

    /// The account behind a claim. Where the directory has no such entry, or cannot say, the name itself is the identity.
    async fn account(&self, claim: &Claim, outcome: Outcome) -> (Option<Account>, Result<Arc<AccountFacts>, String>) {
        let name = match claim {
            Claim::Anonymous | Claim::Unreadable => return (None, Ok(Arc::default())),
            Claim::Name(name) => name,
        };
        match self.rooms.directory.find(name).await {
            Ok(Some(mut found)) => {
                // What the memory has: whoever waits for a bind waits for no cloud service.
                found.account.cloud_enabled = self.twins.enabled(&found, self.rooms.clock.now());
                (Some(found.account), Ok(found.facts))
            }
            // A refused name may well be nobody's.
            Ok(None) if outcome == Outcome::Failure => (Some(nameless(name)), Ok(Arc::default())),
            Ok(None) => (Some(nameless(name)), self.without_entry(name)),
            Err(error) => {
                warn!(%error, "the account of an access could not be looked up");
                (Some(nameless(name)), Err(error.to_string()))
            }
        }
    }

    /// What the operation is about, as a DN wherever that can be told: policies about entries know them by their DNs. A bind, and a
    /// change of a password without a name (RFC 3062, section 2), are about the account itself.
    async fn entry(&self, asked: &Asked, account: Option<&Account>) -> Result<Option<String>, String> {
        let own = || account.and_then(|account| account.dn.clone());
        let kind = asked.operation.kind();
        let name = match (kind, asked.entry.as_deref()) {
            (OperationKind::Bind, name) => return Ok(own().or_else(|| name.map(str::to_owned))),
            (OperationKind::PasswordChange, None) => return Ok(own()),
            (_, None) => return Ok(None),
            // A form of RFC 4513, section 5.2.1.8.
            (OperationKind::PasswordChange, Some(name)) => name.strip_prefix("dn:").unwrap_or(name),
            (_, Some(name)) => name,
        };
        // Active Directory also takes identifiers in the place of a DN (MS-ADTS, section 3.1.1.3.1.2.4).
        if !name.trim_start().starts_with('<') {
            return Ok(Some(name.to_owned()));
        }
        let found = self.rooms.directory.find(name).await.map_err(|error| error.to_string())?;
        match found.and_then(|found| found.account.dn) {
            Some(dn) => Ok(Some(dn)),
            None if is_always_recorded(kind) => Err(format!(
                "{name} is to be changed, which the directory does not show to the service account; let it read that entry"
            )),
            None => Ok(Some(name.to_owned())),
        }
    }

    /// Somebody was let in whom the directory does not show. Were that an account without groups, another way of writing a
    /// name would lead around every policy about groups.
    fn without_entry(&self, name: &str) -> Result<Arc<AccountFacts>, String> {
        if self.options.accounts_without_entry.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(Arc::default());
        }
        warn!(name, "the directory let an account in that it does not show to the service account");
        Err(format!(
            "the directory let {name} in, but shows no such entry to the service account; let the service account read it, or \
             name it in accounts-without-entry"
        ))
    }

    async fn notice(
        &self,
        account: Option<&Account>,
        address: IpAddr,
        at: portcullis_core::Timestamp,
    ) -> Result<behavior::Noticed, String> {
        let learned = &self.rooms.learned;
        let endpoint = learned.endpoint_history(address).await.map_err(|e| e.to_string())?;
        let Some(account) = account else {
            // Nobody in particular: there is no habit to compare with.
            let shared = behavior::shared_endpoint::is_shared(endpoint, &self.options.behavior);
            return Ok(behavior::Noticed { associated: false, shared, signals: Vec::new() });
        };
        let history: AccountHistory = learned.account_history(&account.id).await.map_err(|e| e.to_string())?;
        let observed = behavior::Observed { at, address, account: &history, endpoint };
        Ok(behavior::notice(observed, &self.options.behavior))
    }
}

/// What the id of an account begins with that has no entry; see [`AccountId`].
const NAMELESS: &str = "name:";

pub(crate) fn is_nameless(account: &Account) -> bool {
    account.id.as_str().starts_with(NAMELESS)
}

/// One spelling for all of a name: case, and blanks around the parts of a DN, tell nothing apart.
fn folded(name: &str) -> String {
    let Some(parts) = dn::parse(name).filter(|parts| !parts.is_empty()) else { return name.to_lowercase() };
    let escaped = |value: &str| value.replace('\\', "\\\\").replace(',', "\\,").replace('+', "\\+");
    let part = |part: &dn::Part| format!("{}={}", part.attribute, escaped(&dn::folded_value(&part.value)));
    let relative = |parts: Vec<dn::Part>| {
        let mut parts: Vec<_> = parts.iter().map(part).collect();
        parts.sort_unstable();
        parts.join("+")
    };
    parts.into_iter().map(relative).collect::<Vec<_>>().join(",")
}

/// An account of which nothing is known but the name that a client used.
pub(crate) fn nameless(name: &str) -> Account {
    Account {
        id: AccountId::new(format!("{NAMELESS}{}", folded(name))),
        login: name.to_owned(),
        dn: None,
        mail: None,
        kind: AccountKind::Unknown,
        privileged: false,
        cloud_enabled: None,
        risk: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_one_however_it_is_spelled() {
        let id = |name: &str| nameless(name).id.as_str().to_owned();
        assert_eq!(id("uid=trap,ou=x"), "name:uid=trap,ou=x");
        for spelling in ["uid=trap ,ou=x", "UID=Trap,OU=X", "uid = trap; ou=x", "uid=\\74rap,ou=x"] {
            assert_eq!(id(spelling), "name:uid=trap,ou=x", "{spelling}");
        }
        assert_eq!(id("EXAMPLE\\Trap"), "name:example\\trap");
        assert_eq!(id("Trap@Example.com"), "name:trap@example.com");
        assert_ne!(id("cn=a\\,cn=b"), id("cn=a,cn=b"), "what is escaped is part of the value");
        assert_ne!(id("cn=a\\+cn=b"), id("cn=a+cn=b"));
    }
}
