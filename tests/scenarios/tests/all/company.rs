//! A company of so many people, and what they do on an ordinary day.
//!
//! People sit in departments, have a machine each, and some a second one at home behind a VPN. Applications log them in from
//! their own servers, which are shared; workstations from where they stand. They come late, mistype, go on holiday, travel, get
//! new machines, and are in the cloud in the morning. Applications look people up all day, people look each other up in an address
//! book, and two administrators use a tool of theirs.

use std::net::{IpAddr, Ipv4Addr};

use portcullis_core::directory::DirectoryAccount;
use portcullis_core::{Account, AccountFacts, AccountId, AccountKind, Group};

use crate::scenario::{Act, Doing, SearchText, Who};

pub const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;

/// Where the company is, and where it sends people.
pub const HOME: (f64, f64) = (52.52, 13.41);
const TRIPS: [((f64, f64), &str); 4] =
    [((48.14, 11.58), "Munich"), ((48.86, 2.35), "Paris"), ((51.51, -0.13), "London"), ((59.33, 18.07), "Stockholm")];
const DEPARTMENTS: [(&str, &str); 6] = [
    ("sales", "crm"),
    ("engineering", "git"),
    ("finance", "erp"),
    ("support", "tickets"),
    ("operations", "monitoring"),
    ("people", "payroll"),
];
/// Programs: what they run on, and how many minutes apart they log in.
pub const SERVICES: [(&str, &str, u64); 6] = [
    ("crm", "crm", 30),
    ("git", "git", 30),
    ("erp", "erp", 60),
    ("tickets", "tickets", 30),
    ("monitoring", "monitoring", 15),
    ("backup", "backup", 1_440),
];

/// Whose work it is to look after accounts.
const ADMINISTRATORS: [u32; 2] = [4, 10];

/// Chance that is the same each time: SplitMix64.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// So many times in a thousand.
    fn happens(&mut self, per_thousand: u64) -> bool {
        self.below(1_000) < per_thousand
    }

    /// Around a moment, rarely further away than `spread`: the sum of three is nearly a bell.
    fn around(&mut self, moment: u64, spread: u64) -> u64 {
        let drawn: u64 = (0..3).map(|_| self.below(2 * spread / 3)).sum();
        (moment + drawn).saturating_sub(spread)
    }
}

struct Person {
    number: u32,
    department: usize,
    machine: u32,
    has_home: bool,
    /// When the day begins, in milliseconds.
    begins: u64,
    trip: Option<(usize, u32)>,
    away_until: u32,
}

/// Everybody.
pub struct Company {
    people: Vec<Person>,
    chance: Chance,
    /// What is searched for is drawn apart, so that it changes nothing else.
    searching: Chance,
    machines: u32,
}

pub fn login(number: u32) -> String {
    format!("p{number:03}")
}

pub fn mail(number: u32) -> String {
    format!("{}@example.com", login(number))
}

/// The server of an application.
fn server(application: &str) -> IpAddr {
    let place = SERVICES.iter().position(|(_, known, _)| *known == application);
    let number = match application {
        "mail" => 10,
        "wiki" => 11,
        _ => 20 + place.unwrap_or(0),
    };
    IpAddr::V4(Ipv4Addr::new(10, 2, 0, u8::try_from(number).unwrap()))
}

fn machine(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a01_0000 + number))
}

fn home(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a08_0000 + number))
}

impl Company {
    pub fn new(people: u32, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let people = (0..people)
            .map(|number| Person {
                number,
                department: number as usize % DEPARTMENTS.len(),
                machine: number,
                has_home: chance.happens(300),
                begins: chance.around(8 * HOUR + 30 * MINUTE, 75 * MINUTE),
                trip: None,
                away_until: 0,
            })
            .collect::<Vec<_>>();
        let machines = u32::try_from(people.len()).unwrap();
        Self { people, chance, searching: Chance::new(!seed), machines }
    }

    /// The machine that somebody has now.
    pub fn machine_of(&self, number: u32) -> IpAddr {
        machine(self.people[number as usize].machine)
    }

    /// What happens on a day, in its order; the day is 0 on the first Monday.
    pub fn day(&mut self, day: u32) -> Vec<Doing> {
        let mut doings = self.programs(day);
        self.look_ups(day, &mut doings);
        for place in 0..self.people.len() {
            self.person(place, day, &mut doings);
        }
        doings.sort_by_key(|doing| doing.at);
        doings
    }

    fn programs(&mut self, day: u32) -> Vec<Doing> {
        let mut doings = Vec::new();
        let begin = u64::from(day) * DAY;
        for (name, application, minutes) in SERVICES {
            let mut at = if name == "backup" { 2 * HOUR } else { 0 };
            while at < DAY {
                let doing = |at, act| Doing {
                    at: begin + at,
                    who: Who::Service(name.to_owned()),
                    from: server(application),
                    application: application.to_owned(),
                    act,
                };
                doings.push(doing(at + self.chance.below(2 * SECOND), Act::Bind { wrong: None }));
                // It reads everything, each night, with the same few attributes.
                let everything = SearchText {
                    base: "dc=example,dc=com".to_owned(),
                    filter: "(objectClass=*)".to_owned(),
                    attributes: vec!["*".to_owned()],
                    entries: 1_000,
                };
                if name == "backup" {
                    doings.push(doing(at + 3 * SECOND, Act::Search(everything)));
                }
                at += minutes * MINUTE;
            }
        }
        doings
    }

    /// Who somebody is and what groups he is in, at each login and each page that asks.
    fn look_ups(&mut self, day: u32, doings: &mut Vec<Doing>) {
        let people = self.people.len() as u64;
        let chance = &mut self.searching;
        for (name, application, _) in SERVICES.into_iter().filter(|(name, ..)| *name != "backup") {
            for hour in 0..24 {
                let is_work = day % 7 < 5 && (7..19).contains(&hour);
                let pages = if is_work { 5 + chance.below(15) } else { chance.below(3) };
                for _ in 0..pages {
                    let who = login(u32::try_from(chance.below(people)).unwrap());
                    let user = format!("(&(objectClass=person)(uid={who}))");
                    let groups = format!("(&(objectClass=groupOfNames)(member=uid={who},dc=example,dc=com))");
                    let act = Act::LookUp(vec![
                        search(&user, &["uid", "cn", "mail", "department"], 1),
                        search(&groups, &["cn"], 4),
                    ]);
                    let at = u64::from(day) * DAY + hour * HOUR + chance.below(HOUR);
                    let who = Who::Service(name.to_owned());
                    doings.push(Doing { at, who, from: server(application), application: application.to_owned(), act });
                }
            }
        }
    }

    fn person(&mut self, place: usize, day: u32, doings: &mut Vec<Doing>) {
        let chance = &mut self.chance;
        let person = &mut self.people[place];
        let (number, begin) = (person.number, u64::from(day) * DAY);
        let doing = |at: u64, from, application: &str| Doing {
            at: begin + at,
            who: Who::Person(number),
            from,
            application: application.to_owned(),
            act: Act::Bind { wrong: None },
        };
        let is_weekend = day % 7 >= 5;
        if is_weekend {
            if chance.happens(20) {
                doings.push(doing(chance.around(14 * HOUR, 5 * HOUR), server("mail"), "mail"));
            }
            return;
        }
        if day < person.away_until {
            return;
        }
        if chance.happens(8) {
            person.away_until = day + 5 + u32::try_from(chance.below(10)).unwrap();
            return;
        }
        // Machines last four years.
        if chance.happens(1) {
            person.machine = self.machines;
            self.machines += 1;
        }
        if person.trip.is_none_or(|(_, until)| day >= until) {
            person.trip = None;
            if day.is_multiple_of(7) && chance.happens(10) {
                let where_to = usize::try_from(chance.below(TRIPS.len() as u64)).unwrap();
                person.trip = Some((where_to, day + 4));
            }
        }
        let arrives = chance.around(person.begins, 40 * MINUTE);
        let leaves = arrives + 8 * HOUR + chance.below(HOUR);
        let own = if person.trip.is_some() { home(number) } else { machine(person.machine) };
        let (_, application) = DEPARTMENTS[person.department];
        if person.trip.is_none() {
            let lunch = chance.around(13 * HOUR, 45 * MINUTE);
            for at in [arrives, lunch] {
                mistype(chance, doings, doing(at, own, "workstations"));
            }
        }
        mistype(chance, doings, doing(arrives + 5 * MINUTE, server("mail"), "mail"));
        for _ in 0..=chance.below(2) {
            doings.push(doing(arrives + chance.below(leaves - arrives), server("wiki"), "wiki"));
        }
        for _ in 0..=chance.below(2) {
            let at = arrives + 10 * MINUTE + chance.below(leaves - arrives);
            mistype(chance, doings, doing(at, server(application), application));
        }
        if person.has_home && chance.happens(250) {
            doings.push(doing(leaves + chance.below(2 * HOUR), home(number), "vpn"));
        }
        if person.trip.is_none() {
            address_book(
                &mut self.searching,
                doings,
                &doing(arrives + 15 * MINUTE, own, "address-book"),
                leaves - arrives,
            );
            if ADMINISTRATORS.contains(&number) {
                directory_tool(&mut self.searching, doings, doing(arrives + 30 * MINUTE, own, "directory-tool"));
            }
        }
        let (position, town) = person.trip.map_or((HOME, "Berlin"), |(trip, _)| TRIPS[trip]);
        for part in 0..2 {
            // Half a kilometre this way or that: addresses are placed roughly.
            let off = |chance: &mut Chance| (chance.below(100) as f64 - 50.0) / 1_000.0;
            let position = (position.0 + off(chance), position.1 + off(chance));
            let act = Act::SignIn { position, place: town.to_owned() };
            let at = arrives + 2 * MINUTE + part * chance.below(leaves - arrives);
            let address = if person.trip.is_some() { 0xc633_6400 } else { 0xc000_0200 };
            let from = IpAddr::V4(Ipv4Addr::from(address + (person.trip.map_or(0, |(trip, _)| trip) as u32) + 1));
            doings.push(Doing { act, from, ..doing(at, own, "portal") });
        }
    }
}

fn search(filter: &str, attributes: &[&str], entries: u64) -> SearchText {
    SearchText {
        base: "dc=example,dc=com".to_owned(),
        filter: filter.to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        entries,
    }
}

/// Somebody looks for others now and then, and each letter that is typed is a search.
fn address_book(chance: &mut Chance, doings: &mut Vec<Doing>, first: &Doing, time: u64) {
    for _ in 0..chance.below(4) {
        let bind = Doing { at: first.at + chance.below(time), ..first.clone() };
        let typed = format!("p{}", chance.below(100));
        let texts = (1..=typed.len()).map(|length| {
            let filter = format!("(|(cn={0}*)(mail={0}*)(sn={0}*))", &typed[..length]);
            search(&filter, &["cn", "mail", "telephoneNumber", "department"], 20)
        });
        let act = Act::LookUp(texts.collect());
        doings.push(Doing { at: bind.at + 2 * SECOND, act, ..bind.clone() });
        doings.push(bind);
    }
}

/// Reports on accounts and machines, one account as a whole, and sometimes something that was never asked before.
fn directory_tool(chance: &mut Chance, doings: &mut Vec<Doing>, bind: Doing) {
    let person = format!("(&(objectClass=person)(uid={}))", login(u32::try_from(chance.below(100)).unwrap()));
    let machine = ["cn", "operatingSystem", "lastLogonTimestamp", "whenCreated", "description", "managedBy"];
    let disabled = "(&(objectClass=person)(userAccountControl:1.2.840.113556.1.4.803:=2))";
    let mut texts = vec![
        search("(objectClass=organizationalUnit)", &["ou", "description"], 8),
        search("(objectClass=computer)", &machine, 300),
        search(disabled, &["uid", "whenChanged"], 12),
        search("(&(objectClass=person)(lockoutTime>=1))", &["uid", "lockoutTime"], 2),
        search("(&(objectClass=person)(lastLogonTimestamp<=133000000000000000))", &["uid", "lastLogonTimestamp"], 9),
        search(&person, &["*"], 1),
    ];
    if chance.happens(200) {
        let odd = format!("odd{}", chance.below(20));
        texts.push(search("(&(objectClass=person)(department=sales))", &["uid", "title", "manager", &odd], 50));
    }
    doings.push(Doing { at: bind.at + 5 * SECOND, act: Act::LookUp(texts), ..bind.clone() });
    doings.push(bind);
}

/// Somebody logs in, and sometimes not at the first try.
fn mistype(chance: &mut Chance, doings: &mut Vec<Doing>, doing: Doing) {
    if chance.happens(30) {
        for wrong in 0..=chance.below(2) {
            let act = Act::Bind { wrong: Some(chance.number()) };
            doings.push(Doing { at: doing.at - (3 - wrong) * 4 * SECOND, act, ..doing.clone() });
        }
    }
    doings.push(doing);
}

/// What the directory says of somebody; none for a name that nobody has.
pub fn account(who: &Who, people: u32) -> Option<DirectoryAccount> {
    let (id, login, dn, mail, kind, groups) = match who {
        Who::Person(number) if *number < people => {
            let (department, _) = DEPARTMENTS[*number as usize % DEPARTMENTS.len()];
            let dn = format!("uid={},ou={department},dc=example,dc=com", login(*number));
            (format!("id-{number}"), login(*number), dn, Some(mail(*number)), AccountKind::Human, vec![department])
        }
        Who::Service(name) if SERVICES.iter().any(|(known, ..)| known == name) => {
            let dn = format!("cn={name},ou=services,dc=example,dc=com");
            (format!("id-{name}"), name.clone(), dn, None, AccountKind::Service, Vec::new())
        }
        _ => return None,
    };
    let group = |name: &str| Group { dn: format!("cn={name},ou=groups,dc=example,dc=com"), name: name.to_owned() };
    let account = Account {
        id: AccountId::new(id),
        login,
        dn: Some(dn),
        mail,
        kind,
        privileged: false,
        cloud_enabled: None,
        risk: 0,
    };
    let facts = AccountFacts { groups: groups.into_iter().map(group).collect(), ..AccountFacts::default() };
    Some(DirectoryAccount { account, facts: facts.into() })
}
