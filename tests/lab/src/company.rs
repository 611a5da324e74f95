//! One made-up company, the same on every run and on every machine.
//!
//! The real OpenLDAP server, the embedded directory and the Okta simulator are all filled from it, so that a test may
//! name a person once and find the same person everywhere.

pub use crate::entry::Entry;
use crate::names::{GIVEN_NAMES, SURNAMES};

/// The suffix under which everything stands.
pub const BASE_DN: &str = "dc=example,dc=com";
/// How many people the company has.
pub const PEOPLE: usize = 200;

/// The people whom tests name. Their places in the company never change.
const FIXED: [(&str, &str, &str, Department); 5] = [
    ("alice", "Alice", "Archer", Department::Engineering),
    ("bob", "Bob", "Baker", Department::Sales),
    ("carol", "Carol", "Chandler", Department::Finance),
    ("dave", "Dave", "Draper", Department::Support),
    ("erin", "Erin", "Fletcher", Department::Operations),
];

/// A department, which is an organizational unit below `ou=people`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Department {
    /// `ou=engineering`, number 100.
    Engineering,
    /// `ou=sales`, number 200.
    Sales,
    /// `ou=finance`, number 300.
    Finance,
    /// `ou=support`, number 400.
    Support,
    /// `ou=operations`, number 500.
    Operations,
}

impl Department {
    /// All departments, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Engineering, Self::Sales, Self::Finance, Self::Support, Self::Operations];

    /// The value of `ou`.
    #[must_use]
    pub fn ou(self) -> &'static str {
        match self {
            Self::Engineering => "engineering",
            Self::Sales => "sales",
            Self::Finance => "finance",
            Self::Support => "support",
            Self::Operations => "operations",
        }
    }

    /// The value of `departmentNumber`.
    #[must_use]
    pub fn number(self) -> &'static str {
        match self {
            Self::Engineering => "100",
            Self::Sales => "200",
            Self::Finance => "300",
            Self::Support => "400",
            Self::Operations => "500",
        }
    }

    /// The `cn` of the group that holds exactly the people of this department.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Engineering => "engineers",
            Self::Sales => "sellers",
            Self::Finance => "accountants",
            Self::Support => "helpers",
            Self::Operations => "operators",
        }
    }

    /// The distinguished name of the organizational unit.
    #[must_use]
    pub fn dn(self) -> String {
        format!("ou={},ou=people,{BASE_DN}", self.ou())
    }

    fn title(self, nth: usize) -> &'static str {
        let titles = match self {
            Self::Engineering => ["Software Engineer", "Test Engineer", "Engineering Manager"],
            Self::Sales => ["Account Manager", "Sales Engineer", "Sales Director"],
            Self::Finance => ["Accountant", "Controller", "Treasurer"],
            Self::Support => ["Support Agent", "Support Engineer", "Support Lead"],
            Self::Operations => ["System Administrator", "Network Engineer", "Operations Lead"],
        };
        titles.into_iter().cycle().nth(nth % 3).unwrap_or("Employee")
    }
}

/// A person of the company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The value of `uid`, unique, ASCII.
    pub uid: String,
    /// The value of `givenName`.
    pub given_name: String,
    /// The value of `sn`.
    pub surname: String,
    /// The value of `mail`, which is also the login at Okta.
    pub mail: String,
    /// Where the person works.
    pub department: Department,
    /// The value of `title`.
    pub title: String,
    /// The value of `employeeNumber`.
    pub employee_number: String,
    /// The distinguished name.
    pub dn: String,
    /// The password in plain text; it is always `uid-secret`.
    pub password: String,
}

impl Person {
    /// The value of `cn`.
    #[must_use]
    pub fn common_name(&self) -> String {
        format!("{} {}", self.given_name, self.surname)
    }
}

/// An account of a program, which has no phone and no department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The value of `cn`.
    pub name: String,
    /// The distinguished name.
    pub dn: String,
    /// The password in plain text; it is always `name-secret`.
    pub password: String,
}

/// The company: its people, its programs and the directory made of them.
#[derive(Debug, Clone)]
pub struct Company {
    people: Vec<Person>,
    services: Vec<Service>,
    entries: Vec<Entry>,
}

impl Company {
    /// Makes the company. Two calls give equal companies.
    #[must_use]
    pub fn generate() -> Self {
        let people = make_people();
        let services: Vec<Service> = ["portcullis", "wiki", "backup"].into_iter().map(make_service).collect();
        let mut entries = containers();
        entries.extend(people.iter().map(person_entry));
        entries.extend(services.iter().map(service_entry));
        entries.extend(group_entries(&people));
        Self { people, services, entries }
    }

    /// All people; alice, bob, carol, dave and erin come first.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// The accounts of programs.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// All entries, each after the one above it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A person by `uid`.
    ///
    /// # Errors
    /// When nobody has this `uid`.
    pub fn person(&self, uid: &str) -> anyhow::Result<&Person> {
        let found = self.people.iter().find(|person| person.uid == uid);
        found.ok_or_else(|| anyhow::anyhow!("nobody in the sample company has the uid {uid:?}"))
    }

    /// A program's account by `cn`.
    ///
    /// # Errors
    /// When no program has this `cn`.
    pub fn service(&self, name: &str) -> anyhow::Result<&Service> {
        let found = self.services.iter().find(|service| service.name == name);
        found.ok_or_else(|| anyhow::anyhow!("no program in the sample company has the cn {name:?}"))
    }

    /// The directory as LDIF (RFC 2849), with `entryUUID`, for `slapadd`.
    #[must_use]
    pub fn to_ldif(&self) -> String {
        // Without a version line, which slapadd of OpenLDAP 2.5 takes for a broken entry.
        let mut text = String::new();
        for entry in &self.entries {
            entry.write_ldif(&mut text);
        }
        text
    }
}

/// The distinguished name of a group by its `cn`.
#[must_use]
pub fn group_dn(name: &str) -> String {
    format!("cn={name},ou=groups,{BASE_DN}")
}

fn make_people() -> Vec<Person> {
    let mut people = Vec::with_capacity(PEOPLE);
    for (uid, given, surname, department) in FIXED {
        people.push(make_person(people.len(), uid.to_owned(), given, surname, department));
    }
    let departments = Department::ALL.into_iter().cycle();
    // Each round over the given names meets the surnames shifted by one, so no full name comes twice.
    let names = (0..).flat_map(|round| {
        let shifted = move |nth: usize| SURNAMES.iter().cycle().nth((nth * 7 + round) % SURNAMES.len());
        GIVEN_NAMES.iter().enumerate().filter_map(move |(nth, given)| shifted(nth).map(|surname| (given, surname)))
    });
    for (((given_ascii, given), (surname_ascii, surname)), department) in names.zip(departments) {
        if people.len() == PEOPLE {
            break;
        }
        let uid = format!("{given_ascii}.{surname_ascii}");
        people.push(make_person(people.len(), uid, given, surname, department));
    }
    people
}

fn make_person(nth: usize, uid: String, given: &str, surname: &str, department: Department) -> Person {
    Person {
        mail: format!("{uid}@example.com"),
        title: department.title(nth / Department::ALL.len()).to_owned(),
        employee_number: (1001 + nth).to_string(),
        dn: format!("uid={uid},{}", department.dn()),
        password: format!("{uid}-secret"),
        given_name: given.to_owned(),
        surname: surname.to_owned(),
        department,
        uid,
    }
}

fn make_service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        dn: format!("cn={name},ou=services,{BASE_DN}"),
        password: format!("{name}-secret"),
    }
}

fn containers() -> Vec<Entry> {
    let root = vec![
        ("objectClass", texts(&["top", "dcObject", "organization"])),
        ("dc", texts(&["example"])),
        ("o", texts(&["Example Company"])),
    ];
    let unit = |name: &str, parent: &str| {
        let attributes = vec![("objectClass", texts(&["top", "organizationalUnit"])), ("ou", texts(&[name]))];
        Entry::new(format!("ou={name},{parent}"), attributes)
    };
    let mut entries = vec![Entry::new(BASE_DN.to_owned(), root)];
    entries.extend(["people", "groups", "services"].map(|name| unit(name, BASE_DN)));
    entries.extend(Department::ALL.map(|department| unit(department.ou(), &format!("ou=people,{BASE_DN}"))));
    entries
}

fn person_entry(person: &Person) -> Entry {
    let one = |value: &str| vec![value.to_owned()];
    let attributes = vec![
        ("objectClass", texts(&["top", "person", "organizationalPerson", "inetOrgPerson"])),
        ("uid", one(&person.uid)),
        ("cn", vec![person.common_name()]),
        ("sn", one(&person.surname)),
        ("givenName", one(&person.given_name)),
        ("mail", one(&person.mail)),
        ("departmentNumber", one(person.department.number())),
        ("title", one(&person.title)),
        ("employeeNumber", one(&person.employee_number)),
        ("userPassword", one(&person.password)),
    ];
    Entry::new(person.dn.clone(), attributes)
}

fn service_entry(service: &Service) -> Entry {
    let attributes = vec![
        ("objectClass", texts(&["top", "applicationProcess", "simpleSecurityObject"])),
        ("cn", vec![service.name.clone()]),
        ("userPassword", vec![service.password.clone()]),
    ];
    Entry::new(service.dn.clone(), attributes)
}

fn group_entries(people: &[Person]) -> Vec<Entry> {
    let dns = |keep: &dyn Fn(usize, &Person) -> bool| -> Vec<String> {
        let kept = people.iter().enumerate().filter(|(nth, person)| keep(*nth, person));
        kept.map(|(_, person)| person.dn.clone()).collect()
    };
    let mut groups: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for department in Department::ALL {
        let members = dns(&|_, person| person.department == department);
        groups.push((department.group(), "Everyone of one department", members));
    }
    let departments = Department::ALL.map(|department| group_dn(department.group())).to_vec();
    groups.push(("staff", "All departments", departments));
    groups.push(("everyone", "The whole company", vec![group_dn("staff")]));
    groups.push(("vpn-users", "May dial in", dns(&|nth, _| nth < 4 || nth % 3 == 0)));
    groups.push(("admins", "Privileged", dns(&|_, person| person.uid == "dave" || person.uid == "erin")));
    let entry = |(name, description, members): (&str, &str, Vec<String>)| {
        let attributes = vec![
            ("objectClass", texts(&["top", "groupOfNames"])),
            ("cn", texts(&[name])),
            ("description", texts(&[description])),
            ("member", members),
        ];
        Entry::new(group_dn(name), attributes)
    };
    groups.into_iter().map(entry).collect()
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_company_is_the_same_twice_and_has_no_doubles() {
        let company = Company::generate();
        assert_eq!(company.to_ldif(), Company::generate().to_ldif());
        assert_eq!(company.people().len(), PEOPLE);
        let unique = |of: fn(&Entry) -> &String| company.entries().iter().map(of).collect::<HashSet<_>>().len();
        assert_eq!(unique(|entry| &entry.dn), company.entries().len());
        assert_eq!(unique(|entry| &entry.uuid), company.entries().len());
        assert!(company.people().iter().all(|person| person.uid.is_ascii()));
    }

    #[test]
    fn the_fixed_people_are_where_tests_expect_them() {
        let company = Company::generate();
        let alice = company.person("alice").unwrap();
        assert_eq!(alice.dn, "uid=alice,ou=engineering,ou=people,dc=example,dc=com");
        assert_eq!(alice.password, "alice-secret");
        assert_eq!(company.service("wiki").unwrap().password, "wiki-secret");
        assert!(company.person("mallory").is_err());
    }

    #[test]
    fn groups_are_nested_two_deep() {
        let company = Company::generate();
        let members = |name: &str| {
            let dn = group_dn(name);
            company.entries().iter().find(|entry| entry.dn == dn).unwrap().values("member").to_vec()
        };
        assert_eq!(members("everyone"), [group_dn("staff")]);
        assert!(members("staff").contains(&group_dn("engineers")));
        assert!(members("engineers").contains(&company.person("alice").unwrap().dn));
        assert!(!members("engineers").contains(&company.person("bob").unwrap().dn));
    }
}
