//! The example policies in other languages than Rust. Each says itself how it is built, in the way of its language; here are
//! the compilers installed, and the results kept out of the source. What npm has goes below the target folder, in the versions
//! of the lock file; nothing is installed for the machine but Debian packages.

use std::fs;

use anyhow::{Context, Result};

use crate::guests::{Built, Options};
use crate::packages;
use crate::run::{self, Workspace};

const C: &str = "service-networks";
const JAVASCRIPT: &str = "office-hours";

/// Installs what is missing, and builds the examples.
///
/// # Errors
/// Something cannot be installed or downloaded, or an example does not compile.
pub(crate) fn build(workspace: &Workspace, options: &Options) -> Result<Vec<Built>> {
    packages::install_for_examples(options.offline)?;
    Ok(vec![c(workspace, options)?, javascript(workspace, options)?])
}

fn c(workspace: &Workspace, options: &Options) -> Result<Built> {
    let out = workspace.examples_target().join(C);
    let mut make = run::clean("make");
    make.arg("--directory").arg(workspace.policy(C)).arg(format!("OUT={}", out.display()));
    // The bindings are written by a tool of the guests' workspace.
    make.env("CARGO_TARGET_DIR", workspace.guests_target());
    if options.offline {
        make.env("CARGO_NET_OFFLINE", "true");
    }
    run::all(&mut make)?;
    Ok(Built { name: C, file: out.join("service-networks.wasm") })
}

/// In a copy of the source, beside which npm puts the compiler. It is asked only when another version is wanted.
fn javascript(workspace: &Workspace, options: &Options) -> Result<Built> {
    let (source, out) = (workspace.policy(JAVASCRIPT), workspace.examples_target().join(JAVASCRIPT));
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let (wanted, installed) = (source.join("package-lock.json"), out.join("installed.json"));
    let is_installed = fs::read(&installed).is_ok_and(|lock| fs::read(&wanted).is_ok_and(|wanted| wanted == lock));
    for entry in fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))? {
        let from = entry?.path();
        if let Some(name) = from.file_name().filter(|_| from.is_file()) {
            fs::copy(&from, out.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    let npm = || {
        let mut npm = run::clean("npm");
        npm.current_dir(&out).env("npm_config_cache", workspace.examples_target().join("npm"));
        npm
    };
    if !is_installed {
        let mut install = npm();
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]);
        if options.offline {
            install.arg("--offline");
        }
        let _ = fs::remove_file(&installed);
        run::all(&mut install).context("the compiler for JavaScript cannot be installed")?;
        // Only now: an installation that was ended halfway is none.
        fs::copy(&wanted, &installed).with_context(|| format!("cannot write {}", installed.display()))?;
    }
    run::all(npm().args(["run", "--silent", "build"]).env("WIT", workspace.wit()))?;
    Ok(Built { name: JAVASCRIPT, file: out.join("office-hours.wasm") })
}
