//! The demo to play with.

use std::time::Duration;

use super::EndSignals;
use super::bind::{DEFAULT_GATEWAY, DEFAULT_WEB};
use super::machines::{LAPTOP, UNKNOWN};
use super::print::{Page, counted};
use super::waiting::Waiting;
use super::world::World;
use crate::company::PEOPLE;
use crate::okta::Pending;
use crate::proto::LdapResultCode;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Says what is there, shows phones that ring, and returns when a signal comes.
///
/// # Errors
/// When the gateway ends by itself, or does not let alice in at her own machine.
pub(super) async fn run(world: &mut World, page: &Page, end: &mut EndSignals) -> anyhow::Result<()> {
    tokio::select! {
        learned = learn(world) => learned?,
        () = end.arrived() => return Ok(()),
    }
    introduce(world, page)?;
    let mut ringing = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = end.arrived() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if let Some(status) = world.gateway_ended()? {
            anyhow::bail!("the gateway ended by itself with {status}");
        }
        ringing = show_phones(world, page, &ringing);
    }
    page.gap();
    page.text("Ending everything and removing the folder.");
    Ok(())
}

/// Lets the gateway see alice at her own machine once, so that every other one is unusual for her.
async fn learn(world: &World) -> anyhow::Result<()> {
    let alice = world.alice()?;
    let bound = Waiting::begin(world.gateway().ldap, LAPTOP, &alice.dn, &alice.password).answer().await?;
    let code = bound.result.code;
    anyhow::ensure!(code == LdapResultCode::Success, "alice was refused at her own machine: {code:?}");
    Ok(())
}

fn introduce(world: &World, page: &Page) -> anyhow::Result<()> {
    let gateway = world.gateway();
    let (login, password) = &gateway.admin;
    let ldap = format!("ldap://{}", gateway.ldap);
    page.heading("What runs where");
    page.row("gateway", &ldap);
    page.row("", "the application “wiki” logs its people in here");
    page.row("console", &format!("{}/activity", gateway.web_url));
    page.row("", &format!("sign in as {login} with the password {password}"));
    page.row("challenge page", &format!("{}/challenge", gateway.web_url));
    page.row("directory", &format!("{}  ({})", world.directory.uri(), counted(PEOPLE, "person", "people")));
    page.row("Okta", &format!("{}  (simulated)", world.okta.base_url()));
    page.row("configuration", &world.config().display().to_string());
    page.gap();
    page.text(
        "The gateway lets everybody in whom the directory lets in. Only when a person comes from a machine that this \
         person has not used before, it asks on the person's phone first. Alice has used her laptop, 127.0.0.2, once. \
         This terminal is 127.0.0.1, which is new for her; once she has confirmed it, it is hers too.",
    );

    let alice = world.alice()?;
    let control = world.okta.control_url();
    page.heading("1. Open the challenge page in a browser, then be alice in a second terminal");
    page.command(&format!("ldapwhoami -x -H {ldap} -D {} -w {}", alice.dn, alice.password));
    page.heading("2. It waits. Be alice's phone in a third terminal: pick the number that the page shows");
    page.command(&format!("curl -X POST '{control}/approve?login=alice&number=NUMBER'"));
    page.text("or say that it was not her, which refuses the bind and opens an incident in the console:");
    page.command(&format!("curl -X POST '{control}/reject?login=alice'"));
    page.heading("3. Play other machines, without any tools; each has a challenge page of its own");
    let program = std::env::current_exe()?;
    let mut bind = format!("{} bind", program.display());
    if gateway.ldap.to_string() != DEFAULT_GATEWAY {
        bind.push_str(&format!(" --gateway {}", gateway.ldap));
    }
    if gateway.web_url != DEFAULT_WEB {
        bind.push_str(&format!(" --web {}", gateway.web_url));
    }
    page.command(&format!("{bind} --as alice --from {LAPTOP}"));
    page.command(&format!("{bind} --as alice --from {UNKNOWN}"));
    page.command(&format!("{bind} --as alice --from 127.0.0.9 --password wrong"));
    page.gap();
    page.text("Passwords are LOGIN-secret. Alice, bob, carol and dave have phones; erin is not known to Okta.");
    page.text("Ctrl-C ends the demo.");
    page.gap();
    Ok(())
}

/// Says which phones have begun or ceased to ring. Gives what rings now.
fn show_phones(world: &World, page: &Page, before: &[Pending]) -> Vec<Pending> {
    let now = world.okta.pending();
    let rings = |pushes: &[Pending], login: &str| pushes.iter().any(|push| push.login == login);
    for push in now.iter().filter(|push| !rings(before, &push.login)) {
        let asks = if push.number.is_some() { "pick the number that the challenge page shows" } else { "is it you?" };
        page.text(&format!("{} rings: {asks}", push.device));
    }
    for push in before.iter().filter(|push| !rings(&now, &push.login)) {
        page.text(&format!("{} is quiet again", push.device));
    }
    now
}
