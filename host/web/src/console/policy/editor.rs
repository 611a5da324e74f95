//! The editor of the draft: a form for each policy, in one form, so that it works without scripts. Settings are JSON text.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

use maud::{Markup, html};
use portcullis_core::PolicyName;
use portcullis_core::policies::{PolicyProblem, fail_name, mode_name};
use portcullis_core::policy::{FailMode, Mode};
use portcullis_core::revision::{ListedLimits, ListedPolicy};

use crate::failure::Failure;
use crate::session::SignedIn;

/// Policies that a form can have.
const MOST: usize = 200;
const MODES: [Mode; 4] = [Mode::Off, Mode::Monitor, Mode::Canary, Mode::Enforce];
const FAILS: [FailMode; 2] = [FailMode::Closed, FailMode::Open];

/// The form as it was typed.
pub(super) struct Form {
    pub(super) version: u64,
    /// The newest revision that there was when the form was made.
    pub(super) newest: u64,
    rows: Vec<Row>,
}

/// One policy of it. The last one of a form is for a new policy, and counts once something is in it.
#[derive(Default)]
struct Row {
    place: String,
    name: String,
    plugin: String,
    mode: String,
    fail: String,
    canary_of: String,
    memory_mib: String,
    call_ms: String,
    concurrent_calls: String,
    settings: String,
    remove: bool,
    /// What is wrong, by field; of settings with the place within them.
    problems: Vec<(String, String)>,
}

impl Form {
    /// The form for a list.
    pub(super) fn of(version: u64, newest: u64, list: &[ListedPolicy], problems: &[PolicyProblem]) -> Self {
        let row = |(place, policy): (usize, &ListedPolicy)| Row {
            place: (place + 1).to_string(),
            name: policy.name.as_str().to_owned(),
            plugin: policy.plugin.clone(),
            mode: mode_name(policy.mode).to_owned(),
            fail: fail_name(policy.fail).to_owned(),
            canary_of: policy.canary_of.as_ref().map(|of| of.as_str().to_owned()).unwrap_or_default(),
            memory_mib: amount(policy.limits.memory_mib),
            call_ms: amount(policy.limits.call_ms),
            concurrent_calls: amount(policy.limits.concurrent_calls),
            settings: serde_json::to_string_pretty(&policy.settings).unwrap_or_default(),
            remove: false,
            problems: problems
                .iter()
                .filter(|problem| problem.place == place)
                .map(|problem| (problem.field.clone(), problem.message.clone()))
                .collect(),
        };
        let mut rows: Vec<_> = list.iter().enumerate().map(row).collect();
        rows.push(Row::new(rows.len()));
        Self { version, newest, rows }
    }

    /// The form that was sent: fields are named after what they are about and the row.
    ///
    /// # Errors
    /// It is none of ours.
    pub(super) fn filled(fields: &[(String, String)]) -> Result<Self, Failure> {
        let fields: HashMap<&str, &str> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<u64>().ok()).ok_or(Failure::Malformed);
        let (version, newest, count) = (number("version")?, number("newest")?, number("count")?);
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST).ok_or(Failure::Malformed)?;
        let row = |place: usize| {
            let text = |field: &str| fields.get(format!("{field}-{place}").as_str()).map(|text| (*text).to_owned());
            Some(Row {
                place: text("place")?,
                name: text("name")?.trim().to_owned(),
                plugin: text("plugin")?.trim().to_owned(),
                mode: text("mode")?,
                fail: text("fail")?,
                canary_of: text("canary-of")?.trim().to_owned(),
                memory_mib: text("memory-mib")?,
                call_ms: text("call-ms")?,
                concurrent_calls: text("concurrent-calls")?,
                settings: text("settings")?,
                remove: text("remove").is_some(),
                problems: Vec::new(),
            })
        };
        let rows: Option<Vec<_>> = (0..count).map(row).collect();
        Ok(Self { version, newest, rows: rows.ok_or(Failure::Malformed)? })
    }

    /// The list that it says, in the order of its places; none where something of it cannot be read, which is marked then.
    pub(super) fn policies(&mut self) -> Option<Vec<ListedPolicy>> {
        let mut list = Vec::with_capacity(self.rows.len());
        let mut good = true;
        let last = self.rows.len().saturating_sub(1);
        for (number, row) in self.rows.iter_mut().enumerate() {
            if row.remove || number == last && row.is_untouched() {
                continue;
            }
            match row.read() {
                Ok((place, policy)) => list.push((place, place.cmp(&(number + 1)), policy)),
                Err(problem) => {
                    row.problems.push(problem);
                    good = false;
                }
            }
        }
        // Of those with the same place, one that was moved up comes before the one that was there, one that was moved down behind.
        list.sort_by_key(|(place, moved, _): &(usize, Ordering, _)| (*place, *moved));
        good.then(|| list.into_iter().map(|(.., policy)| policy).collect())
    }
}

impl Row {
    fn new(place: usize) -> Self {
        Self {
            place: (place + 1).to_string(),
            plugin: "rules.wasm".to_owned(),
            mode: mode_name(Mode::Monitor).to_owned(),
            fail: fail_name(FailMode::Closed).to_owned(),
            settings: "{\n}".to_owned(),
            ..Self::default()
        }
    }

    /// Nobody has named it, nor typed settings.
    fn is_untouched(&self) -> bool {
        self.name.is_empty() && self.settings.split_whitespace().collect::<String>() == "{}"
    }

    fn read(&self) -> Result<(usize, ListedPolicy), (String, String)> {
        let wrong = |field: &str, text: String| (field.to_owned(), text);
        if self.name.is_empty() {
            return Err(wrong("name", "is missing".to_owned()));
        }
        let place = self.place.trim().parse().map_err(|_| wrong("place", "is no number".to_owned()))?;
        let mode = MODES.into_iter().find(|mode| mode_name(*mode) == self.mode);
        let fail = FAILS.into_iter().find(|fail| fail_name(*fail) == self.fail);
        let limits = ListedLimits {
            memory_mib: limit("memory-mib", &self.memory_mib)?,
            call_ms: limit("call-ms", &self.call_ms)?,
            concurrent_calls: limit("concurrent-calls", &self.concurrent_calls)?,
        };
        let settings =
            serde_json::from_str(&self.settings).map_err(|error| wrong("settings", format!("are no JSON: {error}")))?;
        let policy = ListedPolicy {
            name: PolicyName::new(self.name.clone()),
            plugin: self.plugin.clone(),
            component: None,
            mode: mode.ok_or_else(|| wrong("mode", "is none".to_owned()))?,
            fail: fail.ok_or_else(|| wrong("fail", "is none".to_owned()))?,
            canary_of: Some(self.canary_of.as_str()).filter(|of| !of.is_empty()).map(PolicyName::new),
            limits,
            settings,
        };
        Ok((place, policy))
    }
}

fn amount<T: ToString>(limit: Option<T>) -> String {
    limit.map(|limit| limit.to_string()).unwrap_or_default()
}

/// The usual where nothing is typed.
fn limit<T: FromStr>(name: &str, text: &str) -> Result<Option<T>, (String, String)> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| (name.to_owned(), "is no number".to_owned())),
    }
}

pub(super) fn page(form: &Form, signed_in: &SignedIn, refused: Option<&str>) -> Markup {
    html! {
        div.title {
            h1 { "Draft" }
            a.button.quiet.small href="/policy" { "Back without saving" }
        }
        p.hint {
            "What is saved here is a draft that all administrators share. It has no effect before it is applied."
        }
        @if let Some(text) = refused { p.problem role="alert" { (text) } }
        form.editor method="post" action="/policy/save" {
            input type="hidden" name="csrf" value=(signed_in.csrf());
            input type="hidden" name="version" value=(form.version);
            input type="hidden" name="newest" value=(form.newest);
            input type="hidden" name="count" value=(form.rows.len());
            @for (number, row) in form.rows.iter().enumerate() { (fieldset(number, row, number + 1 == form.rows.len())) }
            p.ends { button.button type="submit" { "Save the draft" } }
        }
    }
}

fn fieldset(number: usize, row: &Row, is_new: bool) -> Markup {
    let id = |field: &str| format!("{field}-{number}");
    html! {
        fieldset.policy data-wrong=[(!row.problems.is_empty()).then_some("yes")] {
            legend { @if is_new { "A new policy" } @else { (row.name) } }
            div.fields {
                (field(&id("place"), "Position", &row.place, "number"))
                (field(&id("name"), "Name", &row.name, "text"))
                (field(&id("plugin"), "Component", &row.plugin, "text"))
                div {
                    label for=(id("mode")) { "Mode" }
                    select id=(id("mode")) name=(id("mode")) {
                        @for mode in MODES { (option(mode_name(mode), &row.mode)) }
                    }
                }
                div {
                    label for=(id("fail")) { "When it fails" }
                    select id=(id("fail")) name=(id("fail")) {
                        @for fail in FAILS { (option(fail_name(fail), &row.fail)) }
                    }
                }
                (field(&id("canary-of"), "Canary of", &row.canary_of, "text"))
                (field(&id("memory-mib"), "Memory (MiB)", &row.memory_mib, "number"))
                (field(&id("call-ms"), "Time of a call (ms)", &row.call_ms, "number"))
                (field(&id("concurrent-calls"), "Calls at once", &row.concurrent_calls, "number"))
            }
            label for=(id("settings")) { "Settings" span.unseen { " of " (row.name) ", as JSON" } }
            textarea id=(id("settings")) name=(id("settings")) rows=(lines(&row.settings)) spellcheck="false"
                aria-describedby=[(!row.problems.is_empty()).then(|| id("problems"))] { "\n" (row.settings) }
            @if !row.problems.is_empty() {
                ul.problems id=(id("problems")) {
                    @for (field, message) in &row.problems { li.problem { code { (field) } ": " (message) } }
                }
            }
            @if !is_new {
                label.check {
                    input type="checkbox" name=(id("remove")) value="yes" checked[row.remove];
                    " Take " (row.name) " out of the list"
                }
            }
        }
    }
}

fn field(id: &str, label: &str, value: &str, kind: &str) -> Markup {
    html! {
        div {
            label for=(id) { (label) }
            input id=(id) name=(id) type=(kind) value=(value) autocomplete="off";
        }
    }
}

fn option(value: &str, chosen: &str) -> Markup {
    html! { option value=(value) selected[value == chosen] { (value) } }
}

/// Lines that a text field shows.
fn lines(text: &str) -> usize {
    text.lines().count().clamp(4, 24)
}
