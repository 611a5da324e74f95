use std::time::Duration;

use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::fence::{Fence, Part, WeekHours};
use portcullis_core::gate::Tried;
use portcullis_core::summary::Tally;
use portcullis_core::*;

use super::*;
use crate::seen::Seen;

/// Monday, 2026-11-02T00:00:00Z.
const MONDAY: u64 = 1_793_577_600_000;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// What somebody does with the account.
#[derive(Clone, Copy)]
struct Doing<'a> {
    address: &'a str,
    application: &'a str,
    kind: AccountKind,
    /// Base, scope and filter; a login without.
    search: Option<(&'a str, SearchScope, &'a str)>,
    signal: Option<(&'a str, u8)>,
}

const LOGIN: Doing<'_> =
    Doing { address: "10.0.0.1", application: "wiki", kind: AccountKind::Service, search: None, signal: None };
const SEARCH: Doing<'_> =
    Doing { search: Some(("ou=people,dc=x,dc=y", SearchScope::Subtree, "(&(objectClass=person)(uid=a))")), ..LOGIN };

#[derive(Default)]
struct World(AccountProfile);

impl World {
    fn at(&mut self, at: u64, doing: Doing<'_>) {
        let operation = match doing.search {
            None => Operation::Bind(BindMethod::Simple),
            Some((base, scope, filter)) => Operation::Search(Some(Search {
                base: base.to_owned(),
                scope,
                filter: filter.to_owned(),
                attributes: Vec::new(),
            })),
        };
        let signal = doing.signal.map(|(name, score)| Signal { name: name.to_owned(), score, reason: String::new() });
        let address = doing.address.parse().unwrap();
        let event = AccessEvent {
            access: Access {
                id: EventId(uuid::Uuid::from_u128(1)),
                at: Timestamp(at),
                source: "ldap".to_owned(),
                account: Some(Account {
                    id: AccountId::new("svc-id"),
                    login: "svc-wiki".to_owned(),
                    dn: None,
                    mail: None,
                    kind: doing.kind,
                    privileged: false,
                    cloud_enabled: None,
                    risk: 0,
                }),
                endpoint: Some(Endpoint { address, name: None, site: None, shared: false, associated: true, risk: 0 }),
                protection: None,
                target: Target { application: doing.application.to_owned(), entry: None },
                operation,
                outcome: if doing.search.is_some() { Outcome::Pending } else { Outcome::Success },
                signals: signal.into_iter().collect(),
            },
            directory_result: None,
            decision: Decision::Allow,
            decided_by: None,
            reason: String::new(),
            rulings: Vec::new(),
            challenges: Vec::new(),
            foreign: None,
        };
        self.0.learn(&Seen::of(&event.access, None, None, Tried::Nothing), &event, true);
    }

    /// Every day at these hours, for so many days from Monday on.
    fn days(&mut self, days: std::ops::Range<u64>, hours: &[u64], doing: Doing<'_>) {
        for day in days {
            for hour in hours {
                self.at(MONDAY + day * DAY + hour * HOUR, doing);
            }
        }
    }

    fn fence(&self, day: u64) -> Fence {
        self.try_fence(day).unwrap()
    }

    fn try_fence(&self, day: u64) -> Result<Fence, String> {
        let settings = Settings { learning_time: Duration::from_secs(7 * 86_400), ..Settings::default() };
        propose(&self.0, &settings, true, Timestamp(MONDAY + day * DAY))
    }
}

fn allowed<T: Clone>(part: &Part<T>) -> Vec<T> {
    part.allowed.iter().map(|known| known.what.clone()).collect()
}

/// Why the only one that is left out is.
fn why<T: std::fmt::Debug>(part: &Part<T>) -> &str {
    assert_eq!(part.left_out.len(), 1, "{part:?}");
    &part.left_out[0].why
}

#[test]
fn before_the_learning_period_is_over_there_is_none() {
    let mut world = World::default();
    world.days(0..10, &[9, 10], LOGIN);
    assert!(world.try_fence(6).unwrap_err().contains("in 5 days, of 20 and 7 days"));
    assert!(world.try_fence(7).unwrap_err().contains("6 days"), "an hour short of the seventh day");
    assert!(world.try_fence(8).is_ok());
    let mut world = World::default();
    world.days(0..10, &[9], LOGIN);
    world.days(0..9, &[10], LOGIN);
    assert!(world.try_fence(20).unwrap_err().starts_with("Too little is known: 19 logins"));
    world.days(9..10, &[10], LOGIN);
    assert!(world.try_fence(20).is_ok());
}

#[test]
fn its_machines_and_applications_are_in_with_how_well_they_are_known() {
    let mut world = World::default();
    world.days(0..30, &[9, 15], LOGIN);
    world.days(0..30, &[10], Doing { address: "2001:db8::7", application: "mail", ..LOGIN });
    let fence = world.fence(30);
    assert_eq!(allowed(&fence.machines), ["10.0.0.1", "2001:db8::7"].map(|text| text.parse::<IpAddr>().unwrap()));
    assert_eq!(allowed(&fence.applications), ["wiki", "mail"]);
    let first = &fence.machines.allowed[0];
    assert_eq!((first.count, first.first), (60, Some(Timestamp(MONDAY + 9 * HOUR))));
    assert_eq!(first.last, Some(Timestamp(MONDAY + 29 * DAY + 15 * HOUR)));
    assert!(fence.machines.left_out.is_empty() && fence.machines.why_not.is_none());
}

#[test]
fn a_machine_of_a_few_times_or_few_days_or_long_ago_is_not_in() {
    let other = Doing { address: "10.9.9.9", ..LOGIN };
    let of = |days: std::ops::Range<u64>, now: u64| {
        let mut world = World::default();
        world.days(0..now, &[9, 15], LOGIN);
        world.days(days, &[10], other);
        world.fence(now).machines
    };
    assert!(why(&of(0..1, 30)).contains("once only, of 5 times"));
    assert!(why(&of(0..10, 60)).contains("not seen for 50 days"));
    assert!(why(&of(20..24, 30)).contains("4 times only"));
    assert_eq!(of(20..25, 30).allowed.len(), 2, "five times, and for ten days");
    assert!(why(&of(24..30, 30)).contains("known for 5 days only, of 7"));
    assert_eq!(of(0..8, 38).allowed.len(), 2, "not for thirty days");
    assert!(why(&of(0..8, 39)).contains("not seen for 31 days"));
}

#[test]
fn whoever_has_been_noticed_is_not_fenced_in_however_often_he_comes() {
    let attacker = Doing { address: "10.9.9.9", ..LOGIN };
    let mut world = World::default();
    world.days(0..60, &[9, 15], LOGIN);
    world.days(20..21, &[3], Doing { signal: Some(("service-account-misused", 70)), ..attacker });
    world.days(21..60, &[3], attacker);
    let machines = world.fence(60).machines;
    assert_eq!(machines.allowed.len(), 1);
    assert_eq!(why(&machines), "service-account-misused was noticed with it 39 days ago.");
    // A weak signal (cleartext, an odd hour) keeps nothing out.
    let mut world = World::default();
    world.days(0..30, &[9, 15], Doing { signal: Some(("cleartext-bind", 10)), ..LOGIN });
    assert_eq!(world.fence(30).machines.allowed.len(), 1);
    let mut world = World::default();
    world.days(0..30, &[9, 15], Doing { signal: Some(("something", 40)), ..LOGIN });
    let machines = world.fence(30).machines;
    assert!(machines.allowed.is_empty() && machines.why_not.is_some(), "{machines:?}");
    assert_eq!(why(&machines), "a detection was noticed with it 0 days ago.");
}

#[test]
fn an_application_that_was_noticed_is_not_fenced_in_and_its_machine_s_others_are() {
    let payroll = Doing { application: "payroll", ..LOGIN };
    let mut world = World::default();
    world.days(0..60, &[9, 15], LOGIN);
    world.days(20..21, &[3], Doing { signal: Some(("service-account-misused", 70)), ..payroll });
    world.days(21..60, &[3], payroll);
    let applications = world.fence(60).applications;
    assert_eq!(allowed(&applications), ["wiki"]);
    assert_eq!(why(&applications), "service-account-misused was noticed with it 39 days ago.");
    // What is noticed with one that is used already says nothing of it.
    world.days(60..61, &[3], Doing { signal: Some(("service-account-misused", 70)), address: "10.9.9.9", ..LOGIN });
    assert_eq!(allowed(&world.fence(61).applications), ["wiki"]);
    assert_eq!(allowed(&world.fence(111).applications), [""; 0], "by then neither is in use");
    world.days(61..112, &[3], payroll);
    assert_eq!(allowed(&world.fence(112).applications), ["payroll"], "ninety days later");
}

#[test]
fn what_was_noticed_long_ago_counts_no_more() {
    let mut world = World::default();
    world.days(0..1, &[3], Doing { signal: Some(("unusual-endpoint", 60)), ..LOGIN });
    world.days(1..100, &[9, 15], LOGIN);
    assert!(world.fence(90).machines.allowed.is_empty(), "89 days ago");
    assert_eq!(world.fence(91).machines.allowed.len(), 1);
}

#[test]
fn an_account_that_is_everywhere_has_no_machines_of_its_own() {
    let of = |machines: u64| {
        let mut world = World::default();
        for number in 0..machines {
            let address = format!("10.0.0.{number}");
            world.days(0..10, &[9], Doing { address: &address, ..LOGIN });
        }
        world.fence(10).machines
    };
    assert_eq!(of(16).allowed.len(), 16);
    let none = of(17);
    assert!(none.allowed.is_empty() && none.left_out.len() == 17, "{none:?}");
    assert!(none.why_not.unwrap().contains("17 machines"));
}

#[test]
fn hours_and_weekdays_only_where_they_are_narrow() {
    let hours = |days: u64, hours: &[u64]| {
        let mut world = World::default();
        world.days(0..days, hours, LOGIN);
        world.fence(days).hours
    };
    let window = |part: &Part<WeekHours>| {
        part.allowed.first().map(|known| (known.what.days.clone(), known.what.from, known.what.to))
    };
    assert_eq!(window(&hours(30, &[9, 12, 17])), Some((vec![], 8, 19)));
    assert_eq!(window(&hours(30, &[22, 23, 0, 1])), Some((vec![], 21, 3)), "past midnight");
    assert_eq!(window(&hours(60, &[2, 9, 15])), Some((vec![], 1, 17)), "sixteen hours");
    assert_eq!(window(&hours(60, &[2, 9, 16])), None, "seventeen hours");
    assert!(hours(30, &(0..24).collect::<Vec<_>>()).why_not.unwrap().contains("most hours"));
    assert!(hours(13, &[9, 10, 11, 12, 13]).why_not.unwrap().contains("12 days"), "not for 14 days");
    assert!(hours(30, &[9]).why_not.unwrap().contains("logins of late"), "not 50 logins");
    // Monday to Friday.
    let weeks = |weeks: u64, hours: &[u64]| {
        let mut world = World::default();
        (0..weeks).for_each(|week| world.days(week * 7..week * 7 + 5, hours, LOGIN));
        world.fence(weeks * 7).hours
    };
    assert_eq!(window(&weeks(5, &[6, 7, 8, 9])), Some((vec![0, 1, 2, 3, 4], 5, 11)));
    assert_eq!(window(&weeks(4, &[6, 7, 8, 9])), Some((vec![], 5, 11)), "weekdays are known after four weeks");
    assert_eq!(window(&weeks(5, &[0, 1, 2, 3])), Some((vec![], 23, 5)), "a margin that reaches into another day");
}

#[test]
fn kinds_of_operation_that_it_does_not_do_are_not_in() {
    let mut world = World::default();
    world.days(0..30, &[9, 15], LOGIN);
    let tally = |kind, count| Tally { operations: [(kind, count)].into(), ..Tally::default() };
    let at = Timestamp(MONDAY + 30 * DAY);
    world.0.learn_tally(&tally(OperationKind::Search, 500), at);
    world.0.learn_tally(&tally(OperationKind::Compare, 3), at);
    world.0.learn_tally(&tally(OperationKind::Delete, 2), at);
    world.0.learn_tally(&tally(OperationKind::Other, 500), at);
    let part = world.fence(30).operations;
    assert_eq!(allowed(&part), [OperationKind::Bind, OperationKind::Search, OperationKind::Compare]);
    assert_eq!(why(&part), "Of late it was seen about 2 times only.");
    assert!(world.fence(30).filters.why_not.unwrap().contains("not looked at yet"));
    // Where reads are not counted, nobody knows that there are none.
    let settings = Settings::default();
    let blind = propose(&world.0, &settings, false, at).unwrap();
    assert!(allowed(&blind.operations).contains(&OperationKind::Extended));
    assert!(!allowed(&blind.operations).contains(&OperationKind::Modify));
}

#[test]
fn its_searches_are_in_by_shape_and_place() {
    let mut world = World::default();
    world.days(0..30, &[9, 15], LOGIN);
    world.days(0..30, &[9, 10, 11], SEARCH);
    let entry = ("uid=b,ou=staff,dc=x,dc=y", SearchScope::Base, "(objectClass=*)");
    world.days(0..30, &[12], Doing { search: Some(entry), ..LOGIN });
    let fence = world.fence(30);
    assert_eq!(allowed(&fence.filters), ["(&(objectclass=?)(uid=?))", "(objectclass=*)"]);
    let places: Vec<_> = allowed(&fence.places).into_iter().map(|place| (place.dn, place.below)).collect();
    assert_eq!(places, [("ou=people,dc=x,dc=y".to_owned(), true), ("ou=staff,dc=x,dc=y".to_owned(), true)]);
    assert_eq!(fence.filters.allowed[0].count, 90);
}

#[test]
fn searches_that_are_not_known_well_enough_are_no_fence() {
    let world = |kind, hours: &[u64]| {
        let mut world = World::default();
        world.days(0..30, &[9, 15], Doing { kind, ..LOGIN });
        world.days(0..10, hours, Doing { kind, ..SEARCH });
        world
    };
    assert!(world(AccountKind::Human, &[9, 10]).fence(30).filters.why_not.unwrap().contains("not looked at yet"));
    assert_eq!(world(AccountKind::Service, &[9, 10]).fence(30).filters.allowed.len(), 1, "twenty searches");
    assert!(world(AccountKind::Service, &[9]).fence(30).filters.why_not.unwrap().contains("10 of its searches"));
    assert_eq!(World::default().0.searches, None);

    // 95 % have to be of a kind that is known well; what was tried once is named, and not in.
    let mut few = world(AccountKind::Service, &[9, 10]);
    let odd = Doing { search: Some(("ou=people,dc=x,dc=y", SearchScope::Subtree, "(uid=*)")), ..LOGIN };
    few.days(20..21, &[9], odd);
    let filters = few.fence(30).filters;
    assert_eq!(allowed(&filters), ["(&(objectclass=?)(uid=?))"]);
    assert!(why(&filters).contains("once only"));
    few.days(21..22, &[9], odd);
    let filters = few.fence(30).filters;
    assert!(filters.allowed.is_empty() && filters.why_not.unwrap().contains("90 % of its searches"));

    // From the root on is everywhere; so is more than there is room for.
    let mut root = World::default();
    root.days(0..30, &[9, 15], LOGIN);
    root.days(0..30, &[9], Doing { search: Some(("", SearchScope::Subtree, "(uid=a)")), ..LOGIN });
    assert!(root.fence(30).places.why_not.unwrap().contains("from the root"));
    assert_eq!(root.fence(30).filters.allowed.len(), 1);
    let mut many = World::default();
    many.days(0..30, &[9, 15], LOGIN);
    for number in 0..40 {
        let filter = format!("(attribute{number}=a)");
        let search = Some(("ou=people,dc=x,dc=y", SearchScope::Subtree, filter.as_str()));
        many.days(0..10, &[9], Doing { search, ..LOGIN });
    }
    let fence = many.fence(20);
    assert!(fence.filters.allowed.is_empty() && fence.filters.why_not.unwrap().contains("% of its searches"));
    assert_eq!(fence.places.allowed.len(), 1);
}

#[test]
fn a_search_that_was_noticed_is_not_in_nor_is_one_from_a_machine_that_was() {
    let mut world = World::default();
    world.days(0..30, &[9, 15], LOGIN);
    world.days(0..30, &[9, 10], SEARCH);
    let hunt =
        Doing { search: Some(("ou=people,dc=x,dc=y", SearchScope::Subtree, "(servicePrincipalName=*)")), ..LOGIN };
    world.days(0..2, &[14], hunt);
    assert_eq!(world.fence(30).filters.left_out.len(), 1);
    world.days(5..6, &[9], Doing { signal: Some(("spn-enumeration", 70)), address: "10.0.0.2", ..hunt });
    // From its own machine, again and again: the shape stays marked, and is no reason to know nothing of the others.
    world.days(6..30, &[12], hunt);
    let filters = world.fence(30).filters;
    assert_eq!(allowed(&filters), ["(&(objectclass=?)(uid=?))"]);
    assert_eq!(why(&filters), "spn-enumeration was noticed with it 24 days ago.");
    // From the machine that was noticed, nothing is learned.
    let before = world.0.searches.clone();
    world.days(6..30, &[13], Doing { address: "10.0.0.2", ..SEARCH });
    assert_eq!(world.0.searches, before);
}

#[test]
fn searches_that_are_counted_with_the_next_summary_are_known_already() {
    let mut world = World::default();
    world.days(0..30, &[9, 15], LOGIN);
    world.days(0..30, &[10], SEARCH);
    world.0.operations = Default::default();
    assert!(allowed(&world.fence(30).operations).contains(&OperationKind::Search));
    world.0.shapes = Default::default();
    assert!(!allowed(&world.fence(30).operations).contains(&OperationKind::Search));
}
