//! A code typed on the challenge page, in a real browser, and what the bind that waits for it is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::okta::{Call, CodeFactor, Fault};
use portcullis_lab::tools::ToolOutput;
use tokio::task::JoinHandle;

use crate::browser::Browser;
use crate::stage::{PATIENCE, Setup, Stage, UNUSUAL_ENDPOINT, machine};

const ALICE: &str = "alice@example.com";

/// Codes by text message first; mail and the application can be chosen. A page that is closed is reported.
fn setup() -> Setup {
    let sections = r#"
[[connector]]
name = "okta-otp"
plugin = "okta-otp.wasm"
domain = "acme.okta.com"
base-url = "@OKTA@"
ca-file = "@OKTA-CA@"
token = { file = "okta-token" }
settings = { factors = ["sms", "email", "okta-verify"] }
"#;
    let policies = UNUSUAL_ENDPOINT.replace("okta-verify", "okta-otp").replace("seconds = 20", "seconds = 60")
        + r#"
[policy.settings.rules.then.challenge.on.closed]
verdict = "block"
incident = { severity = "medium", title = "Second factor closed" }
"#;
    Setup { sections: sections.to_owned(), policies, ..Setup::default() }
}

/// Alice's bind from a machine of which nobody has heard, which is the one that the browser runs on.
pub(crate) struct Scene {
    pub(crate) stage: Arc<Stage>,
    bind: JoinHandle<Result<ToolOutput>>,
    pub(crate) browser: Browser,
}

impl Scene {
    pub(crate) async fn new() -> Result<Self> {
        Self::with(setup(), true).await
    }

    async fn with(setup: Setup, scripts: bool) -> Result<Self> {
        let stage = Arc::new(Stage::new(setup).await?);
        for factor in [CodeFactor::Sms, CodeFactor::Email] {
            stage.okta.add_factor(ALICE, factor)?;
        }
        stage.learn(machine(), "alice").await?;
        let mut browser = Browser::empty().await?;
        if !scripts {
            browser.without_scripts().await?;
        }
        let bind = tokio::spawn({
            let stage = stage.clone();
            async move { stage.tools("alice", "alice-secret").timeout(2 * PATIENCE).whoami().await }
        });
        let mut scene = Self { stage, bind, browser };
        scene.sent(1).await?;
        scene.browser.go(&format!("http://{}/challenge", scene.stage.web)).await?;
        scene.browser.wait_for_title("Type your code").await?;
        // The title comes first.
        scene.browser.wait_until("document.readyState === 'complete'").await?;
        Ok(scene)
    }

    /// Waits for so many codes, and returns the latest.
    pub(crate) async fn sent(&self, wanted: usize) -> Result<String> {
        let begun = std::time::Instant::now();
        loop {
            let sent = self.stage.okta.sent_codes(ALICE)?;
            ensure!(sent.len() <= wanted, "{} codes were sent", sent.len());
            if sent.len() == wanted {
                return Ok(sent.last().context("no code")?.code.clone());
            }
            ensure!(begun.elapsed() < PATIENCE, "no code was sent:\n{}", self.stage.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types a code and waits for the page that comes back.
    pub(crate) async fn submit(&mut self, code: &str) -> Result<()> {
        self.browser.mark().await?;
        // A page that is there need not have been shown yet, and only then the field gets the cursor.
        self.browser.wait_until("document.activeElement && document.activeElement.tagName === 'INPUT'").await?;
        self.browser.type_text(code).await?;
        self.browser.press_enter().await?;
        self.browser.wait_for_another().await
    }

    /// What the bind was told, and how the challenge ended.
    async fn end(self) -> Result<(i32, String, Arc<Stage>, Browser)> {
        let told = self.bind.await??;
        let outcome = self.stage.last_access().await?["challenges"][0]["outcome"].as_str().context("none")?.to_owned();
        Ok((told.code, outcome, self.stage, self.browser))
    }
}

/// A code of six digits that is not this one.
pub(crate) fn wrong(code: &str) -> String {
    if code == "000000" { "111111".to_owned() } else { "000000".to_owned() }
}

#[tokio::test]
async fn the_button_waits_for_a_code_and_the_right_one_lets_the_bind_through() -> Result<()> {
    let mut scene = Scene::new().await?;
    let code = scene.sent(1).await?;
    let text = scene.browser.text().await?;
    for shown in ["alice", "wiki", "127.0.0.1", "This was not me"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert_eq!(scene.browser.value("document.activeElement.id").await?, "code", "the cursor is where the code goes");
    assert_eq!(scene.browser.value("document.getElementById('ok').disabled").await?, true);
    scene.browser.type_text(" ").await?;
    assert_eq!(scene.browser.value("document.getElementById('ok').disabled").await?, true, "a blank is no code");
    scene.browser.type_text(&code).await?;
    assert_eq!(scene.browser.value("document.getElementById('ok').disabled").await?, false);
    assert!(!scene.bind.is_finished());
    scene.browser.click("#ok").await?;
    scene.browser.wait_for_title("Approved").await?;
    let (told, outcome, stage, _browser) = scene.end().await?;
    assert_eq!((told, outcome.as_str()), (0, "approved"));
    assert_eq!(stage.last_access().await?["decision"], "allow");
    assert!(stage.console().await?.incidents().await?.is_empty(), "a good answer leaves no incident");
    // What was typed is nowhere: neither in the log nor in any file of the gateway's.
    assert!(stage.log().iter().all(|line| !line.contains(&code)), "the code is in the log");
    for file in std::fs::read_dir(stage.folder.path().join("data"))? {
        let path = file?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            assert!(!bytes.windows(code.len()).any(|window| window == code.as_bytes()), "{}", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn three_wrong_codes_are_a_failure_and_an_incident() -> Result<()> {
    let mut scene = Scene::new().await?;
    let code = scene.sent(1).await?;
    for left in ["You have 2 more tries.", "You have one more try."] {
        scene.submit(&wrong(&code)).await?;
        scene.browser.wait_until(&format!("document.body.innerText.includes('{left}')")).await?;
        scene.browser.wait_until("document.activeElement.id === 'code'").await?;
    }
    // Loading the page again sends nothing again.
    scene.browser.reload().await?;
    scene.browser.wait_until("document.activeElement.id === 'code'").await?;
    assert!(scene.browser.text().await?.contains("one more try"));
    scene.submit(&wrong(&code)).await?;
    scene.browser.wait_for_title("Not accepted").await?;
    let (told, outcome, stage, _browser) = scene.end().await?;
    assert_eq!((told, outcome.as_str()), (49, "failed"));
    let incidents = stage.console().await?.incidents().await?;
    assert_eq!((incidents.len(), &incidents[0]["severity"]), (1, &"high".into()), "{incidents:?}");
    assert_eq!(incidents[0]["title"], "Second factor failed");
    let verified = stage.okta.journal().into_iter().filter(|entry| entry.body.contains("passCode")).count();
    assert_eq!(verified, 3);
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_closed_ends_the_bind_and_is_what_the_policy_says() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.browser.wait_until("document.getElementById('ok').disabled").await?;
    // Loaded again is not closed.
    for _ in 0..2 {
        scene.browser.reload().await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!scene.bind.is_finished());
    }
    scene.browser.close_page().await?;
    let closed = std::time::Instant::now();
    let (told, outcome, stage, _browser) = scene.end().await?;
    assert_eq!((told, outcome.as_str()), (49, "closed"));
    assert!(closed.elapsed() < Duration::from_secs(10), "by its goodbye, and not by its silence");
    let incidents = stage.console().await?.incidents().await?;
    assert_eq!((&incidents[0]["title"], &incidents[0]["severity"]), (&"Second factor closed".into(), &"medium".into()));
    Ok(())
}

#[tokio::test]
async fn a_browser_that_dies_without_a_word_is_a_page_that_is_closed() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.browser.wait_until("document.getElementById('ok').disabled").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.browser.kill()?;
    let (told, outcome, ..) = scene.end().await?;
    assert_eq!((told, outcome.as_str()), (49, "closed"));
    Ok(())
}

#[tokio::test]
async fn without_scripts_the_form_works_and_another_way_can_be_chosen() -> Result<()> {
    let mut scene = Scene::with(setup(), false).await?;
    let code = scene.sent(1).await?;
    assert_eq!(scene.browser.value("document.getElementById('ok').disabled").await?, false);
    scene.browser.click("#code").await?;
    scene.submit(&wrong(&code)).await?;
    scene.browser.wait_until("document.body.innerText.includes('2 more tries')").await?;
    // Too early for another text message, which is said without asking Okta.
    scene.browser.click("form.ways button:nth-of-type(1)").await?;
    scene.browser.wait_until("document.body.innerText.includes('asked for again in')").await?;
    scene.sent(1).await?;
    scene.browser.click("form.ways button:nth-of-type(2)").await?;
    scene.browser.wait_until("document.body.innerText.includes('from the mail to a•••@example.com')").await?;
    let code = scene.sent(2).await?;
    // Back and forth through the history sends nothing a second time.
    scene.browser.back().await?;
    scene.browser.wait_until("document.readyState === 'complete'").await?;
    scene.browser.wait_for_title("Type your code").await?;
    scene.sent(2).await?;
    scene.browser.click("#code").await?;
    scene.submit(&code).await?;
    scene.browser.wait_for_title("Approved").await?;
    let (told, outcome, ..) = scene.end().await?;
    assert_eq!((told, outcome.as_str()), (0, "approved"));
    Ok(())
}

#[tokio::test]
async fn used_codes_codes_out_of_time_and_pauses_are_told_apart() -> Result<()> {
    for in_200 in [false, true] {
        let mut setup = setup();
        setup.sections = setup.sections.replace(r#"["sms", "email", "okta-verify"]"#, r#"["okta-verify"]"#);
        let stage = Arc::new(Stage::new(setup).await?);
        stage.okta.refuse_codes_in_200(ALICE, in_200)?;
        stage.okta.set_code(ALICE, "294871")?;
        stage.okta.set_code_out_of_window(ALICE, "294870")?;
        stage.learn(machine(), "alice").await?;
        let first = machine();
        let bind = |from| {
            let stage = stage.clone();
            tokio::spawn(async move { stage.bind_from(from, "alice", "alice-secret").await })
        };
        let page = |from| Page::of(&stage, from);
        let (waiting, shown) = (bind(first), page(first));
        shown.send("294 871").await?;
        assert_eq!(waiting.await??.0, 0);

        let second = machine();
        let (waiting, shown) = (bind(second), page(second));
        shown.send("29487").await?;
        assert!(shown.text().await?.contains("A code has 6 digits"));
        shown.send("294871").await?;
        assert!(shown.text().await?.contains("This code was used before."));
        shown.send("294870").await?;
        assert!(shown.text().await?.contains("set the clock"));
        stage.okta.fail_next_call(Call::Verify, 1, &Fault::LostAnswer);
        stage.okta.set_code(ALICE, "100000")?;
        shown.send("100000").await?;
        assert!(shown.text().await?.contains("not certain"));
        // The lost one was used up. It is a wrong one now, and the third.
        shown.send("100000").await?;
        assert_eq!(waiting.await??.0, 49);
        assert_eq!(stage.last_access().await?["challenges"][0]["outcome"], "failed");
    }
    Ok(())
}

/// The challenge page of a machine, for what needs no browser.
pub(crate) struct Page {
    http: reqwest::Client,
    base: String,
}

impl Page {
    pub(crate) fn of(stage: &Stage, from: std::net::IpAddr) -> Self {
        let http = reqwest::Client::builder().local_address(from).timeout(PATIENCE).build().expect("a client");
        Self { http, base: format!("http://{}", stage.web) }
    }

    async fn text(&self) -> Result<String> {
        Ok(self.http.get(format!("{}/challenge", self.base)).send().await?.text().await?)
    }

    /// Types a code into the form, once there is one.
    pub(crate) async fn send(&self, code: &str) -> Result<()> {
        let form = self.form().await?;
        self.post(&form, format!("code={}", code.replace(' ', "+"))).await
    }

    /// Closes the challenge.
    pub(crate) async fn dismiss(&self) -> Result<()> {
        let form = self.form().await?;
        self.post(&form.replace("/code", "/dismiss"), String::new()).await
    }

    async fn form(&self) -> Result<String> {
        let begun = std::time::Instant::now();
        loop {
            let text = self.text().await?;
            let form = text.split("class=\"code\" method=\"post\" action=\"").nth(1);
            if let Some(action) = form.and_then(|rest| rest.split('"').next()) {
                return Ok(action.to_owned());
            }
            ensure!(begun.elapsed() < PATIENCE, "there is no form: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, form: &str, body: String) -> Result<()> {
        let request = self.http.post(format!("{}{form}", self.base)).body(body);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await?;
        ensure!(answer.status().is_success(), "{form} gave {}", answer.status());
        Ok(())
    }
}
