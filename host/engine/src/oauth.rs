//! Access tokens of OAuth 2.0 services, obtained by the gateway for a plugin that never sees them.
//!
//! The gateway proves who it is with a signed assertion instead of a password (RFC 7523, section 2.2; RFC 6749, section 4.4),
//! once for all calls of a connector: whoever needs a token while another call is getting one waits for that one.

mod key;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use portcullis_core::{Clock, Secret};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use self::key::SigningKey;
use crate::log::printable;

/// A client of an OAuth 2.0 service that authenticates with a key of its own (`private_key_jwt`).
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// Where tokens are asked for: an `https` address on a host that is granted to the connector.
    pub token_url: String,
    /// What the service calls the client.
    pub client_id: String,
    /// Its private key: PEM (PKCS #8, or PKCS #1 for RSA), or a JSON Web Key (RFC 7517). RSA with 2048 to 4096 bits, or EC on
    /// P-256 or P-384.
    pub key: Secret,
    /// What the service calls the key; none where it has one key only, or the JSON Web Key says so itself.
    pub key_id: Option<String>,
    /// What the token has to be good for.
    pub scopes: Vec<String>,
}

/// How long an assertion is good for. Short, because each is used at once; services allow an hour at most.
const ASSERTION_LIFETIME_S: u64 = 300;
/// How long a token is used where the service does not say how long it lives (RFC 6749 only recommends that it does).
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A token is not used in the last part of its life, so that none runs out on the way.
const MARGIN: Duration = Duration::from_secs(60);
/// How long one request for a token may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a failure is the answer to whoever asks next, so that a wrong key does not make a storm of requests.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A service that refuses fresh tokens is not asked for others again and again.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 64 << 10;
const MAX_TOKEN: usize = 16 << 10;
/// A shorter one would be found, and masked, in answers that have nothing to do with it.
const MIN_TOKEN: usize = 8;
const MAX_TEXT: usize = 300;
/// Earlier tokens that are still masked in answers.
const REMEMBERED: usize = 4;
/// Clocks that differ by more make assertions that are no good.
const CLOCK_SKEW_S: u64 = 60;

/// Why there is no token. The texts name the secret, and show none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// The service cannot be reached or has no time. Later it may work.
    Unavailable(String),
    /// The service refuses, and goes on to until something is changed.
    Refused(String),
}

/// One secret whose value is an access token.
pub(crate) struct TokenSource {
    name: String,
    client: OAuthClient,
    url: Url,
    key: SigningKey,
    /// Held while a token is being asked for: the others wait for that answer.
    state: tokio::sync::Mutex<State>,
    /// The latest tokens, to be masked.
    given: Mutex<VecDeque<Secret>>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    failed: Option<(NoToken, Instant)>,
    renewed: Option<Instant>,
}

struct Token {
    value: Secret,
    until: Instant,
}

/// What a token endpoint answers (RFC 6749, sections 5.1 and 5.2).
#[derive(Deserialize, Default)]
struct Body {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

impl TokenSource {
    /// # Errors
    /// What is wrong with the client; nothing of its key.
    pub(crate) fn new(name: &str, client: OAuthClient) -> Result<Self, String> {
        let wrong = |what: String| format!("the secret `{name}`: {what}");
        let mut key = SigningKey::read(&client.key).map_err(|what| wrong(format!("the private key {what}")))?;
        key.id = client.key_id.clone().or(key.id);
        let url = Url::parse(&client.token_url).map_err(|error| wrong(format!("the token address: {error}")))?;
        if client.client_id.trim().is_empty() {
            return Err(wrong("the client id is empty".to_owned()));
        }
        // RFC 6749, section 3.3.
        let is_scope = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if let Some(bad) = client.scopes.iter().find(|scope| !is_scope(scope)) {
            return Err(wrong(format!("`{}` is no scope", printable(bad, 80))));
        }
        let given = Mutex::new(VecDeque::new());
        Ok(Self { name: name.to_owned(), client, url, key, state: tokio::sync::Mutex::default(), given })
    }

    /// A token that can be used now.
    ///
    /// # Errors
    /// See [`NoToken`]. Right after a failure that failure again, without asking.
    pub(crate) async fn token(
        &self,
        http: &Client,
        clock: &Arc<dyn Clock>,
        timeout: Duration,
    ) -> Result<Secret, NoToken> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(token) = state.token.as_ref().filter(|token| now < token.until) {
            return Ok(token.value.clone());
        }
        if let Some((failure, until)) = state.failed.as_ref().filter(|(_, until)| now < *until) {
            tracing::debug!(secret = self.name, wait = ?until.duration_since(now), "no token is asked for yet");
            return Err(failure.clone());
        }
        // Only what it ends with is kept: who stops waiting in the middle leaves things as they were.
        let asked = tokio::time::timeout(TIMEOUT.min(timeout / 2), self.ask(http, clock)).await;
        let late = || Err(self.unavailable("the service did not answer in time"));
        match asked.unwrap_or_else(|_| late()) {
            Ok(token) => {
                let value = token.value.clone();
                self.remember(&value);
                state.failed = None;
                state.token = Some(token);
                Ok(value)
            }
            Err(failure) => {
                let wait = if matches!(failure, NoToken::Refused(_)) { AFTER_REFUSAL } else { AFTER_FAILURE };
                state.token = None;
                state.failed = Some((failure.clone(), Instant::now() + wait));
                Err(failure)
            }
        }
    }

    /// A service did not accept the token. Whether another attempt is worth it: there is a newer token already, or one will
    /// be asked for, which happens once a minute at most.
    pub(crate) async fn refused(&self, used: &Secret) -> bool {
        let mut state = self.state.lock().await;
        if state.token.as_ref().is_some_and(|token| token.value != *used) {
            return true;
        }
        let now = Instant::now();
        if state.renewed.is_some_and(|last| now.duration_since(last) < BETWEEN_RENEWALS) {
            return false;
        }
        state.token = None;
        state.renewed = Some(now);
        true
    }

    /// Tokens that a service may repeat in its answers.
    pub(crate) fn given(&self) -> Vec<Secret> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn remember(&self, token: &Secret) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.push_front(token.clone());
        given.truncate(REMEMBERED);
    }

    async fn ask(&self, http: &Client, clock: &Arc<dyn Clock>) -> Result<Token, NoToken> {
        let now = clock.now().0 / 1000;
        let assertion = self.assertion(now).map_err(|why| self.refusal(&why))?;
        let scope = self.client.scopes.join(" ");
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", scope.as_str()),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.reveal()),
        ];
        // The form is written as the query of an address is (https://url.spec.whatwg.org/#urlencoded-serializing).
        let mut body = self.url.clone();
        body.query_pairs_mut().clear().extend_pairs(form.iter().filter(|(_, value)| !value.is_empty()));
        let body = body.query().unwrap_or_default().to_owned();
        let request = http
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header("accept", HeaderValue::from_static("application/json"))
            .body(body);
        let asked = Instant::now();
        let answer = request.send().await.map_err(|error| self.broken(&error.without_url()))?;
        let (status, date) = (answer.status().as_u16(), server_time(&answer));
        let body = self.read(answer).await?;
        let parsed: Body = serde_json::from_slice(&body).unwrap_or_default();
        if status != 200 {
            return Err(self.judge(status, date, now, &parsed, &assertion));
        }
        self.accept(parsed, asked)
    }

    fn accept(&self, body: Body, asked: Instant) -> Result<Token, NoToken> {
        let kind = body.token_type.unwrap_or_default();
        if kind.eq_ignore_ascii_case("DPoP") {
            return Err(self.refusal(NO_DPOP));
        }
        if !kind.eq_ignore_ascii_case("Bearer") {
            return Err(self.refusal("the service gave a token that is no bearer token"));
        }
        let value = Secret::new(body.access_token.unwrap_or_default());
        let fits = (MIN_TOKEN..=MAX_TOKEN).contains(&value.reveal().len());
        if !fits || !value.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.refusal("the service gave a token that a header cannot carry, or none"));
        }
        let lifetime = body.expires_in.map_or(UNKNOWN_LIFETIME, Duration::from_secs).min(LONGEST_LIFETIME);
        let usable = lifetime.saturating_sub(MARGIN.min(lifetime / 10));
        Ok(Token { value, until: asked + usable })
    }

    /// RFC 7523, section 3: issuer and subject are the client, the audience is the address that is called.
    fn assertion(&self, now: u64) -> Result<Secret, String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| format!("the system has no randomness: {error}"))?;
        let mut header = json!({"alg": self.key.algorithm(), "typ": "JWT"});
        if let (Some(header), Some(id)) = (header.as_object_mut(), &self.key.id) {
            header.insert("kid".to_owned(), id.as_str().into());
        }
        let claims = json!({
            "iss": self.client.client_id, "sub": self.client.client_id, "aud": self.url.as_str(),
            "iat": now, "exp": now.saturating_add(ASSERTION_LIFETIME_S), "jti": BASE64URL.encode(random),
        });
        let part = |value: &serde_json::Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(signed.as_bytes())?;
        Ok(Secret::new(format!("{signed}.{}", BASE64URL.encode(signature))))
    }

    async fn read(&self, mut answer: Response) -> Result<Vec<u8>, NoToken> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.broken(&error.without_url()))? {
            if body.len().saturating_add(piece.len()) > MAX_ANSWER {
                return Err(self.unavailable("the service's answer is too large"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn judge(&self, status: u16, date: Option<u64>, now: u64, body: &Body, assertion: &Secret) -> NoToken {
        let code = body.error.as_deref().unwrap_or_default();
        if code == "invalid_dpop_proof" || code == "use_dpop_nonce" {
            return self.refusal(&format!("{code}: {NO_DPOP}"));
        }
        let mut text = format!("the service answered with HTTP {status}");
        if !code.is_empty() {
            text = format!("{text}, {code}");
        }
        if let Some(description) = body.error_description.as_deref().filter(|text| !text.is_empty()) {
            text = format!("{text}: {description}");
        }
        // A service that repeats what it was sent.
        let text = text.replace(assertion.reveal(), "[secret]").replace(self.client.key.reveal(), "[secret]");
        if let Some(difference) = date.map(|date| date.abs_diff(now)).filter(|seconds| *seconds > CLOCK_SKEW_S) {
            let text =
                format!("{text} (this machine's clock and the service's differ by {difference} s: set the clock)");
            return self.refusal(&text);
        }
        match status {
            429 | 500..=599 => self.unavailable(&text),
            300..=399 => self.refusal(&format!("{text}; the token address leads elsewhere")),
            _ => self.refusal(&text),
        }
    }

    fn broken(&self, error: &reqwest::Error) -> NoToken {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        self.unavailable(&text)
    }

    fn refusal(&self, why: &str) -> NoToken {
        NoToken::Refused(self.text(why))
    }

    fn unavailable(&self, why: &str) -> NoToken {
        NoToken::Unavailable(self.text(why))
    }

    fn text(&self, why: &str) -> String {
        format!("no access token for the secret `{}`: {}", self.name, printable(why, MAX_TEXT))
    }
}

/// What to do where a service wants proof of possession with each request (RFC 9449).
const NO_DPOP: &str = "the service demands DPoP, which is not supported; in Okta, take the mark off \"Require Demonstrating \
    Proof of Possession (DPoP) header in token requests\" under General of the application";

/// The service's clock, seconds since 1970.
fn server_time(answer: &Response) -> Option<u64> {
    let text = answer.headers().get(DATE)?.to_str().ok()?;
    let time = httpdate::parse_http_date(text).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("name", &self.name).finish_non_exhaustive()
    }
}
