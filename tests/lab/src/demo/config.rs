//! The gateway's configuration for the demo.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

const TEMPLATE: &str = include_str!("portcullis.toml");

/// What differs from start to start. Files that are made by the demo are named relative to the configuration.
pub(super) struct Config<'a> {
    pub(super) directory_url: &'a str,
    pub(super) ldap: SocketAddr,
    pub(super) web: SocketAddr,
    pub(super) web_url: &'a str,
    pub(super) plugins: &'a Path,
    pub(super) key: &'a Path,
    pub(super) okta_url: &'a str,
    pub(super) okta_ca: &'a Path,
}

impl Config<'_> {
    /// The file's content.
    ///
    /// # Errors
    /// When a path is not Unicode, which TOML cannot write.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let values = [
            ("@DIRECTORY_URL@", quoted(self.directory_url)?),
            ("@LDAP_ADDRESS@", quoted(&self.ldap.to_string())?),
            ("@WEB_ADDRESS@", quoted(&self.web.to_string())?),
            ("@WEB_URL@", quoted(self.web_url)?),
            ("@PLUGINS@", quoted_path(self.plugins)?),
            ("@KEY@", quoted_path(self.key)?),
            ("@OKTA_URL@", quoted(self.okta_url)?),
            ("@OKTA_CA@", quoted_path(self.okta_ca)?),
        ];
        Ok(values.into_iter().fold(TEMPLATE.to_owned(), |text, (place, value)| text.replace(place, &value)))
    }
}

fn quoted_path(path: &Path) -> anyhow::Result<String> {
    quoted(path.to_str().with_context(|| format!("{} is not Unicode", path.display()))?)
}

/// TOML's basic strings have the escapes of JSON's.
fn quoted(text: &str) -> anyhow::Result<String> {
    Ok(serde_json::to_string(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_and_paths_are_quoted() {
        let config = Config {
            directory_url: "ldap://127.0.0.1:1",
            ldap: ([127, 0, 0, 1], 2).into(),
            web: ([127, 0, 0, 1], 3).into(),
            web_url: "http://127.0.0.1:3",
            plugins: Path::new("/a \"quoted\" folder"),
            key: Path::new("/key"),
            okta_url: "https://localhost:4",
            okta_ca: Path::new("/ca.pem"),
        };
        let text = config.text().unwrap();
        assert!(!text.contains('@'), "{text}");
        assert!(text.contains(r#"folder = "/a \"quoted\" folder""#), "{text}");
        assert!(text.contains("address = \"127.0.0.1:2\""), "{text}");
    }
}
