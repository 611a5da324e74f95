//! What the README's commands run: `cargo xtask …`. Compiled before everything else, hence no dependency but `anyhow`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod examples;
mod guests;
mod packages;
mod run;

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::guests::Options;
use crate::run::Workspace;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  plugins [--all] [--release] [--offline]
          Build the connectors and policies to WebAssembly components and sign them with the development key:
          dist/plugins/NAME.wasm, dist/plugins/NAME.wasm.minisig, dist/keys/dev.pub
  test [--offline]
          Install what the tests need (servers such as slapd and Samba, LDAP clients, chromium), none of which is left
          running, build the plugins with --all, run every test
  demo [--release] [ARGS...]
          Build everything and start the gateway with a sample directory and a simulated Okta;
          ARGS go to the demo (`cargo xtask demo --help` lists them)
  bench [ARGS...]
          Install slapd and haproxy where they are missing, build everything optimised, and measure the gateway beside
          its peers; ARGS go to the measurement (`cargo xtask bench --help` lists them)

  --all      also the examples in other languages (C, JavaScript), with compilers that are installed where they are missing
  --release  optimise the gateway (components are always optimised)
  --offline  use nothing but what earlier builds have downloaded
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next();
    match dispatch(command.as_ref().and_then(|command| command.to_str()), arguments.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Option<&str>, arguments: Vec<OsString>) -> Result<ExitCode> {
    match command {
        Some("plugins") => {
            guests::make(&Workspace::locate()?, &options(&arguments, &["--all", "--release", "--offline"])?)?;
        }
        Some("test") => test(&options(&arguments, &["--offline"])?)?,
        Some("demo") => demo(arguments)?,
        Some("bench") => bench(&arguments)?,
        Some("help" | "--help" | "-h") => print!("{HELP}"),
        unknown => {
            if let Some(unknown) = unknown {
                eprintln!("xtask: there is no command `{unknown}`\n");
            }
            eprint!("{HELP}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn options(arguments: &[OsString], known: &[&str]) -> Result<Options> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.to_str().filter(|text| known.contains(text)) {
            Some("--all") => options.all = true,
            Some("--release") => options.release = true,
            Some("--offline") => options.offline = true,
            _ => bail!("`{}` is not an option of this command; it takes {}", argument.display(), known.join(" and ")),
        }
    }
    Ok(options)
}

/// Everything that can be tested, in the order in which a mistake is found soonest.
fn test(options: &Options) -> Result<()> {
    let workspace = Workspace::locate()?;
    packages::install_for_tests(options.offline)?;
    guests::make(&workspace, &Options { all: true, ..*options })?;
    guests::test(&workspace, options)?;
    run::all(workspace.cargo(options.offline).args(["build", "--package", "portcullis-gateway"]))?;
    run::all(workspace.cargo(options.offline).args(["test", "--workspace"]))
}

/// Builds everything, then becomes the demo.
fn demo(mut arguments: Vec<OsString>) -> Result<()> {
    let workspace = Workspace::locate()?;
    let release = arguments.first().is_some_and(|first| first == "--release");
    if release {
        arguments.remove(0);
    }
    let options = Options { release, ..Options::default() };
    guests::make(&workspace, &options)?;
    let mut build = workspace.cargo(options.offline);
    build.args(["build", "--package", "portcullis-gateway", "--package", "portcullis-lab"]);
    if release {
        build.arg("--release");
    }
    run::all(&mut build)?;
    let binaries = workspace.binaries(release);
    let mut demo = run::clean(binaries.join("portcullis-demo"));
    name_programs(demo.args(arguments), &workspace, release);
    Err(run::become_command(&mut demo))
}

/// Builds everything optimised, then becomes the measurement of the gateway beside its peers.
fn bench(arguments: &[OsString]) -> Result<()> {
    let workspace = Workspace::locate()?;
    let options = Options { release: true, ..Options::default() };
    packages::install_for_bench(options.offline)?;
    guests::make(&workspace, &options)?;
    // One after the other: built together, what the measurement needs of a dependency would also be in the gateway.
    for package in ["portcullis-gateway", "portcullis-bench"] {
        run::all(workspace.cargo(options.offline).args(["build", "--release", "--package", package]))?;
    }
    let mut bench = run::clean(workspace.binaries(true).join("portcullis-bench"));
    name_programs(bench.arg("peers").args(arguments), &workspace, true);
    Err(run::become_command(&mut bench))
}

/// Tells a program where the gateway and its plugins are.
fn name_programs(command: &mut Command, workspace: &Workspace, release: bool) {
    command
        .env("PORTCULLIS_BIN", workspace.binaries(release).join("portcullis"))
        .env("PORTCULLIS_PLUGINS", workspace.plugins())
        .env("PORTCULLIS_KEY", workspace.keys().join("dev.pub"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_takes_its_own_options_only() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let both = options(&words(&["--offline", "--release"]), &["--release", "--offline"]).unwrap();
        assert!(both.release && both.offline && !both.all);
        assert!(options(&words(&["--all"]), &["--all"]).unwrap().all);
        assert!(options(&words(&["--all"]), &["--offline"]).is_err());
        assert!(options(&words(&["--release"]), &["--offline"]).is_err());
        assert!(options(&words(&["release"]), &["--release"]).is_err());
    }
}
