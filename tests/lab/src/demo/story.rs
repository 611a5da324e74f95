//! What the gateway is for, played and checked.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::html;
use super::http::Browser;
use super::machines::{LAPTOP, STRANGER, UNKNOWN};
use super::print::Page;
use super::summary::{self, Seen, Summary};
use super::waiting::{Bound, Waiting};
use super::world::World;
use crate::company::{BASE_DN, Person};
use crate::okta::Pending;
use crate::proto::{LdapResult, LdapResultCode, LdapSearchScope};

/// For everything, so that nothing can hang.
const STORY: Duration = Duration::from_secs(240);
/// What nobody has to be asked for is answered faster than this.
const AT_ONCE: Duration = Duration::from_secs(3);
/// From a bind to a push on the phone, and from there to the number on the page.
const SOON: Duration = Duration::from_secs(20);
/// From an answer on the phone to an answer of the gateway; it looks every two seconds, or six when Okta is busy.
const NOTICED: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Long enough for a push that must not come.
const QUIET: Duration = Duration::from_millis(1500);
/// What somebody tries for alice's password.
pub(super) const GUESS: &str = "Summer2026!";

/// Plays all of it.
///
/// # Errors
/// What was not as it should be.
pub(super) async fn play(world: &mut World, page: &Page) -> anyhow::Result<()> {
    let began = Instant::now();
    tokio::time::timeout(STORY, acts(world, page, began))
        .await
        .with_context(|| format!("the story was not at its end after {STORY:?}"))?
}

async fn acts(world: &mut World, page: &Page, began: Instant) -> anyhow::Result<()> {
    page.gap();
    page.text(
        "Alice works with an application, “wiki”, that logs its people in over LDAP. It was pointed at the gateway \
         instead of at the directory; nothing else was changed.",
    );
    let story = Story::new(world, page)?;
    let usual = story.usual_machine().await.context("act 1, alice at her own machine")?;
    story.wrong_password().await.context("act 2, a guessed password")?;
    let confirmed = story.approved().await.context("act 3, a second factor that is confirmed")?;
    story.denied().await.context("act 4, a second factor that is denied")?;
    story.search().await.context("act 5, work goes on")?;
    let calls = summary::Calls::of(&world.okta.journal());
    let seen = record(world, page).await.context("act 6, the record")?;
    summary::print(page, &Summary { seen, calls, usual, confirmed, all: began.elapsed() });
    Ok(())
}

struct Story<'a> {
    world: &'a World,
    page: &'a Page,
    alice: &'a Person,
}

impl<'a> Story<'a> {
    fn new(world: &'a World, page: &'a Page) -> anyhow::Result<Self> {
        Ok(Self { world, page, alice: world.alice()? })
    }

    /// Gives how long the second bind took.
    async fn usual_machine(&self) -> anyhow::Result<Duration> {
        self.page.heading("1  Alice at her own machine, 127.0.0.2");
        let mut took = Duration::ZERO;
        for words in ["The first time: the gateway learns the machine", "The second time: nothing is unusual"] {
            let bound = self.bind(LAPTOP, &self.alice.password).answer().await?;
            expect(&bound.result, &LdapResultCode::Success)?;
            anyhow::ensure!(bound.took < AT_ONCE, "a bind that asks nobody took {:?}", bound.took);
            self.page.done(&format!("{words}. She is in"), Some(bound.took));
            took = bound.took;
        }
        self.expect_pushes(0)?;
        self.page.done("Her phone was not asked", None);
        Ok(took)
    }

    async fn wrong_password(&self) -> anyhow::Result<()> {
        self.page.heading("2  Somebody guesses her password on a new machine, 127.0.0.3");
        let bound = self.bind(UNKNOWN, GUESS).answer().await?;
        expect(&bound.result, &LdapResultCode::InvalidCredentials)?;
        self.page.done("The directory refuses: invalid credentials (49)", Some(bound.took));
        tokio::time::sleep(QUIET).await;
        self.expect_pushes(0)?;
        self.page.done("Without the password nobody can make her phone ring", None);
        Ok(())
    }

    /// Gives how long it took from the phone's answer to the gateway's.
    async fn approved(&self) -> anyhow::Result<Duration> {
        self.page.heading("3  Alice herself on that new machine, with the right password");
        let waiting = self.bind(UNKNOWN, &self.alice.password);
        let (push, took) = self.push(&waiting).await?;
        self.page.done(&format!("The bind waits, and {} rings", push.device), Some(took));
        let number = self.challenge_page(&push).await?;
        self.page.done(&format!("The challenge page on 127.0.0.3 names her and wiki, and shows {number}"), None);
        self.nothing_on_page_of(LAPTOP).await?;
        self.page.done("The challenge page on another machine shows nothing", None);
        anyhow::ensure!(!waiting.is_over(), "the bind was answered before the phone was");
        let picked = Instant::now();
        anyhow::ensure!(self.world.okta.pick("alice", number)? == 1, "the phone had no push to answer");
        let mut bound = answered(waiting).await?;
        expect(&bound.result, &LdapResultCode::Success)?;
        let took = picked.elapsed();
        self.page.done(&format!("She picks {number} on her phone, and is in"), Some(took));
        let name = bound.client.whoami().await?;
        anyhow::ensure!(name.eq_ignore_ascii_case(&format!("dn:{}", self.alice.dn)), "the directory says {name:?}");
        self.expect_pushes(1)?;
        let incidents = self.incidents(&mut self.console().await?).await?;
        let left = Value::from(incidents.as_slice());
        anyhow::ensure!(incidents.is_empty(), "a confirmed second factor left incidents: {left}");
        self.page.done("There is no incident: it was she", None);
        Ok(took)
    }

    async fn denied(&self) -> anyhow::Result<()> {
        self.page.heading("4  Somebody who has her password, on another new machine, 127.0.0.4");
        let waiting = self.bind(STRANGER, &self.alice.password);
        let (push, took) = self.push(&waiting).await?;
        self.page.done(&format!("The bind waits, and {} rings", push.device), Some(took));
        let pressed = Instant::now();
        anyhow::ensure!(self.world.okta.reject("alice")? == 1, "the phone had no push to answer");
        let bound = answered(waiting).await?;
        expect(&bound.result, &LdapResultCode::InvalidCredentials)?;
        let told = &bound.result.message;
        self.page.done("Alice says “it is not me”: the bind is refused (49)", Some(pressed.elapsed()));
        self.page.done(&format!("The client is told: {told}"), None);
        self.expect_pushes(2)?;
        let mut console = self.console().await?;
        let incidents = self.incidents(&mut console).await?;
        let found = Value::from(incidents.as_slice());
        let [incident] = incidents.as_slice() else { anyhow::bail!("one incident was due, there are {found}") };
        let field = |name: &str| incident.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (login, severity, state, title) = (field("login"), field("severity"), field("state"), field("title"));
        let right = login == "alice" && severity == "high" && state == "open" && !title.is_empty();
        anyhow::ensure!(right, "the incident is not an open one of alice with severity high: {incident}");
        let activity = console.get("/activity").await?;
        let shown = activity.status == 200 && html::visible_text(&activity.body).contains(&title);
        anyhow::ensure!(shown, "the console's Activity does not show the incident {title:?}");
        self.page.done(&format!("The console shows an open incident: {severity}, “{title}”"), None);
        Ok(())
    }

    async fn search(&self) -> anyhow::Result<()> {
        self.page.heading("5  Meanwhile, alice works on at her own machine");
        let mut bound = self.bind(LAPTOP, &self.alice.password).answer().await?;
        expect(&bound.result, &LdapResultCode::Success)?;
        let began = Instant::now();
        let found = bound.client.search(BASE_DN, LdapSearchScope::Subtree, "(uid=bob)", &["mail"]).await?;
        expect(&found.result, &LdapResultCode::Success)?;
        let bob = &self.world.company.person("bob")?.dn;
        let [entry] = found.entries.as_slice() else { anyhow::bail!("the search found {} bobs", found.entries.len()) };
        anyhow::ensure!(entry.dn.eq_ignore_ascii_case(bob), "the search for bob found {}", entry.dn);
        self.page.done("A search for bob finds him, through the gateway", Some(began.elapsed()));
        bound.client.unbind().await?;
        self.expect_pushes(2)
    }

    fn bind(&self, machine: IpAddr, password: &str) -> Waiting {
        Waiting::begin(self.world.gateway().ldap, machine, &self.alice.dn, password)
    }

    /// Waits for the push that the bind has to cause, and says how long that took.
    async fn push(&self, waiting: &Waiting) -> anyhow::Result<(Pending, Duration)> {
        let began = Instant::now();
        loop {
            let mut pending = self.world.okta.pending();
            anyhow::ensure!(pending.len() <= 1, "one bind has caused several pushes: {pending:?}");
            if let Some(push) = pending.pop() {
                anyhow::ensure!(push.login == self.alice.mail, "the phone of {} was asked", push.login);
                return Ok((push, began.elapsed()));
            }
            anyhow::ensure!(!waiting.is_over(), "the bind was answered although nobody was asked");
            anyhow::ensure!(began.elapsed() < SOON, "no push has come to the phone within {SOON:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Opens the challenge page on the new machine; gives the number that it shows.
    async fn challenge_page(&self, push: &Pending) -> anyhow::Result<u8> {
        let expected = push.number.context("the push asks for no number")?;
        let mut browser = Browser::on(UNKNOWN, &self.world.gateway().web_url)?;
        let began = Instant::now();
        loop {
            let page = browser.get("/challenge").await?;
            let text = html::visible_text(&page.body);
            let number = html::number(&page.body);
            if page.status == 200
                && ["alice", "wiki"].into_iter().all(|word| html::has_word(&text, word))
                && number == Some(expected)
            {
                return Ok(expected);
            }
            let late = began.elapsed() >= SOON;
            anyhow::ensure!(!late, "the challenge page does not name alice, wiki and {expected}, but says: {text}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn nothing_on_page_of(&self, machine: IpAddr) -> anyhow::Result<()> {
        let page = Browser::on(machine, &self.world.gateway().web_url)?.get("/challenge").await?;
        let told = html::number(&page.body).is_some() || html::has_word(&html::visible_text(&page.body), "alice");
        anyhow::ensure!(page.status == 200 && !told, "{machine} is shown a challenge that is not its own");
        Ok(())
    }

    async fn console(&self) -> anyhow::Result<Browser> {
        let gateway = self.world.gateway();
        let mut console = Browser::on([127, 0, 0, 1].into(), &gateway.web_url)?;
        console.sign_in(&gateway.admin.0, &gateway.admin.1).await?;
        Ok(console)
    }

    async fn incidents(&self, console: &mut Browser) -> anyhow::Result<Vec<Value>> {
        let answer = console.get("/api/v1/incidents").await?;
        anyhow::ensure!(answer.status == 200, "the API answered {}: {}", answer.status, answer.body);
        let mut answer: Value = serde_json::from_str(&answer.body).context("the API's answer is not JSON")?;
        match answer.get_mut("incidents").map(Value::take) {
            Some(Value::Array(incidents)) => Ok(incidents),
            _ => anyhow::bail!("the API's answer has no list of incidents: {answer}"),
        }
    }

    /// How many pushes were sent to alice's phone so far, by the simulator's journal and by its count.
    fn expect_pushes(&self, expected: usize) -> anyhow::Result<()> {
        let counted = self.world.okta.pushes_started("alice")?;
        let asked = summary::Calls::of(&self.world.okta.journal()).pushes;
        let right = counted == expected && asked == expected;
        anyhow::ensure!(right, "{expected} pushes were due; the phone got {counted}, and Okta was asked for {asked}");
        Ok(())
    }
}

/// Act 6: ends the gateway and looks at what it leaves.
async fn record(world: &mut World, page: &Page) -> anyhow::Result<Seen> {
    page.heading("6  The record");
    let log = world.log();
    let began = Instant::now();
    world.stop_gateway()?;
    page.done("The gateway ends when it is asked to", Some(began.elapsed()));
    let verified = world.command(&["events", "verify"], SOON).await?;
    let first = verified.lines().next().unwrap_or_default();
    page.done(&format!("The chain of events is whole: {first}"), None);
    let events = world.command(&["events", "list", "--limit", "10000"], SOON).await?;
    let seen = Seen::of(&events)?;
    let due = Seen { allowed: 4, refused: 1, blocked: 1, approved: 1, denied: 1 };
    anyhow::ensure!(seen == due, "the recorded binds are not those that were made: {seen:?} instead of {due:?}");
    page.done("Every bind is recorded, with what was decided and why", None);
    summary::no_secrets(world, &log, &events)?;
    page.done("Neither the API token nor a password is in its log, its events or its database", None);
    Ok(seen)
}

async fn answered(waiting: Waiting) -> anyhow::Result<Bound> {
    let late = || format!("the gateway has not noticed the phone's answer within {NOTICED:?}");
    tokio::time::timeout(NOTICED, waiting.answer()).await.with_context(late)?
}

fn expect(result: &LdapResult, code: &LdapResultCode) -> anyhow::Result<()> {
    let LdapResult { code: got, message, .. } = result;
    anyhow::ensure!(got == code, "{code:?} was due, the answer is {got:?} ({message:?})");
    Ok(())
}
