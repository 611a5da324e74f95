//! A browser as far as the demo needs one: it keeps cookies, follows redirections and fills in a sign-in form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

const TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTIONS: usize = 5;

/// A browser on one machine, that is, with one address of 127.0.0.0/8 as its own.
pub(super) struct Browser {
    client: Client,
    base: Url,
    cookies: BTreeMap<String, String>,
}

/// A page or an answer of the API.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Browser {
    /// For the pages under the base URL, which is plain HTTP.
    ///
    /// # Errors
    /// When the URL is malformed or the client cannot be made.
    pub(super) fn on(machine: IpAddr, base: &str) -> anyhow::Result<Self> {
        // Nobody is trusted, because nothing is asked over TLS.
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .local_address(machine)
            .build()?;
        let base = base.parse().with_context(|| format!("{base:?} is no URL"))?;
        Ok(Self { client, base, cookies: BTreeMap::new() })
    }

    /// Opens a page. A refusal is an answer, not an error.
    ///
    /// # Errors
    /// When there is no answer within ten seconds, or it leads in circles.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.open(Method::GET, path, None).await
    }

    /// Signs in to the console through its form. As a browser does, it names the page that the form is on in `Origin`,
    /// by which the console tells its own form from one of another site.
    ///
    /// # Errors
    /// As [`Browser::get`], and when the console does not let us in.
    pub(super) async fn sign_in(&mut self, login: &str, password: &str) -> anyhow::Result<()> {
        let page = self.get("/sign-in").await?;
        anyhow::ensure!(page.status == 200, "the sign-in page answered {}", page.status);
        let body = form(&[("login", login), ("password", password)]);
        let answer = self.open(Method::POST, "/sign-in", Some(body)).await?;
        anyhow::ensure!(answer.status == 200, "the console did not let {login} in: it answered {}", answer.status);
        Ok(())
    }

    async fn open(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let mut url = self.base.join(path)?;
        let (mut method, mut body) = (method, body);
        for _ in 0..=REDIRECTIONS {
            let mut request = self.client.request(method.clone(), url.clone());
            if !self.cookies.is_empty() {
                let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header(COOKIE, pairs.join("; "));
            }
            if let Some(body) = body.take() {
                request = request
                    .header(ORIGIN, self.base.origin().ascii_serialization())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body);
            }
            let answer = request.send().await.with_context(|| format!("{method} {url}"))?;
            for cookie in answer.headers().get_all(SET_COOKIE) {
                self.keep(cookie.to_str().unwrap_or_default());
            }
            let leads_to = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match leads_to.filter(|_| answer.status().is_redirection()) {
                Some(location) => {
                    url = url.join(location)?;
                    let leaves = url.origin() != self.base.origin();
                    anyhow::ensure!(!leaves, "the gateway leads away from itself, to {url}");
                    method = Method::GET;
                }
                None => {
                    let status = answer.status().as_u16();
                    return Ok(Answer { status, body: answer.text().await.with_context(|| url.to_string())? });
                }
            }
        }
        anyhow::bail!("{path} leads in circles")
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
        if let Some((name, value)) = pair {
            self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
}

/// As `application/x-www-form-urlencoded` wants it.
fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            escaped.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_escaped() {
        assert_eq!(form(&[("login", "admin"), ("password", "a+b&c=ü")]), "login=admin&password=a%2Bb%26c%3D%C3%BC");
    }

    #[test]
    fn cookies_are_kept_without_their_attributes() {
        let mut browser = Browser::on([127, 0, 0, 1].into(), "http://127.0.0.1:8080").unwrap();
        browser.keep("session=abc=; HttpOnly; Path=/");
        browser.keep("session=def");
        browser.keep("nonsense");
        assert_eq!(browser.cookies, BTreeMap::from([("session".to_owned(), "def".to_owned())]));
    }
}
