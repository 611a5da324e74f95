//! As whom the connector comes.

use settings::{Problems, Table};

/// How the credentials are presented. They themselves never come here: the gateway puts them in on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Authorization {
    /// An API token, with the rights of the administrator who made it (Okta, "Create an API token").
    #[default]
    ApiToken,
    /// An OAuth 2.0 service app, with the scopes that are asked for (Okta, "Implement OAuth for Okta with a service app").
    ServiceApp {
        /// The app's client id.
        client_id: String,
        /// Scopes that the gateway asks for.
        scopes: Vec<String>,
    },
}

impl Authorization {
    /// The key of the settings that [`Authorization::read`] reads, in the settings of every Okta connector. The gateway
    /// writes it, out of its own configuration of the credentials.
    pub const KEY: &'static str = "oauth";

    /// Reads the settings: an API token unless they describe a service app.
    pub fn read(table: &Table<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(node) = table.get(Self::KEY) else { return Some(Self::ApiToken) };
        let table = node.table(&["client-id", "scopes"], problems)?;
        let client_id = table.require("client-id", problems).and_then(|node| node.text(problems));
        let scopes = table.require("scopes", problems).and_then(|node| node.list(problems)).unwrap_or_default();
        let scopes: Vec<_> = scopes.iter().filter_map(|scope| scope.text(problems)).collect();
        Some(Self::ServiceApp { client_id: client_id?, scopes })
    }

    /// The value of the header of this name. An API token is Okta's own scheme, an access token is that of RFC 6750.
    pub(crate) fn header(&self) -> &'static str {
        match self {
            Self::ApiToken => "SSWS {{secret:api-token}}",
            Self::ServiceApp { .. } => "Bearer {{secret:api-token}}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Authorization, Vec<settings::Problem>> {
        settings::parse(text, |node, problems| {
            let table = node.table(&[Authorization::KEY], problems)?;
            Authorization::read(&table, problems)
        })
    }

    #[test]
    fn a_service_app_is_what_the_settings_describe() {
        assert_eq!(read("{}").unwrap(), Authorization::ApiToken);
        let app = read(r#"{"oauth":{"client-id":"0oa1","scopes":["okta.users.read"]}}"#).unwrap();
        let scopes = vec!["okta.users.read".to_owned()];
        assert_eq!(app, Authorization::ServiceApp { client_id: "0oa1".to_owned(), scopes });
        assert_eq!(app.header(), "Bearer {{secret:api-token}}");
        assert_eq!(Authorization::ApiToken.header(), "SSWS {{secret:api-token}}");
    }

    #[test]
    fn half_a_description_is_a_mistake() {
        for text in [
            r#"{"oauth":true}"#,
            r#"{"oauth":{"client-id":"0oa1"}}"#,
            r#"{"oauth":{"scopes":[]}}"#,
            r#"{"oauth":{"client-id":"0oa1","scopes":[1]}}"#,
            r#"{"oauth":{"client-id":"0oa1","scopes":[],"key":"x"}}"#,
        ] {
            assert_eq!(read(text).unwrap_err().len(), 1, "{text}");
        }
    }
}
