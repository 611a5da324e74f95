//! What the administrator sets.

use okta::person::Login;
use okta::{Authorization, BaseUrl};
use settings::{Node, Problem, Problems};

/// JSON Schema of the settings.
pub const SCHEMA: &str = include_str!("settings.json");

/// Keys of the settings. The token is among them because the schema asks for it; its value never comes here.
const KEYS: [&str; 7] =
    ["base-url", "api-token", Authorization::KEY, "number-challenge", "device", "login", "forward-client-address"];

/// Which phone is asked, where several are enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// The one that was enrolled or changed last.
    Latest,
    /// The first that Okta lists.
    First,
}

/// The connector's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The organisation.
    pub base: BaseUrl,
    /// As whom.
    pub authorization: Authorization,
    /// A number has to be picked on the phone.
    pub number_challenge: bool,
    /// Which phone.
    pub device: Device,
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
}

fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Settings> {
    let table = node.table(&KEYS, problems)?;
    let base = table.require("base-url", problems).and_then(|node| {
        let text = node.text(problems)?;
        BaseUrl::parse(&text).map_err(|message| problems.add(&node, message)).ok()
    });
    let authorization = Authorization::read(&table, problems);
    let boolean = |key, default, problems: &mut Problems| {
        table.get(key).map_or(Some(default), |node| node.boolean(problems)).unwrap_or(default)
    };
    let number_challenge = boolean("number-challenge", true, problems);
    let forward_client_address = boolean("forward-client-address", false, problems);
    let devices = [("latest", Device::Latest), ("first", Device::First)];
    let device = table.get("device").map_or(Some(Device::Latest), |node| node.word(&devices, problems));
    let logins = [("mail", Login::Mail), ("login", Login::Login), ("mail-or-login", Login::MailOrLogin)];
    let login = table.get("login").map_or(Some(Login::MailOrLogin), |node| node.word(&logins, problems));
    Some(Settings {
        base: base?,
        authorization: authorization?,
        number_challenge,
        device: device?,
        login: login?,
        forward_client_address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_careful_ones() {
        let settings = Settings::parse(r#"{"base-url":"https://acme.okta.com"}"#).unwrap();
        assert!(settings.number_challenge && !settings.forward_client_address);
        assert_eq!((settings.device, settings.login), (Device::Latest, Login::MailOrLogin));
    }

    #[test]
    fn all_mistakes_are_reported() {
        let text = r#"{"base-url":"http://acme.okta.com","number-challenge":"yes","device":"last","login":1,
            "forward-client-address":0,"base":1}"#;
        let problems = Settings::parse(text).unwrap_err();
        let mut places: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        places.sort_unstable();
        let expected = ["/base", "/base-url", "/device", "/forward-client-address", "/login", "/number-challenge"];
        assert_eq!(places, expected);
        assert_eq!(Settings::parse("{}").unwrap_err().len(), 1);
    }

    #[test]
    fn the_schema_has_the_parsers_keys() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let mut in_schema: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut in_parser = KEYS.to_vec();
        in_schema.sort_unstable();
        in_parser.sort_unstable();
        assert_eq!(in_schema, in_parser);
        assert_eq!(schema["properties"]["api-token"]["format"], "secret");
    }
}
