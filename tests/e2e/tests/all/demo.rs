//! The demo's story, as the README's first command tells it.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::stage::{binary, dist};

#[tokio::test]
async fn the_story_of_the_demo_ends_as_it_should() -> Result<()> {
    let gateway = binary()?;
    let demo = gateway.with_file_name("portcullis-demo");
    ensure!(demo.is_file(), "{} is missing: run `cargo build --workspace` first", demo.display());
    let mut command = tokio::process::Command::new(demo);
    command.arg("--story").kill_on_drop(true);
    command.env("PORTCULLIS_BIN", &gateway);
    command.env("PORTCULLIS_PLUGINS", dist().join("plugins")).env("PORTCULLIS_KEY", dist().join("keys/dev.pub"));
    let output = tokio::time::timeout(Duration::from_secs(240), command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("everything was as it should be"), "{said}");
    Ok(())
}
