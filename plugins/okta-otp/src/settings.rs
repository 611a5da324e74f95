//! What the administrator sets.

use okta::person::Login;
use okta::{Authorization, BaseUrl, Client, Host};
use settings::{Node, Problem, Problems};

pub use crate::factor::Kind;

/// JSON Schema of the settings.
pub const SCHEMA: &str = include_str!("settings.json");

/// Keys of the settings. The token is among them because the schema asks for it; its value never comes here.
const KEYS: [&str; 7] =
    ["base-url", "api-token", Authorization::KEY, "factors", "digits", "login", "forward-client-address"];

/// Okta's codes have six digits unless an administrator of Okta wants more.
const DIGITS: usize = 6;

/// The connector's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The organisation.
    pub base: BaseUrl,
    /// As whom.
    pub authorization: Authorization,
    /// Where codes may come from, what is tried first in front.
    pub factors: Vec<Kind>,
    /// How many digits a code has.
    pub digits: usize,
    /// Which name.
    pub login: Login,
    /// Okta is told the client's address.
    pub forward_client_address: bool,
}

impl Settings {
    /// Reads settings from JSON.
    ///
    /// # Errors
    /// All mistakes in them.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        settings::parse(text, read)
    }

    /// Sends requests with the connector's credentials.
    pub(crate) fn client<'a, H: Host>(&'a self, host: &'a H) -> Client<'a, H> {
        Client::new(host, &self.base).authorized(&self.authorization)
    }
}

fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Settings> {
    let table = node.table(&KEYS, problems)?;
    let base = table.require("base-url", problems).and_then(|node| {
        let text = node.text(problems)?;
        BaseUrl::parse(&text).map_err(|message| problems.add(&node, message)).ok()
    });
    let authorization = Authorization::read(&table, problems);
    let factors = match table.get("factors") {
        Some(node) => kinds(&node, problems),
        None => Some(Kind::ALL.iter().map(|(_, kind)| *kind).collect()),
    };
    let digits = table.get("digits").map_or(Some(DIGITS), |node| {
        node.number::<i64>(&(4..=10), problems).and_then(|digits| usize::try_from(digits).ok())
    });
    let logins = [("mail", Login::Mail), ("login", Login::Login), ("mail-or-login", Login::MailOrLogin)];
    let login = table.get("login").map_or(Some(Login::MailOrLogin), |node| node.word(&logins, problems));
    let forward = table.get("forward-client-address").map_or(Some(false), |node| node.boolean(problems));
    Some(Settings {
        base: base?,
        authorization: authorization?,
        factors: factors?,
        digits: digits?,
        login: login?,
        forward_client_address: forward?,
    })
}

fn kinds(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<Kind>> {
    let mut kinds = Vec::new();
    for node in node.some(problems)? {
        let Some(kind) = node.word(&Kind::ALL, problems) else { continue };
        if kinds.contains(&kind) {
            problems.add(&node, "is in the list twice");
        }
        kinds.push(kind);
    }
    Some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_careful_ones() {
        let settings = Settings::parse(r#"{"base-url":"https://acme.okta.com"}"#).unwrap();
        assert!(!settings.forward_client_address);
        assert_eq!((settings.digits, settings.login), (6, Login::MailOrLogin));
        assert_eq!(settings.factors, Kind::ALL.map(|(_, kind)| kind));
    }

    #[test]
    fn the_order_of_the_factors_is_the_administrators() {
        let text = r#"{"base-url":"https://acme.okta.com","factors":["email","okta-verify"],"digits":8}"#;
        let settings = Settings::parse(text).unwrap();
        assert_eq!((settings.factors, settings.digits), (vec![Kind::Email, Kind::OktaVerify], 8));
    }

    #[test]
    fn all_mistakes_are_reported() {
        let text = r#"{"base-url":"http://acme.okta.com","factors":["sms","pigeon","sms"],"digits":3,"login":1,
            "forward-client-address":0,"base":1}"#;
        let problems = Settings::parse(text).unwrap_err();
        let mut places: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        places.sort_unstable();
        let expected =
            ["/base", "/base-url", "/digits", "/factors/1", "/factors/2", "/forward-client-address", "/login"];
        assert_eq!(places, expected);
        assert_eq!(Settings::parse(r#"{"base-url":"https://acme.okta.com","factors":[]}"#).unwrap_err().len(), 1);
        assert_eq!(Settings::parse("{}").unwrap_err().len(), 1);
    }

    #[test]
    fn the_schema_has_the_parsers_keys_and_words() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let mut in_schema: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut in_parser = KEYS.to_vec();
        in_schema.sort_unstable();
        in_parser.sort_unstable();
        assert_eq!(in_schema, in_parser);
        assert_eq!(schema["properties"]["api-token"]["format"], "secret");
        let factors = &schema["properties"]["factors"];
        let words = serde_json::json!(Kind::ALL.map(|(name, _)| name));
        assert_eq!((&factors["items"]["enum"], &factors["default"]), (&words, &words));
    }
}
