//! How the Policy page looks.

use maud::{Markup, html};
use portcullis_core::policies::{BacktestState, CheckedDraft, Doings, PoliciesInForce, PolicyProblem, fail_name};
use portcullis_core::policy::Mode;
use portcullis_core::revision::{ListedPolicy, PolicyChange, Revision};

use super::report;
use crate::console::view::badge;
use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words::{self, Badge};

/// What is on the page.
pub(super) struct Content {
    pub(super) in_force: PoliciesInForce,
    pub(super) draft: Option<CheckedDraft>,
    /// The newest first.
    pub(super) revisions: Vec<Revision>,
    pub(super) backtest: BacktestState,
}

pub(super) fn page(content: &Content, signed_in: &SignedIn, refused: Option<&str>) -> Markup {
    let Content { in_force, draft, revisions, backtest } = content;
    html! {
        div.title {
            h1 { "Policy" }
            a.button.quiet.small href="/policy/edit" {
                @if draft.is_some() { "Edit the draft" } @else { "Change" }
            }
        }
        @if let Some(text) = refused { p.problem role="alert" { "Not done: " (text) "." } }
        @if let Some(refused) = &in_force.refused {
            p.problem role="alert" { "Revision " (refused.number) " is stored and not in force: " (refused.why) "." }
        }
        @if let Some(checked) = draft { (self::draft(checked, in_force.newest(), signed_in)) }
        section.block aria-labelledby="list-title" {
            h2 id="list-title" { "In force " span.count { "revision " (in_force.revision.number) } }
            p.hint { "By " (in_force.revision.actor) ", " (time(in_force.revision.at, Show::Full)) }
            (list(in_force))
        }
        (report::section(backtest, draft.is_some(), in_force.revision.number, signed_in))
        (self::revisions(revisions, in_force.revision.number, signed_in))
    }
}

fn list(in_force: &PoliciesInForce) -> Markup {
    html! {
        @if in_force.revision.policies.is_empty() {
            p.empty { "No policy is in force: every access that the directory lets through goes on." }
        } @else {
            ol.policies {
                @for (place, policy) in in_force.revision.policies.iter().enumerate() {
                    @let problems = in_force.problems.iter().filter(|problem| problem.place == place);
                    li { (self::policy(policy, in_force.doings.get(&policy.name), problems)) }
                }
            }
            p.hint.times {
                "Policies are asked from the top; the first that allows or blocks decides. Counted since "
                (time(in_force.doings_since, Show::Full)) ". All times are UTC."
            }
        }
    }
}

fn mode(mode: Mode) -> Badge {
    let (name, icon) = match mode {
        Mode::Off => ("recorded", "○"),
        Mode::Monitor => ("recorded", "◐"),
        Mode::Canary => ("refused", "◑"),
        Mode::Enforce => ("allow", "●"),
    };
    let word = match mode {
        Mode::Off => "Off",
        Mode::Monitor => "Monitor",
        Mode::Canary => "Canary",
        Mode::Enforce => "Enforced",
    };
    Badge { name, icon, word }
}

fn policy<'a>(
    policy: &ListedPolicy,
    doings: Option<&Doings>,
    problems: impl Iterator<Item = &'a PolicyProblem>,
) -> Markup {
    let more = html! {
        p.doings { (did(doings)) }
        @for problem in problems { p.problem { code { (problem.field) } ": " (problem.message) } }
    };
    card(policy, &more)
}

/// A policy of a list, with what else there is to say of it.
fn card(policy: &ListedPolicy, more: &Markup) -> Markup {
    html! {
        article.policy data-mode=(words::mode(policy.mode)) {
            header {
                h3 { (policy.name) }
                (badge(mode(policy.mode), "mode"))
                @if let Some(of) = &policy.canary_of { span.of { "of " (of) } }
                span.plugin { (policy.plugin) " · fails " (fail_name(policy.fail)) }
            }
            (more)
            details {
                summary { "Settings" span.unseen { " of " (policy.name) } }
                pre { code { (serde_json::to_string_pretty(&policy.settings).unwrap_or_default()) } }
            }
        }
    }
}

/// "abstain 120, block 3; 1 fault; 4 agreements, 1 difference".
fn did(doings: Option<&Doings>) -> Markup {
    let Some(doings) = doings else { return html! { span.none { "Not asked yet." } } };
    let said: Vec<_> =
        doings.verdicts.iter().map(|(verdict, count)| format!("{verdict} {}", words::number(*count))).collect();
    html! {
        (said.join(", "))
        @if doings.faults > 0 { "; " span.fault { (words::count(doings.faults, "fault", "faults")) } }
        @if doings.agreed + doings.differed > 0 {
            "; agreed " (words::number(doings.agreed)) ", "
            strong { (words::count(doings.differed, "difference", "differences")) }
        }
    }
}

fn draft(checked: &CheckedDraft, newest: u64, signed_in: &SignedIn) -> Markup {
    let draft = &checked.draft;
    let stale = draft.based_on != newest;
    html! {
        section.block.draft aria-labelledby="draft-title" {
            h2 id="draft-title" { "Draft " span.count { "not in force" } }
            p.hint { "Saved by " (draft.saved.actor) ", " (time(draft.saved.at, Show::Full)) }
            @if stale {
                p.problem {
                    "There is a revision " (newest) " since. Look at the difference, and save the draft again before it "
                    "can be applied."
                }
            }
            @if checked.difference.is_empty() { p.none { "No difference from what is in force." } } @else {
                (changes(&checked.difference, |name| draft.changed.get(name).map(|who| who.actor.as_str())))
            }
            @if !checked.problems.is_empty() {
                ul.problems aria-label="Problems" {
                    @for problem in &checked.problems {
                        li.problem { strong { (problem.policy) } " " code { (problem.field) } ": " (problem.message) }
                    }
                }
            }
            div.ends {
                form method="post" action="/policy/apply" {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    input type="hidden" name="version" value=(draft.version);
                    label for="comment" { "Comment" }
                    input id="comment" name="comment" maxlength="200" autocomplete="off";
                    button.button type="submit" disabled[stale || !checked.problems.is_empty()] { "Apply all changes" }
                }
                form method="post" action="/policy/drop" {
                    input type="hidden" name="csrf" value=(signed_in.csrf());
                    input type="hidden" name="version" value=(draft.version);
                    button.button.danger.small type="submit" { "Drop the draft" }
                }
            }
        }
    }
}

fn changes<'a>(changes: &[PolicyChange], who: impl Fn(&portcullis_core::PolicyName) -> Option<&'a str>) -> Markup {
    html! {
        ul.changes {
            @for change in changes {
                li {
                    strong { (change.policy) }
                    @if let Some(who) = who(&change.policy) { span.none { " by " (who) } }
                    ul { @for one in &change.changes { li { (one) } } }
                }
            }
        }
    }
}

fn revisions(revisions: &[Revision], newest: u64, signed_in: &SignedIn) -> Markup {
    html! {
        section.block aria-labelledby="revisions-title" {
            h2 id="revisions-title" { "Revisions" }
            ol.revisions {
                @for revision in revisions {
                    li {
                        a href={ "/policy/revisions/" (revision.number) } { "Revision " (revision.number) }
                        span.what {
                            (revision.actor) ", " (time(revision.at, Show::Full))
                            @if !revision.comment.is_empty() { " · " (revision.comment) }
                        }
                        @if revision.number == newest { span.none { "in force" } } @else { (revert(revision, signed_in)) }
                    }
                }
            }
        }
    }
}

fn revert(revision: &Revision, signed_in: &SignedIn) -> Markup {
    html! {
        form method="post" action="/policy/revert" {
            input type="hidden" name="csrf" value=(signed_in.csrf());
            input type="hidden" name="revision" value=(revision.number);
            button.button.quiet.small type="submit" { "Revert" span.unseen { " to revision " (revision.number) } }
        }
    }
}

/// One revision by itself.
pub(super) fn revision(
    revision: &Revision,
    difference: &[PolicyChange],
    in_force: u64,
    signed_in: &SignedIn,
) -> Markup {
    html! {
        div.title {
            h1 { "Revision " (revision.number) }
            a.button.quiet.small href="/policy" { "Back to the list" }
        }
        p.hint {
            "By " (revision.actor) ", " (time(revision.at, Show::Full))
            @if !revision.comment.is_empty() { " · " (revision.comment) }
        }
        section.block aria-labelledby="difference-title" {
            h2 id="difference-title" { "What changed with it" }
            @if difference.is_empty() { p.none { "The same list as before." } } @else {
                (changes(difference, |_| None))
            }
        }
        section.block aria-labelledby="list-title" {
            h2 id="list-title" { "The list" }
            @if revision.policies.is_empty() { p.empty { "No policy." } } @else {
                ol.policies { @for one in &revision.policies { li { (one_of(one)) } } }
            }
            @if revision.number != in_force { (revert(revision, signed_in)) }
        }
    }
}

fn one_of(policy: &ListedPolicy) -> Markup {
    let digest = html! {
        @if let Some(digest) = &policy.component { p.doings { "SHA-256 " code { (digest) } } }
    };
    card(policy, &digest)
}
