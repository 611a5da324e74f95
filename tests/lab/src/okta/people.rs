//! The users of the simulated organization and their factors, in the shapes of Okta's API.

use serde_json::{Value, json};

use super::codes::{CodeFactor, Codes};
use super::push::{Behaviour, NumberChallenge};
use crate::company::{Company, Person};

/// Users with something special, by login. All others are active and have one phone with Okta Verify, which is a push
/// factor and a code factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// Has two phones, both active.
    pub two_devices: String,
    /// Has begun to set up a phone and has not finished.
    pub pending_activation: String,
    /// Has an active phone but the account is suspended.
    pub suspended: String,
    /// Exists and has no factors.
    pub no_factors: String,
    /// Has a phone and FastPass (`signed_nonce`), which is listed but cannot be verified through the API.
    pub fast_pass: String,
    /// Works for the company and does not exist at Okta.
    pub absent: String,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) login: String,
    pub(super) status: &'static str,
    pub(super) factors: Vec<Factor>,
    pub(super) behaviour: Behaviour,
    pub(super) number_challenge: NumberChallenge,
    pub(super) pushes: usize,
    pub(super) codes: Codes,
    /// How often all sessions were ended.
    pub(super) sessions_ended: usize,
    given_name: String,
    surname: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Push,
    Totp,
    Google,
    Sms,
    Call,
    Email,
    FastPass,
}

pub(super) struct Factor {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) active: bool,
    /// What the phone is called.
    pub(super) device: String,
}

const STATUS_ACTIVE: &str = "ACTIVE";

/// Enrols the company.
pub(super) fn enrol(company: &Company) -> (Vec<User>, Cast) {
    let login = |nth: usize| company.people().get(nth).map(|person| person.mail.clone()).unwrap_or_default();
    let cast = Cast {
        absent: login(4),
        two_devices: login(5),
        pending_activation: login(6),
        suspended: login(7),
        no_factors: login(8),
        fast_pass: login(9),
    };
    let people = company.people().iter().enumerate().filter(|(_, person)| person.mail != cast.absent);
    let users = people.map(|(nth, person)| user(nth, person, &cast)).collect();
    (users, cast)
}

fn user(nth: usize, person: &Person, cast: &Cast) -> User {
    let factor = |kind, device: &str, active| {
        let number = if device.ends_with("tablet") { 2 } else { 1 };
        Factor { id: format!("{}lab{nth:05}DEVICE00{number}", prefix(kind)), kind, active, device: device.to_owned() }
    };
    let phone = format!("{}'s phone", person.given_name);
    let tablet = format!("{}'s tablet", person.given_name);
    let mut factors = vec![factor(Kind::Totp, &phone, true), factor(Kind::Push, &phone, true)];
    if person.mail == cast.two_devices {
        factors.push(factor(Kind::Push, &tablet, true));
    } else if person.mail == cast.pending_activation {
        factors = vec![factor(Kind::Push, &phone, false)];
    } else if person.mail == cast.no_factors {
        factors.clear();
    } else if person.mail == cast.fast_pass {
        factors.insert(0, factor(Kind::FastPass, &phone, true));
    }
    User {
        id: format!("00ulab{nth:05}EXAMPLE00"),
        login: person.mail.clone(),
        status: if person.mail == cast.suspended { "SUSPENDED" } else { STATUS_ACTIVE },
        factors,
        behaviour: Behaviour::Wait,
        number_challenge: NumberChallenge::OnRequest,
        pushes: 0,
        codes: Codes::default(),
        sessions_ended: 0,
        given_name: person.given_name.clone(),
        surname: person.surname.clone(),
    }
}

/// What ids of such factors begin with. Okta's are not fixed, and nobody may rely on them.
fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Push => "opf",
        Kind::Totp => "ost",
        Kind::Google => "ufs",
        Kind::Sms => "mbl",
        Kind::Call => "clf",
        Kind::Email => "emf",
        Kind::FastPass => "pfd",
    }
}

impl User {
    /// Enrols one more factor, behind the others; gives its id. A factor of the kind that is there already stays.
    pub(super) fn add_factor(&mut self, factor: CodeFactor) -> String {
        let kind = Kind::from(factor);
        if let Some(there) = self.factors.iter().find(|factor| factor.kind == kind) {
            return there.id.clone();
        }
        let number = self.id.trim_start_matches("00ulab").get(..5).unwrap_or("00000");
        let id = format!("{}lab{number}DEVICE001", prefix(kind));
        self.factors.push(Factor { id: id.clone(), kind, active: true, device: String::new() });
        id
    }

    /// The number of the person's phone. One of Okta's own examples writes them with hyphens, too.
    pub(super) fn phone(&self) -> String {
        let digits: String = self.id.chars().filter(char::is_ascii_digit).take(7).collect();
        format!("+1-555-{digits}")
    }

    pub(super) fn is_active(&self) -> bool {
        self.status == STATUS_ACTIVE
    }

    /// Whether the text of a URL names this user: id, login, or the login's part before the `@`.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let short = self.login.split_once('@').map_or(self.login.as_str(), |(short, _)| short);
        self.id == name || self.login.eq_ignore_ascii_case(name) || short.eq_ignore_ascii_case(name)
    }

    pub(super) fn json(&self, base: &str) -> Value {
        json!({
            "id": self.id,
            "status": self.status,
            "created": "2024-02-01T09:00:00.000Z",
            "activated": "2024-02-01T09:00:05.000Z",
            "statusChanged": "2024-02-01T09:00:05.000Z",
            "lastLogin": null,
            "lastUpdated": "2026-10-02T11:20:00.000Z",
            "passwordChanged": null,
            "type": { "id": "oty1exampleTYPE00001" },
            "profile": {
                "login": self.login,
                "email": self.login,
                "firstName": self.given_name,
                "lastName": self.surname,
                "mobilePhone": null,
                "secondEmail": null,
                "labFutureAttribute": ["nobody knows this yet"]
            },
            "credentials": { "provider": { "type": "OKTA", "name": "OKTA" } },
            "labFutureProperty": { "nested": [1, null, true] },
            "_links": { "self": { "href": format!("{base}/api/v1/users/{}", self.id) } }
        })
    }

    pub(super) fn factor_json(&self, factor: &Factor, base: &str) -> Value {
        let href = format!("{base}/api/v1/users/{}/factors/{}", self.id, factor.id);
        let mut body = json!({
            "id": factor.id,
            "factorType": match factor.kind {
                Kind::Push => "push",
                Kind::Totp | Kind::Google => "token:software:totp",
                Kind::Sms => "sms",
                Kind::Call => "call",
                Kind::Email => "email",
                Kind::FastPass => "signed_nonce",
            },
            "provider": if factor.kind == Kind::Google { "GOOGLE" } else { "OKTA" },
            "vendorName": if factor.kind == Kind::Google { "GOOGLE" } else { "OKTA" },
            "status": if factor.active { STATUS_ACTIVE } else { "PENDING_ACTIVATION" },
            "created": "2026-01-10T10:00:00.000Z",
            "lastUpdated": "2026-01-10T10:00:00.000Z",
            "labFutureProperty": "nobody knows this yet",
            "profile": match factor.kind {
                Kind::Sms | Kind::Call => json!({ "phoneNumber": self.phone() }),
                Kind::Email => json!({ "email": self.login }),
                Kind::Push | Kind::Totp | Kind::Google | Kind::FastPass => json!({ "credentialId": self.login }),
            },
            "_links": { "self": { "href": href, "hints": { "allow": ["GET", "DELETE"] } } }
        });
        if matches!(factor.kind, Kind::Push | Kind::FastPass)
            && let Some(profile) = body.get_mut("profile").and_then(Value::as_object_mut)
        {
            profile.insert("deviceType".into(), "SmartPhone_Android".into());
            profile.insert("keys".into(), json!([{ "kty": "EC", "use": "sig", "kid": "default" }]));
            profile.insert("name".into(), factor.device.as_str().into());
            profile.insert("platform".into(), "ANDROID".into());
            profile.insert("version".into(), "15".into());
        }
        let verifiable = factor.active && factor.kind != Kind::FastPass;
        let (relation, path) = if verifiable { ("verify", "verify") } else { ("poll", "lifecycle/activate/poll") };
        if (verifiable || !factor.active)
            && let Some(links) = body.get_mut("_links").and_then(Value::as_object_mut)
        {
            links.insert(relation.into(), json!({ "href": format!("{href}/{path}"), "hints": { "allow": ["POST"] } }));
        }
        body
    }
}
