//! The form of a backtest, and its report.

use maud::{Markup, html};
use portcullis_core::backtest::{Affected, BacktestReport, Ending, EndingChange};
use portcullis_core::policies::BacktestState;

use crate::session::SignedIn;
use crate::time::{Show, time};
use crate::words;

/// Rows that are shown; the API has more.
const ROWS: usize = 25;

pub(super) fn section(state: &BacktestState, has_draft: bool, newest: u64, signed_in: &SignedIn) -> Markup {
    html! {
        section.block aria-labelledby="backtest-title" {
            h2 id="backtest-title" { "Backtest" }
            p.hint {
                "Runs recorded accesses through a list of policies, and shows what would have been different. Nobody is asked and "
                "nothing changes."
            }
            @if state.running { (running(state, signed_in)) } @else { (form(has_draft, newest, signed_in)) }
            @if let Some(error) = &state.error { p.problem role="alert" { "The last one failed: " (error) } }
            @if let Some(report) = &state.report { (self::report(report, &state.of)) }
        }
    }
}

fn form(has_draft: bool, newest: u64, signed_in: &SignedIn) -> Markup {
    html! {
        form.backtest method="post" action="/policy/backtest" {
            input type="hidden" name="csrf" value=(signed_in.csrf());
            div {
                label for="of" { "Of" }
                select id="of" name="of" {
                    @if has_draft { option value="draft" { "the draft" } }
                    @for number in (newest.saturating_sub(19).max(1)..=newest).rev() {
                        option value=(number) { "revision " (number) @if number == newest { " (in force)" } }
                    }
                }
            }
            div {
                label for="days" { "Days" }
                input id="days" name="days" type="number" min="1" max="3650" placeholder="as configured";
            }
            button.button type="submit" { "Run" }
        }
    }
}

fn running(state: &BacktestState, signed_in: &SignedIn) -> Markup {
    html! {
        p role="status" {
            "Of " (state.of) ": " (words::number(state.done)) " of " (words::number(state.total)) " events. "
            a href="/policy" { "Look again" }
        }
        progress max=(state.total.max(1)) value=(state.done) aria-label="Backtest" {}
        form method="post" action="/policy/backtest/cancel" {
            input type="hidden" name="csrf" value=(signed_in.csrf());
            button.button.quiet.small type="submit" { "Cancel" }
        }
    }
}

fn report(report: &BacktestReport, of: &str) -> Markup {
    html! {
        h3 { "Report on " (of) }
        @if report.cancelled { p.problem { "It was cancelled: this is what had been found by then." } }
        dl.facts.numbers {
            div { dt { "Accesses" } dd {
                (words::number(report.read)) " since " (time(report.since, Show::Full)) ", "
                (words::number(report.evaluated)) " of them evaluated"
                @if report.not_evaluated > 0 {
                    ", " span.fault { (words::number(report.not_evaluated)) " could not be evaluated" }
                }
            } }
            div { dt { "Touched" } dd {
                strong { (report.touched_percent) " %" } " – on " (words::number(report.touched)) " some policy had a say"
            } }
            div { dt { "Different" } dd {
                strong { (words::number(report.changed)) }
                @for change in &report.changes { br; (self::change(change)) }
            } }
            div { dt { "Questions" } dd {
                (words::number(report.pushes)) " more, " (words::number(report.pushes_spared)) " fewer"
            } }
            div { dt { "Incidents" } dd {
                (words::number(report.incidents_raised)) " raised, " (words::number(report.incidents_resolved)) " resolved"
            } }
            div { dt { "Taken out of groups" } dd { (words::count(report.demotions, "time", "times")) } }
            div { dt { "Channels told" } dd { (words::count(report.notices, "time", "times")) } }
            @for tally in &report.policies {
                @let said: Vec<_> = tally.verdicts.iter().map(|(verdict, count)| format!("{verdict} {}", words::number(*count))).collect();
                div { dt { (tally.policy) } dd {
                    (words::mode(tally.mode)) ": " (said.join(", "))
                    @if let Some(first) = &tally.first_fault {
                        br; span.fault { (words::count(tally.faults, "fault", "faults")) ": " (first) }
                    }
                } }
            }
        }
        (rows("Accounts", &report.accounts, report.accounts_affected))
        (rows("Applications", &report.applications, report.applications.len() as u64))
        ul.notes { @for note in &report.notes { li.hint { (note) } } }
    }
}

fn rows(title: &str, rows: &[Affected], all: u64) -> Markup {
    html! {
        @if !rows.is_empty() {
            h3 { (title) " " span.count { (words::number(all)) " affected" } }
            table.affected {
                thead { tr {
                    th scope="col" { "Name" } th scope="col" { "Different" } th scope="col" { "Questions" } th scope="col" { "How" }
                } }
                tbody {
                    @for row in rows.iter().take(ROWS) {
                        tr {
                            th scope="row" { (row.name) }
                            td data-label="Different" { (words::number(row.changed)) " of " (words::number(row.evaluated)) }
                            td data-label="Questions" { (words::number(row.pushes)) }
                            td data-label="How" { @for one in &row.changes { div { (change(one)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn change(change: &EndingChange) -> Markup {
    html! {
        (ending(change.from)) " → " (ending(change.to)) ": " (words::number(change.count))
        @if let Some(example) = change.examples.first() { span.none { " · for instance " code { (example) } } }
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Allow => "allowed",
        Ending::Block => "blocked",
        Ending::ChallengeAllow => "asked and allowed",
        Ending::ChallengeBlock => "asked and blocked",
        Ending::Challenge => "asked",
    }
}
