//! The rules as administrators write them.

use settings::{Node, Problem, Problems};

use crate::action::{Action, Step};
use crate::condition::{Condition, keys};
use crate::contract::exports::portcullis::gateway::policy::{Effect, OperationKind};
use crate::texts::words;

/// JSON Schema of the settings.
pub const SCHEMA: &str = include_str!("settings.json");

/// Keys of the settings.
pub const SETTINGS_KEYS: [&str; 1] = ["rules"];
/// Keys of a rule.
pub const RULE_KEYS: [&str; 4] = ["name", "operations", "when", "then"];

/// Kinds of operation.
pub const OPERATIONS: [(&str, OperationKind); 12] = [
    ("bind", OperationKind::Bind),
    ("search", OperationKind::Search),
    ("compare", OperationKind::Compare),
    ("add", OperationKind::Add),
    ("modify", OperationKind::Modify),
    ("delete", OperationKind::Delete),
    ("rename", OperationKind::Rename),
    ("password-change", OperationKind::PasswordChange),
    ("extended", OperationKind::Extended),
    ("sign-in", OperationKind::SignIn),
    ("app-access", OperationKind::AppAccess),
    ("other", OperationKind::Other),
];

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What people call it.
    pub name: String,
    /// It is about operations of these kinds.
    pub operations: Vec<OperationKind>,
    /// It is about accesses for which this holds.
    pub when: Condition,
    /// What it does.
    pub then: Action,
}

/// The rules in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// The first that matches decides.
    pub rules: Vec<Rule>,
}

/// What the rules want of the gateway.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// Kinds of operation that some rule is about.
    pub operations: Vec<OperationKind>,
    /// Connectors that some challenge names.
    pub connectors: Vec<String>,
    /// Channels that some notification names.
    pub channels: Vec<String>,
    /// Groups that some demotion names.
    pub groups: Vec<String>,
}

impl Settings {
    /// Reads settings from JSON.
    ///
    /// # Errors
    /// All mistakes in them.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        settings::parse(text, read)
    }

    /// What the gateway has to have and to ask about, each named once.
    #[must_use]
    pub fn wants(&self) -> Wants {
        let mut wants = Wants::default();
        for rule in &self.rules {
            for kind in &rule.operations {
                add(&mut wants.operations, kind);
            }
            rule.then.visit(&mut |action| {
                if let Step::Ask(ask) = &action.step {
                    add(&mut wants.connectors, &ask.challenge.connector);
                }
                for effect in &action.effects {
                    match effect {
                        Effect::Notify(notification) => add(&mut wants.channels, &notification.channel),
                        Effect::Demote(demotion) => add(&mut wants.groups, &demotion.group),
                        Effect::RaiseIncident(_) | Effect::ResolveIncident | Effect::AddRisk(_) => {}
                    }
                }
            });
        }
        wants
    }
}

fn add<T: Clone + PartialEq>(list: &mut Vec<T>, value: &T) {
    if !list.contains(value) {
        list.push(value.clone());
    }
}

fn read(node: &Node<'_>, problems: &mut Problems) -> Option<Settings> {
    let table = node.table(&SETTINGS_KEYS, problems)?;
    let list = table.require("rules", problems)?.list(problems)?;
    let mut names = Vec::new();
    let rules: Vec<_> = list.iter().map(|node| read_rule(node, &mut names, problems)).collect();
    Some(Settings { rules: rules.into_iter().collect::<Option<_>>()? })
}

fn read_rule(node: &Node<'_>, names: &mut Vec<String>, problems: &mut Problems) -> Option<Rule> {
    let table = node.table(&RULE_KEYS, problems)?;
    let name = table.require("name", problems).and_then(|node| {
        let name = node.text(problems)?;
        if names.contains(&name) {
            problems.add(&node, format!("another rule is called `{name}` already; events could not tell them apart"));
        }
        names.push(name.clone());
        Some(name)
    });
    let operations = match table.get("operations") {
        Some(node) => words(&node, &OPERATIONS, problems),
        None => Some(vec![OperationKind::Bind]),
    };
    let when = match table.get("when") {
        Some(node) => {
            let when = Condition::read(&node, problems);
            if let (Some(_), Some(operations)) = (&when, &operations) {
                find_vain(&node, operations, problems);
            }
            when
        }
        None => Some(Condition::All(Vec::new())),
    };
    let then = table.require("then", problems).and_then(|node| Action::read(&node, 0, problems));
    Some(Rule { name: name?, operations: operations?, when: when?, then: then? })
}

/// Conditions that hold for some kinds of operation only.
const HOLD_FOR: [(&str, &[&str]); 3] =
    [("attributes", &["search", "modify"]), ("filter-shape", &["search"]), ("bind-method", &["bind"])];

/// Conditions that cannot hold, because the rule is about operations of other kinds.
fn find_vain(when: &Node<'_>, operations: &[OperationKind], problems: &mut Problems) {
    // Unknown keys have been complained about already.
    let Some(table) = when.table(&keys(), &mut Problems::default()) else { return };
    let named = |names: &[&str]| {
        let name = |kind: &OperationKind| OPERATIONS.iter().find(|(_, known)| known == kind).map(|(name, _)| *name);
        operations.iter().filter_map(name).any(|name| names.contains(&name))
    };
    for (key, kinds) in HOLD_FOR {
        if let Some(node) = table.get(key).filter(|_| !named(kinds)) {
            let kinds = kinds.join(" and ");
            problems
                .add(&node, format!("holds for {kinds} only, which the rule is not about: name it in `operations`"));
        }
    }
}
