//! What the administrator sets.

use std::ops::RangeInclusive;

use okta::person::is_id;
use okta::{Authorization, BaseUrl, Client, Host};
use settings::{Node, Problem, Problems};

/// JSON Schema of the settings.
pub const SCHEMA: &str = include_str!("settings.json");

/// Keys of the settings. The token is among them because the schema asks for it; its value never comes here.
const KEYS: [&str; 8] = [
    "base-url",
    "api-token",
    Authorization::KEY,
    "history-days",
    "poll-seconds",
    "overlap-minutes",
    "log-share",
    "application",
];

/// Okta keeps its log for 90 days and silently leaves out what is older (Okta, "System Log query").
const HISTORY_DAYS: RangeInclusive<u32> = 0..=90;
const POLL_SECONDS: RangeInclusive<u32> = 2..=3_600;
const OVERLAP_MINUTES: RangeInclusive<u32> = 5..=1_440;
const LOG_SHARE: RangeInclusive<u32> = 5..=95;

/// The connector's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The organisation.
    pub base: BaseUrl,
    /// As whom.
    pub authorization: Authorization,
    /// How many days the first run goes back.
    pub history_days: u32,
    /// Seconds between two looks at the log once it has been read to its end.
    pub poll_seconds: u32,
    /// Minutes to go back where the place in the log is lost.
    pub overlap_minutes: u32,
    /// Percent of the rate limit that reading the log may use; the rest is for second factors and other programs.
    pub log_share: u32,
    /// Id of the application that an account must be assigned to in order to count as enabled.
    pub application: Option<String>,
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
    let number = |key, range: RangeInclusive<u32>, default, problems: &mut Problems| {
        table.get(key).map_or(Some(default), |node| node.number(&range, problems)).unwrap_or(default)
    };
    let history_days = number("history-days", HISTORY_DAYS, 30, problems);
    let poll_seconds = number("poll-seconds", POLL_SECONDS, 15, problems);
    let overlap_minutes = number("overlap-minutes", OVERLAP_MINUTES, 120, problems);
    let log_share = number("log-share", LOG_SHARE, 50, problems);
    let application = table.get("application").and_then(|node| {
        let text = node.text(problems)?;
        if !is_id(&text) {
            problems
                .add(&node, "is no application id; it is the part of the application's address that begins with 0oa");
        }
        Some(text)
    });
    Some(Settings {
        base: base?,
        authorization: authorization?,
        history_days,
        poll_seconds,
        overlap_minutes,
        log_share,
        application,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_leave_half_of_the_budget() {
        let settings = Settings::parse(r#"{"base-url":"https://acme.okta.com"}"#).unwrap();
        assert_eq!((settings.history_days, settings.poll_seconds), (30, 15));
        assert_eq!((settings.overlap_minutes, settings.log_share, settings.application), (120, 50, None));
    }

    #[test]
    fn all_mistakes_are_reported() {
        let text = r#"{"base-url":"acme","history-days":91,"poll-seconds":1,"overlap-minutes":"1","log-share":100,
            "application":"a/b","days":1}"#;
        let problems = Settings::parse(text).unwrap_err();
        let mut places: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        places.sort_unstable();
        let expected =
            ["/application", "/base-url", "/days", "/history-days", "/log-share", "/overlap-minutes", "/poll-seconds"];
        assert_eq!(places, expected);
    }

    #[test]
    fn the_schema_has_the_parsers_keys_and_bounds() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let mut in_schema: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut in_parser = KEYS.to_vec();
        in_schema.sort_unstable();
        in_parser.sort_unstable();
        assert_eq!(in_schema, in_parser);
        assert_eq!(schema["properties"]["api-token"]["format"], "secret");
        for (key, range) in [
            ("history-days", HISTORY_DAYS),
            ("poll-seconds", POLL_SECONDS),
            ("overlap-minutes", OVERLAP_MINUTES),
            ("log-share", LOG_SHARE),
        ] {
            let property = &schema["properties"][key];
            assert_eq!(property["minimum"], *range.start(), "{key}");
            assert_eq!(property["maximum"], *range.end(), "{key}");
        }
    }
}
