use std::net::{IpAddr, Ipv6Addr};

use portcullis_core::event::{AccessEvent, Decision};
use portcullis_core::gate::{PasswordTag, Tried};
use portcullis_core::*;
use proptest::prelude::*;

use super::*;
use crate::seen::{Place, Seen};

pub(super) const BEGIN: u64 = 1_793_610_000_000;

/// A login of alice's.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) minute: u64,
    pub(super) address: u128,
    pub(super) application: u32,
    pub(super) good: bool,
    pub(super) tag: u64,
    pub(super) place: Option<(i8, i8)>,
}

pub(super) fn event(login: &Login) -> AccessEvent {
    let address = IpAddr::V6(Ipv6Addr::from_bits(login.address));
    AccessEvent {
        access: Access {
            id: EventId(uuid::Uuid::from_u128(1)),
            at: Timestamp(BEGIN + login.minute * 60_000),
            source: "ldap".to_owned(),
            account: Some(Account {
                id: AccountId::new("alice-id"),
                login: "alice".repeat(1_000),
                dn: None,
                mail: None,
                kind: AccountKind::Human,
                privileged: false,
                cloud_enabled: None,
                risk: 0,
            }),
            endpoint: Some(Endpoint { address, name: None, site: None, shared: false, associated: false, risk: 0 }),
            protection: None,
            target: Target { application: format!("{:0>1000}", login.application), entry: None },
            operation: Operation::Bind(BindMethod::Simple),
            outcome: if login.good { Outcome::Success } else { Outcome::Failure },
            signals: Vec::new(),
        },
        directory_result: None,
        decision: if login.good { Decision::Allow } else { Decision::Refused },
        decided_by: None,
        reason: String::new(),
        rulings: Vec::new(),
        challenges: Vec::new(),
        foreign: None,
    }
}

pub(super) fn learn(profiles: &mut (AccountProfile, EndpointProfile, ApplicationProfile), login: &Login) {
    let event = event(login);
    let place = login.place.map(|(latitude, longitude)| Place {
        latitude: f32::from(latitude) / 2.0,
        longitude: f32::from(longitude),
        uncertainty_km: 10.0,
    });
    let seen = Seen { place, ..Seen::of(&event.access, None, None, Tried::Password(PasswordTag(login.tag))) };
    profiles.0.learn(&seen, &event, login.good);
    profiles.1.learn(&seen, &[], login.good);
    profiles.2.learn(&seen, login.good);
}

pub(super) fn of(logins: &[Login]) -> (AccountProfile, EndpointProfile, ApplicationProfile) {
    let mut profiles = Default::default();
    logins.iter().for_each(|login| learn(&mut profiles, login));
    profiles
}

pub(super) fn logins() -> impl Strategy<Value = Vec<Login>> {
    let place = prop::option::of((-80i8..80, -120i8..120));
    let login = (0u64..20_000, 0u128..50, 0u32..40, any::<bool>(), 0u64..9, place).prop_map(
        |(minute, address, application, good, tag, place)| Login { minute, address, application, good, tag, place },
    );
    prop::collection::vec(login, 0..60).prop_map(|mut logins| {
        logins.sort_by_key(|login| login.minute);
        logins
    })
}

/// What detections look at, with as many digits as matter.
fn gist(profile: &AccountProfile, at: Timestamp) -> String {
    let round = |number: f32| (number * 100.0).round() / 100.0;
    let hours: Vec<_> = (0..24).map(|hour| round(profile.hours.weight(hour))).collect();
    let (mean, deviation) = profile.volume.usual(at);
    let mut applications: Vec<_> = profile.applications.iter().collect();
    applications.sort_by(|one, other| one.what.cmp(&other.what));
    let mut endpoints: Vec<_> = profile.endpoints.iter().collect();
    endpoints.sort_by_key(|one| one.what);
    let failures = profile.failures.as_ref().map_or(0, |failures| failures.count(at, 60));
    format!(
        "{} {} {} {hours:?} {applications:?} {endpoints:?} {failures} {} {} {} {:?}",
        profile.first,
        profile.last,
        profile.logins,
        round(mean),
        round(deviation),
        round(profile.timing.irregularity()),
        profile.latest_place,
    )
}

proptest! {
    #[test]
    fn merging_has_no_order(one in logins(), other in logins()) {
        let at = Timestamp(BEGIN + 20_000 * 60_000);
        let (one, other) = (of(&one), of(&other));
        let (mut here, mut there) = (one.clone(), other.clone());
        here.0.merge(&other.0);
        there.0.merge(&one.0);
        prop_assert_eq!(gist(&here.0, at), gist(&there.0, at));
        here.1.merge(&other.1);
        there.1.merge(&one.1);
        prop_assert_eq!(here.1.recent, there.1.recent);
        prop_assert_eq!(here.1.failed, there.1.failed);
        prop_assert_eq!(here.1.applications, there.1.applications);
        prop_assert_eq!((here.1.accesses, here.1.first, here.1.last), (there.1.accesses, there.1.first, there.1.last));
        here.2.merge(&other.2);
        there.2.merge(&one.2);
        prop_assert_eq!(here.2.accounts, there.2.accounts);
        prop_assert!((here.2.hours.total() - there.2.hours.total()).abs() < 0.01);
    }

    #[test]
    fn what_two_gateways_learn_is_what_one_would_have(all in logins(), chosen in any::<u64>()) {
        let turn = |number: usize| chosen >> (number % 64) & 1 == 1;
        let part = |which: bool| -> Vec<_> {
            all.iter().enumerate().filter(|(number, _)| turn(*number) == which).map(|(_, login)| login.clone()).collect()
        };
        let (whole, mut one, other) = (of(&all).0, of(&part(true)).0, of(&part(false)).0);
        one.merge(&other);
        prop_assert_eq!((one.first, one.last, one.logins), (whole.first, whole.last, whole.logins));
        for hour in 0..24 {
            prop_assert!((one.hours.weight(hour) - whole.hours.weight(hour)).abs() < 0.05);
        }
        let counts = |profile: &AccountProfile| {
            let mut counts: Vec<_> = profile.applications.iter().map(|habit| (habit.what.clone(), habit.count)).collect();
            counts.sort();
            counts
        };
        if of(&all).0.applications.len() < 24 {
            prop_assert_eq!(counts(&one), counts(&whole));
        }
    }

    #[test]
    fn a_profile_comes_back_as_it_was(all in logins()) {
        let (account, endpoint, application) = of(&all);
        let stored = AccountProfile { tried: Default::default(), rhythm: Default::default(), ..account.clone() };
        prop_assert_eq!(AccountProfile::decode(&account.encode()), Some(stored));
        let stored = EndpointProfile { sprayed: Default::default(), ..endpoint.clone() };
        prop_assert_eq!(EndpointProfile::decode(&endpoint.encode()), Some(stored));
        prop_assert_eq!(ApplicationProfile::decode(&application.encode()), Some(application));
    }

    #[test]
    fn octets_that_are_no_profile_are_refused_and_not_believed(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        // Some are one by chance; none may make it panic.
        let _ = AccountProfile::decode(&octets);
        let _ = EndpointProfile::decode(&octets);
        prop_assert!(octets.first().is_some_and(|version| (1..=VERSION).contains(version)) || ApplicationProfile::decode(&octets).is_none());
    }
}

#[test]
fn no_number_of_endpoints_makes_a_profile_grow() {
    let mut profiles = Default::default();
    let usual = Login { minute: 0, address: 7, application: 1, good: true, tag: 0, place: None };
    for day in 0..30 {
        learn(&mut profiles, &Login { minute: day * 1_440, ..usual.clone() });
    }
    for number in 0..100_000_u64 {
        let hostile = Login {
            minute: 50_000 + number / 10,
            address: u128::from(number) << 64,
            application: u32::try_from(number).unwrap(),
            good: number % 2 == 0,
            tag: number,
            place: Some(((number % 160) as i8, (number % 240) as i8)),
        };
        learn(&mut profiles, &hostile);
    }
    let (mut account, endpoint, application) = profiles;
    search_in_thousands_of_ways(&mut account);
    for number in 0..30 {
        let at = Timestamp(BEGIN + 60_000 * 60_000);
        let (name, reason) = (format!("service-account-misused-{number}"), "x".repeat(1_000));
        let origin = risk::FactorOrigin::Signal;
        let event = Some(EventId(uuid::Uuid::from_u128(number)));
        let found = crate::risk::Finding { name: &name, origin, reason: &reason, weight: 50, at, event };
        account.risk.add(found, std::time::Duration::from_secs(86_400));
        account.risk.put_out(&name, "administrator");
    }
    for octets in [account.encode().len(), endpoint.encode().len(), application.encode().len()] {
        assert!(octets <= MOST_BYTES, "{octets} octets");
    }
    let address = IpAddr::V6(Ipv6Addr::from_bits(7));
    assert_eq!(account.endpoints.get(&address).map(|habit| habit.count), Some(30), "what is usual is not forgotten");
}

/// Each with a filter and a base that are as long as any that are kept, and a signal.
fn search_in_thousands_of_ways(account: &mut AccountProfile) {
    for number in 0..10_000_u64 {
        let login =
            Login { minute: 60_000, address: u128::from(number), application: 1, good: true, tag: 0, place: None };
        let mut event = event(&login);
        event.access.account.as_mut().unwrap().kind = AccountKind::Service;
        event.access.operation = Operation::Search(Some(Search {
            base: format!("ou={number:0>93}"),
            scope: SearchScope::Subtree,
            filter: format!("(a{number:0>123}=x)"),
            attributes: Vec::new(),
        }));
        if number % 3 == 0 {
            event.access.signals = vec![Signal { name: format!("signal {number}"), score: 60, reason: String::new() }];
        }
        account.learn(&Seen::of(&event.access, None, None, Tried::Nothing), &event, true);
    }
    let searches = account.searches.as_ref().unwrap();
    assert!(searches.filters.len() == 6 && searches.places.len() == 6, "{searches:?}");
}

#[test]
fn what_was_stored_before_searches_were_kept_is_still_read() {
    let account = AccountProfile {
        tried: Default::default(),
        rhythm: Default::default(),
        ..of(&[Login { minute: 1, address: 7, application: 1, good: true, tag: 0, place: None }]).0
    };
    let mut octets = account.encode();
    octets[0] = 1;
    octets.truncate(octets.len() - 2);
    assert_eq!(AccountProfile::decode(&octets), Some(account));
    assert_eq!(AccountProfile::decode(&[3, 0, 0]), None, "nor is what comes later believed");
}

#[test]
fn what_was_learned_while_the_clock_was_ahead_silences_nothing_afterwards() {
    const YEAR: u64 = 525_600;
    let login =
        |minute: u64, good: bool, tag: u64| Login { minute, address: 7, application: 1, good, tag, place: None };
    let ahead = [login(0, true, 0), login(YEAR, true, 0), login(YEAR, false, 1)];
    let now = Timestamp(BEGIN + 60 * 60_000);
    let guessed = |mut profiles: (AccountProfile, EndpointProfile, ApplicationProfile)| {
        (0..10).for_each(|tag| learn(&mut profiles, &login(60, false, 100 + tag)));
        learn(&mut profiles, &login(60, true, 0));
        let (account, endpoint, application) = profiles;
        let failures = |window: &Option<Box<window::Window>>| window.as_ref().map_or(0, |known| known.count(now, 10));
        (
            failures(&account.failures),
            failures(&endpoint.failures),
            failures(&application.failures),
            account.volume.on(now),
            account.last,
        )
    };
    let mut profiles = of(&ahead);
    let silent = guessed(profiles.clone());
    assert_eq!((silent.0, silent.3), (0, 0), "nothing is counted for a year");
    profiles.0.forget_future(now);
    profiles.1.forget_future(now);
    profiles.2.forget_future(now);
    assert_eq!(guessed(profiles), (10, 10, 10, 1, window::seconds(now)));
    // Where it was not, nothing is other than before.
    let mut in_time = of(&[login(0, true, 0), login(59, false, 1)]);
    let before = in_time.clone();
    in_time.0.forget_future(now);
    in_time.1.forget_future(now);
    in_time.2.forget_future(now);
    assert_eq!(in_time, before);
}

#[test]
fn a_hostile_machine_s_profile_does_not_grow_either() {
    let mut endpoint = EndpointProfile::default();
    for number in 0..100_000_u64 {
        let login = Login { minute: number / 100, address: 1, application: 1, good: false, tag: number, place: None };
        let mut event = event(&login);
        event.access.account.as_mut().unwrap().id = AccountId::new(format!("name:{number}"));
        event.access.operation = if number % 50 == 0 {
            Operation::Search(Some(Search {
                base: String::new(),
                scope: SearchScope::Subtree,
                filter: format!("(a{number}=*)"),
                attributes: (0..100).map(|attribute| format!("a{number}-{attribute}")).collect(),
            }))
        } else {
            Operation::Bind(BindMethod::Simple)
        };
        let seen = Seen::of(&event.access, None, None, Tried::Password(PasswordTag(number)));
        endpoint.learn(&seen, &[], number % 50 == 0);
    }
    assert!(endpoint.encode().len() <= MOST_BYTES, "{}", endpoint.encode().len());
    assert!(endpoint.sprayed.len() <= 256);
}
