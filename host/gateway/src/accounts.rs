//! `portcullis accounts`: which cloud account is whose, what stands behind an account, and a person's word about both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use portcullis_behavior::kind;
use portcullis_behavior::profile::{AccountProfile, Profile as _};
use portcullis_core::cloud::{CloudAccountStore as _, CloudMatch, CloudOverride, CloudTwin, MatchedBy};
use portcullis_core::directory::Directory as _;
use portcullis_core::profile::{DecidedKind, ProfileStore as _, Subject, SubjectKind};
use portcullis_core::{AccountId, AccountKind, Clock as _, ConnectorName};
use portcullis_store::Store;

use crate::config::Loaded;
use crate::fences::{self, Fence};
use crate::out::say;
use crate::system::{self, System};
use crate::{assemble, events};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print every cloud account with whose it is, how that is known and how sure it is; conflicts first.
    Links(Where),
    /// Say that a cloud account belongs to an account of the directory, whatever their names say.
    Link {
        #[command(flatten)]
        place: Where,
        /// The cloud account, as `links` prints it.
        #[arg(value_name = "CONNECTOR:ID")]
        cloud: String,
        /// The directory account: its DN, or a name that it binds with.
        account: String,
    },
    /// Say that a cloud account belongs to no account of the directory.
    Unlink {
        #[command(flatten)]
        place: Where,
        /// The cloud account, as `links` prints it.
        #[arg(value_name = "CONNECTOR:ID")]
        cloud: String,
        /// Take back what was said with `link` or `unlink` instead: the names count again.
        #[arg(long)]
        forget: bool,
    },
    /// Print what is usual for each account, as it was written to the store last: one JSON object a line.
    Learned(Where),
    /// Print accounts that seem to be something else than what is known of them, with the reasons.
    Kinds(Where),
    /// Say what stands behind an account. A service account is never asked for a second factor.
    Kind {
        #[command(flatten)]
        place: Where,
        /// The directory account: its DN, or a name that it binds with.
        login: String,
        /// What it is; automatic takes back what was said before.
        kind: KindSaid,
    },
    /// Print what a service account is used for, with the reasons, and the rule that holds it to that; or put that rule into the
    /// list of policies.
    Fence(Fence),
}

/// What a person says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindSaid {
    /// A program's.
    Service,
    /// A person's.
    Human,
    /// What the directory says.
    Automatic,
}

#[derive(Args)]
pub(crate) struct Where {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.toml")]
    pub(crate) config: PathBuf,
}

/// What lists of things that are numbered are asked for.
#[derive(Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    pub(crate) place: Where,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

/// One of such a list.
#[derive(Args)]
pub(crate) struct Numbered {
    #[command(flatten)]
    pub(crate) place: Where,
    /// The number that `list` prints.
    pub(crate) number: u64,
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    system::block_on(async {
        match command {
            Command::Links(place) => links(&place.config).await,
            Command::Link { place, cloud, account } => {
                let found = find(&place.config, &account).await?;
                let login = found.login.clone();
                decide(&place.config, &cloud, Said::Belongs(found)).await?;
                say(format_args!("{cloud} belongs to {login}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Unlink { place, cloud, forget } => {
                decide(&place.config, &cloud, if forget { Said::Nothing } else { Said::Nobody }).await?;
                say(format_args!(
                    "{cloud} {}",
                    if forget { "is matched by names again" } else { "belongs to nobody" }
                ))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Learned(place) => learned(&place.config).await,
            Command::Kinds(place) => kinds(&place.config).await,
            Command::Kind { place, login, kind } => {
                let found = find(&place.config, &login).await?;
                decide_kind(&place.config, &found, kind).await?;
                say(format_args!("{} is {}", found.login, kind_words(kind)))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Fence(wanted) => fences::run(&wanted).await,
        }
    })
}

fn kind_words(kind: KindSaid) -> &'static str {
    match kind {
        KindSaid::Service => "a service account: it is never asked for a second factor",
        KindSaid::Human => "a person's account",
        KindSaid::Automatic => "what the directory says",
    }
}

/// Profiles that are read at a time.
const PROFILES: u32 = 512;

async fn learned(config: &Path) -> Result<ExitCode> {
    let store = events::open(config).await?;
    let mut after = None::<String>;
    loop {
        let page = store.profiles_after(SubjectKind::Account, after.as_deref(), PROFILES).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.subject.key());
        for stored in page {
            let Some(profile) = AccountProfile::decode(&stored.value) else { continue };
            let account = stored.subject.key();
            say(serde_json::to_string(&serde_json::json!({ "account": account, "usual": profile.usual() }))?)?;
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn kinds(config: &Path) -> Result<ExitCode> {
    let store = events::open(config).await?;
    let decided = store.decided_kinds().await?;
    for decided in &decided {
        let (login, account, person) = (&decided.login, &decided.account, &decided.person);
        say(format_args!("{login} [{account}] = {:?}, as {person} said", decided.kind))?;
    }
    let mut after = None::<String>;
    loop {
        let page = store.profiles_after(SubjectKind::Account, after.as_deref(), PROFILES).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.subject.key());
        for stored in page {
            let Subject::Account(account) = &stored.subject else { continue };
            let profile = AccountProfile::decode(&stored.value);
            let Some(profile) = profile.filter(|_| !decided.iter().any(|known| known.account == *account)) else {
                continue;
            };
            if let Some((kind, reasons)) = kind::propose(&profile, profile.kind(), System.now()) {
                say(format_args!("{} [{account}] seems to be {kind:?}: {}", profile.login(), reasons.join(" ")))?;
            }
        }
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn decide_kind(config: &Path, found: &CloudMatch, kind: KindSaid) -> Result<()> {
    let (at, person) = (System.now(), person());
    let known = match kind {
        KindSaid::Service => Some(AccountKind::Service),
        KindSaid::Human => Some(AccountKind::Human),
        KindSaid::Automatic => None,
    };
    let decision = known.map(|kind| DecidedKind {
        account: found.account.clone(),
        login: found.login.clone(),
        kind,
        person: person.clone(),
        at,
    });
    let detail = format!("{} ({}) is {}.", found.login, found.account, kind_words(kind));
    let event = events::administration(at, &person, "account-kind", detail);
    let store: Store = events::open(config).await?;
    let decided = store.decide_kind(&found.account, decision, event).await;
    store.close().await;
    Ok(decided?)
}

/// What a person says of a cloud account.
enum Said {
    Belongs(CloudMatch),
    Nobody,
    Nothing,
}

async fn links(config: &Path) -> Result<ExitCode> {
    let store = events::open(config).await?;
    let mut all = store.cloud_accounts().await?;
    store.close().await;
    let mut owned: HashMap<(ConnectorName, AccountId), usize> = HashMap::new();
    for twin in &all {
        if let Some(owner) = twin.belongs_to() {
            *owned.entry((twin.source.clone(), owner.account.clone())).or_default() += 1;
        }
    }
    let shares_owner = |twin: &CloudTwin| {
        twin.belongs_to().is_some_and(|owner| {
            owned.get(&(twin.source.clone(), owner.account.clone())).is_some_and(|count| *count > 1)
        })
    };
    all.sort_by_key(|twin| (!twin.is_contested(), !shares_owner(twin)));
    for twin in &all {
        say(line(twin, shares_owner(twin)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One account: what it is, whose, and why.
fn line(twin: &CloudTwin, shares_owner: bool) -> String {
    let state = if twin.asked_at.is_none() { "?" } else { &twin.account.status };
    let name = format!("{}:{} {} ({state})", twin.source, twin.account.id, twin.account.login);
    let candidates = |matches: &[CloudMatch]| {
        let each = matches.iter().map(|found| format!("{} by {}", found.login, words(found.by)));
        each.collect::<Vec<_>>().join(", ")
    };
    match twin.belongs_to() {
        Some(owner) => {
            let note = if shares_owner { "; CONFLICT: this account has several there" } else { "" };
            let sure = owner.by.confidence();
            format!("{name} = {} [{}] by {}, {sure} %{note}", owner.login, owner.account, words(owner.by))
        }
        None if twin.is_contested() => format!("{name} = CONFLICT: {}", candidates(&twin.matches)),
        None if twin.decided.is_some() => format!("{name} = nobody's, as a person said"),
        None if twin.matches.is_empty() => format!("{name} = nobody's"),
        None => format!("{name} = nobody's; perhaps {}", candidates(&twin.matches)),
    }
}

fn words(by: MatchedBy) -> &'static str {
    match by {
        MatchedBy::ShortName => "short name",
        MatchedBy::Mail => "mail",
        MatchedBy::Login => "login",
        MatchedBy::Attribute => "attribute",
        MatchedBy::Person => "a person's word",
    }
}

pub(crate) async fn find(config: &Path, name: &str) -> Result<CloudMatch> {
    let loaded = Loaded::read(config)?;
    let upstreams = assemble::upstreams(&loaded.config).map_err(|problem| loaded.problems(vec![problem]))?;
    let lookup = assemble::lookup(&loaded.config, upstreams).map_err(|problem| loaded.problems(vec![problem]))?;
    let found = lookup.find(name).await?;
    let account =
        found.with_context(|| format!("the directory has no account, or more than one, named {name}"))?.account;
    Ok(CloudMatch {
        account: account.id,
        name: account.dn.unwrap_or_else(|| account.login.clone()),
        login: account.login,
        by: MatchedBy::Person,
    })
}

async fn decide(config: &Path, cloud: &str, said: Said) -> Result<()> {
    let (source, id) = cloud.split_once(':').context("a cloud account is named CONNECTOR:ID, as `links` prints it")?;
    let (at, person) = (System.now(), person());
    let (action, detail, decision) = match said {
        Said::Belongs(found) => {
            let detail = format!("{cloud} belongs to {} ({}).", found.login, found.account);
            ("cloud-account-linked", detail, Some(CloudOverride { account: Some(found), person: person.clone(), at }))
        }
        Said::Nobody => {
            let decision = CloudOverride { account: None, person: person.clone(), at };
            ("cloud-account-unlinked", format!("{cloud} belongs to nobody."), Some(decision))
        }
        Said::Nothing => ("cloud-account-forgotten", format!("{cloud} is matched by names again."), None),
    };
    let event = events::administration(at, &person, action, detail);
    let store: Store = events::open(config).await?;
    let decided = store.decide_cloud_account(&ConnectorName::new(source), id, decision, event).await;
    store.close().await;
    if !decided? {
        bail!("there is no cloud account {cloud}; `portcullis accounts links` prints all that are known");
    }
    Ok(())
}

/// Whoever runs the command, as the system says.
pub(crate) fn person() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "the command line".to_owned())
}

#[cfg(test)]
mod tests {
    use portcullis_core::Timestamp;
    use portcullis_core::source::CloudAccount;

    use super::*;

    #[test]
    fn a_line_says_whose_and_why() {
        let found = |login: &str, by| CloudMatch {
            account: AccountId::new(format!("{login}-id")),
            login: login.to_owned(),
            name: login.to_owned(),
            by,
        };
        let mut twin = CloudTwin {
            source: ConnectorName::new("okta"),
            account: CloudAccount {
                id: "00u1".to_owned(),
                login: "a@x.example".to_owned(),
                mail: None,
                status: "ACTIVE".to_owned(),
                enabled: true,
                applications: vec![],
                factors: vec![],
                attributes: vec![],
            },
            asked_at: None,
            matches: vec![found("alice", MatchedBy::Mail)],
            decided: None,
        };
        assert_eq!(line(&twin, false), "okta:00u1 a@x.example (?) = alice [alice-id] by mail, 80 %");
        assert!(line(&twin, true).ends_with("CONFLICT: this account has several there"));
        twin.matches.push(found("adam", MatchedBy::Mail));
        twin.asked_at = Some(Timestamp(1));
        let expected = "okta:00u1 a@x.example (ACTIVE) = CONFLICT: alice by mail, adam by mail";
        assert_eq!(line(&twin, false), expected);
        twin.matches = vec![found("alice", MatchedBy::ShortName)];
        assert_eq!(line(&twin, false), "okta:00u1 a@x.example (ACTIVE) = nobody's; perhaps alice by short name");
        twin.decided = Some(CloudOverride { account: None, person: "ada".to_owned(), at: Timestamp(1) });
        assert_eq!(line(&twin, false), "okta:00u1 a@x.example (ACTIVE) = nobody's, as a person said");
    }
}
