//! Building, signing and testing the guests: connectors and policies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{self, Workspace};
use crate::{examples, packages};

/// Packages of the guests' workspace that become components.
const GUESTS: [&str; 4] = ["okta-otp", "okta-sso", "okta-verify", "rules"];
/// Its guests import the contract and nothing else, not even an empty WASI.
const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's second toolchain, whose library comes with its source.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std";

/// How to build.
#[derive(Default)]
pub(crate) struct Options {
    /// Optimise the gateway.
    pub(crate) release: bool,
    /// Download nothing.
    pub(crate) offline: bool,
    /// Build the examples in other languages as well.
    pub(crate) all: bool,
}

/// What is built, and where; `dist/plugins` has it as `NAME.wasm`.
pub(crate) struct Built {
    pub(crate) name: &'static str,
    pub(crate) file: PathBuf,
}

/// Where the standard library for [`TARGET`] comes from.
enum Library {
    /// The toolchain has it.
    Installed,
    /// It is compiled along, from Debian's source with Debian's compiler.
    Compiled,
}

/// Builds every guest into `dist/plugins` and signs what has changed.
///
/// # Errors
/// There is no way to compile for the target here, a guest or the gateway does not compile, or signing fails.
pub(crate) fn make(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut built = build(workspace, options)?;
    if options.all {
        built.extend(examples::build(workspace, options)?);
    }
    let components = collect(workspace, &built)?;
    sign(workspace, options, &components)
}

/// Runs the guests' own tests, natively: their logic does not know that it will live in a sandbox.
///
/// # Errors
/// A test fails.
pub(crate) fn test(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut cargo = run::clean("cargo");
    cargo.current_dir(workspace.guests()).args(["test", "--workspace", "--locked", "--target-dir"]);
    cargo.arg(workspace.guests_target());
    if options.offline {
        cargo.arg("--offline");
    }
    run::all(&mut cargo)
}

fn build(workspace: &Workspace, options: &Options) -> Result<Vec<Built>> {
    let mut cargo = match find_library(options)? {
        Library::Installed => run::clean("cargo"),
        Library::Compiled => debian_cargo(),
    };
    cargo.current_dir(workspace.guests()).args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"]);
    cargo.arg(workspace.guests_target());
    for guest in GUESTS {
        cargo.args(["--package", guest]);
    }
    if options.offline {
        cargo.arg("--offline");
    }
    link_as_component(&mut cargo)?;
    run::all(&mut cargo)?;
    let release = workspace.guests_target().join(TARGET).join("release");
    let file = |name: &str| release.join(format!("{}.wasm", name.replace('-', "_")));
    Ok(GUESTS.into_iter().map(|name| Built { name, file: file(name) }).collect())
}

/// Finds a standard library: the toolchain's own, one that rustup adds to it, or Debian's source.
fn find_library(options: &Options) -> Result<Library> {
    if has_library() {
        return Ok(Library::Installed);
    }
    if !options.offline && run::is_installed("rustup") {
        let added = run::all(run::clean("rustup").args(["target", "add", TARGET]));
        if added.is_ok() && has_library() {
            return Ok(Library::Installed);
        }
    }
    println!("rustup cannot supply the standard library for {TARGET}; taking Debian's, which can be compiled.");
    let has_source = || Path::new(DEBIAN_LIBRARY).is_dir() && Path::new(DEBIAN_CARGO).is_file();
    if has_source() {
        return Ok(Library::Compiled);
    }
    packages::install(options.offline, &DEBIAN_PACKAGES, "the plugins").with_context(|| {
        format!("plugins need Rust's standard library for {TARGET}: `rustup target add {TARGET}`, or Debian's packages")
    })?;
    if !has_source() {
        bail!("{} are installed, but {DEBIAN_LIBRARY} is not there", DEBIAN_PACKAGES.join(", "));
    }
    Ok(Library::Compiled)
}

fn has_library() -> bool {
    run::output(run::clean("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_ok_and(|folder| Path::new(&folder).is_dir())
}

/// Debian's cargo, told to compile the standard library along. `RUSTC_BOOTSTRAP` is what lets a stable cargo do that; it
/// reaches this one build, which makes nothing but guests.
fn debian_cargo() -> Command {
    let mut cargo = run::clean(DEBIAN_CARGO);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
    // Wrappers and toolchain names are meant for the other compiler.
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    cargo.arg("-Zbuild-std=std,panic_abort");
    cargo
}

/// Lets rustup's `wasm-component-ld` link, which turns the module into a component on the way.
fn link_as_component(cargo: &mut Command) -> Result<()> {
    let sysroot = run::output(run::clean("rustc").args(["--print", "sysroot"]))?;
    let host = run::output(run::clean("rustc").arg("-vV"))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    let linkers = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin");
    let (linker, inner) = (linkers.join("wasm-component-ld"), linkers.join("gcc-ld/wasm-ld"));
    for file in [&linker, &inner] {
        if !file.is_file() {
            bail!("{} is missing; it comes with the toolchains of https://rustup.rs", file.display());
        }
    }
    let variable = |name: &str| format!("CARGO_TARGET_{}_{name}", TARGET.to_uppercase().replace('-', "_"));
    // Flags for everything would take the place of those for this target.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }
    let flags = ["-Clinker-flavor=wasm-ld".to_owned(), format!("-Clink-arg=--wasm-ld-path={}", inner.display())];
    cargo.env(variable("LINKER"), linker).env(variable("RUSTFLAGS"), flags.join(" "));
    Ok(())
}

/// Copies the components into `dist/plugins`; a file whose bytes have not changed keeps its time and its signature.
fn collect(workspace: &Workspace, guests: &[Built]) -> Result<Vec<PathBuf>> {
    let to = workspace.plugins();
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut components = Vec::new();
    for Built { name, file: built } in guests {
        let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
        if !is_component(&bytes) {
            bail!("{} is a module and not a component", built.display());
        }
        let component = to.join(format!("{name}.wasm"));
        if fs::read(&component).ok().as_ref() != Some(&bytes) {
            fs::write(&component, &bytes).with_context(|| format!("cannot write {}", component.display()))?;
        }
        println!("{}: {} kB", component.display(), bytes.len().div_ceil(1000));
        components.push(component);
    }
    Ok(components)
}

/// Magic number, then the layer field: 1 for a component, 0 for a module
/// (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>).
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

fn sign(workspace: &Workspace, options: &Options, components: &[PathBuf]) -> Result<()> {
    let (private, public) = (workspace.keys().join("dev.key"), workspace.keys().join("dev.pub"));
    let has_key = private.is_file() && public.is_file();
    let unsigned: Vec<_> = components.iter().filter(|component| !has_key || !is_signed(component, &public)).collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    let mut build = workspace.cargo(options.offline);
    build.args(["build", "--package", "portcullis-gateway"]);
    if options.release {
        build.arg("--release");
    }
    run::all(&mut build)?;
    let portcullis = workspace.binaries(options.release).join("portcullis");
    if !has_key {
        fs::create_dir_all(workspace.keys()).context("cannot create dist/keys")?;
        run::all(run::clean(&portcullis).args(["plugin", "keygen", "--out"]).arg(workspace.keys().join("dev")))?;
    }
    run::all(run::clean(&portcullis).args(["plugin", "sign", "--key"]).arg(&private).args(unsigned))
}

/// Whether the signature is there, and newer than the component and the key.
fn is_signed(component: &Path, key: &Path) -> bool {
    let mut signature = component.as_os_str().to_owned();
    signature.push(".minisig");
    let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (signature, component, key) = (written(Path::new(&signature)), written(component), written(key));
    signature.is_some() && signature >= component && signature >= key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_no_component() {
        assert!(is_component(b"\0asm\x0d\0\x01\0rest"));
        assert!(!is_component(b"\0asm\x01\0\0\0rest"));
        assert!(!is_component(b"\0asm"));
        assert!(!is_component(b""));
    }

    #[test]
    fn what_is_not_there_is_not_signed() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(!is_signed(&manifest, &manifest));
    }
}
