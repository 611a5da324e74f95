//! A process of our own that ends with the value that stands for it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How many lines of output are kept; older ones are forgotten.
const KEPT_LINES: usize = 20_000;
const STEP: Duration = Duration::from_millis(10);
/// How long a process may take to end after SIGTERM when its guard is dropped.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// A running process. Dropping it ends exactly this process: SIGTERM first, SIGKILL when it does not listen.
pub struct Child {
    name: String,
    child: std::process::Child,
    output: Output,
}

/// What a process has written so far, shared between its readers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<VecDeque<String>>>);

impl Output {
    /// All kept lines of standard output and standard error, in the order of their arrival.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The first kept line that contains the text.
    #[must_use]
    pub fn find(&self, needle: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|line| line.contains(needle)).cloned()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn follow(&self, pipe: impl Read + Send + 'static) {
        let output = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                output.push(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
    }
}

impl Child {
    /// Starts the command with its output captured and nothing on its standard input.
    /// The name is used in errors only.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let output = Output::default();
        if let Some(pipe) = child.stdout.take() {
            output.follow(pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            output.follow(pipe);
        }
        Ok(Self { name: name.to_owned(), child, output })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has written so far.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// The exit status when the process has ended, and nothing while it runs.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for a line that contains the text, and returns the first such line.
    ///
    /// # Errors
    /// When no such line has come in time, or the process ended without one; the error shows the output.
    pub async fn wait_for_line(&mut self, needle: &str, within: Duration) -> anyhow::Result<String> {
        let end = Instant::now() + within;
        loop {
            // Asked before the search, so that what an ending process wrote last is still looked at below.
            let ended = self.child.try_wait()?;
            if let Some(line) = self.output.find(needle) {
                return Ok(line);
            }
            if ended.is_some() {
                // The readers may be a moment behind the end of the process.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return self.output.find(needle).with_context(|| self.complaint(needle, "ended"));
            }
            anyhow::ensure!(Instant::now() < end, self.complaint(needle, "ran out of time"));
            tokio::time::sleep(STEP).await;
        }
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    /// When the process has ended already, or the system refuses.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        // A process that was waited for may have left its number to another one.
        anyhow::ensure!(self.child.try_wait()?.is_none(), "{} has ended already", self.name);
        let pid = i32::try_from(self.child.id()).context("process id out of range")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Ends the process: SIGTERM, and SIGKILL after the given time. The thread sleeps meanwhile.
    ///
    /// # Errors
    /// When the system cannot tell how the process ended.
    pub fn stop(&mut self, grace: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        let end = Instant::now() + grace;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(STEP);
        }
        self.kill()
    }

    /// Ends the process at once by SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When the system cannot tell how the process ended.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        }
        Ok(self.child.wait()?)
    }

    fn complaint(&self, needle: &str, how: &str) -> String {
        let lines = self.output.lines().join("\n");
        format!("{} {how} before a line with {needle:?}; its output was:\n{lines}", self.name)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.stop(DROP_GRACE) {
            tracing::warn!("{} could not be ended: {error:#}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::spawn("a shell", command).unwrap()
    }

    #[tokio::test]
    async fn lines_of_both_outputs_are_found() {
        let mut child = shell("echo one; echo two three >&2; exec sleep 60");
        let second = Duration::from_secs(5);
        assert_eq!(child.wait_for_line("three", second).await.unwrap(), "two three");
        assert_eq!(child.wait_for_line("one", second).await.unwrap(), "one");
        let missing = child.wait_for_line("four", Duration::from_millis(50)).await.unwrap_err();
        assert!(missing.to_string().contains("ran out of time"), "{missing}");
    }

    #[tokio::test]
    async fn the_end_of_a_process_ends_the_wait() {
        let mut child = shell("echo last words");
        let error = child.wait_for_line("nothing", Duration::from_secs(30)).await.unwrap_err();
        assert!(error.to_string().contains("last words"), "{error}");
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed() {
        let mut child = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        while child.output().find("ready").is_none() {
            std::thread::sleep(STEP);
        }
        let status = child.stop(Duration::from_millis(200)).unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[test]
    fn dropping_the_guard_ends_the_process() {
        let child = shell("exec sleep 60");
        let pid = Pid::from_raw(i32::try_from(child.pid()).unwrap());
        assert!(kill(pid, None).is_ok());
        drop(child);
        assert!(kill(pid, None).is_err());
    }
}
