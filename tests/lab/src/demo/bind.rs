//! `portcullis-demo bind`: an LDAP client on a machine of one's choice.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use super::html;
use super::http::Browser;
use super::print::{Page, duration};
use super::waiting::Waiting;
use crate::company::Company;
use crate::proto::LdapResultCode;

/// An answer that takes longer than this waits for somebody.
const PATIENCE: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where the demo's gateway is as long as nothing else is there.
pub(super) const DEFAULT_GATEWAY: &str = "127.0.0.1:3389";
pub(super) const DEFAULT_WEB: &str = "http://127.0.0.1:8080";

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Machine to come from: any address of 127.0.0.0/8.
    #[arg(long, value_name = "ADDRESS")]
    from: IpAddr,
    /// Login of one of the sample company's people.
    #[arg(long = "as", value_name = "LOGIN")]
    login: String,
    /// The right one, LOGIN-secret, unless given.
    #[arg(long)]
    password: Option<String>,
    /// Where the demo's gateway listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_GATEWAY)]
    gateway: SocketAddr,
    /// Where its challenge page is.
    #[arg(long, value_name = "URL", default_value = DEFAULT_WEB)]
    web: String,
}

/// Binds, shows what the challenge page of that machine shows meanwhile, and says how it ended. The exit code is the
/// LDAP result code, as with OpenLDAP's clients.
pub(super) async fn run(arguments: Arguments, page: &Page) -> anyhow::Result<ExitCode> {
    let Arguments { from, login, password, gateway, web } = arguments;
    anyhow::ensure!(from.is_loopback(), "{from} is not an address of this machine: take one of 127.0.0.0/8");
    let company = Company::generate();
    let person = company.person(&login)?;
    let password = password.unwrap_or_else(|| person.password.clone());
    let waiting = Waiting::begin(gateway, from, &person.dn, &password);
    tokio::time::sleep(PATIENCE).await;
    if !waiting.is_over() {
        page.text(&format!("{login} waits at {from}: the gateway asks for a second factor."));
    }
    let mut browser = Browser::on(from, &web)?;
    let mut shown = None;
    while !waiting.is_over() {
        // Without the page the bind can still be answered on the phone.
        let number = browser.get("/challenge").await.ok().and_then(|answer| html::number(&answer.body));
        if let Some(number) = number.filter(|number| shown != Some(*number)) {
            page.text(&format!("The challenge page on this machine shows the number {number}."));
            shown = Some(number);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let bound = waiting.answer().await?;
    let code = bound.result.code.clone();
    if code == LdapResultCode::Success {
        page.done(&format!("{login} is bound from {from}"), Some(bound.took));
    } else {
        let (took, number) = (duration(bound.took), code.clone() as i32);
        let message = Some(bound.result.message).filter(|message| !message.is_empty());
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        page.failed(&format!("refused after {took}: {code:?} ({number}){message}"));
    }
    Ok(ExitCode::from(u8::try_from(code as i32).unwrap_or(u8::MAX)))
}
