//! The configuration file as it is written. Every field is explained in `portcullis.toml`, the sample that
//! `portcullis sample-config` prints.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use portcullis_behavior::detections::{Detections, Exclusion};
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::ListedLimits;
use portcullis_core::summary::Audit;

use super::address::ListenAddress;
use super::channels::Channel;
use super::secret::{Credential, SecretSource};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) data_folder: PathBuf,
    #[serde(default)]
    pub(crate) log: Log,
    pub(crate) directory: Directory,
    pub(crate) demotion: Option<Demotion>,
    #[serde(rename = "listener")]
    pub(crate) listeners: Vec<Listener>,
    pub(crate) web: Web,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) plugins: Plugins,
    #[serde(default, rename = "connector")]
    pub(crate) connectors: Vec<Connector>,
    #[serde(default, rename = "policy")]
    pub(crate) policies: Vec<Policy>,
    #[serde(default)]
    pub(crate) backtest: Backtest,
    #[serde(default, rename = "channel")]
    pub(crate) channels: Vec<Channel>,
    #[serde(default)]
    pub(crate) behavior: Behavior,
    #[serde(default)]
    pub(crate) detection: Detections,
    #[serde(default, rename = "exclusion")]
    pub(crate) exclusions: Vec<Exclusion>,
    #[serde(default)]
    pub(crate) challenge: Challenge,
    #[serde(default)]
    pub(crate) events: Events,
    #[serde(default, rename = "application")]
    pub(crate) applications: Vec<Application>,
    #[serde(default, rename = "site")]
    pub(crate) sites: Vec<Site>,
    #[serde(default, rename = "endpoint")]
    pub(crate) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Directory {
    pub(crate) url: Urls,
    #[serde(default)]
    pub(crate) own_names: Vec<String>,
    #[serde(default)]
    pub(crate) start_tls: bool,
    #[serde(default)]
    pub(crate) allow_cleartext: bool,
    #[serde(default)]
    pub(crate) send_proxy_protocol: bool,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) tls_min: TlsMin,
    pub(crate) base: String,
    pub(crate) schema: Schema,
    pub(crate) domain: Option<String>,
    pub(crate) netbios_name: Option<String>,
    #[serde(default)]
    pub(crate) upn_suffixes: Vec<String>,
    pub(crate) service_account: String,
    pub(crate) password: SecretSource,
    #[serde(default = "sixty")]
    pub(crate) cache_seconds: u32,
    #[serde(default)]
    pub(crate) attributes: Vec<String>,
    #[serde(default)]
    pub(crate) privileged_groups: Vec<String>,
    #[serde(default)]
    pub(crate) service_accounts_under: Vec<String>,
    #[serde(default)]
    pub(crate) service_account_groups: Vec<String>,
    #[serde(default)]
    pub(crate) accounts_without_entry: Vec<String>,
    #[serde(default)]
    pub(crate) balance: Balance,
    pub(crate) connections_per_server: Option<NonZeroUsize>,
    #[serde(default = "two_hundred_and_fifty_six")]
    pub(crate) spare_connections: usize,
    #[serde(default = "two")]
    pub(crate) warm_connections: usize,
    #[serde(default = "five")]
    pub(crate) health_check_seconds: u32,
}

/// The account that takes others out of groups and puts them back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Demotion {
    pub(crate) service_account: String,
    pub(crate) password: SecretSource,
    #[serde(default)]
    pub(crate) vital_groups: Vec<String>,
}

/// One address, or several in the order in which they are to be used.
#[derive(Debug, Clone)]
pub(crate) struct Urls(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Urls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Urls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"ldaps://dc1.example.com\", or several in brackets")
            }

            fn visit_str<E: de::Error>(self, url: &str) -> Result<Urls, E> {
                Ok(Urls(vec![url.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut urls: A) -> Result<Urls, A::Error> {
                let mut all = Vec::new();
                while let Some(url) = urls.next_element()? {
                    all.push(url);
                }
                Ok(Urls(all))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Balance {
    #[default]
    InOrder,
    LeastConnections,
}

fn sixty_four() -> usize {
    64
}

fn two_hundred_and_fifty_six() -> usize {
    256
}

fn two() -> usize {
    2
}

fn five() -> u32 {
    5
}

fn sixty() -> u32 {
    60
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Schema {
    Rfc2307,
    ActiveDirectory,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: ListenAddress,
    pub(crate) tls: ListenerTls,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) client_certificates: ClientCertificates,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) client_crl: Option<PathBuf>,
    #[serde(default)]
    pub(crate) proxy_protocol_from: Vec<IpNet>,
    pub(crate) rewrite_referrals: Option<String>,
    #[serde(default)]
    pub(crate) require_tls: bool,
    #[serde(default)]
    pub(crate) allow_cleartext_passwords: bool,
    #[serde(default)]
    pub(crate) tls_min: TlsMin,
    #[serde(default)]
    pub(crate) allow_unauthenticated_bind: bool,
    #[serde(default)]
    pub(crate) relay_opaque_sasl: bool,
    pub(crate) appended_codes: Option<String>,
    pub(crate) idle_seconds: Option<u32>,
    #[serde(default = "ten_thousand")]
    pub(crate) connections: usize,
    #[serde(default = "one_thousand")]
    pub(crate) connections_per_address: usize,
    #[serde(default = "sixteen")]
    pub(crate) request_mib: usize,
    #[serde(default = "two_hundred_and_fifty_six")]
    pub(crate) anonymous_request_kib: usize,
    #[serde(default = "sixteen")]
    pub(crate) answer_mib: usize,
    #[serde(default = "half_a_thousand")]
    pub(crate) large_messages_mib: usize,
    #[serde(default = "ten")]
    pub(crate) handshake_seconds: u32,
    #[serde(default = "sixty")]
    pub(crate) first_message_seconds: u32,
    #[serde(default = "sixty")]
    pub(crate) message_seconds: u32,
    #[serde(default = "three_hundred")]
    pub(crate) operation_seconds: u32,
    pub(crate) search_seconds: Option<u32>,
    #[serde(default = "four_thousand")]
    pub(crate) outstanding_operations: usize,
    #[serde(default = "sixty_four")]
    pub(crate) waiting_kib: usize,
    #[serde(default = "five")]
    pub(crate) drain_seconds: u32,
}

fn ten() -> u32 {
    10
}

fn three_hundred() -> u32 {
    300
}

fn four_thousand() -> usize {
    4_096
}

fn ten_thousand() -> usize {
    10_000
}

fn one_thousand() -> usize {
    1_000
}

fn half_a_thousand() -> usize {
    512
}

fn sixteen() -> usize {
    16
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ListenerTls {
    None,
    StartTls,
    Ldaps,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum TlsMin {
    #[default]
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientCertificates {
    #[default]
    None,
    Asked,
    Required,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Web {
    pub(crate) address: ListenAddress,
    pub(crate) public_url: Option<String>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) notify_token: Option<SecretSource>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Metrics {
    pub(crate) address: ListenAddress,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Plugins {
    pub(crate) folder: PathBuf,
    pub(crate) trusted_keys: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Connector {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) domain: String,
    pub(crate) base_url: Option<String>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) token: Credential,
    /// Only with a plugin for a cloud identity provider.
    pub(crate) cloud: Option<Cloud>,
    #[serde(default)]
    pub(crate) settings: toml::Table,
    #[serde(default)]
    pub(crate) limits: Limits,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Cloud {
    pub(crate) on_block: OnBlock,
    pub(crate) act_within_seconds: u32,
    pub(crate) match_attribute: Option<MatchAttribute>,
}

impl Default for Cloud {
    fn default() -> Self {
        Self { on_block: OnBlock::EndSessions, act_within_seconds: 3_600, match_attribute: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnBlock {
    None,
    EndSessions,
    Suspend,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MatchAttribute {
    pub(crate) directory: String,
    pub(crate) cloud: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) plugin: String,
    #[serde(default = "enforce")]
    pub(crate) mode: Mode,
    #[serde(default = "closed")]
    pub(crate) fail: FailMode,
    pub(crate) canary_of: Option<String>,
    #[serde(default)]
    pub(crate) settings: toml::Table,
    #[serde(default)]
    pub(crate) limits: Limits,
}

fn enforce() -> Mode {
    Mode::Enforce
}

fn closed() -> FailMode {
    FailMode::Closed
}

/// What a plugin may use; what is left out is the engine's default.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Limits {
    pub(crate) memory_mib: Option<usize>,
    pub(crate) call_ms: Option<u64>,
    pub(crate) concurrent_calls: Option<usize>,
}

impl From<Limits> for ListedLimits {
    fn from(Limits { memory_mib, call_ms, concurrent_calls }: Limits) -> Self {
        Self { memory_mib, call_ms, concurrent_calls }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Backtest {
    pub(crate) days: u32,
    pub(crate) most_events: u64,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) examples: usize,
}

impl Default for Backtest {
    fn default() -> Self {
        Self { days: 14, most_events: 5_000_000, threads: None, examples: 5 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Behavior {
    pub(crate) learning_days: u32,
    pub(crate) learning_accesses: u64,
    pub(crate) forget_after_days: u32,
    pub(crate) shared_from_accounts: u64,
    pub(crate) risk_half_life_hours: u32,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            learning_days: 7,
            learning_accesses: 20,
            forget_after_days: 180,
            shared_from_accounts: 10,
            risk_half_life_hours: 24,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Challenge {
    pub(crate) timeout_seconds: u32,
    pub(crate) timeout_limit_seconds: u32,
    pub(crate) per_account_and_hour: u32,
    pub(crate) denials_in_a_row: u32,
    pub(crate) wrong_codes: u32,
    pub(crate) late_answer_seconds: u32,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            timeout_seconds: 60,
            timeout_limit_seconds: 300,
            per_account_and_hour: 10,
            denials_in_a_row: 2,
            wrong_codes: 3,
            late_answer_seconds: 0,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Events {
    pub(crate) audit: Audit,
    pub(crate) without_store: FailMode,
    pub(crate) store_timeout_seconds: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self { audit: Audit::Summary, without_store: FailMode::Closed, store_timeout_seconds: 5 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) listener: Option<String>,
    #[serde(default)]
    pub(crate) networks: Vec<IpNet>,
    #[serde(default)]
    pub(crate) bind_names: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) networks: Vec<IpNet>,
    pub(crate) position: Option<SitePosition>,
}

/// Where a site is on Earth, in degrees and kilometres.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SitePosition {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    #[serde(default = "fifty")]
    pub(crate) uncertainty_km: f64,
}

fn fifty() -> f64 {
    50.0
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
}

impl Config {
    /// Files named in the configuration are meant relative to it.
    pub(crate) fn resolve_paths(&mut self, folder: &std::path::Path) {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        let secret = |source: &mut SecretSource| {
            if let SecretSource::File(path) = source {
                *path = folder.join(&*path);
            }
        };
        resolve(&mut self.data_folder);
        self.directory.ca_file.as_mut().map(resolve);
        secret(&mut self.directory.password);
        if let Some(demotion) = &mut self.demotion {
            secret(&mut demotion.password);
        }
        for listener in &mut self.listeners {
            listener.certificate.as_mut().map(resolve);
            listener.key.as_mut().map(resolve);
            listener.client_ca.as_mut().map(resolve);
            listener.client_crl.as_mut().map(resolve);
        }
        self.web.certificate.as_mut().map(resolve);
        self.web.key.as_mut().map(resolve);
        self.web.notify_token.as_mut().map(secret);
        resolve(&mut self.plugins.folder);
        self.plugins.trusted_keys.iter_mut().for_each(resolve);
        for connector in &mut self.connectors {
            connector.ca_file.as_mut().map(resolve);
            match &mut connector.token {
                Credential::File(path) => resolve(path),
                Credential::Oauth(client) => secret(&mut client.key),
                Credential::Environment(_) | Credential::PlainText(_) => {}
            }
        }
        for channel in &mut self.channels {
            channel.ca_file.as_mut().map(resolve);
            channel.secret.as_mut().map(secret);
            channel.password.as_mut().map(secret);
        }
    }
}
