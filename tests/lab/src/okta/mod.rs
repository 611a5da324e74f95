//! A simulator of the parts of Okta's API that the gateway's connectors use: users, factors, Okta Verify push, one-time codes.
//!
//! It behaves as Okta documents its API and as recorded exchanges show it, in the unpleasant parts too: transaction
//! ids that change with every poll, 403 for a missing token, rate limits, answers that are no JSON. People's phones
//! are played by [`Behaviour`] or by whoever calls [`Okta::approve`] and its like. Left out: DPoP, compressed answers, and
//! filters of lists.

mod answer;
mod api;
mod codes;
mod control;
mod fault;
mod journal;
mod limits;
mod listener;
mod millis;
mod oauth;
mod people;
mod push;
mod serve;
mod sso;
mod state;
mod system_log;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use self::codes::{CodeFactor, SentCode};
pub use self::fault::{Call, Fault, RateHeaders};
pub use self::journal::Entry;
use self::listener::{Scissors, TlsListener};
pub use self::oauth::ServiceApp;
pub use self::people::Cast;
use self::push::Outcome;
pub use self::push::{Behaviour, NumberChallenge, Pending};
use self::state::Shared;
use crate::company::Company;
use crate::net::listen;
use crate::pki::Pki;

/// The token that is good unless [`OktaOptions::token`] says otherwise.
pub const DEFAULT_TOKEN: &str = "00LabTokenForTestsOnly-NotARealOktaToken00";

const DRAIN: Duration = Duration::from_secs(5);

/// How the simulator is set up. `OktaOptions::default()` listens on free ports of 127.0.0.1.
#[derive(Debug, Clone)]
pub struct OktaOptions {
    /// Where the API listens, with TLS; port 0 for any free one.
    pub addr: SocketAddr,
    /// Where the control interface listens, without TLS; port 0 for any free one. Whoever reaches it is in control.
    pub control_addr: SocketAddr,
    /// The host name in the base URL and in the certificate.
    pub host: String,
    /// The only good API token.
    pub token: String,
    /// How many requests of one [`Call`] are answered in a window.
    pub rate_limit: u32,
    /// How long a window is.
    pub rate_window: Duration,
    /// How long a push waits for an answer.
    pub push_lifetime: Duration,
}

impl Default for OktaOptions {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            addr: any,
            control_addr: any,
            host: "localhost".to_owned(),
            token: DEFAULT_TOKEN.to_owned(),
            rate_limit: 600,
            rate_window: Duration::from_secs(60),
            push_lifetime: Duration::from_secs(300),
        }
    }
}

/// What the administrator who made the token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRights {
    /// Everything that the simulator knows.
    Full,
    /// Reading only: a push is refused with 403 `E0000006`.
    ReadOnly,
}

/// A running simulator. Dropping it stops it.
pub struct Okta {
    shared: Arc<Shared>,
    addr: SocketAddr,
    control_addr: SocketAddr,
    ca_pem_path: PathBuf,
    tasks: TaskTracker,
    stop: DropGuard,
    _folder: Option<TempDir>,
}

impl Okta {
    /// Starts with the company in it and a certification authority of its own.
    ///
    /// # Errors
    /// When an address cannot be bound or the certificate cannot be made.
    pub async fn start(company: &Company, options: OktaOptions) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-okta-").tempdir()?;
        let pki = Pki::create(folder.path())?;
        let mut okta = Self::start_with(company, options, &pki).await?;
        okta._folder = Some(folder);
        Ok(okta)
    }

    /// Starts with a certificate of the given authority, so that a simulator that is stopped and started again on the
    /// same port is trusted still.
    ///
    /// # Errors
    /// As [`Okta::start`].
    pub async fn start_with(company: &Company, options: OktaOptions, pki: &Pki) -> anyhow::Result<Self> {
        let tls = pki.issue("okta", &[&options.host])?.server_config(&["http/1.1"])?;
        let api = listen(options.addr).await?;
        let control = listen(options.control_addr).await?;
        let (addr, control_addr) = (api.local_addr()?, control.local_addr()?);
        let base_url = format!("https://{}:{}", options.host, addr.port());
        let shared = Arc::new(Shared::new(base_url, company, &options));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let api = TlsListener::new(api, tls, stop.clone())?;
        let app = Router::new().fallback(serve::handle).with_state(Arc::clone(&shared));
        let app = app.into_make_service_with_connect_info::<Scissors>();
        let served = axum::serve(api, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { served.await });
        let served = axum::serve(control, control::router(Arc::clone(&shared)));
        let served = served.with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move { served.await });

        let ca_pem_path = pki.ca_pem_path().to_owned();
        Ok(Self { shared, addr, control_addr, ca_pem_path, tasks, stop: stop.drop_guard(), _folder: None })
    }

    /// Stops listening, lets requests at hand end, and waits for that, at most five seconds.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("connections to the Okta simulator did not end in time");
        }
    }

    /// The URL that an administrator configures as the organization's, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// Where the API listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL of the control interface, such as `http://127.0.0.1:8123/_lab`. Below it:
    /// `GET pending`, `people`, `journal`; `POST approve?login=[&number=]`, `reject?login=`, `expire?login=`,
    /// `behaviour?login=&do=wait|approve|reject|expire[&after_ms=]`, `number-challenge?login=[&from_poll=]`,
    /// `code?login=&code=`, `factor?login=&kind=google|sms|call|email`, `GET sent?login=`, `fault` and `fail-next?n=[&call=]` with a [`Fault`] as JSON,
    /// `rate-limit?limit=[&call=]`, `revoke-token`, `log-sign-ins?first=&count=`, `log-events` with a list of events as JSON,
    /// `expire-cursors`; `DELETE fault`, `journal`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/_lab", self.control_addr)
    }

    /// The certificate of the authority that signed the simulator's certificate, in PEM.
    #[must_use]
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem_path
    }

    /// Who among the users is special.
    #[must_use]
    pub fn cast(&self) -> Cast {
        self.shared.lock().cast.clone()
    }

    /// Sets how a person answers pushes from now on. The person is named by login, id, or the login's part before
    /// the `@`, here and in all methods below.
    ///
    /// # Errors
    /// When there is no such user, as in all methods below that name one.
    pub fn on_push(&self, login: &str, behaviour: Behaviour) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.behaviour = behaviour;
        Ok(())
    }

    /// Sets when a person's pushes from now on show a number to pick.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn number_challenge(&self, login: &str, when: NumberChallenge) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.number_challenge = when;
        Ok(())
    }

    /// Sets the code that the person's code factor accepts, once.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn set_code(&self, login: &str, code: &str) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.codes.shown = Some((code.to_owned(), false));
        Ok(())
    }

    /// Sets a code that is right and refused, because it is not for this time.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn set_code_out_of_window(&self, login: &str, code: &str) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.codes.out_of_window = Some(code.to_owned());
        Ok(())
    }

    /// Lets refused codes come as HTTP 200 with a `factorResult` that is none of success, as Okta documents it beside the
    /// usual 403.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn refuse_codes_in_200(&self, login: &str, on: bool) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.codes.refusals_in_200 = on;
        Ok(())
    }

    /// Enrols one more factor of the person.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn add_factor(&self, login: &str, factor: CodeFactor) -> anyhow::Result<()> {
        self.shared.lock().known_user(login)?.add_factor(factor);
        Ok(())
    }

    /// The codes that were sent to the person, the oldest first.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn sent_codes(&self, login: &str) -> anyhow::Result<Vec<SentCode>> {
        Ok(self.shared.lock().known_user(login)?.codes.sent.clone())
    }

    /// Approves the person's open pushes; gives how many there were, as the methods below do.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn approve(&self, login: &str) -> anyhow::Result<usize> {
        self.shared.lock().decide(login, Outcome::Approved)
    }

    /// Picks a number on the person's phone: the right one approves, a wrong one rejects.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn pick(&self, login: &str, number: u8) -> anyhow::Result<usize> {
        self.shared.lock().decide_by(login, control::picked(number))
    }

    /// Rejects the person's open pushes.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn reject(&self, login: &str) -> anyhow::Result<usize> {
        self.shared.lock().decide(login, Outcome::Rejected)
    }

    /// Lets the person's open pushes expire now.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn expire(&self, login: &str) -> anyhow::Result<usize> {
        self.shared.lock().decide(login, Outcome::Expired)
    }

    /// The open pushes, oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        self.shared.lock().pending()
    }

    /// How many pushes were sent to the person's phones since the start.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn pushes_started(&self, login: &str) -> anyhow::Result<usize> {
        Ok(self.shared.lock().known_user(login)?.pushes)
    }

    /// Lets the next `n` API requests meet the fault. Such faults queue up.
    pub fn fail_next(&self, n: usize, fault: &Fault) {
        self.shared.lock().faults.add(None, n, fault);
    }

    /// As [`Okta::fail_next`], for requests of one kind only.
    pub fn fail_next_call(&self, call: Call, n: usize, fault: &Fault) {
        self.shared.lock().faults.add(Some(call), n, fault);
    }

    /// Lets every API request meet the fault from now on, after those of [`Okta::fail_next`]; `None` ends that.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.lock().faults.set(fault);
    }

    /// Switches all faults off, the queued ones too.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Changes the rate limit of one kind of request, or of all, and starts new windows.
    pub fn set_rate_limit(&self, call: Option<Call>, limit: u32) {
        self.shared.lock().limits.set(call, limit);
    }

    /// Makes the token worthless, as an administrator would.
    pub fn revoke_token(&self) {
        self.shared.lock().token = None;
    }

    /// Makes another token the only good one.
    pub fn set_token(&self, token: &str) {
        self.shared.lock().token = Some(token.to_owned());
    }

    /// Gives the organization a service app, or takes it away, and its tokens with it.
    pub fn set_service_app(&self, app: Option<ServiceApp>) {
        let mut state = self.shared.lock();
        state.tokens.revoke();
        state.tokens.app = app;
    }

    /// Makes the access tokens so far worthless, as an administrator would.
    pub fn revoke_access_tokens(&self) {
        self.shared.lock().tokens.revoke();
    }

    /// How often an access token was asked for.
    #[must_use]
    pub fn access_tokens_asked(&self) -> usize {
        self.shared.lock().tokens.asked
    }

    /// Which roles the token's owner has.
    pub fn set_owner_roles(&self, roles: &[&str]) {
        self.shared.lock().owner_roles = roles.iter().map(|role| (*role).to_owned()).collect();
    }

    /// Changes what the token may do.
    pub fn set_token_rights(&self, rights: TokenRights) {
        self.shared.lock().rights = rights;
    }

    /// Logs events, in this order and at this moment, whatever times they tell of themselves.
    pub fn log_events(&self, events: impl IntoIterator<Item = Value>) {
        // All of them first: what makes them may ask the simulator.
        let events: Vec<_> = events.into_iter().collect();
        self.shared.lock().log.push(events);
    }

    /// Logs so many sign-ins, numbered from `first` on, by all users in turn. Their times end now and lie a second apart.
    pub fn log_sign_ins(&self, first: usize, count: usize) {
        let mut state = self.shared.lock();
        let events = state.sign_ins(first, count);
        state.log.push(events);
    }

    /// The sign-in with this number, as [`Okta::log_sign_ins`] makes it, for tests that spoil, repeat or delay it.
    #[must_use]
    pub fn sign_in(&self, number: usize) -> Value {
        self.shared.lock().sign_ins(number, 1).pop().unwrap_or_default()
    }

    /// The id of the sign-in with this number.
    #[must_use]
    pub fn sign_in_id(number: usize) -> String {
        system_log::uuid(number)
    }

    /// Refuses all cursors that were given out so far.
    pub fn expire_cursors(&self) {
        self.shared.lock().log.expire_cursors();
    }

    /// Makes the log's pages no longer than this; Okta's own limit with `None`.
    pub fn limit_pages(&self, most: Option<usize>) {
        self.shared.lock().log.limit_pages(most);
    }

    /// The application that all active users are assigned to.
    #[must_use]
    pub fn application(&self) -> &'static str {
        sso::APP
    }

    /// Takes the application away from a person, or gives it back.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn assign(&self, login: &str, assigned: bool) -> anyhow::Result<()> {
        let mut state = self.shared.lock();
        let id = state.known_user(login)?.id.clone();
        if assigned {
            state.unassigned.remove(&id);
        } else {
            state.unassigned.insert(id);
        }
        Ok(())
    }

    /// The person's status, e.g. `ACTIVE`, and how often all sessions were ended.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn status(&self, login: &str) -> anyhow::Result<(&'static str, usize)> {
        let mut state = self.shared.lock();
        let user = state.known_user(login)?;
        Ok((user.status, user.sessions_ended))
    }

    /// All API requests since the start, oldest first, at most the last ten thousand.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.lock().journal.entries()
    }

    /// Forgets the requests so far.
    pub fn clear_journal(&self) {
        self.shared.lock().journal.clear();
    }
}
