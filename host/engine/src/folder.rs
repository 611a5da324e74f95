//! The plugin folder: what the engine may read, and nothing else.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::EngineError;

/// Largest component file, in bytes.
const MAX_COMPONENT: u64 = 64 << 20;
/// Largest signature file, in bytes; a signature is four short lines.
const MAX_SIGNATURE: u64 = 8 << 10;

/// The folder that holds the plugin files and their signatures.
#[derive(Debug)]
pub(crate) struct PluginFolder {
    path: PathBuf,
    dir: Dir,
}

/// A plugin file and its signature, each read once: what is verified is what is compiled.
pub(crate) struct PluginFile {
    pub(crate) component: Vec<u8>,
    pub(crate) signature: String,
}

impl PluginFolder {
    pub(crate) fn open(path: &Path) -> Result<Self, EngineError> {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| {
            EngineError::Setup(format!("the plugin folder `{}` cannot be opened: {error}", path.display()))
        })?;
        Ok(Self { path: path.to_owned(), dir })
    }

    /// Reads `file` and `file.minisig`. The names are looked up inside the folder; a symbolic link that leads out of it is
    /// an error.
    pub(crate) fn read(&self, file: &str) -> Result<PluginFile, EngineError> {
        check_name(file)?;
        let component = self.read_bounded(file, MAX_COMPONENT)?;
        let signature = match self.read_bounded(&format!("{file}.minisig"), MAX_SIGNATURE) {
            Ok(bytes) => bytes,
            Err(EngineError::FileMissing(_)) => return Err(EngineError::NotSigned(file.to_owned())),
            Err(other) => return Err(other),
        };
        // Text that is no UTF-8 is no signature either, and is refused as such when it is decoded.
        Ok(PluginFile { component, signature: String::from_utf8_lossy(&signature).into_owned() })
    }

    fn read_bounded(&self, name: &str, limit: u64) -> Result<Vec<u8>, EngineError> {
        let path = self.path.join(name);
        let unreadable = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => EngineError::FileMissing(path.clone()),
            _ => EngineError::FileUnreadable { file: path.clone(), reason: error.to_string() },
        };
        // Asked before it is opened, because opening a named pipe would wait for somebody to write into it.
        if !self.dir.metadata(name).map_err(|error| unreadable(&error))?.is_file() {
            return Err(EngineError::FileUnreadable { file: path.clone(), reason: "it is not a regular file".into() });
        }
        let file = self.dir.open(name).map_err(|error| unreadable(&error))?;
        // The length is bounded while reading, because a file can grow between the question and the answer.
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(EngineError::FileTooLarge { file: path, limit });
        }
        Ok(bytes)
    }
}

fn check_name(file: &str) -> Result<(), EngineError> {
    let plain = Path::new(file).file_name().is_some_and(|name| name == file)
        && !file.contains(['/', '\\', '\0'])
        && file.len() <= 128
        && file.strip_suffix(".wasm").is_some_and(|stem| !stem.is_empty());
    if plain { Ok(()) } else { Err(EngineError::FileName(file.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::{PluginFolder, check_name};
    use crate::EngineError;

    #[test]
    fn only_plain_names_of_components_are_taken() {
        for bad in
            ["", ".wasm", "..", "../x.wasm", "a/b.wasm", "/etc/x.wasm", "x.wasm/", "x", "x.wasm.minisig", "a\\b.wasm"]
        {
            assert!(matches!(check_name(bad), Err(EngineError::FileName(_))), "{bad}");
        }
        assert!(check_name("rules.wasm").is_ok());
    }

    #[test]
    fn a_link_that_leaves_the_folder_is_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.wasm"), b"outside").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.wasm"), folder.path().join("link.wasm")).unwrap();
        let refused = PluginFolder::open(folder.path()).unwrap().read("link.wasm");
        assert!(matches!(refused, Err(EngineError::FileUnreadable { .. })));
    }

    #[test]
    fn a_pipe_in_place_of_a_file_does_not_hang_the_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.wasm")).status().unwrap();
        assert!(made.success());
        let refused = PluginFolder::open(folder.path()).unwrap().read("pipe.wasm");
        assert!(matches!(refused, Err(EngineError::FileUnreadable { .. })));
    }
}
