//! Listening, for as long as there is somebody at the machine.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::time::Duration;

use portcullis_tls::{MinVersion, client_config};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::time::{Instant, timeout};

use crate::backoff::Backoff;
use crate::stream::{Challenge, Messages};
use crate::{NotifyError, Options, desktop};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The gateway gives a sign of life every fifteen seconds; after three of them that did not come it is gone.
const SILENCE: Duration = Duration::from_secs(50);
/// A connection that held for so long had no fault of its own.
const HELD: Duration = Duration::from_secs(60);
/// Challenges that were shown: a new connection tells of those that are open once more.
const REMEMBERED: usize = 256;

/// Listens, and tells of each challenge once. Connections that end are made again, after a time that grows while they fail.
///
/// # Errors
/// Only what waiting does not mend: see [`NotifyError`].
pub async fn listen(options: Options, mut out: impl Write, mut log: impl Write) -> Result<Infallible, NotifyError> {
    let base = base_url(&options)?;
    let http = client(&options)?;
    let mut listener = Listener { options, base, shown: VecDeque::new() };
    let mut backoff = Backoff::default();
    let mut silent = false;
    loop {
        let begun = Instant::now();
        let why = match listener.connect(&http).await? {
            Ok(answer) => {
                writeln!(log, "portcullis notify: listening at {}", listener.base)?;
                silent = false;
                listener.follow(answer, &mut out, &mut log).await?
            }
            Err(why) => why,
        };
        if begun.elapsed() >= HELD {
            backoff.reset();
        }
        // One line for many failures of the same kind.
        if !std::mem::replace(&mut silent, true) {
            writeln!(log, "portcullis notify: {why}; trying again")?;
        }
        let mut random = [0];
        // Without randomness everybody comes back at the same time, which is bearable.
        let _ = getrandom::fill(&mut random);
        tokio::time::sleep(backoff.next(random[0])).await;
    }
}

fn base_url(options: &Options) -> Result<Url, NotifyError> {
    let typed = options.gateway.trim();
    let url = Url::parse(typed).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let url = url.filter(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty());
    let url = url.ok_or_else(|| NotifyError::Address(typed.to_owned()))?;
    let is_near = url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
    });
    if options.token.is_some() && url.scheme() == "http" && !is_near {
        return Err(NotifyError::ClearText(url.to_string()));
    }
    Ok(url)
}

fn client(options: &Options) -> Result<Client, NotifyError> {
    let tls = client_config(options.ca_file.as_deref(), MinVersion::Tls12)
        .map_err(|error| NotifyError::Setup(error.to_string()))?;
    let mut tls = std::sync::Arc::unwrap_or_clone(tls);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        // The token is for this gateway and no other host.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("portcullis-notify/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| NotifyError::Setup(format!("the HTTP client cannot be set up: {error}")))
}

struct Listener {
    options: Options,
    base: Url,
    shown: VecDeque<String>,
}

impl Listener {
    /// A stream of events, or why there is none at the moment.
    async fn connect(&self, http: &Client) -> Result<Result<Response, String>, NotifyError> {
        let mut url = self.base.clone();
        url.set_path("/notify/events");
        let mut request = http.get(url).header("accept", "text/event-stream");
        if let Some(token) = &self.options.token {
            request = request.bearer_auth(token.reveal());
        }
        let answer = match timeout(SILENCE, request.send()).await {
            Err(_) => return Ok(Err("the gateway does not answer".to_owned())),
            Ok(Err(error)) => return Ok(Err(chain(&error.without_url()))),
            Ok(Ok(answer)) => answer,
        };
        match answer.status() {
            StatusCode::OK => Ok(Ok(answer)),
            StatusCode::UNAUTHORIZED if self.options.token.is_some() => {
                Err(NotifyError::Refused("the gateway does not accept the token".to_owned()))
            }
            StatusCode::UNAUTHORIZED => {
                let text = "the gateway demands a token: get it from your administrator and give it with --token-file";
                Err(NotifyError::Refused(text.to_owned()))
            }
            StatusCode::NOT_FOUND => {
                Err(NotifyError::Refused(format!("{} is no gateway that tells of challenges", self.base)))
            }
            status if status.is_redirection() => {
                Err(NotifyError::Refused(format!("{} leads elsewhere: give the gateway's own address", self.base)))
            }
            status => Ok(Err(format!("the gateway answers with HTTP {}", status.as_u16()))),
        }
    }

    /// Tells of challenges until the stream ends. Why it ended.
    async fn follow(
        &mut self,
        mut answer: Response,
        out: &mut impl Write,
        log: &mut impl Write,
    ) -> Result<String, NotifyError> {
        let mut messages = Messages::default();
        loop {
            let piece = match timeout(SILENCE, answer.chunk()).await {
                Err(_) => return Ok("the gateway has fallen silent".to_owned()),
                Ok(Err(error)) => return Ok(chain(&error.without_url())),
                Ok(Ok(None)) => return Ok("the gateway ended the connection".to_owned()),
                Ok(Ok(Some(piece))) => piece,
            };
            let Ok(challenges) = messages.take(&piece) else {
                return Ok("the gateway sends something else than events".to_owned());
            };
            for challenge in challenges {
                self.tell(&challenge, out, log)?;
            }
        }
    }

    fn tell(&mut self, challenge: &Challenge, out: &mut impl Write, log: &mut impl Write) -> Result<(), NotifyError> {
        let Some(path) = challenge.path() else { return Ok(()) };
        if self.shown.iter().any(|shown| shown == path) {
            return Ok(());
        }
        self.shown.push_front(path.to_owned());
        self.shown.truncate(REMEMBERED);
        let mut address = self.base.clone();
        address.set_path(path);
        let (login, application) = (desktop::plain(&challenge.login), desktop::plain(&challenge.application));
        if self.options.print {
            writeln!(out, "{login} signs in to {application}: {address}")?;
            out.flush()?;
            return Ok(());
        }
        let machine = challenge.endpoint.as_deref().map(|name| format!(" from {}", desktop::plain(name)));
        let body = format!("{login} signs in to {application}{}. Was it you?", machine.unwrap_or_default());
        for trouble in desktop::show("Confirm your sign-in", &body, address.as_str()) {
            writeln!(log, "portcullis notify: {trouble}; the page is {address}")?;
        }
        Ok(())
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use portcullis_core::Secret;

    use super::*;

    fn options(gateway: &str, token: bool) -> Options {
        let token = token.then(|| Secret::new("a-token-for-this-test"));
        Options { gateway: gateway.to_owned(), ca_file: None, token, print: true }
    }

    #[test]
    fn a_token_does_not_travel_in_clear_text() {
        for fine in ["https://gateway.example", "http://127.0.0.1:8080", "http://[::1]:80/", "http://localhost"] {
            assert!(base_url(&options(fine, true)).is_ok(), "{fine}");
        }
        let refused = base_url(&options("http://gateway.example", true)).unwrap_err();
        assert!(matches!(refused, NotifyError::ClearText(_)));
        assert!(base_url(&options("http://gateway.example", false)).is_ok());
    }

    #[test]
    fn what_is_no_address_of_a_gateway_is_said() {
        for wrong in
            ["gateway.example", "ftp://gateway.example", "https://gateway.example/challenge", "https://a@b.example", ""]
        {
            assert!(matches!(base_url(&options(wrong, false)), Err(NotifyError::Address(_))), "{wrong}");
        }
    }
}
