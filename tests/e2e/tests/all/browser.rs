//! Chromium, driven as a person would: keys are pressed, pages are closed. It takes its commands through a pipe (Chrome
//! DevTools Protocol, `--remote-debugging-pipe`: JSON texts, each ended by a zero octet, on the descriptors 3 and 4).

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use command_fds::{CommandFdExt as _, FdMapping};
use portcullis_lab::process::Child;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::pipe;

use crate::stage::PATIENCE;

/// A browser with one page open.
pub(crate) struct Browser {
    child: Child,
    to: pipe::Sender,
    from: BufReader<pipe::Receiver>,
    calls: u64,
    target: String,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let mut browser = Self::empty().await?;
        browser.go(url).await?;
        Ok(browser)
    }

    /// A page with nothing on it.
    pub(crate) async fn empty() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (commands, to) = std::io::pipe()?;
        let (from, answers) = std::io::pipe()?;
        let mut command = std::process::Command::new("chromium");
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank");
        let mapping = |parent_fd: OwnedFd, child_fd| FdMapping { parent_fd, child_fd };
        command.fd_mappings(vec![mapping(commands.into(), 3), mapping(answers.into(), 4)])?;
        let child = Child::spawn("chromium (Debian package chromium)", command)?;
        let to = pipe::Sender::from_owned_fd(to.into())?;
        let from = BufReader::new(pipe::Receiver::from_owned_fd(from.into())?);
        let mut browser =
            Self { child, to, from, calls: 0, target: String::new(), session: String::new(), _profile: profile };
        let begun = Instant::now();
        let target = loop {
            let targets = browser.call("Target.getTargets", json!({})).await?;
            let pages = targets["targetInfos"].as_array().context("no targets")?;
            if let Some(page) = pages.iter().find(|target| target["type"] == "page") {
                break page["targetId"].as_str().context("a page without an id")?.to_owned();
            }
            ensure!(begun.elapsed() < PATIENCE, "chromium opens no page");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true })).await?;
        browser.target = target;
        browser.session = attached["sessionId"].as_str().context("not attached")?.to_owned();
        browser.call("Page.enable", json!({})).await?;
        Ok(browser)
    }

    pub(crate) async fn go(&mut self, url: &str) -> Result<()> {
        let gone = self.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(gone["errorText"].is_null(), "{url}: {gone}");
        Ok(())
    }

    /// Scripts of pages that are loaded from now on do not run.
    pub(crate) async fn without_scripts(&mut self) -> Result<()> {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await?;
        Ok(())
    }

    pub(crate) async fn reload(&mut self) -> Result<()> {
        self.mark().await?;
        self.call("Page.reload", json!({})).await?;
        self.wait_for_another().await
    }

    /// Marks the page, so that the next one can be told from it.
    pub(crate) async fn mark(&mut self) -> Result<()> {
        self.value("window.before = true").await?;
        Ok(())
    }

    /// Waits until another page than the marked one is there.
    pub(crate) async fn wait_for_another(&mut self) -> Result<()> {
        self.wait_until("!window.before && document.readyState === 'complete'").await
    }

    /// The button that goes back.
    pub(crate) async fn back(&mut self) -> Result<()> {
        let history = self.call("Page.getNavigationHistory", json!({})).await?;
        let at = history["currentIndex"].as_u64().and_then(|at| at.checked_sub(1)).context("nothing to go back to")?;
        let entry = &history["entries"][usize::try_from(at)?]["id"];
        self.call("Page.navigateToHistoryEntry", json!({ "entryId": entry })).await?;
        Ok(())
    }

    /// Types text where the cursor is.
    pub(crate) async fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text })).await?;
        Ok(())
    }

    pub(crate) async fn press_enter(&mut self) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let key =
                json!({ "type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13 });
            self.call("Input.dispatchKeyEvent", key).await?;
        }
        Ok(())
    }

    /// On to the next thing that can be used.
    pub(crate) async fn press_tab(&mut self) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 });
            self.call("Input.dispatchKeyEvent", key).await?;
        }
        Ok(())
    }

    /// Clicks in the middle of what the selector finds.
    pub(crate) async fn click(&mut self, selector: &str) -> Result<()> {
        let document = self.call("DOM.getDocument", json!({})).await?;
        let query = json!({ "nodeId": document["root"]["nodeId"], "selector": selector });
        let found = self.call("DOM.querySelector", query).await?;
        ensure!(found["nodeId"].as_u64() != Some(0), "there is no {selector}");
        let node = json!({ "nodeId": found["nodeId"] });
        self.call("DOM.scrollIntoViewIfNeeded", node.clone()).await?;
        let model = self.call("DOM.getBoxModel", node).await?;
        let corner = |at: usize| model["model"]["content"][at].as_f64().context("no box");
        let (x, y) = ((corner(0)? + corner(4)?) / 2.0, (corner(1)? + corner(5)?) / 2.0);
        for kind in ["mousePressed", "mouseReleased"] {
            let click = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", click).await?;
        }
        Ok(())
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&mut self, expression: &str) -> Result<Value> {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true })).await?;
        ensure!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    /// The text that a person sees.
    pub(crate) async fn text(&mut self) -> Result<String> {
        Ok(self.value("document.body.innerText").await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits for a title, which is asked of the browser and not of the page.
    pub(crate) async fn wait_for_title(&mut self, wanted: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let info = self.call("Target.getTargetInfo", json!({ "targetId": self.target })).await?;
            let title = info["targetInfo"]["title"].as_str().unwrap_or_default();
            if title.starts_with(wanted) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "the page never said {wanted:?}, but {title:?}");
            ensure!(self.child.try_wait()?.is_none(), "chromium ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the expression is true, also while another page is being loaded.
    pub(crate) async fn wait_until(&mut self, expression: &str) -> Result<()> {
        let begun = Instant::now();
        while self.value(expression).await.ok() != Some(Value::Bool(true)) {
            ensure!(begun.elapsed() < PATIENCE, "{expression} was never true:\n{}", self.text().await?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// A screen of this width, in CSS pixels, for somebody who likes it light or dark.
    pub(crate) async fn set_screen(&mut self, width: u32, dark: bool) -> Result<()> {
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", screen).await?;
        // As on a phone, where they lie over the page and take no room.
        self.call("Emulation.setScrollbarsHidden", json!({ "hidden": true })).await?;
        let scheme = json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).await?;
        Ok(())
    }

    /// A picture of the whole page, PNG.
    pub(crate) async fn picture(&mut self) -> Result<Vec<u8>> {
        let how = json!({ "format": "png", "captureBeyondViewport": true });
        let taken = self.call("Page.captureScreenshot", how).await?;
        let text = taken["data"].as_str().context("no picture")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(text)?)
    }

    /// A cookie for a page that is loaded next.
    pub(crate) async fn set_cookie(&mut self, url: &str, cookie: &str) -> Result<()> {
        let (name, value) = cookie.split_once('=').context("no cookie")?;
        let done = self.call("Network.setCookie", json!({ "url": url, "name": name, "value": value })).await?;
        ensure!(done["success"] == true, "the cookie was refused: {done}");
        Ok(())
    }

    /// Closes the page as a person does; the browser goes on without one.
    pub(crate) async fn close_page(&mut self) -> Result<()> {
        self.call("Page.close", json!({})).await?;
        Ok(())
    }

    /// Ends the browser without a word to anybody, as a machine does whose power fails.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().map(|_| ())
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.calls += 1;
        let mut command = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_empty() && !method.starts_with("Target.") {
            command["sessionId"] = json!(self.session);
        }
        let mut text = command.to_string().into_bytes();
        text.push(0);
        self.to.write_all(&text).await?;
        loop {
            let mut line = Vec::new();
            let read = tokio::time::timeout(PATIENCE, self.from.read_until(0, &mut line));
            let read = read.await.with_context(|| format!("chromium does not answer {method}"))??;
            ensure!(read > 0, "chromium ended:\n{}", self.child.output().lines().join("\n"));
            let answer: Value = serde_json::from_slice(line.strip_suffix(&[0]).unwrap_or(&line))?;
            if answer["id"] != self.calls {
                // Something that happened meanwhile.
                continue;
            }
            if !answer["error"].is_null() {
                bail!("{method}: {}", answer["error"]);
            }
            return Ok(answer["result"].clone());
        }
    }
}
