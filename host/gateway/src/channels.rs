//! Notification channels: from the configuration to what sends, and `portcullis channel`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Subcommand;
use portcullis_channels::{
    ChannelSetupError, Login, Smtp, SmtpOptions, SmtpTls, Syslog, SyslogOptions, Transport, Webhook, WebhookOptions,
};
use portcullis_core::channel::{Channel, Subscription};
use portcullis_core::{ChannelName, Clock as _, Ids as _};
use portcullis_guard::{ChannelEntry, test_notice};

use crate::accounts::{Where, person};
use crate::config::{self, ChannelKind, Config, Loaded, MailTls, Problem, SyslogTransport};
use crate::out::say;
use crate::system::{self, System};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Send a message that says that it is a test, as the running gateway would.
    Test {
        #[command(flatten)]
        place: Where,
        /// The channel's name.
        name: String,
    },
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    let Command::Test { place: file, name } = command;
    let loaded = Loaded::read(&file.config)?;
    let all = &loaded.config.channels;
    let Some((place, channel)) = all.iter().enumerate().find(|(_, channel)| channel.name == name) else {
        let names: Vec<_> = all.iter().map(|channel| channel.name.as_str()).collect();
        let advice =
            if names.is_empty() { "none is configured".to_owned() } else { format!("there are: {}", names.join(", ")) };
        bail!("there is no channel `{name}`; {advice}");
    };
    let entry = entry(place, channel).map_err(|problem| loaded.problems(vec![problem]))?;
    let now = System.now();
    let notice = test_notice(&person(), now, System.event_id(now));
    if let Err(error) = system::block_on(async { Ok(entry.channel.send(&notice).await) })? {
        bail!("channel {name}: {error}");
    }
    say(format_args!("channel {name}: the test message was taken over by {}", entry.target))?;
    Ok(ExitCode::SUCCESS)
}

/// All channels of the configuration, or everything that is wrong with them. Blocks while certificates are read.
pub(crate) fn entries(config: &Config) -> Result<Vec<ChannelEntry>, Vec<Problem>> {
    let mut entries = Vec::with_capacity(config.channels.len());
    let mut problems = Vec::new();
    for (place, channel) in config.channels.iter().enumerate() {
        match entry(place, channel) {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn entry(place: usize, channel: &config::Channel) -> Result<ChannelEntry, Problem> {
    let position = place.to_string();
    let at = |key: &str, text: String| Problem::new(["channel", &position, key], text);
    let setup = |error: ChannelSetupError| at(error.setting(), error.to_string());
    let (target, sends): (String, Arc<dyn Channel>) = match channel.kind {
        ChannelKind::Webhook => {
            let made = Webhook::new(&webhook(channel).map_err(|(key, text)| at(key, text))?).map_err(setup)?;
            (made.target(), Arc::new(made))
        }
        ChannelKind::Smtp => {
            let made = Smtp::new(&smtp(channel).map_err(|(key, text)| at(key, text))?).map_err(setup)?;
            (made.target(), Arc::new(made))
        }
        ChannelKind::Syslog => {
            let made = Syslog::new(&syslog(channel).map_err(|(key, text)| at(key, text))?).map_err(setup)?;
            (made.target(), Arc::new(made))
        }
    };
    let name = ChannelName::new(&channel.name);
    let subscription = Subscription { name, incidents: channel.incidents, resolved: channel.resolved };
    let kind = channel.kind.as_str().to_owned();
    Ok(ChannelEntry { subscription, kind, target, per_hour: channel.per_hour, channel: sends })
}

/// The setting in which something is wrong, and what.
type Wrong = (&'static str, String);

fn missing(key: &'static str) -> Wrong {
    (key, "is missing".to_owned())
}

fn webhook(channel: &config::Channel) -> Result<WebhookOptions, Wrong> {
    let secret = channel.secret.as_ref().ok_or_else(|| missing("secret"))?;
    Ok(WebhookOptions {
        url: channel.url.clone().ok_or_else(|| missing("url"))?,
        secret: config::secret(secret).map_err(|text| ("secret", text))?,
        ca_file: channel.ca_file.clone(),
        allow_http: channel.allow_http.unwrap_or(false),
    })
}

fn smtp(channel: &config::Channel) -> Result<SmtpOptions, Wrong> {
    let (host, port) = channel.place().map_err(|text| ("server", text))?;
    let login = match (&channel.user, &channel.password) {
        (Some(user), Some(source)) => {
            Some(Login { user: user.clone(), password: config::secret(source).map_err(|text| ("password", text))? })
        }
        _ => None,
    };
    Ok(SmtpOptions {
        host,
        port,
        tls: match channel.mail_tls() {
            MailTls::Implicit => SmtpTls::Implicit,
            MailTls::StartTls => SmtpTls::StartTls,
            MailTls::None => SmtpTls::None,
        },
        ca_file: channel.ca_file.clone(),
        login,
        from: channel.from.clone().ok_or_else(|| missing("from"))?,
        to: channel.to.clone().ok_or_else(|| missing("to"))?,
    })
}

fn syslog(channel: &config::Channel) -> Result<SyslogOptions, Wrong> {
    let (host, port) = channel.place().map_err(|text| ("server", text))?;
    Ok(SyslogOptions {
        host,
        port,
        transport: match channel.transport() {
            SyslogTransport::Udp => Transport::Udp,
            SyslogTransport::Tcp => Transport::Tcp,
            SyslogTransport::Tls => Transport::Tls,
        },
        facility: channel.facility().map_err(|text| ("facility", text))?,
        ca_file: channel.ca_file.clone(),
    })
}
