//! What Okta itself thinks of an event. It stands in up to three places, the newest of which is the one to trust.

use crate::log_event::{LogEvent, LogOnly};

/// Okta's judgement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// `LOW`, `MEDIUM`, `HIGH`, or a word of later times.
    pub(crate) level: Option<String>,
    pub(crate) reasons: Vec<String>,
    /// Behaviours and how they were judged: `New Device=POSITIVE`.
    pub(crate) behaviors: Vec<String>,
}

const LEVELS: [&str; 3] = ["HIGH", "MEDIUM", "LOW"];
const RESULTS: [&str; 4] = ["POSITIVE", "NEGATIVE", "UNKNOWN", "BAD_REQUEST"];

impl Judgement {
    pub(crate) fn of(event: &LogEvent<'_>) -> Self {
        let (context, debug) = (&event.security_context, &event.debug_context.debug_data);
        let mut found = Self {
            level: context.risk.level.get().map(str::to_owned),
            reasons: context.risk.reasons.iter().map(str::to_owned).collect(),
            behaviors: context.user_behaviors.iter().filter_map(|it| pair(it.name.get(), it.result.get())).collect(),
        };
        if found.level.is_some() && !found.behaviors.is_empty() {
            return found;
        }
        let log_only =
            debug.log_only_security_data.get().and_then(|text| serde_json::from_str::<LogOnly<'_>>(text).ok());
        if let Some(older) = log_only {
            if found.level.is_none() {
                found.level = older.risk.level.get().map(str::to_owned);
                found.reasons = older.risk.reasons.iter().map(str::to_owned).collect();
            }
            if found.behaviors.is_empty() {
                let pairs = older.behaviors.0.iter();
                found.behaviors = pairs.filter_map(|(name, result)| pair(name.get(), result.get())).collect();
            }
        }
        if found.level.is_none() {
            found.level = debug.risk.get().and_then(level_in_text).map(str::to_owned);
        }
        if found.behaviors.is_empty() {
            found.behaviors = debug.behaviors.get().map(behaviors_in_text).unwrap_or_default();
        }
        found
    }
}

fn pair(name: Option<&str>, result: Option<&str>) -> Option<String> {
    Some(format!("{}={}", name?, result?))
}

/// Reads `{reasons=Anomalous Location, Anomalous Device, level=HIGH}`: the printed form of a map, in which values hold commas.
fn level_in_text(text: &str) -> Option<&'static str> {
    let (_, rest) = text.rsplit_once("level=")?;
    LEVELS.into_iter().find(|level| rest.starts_with(level))
}

/// Reads `{New Geo-Location=POSITIVE, New Device=NEGATIVE}`. Organisations name behaviours themselves, with commas too, so a
/// name ends where one of the four results begins.
fn behaviors_in_text(text: &str) -> Vec<String> {
    let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}');
    let mut found = Vec::new();
    while let Some((end, length)) = first_result(rest) {
        let (one, after) = rest.split_at_checked(end.saturating_add(length)).unwrap_or((rest, ""));
        found.push(one.trim_start_matches([',', ' ']).to_owned());
        rest = after;
    }
    found
}

/// Where the first `=RESULT` stands that ends an entry, and how long it is.
fn first_result(text: &str) -> Option<(usize, usize)> {
    text.match_indices('=').find_map(|(at, _)| {
        let rest = text.get(at.saturating_add(1)..)?;
        let result = RESULTS
            .into_iter()
            .find(|result| rest.strip_prefix(result).is_some_and(|after| after.is_empty() || after.starts_with(',')))?;
        Some((at, result.len().saturating_add(1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Judgement {
        Judgement::of(&serde_json::from_str(text).unwrap())
    }

    const TEXTS: &str = r#""risk":"{reasons=Anomalous Location, Anomalous Device, level=HIGH}",
        "behaviors":"{New Geo-Location=POSITIVE, Odd, name=x=NEGATIVE, Velocity=BAD_REQUEST}""#;
    const LOG_ONLY: &str = r#""logOnlySecurityData":"{\"risk\":{\"reasons\":\"Anomalous Location\",\"level\":\"MEDIUM\"},\"behaviors\":{\"New IP\":\"POSITIVE\"}}""#;

    #[test]
    fn the_printed_maps_are_read_where_there_is_nothing_better() {
        let found = judge(&format!(r#"{{"debugContext":{{"debugData":{{{TEXTS}}}}}}}"#));
        assert_eq!(found.level.as_deref(), Some("HIGH"));
        assert_eq!(found.behaviors, ["New Geo-Location=POSITIVE", "Odd, name=x=NEGATIVE", "Velocity=BAD_REQUEST"]);
    }

    #[test]
    fn the_json_inside_a_text_is_better() {
        let found = judge(&format!(r#"{{"debugContext":{{"debugData":{{{TEXTS},{LOG_ONLY}}}}}}}"#));
        assert_eq!(found.level.as_deref(), Some("MEDIUM"));
        assert_eq!(
            (found.reasons.as_slice(), found.behaviors.as_slice()),
            (&["Anomalous Location".to_owned()][..], &["New IP=POSITIVE".to_owned()][..])
        );
    }

    #[test]
    fn the_security_context_is_best() {
        let found = judge(&format!(
            r#"{{"debugContext":{{"debugData":{{{TEXTS},{LOG_ONLY}}}}},"securityContext":{{"risk":{{"level":"LOW","reasons":["a","b"]}},
                "userBehaviors":[{{"name":"New Device","result":"UNKNOWN"}},null,7]}}}}"#
        ));
        assert_eq!((found.level.as_deref(), found.reasons.len()), (Some("LOW"), 2));
        assert_eq!(found.behaviors, ["New Device=UNKNOWN"]);
    }

    #[test]
    fn nonsense_is_no_judgement() {
        for text in [
            "{}",
            r#"{"debugContext":{"debugData":{"risk":"{level=HUGE}","behaviors":"{=,=}","logOnlySecurityData":"{"}}}"#,
        ] {
            assert_eq!(judge(text), Judgement::default(), "{text}");
        }
    }
}
