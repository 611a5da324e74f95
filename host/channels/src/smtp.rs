//! Plain-text mail (RFC 5321, RFC 5322).

use std::path::PathBuf;

use async_trait::async_trait;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use portcullis_core::Secret;
use portcullis_core::channel::{Channel, ChannelError, Notice};
use portcullis_tls::{MinVersion, client_config};
use tracing::warn;

use crate::{ChannelSetupError, PATIENCE, chain, text};

/// How the way to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first octet (RFC 8314, section 3.3).
    Implicit,
    /// STARTTLS (RFC 3207). A server that does not offer it gets nothing.
    StartTls,
    /// Not at all.
    None,
}

/// Who sends, where the server wants to know (RFC 4954).
#[derive(Debug, Clone)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// The settings of a mail channel.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Name or address of the server; its certificate has to bear it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is protected.
    pub tls: SmtpTls,
    /// Certificate authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Who sends; none without authentication.
    pub login: Option<Login>,
    /// The sender's address.
    pub from: String,
    /// Whom to write to.
    pub to: Vec<String>,
}

/// People with mailboxes.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    server: String,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Smtp {
    /// Sends nothing yet. Blocks while certificates are read.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(options: &SmtpOptions) -> Result<Self, ChannelSetupError> {
        let from = mailbox(&options.from).map_err(|text| ChannelSetupError::of("from", text))?;
        let to: Result<Vec<_>, _> = options.to.iter().map(|to| mailbox(to)).collect();
        let to = to.map_err(|text| ChannelSetupError::of("to", text))?;
        let tls = match options.tls {
            SmtpTls::Implicit => Tls::Wrapper(parameters(options)?),
            SmtpTls::StartTls => Tls::Required(parameters(options)?),
            SmtpTls::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&options.host)
            .port(options.port)
            .tls(tls)
            .timeout(Some(PATIENCE))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some(login) = &options.login {
            let password = login.password.reveal().to_owned();
            builder = builder.credentials(Credentials::new(login.user.clone(), password));
        }
        let server = format!("{}:{}", options.host, options.port);
        Ok(Self { transport: builder.build(), server, from, to })
    }

    /// Server and addresses.
    #[must_use]
    pub fn target(&self) -> String {
        let to: Vec<_> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("{} by {}", to.join(", "), self.server)
    }

    /// An envelope for each, so that a mailbox that is no more keeps nothing from the others.
    async fn send_to(&self, to: &Mailbox, message: &[u8]) -> Result<(), ChannelError> {
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.email.clone()]);
        let envelope = envelope.map_err(|error| ChannelError::Refused(chain(&error)))?;
        self.transport.send_raw(&envelope, message).await.map(drop).map_err(|error| judge(&error))
    }

    fn message(&self, notice: &Notice) -> Result<Message, String> {
        let id = format!("<{}@{}>", notice.id, self.from.email.domain());
        let subject = format!("[Portcullis] {}", text::summary(notice));
        let mut builder: MessageBuilder =
            Message::builder().from(self.from.clone()).subject(subject).message_id(Some(id)).header(AutoSubmitted);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.header(ContentType::TEXT_PLAIN).body(text::body(notice)).map_err(|error| chain(&error))
    }
}

#[async_trait]
impl Channel for Smtp {
    async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        let message = self.message(notice).map_err(ChannelError::Refused)?.formatted();
        let mut outcomes = Vec::with_capacity(self.to.len());
        let all = async {
            for to in &self.to {
                outcomes.push((to.email.to_string(), self.send_to(to, &message).await));
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            let why = format!("{} was not done within {} s", self.server, PATIENCE.as_secs());
            outcomes.push((self.server.clone(), Err(ChannelError::later(why))));
        }
        together(outcomes)
    }

    async fn check(&self) -> Result<String, String> {
        match tokio::time::timeout(PATIENCE, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(format!("{} can be used; whether it takes messages, a test shows", self.server)),
            Ok(Ok(false)) => Err(format!("{} does not work", self.server)),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("{} does not answer", self.server)),
        }
    }
}

/// What is wrong with an address of a mailbox.
///
/// # Errors
/// What is wrong, and what to do.
pub fn address_problem(text: &str) -> Result<(), String> {
    mailbox(text).map(drop)
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| format!("`{text}` is no mail address: write soc@example.com or SOC <soc@example.com>"))
}

fn parameters(options: &SmtpOptions) -> Result<TlsParameters, ChannelSetupError> {
    // What is wrong with the file is said as everywhere else.
    client_config(options.ca_file.as_deref(), MinVersion::Tls12)?;
    let of = |error: Error| ChannelSetupError::of("ca-file", chain(&error));
    let mut builder = TlsParameters::builder(options.host.clone());
    if let Some(path) = &options.ca_file {
        let unreadable =
            |error| ChannelSetupError::of("ca-file", format!("{} cannot be read: {error}", path.display()));
        let pem = std::fs::read(path).map_err(unreadable)?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(of)?);
    }
    builder.build_rustls().map_err(of)
}

/// Replies that speak of who sends and not of what is sent (RFC 4954, section 6): a person can mend that, and the message is
/// sent then.
const OF_LOGIN: [u16; 4] = [530, 534, 535, 538];

/// What several mailboxes make of one message: it has arrived where any took it, and is tried again where any may yet.
fn together(outcomes: Vec<(String, Result<(), ChannelError>)>) -> Result<(), ChannelError> {
    let has_arrived = outcomes.iter().any(|(_, outcome)| outcome.is_ok());
    let mut together = Ok(());
    for (to, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        if has_arrived {
            warn!(to, %error, "not all who were to be told by mail have been");
        } else if !matches!(together, Err(ChannelError::Later { .. })) {
            together = Err(error);
        }
    }
    together
}

fn judge(error: &Error) -> ChannelError {
    let why = chain(error);
    let code = error.status().map(u16::from);
    let is_final = error.is_permanent() && code.is_some_and(|code| !OF_LOGIN.contains(&code));
    if is_final { ChannelError::Refused(why) } else { ChannelError::later(why) }
}

/// Keeps out-of-office programs from answering (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests;
