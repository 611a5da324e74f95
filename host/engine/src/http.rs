//! Requests of connectors: checked against what is granted, with secrets filled in on the way out and masked on the way in.

mod secrets;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::Clock;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Client, Url, redirect};

use crate::bindings::connector::portcullis::gateway::http::{Header, HttpError, Method, Request, Response};
use crate::grants::{Grants, HostGrant};
use crate::limits::ConnectorLimits;
use crate::log::printable;
use crate::minute::{Allowance, Minute};

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
    clock: Arc<dyn Clock>,
    minute: Mutex<Minute>,
    requests_per_minute: u32,
    timeout: Duration,
    request_body: usize,
    response_body: usize,
}

impl HttpGate {
    /// `grants` as [`Grants::checked`] returns them.
    ///
    /// # Errors
    /// Why TLS cannot be set up, as text.
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
        Ok(Self {
            client,
            grants,
            clock,
            minute: Mutex::new(Minute::new(limits.requests)),
            requests_per_minute: limits.requests,
            timeout: limits.request_timeout,
            request_body: limits.request_body,
            response_body: limits.response_body,
        })
    }

    /// Sends the request, if all of it is granted, and reads the whole answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let request = self.check(request)?;
        let now = self.clock.now();
        if self.minute.lock().unwrap_or_else(PoisonError::into_inner).take(now) != Allowance::Granted {
            let limit = self.requests_per_minute;
            return Err(HttpError::Unreachable(format!("not sent: {limit} requests in a minute are allowed")));
        }
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(HttpError::Timeout),
        }
    }

    fn check(&self, request: Request) -> Result<reqwest::Request, HttpError> {
        let (url, host) = self.check_url(&request.url)?;
        if request.body.len() > self.request_body {
            let (size, limit) = (request.body.len(), self.request_body);
            return Err(HttpError::Denied(format!("the body has {size} bytes; {limit} are allowed")));
        }
        let mut headers = self.check_headers(&request.headers, &host)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut out = reqwest::Request::new(method, url);
        if !request.body.is_empty() {
            *out.body_mut() = Some(request.body.into());
        } else if matches!(request.method, Method::Post | Method::Put) {
            // RFC 9110, section 8.6: these methods expect a body, and some services refuse a request that is silent about it.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *out.headers_mut() = headers;
        Ok(out)
    }

    fn check_url(&self, text: &str) -> Result<(Url, HostGrant), HttpError> {
        let denied = |reason: String| HttpError::Denied(printable(&reason, MAX_TEXT));
        if text.len() > MAX_URL {
            return Err(denied(format!("the address has {} bytes; {MAX_URL} are allowed", text.len())));
        }
        let url = Url::parse(text).map_err(|error| denied(format!("not an absolute address: {error}")))?;
        if url.scheme() != "https" {
            return Err(denied(format!("the scheme `{}` is not granted, only `https`", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(denied("an address with a user name or a password is not granted".into()));
        }
        let host = HostGrant::of(&url).ok_or_else(|| denied("the address has no host".into()))?;
        if !self.grants.hosts.contains(&host) {
            return Err(denied(format!("the host {host} is not granted")));
        }
        Ok((url, host))
    }

    fn check_headers(&self, headers: &[Header], host: &HostGrant) -> Result<HeaderMap, HttpError> {
        let denied = |reason: String| HttpError::Denied(printable(&reason, MAX_TEXT));
        let size: usize = headers.iter().map(|header| header.name.len().saturating_add(header.value.len())).sum();
        if size > MAX_HEADERS || headers.len() > MAX_HEADER_COUNT {
            return Err(denied(format!("more than {MAX_HEADER_COUNT} headers or {MAX_HEADERS} bytes of them")));
        }
        let mut out = HeaderMap::new();
        for Header { name, value } in headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| denied(format!("`{name}` is no header name")))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(denied(format!("the header `{name}` is set by the gateway")));
            }
            let value = secrets::fill(value, host, &self.grants)
                .map_err(|reason| denied(format!("header `{name}`: {reason}")))?;
            out.append(name, value);
        }
        Ok(out)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Response, HttpError> {
        let mut answer = self.client.execute(request).await.map_err(|error| self.failure(error))?;
        let size: usize =
            answer.headers().iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
        if size > MAX_HEADERS {
            return Err(HttpError::TooLarge);
        }
        let headers = answer
            .headers()
            .iter()
            .filter(|(name, _)| *name != SET_COOKIE)
            .map(|(name, value)| self.header(name, value));
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
        Ok(Response { status, headers, body: secrets::mask(body, &self.grants) })
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> Header {
        let value = secrets::mask(value.as_bytes().to_vec(), &self.grants);
        Header { name: name.as_str().to_owned(), value: String::from_utf8_lossy(&value).into_owned() }
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
        let text = secrets::mask(text.into_bytes(), &self.grants);
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

#[cfg(test)]
mod tests;
