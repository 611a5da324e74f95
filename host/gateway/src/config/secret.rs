//! Secrets in the configuration: where they are, and what never shows them.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use portcullis_core::Secret;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Where a secret comes from. `plain-text` has to be asked for by its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
pub(crate) enum SecretSource {
    File(PathBuf),
    Environment(String),
    PlainText(PlainText),
}

/// What a connector shows to its service: a token as it stands, or one that the gateway gets anew each time the last has run
/// out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", remote = "Self")]
pub(crate) enum Credential {
    File(PathBuf),
    Environment(String),
    PlainText(PlainText),
    Oauth(OAuth),
}

/// A client of an OAuth 2.0 service that authenticates with a key of its own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OAuth {
    pub(crate) client_id: String,
    pub(crate) key: SecretSource,
    pub(crate) key_id: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) token_url: Option<String>,
}

/// A secret that stands in the file itself. `Debug` does not show it.
#[derive(Debug, Clone)]
pub(crate) struct PlainText(Secret);

impl Credential {
    /// The token that is used as it stands, or the client by which one is got.
    pub(crate) fn source(&self) -> Result<SecretSource, &OAuth> {
        match self {
            Self::File(path) => Ok(SecretSource::File(path.clone())),
            Self::Environment(name) => Ok(SecretSource::Environment(name.clone())),
            Self::PlainText(text) => Ok(SecretSource::PlainText(text.clone())),
            Self::Oauth(client) => Err(client),
        }
    }
}

/// The secret itself.
///
/// # Errors
/// What is wrong with its source; never the secret.
pub(crate) fn secret(source: &SecretSource) -> Result<Secret, String> {
    let found = match source {
        SecretSource::PlainText(text) => text.0.clone(),
        SecretSource::File(path) => {
            let text = std::fs::read_to_string(path);
            trimmed(text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?)
        }
        SecretSource::Environment(name) => {
            let text = std::env::var(name);
            trimmed(text.map_err(|_| format!("the environment variable {name} is not set, or is no UTF-8"))?)
        }
    };
    if found.reveal().trim().is_empty() { Err("the secret is empty".to_owned()) } else { Ok(found) }
}

fn trimmed(text: String) -> Secret {
    let text = Secret::new(text);
    Secret::new(text.reveal().trim())
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Named::<Self>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Named::<Self>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for PlainText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        text.map(|text| Self(Secret::new(text))).map_err(|_| D::Error::custom("has to be text in quotes"))
    }
}

/// What is written as a table with one entry, which says by its name where the secret is.
trait Entry: Sized {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

impl Entry for SecretSource {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

impl Entry for Credential {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// How the place of a secret is written.
const PLACE: &str = "where the secret is: write { file = \"…\" }, { environment = \"NAME\" } or { plain-text = \"…\" }";

/// Takes an entry. Anything else in its place may well be the secret, which serde's own errors would repeat.
struct Named<T>(PhantomData<T>);

macro_rules! refuse {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<T, E> {
            Err(E::custom(format_args!("has to say {PLACE}")))
        })*
    };
}

impl<'de, T: Entry> Visitor<'de> for Named<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let entry = T::read(MapAccessDeserializer::new(&mut map))?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(entry),
            Some(_) => Err(Error::custom("names more than one place for the secret: leave one")),
        }
    }

    refuse!(visit_str: &str, visit_bool: bool, visit_f64: f64);
    refuse!(visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128);
}
