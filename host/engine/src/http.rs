//! Requests of connectors: checked against what is granted, with secrets filled in on the way out and masked on the way in.

mod secrets;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::{Clock, Secret};
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Client, StatusCode, Url, redirect};

use crate::bindings::connector::portcullis::gateway::http::{Header, HttpError, Method, Request, Response};
use crate::grants::{Grants, HostGrant, TokenGrant};
use crate::limits::ConnectorLimits;
use crate::log::printable;
use crate::minute::{Allowance, Minute};
use crate::oauth::{NoToken, TokenSource};

/// How long resolving, connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of all header names and values of a request, or of an answer.
const MAX_HEADERS: usize = 64 << 10;
const MAX_HEADER_COUNT: usize = 100;
const MAX_URL: usize = 8 << 10;
/// Longest error text that a plugin gets.
const MAX_TEXT: usize = 300;

/// Headers that say how a message is framed and whose it is: the gateway's to set.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
    "proxy-authorization",
    "proxy-connection",
];

/// The way of one connector to the network. All its instances share it, with its connections and its allowance.
pub(crate) struct HttpGate {
    client: Client,
    grants: Grants,
    /// Those of the grants, by name.
    tokens: BTreeMap<String, TokenSource>,
    clock: Arc<dyn Clock>,
    minute: Mutex<Minute>,
    requests_per_minute: u32,
    timeout: Duration,
    request_body: usize,
    response_body: usize,
}

/// Headers, and the names of the access tokens that stand in them.
type CheckedHeaders = (Vec<(HeaderName, String)>, Vec<String>);

/// A request of which everything is granted, without the secrets.
struct Checked {
    method: reqwest::Method,
    url: Url,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    /// Names of the access tokens that it needs.
    tokens: Vec<String>,
}

impl HttpGate {
    /// `grants` as [`Grants::checked`] returns them.
    ///
    /// # Errors
    /// Why TLS cannot be set up or a client of an OAuth service is none, as text.
    pub(crate) fn new(grants: Grants, limits: &ConnectorLimits, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(grants.ca_file.as_deref())?)
            .https_only(true)
            .http1_only()
            .http1_max_headers(MAX_HEADER_COUNT)
            // A redirection could carry a credential to a host that nobody granted; a proxy would see where requests go.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // A request that may have had its effect is the plugin's to repeat.
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(limits.request_timeout))
            .pool_max_idle_per_host(limits.concurrency)
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("the HTTP client cannot be set up: {error}"))?;
        let source = |(name, grant): (&String, &TokenGrant)| {
            TokenSource::new(name, grant.client.clone()).map(|source| (name.clone(), source))
        };
        let tokens = grants.tokens.iter().map(source).collect::<Result<_, _>>()?;
        Ok(Self {
            client,
            grants,
            tokens,
            clock,
            minute: Mutex::new(Minute::new(limits.requests)),
            requests_per_minute: limits.requests,
            timeout: limits.request_timeout,
            request_body: limits.request_body,
            response_body: limits.response_body,
        })
    }

    /// Whether what can wait may send something: it leaves half of each minute's requests to what cannot.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(crate) fn is_at_leisure(&self) -> Result<(), Duration> {
        let minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        minute.half_is_used(self.clock.now()).map_or(Ok(()), Err)
    }

    /// Sends the request, if all of it is granted, and reads the whole answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let request = self.check(request)?;
        let now = self.clock.now();
        if self.minute.lock().unwrap_or_else(PoisonError::into_inner).take(now) != Allowance::Granted {
            let limit = self.requests_per_minute;
            return Err(HttpError::Unreachable(format!("not sent: {limit} requests in a minute are allowed")));
        }
        match tokio::time::timeout(self.timeout, self.exchange(&request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Timeout),
        }
    }

    fn check(&self, request: Request) -> Result<Checked, HttpError> {
        let (url, host) = self.check_url(&request.url)?;
        if request.body.len() > self.request_body {
            let (size, limit) = (request.body.len(), self.request_body);
            return Err(HttpError::Denied(format!("the body has {size} bytes; {limit} are allowed")));
        }
        let (headers, tokens) = self.check_headers(request.headers, &host)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        Ok(Checked { method, url, headers, body: request.body, tokens })
    }

    /// The request as it is sent, with secrets and tokens filled in.
    fn build(&self, request: &Checked, tokens: &BTreeMap<&str, Secret>) -> Result<reqwest::Request, HttpError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let secret = |name: &str| {
                let granted = self.grants.secrets.get(name).map(|grant| grant.value.clone());
                granted.or_else(|| tokens.get(name).cloned())
            };
            let value = secrets::fill(value, secret).map_err(|reason| denied(&format!("header `{name}`: {reason}")))?;
            headers.append(name, value);
        }
        let mut out = reqwest::Request::new(request.method.clone(), request.url.clone());
        if !request.body.is_empty() {
            *out.body_mut() = Some(request.body.clone().into());
        } else if matches!(request.method, reqwest::Method::POST | reqwest::Method::PUT) {
            // RFC 9110, section 8.6: these methods expect a body, and some services refuse a request that is silent about it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *out.headers_mut() = headers;
        Ok(out)
    }

    fn check_url(&self, text: &str) -> Result<(Url, HostGrant), HttpError> {
        if text.len() > MAX_URL {
            return Err(denied(&format!("the address has {} bytes; {MAX_URL} are allowed", text.len())));
        }
        let url = Url::parse(text).map_err(|error| denied(&format!("not an absolute address: {error}")))?;
        if url.scheme() != "https" {
            return Err(denied(&format!("the scheme `{}` is not granted, only `https`", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied("an address with a user name or a password is not granted"));
        }
        let host = HostGrant::of(&url).ok_or_else(|| denied("the address has no host"))?;
        if !self.grants.hosts.contains(&host) {
            return Err(denied(&format!("the host {host} is not granted")));
        }
        Ok((url, host))
    }

    fn check_headers(&self, headers: Vec<Header>, host: &HostGrant) -> Result<CheckedHeaders, HttpError> {
        let size: usize = headers.iter().map(|header| header.name.len().saturating_add(header.value.len())).sum();
        if size > MAX_HEADERS || headers.len() > MAX_HEADER_COUNT {
            return Err(denied(&format!("more than {MAX_HEADER_COUNT} headers or {MAX_HEADERS} bytes of them")));
        }
        let (mut out, mut tokens) = (Vec::new(), Vec::new());
        for Header { name, value } in headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| denied(&format!("`{name}` is no header name")))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(denied(&format!("the header `{name}` is set by the gateway")));
            }
            let wrong = |reason: String| denied(&format!("header `{name}`: {reason}"));
            let named = secrets::named(&value, host, &self.grants).map_err(wrong)?;
            if HeaderValue::from_str(&value).is_err() {
                return Err(wrong("a header value has forbidden characters".to_owned()));
            }
            tokens.extend(named.into_iter().filter(|name| self.tokens.contains_key(*name)).map(str::to_owned));
            out.push((name, value));
        }
        Ok((out, tokens))
    }

    /// Sends the request. One that a service refuses because of a token (401) was not carried out, and is sent once more with
    /// a new one.
    async fn exchange(&self, request: &Checked) -> Result<Response, HttpError> {
        let mut again = !request.tokens.is_empty();
        loop {
            let tokens = self.tokens_for(request).await?;
            let out = self.build(request, &tokens)?;
            let answer = self.client.execute(out).await.map_err(|error| self.failure(error))?;
            if again && answer.status() == StatusCode::UNAUTHORIZED && self.renews(&tokens).await {
                again = false;
                continue;
            }
            return self.read(answer).await;
        }
    }

    async fn tokens_for<'a>(&self, request: &'a Checked) -> Result<BTreeMap<&'a str, Secret>, HttpError> {
        let mut tokens = BTreeMap::new();
        for name in &request.tokens {
            let Some(source) = self.tokens.get(name) else { continue };
            let token = source.token(&self.client, &self.clock, self.timeout).await.map_err(|none| match none {
                NoToken::Unavailable(text) => HttpError::Unreachable(text),
                NoToken::Refused(text) => HttpError::Denied(text),
            })?;
            tokens.insert(name.as_str(), token);
        }
        Ok(tokens)
    }

    /// Whether there will be other tokens than these.
    async fn renews(&self, tokens: &BTreeMap<&str, Secret>) -> bool {
        let mut renews = false;
        for (name, used) in tokens {
            if let Some(source) = self.tokens.get(*name) {
                renews |= source.refused(used).await;
            }
        }
        renews
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Response, HttpError> {
        let size: usize =
            answer.headers().iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
        if size > MAX_HEADERS {
            return Err(HttpError::TooLarge);
        }
        let hidden = self.hidden();
        let headers = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != SET_COOKIE)
            .map(|(name, value)| header(name, value, &hidden));
        let headers = headers.collect();
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        // The content coding is already off: what is counted is what the plugin would get, piece by piece, so that a small
        // answer that unpacks to a large one is cut off on the way.
        while let Some(piece) = answer.chunk().await.map_err(|error| self.failure(error))? {
            if body.len().saturating_add(piece.len()) > self.response_body {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Response { status, headers, body: secrets::mask(body, &hidden) })
    }

    /// Everything that must not come back into the sandbox.
    fn hidden(&self) -> Vec<Secret> {
        let tokens = self.tokens.values().flat_map(TokenSource::given);
        self.grants.secrets.values().map(|grant| grant.value.clone()).chain(tokens).collect()
    }

    /// Says on which side of sending it failed. The address is left out: it can hold identifiers, and the plugin knows it.
    fn failure(&self, error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        let text = secrets::mask(text.into_bytes(), &self.hidden());
        let text = printable(&String::from_utf8_lossy(&text), MAX_TEXT);
        if error.is_connect() || error.is_builder() {
            HttpError::Unreachable(text)
        } else if error.is_timeout() {
            HttpError::Timeout
        } else {
            HttpError::Malformed(text)
        }
    }
}

fn denied(reason: &str) -> HttpError {
    HttpError::Denied(printable(reason, MAX_TEXT))
}

fn header(name: &HeaderName, value: &HeaderValue, hidden: &[Secret]) -> Header {
    let value = secrets::mask(value.as_bytes().to_vec(), hidden);
    Header { name: name.as_str().to_owned(), value: String::from_utf8_lossy(&value).into_owned() }
}

#[cfg(test)]
mod tests;
