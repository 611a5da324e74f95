//! No password and no token is anywhere but where it has to be.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portcullis_lab::okta::{Behaviour, DEFAULT_TOKEN, Fault};

use crate::stage::{Setup, Stage, machine};

/// Every file below the folder that holds the text.
pub(crate) fn files_with(folder: &Path, needle: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_with(&path, needle)?);
        } else if std::fs::read(&path)?.windows(needle.len()).any(|window| window == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

#[tokio::test]
async fn passwords_and_the_token_are_in_no_log_event_page_or_file() -> Result<()> {
    let mut stage = Stage::new(Setup::default()).await?;
    stage.learn(machine(), "alice").await?;
    let from = machine();
    stage.okta.on_push("alice@example.com", Behaviour::ApproveAfter(Duration::from_millis(300)))?;
    assert_eq!(stage.bind_from(from, "alice", "alice-secret").await?.0, 0);
    assert_eq!(stage.bind_from(from, "alice", "a-wrong-password").await?.0, 49);
    // Answers that would show the token if anything echoed what it could not understand.
    for fault in [Fault::Html(500), Fault::BadJson, Fault::Status(401, "E0000011".to_owned())] {
        stage.okta.fail_next(1, &fault);
        stage.bind_from(machine(), "alice", "alice-secret").await?;
    }
    let console = stage.console().await?;
    let pages = [console.get("/activity").await?, console.get("/api/v1/events").await?].concat();
    assert!(pages.contains("alice"));
    let log = stage.log().join("\n");
    assert!(log.contains("challenge ended"), "the log was read");
    stage.stop()?;
    for secret in ["alice-secret", "a-wrong-password", DEFAULT_TOKEN, "portcullis-secret"] {
        assert!(!pages.contains(secret), "{secret} is on a page");
        assert!(!log.contains(secret), "{secret} is in the log");
        assert_eq!(files_with(&stage.folder.path().join("data"), secret)?, Vec::<String>::new(), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn the_data_folder_is_the_gateways_own() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new(Setup::default()).await?;
    let mode = |path: &str| anyhow::Ok(std::fs::metadata(stage.folder.path().join(path))?.permissions().mode() & 0o777);
    assert_eq!((mode("data")?, mode("data/portcullis.db")?, mode("data/compiled")?), (0o700, 0o600, 0o700));
    Ok(())
}
