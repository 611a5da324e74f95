//! Settings that are wrong, what is said about them, and what the policy needs under settings that are right.

use rules::contract::exports::portcullis::gateway::policy::OperationKind;
use rules::settings::Settings;

fn problems(text: &str) -> Vec<(String, String)> {
    let problems = Settings::parse(text).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.setting, problem.message)).collect()
}

/// Problems of one rule, whose members besides its name these are.
fn of_rule(members: &str) -> Vec<(String, String)> {
    problems(&format!(r#"{{"rules":[{{"name":"r",{members}}}]}}"#))
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"{
        "rule": [],
        "rules": [
            {"name": "a", "operations": ["bnd"], "when": {"privileged": "yes", "any": []}, "then": "alow"},
            {"name": "a", "then": {"challenge": {"conector": "okta-verify", "remember-seconds": -1,
                "on": {"denied": {"verdict": "block", "incident": {"severity": "bad", "title": ""}}, "maybe": "allow"}}}},
            {"when": {"address": ["10.1.2.3/16", "ten"], "time": {"from": "9:00", "to": "10:00"}}}
        ]}"#;
    let found = problems(text);
    let mut places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    places.sort_unstable();
    let expected = [
        "/rule",
        "/rules/0/operations/0",
        "/rules/0/then",
        "/rules/0/when/any",
        "/rules/0/when/privileged",
        "/rules/1/name",
        "/rules/1/then/challenge",
        "/rules/1/then/challenge/conector",
        "/rules/1/then/challenge/on/denied/incident/severity",
        "/rules/1/then/challenge/on/denied/incident/title",
        "/rules/1/then/challenge/on/maybe",
        "/rules/1/then/challenge/remember-seconds",
        "/rules/2",
        "/rules/2",
        "/rules/2/when/address/0",
        "/rules/2/when/address/1",
        "/rules/2/when/time/from",
    ];
    assert_eq!(places, expected, "{found:#?}");
}

/// A medium incident with these escalations.
fn incident(escalate: &str) -> String {
    format!(r#""then":{{"verdict":"block","incident":{{"severity":"medium","title":"t","escalate":[{escalate}]}}}}"#)
}

#[test]
fn advice_says_what_would_be_right() {
    for (members, advice) in [
        (r#""then":"alow""#, "did you mean `allow`"),
        (r#""then":{"verdict":"block","inciden":{}}"#, "did you mean `incident`"),
        (r#""then":{}"#, "needs a `verdict`"),
        (r#""then":{"verdict":"allow","challenge":{"connector":"x"}}"#, "cannot stand beside"),
        (r#""then":{"challenge":{"connector":"x"},"add-risk":5}"#, "move it to an outcome"),
        (r#""when":{"address":"10.1.2.3/16"},"then":"allow""#, "write 10.1.0.0/16"),
        (r#""when":{"entry-under":"people"},"then":"allow""#, "ou=People"),
        (r#""operations":"search","when":{"filter-shape":"uid=alice"},"then":"allow""#, "(uid=?)"),
        (r#""when":{"filter-shape":"(uid=?)"},"then":"allow""#, "holds for search only"),
        (r#""when":{"attributes":"userPassword"},"then":"block""#, "holds for search and modify only"),
        (r#""operations":["search","compare"],"when":{"bind-method":"simple"},"then":"block""#, "holds for bind only"),
        (r#""when":{"entry":"alice"},"then":"allow""#, "ou=People"),
        (r#""when":{"operation":"serch"},"then":"allow""#, "did you mean `search`"),
        (r#""when":{"bind-method":"smiple"},"then":"allow""#, "simple"),
        (r#""when":{"login":[]},"then":"allow""#, "nothing can match"),
        (r#""when":{"attribute":{"name":"title"}},"then":"allow""#, "`values` is missing"),
        (r#""when":{"time":{"from":"08:00"}},"then":"allow""#, "belong together"),
        (r#""then":{"verdict":"allow","notify":{"channel":"soc"}}"#, "`text` is missing"),
        (r#""then":{"verdict":"allow","demote":{"restore-after-seconds":5}}"#, "`group` is missing"),
        (r#""then":{"verdict":"block","demote":{"group":"g","from-times":2}}"#, "there is no `incident`"),
        (incident(r#"{"severity":"high"}"#).as_str(), "needs `from-times` or `after-seconds`"),
        (incident(r#"{"from-times":3,"severity":"medium"}"#).as_str(), "not more severe than the incident"),
        (incident(r#"{"from-times":1,"severity":"high"}"#).as_str(), "from 2 to 1000"),
        (incident(r#"{"after-seconds":0,"severity":"high"}"#).as_str(), "from 1 to 31536000"),
        (incident(r#"{"after-seconds":60,"unless-taken":"yes","severity":"high"}"#).as_str(), "true or false"),
        (incident(r#"{"after-second":60,"from-times":2,"severity":"high"}"#).as_str(), "did you mean `after-seconds`"),
        (incident(r#"{"from-times":3}"#).as_str(), "`severity` is missing"),
        (incident(&[r#"{"from-times":3,"severity":"high"}"#; 9].join(",")).as_str(), "9 entries, where 8 are allowed"),
        (r#""then":{"verdict":"allow","resolve-incident":"yes"}"#, "true or false"),
        (r#""then":{"verdict":"allow","add-risk":101}"#, "from 1 to 100"),
        (r#""then":{"verdict":"allow","reason":""}"#, "must not be empty"),
        (r#""then":{"verdict":"allow","reason":5}"#, "has to be text"),
        (r#""operations":[],"then":"allow""#, "nothing can match"),
    ] {
        let found = of_rule(members);
        assert_eq!(found.len(), 1, "{members}: {found:?}");
        assert!(found[0].1.contains(advice), "{members}: {found:?}");
    }
}

#[test]
fn a_chain_has_as_many_challenges_as_the_gateway_asks() {
    let chain = |length: usize| {
        let nested = (0..length).fold(r#""allow""#.to_owned(), |inner, _| {
            format!(r#"{{"challenge":{{"connector":"c","on":{{"unavailable":{inner}}}}}}}"#)
        });
        of_rule(&format!(r#""then":{nested}"#))
    };
    assert_eq!(chain(3), []);
    let found = chain(4);
    let link = "/challenge/on/unavailable";
    assert_eq!(found[0].0, format!("/rules/0/then{link}{link}{link}/challenge"), "{found:?}");
    assert!(found[0].1.contains("at most 3"), "{found:?}");
}

#[test]
fn nesting_without_end_is_refused_and_does_not_overflow() {
    let deep = format!("{}{}", r#"{"all":["#.repeat(10_000), "]}".repeat(10_000));
    assert_eq!(of_rule(&format!(r#""when":{deep},"then":"allow""#)).len(), 1);
}

#[test]
fn needs_are_collected_from_all_rules_and_outcomes() {
    let settings = Settings::parse(
        r#"{"rules":[
            {"name":"a","then":{"challenge":{"connector":"push","on":{
                "denied":{"verdict":"block","notify":{"channel":"soc","text":"t"},"demote":{"group":"vip"}},
                "unavailable":{"challenge":{"connector":"code","on":{
                    "failed":{"verdict":"block","notify":{"channel":"it","text":"t"}}}}}}}}},
            {"name":"b","operations":["search","bind"],"then":{"challenge":{"connector":"push"}}},
            {"name":"c","operations":"modify","then":{"verdict":"allow","notify":{"channel":"soc","text":"t"}}}
        ]}"#,
    )
    .unwrap();
    let wants = settings.wants();
    assert_eq!(wants.operations, [OperationKind::Bind, OperationKind::Search, OperationKind::Modify]);
    assert_eq!(wants.connectors, ["push", "code"]);
    assert_eq!(wants.channels, ["soc", "it"]);
    assert_eq!(wants.groups, ["vip"]);
    assert_eq!(Settings::parse(r#"{"rules":[]}"#).unwrap().wants(), rules::settings::Wants::default());
}
