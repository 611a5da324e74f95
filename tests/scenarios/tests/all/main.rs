//! Weeks of a made-up company, from `*.toml` beside this package's manifest: what is noticed on quiet days, and how soon each
//! attack is found, named and answered.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "this is all test code, and what it found is for reading"
)]

mod attacks;
mod company;
mod play;
mod scenario;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use portcullis_core::event::Decision;
use portcullis_core::policy::Verdict;
use portcullis_core::summary::SessionSummary;
use portcullis_core::{Access, Account, OperationKind, Signal};

use company::{Company, DAY, mail};
use play::Theatre;
use scenario::{Answered, Attack, Scenario, Who};
use world::{Seen, SummedUp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_are_found_and_quiet_days_are_quiet() {
    let mut count = 0;
    for entry in std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap() {
        let path = entry.unwrap().path();
        let is_scenario = path.extension().is_some_and(|ending| ending == "toml")
            && path.file_name().is_some_and(|name| name != "Cargo.toml");
        if is_scenario {
            count += 1;
            play(&path).await;
        }
    }
    assert!(count > 0, "no scenario was found");
}

async fn play(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut theatre = Theatre::of(&scenario).await;
    let mut company = Company::new(scenario.people, scenario.seed);
    for day in 0..scenario.learning_days {
        theatre.play(&company.day(day)).await;
    }
    let asked_before = theatre.phone.asked.load(std::sync::atomic::Ordering::SeqCst);
    theatre.world.take_summed_up();
    let (mut logins, mut searches, mut noticed, mut refused) = (0_usize, 0_u64, Vec::new(), 0_usize);
    let quiet = scenario.learning_days..scenario.learning_days + scenario.quiet_days;
    for day in quiet.clone() {
        for seen in theatre.play(&company.day(day)).await {
            let is_search = seen.event.access.operation.kind() == OperationKind::Search;
            (logins, searches) = (logins + usize::from(!is_search), searches + u64::from(is_search));
            refused += usize::from(seen.event.decision == Decision::Block);
            if is_noticed(&seen) {
                noticed.push(Noticed::access(day, seen.event.access));
            }
        }
        for SummedUp { summary, raises } in theatre.world.take_summed_up() {
            searches += summary.tally.total();
            if raises > 0 || summary.signals.iter().any(|signal| signal.score > 0) {
                noticed.push(Noticed::summary(day, summary));
            }
        }
    }
    let asked = theatre.phone.asked.load(std::sync::atomic::Ordering::SeqCst) - asked_before;
    println!("{}: {}", path.display(), scenario.about);
    println!("{}", listing(&noticed));
    // What is noticed of searches counts, and the searches do not: there are as many as one likes.
    let share = noticed.len() as f64 * 1_000.0 / logins as f64;
    println!(
        "{logins} logins and {searches} searches on {} quiet days; {} noticed, {share:.2} of a thousand logins; {asked} pushes, \
         {refused} refused",
        scenario.quiet_days,
        noticed.len()
    );

    let mut wrong = Vec::new();
    for (nth, attack) in scenario.attacks.iter().enumerate() {
        let day = quiet.end + u32::try_from(nth).unwrap();
        let ordinary = company.day(day);
        let attacking = attacks::doings(attack, &company, u64::from(day) * DAY);
        // The day is an ordinary one until then.
        let begin = attacking.first().map_or(0, |doing| doing.at);
        let before: Vec<_> = ordinary.into_iter().filter(|doing| doing.at < begin).collect();
        theatre.play(&before).await;
        theatre.world.take_summed_up();
        theatre.attacked(true);
        let seen = theatre.play(&attacking).await;
        theatre.attacked(false);
        let found = match judge_summed_up(attack, &theatre.world.take_summed_up()) {
            Some(found) => found,
            None => judge(attack, &seen, &theatre).await,
        };
        println!("{}: {found:?}", attack.name);
        if let Err(problem) = found {
            wrong.push(format!("{}: {problem}", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", path.display(), wrong.join("\n"));
    assert!(refused == 0, "{refused} accesses of valid users were refused");
    assert!(share < scenario.noticed_per_thousand, "{share:.2} of a thousand accesses were noticed");
    assert!(searches as usize > logins / 2, "{searches} searches tell little of what is noticed of them");
}

/// Something that was noticed.
struct Noticed {
    day: u32,
    account: Option<Account>,
    application: String,
    signals: Vec<Signal>,
}

impl Noticed {
    fn access(day: u32, access: Access) -> Self {
        Self { day, account: access.account, application: access.target.application, signals: access.signals }
    }

    fn summary(day: u32, summary: SessionSummary) -> Self {
        let SessionSummary { account, application, signals, .. } = summary;
        Self { day, account, application, signals }
    }
}

/// Anything that accuses somebody, asks somebody, or that an analyst would see.
fn is_noticed(seen: &Seen) -> bool {
    seen.event.access.signals.iter().any(|signal| signal.score > 0)
        || seen.raises > 0
        || seen.event.rulings.iter().any(|ruling| !matches!(ruling.verdict, Verdict::Abstain | Verdict::Allow))
}

/// By what was noticed: how often, and the first three.
fn listing(noticed: &[Noticed]) -> String {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Noticed { day, account, application, signals } in noticed {
        let login = account.as_ref().map_or("nobody", |account| &account.login);
        for signal in signals.iter().filter(|signal| signal.score > 0) {
            let text = format!("day {day}, {login} on {application}: {}", signal.reason);
            by_name.entry(signal.name.clone()).or_default().push(text);
        }
    }
    let mut out = String::new();
    for (name, all) in by_name {
        let _ = writeln!(out, "  {name}: {}", all.len());
        for one in all.iter().take(3) {
            let _ = writeln!(out, "    {one}");
        }
    }
    out
}

/// The same as [`judge`], where it was named in what was summed up.
fn judge_summed_up(attack: &Attack, summed_up: &[SummedUp]) -> Option<Result<(usize, usize), String>> {
    let expected = &attack.expect;
    let names = |one: &SummedUp| one.summary.signals.iter().any(|signal| signal.name == expected.signal);
    let named = summed_up.iter().position(names)?;
    let (events, is_answered) = (named + 1, summed_up[named].raises > 0 && expected.answer == Answered::Incident);
    Some(match is_answered && events <= expected.within {
        true => Ok((events, events)),
        false => {
            Err(format!("named in summary {events}, answered {is_answered}, where {} are allowed", expected.within))
        }
    })
}

/// After how many events it was named, and after how many answered.
async fn judge(attack: &Attack, seen: &[Seen], theatre: &Theatre) -> Result<(usize, usize), String> {
    let expected = &attack.expect;
    let first = |holds: &dyn Fn(&Seen) -> bool| seen.iter().position(holds).map(|place| place + 1);
    let names = |seen: &Seen| seen.event.access.signals.iter().any(|signal| signal.name == expected.signal);
    let named = first(&names).ok_or_else(|| format!("{} was not noticed: {}", expected.signal, told(seen)))?;
    let is_blocked = |seen: &Seen| seen.event.decision == Decision::Block;
    let answered = match expected.answer {
        Answered::Block => first(&|seen| names(seen) && is_blocked(seen)),
        Answered::ChallengeAndBlock => first(&|seen| is_blocked(seen) && !seen.event.challenges.is_empty()),
        Answered::Incident => first(&|seen| names(seen) && seen.raises > 0),
        Answered::SessionsEnded => {
            let account = attack.steps.last().and_then(|step| step.who.strip_prefix("person:"));
            let account = account.and_then(|number| number.parse().ok()).map(mail).unwrap_or_default();
            let is_ended = theatre.wait_for_end_of_sessions(&account).await;
            first(&is_blocked).filter(|_| is_ended)
        }
    };
    let answered = answered.ok_or_else(|| format!("not answered: {}", told(seen)))?;
    if named.max(answered) > expected.within {
        return Err(format!("named at event {named}, answered at {answered}, where {} are allowed", expected.within));
    }
    Ok((named, answered))
}

fn told(seen: &[Seen]) -> String {
    let one = |seen: &Seen| {
        let names: Vec<_> = seen.event.access.signals.iter().map(|signal| signal.name.as_str()).collect();
        format!("{:?} {:?} raises {}", seen.event.decision, names, seen.raises)
    };
    seen.iter().take(40).map(one).collect::<Vec<_>>().join("; ")
}

/// Names that scenarios use are those of people that there are.
#[test]
fn people_are_numbered_from_nought() {
    assert!(company::account(&Who::Person(0), 1).is_some() && company::account(&Who::Person(1), 1).is_none());
}
