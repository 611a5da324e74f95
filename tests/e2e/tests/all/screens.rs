//! How the pages look on a phone and on a desk, light and dark. Each picture is checked for what a program can see: that nothing
//! sticks out sideways, that whatever can be clicked is large enough and on the screen, and that dark is dark. For people,
//! the pictures are written to the folder that `PORTCULLIS_PICTURES` names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::browser::Browser;
use crate::codes::{Scene, wrong};
use crate::stage::{Setup, Stage, machine};

const SCREENS: [(u32, bool); 4] = [(390, false), (390, true), (1280, false), (1280, true)];

/// What is wrong with the page; empty where nothing is.
const LOOK: &str = "(() => {
    const problems = [], wide = document.documentElement.scrollWidth, room = window.innerWidth;
    if (wide > room) problems.push(`the page is ${wide} wide in ${room}`);
    for (const it of document.querySelectorAll('button, input:not([type=hidden]), nav a, summary')) {
        const box = it.getBoundingClientRect();
        if (box.width === 0) continue;
        if (box.left < 0 || box.right > room) problems.push(`${it.id || it.textContent} sticks out`);
        if (box.height < 24) problems.push(`${it.id || it.textContent} is ${box.height} high`);
    }
    for (const it of document.querySelectorAll('h1, h2, p, dd, dt, li, label')) {
        if (it.clientWidth > 1 && it.scrollWidth > it.clientWidth + 1) problems.push(`${it.textContent} is cut off`);
    }
    return problems;
})()";

/// How bright what is behind the text is, 0 to 255.
const BRIGHTNESS: &str = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)
    .reduce((sum, part) => sum + Number(part), 0) / 3";

async fn take(browser: &mut Browser, name: &str) -> Result<()> {
    for (width, dark) in SCREENS {
        browser.set_screen(width, dark).await?;
        // Long enough for a frame.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let problems = browser.value(LOOK).await?;
        ensure!(problems == Value::Array(vec![]), "{name} at {width}, dark {dark}: {problems}");
        let brightness = browser.value(BRIGHTNESS).await?.as_f64().context("no colour")?;
        ensure!((brightness < 100.0) == dark, "{name}: the background is {brightness}, dark {dark}");
        let picture = browser.picture().await?;
        ensure!(picture.starts_with(b"\x89PNG") && picture.len() > 4_000, "{name}: no picture");
        if let Some(folder) = std::env::var_os("PORTCULLIS_PICTURES").map(PathBuf::from) {
            let shade = if dark { "dark" } else { "light" };
            std::fs::write(folder.join(format!("{name}-{width}-{shade}.png")), picture)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_code_is_typed_mistyped_sent_in_another_way_and_right() -> Result<()> {
    let mut scene = Scene::new().await?;
    let code = scene.sent(1).await?;
    scene.browser.wait_until("document.getElementById('ok').disabled").await?;
    take(&mut scene.browser, "code-form").await?;
    scene.submit(&wrong(&code)).await?;
    scene.browser.wait_until("document.body.innerText.includes('2 more tries')").await?;
    take(&mut scene.browser, "code-wrong").await?;
    // The text message can be asked for again in half a minute only: the button counts.
    let button = "[...document.querySelectorAll('form.ways button')].find(it => it.textContent.includes('Send again'))";
    assert_eq!(scene.browser.value(&format!("{button}.disabled")).await?, true, "it waits");
    assert_eq!(
        scene.browser.value(&format!("/in \\d+ s/.test({button}.textContent)")).await?,
        true,
        "and says for how long"
    );
    scene.browser.click("form.ways button:nth-of-type(2)").await?;
    scene.browser.wait_until("document.body.innerText.includes('from the mail to')").await?;
    let code = scene.sent(2).await?;
    take(&mut scene.browser, "code-other-way").await?;
    scene.submit(&code).await?;
    scene.browser.wait_for_title("Approved").await?;
    take(&mut scene.browser, "code-approved").await
}

#[tokio::test]
async fn three_wrong_codes() -> Result<()> {
    let mut scene = Scene::new().await?;
    let code = scene.sent(1).await?;
    for _ in 0..3 {
        scene.submit(&wrong(&code)).await?;
    }
    scene.browser.wait_for_title("Not accepted").await?;
    take(&mut scene.browser, "code-failed").await
}

#[tokio::test]
async fn cancelled_and_not_me() -> Result<()> {
    for (button, title, name) in [("#dismiss", "Closed", "code-closed"), ("#deny", "Denied", "code-not-me")] {
        let mut scene = Scene::new().await?;
        scene.browser.wait_until("document.getElementById('ok').disabled").await?;
        scene.browser.click(button).await?;
        scene.browser.wait_for_title(title).await?;
        take(&mut scene.browser, name).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_push_its_approval_and_the_console() -> Result<()> {
    let setup = Setup { cloud: Some(String::new()), ..Setup::default() };
    let stage = Arc::new(Stage::new(setup).await?);
    stage.learn(machine(), "alice").await?;
    let waiting = tokio::spawn({
        let stage = stage.clone();
        async move { stage.tools("alice", "alice-secret").whoami().await }
    });
    stage.wait_for_pushes("alice@example.com", 1).await?;
    let mut browser = Browser::open(&format!("http://{}/challenge", stage.web)).await?;
    browser.wait_for_title("Pick the number").await?;
    take(&mut browser, "push-number").await?;
    stage.okta.approve("alice@example.com")?;
    browser.wait_for_title("Approved").await?;
    take(&mut browser, "push-approved").await?;
    assert_eq!(waiting.await??.code, 0);

    let console = stage.console().await?;
    let base = format!("http://{}", stage.web);
    browser.set_cookie(&base, console.cookie()).await?;
    browser.go(&format!("{base}/activity")).await?;
    browser.wait_for_title("Activity").await?;
    // By keyboard: past the link to the content and the name, the second page of the navigation. What is pressed before the
    // page is there goes nowhere.
    let focused = "document.activeElement.textContent";
    for _ in 0..10 {
        if browser.value(focused).await? == "Connectors" {
            break;
        }
        browser.press_tab().await?;
    }
    assert_eq!(browser.value(focused).await?, "Connectors", "the navigation can be reached");
    browser.press_enter().await?;
    browser.wait_for_title("Connectors").await?;
    let marked = "document.querySelector('nav [aria-current=page]').textContent";
    browser.wait_until(&format!("{marked} === 'Connectors'")).await?;
    let text = browser.text().await?;
    for shown in ["okta-verify", "okta-sso", "asks for a second factor", "acts against accounts", "Complete to"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    take(&mut browser, "connectors").await
}
