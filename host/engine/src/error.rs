//! What can go wrong between a file in the plugin folder and a plugin that may be called.

use std::fmt;
use std::path::PathBuf;

use portcullis_core::plugin::PluginFault;
use thiserror::Error;

use crate::contract::World;
use crate::signature::SignatureError;

/// A setting that is wrong, as the plugin says or as its schema makes plain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// JSON Pointer (RFC 6901) to the setting; empty where the settings as a whole are meant.
    pub setting: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.setting.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.setting, self.message)
        }
    }
}

/// Why the engine could not be set up, or a plugin not be loaded. The text says what, where and what to do; it holds no
/// secret.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Something in the gateway's own surroundings is not as it has to be: a folder, a key file, the WebAssembly runtime.
    #[error("{0}")]
    Setup(String),
    /// The name of a plugin file is not a plain file name.
    #[error("`{0}` is not a plugin file name: name a file inside the plugin folder, without `/`, ending in `.wasm`")]
    FileName(String),
    /// There is no such file.
    #[error("the plugin file `{}` does not exist", .0.display())]
    FileMissing(PathBuf),
    /// The file is there and cannot be read.
    #[error("the plugin file `{}` cannot be read: {reason}", .file.display())]
    FileUnreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file is larger than a plugin may be.
    #[error("the plugin file `{}` is larger than {limit} bytes", .file.display())]
    FileTooLarge {
        /// Which.
        file: PathBuf,
        /// How large it may be, in bytes.
        limit: u64,
    },
    /// There is no signature beside the file.
    #[error(
        "the plugin `{0}` is not signed: `{0}.minisig` is missing. Sign it with `portcullis plugin sign`, \
         or get it from somebody who does"
    )]
    NotSigned(String),
    /// There is a signature, and it does not make the file trusted.
    #[error("the signature of the plugin `{file}` is refused: {reason}")]
    Signature {
        /// Which.
        file: String,
        /// Why.
        reason: SignatureError,
    },
    /// The signature vouches for something else than what the component says it is.
    #[error("the signature of the plugin `{file}` is for {field} `{signed}`, but the component is {field} `{found}`")]
    SignedForOther {
        /// Which.
        file: String,
        /// `name`, `version` or `contract`.
        field: &'static str,
        /// What the signature's trusted comment says.
        signed: String,
        /// What the component says.
        found: String,
    },
    /// Not a component, or one that cannot be compiled.
    #[error("`{file}` is not a component that can be run: {reason}")]
    NotAComponent {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// It wants something of its surroundings that the contract does not have.
    #[error(
        "`{file}` imports `{import}`, which plugins do not get. Build it against the contract alone, \
         without WASI (or with WASI stubbed out)"
    )]
    ForeignImport {
        /// Which.
        file: String,
        /// The import's name.
        import: String,
    },
    /// It does not export the interfaces of any world of the contract.
    #[error("`{file}` is no plugin of the contract `{contract}`: {reason}", contract = crate::contract::CONTRACT)]
    ContractMismatch {
        /// Which.
        file: String,
        /// What is missing or different.
        reason: String,
    },
    /// It is a plugin of another kind.
    #[error("`{file}` is made for the world `{found}`, but `{expected}` is needed here")]
    WrongWorld {
        /// Which.
        file: String,
        /// What is needed.
        expected: World,
        /// What it is.
        found: World,
    },
    /// What it tells about itself breaks the contract.
    #[error("`{file}` describes itself wrongly: {reason}")]
    Manifest {
        /// Which.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The settings are wrong.
    #[error("the settings of `{name}` are wrong: {}", list(.problems))]
    Settings {
        /// Name of the policy or connector in the gateway's configuration.
        name: String,
        /// Each wrong setting.
        problems: Vec<Problem>,
    },
    /// What the administrator grants makes no sense.
    #[error("the grants of `{name}` are wrong: {reason}")]
    Grants {
        /// Name of the connector.
        name: String,
        /// What is wrong; names secrets, never shows one.
        reason: String,
    },
    /// It trapped, took too long or went over a limit while it was being loaded.
    #[error("`{file}` failed while it was being loaded: {fault}")]
    Fault {
        /// Which.
        file: String,
        /// How.
        fault: PluginFault,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
