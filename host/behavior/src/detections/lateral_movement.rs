//! `lateral-movement`: a machine collects accounts, or an account spreads over machines and applications.
//!
//! Threshold: `accounts` accounts that are new to a machine log in from it within half an hour, or would if the gateway let them,
//! where the machine is nobody's server: it has been known for the learning period, and before that period at most three accounts
//! were used from it. Or one account reaches `targets` machines and applications that are new to it within an hour. Learning period: the machine's, the account's. False positives: a machine that
//! becomes a shared one; an administrator who sets up many machines. MITRE ATT&CK: T1021 (Remote Services).

use crate::seen::short;
use crate::profile::window;
use super::{About, Group, Scene, Weights};

/// What it is about.
pub const ABOUT: About = About {
    name: "lateral-movement",
    group: Group::Movement,
    technique: Some("T1021"),
    score: 60,
    weights: Weights { account: 30, endpoint: 40, application: 0 },
};

settings! { ABOUT;
    /// Accounts that are new to a machine, within half an hour.
    accounts: u32 = 5 => most 128,
    /// Machines and applications that are new to an account, within an hour.
    targets: u32 = 6 => most 32,
}

/// Why the signal is given; none where it is not.
#[must_use]
pub fn look(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    if !scene.seen.is_good_login() {
        return None;
    }
    by_machine(scene, settings).or_else(|| by_account(scene, settings))
}

fn by_machine(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let (endpoint, account) = (scene.endpoint?, scene.seen.account?);
    let now = window::seconds(scene.seen.at);
    let age = u64::from(now.saturating_sub(endpoint.first));
    let learning = scene.settings.learning_time.as_secs().max(86_400);
    if scene.seen.shared || endpoint.first == 0 || age < learning {
        return None;
    }
    let known_for = |first: u32| now.saturating_sub(first);
    let usual = endpoint.accounts.iter().filter(|habit| u64::from(known_for(habit.first)) >= learning).count();
    let new = endpoint.accounts.iter().filter(|habit| known_for(habit.first) < 1_800).count();
    let own = short(account.id.as_str());
    let is_unknown = |name: &u32| endpoint.accounts.get(name).is_none();
    let turned_away = endpoint.turned_away.lately(scene.seen.at, 30).filter(|name| is_unknown(name) && *name != own);
    let new = new + turned_away.count() + usize::from(is_unknown(&own));
    (usual <= 3 && new >= settings.accounts as usize).then(|| {
        format!("{new} accounts that were never used from this machine have logged in from it within half an hour.")
    })
}

fn by_account(scene: &Scene<'_>, settings: &Settings) -> Option<String> {
    let account = scene.account.filter(|_| !scene.is_learning())?;
    let (seen, at) = (scene.seen, scene.seen.at);
    let address = seen.address.filter(|address| account.endpoints.get(address).is_none());
    let application = Some(seen.application).filter(|name| account.applications.get(*name).is_none());
    let now = address.map(|address| short(&address.to_string())).into_iter().chain(application.map(short));
    let targets = account.new_targets.distinct(at, 60)
        + now.filter(|target| !account.new_targets.has(*target, at, 60)).count();
    let comes_new = address.is_some() || application.is_some();
    (comes_new && targets >= settings.targets as usize).then(|| {
        format!("The account has reached {targets} machines and applications within an hour that are new to it.")
    })
}
