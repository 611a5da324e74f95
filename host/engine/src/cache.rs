//! Compiled components on disk: compiling takes from milliseconds to many seconds, reading back less than one.
//!
//! A cached file is machine code. It needs no signature of its own, because the folder is private: it belongs to the
//! gateway's user, and nobody else may enter it. Where that is not so, the cache is not used.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::precompiled;

/// A private folder of compiled components.
#[derive(Debug)]
pub(crate) struct CompileCache {
    folder: PathBuf,
    owner: u32,
}

impl CompileCache {
    /// Creates the folder, or makes sure that an existing one is private.
    ///
    /// # Errors
    /// The reason why it cannot be used, as text.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let problem = |what: &str| format!("the compile cache `{}` {what}", folder.display());
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(folder) {
            return Err(problem(&format!("cannot be created: {error}")));
        }
        // `symlink_metadata`, so that the folder that is checked is the folder that is used.
        let metadata =
            fs::symlink_metadata(folder).map_err(|error| problem(&format!("cannot be examined: {error}")))?;
        if !metadata.is_dir() {
            return Err(problem("is not a folder"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(problem("can be entered by other users; make it private with `chmod 700`"));
        }
        // A file of ours shows who we are; the standard library has no other way to ask.
        let probe = folder.join(temporary_name().map_err(|error| problem(&format!("is not usable: {error}")))?);
        let ours = create_private(&probe).and_then(|file| Ok(file.metadata()?.uid()));
        let _ = fs::remove_file(&probe);
        match ours {
            Ok(owner) if owner == metadata.uid() => Ok(Self { folder: folder.to_owned(), owner }),
            Ok(_) => Err(problem("belongs to another user; let it belong to the gateway's own")),
            Err(error) => Err(problem(&format!("cannot be written to: {error}"))),
        }
    }

    /// The component, if it was compiled before by an engine like this one.
    pub(crate) fn load(&self, engine: &Engine, key: &str) -> Option<Component> {
        let compiled = self.read(&self.folder.join(key)).ok()?;
        match precompiled::deserialize(engine, &compiled) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(%error, file = key, "a cached component cannot be used; it is compiled again");
                None
            }
        }
    }

    /// Keeps a compiled component. A failure costs time later, not correctness, and is only logged.
    pub(crate) fn store(&self, key: &str, component: &Component) {
        let written = component
            .serialize()
            .map_err(|error| error.to_string())
            .and_then(|compiled| self.write(&self.folder.join(key), &compiled).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(%error, folder = %self.folder.display(), "a compiled component cannot be cached");
        }
    }

    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        let mut file = OpenOptions::new().read(true).open(file)?;
        let metadata = file.metadata()?;
        // Left over from a time when the folder was not private.
        if !metadata.is_file() || metadata.uid() != self.owner || metadata.mode() & 0o022 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(temporary_name()?);
        // Renaming replaces the file as a whole: a reader finds all of it or none.
        let written = create_private(&temporary)
            .and_then(|mut out| out.write_all(bytes).and_then(|()| out.sync_all()))
            .and_then(|()| fs::rename(&temporary, file));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

/// Name of a component's compiled form: what was compiled, and by whom.
pub(crate) fn key(engine: &Engine, component: &[u8]) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut compiler = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut compiler);
    format!("{}-{}.compiled", hex(&Sha256::digest(component)), hex(&compiler.0.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn temporary_name() -> io::Result<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{}.tmp", hex(&random)))
}

fn create_private(file: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use wasmtime::Engine;
    use wasmtime::component::Component;

    use super::{CompileCache, key};

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cache");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(CompileCache::open(&folder).unwrap_err().contains("chmod 700"));
    }

    #[test]
    fn a_link_to_a_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("real")).unwrap();
        std::os::unix::fs::symlink(root.path().join("real"), root.path().join("cache")).unwrap();
        assert!(CompileCache::open(&root.path().join("cache")).unwrap_err().contains("not a folder"));
    }

    #[test]
    fn a_new_folder_is_made_private_and_gives_back_what_was_put_in() {
        let root = tempfile::tempdir().unwrap();
        let cache = CompileCache::open(&root.path().join("cache")).unwrap();
        assert_eq!(fs::metadata(root.path().join("cache")).unwrap().permissions().mode() & 0o777, 0o700);

        let engine = Engine::default();
        let key = key(&engine, EMPTY_COMPONENT);
        assert!(cache.load(&engine, &key).is_none());
        cache.store(&key, &Component::new(&engine, EMPTY_COMPONENT).unwrap());
        assert!(cache.load(&engine, &key).is_some());
        assert_eq!(fs::read_dir(root.path().join("cache")).unwrap().count(), 1, "nothing temporary stays behind");
    }

    #[test]
    fn a_damaged_or_writable_entry_is_compiled_again_instead_of_used() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cache");
        let cache = CompileCache::open(&folder).unwrap();
        let engine = Engine::default();
        let key = key(&engine, EMPTY_COMPONENT);
        cache.store(&key, &Component::new(&engine, EMPTY_COMPONENT).unwrap());
        fs::set_permissions(folder.join(&key), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.load(&engine, &key).is_none());
        fs::set_permissions(folder.join(&key), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(folder.join(&key), b"not machine code").unwrap();
        assert!(cache.load(&engine, &key).is_none());
    }

    #[test]
    fn another_component_or_another_configuration_has_another_name() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let (one, other) = (Engine::default(), Engine::new(&config).unwrap());
        assert_ne!(key(&one, EMPTY_COMPONENT), key(&other, EMPTY_COMPONENT));
        assert_ne!(key(&one, EMPTY_COMPONENT), key(&one, b"another"));
    }
}
