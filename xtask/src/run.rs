//! Running other programs.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result, anyhow, bail};

/// Where the project's files are.
pub(crate) struct Workspace {
    root: PathBuf,
    target: Option<PathBuf>,
}

impl Workspace {
    /// Finds the workspace that this program was compiled from.
    pub(crate) fn locate() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().context("xtask is not inside a workspace")?.to_owned();
        if !root.join("wit").is_dir() {
            bail!("{} has been moved away since xtask was compiled; run `cargo clean -p xtask`", root.display());
        }
        let target = env::var_os("CARGO_TARGET_DIR").map(|folder| root.join(folder));
        Ok(Self { root, target })
    }

    /// The guests' own cargo workspace.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The guests' target folder. Another cargo may build into it than the one that builds the gateway, hence never the same.
    pub(crate) fn guests_target(&self) -> PathBuf {
        self.target.as_ref().map_or_else(|| self.guests().join("target"), |target| target.join("guests"))
    }

    /// What the examples in other languages are built with, and into.
    pub(crate) fn examples_target(&self) -> PathBuf {
        self.guests_target().join("examples")
    }

    /// The contract.
    pub(crate) fn wit(&self) -> PathBuf {
        self.root.join("wit/v0.1")
    }

    /// Where a policy's source is.
    pub(crate) fn policy(&self, name: &str) -> PathBuf {
        self.root.join("policies").join(name)
    }

    /// Components and their signatures.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.root.join("dist/plugins")
    }

    /// The development key.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("dist/keys")
    }

    /// The gateway's binaries.
    pub(crate) fn binaries(&self, release: bool) -> PathBuf {
        let target = self.target.clone().unwrap_or_else(|| self.root.join("target"));
        target.join(if release { "release" } else { "debug" })
    }

    /// The cargo that runs this program, in the gateway's workspace.
    pub(crate) fn cargo(&self, offline: bool) -> Command {
        let mut command = clean("cargo");
        command.current_dir(&self.root);
        if offline {
            command.arg("--offline");
        }
        command
    }
}

/// A command without what cargo told this program about itself. Inherited, it would mislead an inner cargo: about the
/// compiler, its flags, or the package being built.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let of_outer_cargo = |name: &str| {
        matches!(name, "CARGO" | "RUSTC" | "RUSTDOC" | "RUST_RECURSION_COUNT" | "LD_LIBRARY_PATH" | "OUT_DIR")
            || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| name.starts_with(p))
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(of_outer_cargo) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command and shows what it prints.
///
/// # Errors
/// It cannot be started, or does not succeed.
pub(crate) fn all(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    if status.success() { Ok(()) } else { Err(anyhow!("`{}` ended with {status}", line(command))) }
}

/// Runs a command and returns what it prints, without the blanks around it.
///
/// # Errors
/// It cannot be started, does not succeed, or prints what is not text.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`{}` ended with {}: {said}", line(command), output.status);
    }
    Ok(String::from_utf8(output.stdout).context("its output is not text")?.trim().to_owned())
}

/// Becomes the command: signals, terminal and exit status are its own from here on, and nothing is left behind when it
/// ends. Returns only when it cannot be started.
pub(crate) fn become_command(command: &mut Command) -> Error {
    println!("$ {}", line(command));
    let error = command.exec();
    anyhow!(error).context(format!("cannot start `{}`", line(command)))
}

/// Whether a program of this name can be started. Debian keeps servers in folders that are not on everybody's path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    // A whole script is no word that somebody would want to read here.
    let shown = |word: &OsStr| {
        let text = word.to_string_lossy();
        if text.contains('\n') { "'…'".to_owned() } else { text.into_owned() }
    };
    words.map(shown).collect::<Vec<_>>().join(" ")
}
