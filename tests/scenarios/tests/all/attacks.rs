//! Attacks, from what is written down to what is done.

use std::net::IpAddr;

use crate::company::Company;
use crate::scenario::{Act, Attack, Doing, Password, Step, What, Who};

/// What the attacker does, in its order. `begin` is the day's.
pub fn doings(attack: &Attack, company: &Company, begin: u64) -> Vec<Doing> {
    let (hours, minutes) = attack.at.split_once(':').expect("HH:MM");
    let minutes = hours.parse::<u64>().unwrap() * 60 + minutes.parse::<u64>().unwrap();
    let mut at = begin + minutes * 60_000;
    let mut guesses = 1_000_000;
    let mut doings = Vec::new();
    for step in &attack.steps {
        for _ in 0..step.times {
            for who in everybody(&step.who) {
                guesses += 1;
                doings.push(doing(step, company, who, at, guesses));
                at += step.every_seconds * 1_000;
            }
        }
    }
    doings
}

fn doing(step: &Step, company: &Company, who: Who, at: u64, guess: u64) -> Doing {
    let act = match step.what {
        What::Bind => Act::Bind {
            wrong: match step.password {
                Password::Right => None,
                Password::Guessed => Some(guess),
                Password::Same => Some(1),
            },
        },
        What::Search => Act::Search(step.search.clone().expect("a search says what for")),
        What::SignIn => {
            Act::SignIn { position: step.position.expect("a sign-in says from where"), place: step.place.clone() }
        }
    };
    Doing { at, who, from: address(&step.from, company), application: step.application.clone(), act }
}

fn address(text: &str, company: &Company) -> IpAddr {
    match text.strip_prefix("person:") {
        Some(number) => company.machine_of(number.parse().unwrap()),
        None => text.parse().unwrap_or_else(|_| panic!("`{text}` is neither person:NUMBER nor an address")),
    }
}

fn everybody(text: &str) -> Vec<Who> {
    let (kind, rest) = text.split_once(':').unwrap_or_else(|| panic!("`{text}` names nobody"));
    match kind {
        "person" => vec![Who::Person(rest.parse().unwrap())],
        "people" => {
            let (first, last) = rest.split_once('-').unwrap();
            (first.parse().unwrap()..=last.parse().unwrap()).map(Who::Person).collect()
        }
        "service" => vec![Who::Service(rest.to_owned())],
        "name" => vec![Who::Nobody(rest.to_owned())],
        "names" => (0..rest.parse().unwrap()).map(|number: u32| Who::Nobody(format!("guess{number}"))).collect(),
        _ => panic!("`{text}` names nobody"),
    }
}
