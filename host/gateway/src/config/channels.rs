//! Notification channels.

use std::path::PathBuf;

use portcullis_channels::{address_problem, key_problem, url_problem};
use portcullis_core::policy::Severity;
use serde::Deserialize;

use super::address::host_and_port;
use super::problem::Problem;
use super::secret::{SecretSource, secret};
use super::validate::{file, secret_source};

/// Messages that a channel gets in an hour unless the configuration says otherwise.
const USUAL_PER_HOUR: u32 = 30;
/// The outbox has no more rows than this for a channel, twice over.
const MOST_PER_HOUR: u32 = 500;

/// A channel. Which of the settings go together is said by its kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) kind: ChannelKind,
    pub(crate) incidents: Option<Severity>,
    #[serde(default)]
    pub(crate) resolved: bool,
    #[serde(default = "usual_per_hour")]
    pub(crate) per_hour: u32,
    pub(crate) ca_file: Option<PathBuf>,
    /// Webhook.
    pub(crate) url: Option<String>,
    pub(crate) secret: Option<SecretSource>,
    pub(crate) allow_http: Option<bool>,
    /// Mail and syslog.
    pub(crate) server: Option<String>,
    /// Mail.
    pub(crate) tls: Option<MailTls>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretSource>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<Vec<String>>,
    /// Syslog.
    pub(crate) transport: Option<SyslogTransport>,
    pub(crate) facility: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChannelKind {
    Webhook,
    Smtp,
    Syslog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MailTls {
    Implicit,
    StartTls,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SyslogTransport {
    Udp,
    Tcp,
    Tls,
}

fn usual_per_hour() -> u32 {
    USUAL_PER_HOUR
}

impl ChannelKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Smtp => "smtp",
            Self::Syslog => "syslog",
        }
    }

    /// The settings that go with it, besides those that all have.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["url", "secret", "allow-http", "ca-file"],
            Self::Smtp => &["server", "tls", "ca-file", "user", "password", "from", "to"],
            Self::Syslog => &["server", "transport", "ca-file", "facility"],
        }
    }
}

impl Channel {
    /// How a mail server is spoken to.
    pub(crate) fn mail_tls(&self) -> MailTls {
        self.tls.unwrap_or(MailTls::StartTls)
    }

    /// How messages get to a collector of logs.
    pub(crate) fn transport(&self) -> SyslogTransport {
        self.transport.unwrap_or(SyslogTransport::Tls)
    }

    /// Host and port of a mail server or a collector of logs; the usual port unless one is given.
    pub(crate) fn place(&self) -> Result<(String, u16), String> {
        let text = self.server.as_deref().ok_or("is missing: name the server as host or host:port")?;
        let (host, port) = host_and_port(text)?;
        let usual = match (self.kind, self.mail_tls(), self.transport()) {
            // RFC 8314, section 3.3; RFC 6409, section 3.1; RFC 5321, section 4.5.4.2.
            (ChannelKind::Smtp, MailTls::Implicit, _) => 465,
            (ChannelKind::Smtp, MailTls::StartTls, _) => 587,
            (ChannelKind::Smtp, MailTls::None, _) => 25,
            // RFC 5425, section 4.1; RFC 5426, section 3.3; RFC 6587 leaves it open.
            (_, _, SyslogTransport::Tls) => 6514,
            (_, _, SyslogTransport::Udp | SyslogTransport::Tcp) => 514,
        };
        // An address of IPv6 is connected to, and stands in a certificate, without the brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok((host, port.unwrap_or(usual)))
    }

    /// Whether messages leave in clear text.
    fn is_clear(&self) -> bool {
        match self.kind {
            ChannelKind::Webhook => self.url.as_deref().is_some_and(|url| url.starts_with("http://")),
            ChannelKind::Smtp => self.mail_tls() == MailTls::None,
            ChannelKind::Syslog => self.transport() != SyslogTransport::Tls,
        }
    }

    fn given(&self) -> [(&'static str, bool); 11] {
        [
            ("url", self.url.is_some()),
            ("secret", self.secret.is_some()),
            ("allow-http", self.allow_http.is_some()),
            ("ca-file", self.ca_file.is_some()),
            ("server", self.server.is_some()),
            ("tls", self.tls.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("transport", self.transport.is_some()),
        ]
    }
}

pub(super) fn validate(problems: &mut Vec<Problem>, position: &str, channel: &Channel) {
    let own = channel.kind.settings();
    let kind = channel.kind.as_str();
    let given = channel.given().into_iter().chain([("facility", channel.facility.is_some())]);
    for (name, _) in given.filter(|(name, is_given)| *is_given && !own.contains(name)) {
        let text = format!("is none of kind = \"{kind}\", which takes: {}", own.join(", "));
        problems.push(Problem::new(["channel", position, name], text));
    }
    if !(1..=MOST_PER_HOUR).contains(&channel.per_hour) {
        let text = format!("has to be between 1 and {MOST_PER_HOUR}: what is more is summed up");
        problems.push(Problem::new(["channel", position, "per-hour"], text));
    }
    if channel.resolved && channel.incidents.is_none() {
        let text = "goes with `incidents`: name the lowest severity of incidents that the channel is told of";
        problems.push(Problem::new(["channel", position, "resolved"], text));
    }
    if let Some(path) = &channel.ca_file {
        file(problems, &["channel", position, "ca-file"], path);
        if own.contains(&"ca-file") && channel.is_clear() {
            let text = "is about TLS, which this channel does not speak: leave it out";
            problems.push(Problem::new(["channel", position, "ca-file"], text));
        }
    }
    match channel.kind {
        ChannelKind::Webhook => webhook(problems, position, channel),
        ChannelKind::Smtp => smtp(problems, position, channel),
        ChannelKind::Syslog => syslog(problems, position, channel),
    }
}

fn webhook(problems: &mut Vec<Problem>, position: &str, channel: &Channel) {
    let mut at = |key: &str, text: String| problems.push(Problem::new(["channel", position, key], text));
    match &channel.url {
        None => at("kind", "needs `url`, the address to which messages are posted".to_owned()),
        Some(url) => {
            if let Err(text) = url_problem(url, channel.allow_http.unwrap_or(false)) {
                at("url", text);
            }
        }
    }
    match &channel.secret {
        None => at("kind", "needs `secret`, by which the receiver knows that messages are genuine".to_owned()),
        Some(source) => match secret(source).and_then(|secret| key_problem(&secret)) {
            Ok(()) => {}
            Err(text) => at("secret", text),
        },
    }
}

fn smtp(problems: &mut Vec<Problem>, position: &str, channel: &Channel) {
    let mut at = |key: &str, text: String| problems.push(Problem::new(["channel", position, key], text));
    if let Err(text) = channel.place() {
        at("server", text);
    }
    match &channel.from {
        None => at("kind", "needs `from`, the sender's address".to_owned()),
        Some(from) => {
            if let Err(text) = address_problem(from) {
                at("from", text);
            }
        }
    }
    match channel.to.as_deref() {
        None | Some([]) => at("kind", "needs `to`, the addresses to write to".to_owned()),
        Some(all) => {
            for text in all.iter().filter_map(|to| address_problem(to).err()) {
                at("to", text);
            }
        }
    }
    match (&channel.user, &channel.password) {
        (Some(_), None) => at("user", "goes with `password`: give both, or neither".to_owned()),
        (None, Some(_)) => at("password", "goes with `user`: give both, or neither".to_owned()),
        (Some(_), Some(_)) if channel.mail_tls() == MailTls::None => {
            at("password", "would travel in clear text: set tls = \"start-tls\" or \"implicit\"".to_owned());
        }
        _ => {}
    }
    if let Some(source) = &channel.password {
        secret_source(problems, &["channel", position, "password"], source);
    }
}

fn syslog(problems: &mut Vec<Problem>, position: &str, channel: &Channel) {
    if let Err(text) = channel.place() {
        problems.push(Problem::new(["channel", position, "server"], text));
    }
    if let Err(text) = channel.facility() {
        problems.push(Problem::new(["channel", position, "facility"], text));
    }
}

impl Channel {
    /// Where messages are filed; `authpriv` unless given.
    pub(crate) fn facility(&self) -> Result<portcullis_channels::Facility, String> {
        use portcullis_channels::Facility;
        let name = self.facility.as_deref().unwrap_or("authpriv");
        let local = name.strip_prefix("local").and_then(|digit| digit.parse::<u8>().ok()).filter(|digit| *digit < 8);
        match (name, local) {
            ("auth", _) => Ok(Facility::Auth),
            ("authpriv", _) => Ok(Facility::AuthPriv),
            (_, Some(digit)) => Ok(Facility::Local(digit)),
            _ => Err(format!("`{name}` is not known: use auth, authpriv, or local0 to local7")),
        }
    }
}
