//! A running server and its clients.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portcullis_web::{FIRST_LOGIN, WebError, WebOptions, ensure_first_administrator, serve};
use reqwest::{Client, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{ANY_PORT, World};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub world: World,
    pub base: String,
    pub password: String,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<Result<(), WebError>>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(WebOptions::default()).await
    }

    pub async fn with(options: WebOptions) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = World::new();
        let first = ensure_first_administrator(world.store.as_ref(), world.ids.as_ref()).await.unwrap();
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, options, world.state(), shutdown.clone()));
        let password = first.expect("a new store has no administrator").reveal().to_owned();
        Self { world, base, password, shutdown, task }
    }

    /// A client on the machine with that loopback address.
    pub fn browser_at(&self, address: IpAddr) -> Browser {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .local_address(address)
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Browser { http, base: self.base.clone(), cookie: None }
    }

    pub fn browser(&self) -> Browser {
        self.browser_at(Ipv4Addr::LOCALHOST.into())
    }

    /// A client that has signed in.
    pub async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(FIRST_LOGIN, &self.password).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(header(&answer, "location"), "/activity");
        browser.cookie = Some(header(&answer, "set-cookie").split(';').next().unwrap().to_owned());
        browser
    }
}

pub struct Browser {
    pub http: Client,
    pub base: String,
    pub cookie: Option<String>,
}

impl Browser {
    pub async fn get(&self, path: &str) -> Response {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    pub async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// A form, sent as a browser does it from one of our own pages.
    pub async fn post(&self, path: &str, body: &str) -> Response {
        self.post_from(path, body, &[("sec-fetch-site", "same-origin")]).await
    }

    pub async fn post_from(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.http.post(format!("{}{path}", self.base)).body(body.to_owned());
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    pub async fn sign_in(&self, login: &str, password: &str) -> Response {
        self.post("/sign-in", &format!("login={login}&password={password}")).await
    }

    /// The anti-forgery secret of the session, out of a page of it.
    pub async fn csrf(&self) -> String {
        let page = self.text("/activity").await;
        let rest = page.split("name=\"csrf\" value=\"").nth(1).expect("a form with a secret");
        rest.split('"').next().unwrap().to_owned()
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Response {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.unwrap()
    }
}

pub fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// A stream of server-sent events.
pub struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    pub async fn open(browser: &Browser, path: &str) -> Self {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        Self { answer, text: String::new() }
    }

    /// The data of the next message; none when the stream ends.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let data = message.strip_prefix("data: ").map(str::to_owned);
                self.text = rest.to_owned();
                match data {
                    Some(data) => return Some(data),
                    None => continue,
                }
            }
            let chunk =
                tokio::time::timeout(PATIENCE, self.answer.chunk()).await.expect("a message in time").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.next().await.expect("the stream goes on")).unwrap()
    }
}
