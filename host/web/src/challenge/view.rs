//! How challenges look.

use maud::{Markup, html};
use portcullis_core::Timestamp;
use portcullis_core::challenge::{ChallengeState, ChallengeView};

use crate::time::{Show, time};
use crate::words;

/// What the page shows.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// Nothing is being asked.
    Nothing,
    /// One challenge.
    One(Box<ChallengeView>),
    /// Several, to choose from.
    Several(Vec<ChallengeView>),
}

impl Shown {
    /// The one that is open; all, when it is not one; the latest that has ended, when nothing else is there.
    pub(super) fn of(mut views: Vec<ChallengeView>) -> Self {
        let mut open = views.iter().filter(|view| view.state == ChallengeState::Open);
        match (open.next().cloned(), open.next()) {
            (Some(only), None) => Self::One(Box::new(only)),
            (Some(_), Some(_)) => Self::Several(views),
            (None, _) if views.len() > 1 => Self::Several(views),
            (None, _) => views.pop().map_or(Self::Nothing, |view| Self::One(Box::new(view))),
        }
    }

    /// Differs whenever something else is to be seen.
    pub(super) fn mark(&self) -> String {
        let mark = |view: &ChallengeView| format!("{}.{}", view.id, view.version);
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::One(view) => mark(view),
            Self::Several(views) => views.iter().map(mark).collect::<Vec<_>>().join("+"),
        }
    }

    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::One(view) => words::challenge_state(view.state).name,
            Self::Several(_) => "several",
        }
    }

    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Nothing => "No sign-in to confirm",
            Self::One(view) if view.state == ChallengeState::Open && view.number.is_some() => "Pick the number",
            Self::One(view) => words::challenge_state(view.state).title,
            Self::Several(_) => "Sign-ins from this machine",
        }
    }

    pub(super) fn say(&self) -> &'static str {
        match self {
            Self::Nothing => "There is no sign-in to confirm.",
            Self::One(view) if view.state == ChallengeState::Open && view.number.is_some() => {
                "Pick the number that is shown here on your phone."
            }
            Self::One(view) => words::challenge_state(view.state).advice,
            Self::Several(_) => "There is more than one sign-in from this machine.",
        }
    }
}

/// The live part, what announces its changes, and where they come from.
pub(super) fn page(shown: &Shown, events: Option<&str>, now: Timestamp) -> Markup {
    html! {
        p.unseen id="announce" role="status" {}
        div id="live" data-kind="challenge" data-mark=(shown.mark()) data-events=[events] { (part(shown, now)) }
    }
}

/// The live part.
pub(super) fn part(shown: &Shown, now: Timestamp) -> Markup {
    match shown {
        Shown::Nothing => nothing(),
        Shown::One(view) => one(view, now),
        Shown::Several(views) => several(views),
    }
}

fn nothing() -> Markup {
    html! {
        section.card.challenge data-state="nothing" {
            div.emblem aria-hidden="true" { "✓" }
            h1 { "Nothing to confirm" }
            p.advice { "No sign-in from this machine is waiting for you." }
            p.hint {
                "This page keeps looking: as soon as an application asks for a confirmation, it is shown here. "
                "Sign-ins on another machine are shown on that machine."
            }
        }
    }
}

fn one(view: &ChallengeView, now: Timestamp) -> Markup {
    let open = view.state == ChallengeState::Open;
    let words = words::challenge_state(view.state);
    html! {
        section.card.challenge data-state=(words.name) {
            @match view.number.filter(|_| open) {
                Some(number) => {
                    h1 { "Waiting for your phone" }
                    p.advice { "Pick this number on your phone:" }
                    p.number { (number) }
                }
                None => {
                    div.emblem aria-hidden="true" { (words.icon) }
                    h1 { (words.title) }
                    p.advice { (words.advice) }
                }
            }
            dl.facts {
                div { dt { "Application" } dd { (view.application) } }
                div { dt { "Account" } dd { (view.login) } }
                div { dt { "Machine" } dd { (machine(view)) } }
                div { dt { "Asked" } dd { (time(view.opened_at, Show::Local)) } }
                @if open {
                    div { dt { "Still open" } dd { (remaining(view, now)) } }
                }
            }
            @if open {
                form.dismiss method="post" action={ "/challenge/" (view.link.reveal()) "/dismiss" } {
                    button.button.danger id="dismiss" type="submit" { "This was not me – cancel" }
                }
                p.hint { "Only confirm a sign-in that you have just begun yourself." }
            }
        }
    }
}

fn remaining(view: &ChallengeView, now: Timestamp) -> Markup {
    let left = view.expires_at.since(now);
    html! {
        span role="timer" data-left-ms=(left.as_millis()) { (left.as_secs()) " s" }
        " (until " (time(view.expires_at, Show::Local)) ")"
    }
}

fn machine(view: &ChallengeView) -> Markup {
    html! {
        @match (&view.endpoint_name, view.address) {
            (Some(name), Some(address)) => { (name) " (" (address) ")" }
            (Some(name), None) => { (name) }
            (None, Some(address)) => { (address) }
            (None, None) => { "not known" }
        }
    }
}

fn several(views: &[ChallengeView]) -> Markup {
    html! {
        section.card.challenge data-state="several" {
            h1 { "Sign-ins from this machine" }
            p.advice { "Choose the one that you have begun." }
            ul.choices {
                @for view in views {
                    @let words = words::challenge_state(view.state);
                    li {
                        a id={ "choice-" (view.id) } href={ "/challenge/" (view.link.reveal()) } data-state=(words.name) {
                            span.what { strong { (view.application) } " · " (view.login) }
                            span.when { (time(view.opened_at, Show::Local)) }
                            span.how { span aria-hidden="true" { (words.icon) } " " (words.short) }
                        }
                    }
                }
            }
        }
    }
}
