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
            Self::One(view) => match asks(view) {
                Asks::Number(_) => "Pick the number",
                Asks::Code(_) => "Type your code",
                Asks::Nothing => words::challenge_state(view.state).title,
            },
            Self::Several(_) => "Sign-ins from this machine",
        }
    }

    pub(super) fn say(&self) -> String {
        match self {
            Self::Nothing => "There is no sign-in to confirm.".to_owned(),
            Self::Several(_) => "There is more than one sign-in from this machine.".to_owned(),
            Self::One(view) => {
                let said = match asks(view) {
                    Asks::Number(number) => format!("Pick the number {number} on your phone."),
                    Asks::Code(hint) => hint.to_owned(),
                    Asks::Nothing => words::challenge_state(view.state).advice.to_owned(),
                };
                match &view.note {
                    Some(note) => format!("{note} {said}"),
                    None => said,
                }
            }
        }
    }

    /// Until when a code can be typed, where one can be.
    pub(super) fn code_until(&self) -> Option<Timestamp> {
        match self {
            Self::One(view) => matches!(asks(view), Asks::Code(_)).then_some(view.expires_at),
            Self::Nothing | Self::Several(_) => None,
        }
    }
}

/// What an open challenge wants on its page.
enum Asks<'a> {
    /// To be looked at: the number is picked on the phone.
    Number(u8),
    /// A code; the text says where it comes from.
    Code(&'a str),
    /// Nothing.
    Nothing,
}

fn asks(view: &ChallengeView) -> Asks<'_> {
    match (view.state, &view.code, view.number) {
        (ChallengeState::Open, Some(hint), _) => Asks::Code(hint),
        (ChallengeState::Open, None, Some(number)) => Asks::Number(number),
        _ => Asks::Nothing,
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
    let address = |what: &str| format!("/challenge/{}/{what}", view.link.reveal());
    html! {
        section.card.challenge data-state=(words.name) data-seen=[open.then(|| address("seen"))] {
            @match asks(view) {
                Asks::Number(number) => {
                    h1 { "Waiting for your phone" }
                    p.advice { "Pick this number on your phone:" }
                    p.number { (number) }
                }
                Asks::Code(hint) => (code_form(view, hint, &address("code"))),
                Asks::Nothing => {
                    div.emblem aria-hidden="true" { (words.icon) }
                    h1 { (words.title) }
                    p.advice { (words.advice) }
                }
            }
            @if open && !view.choices.is_empty() { (ways(view, now, &address("choose"))) }
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
                div.ends {
                    form method="post" action=(address("dismiss")) {
                        button.button.quiet id="dismiss" type="submit" { "Cancel" }
                    }
                    form method="post" action=(address("deny")) {
                        button.button.danger id="deny" type="submit" { "This was not me" }
                    }
                }
                p.hint { "Only confirm a sign-in that you have just begun yourself." }
            }
        }
    }
}

/// Works without scripts; with them, the button waits until something is typed.
fn code_form(view: &ChallengeView, hint: &str, address: &str) -> Markup {
    html! {
        h1 { "Type your code" }
        p.advice id="code-hint" { (hint) }
        form.code method="post" action=(address) {
            label for="code" { "One-time code" }
            input id="code" name="code" type="text" inputmode="numeric" autocomplete="one-time-code" autocapitalize="none"
                spellcheck="false" required autofocus maxlength="64" aria-describedby="code-note code-hint";
            p.note id="code-note" role="alert" { (view.note.as_deref().unwrap_or_default()) }
            button.button id="ok" type="submit" { "OK" }
        }
    }
}

/// Other ways to be asked, and the same once more.
fn ways(view: &ChallengeView, now: Timestamp, address: &str) -> Markup {
    html! {
        form.ways method="post" action=(address) {
            h2 { @if view.code.is_some() { "No code?" } @else { "Another way" } }
            @for choice in &view.choices {
                @let wait = choice.from.since(now);
                // Without scripts it can be pressed too early, and is then told how long to wait.
                @let counts = choice.current && !wait.is_zero();
                button.button.quiet type="submit" name="choice" value=(choice.id) id={ "way-" (choice.id) }
                    data-wait-ms=[counts.then(|| wait.as_millis())] {
                    @if choice.current { "Send again: " }
                    (choice.label)
                }
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

fn listed(view: &ChallengeView) -> Option<String> {
    (view.state == ChallengeState::Open).then(|| format!("/challenge/{}/seen", view.link.reveal()))
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
                        a id={ "choice-" (view.id) } href={ "/challenge/" (view.link.reveal()) } data-state=(words.name)
                            data-listed=[listed(view)] {
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
