//! JSON by HTTPS, signed as the Standard Webhooks specification has it
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>): the headers `webhook-id`,
//! `webhook-timestamp` and `webhook-signature`, the latter `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use portcullis_core::Secret;
use portcullis_core::channel::{Channel, ChannelError, Notice, Told};
use portcullis_tls::{MinVersion, client_config};
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde_json::{Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::text::{self, LONGEST_NAME, LONGEST_TEXT, line};
use crate::{ChannelSetupError, LONGEST_ANSWER, PATIENCE, chain};

/// What begins a secret of Standard Webhooks.
const PREFIX: &str = "whsec_";
/// Octets of a key: the specification wants 24 to 64, and takes any.
const SHORTEST_KEY: usize = 24;
const CONNECT: Duration = Duration::from_secs(10);
/// A receiver may ask for a longer pause; it does not get it.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The settings of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Where to post.
    pub url: String,
    /// The signing secret: `whsec_` and base64.
    pub secret: Secret,
    /// Certificate authorities that are trusted besides the system's.
    pub ca_file: Option<std::path::PathBuf>,
    /// Clear text may go to other machines.
    pub allow_http: bool,
}

/// A receiver of webhooks.
pub struct Webhook {
    url: Url,
    key: Zeroizing<Vec<u8>>,
    http: Client,
}

impl Webhook {
    /// Sends nothing yet. Blocks while certificates are read.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(options: &WebhookOptions) -> Result<Self, ChannelSetupError> {
        let url = url(&options.url, options.allow_http).map_err(|text| ChannelSetupError::of("url", text))?;
        let key = key(&options.secret).map_err(|text| ChannelSetupError::of("secret", text))?;
        Ok(Self { url, key, http: client(options.ca_file.as_deref())? })
    }

    /// Scheme and host. The path of a webhook is often as good as a password.
    #[must_use]
    pub fn target(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    async fn post(&self, notice: &Notice) -> Result<(), ChannelError> {
        let body = payload(notice).to_string();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).to_string();
        let request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &notice.id)
            .header("webhook-timestamp", &now)
            .header("webhook-signature", signature(&self.key, &notice.id, &now, &body))
            .body(body);
        let answer = request.send().await.map_err(|error| ChannelError::later(chain(&error.without_url())))?;
        judge(answer).await
    }
}

#[async_trait]
impl Channel for Webhook {
    async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        tokio::time::timeout(PATIENCE, self.post(notice)).await.unwrap_or_else(|_| {
            Err(ChannelError::later(format!("{} did not answer within {} s", self.target(), PATIENCE.as_secs())))
        })
    }

    async fn check(&self) -> Result<String, String> {
        let asked = tokio::time::timeout(PATIENCE, self.http.head(self.url.clone()).send()).await;
        let answer = asked.map_err(|_| format!("{} does not answer", self.target()))?;
        answer.map_err(|error| chain(&error.without_url()))?;
        Ok(format!("{} answers; whether it takes messages, a test shows", self.target()))
    }
}

/// What is wrong with an address, without reaching it.
///
/// # Errors
/// What is wrong, and what to do.
pub fn url_problem(text: &str, allow_http: bool) -> Result<(), String> {
    url(text, allow_http).map(drop)
}

/// What is wrong with a signing secret.
///
/// # Errors
/// What is wrong, and what to do; never the secret.
pub fn key_problem(secret: &Secret) -> Result<(), String> {
    key(secret).map(drop)
}

fn url(text: &str, allow_http: bool) -> Result<Url, String> {
    // Not even the parser's own words: they can show what was typed, and that can be a secret.
    let url = Url::parse(text).map_err(|_| "is no URL: write https://host/path".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a name or password: messages are signed instead, see `secret`".to_owned());
    }
    let is_near = url.host_str().is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
    });
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near || allow_http => Ok(url),
        "http" => {
            Err("names and incidents would travel in clear text: use https://, or, if the way there is protected \
                       otherwise, set allow-http = true"
                .to_owned())
        }
        other => Err(format!("begins with {other}://; use https://")),
    }
}

fn key(secret: &Secret) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = secret.reveal().trim();
    let shape = "has to be whsec_ and the base64 of 24 or more random octets; \
                 `echo whsec_$(openssl rand -base64 32)` makes one";
    let encoded = text.strip_prefix(PREFIX).ok_or(shape)?;
    let key = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| shape)?);
    if key.len() < SHORTEST_KEY {
        return Err(shape.to_owned());
    }
    Ok(key)
}

fn client(ca_file: Option<&Path>) -> Result<Client, ChannelSetupError> {
    let mut tls = Arc::unwrap_or_clone(client_config(ca_file, MinVersion::Tls12)?);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        // What is signed for this receiver is for nobody else.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(PATIENCE)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ChannelSetupError::of("url", format!("the HTTP client cannot be set up: {error}")))
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    // HMAC takes keys of every length (RFC 2104, section 2), so there is no error to meet.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// What the answer means, after the "Webhook sender" part of the specification: 2xx is a success, 410 the end, all else is
/// tried again; but what the body was refused for will be refused again.
async fn judge(answer: Response) -> Result<(), ChannelError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let after = pause(&answer);
    let text = said(answer).await;
    let text = if text.is_empty() { text } else { format!(": {text}") };
    let why = format!("the receiver answers with HTTP {}{text}", status.as_u16());
    Err(match status {
        StatusCode::GONE => ChannelError::Gone(why),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            ChannelError::Refused(why)
        }
        _ => ChannelError::Later { why, after },
    })
}

/// How long the receiver wants to be left alone (RFC 9110, section 10.2.3).
fn pause(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok()?,
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// The beginning of the answer's body. The rest is never read.
async fn said(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend(chunk.iter().take(LONGEST_ANSWER)),
            Ok(None) | Err(_) => break,
        }
    }
    line(&String::from_utf8_lossy(&bytes), LONGEST_ANSWER)
}

fn payload(notice: &Notice) -> Value {
    let mut data = told(&notice.told);
    if let Value::Object(fields) = &mut data {
        fields.insert("summary".to_owned(), text::summary(notice).into());
        if let Some(link) = &notice.link {
            fields.insert("link".to_owned(), link.as_str().into());
        }
        if let Some(until) = notice.silent_until {
            fields.insert("silent_until".to_owned(), text::time(until).into());
        }
        if let Some(sum) = &notice.summed_up {
            fields.insert("count".to_owned(), sum.count.into());
            fields.insert("first".to_owned(), sum.first.iter().map(told).collect());
        }
    }
    json!({ "type": text::event_type(notice.told.kind), "timestamp": text::time(notice.told.at), "data": data })
}

fn told(told: &Told) -> Value {
    json!({
        "type": text::event_type(told.kind),
        "at": text::time(told.at),
        "event": told.event.to_string(),
        "incident": told.incident.map(|id| id.to_string()),
        "severity": told.severity.map(text::severity),
        "account": line(told.account.as_str(), LONGEST_NAME),
        "login": line(&told.login, LONGEST_NAME),
        "source": line(&told.source, LONGEST_NAME),
        "text": line(&told.text, LONGEST_TEXT),
    })
}

#[cfg(test)]
mod tests;
