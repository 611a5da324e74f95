//! Whose word counts: minisign signatures of plugin files.
//!
//! Format: <https://jedisct1.github.io/minisign/>. The signature covers the file (its BLAKE2b-512 digest), a second one covers
//! the first and the trusted comment.

use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};
use thiserror::Error;

use crate::EngineError;

/// Why a signature does not make a file trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The text is no minisign signature.
    #[error("it is not a minisign signature: {0}")]
    Malformed(String),
    /// It was made before minisign hashed files first; such signatures are not accepted.
    #[error("it is of minisign's old kind, without pre-hashing; sign the file again with a current minisign")]
    Legacy,
    /// It was made with a key that is not among the trusted ones.
    #[error("it was made with a key that is not trusted here; add that key to the trusted keys if you trust its owner")]
    UntrustedKey,
    /// The file, the trusted comment or the signature was changed, or the signature is another file's.
    #[error("it does not fit the file; one of the two was changed, or they do not belong together")]
    Mismatch,
}

/// What a signature vouches for besides the file's bytes: `key=value` words of its trusted comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedComment {
    /// The comment as it is.
    pub text: String,
    /// Name that the plugin has to give itself.
    pub name: Option<String>,
    /// Version that the plugin has to give itself.
    pub version: Option<String>,
    /// Contract that the plugin has to be made for.
    pub contract: Option<String>,
}

impl TrustedComment {
    fn parse(text: &str) -> Self {
        let word = |key: &str| {
            text.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
        };
        Self { text: text.to_owned(), name: word("name"), version: word("version"), contract: word("contract") }
    }
}

/// The keys whose signatures are accepted.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Reads public key files as `minisign -G` writes them.
    ///
    /// # Errors
    /// [`EngineError::Setup`] naming the first file that cannot be read or is no key.
    pub fn from_files(files: &[PathBuf]) -> Result<Self, EngineError> {
        files.iter().map(|file| read_key(file)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is no key, so that no plugin can be loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what the signature vouches for, if one of these keys made it and it fits the bytes.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<TrustedComment, SignatureError> {
        use minisign_verify::Error;

        let signature = Signature::decode(signature).map_err(|error| SignatureError::Malformed(error.to_string()))?;
        let mut refusal = SignatureError::UntrustedKey;
        for key in &self.0 {
            match key.verify(bytes, &signature, false) {
                Ok(()) => return Ok(TrustedComment::parse(signature.trusted_comment())),
                // The id only says which key to try: another trusted key may fit.
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnexpectedAlgorithm) => refusal = SignatureError::Legacy,
                Err(_) => refusal = SignatureError::Mismatch,
            }
        }
        Err(refusal)
    }
}

fn read_key(file: &Path) -> Result<PublicKey, EngineError> {
    let problem = |reason: String| EngineError::Setup(format!("the trusted key `{}` {reason}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| problem(format!("cannot be read: {error}")))?;
    PublicKey::decode(&text).map_err(|error| problem(format!("is not a minisign public key: {error}")))
}

#[cfg(test)]
mod tests {
    use super::TrustedComment;

    #[test]
    fn words_of_the_trusted_comment_are_found_in_any_order() {
        let comment = TrustedComment::parse("timestamp:17\tversion=1.2.0 name=rules contract=portcullis:gateway@0.1.0");
        assert_eq!(comment.name.as_deref(), Some("rules"));
        assert_eq!(comment.version.as_deref(), Some("1.2.0"));
        assert_eq!(comment.contract.as_deref(), Some("portcullis:gateway@0.1.0"));
    }

    #[test]
    fn a_word_that_only_begins_like_a_key_is_not_taken_for_it() {
        let comment = TrustedComment::parse("names=x nickname=y file:name=z");
        assert_eq!((comment.name, comment.version, comment.contract), (None, None, None));
    }
}
