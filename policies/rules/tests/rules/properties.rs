//! What holds for all conditions, rules and evidence.

use proptest::prelude::*;
use rules::action::{LONGEST_CHAIN, OUTCOMES};
use rules::condition::Condition;
use rules::contract::exports::portcullis::gateway::policy::{Evidence, Verdict};
use rules::decide::decide;
use rules::dn::Dn;
use rules::settings::Settings;
use serde_json::{Value, json};

use crate::scene::{Scene, Unknown, evidence};

fn scenes() -> impl Strategy<Value = Scene> {
    let missing = proptest::sample::subsequence(vec!["account".to_owned(), "endpoint".to_owned()], 0..=2);
    let account = (any::<bool>(), proptest::option::of(any::<bool>()), 0..=100u8);
    let endpoint = (any::<bool>(), any::<bool>());
    let entry = proptest::option::of(proptest::sample::select(vec!["cn=a,dc=x", "cn=a", "<GUID=1>"]));
    (missing, account, endpoint, entry).prop_map(|(without, account, (associated, shared), entry)| {
        let (privileged, cloud_enabled, account_risk) = account;
        Scene { without, privileged, cloud_enabled, account_risk, associated, shared, entry }
    })
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Condition::Privileged),
        any::<bool>().prop_map(Condition::CloudEnabled),
        any::<bool>().prop_map(Condition::AccountKnown),
        (1..=100u8).prop_map(Condition::AccountRiskAtLeast),
        Just(Condition::EntryUnder(vec![Dn::loose("dc=x").unwrap()])),
        any::<bool>().prop_map(Condition::Associated),
        any::<bool>().prop_map(Condition::Shared),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let list = proptest::collection::vec(inner, 0..4);
        prop_oneof![
            list.clone().prop_map(Condition::All),
            list.clone().prop_map(Condition::Any),
            list.prop_map(Condition::None),
        ]
    })
}

/// Actions with chains of up to `depth` challenges, as settings.
fn actions(depth: u32) -> impl Strategy<Value = Value> {
    let verdict = proptest::sample::select(vec![json!("allow"), json!("block"), json!("abstain")]);
    verdict.prop_recursive(depth, 24, 4, |inner| {
        let outcome = proptest::sample::select(OUTCOMES.map(|(name, _)| name).to_vec());
        (proptest::collection::btree_map(outcome, inner, 0..5), "[pq]")
            .prop_map(|(on, connector)| json!({ "challenge": { "connector": connector, "on": on } }))
    })
}

fn pieces() -> impl Strategy<Value = Vec<Evidence>> {
    let outcome = proptest::sample::select(OUTCOMES.map(|(name, _)| name).to_vec());
    let piece = ("[pq]", outcome).prop_map(|(connector, outcome)| evidence(&connector, outcome));
    proptest::collection::vec(piece, 0..6)
}

fn settings(rules: &[Value]) -> Settings {
    Settings::parse(&json!({ "rules": rules }).to_string()).unwrap()
}

proptest! {
    #[test]
    fn none_is_not_any(list in proptest::collection::vec(conditions(), 0..4), scene in scenes()) {
        let (access, facts) = (scene.access(), Unknown);
        let any = Condition::Any(list.clone()).holds(&access, &facts);
        prop_assert_eq!(Condition::None(list).holds(&access, &facts), any.map(|holds| !holds));
    }

    #[test]
    fn all_is_not_any_of_the_opposites(list in proptest::collection::vec(conditions(), 0..4), scene in scenes()) {
        let (access, facts) = (scene.access(), Unknown);
        let opposites = list.iter().map(|condition| Condition::None(vec![condition.clone()])).collect();
        let all = Condition::All(list).holds(&access, &facts);
        prop_assert_eq!(Condition::Any(opposites).holds(&access, &facts), all.map(|holds| !holds));
    }

    #[test]
    fn twice_the_opposite_is_the_same(condition in conditions(), scene in scenes()) {
        let (access, facts) = (scene.access(), Unknown);
        let twice = Condition::None(vec![Condition::None(vec![condition.clone()])]);
        prop_assert_eq!(twice.holds(&access, &facts), condition.holds(&access, &facts));
    }

    /// Answering whatever is asked, with whatever outcome, comes to an end before the gateway loses patience.
    #[test]
    fn every_chain_ends(then in actions(3), outcomes in proptest::collection::vec(0..7usize, 4)) {
        let settings = settings(&[json!({ "name": "r", "then": then })]);
        let (access, facts) = (Scene::default().access(), Unknown);
        let mut given = Vec::new();
        for outcome in outcomes {
            let ruling = decide(&settings, &access, &given, &facts);
            let Verdict::Challenge(challenge) = ruling.verdict else { break };
            prop_assert!(ruling.effects.is_empty());
            given.push(evidence(&challenge.connector, OUTCOMES[outcome].0));
        }
        prop_assert!(given.len() <= LONGEST_CHAIN);
    }

    /// Evidence that was not asked for in exactly this order never allows and never leaves it to others.
    #[test]
    fn evidence_that_does_not_fit_blocks(then in actions(3), pieces in pieces()) {
        let settings = settings(&[json!({ "name": "r", "then": then })]);
        let (access, facts) = (Scene::default().access(), Unknown);
        let fits = (0..pieces.len()).all(|round| {
            let Evidence::Challenge(answer) = &pieces[round];
            matches!(decide(&settings, &access, &pieces[..round], &facts).verdict,
                Verdict::Challenge(challenge) if challenge.connector == answer.connector)
        });
        let ruling = decide(&settings, &access, &pieces, &facts);
        prop_assert!(fits || ruling.verdict == Verdict::Block, "{:?}", ruling);
    }

    /// Rules behind the one that matches, and rules before it that do not, change nothing.
    #[test]
    fn the_first_rule_that_matches_decides(
        before in 0..4usize, after in proptest::collection::vec(actions(3), 0..3), then in actions(3), pieces in pieces(),
    ) {
        let alone = settings(&[json!({ "name": "r", "then": then })]);
        let mut rules: Vec<_> = (0..before)
            .map(|n| json!({ "name": format!("b{n}"), "when": { "login": "nobody" }, "then": "block" }))
            .collect();
        rules.push(json!({ "name": "r", "then": then }));
        rules.extend(after.iter().enumerate().map(|(n, then)| json!({ "name": format!("a{n}"), "then": then })));
        let (access, facts) = (Scene::default().access(), Unknown);
        let expected = decide(&alone, &access, &pieces, &facts);
        prop_assert_eq!(decide(&settings(&rules), &access, &pieces, &facts), expected);
    }
}

/// The gateway has none such; were it to change its mind, a rule about networks would not apply.
#[test]
fn what_is_no_address_is_in_no_network() {
    let settings = settings(&[json!({ "name": "r", "when": { "address": ["0.0.0.0/0", "::/0"] }, "then": "block" })]);
    let mut access = Scene::default().access();
    assert_eq!(decide(&settings, &access, &[], &Unknown).verdict, Verdict::Block);
    access.endpoint.as_mut().unwrap().address = "nonsense".to_owned();
    assert_eq!(decide(&settings, &access, &[], &Unknown).verdict, Verdict::Abstain);
}
