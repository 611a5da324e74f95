//! Puts the rooms together.

mod listeners;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use portcullis_behavior as behavior;
use portcullis_core::demotion::Groups;
use portcullis_core::policies::PolicyProblem;
use portcullis_core::store::PluginStateStore;
use portcullis_core::{ListenerName, Secret};
use portcullis_guard::cloud::Cloud;
use portcullis_guard::{
    ApplicationRule, ChallengeBudget, ChannelEntry, Dispatcher, Guard, NamedNetwork, Options, Rooms, Surroundings,
};
use portcullis_ldap::{
    Balance, DomainNames, Listener, Lookup, LookupOptions, Members, Schema, Security, Upstream, UpstreamOptions,
    Upstreams,
};
use portcullis_store::{Store, StoreOptions};
use portcullis_tls::client_config;
use portcullis_web::{WebOptions, WebState};
use tracing::{error, info};

use crate::certificates::Certificates;
use crate::config::{self, Config, Loaded, Problem};
use crate::fences::FenceBook;
use crate::policies::{self, Book, Chosen, LoadedList};
use crate::statuses::Statuses;
use crate::system::System;
use crate::{channels, plugins};
use crate::{config as configuration, events};

use listeners::at_least;
pub(crate) use listeners::{listeners, web};

/// Everything that serves.
pub(crate) struct Gateway {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: Upstreams,
    pub(crate) guard: Arc<Guard>,
    pub(crate) book: Arc<Book>,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) web: WebOptions,
    pub(crate) web_state: WebState,
    pub(crate) certificates: Certificates,
    pub(crate) statuses: Arc<Statuses>,
    /// What takes accounts out of groups; none where nothing may.
    pub(crate) groups: Option<Arc<dyn Groups>>,
    pub(crate) dispatcher: Arc<Dispatcher>,
}

/// Makes the data folder, for the gateway alone, and opens the store in it.
pub(crate) async fn open_store(config: &Config) -> Result<Store> {
    let folder = &config.data_folder;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
    let path = events::database(folder);
    let store = Store::open(StoreOptions::new(&path)).await;
    store.with_context(|| format!("the event store {} cannot be opened", path.display()))
}

/// Loads the plugins and connects the rooms. What can be missing for a while, the directory and the services behind
/// connectors, is looked at in the background and named in the log.
pub(crate) async fn gateway(loaded: &Loaded, store: &Store) -> Result<Gateway> {
    let config = &loaded.config;
    let chosen = Chosen::between(config, store).await?;
    let channels = channels(loaded).await?;
    let (plugins, policies) = load_plugins(loaded, store, &chosen).await?;
    for problem in loaded.problems(plugins.broken).lines() {
        error!("{problem}");
    }
    // What is wrong with a list of the store is mended through the console, for which the gateway has to run.
    let problems = policies.all_problems();
    if matches!(chosen, Chosen::File { .. }) {
        let in_file = problems.iter().cloned().map(policies::in_file).collect();
        loaded.problems(in_file).lines().for_each(|problem| error!("{problem}"));
    } else {
        for PolicyProblem { policy, field, message, .. } in &problems {
            error!("policy {policy}: {field}: {message}");
        }
    }
    let revision = chosen.settle(&policies, store).await?;
    let upstreams = upstreams(config).map_err(|problem| loaded.problems(vec![problem]))?;
    let lookup = lookup(config, upstreams.clone()).map_err(|problem| loaded.problems(vec![problem]))?;
    let members = members(config, &lookup).map_err(|problem| loaded.problems(vec![problem]))?.map(Arc::new);
    let groups = members.clone().map(|members| members as Arc<dyn Groups>);
    let lookup = Arc::new(lookup);
    let store = Arc::new(store.clone());
    let rooms = Rooms {
        directory: lookup.clone(),
        events: store.clone(),
        learned: store.clone(),
        profiles: store.clone(),
        challenges: store.clone(),
        demotions: store.clone(),
        exclusions: store.clone(),
        clock: Arc::new(System),
        ids: Arc::new(System),
    };
    let dispatcher = Dispatcher::new(store.clone(), Arc::new(System), Arc::new(System), config.web.public_url.clone());
    let dispatcher = Arc::new(dispatcher);
    dispatcher.set_channels(channels).await?;
    let statuses = Arc::new(Statuses::default());
    statuses.replace(&plugins.connectors, &plugins.sources, &plugins.about);
    let guard = Arc::new(Guard::new(rooms, options(config), plugins.connectors));
    guard.set_policies(policies.entries);
    let book =
        Arc::new(Book::new(store.as_ref().clone(), config.clone(), Some(Arc::clone(&guard)), Some(lookup.clone())));
    let mut state = book.lock().await;
    book.is_in_force(&mut state, config.clone(), revision.number, problems);
    drop(state);
    let cloud = Arc::new(Cloud::new(Arc::clone(&guard), store.clone()));
    cloud.set_sources(plugins.sources);
    let (health, reading, connectors) = (store.clone(), Arc::clone(&cloud), Arc::clone(&statuses));
    let web_state = WebState {
        desk: guard.desk(),
        events: store.clone(),
        incidents: store.clone(),
        demotions: store.clone(),
        fences: Arc::new(FenceBook::new(store.as_ref().clone(), Arc::clone(&book), config)),
        exclusions: guard.clone(),
        channels: dispatcher.clone(),
        settings: store,
        risks: guard.clone(),
        policies: book.clone(),
        clock: Arc::new(System),
        ids: Arc::new(System),
        connectors: Arc::new(move || connectors.all()),
        healthy: Arc::new(move || health.health().last_error.is_none()),
        sources: Arc::new(move || reading.status()),
    };
    let mut certificates = Certificates::default();
    let web = web(config, &mut certificates).map_err(|problem| loaded.problems(vec![problem]))?;
    let listeners = listeners(config, &mut certificates).map_err(|problem| loaded.problems(vec![problem]))?;
    tokio::spawn(async move {
        match lookup.check().await {
            Ok(()) => info!("directory: the service account can read it"),
            Err(error) => error!("directory: {error}"),
        }
        if let Some(members) = members
            && let Err(error) = members.check().await
        {
            error!("demotion: {error}");
        }
    });
    Ok(Gateway { listeners, upstreams, guard, book, cloud, web, web_state, certificates, statuses, groups, dispatcher })
}

/// What sends messages to people.
pub(crate) async fn channels(loaded: &Loaded) -> Result<Vec<ChannelEntry>> {
    let config = loaded.config.clone();
    let made = tokio::task::spawn_blocking(move || channels::entries(&config)).await;
    made.context("making the channels panicked")?.map_err(|problems| loaded.problems(problems).into())
}

/// Loads the connectors that the configuration names and the policies that were chosen. Fails where the configuration has to be
/// mended.
pub(crate) async fn load_plugins(
    loaded: &Loaded,
    store: &Store,
    chosen: &Chosen,
) -> Result<(plugins::Plugins, LoadedList)> {
    let (config, list) = (loaded.config.clone(), chosen.list().to_vec());
    let state: Arc<dyn PluginStateStore> = Arc::new(store.clone());
    let cache = config.data_folder.join("compiled");
    let (plugins, list) = tokio::task::spawn_blocking(move || -> Result<_> {
        let engine = plugins::engine(&config, state, Some(&cache))?;
        Ok((plugins::load(&config, &engine), policies::load(list, &config, &engine)))
    })
    .await
    .context("loading the plugins panicked")??;
    let mut problems = plugins.problems.clone();
    if matches!(chosen, Chosen::File { .. }) {
        problems.extend(list.problems.iter().cloned().map(policies::in_file));
    }
    if problems.is_empty() { Ok((plugins, list)) } else { Err(loaded.problems(problems).into()) }
}

/// The client for directory look-ups.
pub(crate) fn lookup(config: &Config, upstreams: Upstreams) -> Result<Lookup, Problem> {
    let directory = &config.directory;
    let password: Secret =
        config::secret(&directory.password).map_err(|message| Problem::new(["directory", "password"], message))?;
    let mut options = LookupOptions::new(
        upstreams,
        directory.service_account.clone(),
        password,
        directory.base.clone(),
        match directory.schema {
            configuration::Schema::Rfc2307 => Schema::Rfc2307,
            configuration::Schema::ActiveDirectory => Schema::ActiveDirectory,
        },
    );
    options.domain = directory.domain.as_ref().zip(directory.netbios_name.as_ref()).map(|(dns, netbios)| DomainNames {
        dns: dns.clone(),
        netbios: netbios.clone(),
        upn_suffixes: directory.upn_suffixes.clone(),
    });
    options.attributes.clone_from(&directory.attributes);
    // What cloud accounts are matched by has to be read as well.
    let clouds = config.connectors.iter().filter_map(|connector| connector.cloud.as_ref()?.match_attribute.as_ref());
    for name in clouds.map(|names| &names.directory) {
        if !options.attributes.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            options.attributes.push(name.clone());
        }
    }
    options.privileged_groups.clone_from(&directory.privileged_groups);
    options.service_units.clone_from(&directory.service_accounts_under);
    options.service_groups.clone_from(&directory.service_account_groups);
    options.found_ttl = Duration::from_secs(u64::from(directory.cache_seconds));
    Ok(Lookup::new(options))
}

/// What takes accounts out of groups, where the configuration has an account for it.
pub(crate) fn members(config: &Config, lookup: &Lookup) -> Result<Option<Members>, Problem> {
    let Some(demotion) = &config.demotion else { return Ok(None) };
    let password =
        config::secret(&demotion.password).map_err(|message| Problem::new(["demotion", "password"], message))?;
    let vital = demotion.vital_groups.clone();
    Ok(Some(Members::new(lookup, demotion.service_account.clone(), password, vital)))
}

/// The servers of the directory. Made once: what is cloned of them shares TLS sessions.
pub(crate) fn upstreams(config: &Config) -> Result<Upstreams, Problem> {
    let directory = &config.directory;
    let addresses = directory.addresses().map_err(|message| Problem::new(["directory", "url"], message))?;
    let tls = || {
        client_config(directory.ca_file.as_deref(), at_least(directory.tls_min))
            .map_err(|error| Problem::new(["directory", "ca-file"], error.to_string()))
    };
    // One for all, so that all share their TLS sessions.
    let tls = if directory.start_tls || addresses.iter().any(|address| address.ldaps) { Some(tls()?) } else { None };
    let server = |address: config::DirectoryAddress| {
        let security = match (&tls, address.ldaps) {
            (Some(tls), true) => Security::Ldaps(Arc::clone(tls)),
            (Some(tls), false) if directory.start_tls => Security::StartTls(Arc::clone(tls)),
            _ => Security::Plain,
        };
        let mut upstream = Upstream::new(address.host, address.port, security);
        upstream.send_proxy_protocol = directory.send_proxy_protocol;
        upstream.active_directory = matches!(directory.schema, configuration::Schema::ActiveDirectory);
        upstream
    };
    let seconds = u64::from(directory.health_check_seconds);
    let options = UpstreamOptions {
        balance: match directory.balance {
            config::Balance::InOrder => Balance::InOrder,
            config::Balance::LeastConnections => Balance::LeastConnections,
        },
        connections: directory.connections_per_server.map(NonZeroUsize::get),
        spare: directory.spare_connections,
        warm: directory.warm_connections,
        health_interval: (seconds > 0).then(|| Duration::from_secs(seconds)),
    };
    Ok(Upstreams::new(addresses.into_iter().map(server).collect(), options))
}

fn options(config: &Config) -> Options {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    Options {
        surroundings: surroundings(config),
        accounts_without_entry: config.directory.accounts_without_entry.clone(),
        behavior: behavior_settings(config),
        positions: positions(config),
        challenge_timeout: seconds(config.challenge.timeout_seconds),
        challenge_timeout_limit: seconds(config.challenge.timeout_limit_seconds),
        challenge_budget: ChallengeBudget {
            per_hour: config.challenge.per_account_and_hour,
            denials_in_a_row: config.challenge.denials_in_a_row,
            wrong_codes: config.challenge.wrong_codes,
        },
        late_answer: seconds(config.challenge.late_answer_seconds),
        without_store: config.events.without_store,
        audit: config.events.audit,
        store_timeout: seconds(config.events.store_timeout_seconds),
        challenge_page: config.web.public_url.as_ref().map(|url| format!("{}/challenge", url.trim_end_matches('/'))),
    }
}

pub(crate) fn behavior_settings(config: &Config) -> behavior::Settings {
    let days = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
    let mut detections = config.detection.clone();
    detections.privileged_group_changed.groups.extend(config.directory.privileged_groups.iter().cloned());
    behavior::Settings {
        learning_time: days(config.behavior.learning_days),
        learning_accesses: config.behavior.learning_accesses,
        forget_after: days(config.behavior.forget_after_days),
        shared_from_accounts: config.behavior.shared_from_accounts,
        risk_half_life: Duration::from_secs(u64::from(config.behavior.risk_half_life_hours) * 3_600),
        detections,
        exclusions: config.exclusions.clone(),
        made: Vec::new(),
    }
}

fn positions(config: &Config) -> BTreeMap<String, behavior::seen::Place> {
    let place = |at: config::SitePosition| {
        #[expect(clippy::cast_possible_truncation, reason = "seven digits are a metre")]
        let (latitude, longitude, uncertainty_km) = (at.latitude as f32, at.longitude as f32, at.uncertainty_km as f32);
        behavior::seen::Place { latitude, longitude, uncertainty_km }
    };
    config.sites.iter().filter_map(|site| Some((site.name.clone(), place(site.position?)))).collect()
}

pub(crate) fn surroundings(config: &Config) -> Surroundings {
    let sites = config.sites.iter().flat_map(|site| {
        site.networks.iter().map(|network| NamedNetwork { name: site.name.clone(), network: *network })
    });
    let endpoints = config
        .endpoints
        .iter()
        .map(|endpoint| NamedNetwork { name: endpoint.name.clone(), network: endpoint.address.into() });
    let applications = config.applications.iter().map(|application| ApplicationRule {
        name: application.name.clone(),
        listener: application.listener.as_ref().map(ListenerName::new),
        networks: application.networks.clone(),
        bind_names: application.bind_names.clone(),
    });
    Surroundings { sites: sites.collect(), endpoints: endpoints.collect(), applications: applications.collect() }
}
