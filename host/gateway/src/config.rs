//! The configuration file: read, checked, and complained about with file, line and advice.

mod address;
mod channels;
mod model;
mod problem;
mod secret;
mod validate;

use std::path::{Path, PathBuf};

pub(crate) use address::{DirectoryAddress, ListenAddress, ServiceAddress};
pub(crate) use channels::{Channel, ChannelKind, MailTls, SyslogTransport};
pub(crate) use model::{
    Backtest, Balance, ClientCertificates, Cloud, Config, Connector, Directory, Limits, Listener, ListenerTls,
    LogFormat, LogLevel, OnBlock, Policy, Schema, SitePosition, TlsMin, Web,
};
pub(crate) use problem::{Problem, Problems, pointer_path};
pub(crate) use secret::secret;

use problem::Source;
use serde::de::DeserializeOwned;

/// What a file says. What is wrong with it is told with its line, and never shows that line: there may be a secret in it.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Problems> {
    toml::from_str(text).map_err(|error| Source::new(path, text.to_owned()).syntax(&error))
}

/// A configuration that could be read, with the text that it was read from.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    source: Source,
}

impl Loaded {
    /// Reads and checks the file. What needs the plugins or the network is not checked yet.
    pub(crate) fn read(path: &Path) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problems::of_file(
                path,
                format!("cannot be read: {error}; `portcullis sample-config` prints a file to begin with"),
            )
        })?;
        let mut config: Config = parse(path, &text)?;
        let source = Source::new(path, text);
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        config.resolve_paths(&folder);
        let problems = validate::validate(&config);
        if problems.is_empty() { Ok(Self { config, source }) } else { Err(source.problems(problems)) }
    }

    /// Takes connectors, policies and channels over from a later reading of the file. The rest stays as it is in force.
    pub(crate) fn replace_plugins(&mut self, later: Self) {
        self.config.plugins = later.config.plugins;
        self.config.connectors = later.config.connectors;
        self.config.policies = later.config.policies;
        self.config.backtest = later.config.backtest;
        self.config.channels = later.config.channels;
        // Problems are looked for in the file as it now is.
        self.source = later.source;
    }

    /// Problems that were found later, with their places in this file.
    pub(crate) fn problems(&self, problems: Vec<Problem>) -> Problems {
        self.source.problems(problems)
    }
}

/// The least that a configuration has, with plugins and their key, `key`, in the folder.
#[cfg(test)]
pub(crate) fn example(folder: &Path) -> Config {
    let text = "data-folder = \"data\"\nlistener = []\nweb = { address = \"127.0.0.1:0\" }\n\
                plugins = { folder = \"\", trusted-keys = [\"key\"] }\n\
                [directory]\nurl = \"ldap://localhost\"\nbase = \"dc=example\"\nschema = \"rfc2307\"\n\
                service-account = \"cn=gateway\"\npassword = { plain-text = \"hush\" }\n";
    let mut config: Config = toml::from_str(text).unwrap();
    config.resolve_paths(folder);
    config
}

#[cfg(test)]
mod tests;
