//! `portcullis run`: from a configuration to a gateway that serves, and its end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use portcullis_core::Clock as _;
use portcullis_core::event::Record;
use portcullis_core::policies::PolicyDesk as _;
use portcullis_core::store::{ChallengeStore as _, EventStore as _};
use portcullis_ldap::Workers;
use portcullis_store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::assemble::{self, Gateway};
use crate::config::{Config, Loaded, LogFormat, LogLevel};
use crate::out::say;
use crate::reload::Reload;
use crate::sockets::{Inherited, Sockets};
use crate::system::System;
use crate::{events, manager, metrics, statuses};

/// How long the first client waits, at most, for what was imported to be learned from.
const LEARN_FIRST: Duration = Duration::from_secs(20);

pub(crate) fn run(config: &Path) -> Result<ExitCode> {
    let loaded = Loaded::read(config)?;
    start_log(&loaded.config);
    // Before there is a second thread.
    let inherited = Inherited::from_environment()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, loaded, inherited))
}

async fn serve(path: &Path, loaded: Loaded, inherited: Inherited) -> Result<ExitCode> {
    // From the first moment on: without anybody who listens to it, the signal ends a process.
    let hang_ups = signal(SignalKind::hangup())?;
    let config = &loaded.config;
    let store = assemble::open_store(config).await?;
    let forgotten = store.cancel_open_challenges(System.now()).await?;
    if forgotten > 0 {
        info!(forgotten, "challenges that were open when the gateway ended are cancelled");
    }
    let mut gateway = assemble::gateway(&loaded, &store).await?;
    gateway.guard.desk().recall().await?;
    let certificates = Arc::new(std::mem::take(&mut gateway.certificates));
    // Every socket is bound before the first client is served: a port that is taken is found at once.
    let sockets = Sockets::open(config, inherited).await?;
    for (listener, socket) in gateway.listeners.iter_mut().zip(&sockets.listeners) {
        listener.address = socket.local_addr()?;
    }
    if let Some(password) = portcullis_web::ensure_first_administrator(&store, &System).await? {
        say(format_args!("console first sign-in: {} {}", portcullis_web::FIRST_LOGIN, password.reveal()))?;
    }
    note(&store, "gateway-started", &format!("Version {} started.", env!("CARGO_PKG_VERSION"))).await?;

    gateway.guard.recover_profiles().await?;
    // What takes longer is learned while it serves.
    gateway.guard.learn_imported(Some(LEARN_FIRST)).await?;
    gateway.guard.load_exclusions().await?;

    let shutdown = CancellationToken::new();
    let mut end = EndSignals::new()?;
    let sessions_ended = CancellationToken::new();
    let mut summaries = JoinSet::new();
    summaries.spawn({
        let (guard, sessions_ended) = (Arc::clone(&gateway.guard), sessions_ended.clone());
        async move { guard.write_summaries(sessions_ended).await }
    });
    let nothing_to_learn = CancellationToken::new();
    let mut profiles = JoinSet::new();
    profiles.spawn({
        let (guard, end) = (Arc::clone(&gateway.guard), nothing_to_learn.clone());
        async move { guard.keep_profiles(end).await }
    });
    let mut demotions = JoinSet::new();
    let no_more_demotions = CancellationToken::new();
    demotions.spawn(Arc::clone(&gateway.guard).look_after_demotions(gateway.groups.take(), no_more_demotions.clone()));
    let mut incidents = JoinSet::new();
    let no_more_incidents = CancellationToken::new();
    let escalations = Arc::new(store.clone());
    incidents.spawn(Arc::clone(&gateway.guard).look_after_incidents(escalations, no_more_incidents.clone()));
    let mut messages = JoinSet::new();
    let no_more_messages = CancellationToken::new();
    messages.spawn(Arc::clone(&gateway.dispatcher).run(no_more_messages.clone()));
    let dispatcher = Arc::clone(&gateway.dispatcher);
    let mut clouds = JoinSet::new();
    let no_more_events = CancellationToken::new();
    clouds.spawn(Arc::clone(&gateway.cloud).run(no_more_events.clone()));
    clouds.spawn({
        let (guard, end) = (Arc::clone(&gateway.guard), no_more_events.clone());
        async move { guard.follow_imports(end).await }
    });
    let upstreams = gateway.upstreams.clone();
    let looking_after = tokio::spawn(async move { upstreams.look_after().await });
    let (guard, cloud, statuses) =
        (Arc::clone(&gateway.guard), Arc::clone(&gateway.cloud), Arc::clone(&gateway.statuses));
    let book = Arc::clone(&gateway.book);
    let watching = tokio::spawn({
        let book = Arc::clone(&book);
        async move { book.watch().await }
    });
    let trying = tokio::spawn(statuses::look_after(Arc::clone(&statuses)));
    let workers = Workers::start(std::thread::available_parallelism()?.get())?;
    let mut tasks = start(gateway, sockets, store.clone(), &workers, &shutdown);
    let (path, reader) = (path.to_owned(), Arc::clone(&book));
    let store_for_reload = store.clone();
    let reload = Reload {
        path,
        loaded,
        certificates,
        guard,
        book: reader,
        cloud,
        statuses,
        dispatcher,
        store: store_for_reload,
    };
    let reloading = tokio::spawn(reload.at_each(hang_ups));
    say("portcullis is ready")?;
    manager::ready();
    let ended_early = tokio::select! {
        signal = end.next() => { info!(signal, "ending"); false }
        _ = tasks.join_next() => { error!("a server ended by itself"); true }
        _ = summaries.join_next() => { error!("summaries are not stored any more"); true }
        _ = profiles.join_next() => { error!("what is learned is not stored any more"); true }
        _ = demotions.join_next() => { error!("demotions are not carried out any more"); true }
        _ = incidents.join_next() => { error!("incidents are not looked after any more"); true }
        _ = messages.join_next() => { error!("people are not told any more"); true }
        _ = clouds.join_next() => { error!("cloud services, or imports, are not read any more"); true }
    };
    manager::stopping();
    shutdown.cancel();
    no_more_events.cancel();
    no_more_demotions.cancel();
    no_more_incidents.cancel();
    no_more_messages.cancel();
    reloading.abort();
    trying.abort();
    watching.abort();
    book.cancel_backtest();
    let over = tokio::select! {
        () = drained(&mut tasks) => true,
        signal = end.next() => { warn!(signal, "ending at once, whatever is under way"); false }
    };
    if !over {
        tasks.shutdown().await;
    }
    sessions_ended.cancel();
    while summaries.join_next().await.is_some() {}
    while clouds.join_next().await.is_some() {}
    while demotions.join_next().await.is_some() {}
    while incidents.join_next().await.is_some() {}
    while messages.join_next().await.is_some() {}
    nothing_to_learn.cancel();
    while profiles.join_next().await.is_some() {}
    looking_after.abort();
    if let Err(error) = note(&store, "gateway-stopped", "Stopped.").await {
        warn!(%error, "the end of the gateway could not be recorded");
    }
    store.close().await;
    drop(workers);
    Ok(if ended_early { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn start(
    gateway: Gateway,
    sockets: Sockets,
    store: Store,
    workers: &Workers,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let (mut tasks, mut listeners) = (JoinSet::new(), Vec::new());
    for (listener, socket) in gateway.listeners.into_iter().zip(sockets.listeners) {
        let (name, address) = (listener.name.clone(), listener.address);
        let shared = portcullis_ldap::Shared::new(listener, gateway.upstreams.clone(), Arc::clone(&gateway.guard));
        let shared = Arc::new(shared.on(workers));
        listeners.push(Arc::clone(&shared));
        let shutdown = shutdown.clone();
        info!(%name, %address, "listening");
        tasks.spawn(async move { portcullis_ldap::serve(socket, shared, shutdown).await });
    }
    if let Some(socket) = sockets.metrics {
        let (page, shutdown) = (
            metrics::page(
                listeners,
                gateway.upstreams,
                Arc::clone(&gateway.guard),
                gateway.cloud,
                gateway.dispatcher,
                store,
            ),
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = portcullis_web::serve_metrics(socket, page, shutdown).await {
                error!(%error, "the metrics are not served any more");
            }
        });
    }
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        if let Err(error) = portcullis_web::serve(sockets.web, gateway.web, gateway.web_state, shutdown).await {
            error!(%error, "the console ended");
        }
    });
    tasks
}

async fn drained(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// The signals that end the gateway: the first gives what is under way its time, the second does not.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Records something that the gateway itself did.
pub(crate) async fn note(store: &Store, action: &str, detail: &str) -> Result<()> {
    let event = events::administration(System.now(), "gateway", action, detail.to_owned());
    Ok(store.append(Record { event, learned: None, incidents: Vec::new() }).await?)
}

/// The log goes to standard error. `PORTCULLIS_LOG` overrides the level, in the syntax of tracing's `EnvFilter`.
fn start_log(config: &Config) {
    let level = match config.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    // What the libraries say about their own work is for their authors, down to warnings.
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,portcullis={level},plugin={level}")));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}
