//! What can be known to be wrong before anything is started.

mod listener;

use std::collections::HashMap;
use std::path::Path;

use portcullis_behavior::detections::{CATALOGUE, Group, bulk_extraction};
use portcullis_core::dn;
use portcullis_core::revision::{ListedLimits, list_problems};
use portcullis_core::summary::Audit;

use super::model::{Config, Connector, Demotion, Directory, Schema, Web};
use super::problem::Problem;
use super::secret::{SecretSource, secret};
use crate::policies;

pub(super) fn validate(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.listeners.is_empty() {
        problems.push(Problem::new(["listener"], "at least one listener is needed: add a [[listener]] section"));
    }
    names(&mut problems, "listener", config.listeners.iter().map(|l| l.name.as_str()));
    names(&mut problems, "connector", config.connectors.iter().map(|c| c.name.as_str()));
    names(&mut problems, "channel", config.channels.iter().map(|c| c.name.as_str()));
    match policies::listed(&config.policies) {
        Ok(list) => problems.extend(list_problems(&list).into_iter().map(|problem| {
            let field = problem.field.split('/').map(str::to_owned);
            Problem::below(&["policy".to_owned(), problem.place.to_string()], field, problem.message)
        })),
        Err(problem) => problems.push(problem),
    }
    directory(&mut problems, &config.directory);
    if let Some(item) = &config.demotion {
        demotion(&mut problems, item);
    }
    for (index, item) in config.listeners.iter().enumerate() {
        listener::validate(&mut problems, &index.to_string(), item);
    }
    web(&mut problems, &config.web);
    for (index, item) in config.connectors.iter().enumerate() {
        connector(&mut problems, &index.to_string(), item);
    }
    for (index, item) in config.channels.iter().enumerate() {
        super::channels::validate(&mut problems, &index.to_string(), item);
    }
    if !config.plugins.folder.is_dir() {
        let text = format!("the folder {} does not exist", config.plugins.folder.display());
        problems.push(Problem::new(["plugins", "folder"], text));
    }
    for (index, key) in config.plugins.trusted_keys.iter().enumerate() {
        file(&mut problems, &["plugins", "trusted-keys", &index.to_string()], key);
    }
    for (index, item) in config.applications.iter().enumerate() {
        if let Some(name) = &item.listener
            && !config.listeners.iter().any(|l| l.name == *name)
        {
            let text = format!("there is no listener named `{name}`");
            problems.push(Problem::new(["application", &index.to_string(), "listener"], text));
        }
        for (nth, name) in item.bind_names.iter().enumerate() {
            let is_name = if name.contains('=') { dn::parse(name).is_some() } else { !name.trim().is_empty() };
            if !is_name {
                let text = format!(
                    "`{name}` is no name of an account: give a DN as the directory writes it, or, with Active Directory, \
                     DOMAIN\\name or name@domain"
                );
                problems.push(Problem::new(["application", &index.to_string(), "bind-names", &nth.to_string()], text));
            }
        }
    }
    behavior(&mut problems, config);
    if config.challenge.timeout_seconds == 0
        || config.challenge.timeout_seconds > config.challenge.timeout_limit_seconds
    {
        let text =
            format!("has to be between 1 and timeout-limit-seconds ({})", config.challenge.timeout_limit_seconds);
        problems.push(Problem::new(["challenge", "timeout-seconds"], text));
    }
    if config.challenge.late_answer_seconds > 300 {
        let text =
            "is more than 300: whoever comes from the same machine with the password gets the answer that was given";
        problems.push(Problem::new(["challenge", "late-answer-seconds"], text));
    }
    if !(1..=10).contains(&config.challenge.wrong_codes) {
        let text = "has to be between 1 and 10: each try is one that somebody with the password has as well";
        problems.push(Problem::new(["challenge", "wrong-codes"], text));
    }
    let (challenge, behavior, backtest) = (&config.challenge, &config.behavior, &config.backtest);
    for (section, key, is_zero, what) in [
        ("challenge", "per-account-and-hour", challenge.per_account_and_hour == 0, "nobody could ever be asked"),
        ("challenge", "denials-in-a-row", challenge.denials_in_a_row == 0, "nobody could ever be asked"),
        ("behavior", "risk-half-life-hours", behavior.risk_half_life_hours == 0, "no risk would last"),
        ("behavior", "forget-after-days", behavior.forget_after_days == 0, "nothing would be learned"),
        ("behavior", "shared-from-accounts", behavior.shared_from_accounts == 0, "no machine would be anybody's own"),
        ("events", "store-timeout-seconds", config.events.store_timeout_seconds == 0, "no event would be stored"),
        ("backtest", "days", backtest.days == 0, "there would be nothing to test with"),
        ("backtest", "most-events", backtest.most_events == 0, "there would be nothing to test with"),
    ] {
        if is_zero {
            problems.push(Problem::new([section, key], format!("is 0, with which {what}")));
        }
    }
    problems
}

fn behavior(problems: &mut Vec<Problem>, config: &Config) {
    for (detection, setting, text) in config.detection.problems() {
        problems.push(Problem::new(["detection", detection, &setting], text));
    }
    let extraction = &config.detection.bulk_extraction;
    if config.events.audit != Audit::Summary
        && extraction.enabled
        && *extraction != bulk_extraction::Settings::default()
    {
        let text = "is never given unless [events] audit is \"summary\": entries are counted there alone";
        problems.push(Problem::new(["detection", "bulk-extraction"], text));
    }
    let known = || CATALOGUE.iter().map(|about| about.name).chain(Group::ALL.map(Group::as_str)).chain(["*"]);
    for (index, exclusion) in config.exclusions.iter().enumerate() {
        let position = index.to_string();
        for (nth, name) in exclusion.detections.iter().enumerate().filter(|(_, name)| !known().any(|one| one == *name))
        {
            let near = known().map(|one| (strsim::jaro_winkler(name, one), one)).max_by(|a, b| a.0.total_cmp(&b.0));
            let advice = near.filter(|(likeness, _)| *likeness > 0.75).map_or_else(
                || "docs/administration.md lists all detections and their groups".to_owned(),
                |(_, one)| format!("did you mean `{one}`?"),
            );
            let text = format!("there is no detection or group of detections named `{name}`; {advice}");
            problems.push(Problem::new(["exclusion", &position, "detections", &nth.to_string()], text));
        }
        if exclusion.accounts.is_empty() && exclusion.networks.is_empty() {
            let text =
                "would exclude everybody: name `accounts` or `networks`, or set enabled = false for the detection";
            problems.push(Problem::new(["exclusion", &position], text));
        }
    }
    for (index, site) in config.sites.iter().enumerate() {
        let Some(at) = site.position else { continue };
        let mut wrong = |key: &str, text: &str| {
            problems.push(Problem::new(["site", &index.to_string(), "position", key], text));
        };
        if !(-90.0..=90.0).contains(&at.latitude) {
            wrong("latitude", "has to be between -90 (south) and 90 degrees");
        }
        if !(-180.0..=180.0).contains(&at.longitude) {
            wrong("longitude", "has to be between -180 (west) and 180 degrees");
        }
        if !(0.0..=20_000.0).contains(&at.uncertainty_km) {
            wrong("uncertainty-km", "has to be between 0 and 20000");
        }
    }
}

fn names<'a>(problems: &mut Vec<Problem>, section: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = HashMap::new();
    for (index, name) in names.enumerate() {
        let position = index.to_string();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            let text = format!("`{name}` is no name: use letters, digits, `-`, `_` and `.`");
            problems.push(Problem::new([section, &position, "name"], text));
        }
        if let Some(first) = seen.insert(name, index) {
            let text = format!("`{name}` is the name of the {section} at position {} already", first + 1);
            problems.push(Problem::new([section, &position, "name"], text));
        }
    }
}

pub(super) fn file(problems: &mut Vec<Problem>, path: &[&str], file: &Path) {
    if let Err(error) = std::fs::File::open(file) {
        problems.push(Problem {
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            message: format!("{} cannot be opened: {error}", file.display()),
        });
    }
}

pub(super) fn secret_source(problems: &mut Vec<Problem>, path: &[&str], source: &SecretSource) {
    if let Err(message) = secret(source) {
        problems.push(Problem { path: path.iter().map(|part| (*part).to_owned()).collect(), message });
    }
}

fn demotion(problems: &mut Vec<Problem>, demotion: &Demotion) {
    if demotion.service_account.trim().is_empty() {
        let text = "is empty; name the account that may change groups as it binds to the directory";
        problems.push(Problem::new(["demotion", "service-account"], text));
    }
    secret_source(problems, &["demotion", "password"], &demotion.password);
    for (nth, group) in demotion.vital_groups.iter().enumerate() {
        let is_name = if group.contains('=') { dn::parse(group).is_some() } else { !group.trim().is_empty() };
        if !is_name {
            let text = format!("`{group}` is no name of a group: give its DN or its common name");
            problems.push(Problem::new(["demotion", "vital-groups", &nth.to_string()], text));
        }
    }
}

fn directory(problems: &mut Vec<Problem>, directory: &Directory) {
    match directory.addresses() {
        Err(message) => problems.push(Problem::new(["directory", "url"], message)),
        Ok(servers)
            if servers.iter().any(|server| !server.ldaps) && !directory.start_tls && !directory.allow_cleartext =>
        {
            problems.push(Problem::new(
                ["directory", "url"],
                "passwords would travel to the directory in clear text: use ldaps://, set start-tls = true, or, if the \
                 way there is protected otherwise, set allow-cleartext = true",
            ));
        }
        Ok(servers) if servers.iter().any(|server| server.ldaps) && directory.start_tls => {
            problems
                .push(Problem::new(["directory", "start-tls"], "goes with ldap://, not with ldaps://: leave it out"));
        }
        Ok(_) => {}
    }
    for (nth, name) in directory.own_names.iter().enumerate() {
        if !super::address::is_host(name) {
            let text = format!("`{name}` is no host name: give it without ldap:// and without a port");
            problems.push(Problem::new(["directory", "own-names", &nth.to_string()], text));
        }
    }
    if let Some(path) = &directory.ca_file {
        file(problems, &["directory", "ca-file"], path);
    }
    if directory.base.is_empty() {
        problems.push(Problem::new(
            ["directory", "base"],
            "is empty; name the entry above all accounts, e.g. dc=example,dc=com",
        ));
    }
    secret_source(problems, &["directory", "password"], &directory.password);
    domain(problems, directory);
}

fn domain(problems: &mut Vec<Problem>, directory: &Directory) {
    let mut at = |key: &str, text: &str| problems.push(Problem::new(["directory", key], text));
    match (&directory.domain, &directory.netbios_name) {
        (Some(_), None) => {
            at("domain", "goes with netbios-name: give both, or neither to read them from the directory");
        }
        (None, Some(_)) => {
            at("netbios-name", "goes with domain: give both, or neither to read them from the directory");
        }
        (None, None) if !directory.upn_suffixes.is_empty() => {
            at(
                "upn-suffixes",
                "goes with domain and netbios-name; without these it is read from the directory: leave it out",
            );
        }
        (Some(_), Some(_)) if matches!(directory.schema, Schema::Rfc2307) => {
            at("domain", "is for schema = \"active-directory\" only: leave it out, with netbios-name");
        }
        _ => {}
    }
}

fn web(problems: &mut Vec<Problem>, web: &Web) {
    match (&web.certificate, &web.key) {
        (Some(certificate), Some(key)) => {
            file(problems, &["web", "certificate"], certificate);
            file(problems, &["web", "key"], key);
        }
        (None, None) if web.address.socket().is_some_and(|address| !address.ip().is_loopback()) => problems.push(Problem::new(
            ["web", "address"],
            "the console would be served in clear text: add `certificate` and `key`, or listen on a loopback address",
        )),
        (None, None) => {}
        _ => problems.push(Problem::new(["web"], "`certificate` and `key` go together")),
    }
    if let Some(token) = &web.notify_token {
        secret_source(problems, &["web", "notify-token"], token);
    }
    if let Some(url) = &web.public_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        problems.push(Problem::new(
            ["web", "public-url"],
            "has to begin with https://, or http:// where nobody else can read along",
        ));
    }
}

fn connector(problems: &mut Vec<Problem>, position: &str, connector: &Connector) {
    if let Err(message) = connector.base_url() {
        let key = if connector.base_url.is_some() { "base-url" } else { "domain" };
        problems.push(Problem::new(["connector", position, key], message));
    }
    if connector.settings.contains_key("base-url") {
        let text = "is made from `domain` or `base-url` of the connector: set it there";
        problems.push(Problem::new(["connector", position, "settings", "base-url"], text));
    }
    if let Some(path) = &connector.ca_file {
        file(problems, &["connector", position, "ca-file"], path);
    }
    for (limit, message) in ListedLimits::from(connector.limits).problems() {
        problems.push(Problem::new(["connector", position, "limits", limit], message));
    }
    match connector.token.source() {
        Ok(source) => secret_source(problems, &["connector", position, "token"], &source),
        Err(client) => {
            secret_source(problems, &["connector", position, "token", "oauth", "key"], &client.key);
            if client.scopes.is_empty() {
                let text =
                    "is empty; name what the connector needs (`portcullis plugin inspect` lists it), and no more";
                problems.push(Problem::new(["connector", position, "token", "oauth", "scopes"], text));
            }
        }
    }
    if connector.settings.contains_key("oauth") {
        let text = "is made from `token` of the connector: write token = { oauth = { … } } there";
        problems.push(Problem::new(["connector", position, "settings", "oauth"], text));
    }
    if connector.cloud.is_some() && matches!(connector.name.as_str(), "ldap" | "name" | "dn" | "address") {
        let text = "would be taken for something else in events and accounts: choose another name";
        problems.push(Problem::new(["connector", position, "name"], text));
    }
}
