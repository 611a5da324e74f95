//! `portcullis plugin`: keys and signatures.

use std::fs::OpenOptions;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use portcullis_engine::CONTRACT;

use crate::out::{say, say_lines};
use crate::plugins;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key pair in minisign's format: OUT.key (secret, without password) and OUT.pub.
    Keygen {
        /// Path of both files, without their endings.
        #[arg(long, value_name = "PATH")]
        out: PathBuf,
    },
    /// Sign plugins: each FILE gets its FILE.minisig. The ordinary `minisign` tool does it as well.
    Sign {
        /// Secret key in minisign's format.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Components.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what a signed plugin says about itself, what it imports and which settings it takes.
    Inspect {
        /// Component; its signature stands beside it.
        file: PathBuf,
        /// Public key that has to have signed it.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Keygen { out } => keygen(&out)?,
        Command::Sign { key, files } => sign(&key, &files)?,
        Command::Inspect { file, key } => inspect(&file, key)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(out: &Path) -> Result<()> {
    let (secret_file, public_file) = (out.with_added_extension("key"), out.with_added_extension("pub"));
    let pair = KeyPair::generate_unencrypted_keypair().context("no key pair could be made")?;
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let secret = pair.sk.to_box(None).context("the secret key could not be written down")?.to_string();
    // Never over an existing key: plugins that it signed would have no key any more.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&secret_file)
        .with_context(|| format!("{} cannot be made", secret_file.display()))?;
    file.write_all(secret.as_bytes()).with_context(|| format!("{} cannot be written", secret_file.display()))?;
    let public = pair.pk.to_box().context("the public key could not be written down")?.to_string();
    std::fs::write(&public_file, public).with_context(|| format!("{} cannot be written", public_file.display()))?;
    say(secret_file.display())?;
    say(public_file.display())?;
    Ok(())
}

fn sign(key: &Path, files: &[PathBuf]) -> Result<()> {
    let text = std::fs::read_to_string(key).with_context(|| format!("{} cannot be read", key.display()))?;
    let boxed = || SecretKeyBox::from_string(&text);
    // A key with a password is asked for it.
    let secret = boxed()
        .and_then(SecretKeyBox::into_unencrypted_secret_key)
        .or_else(|_| boxed()?.into_secret_key(None))
        .with_context(|| format!("{} is no minisign secret key, or its password is wrong", key.display()))?;
    let public = PublicKey::from_secret_key(&secret).context("the key is damaged")?;
    for file in files {
        sign_one(&public, &secret, file)?;
    }
    Ok(())
}

fn sign_one(public: &PublicKey, secret: &SecretKey, file: &Path) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    // The preamble of a component: magic, version 13, layer 1 (component model, Binary.md).
    if !bytes.starts_with(b"\0asm\x0d\0\x01\0") {
        bail!("{} is no WebAssembly component", file.display());
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let comment = format!("file:{name} contract={CONTRACT}");
    let signature = minisign::sign(Some(public), secret, Cursor::new(bytes), Some(&comment), Some("portcullis plugin"))
        .with_context(|| format!("{} could not be signed", file.display()))?;
    let target = file.with_added_extension("minisig");
    std::fs::write(&target, signature.to_string())
        .with_context(|| format!("{} cannot be written", target.display()))?;
    say(target.display())?;
    Ok(())
}

fn inspect(file: &Path, key: PathBuf) -> Result<()> {
    let info = plugins::inspect(file, key)?;
    say(format_args!("{} {} ({})", info.manifest.name, info.manifest.version, info.world))?;
    say(&info.manifest.summary)?;
    say(format_args!("signed:   {}", info.signed.text))?;
    say(format_args!("imports:  {}", info.imports.join(", ")))?;
    say_lines(&format!("settings: {:#}", info.manifest.settings_schema))?;
    Ok(())
}
