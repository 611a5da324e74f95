//! The way of a file into the engine: read once, verified, compiled, and found to be a plugin of the contract.

use portcullis_core::plugin::PluginFault;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::cache::{self, CompileCache};
use crate::contract::{self, Shape, World};
use crate::folder::PluginFolder;
use crate::settings::Manifest;
use crate::signature::{TrustedComment, TrustedKeys};
use crate::{EngineError, Problem};

/// Stack of the thread that compiles; deeply nested functions of a plugin must not end the gateway.
const COMPILER_STACK: usize = 32 << 20;

/// Turns verified files into components.
pub(crate) struct Loader {
    pub(crate) folder: PluginFolder,
    pub(crate) keys: TrustedKeys,
    pub(crate) cache: Option<CompileCache>,
}

/// A file whose signature was found good, and what that signature says.
pub(crate) struct Verified {
    pub(crate) file: String,
    bytes: Vec<u8>,
    comment: TrustedComment,
}

/// A compiled component of the contract.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    pub(crate) world: World,
    pub(crate) imports: Vec<String>,
}

impl Loader {
    /// Nothing looks at the component before its signature has been verified.
    pub(crate) fn verify(&self, file: &str) -> Result<Verified, EngineError> {
        let found = self.folder.read(file)?;
        let comment = self
            .keys
            .verify(&found.component, &found.signature)
            .map_err(|reason| EngineError::Signature { file: file.to_owned(), reason })?;
        Ok(Verified { file: file.to_owned(), bytes: found.component, comment })
    }

    pub(crate) fn compile(&self, engine: &wasmtime::Engine, verified: &Verified) -> Result<Compiled, EngineError> {
        let component = self.component(engine, verified)?;
        let shape = Shape::of(&component, engine);
        let world = shape.world(&verified.file)?;
        Ok(Compiled { component, world, imports: shape.imports })
    }

    fn component(&self, engine: &wasmtime::Engine, verified: &Verified) -> Result<Component, EngineError> {
        let refused = |reason: String| EngineError::NotAComponent { file: verified.file.clone(), reason };
        match verified.bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
            Some([0, b'a', b's', b'm', ..]) => {
                return Err(refused(
                    "it is a core module; make a component of it with `wasm-tools component new`".into(),
                ));
            }
            _ => return Err(refused("it is not WebAssembly".into())),
        }
        let key = cache::key(engine, &verified.bytes);
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.load(engine, &key)) {
            return Ok(component);
        }
        let component =
            Component::from_binary(engine, &verified.bytes).map_err(|error| refused(format!("{error:#}")))?;
        if let Some(cache) = &self.cache {
            cache.store(&key, &component);
        }
        Ok(component)
    }
}

impl Verified {
    /// Makes sure that the signature was given for this plugin in this version, where it says for which.
    pub(crate) fn check_manifest(&self, manifest: &Manifest) -> Result<(), EngineError> {
        let agrees = |field, signed: &Option<String>, found: &str| match signed {
            Some(signed) if signed != found => {
                let (signed, found) = (signed.clone(), found.to_owned());
                Err(EngineError::SignedForOther { file: self.file.clone(), field, signed, found })
            }
            _ => Ok(()),
        };
        agrees("name", &self.comment.name, &manifest.name)?;
        agrees("version", &self.comment.version, &manifest.version)
    }

    /// Makes sure that the signature was given for a contract that this gateway speaks, where it says for which.
    pub(crate) fn check_contract(&self) -> Result<(), EngineError> {
        match &self.comment.contract {
            Some(signed) if !contract::speaks(signed) => Err(EngineError::SignedForOther {
                file: self.file.clone(),
                field: "contract",
                signed: signed.clone(),
                found: contract::CONTRACT.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// SHA-256 of the file, in hexadecimal digits.
    pub(crate) fn digest(&self) -> String {
        Sha256::digest(&self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn comment(&self) -> &TrustedComment {
        &self.comment
    }

    /// Says that the plugin failed while it was loaded.
    pub(crate) fn fault(&self, fault: PluginFault) -> EngineError {
        EngineError::Fault { file: self.file.clone(), fault }
    }
}

/// Fails when there are problems.
pub(crate) fn settled(name: &str, problems: Vec<Problem>) -> Result<(), EngineError> {
    if problems.is_empty() { Ok(()) } else { Err(EngineError::Settings { name: name.to_owned(), problems }) }
}

/// Runs the work on a thread of its own and waits for it. A compiler that panics over a strange component ends that thread
/// and not the gateway; a caller on an async worker may block, but never runs one runtime inside another.
pub(crate) fn on_own_thread<T: Send + 'static>(
    file: &str,
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let thread = std::thread::Builder::new().name("plugin-loader".into()).stack_size(COMPILER_STACK).spawn(work);
    let thread = thread.map_err(|error| EngineError::Setup(format!("no thread to load a plugin on: {error}")))?;
    thread.join().unwrap_or_else(|_| {
        Err(EngineError::NotAComponent { file: file.to_owned(), reason: "the compiler panicked over it".into() })
    })
}

#[cfg(test)]
mod tests {
    use super::on_own_thread;
    use crate::EngineError;

    #[test]
    fn a_panicking_compiler_is_an_error() {
        let caught = on_own_thread::<()>("x.wasm", || panic!("deliberate"));
        assert!(matches!(caught, Err(EngineError::NotAComponent { .. })));
    }
}
