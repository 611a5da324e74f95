//! Requests to the organisation.

use serde::de::DeserializeOwned;

use crate::contract::portcullis::gateway::http::{Header, HttpError, Method, Request, Response};
use crate::contract::portcullis::gateway::log::Level;
use crate::{Authorization, BaseUrl, Budget, Fault, dates, rate};

/// What a connector needs of the gateway.
pub trait Host {
    /// Sends a request; see `http.send` of the contract.
    ///
    /// # Errors
    /// There is no complete answer.
    fn send(&self, request: Request) -> Result<Response, HttpError>;
    /// The gateway's clock: milliseconds since 1970.
    fn now(&self) -> u64;
    /// Writes a line to the gateway's log.
    fn log(&self, level: Level, message: &str);
}

/// An answer of any status.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer(Response);

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self(response)
    }
}

impl Answer {
    /// HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Values of a header in the order of arrival; case does not matter.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        let is_meant = move |header: &&Header| header.name.eq_ignore_ascii_case(name);
        self.0.headers.iter().filter(is_meant).map(|header| header.value.as_str())
    }

    /// Okta's clock when it answered: milliseconds since 1970.
    #[must_use]
    pub fn date(&self) -> Option<u64> {
        self.headers("date").find_map(dates::http_date)
    }

    /// By which Okta's support finds the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        let is_plain = |id: &&str| id.len() <= 80 && id.bytes().all(|byte| byte.is_ascii_graphic());
        self.headers("x-okta-request-id").find(is_plain)
    }

    /// Whether the next requests should be spaced out.
    #[must_use]
    pub fn is_budget_scarce(&self) -> bool {
        rate::is_scarce(self)
    }

    /// What is left of the rate limit's window, where Okta says so.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        Budget::of(self)
    }

    /// Reads the body, whatever else it holds.
    ///
    /// # Errors
    /// [`Fault::Protocol`] when it is not JSON of this shape. The text says where and not what.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Fault::Protocol(format!("Okta's answer (HTTP {}) is not what it should be at {place}", self.status()))
        })
    }
}

/// Sends requests with the credentials of one connector.
pub struct Client<'a, H: Host> {
    host: &'a H,
    base: &'a BaseUrl,
    authorization: Authorization,
    /// Okta shows it to the person and logs it.
    user_agent: String,
    /// Whom the request is made for, where the administrator wants Okta to know.
    forwarded_for: Option<String>,
}

impl<'a, H: Host> Client<'a, H> {
    /// A client for one organisation, with an API token.
    pub fn new(host: &'a H, base: &'a BaseUrl) -> Self {
        let user_agent = concat!("Portcullis/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { host, base, authorization: Authorization::ApiToken, user_agent, forwarded_for: None }
    }

    /// Presents the credentials as what they are.
    #[must_use]
    pub fn authorized(mut self, authorization: &Authorization) -> Self {
        self.authorization = authorization.clone();
        self
    }

    /// Tells Okta the address that the access comes from.
    #[must_use]
    pub fn on_behalf_of(mut self, address: Option<String>) -> Self {
        self.forwarded_for = address;
        self
    }

    /// Asks for a path below the organisation's address; it begins with a slash.
    ///
    /// # Errors
    /// No answer, or one whose status is no success.
    pub fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.send(Method::Get, format!("{}{path}", self.base), Vec::new())
    }

    /// Sends a request without a body to a path below the organisation's address; it begins with a slash.
    ///
    /// # Errors
    /// No answer, or one whose status is no success.
    pub fn send_to(&self, method: Method, path: &str) -> Result<Answer, Fault> {
        self.send(method, format!("{}{path}", self.base), Vec::new())
    }

    /// Follows a link of an earlier answer, with the credentials, hence only inside the organisation.
    ///
    /// # Errors
    /// The link leads elsewhere; no answer, or one whose status is no success.
    pub fn follow(&self, method: Method, link: &str, body: Vec<u8>) -> Result<Answer, Fault> {
        if !self.base.leads_to(link) {
            let base = self.base;
            return Err(Fault::Protocol(format!(
                "Okta's answer holds a link that does not lead to {base}; not followed"
            )));
        }
        self.send(method, link.to_owned(), body)
    }

    fn send(&self, method: Method, url: String, body: Vec<u8>) -> Result<Answer, Fault> {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let mut headers = vec![
            header("authorization", self.authorization.header()),
            header("accept", "application/json"),
            header("user-agent", &self.user_agent),
        ];
        if !body.is_empty() {
            headers.push(header("content-type", "application/json"));
        }
        if let Some(address) = &self.forwarded_for {
            headers.push(header("x-forwarded-for", address));
        }
        let answer = Answer(self.host.send(Request { method, url, headers, body })?);
        if (200..=299).contains(&answer.status()) { Ok(answer) } else { Err(Fault::of(&answer)) }
    }
}
