//! Okta's answers and the gateway's questions, as the tests need them.

use okta::contract::portcullis::gateway::http::{HttpError, Response};
use okta::contract::portcullis::gateway::types::{Account, AccountKind, Endpoint};
use okta::script::{Script, reply};
use okta_verify::contract::exports::portcullis::gateway::authenticator::{Context, Prompt, Step};
use okta_verify::settings::Settings;

pub type Answer = Result<Response, HttpError>;

pub const BASE: &str = "https://acme.okta.com";
pub const USER: &str = "00u7exampleUSER00001";
/// The gateway's clock is ten minutes ahead of Okta's.
pub const NOW: u64 = 1_795_490_402_000;
pub const DATE: (&str, &str) = ("Date", "Tue, 24 Nov 2026 03:10:02 GMT");
/// 90 seconds after [`DATE`].
pub const EXPIRES: &str = "2026-11-24T03:11:32.000Z";

pub fn settings(more: &str) -> Settings {
    Settings::parse(&format!(r#"{{"base-url":"{BASE}"{more}}}"#)).unwrap()
}

pub fn context(login: &str, mail: Option<&str>) -> Context {
    let account = Account {
        id: "5f7d".to_owned(),
        login: login.to_owned(),
        dn: None,
        mail: mail.map(str::to_owned),
        kind: AccountKind::Human,
        privileged: false,
        cloud_enabled: None,
        risk: 0,
    };
    let endpoint = Endpoint {
        address: "203.0.113.7".to_owned(),
        name: None,
        site: None,
        shared: false,
        associated: true,
        risk: 0,
    };
    Context { account, endpoint: Some(endpoint), application: "wiki".to_owned() }
}

pub fn mona() -> Context {
    context("mona", Some("mona.reyes@acme.example"))
}

pub fn user(login: &str, status: &str) -> Answer {
    Ok(reply(200, &[DATE], &user_text(login, status)))
}

pub fn user_text(login: &str, status: &str) -> String {
    format!(
        r#"{{"id":"{USER}","status":"{status}","lastLogin":null,"type":{{"id":"oty1"}},
            "profile":{{"login":"{login}","email":"{login}","mobilePhone":null}},"newField":[1]}}"#
    )
}

pub fn active() -> Answer {
    user("mona.reyes@acme.example", "ACTIVE")
}

pub fn phone(id: &str, status: &str, created: &str, updated: &str) -> String {
    format!(
        r#"{{"id":"{id}","factorType":"push","provider":"OKTA","status":"{status}","created":"{created}",
            "lastUpdated":"{updated}","profile":{{"credentialId":"mona","name":"Mona's Pixel"}},
            "_links":{{"verify":{{"href":"{BASE}/api/v1/users/{USER}/factors/{id}/verify"}}}}}}"#
    )
}

pub fn list(factors: &[&str]) -> Answer {
    Ok(reply(200, &[DATE], &format!("[{}]", factors.join(","))))
}

pub fn one_phone() -> Answer {
    list(&[&phone("opf2examplePUSH00001", "ACTIVE", "2026-01-10T10:00:00.000Z", "2026-01-10T10:00:00.000Z")])
}

pub fn transaction_link(id: &str) -> String {
    format!("{BASE}/api/v1/users/{USER}/factors/opf2examplePUSH00001/transactions/{id}")
}

/// An answer that says where the push stands; `more` are further members.
pub fn waiting(id: &str, more: &str) -> Answer {
    let link = transaction_link(id);
    let body = format!(
        r#"{{"expiresAt":"{EXPIRES}","factorResult":"WAITING",
            "_links":{{"poll":{{"href":"{link}"}},"cancel":{{"href":"{link}"}}}}{more}}}"#
    );
    Ok(reply(201, &[DATE], &body))
}

pub fn result(word: &str) -> Answer {
    Ok(reply(200, &[DATE], &format!(r#"{{"factorResult":"{word}","profile":{{"credentialId":"mona"}}}}"#)))
}

pub fn script(answers: impl IntoIterator<Item = Answer>) -> Script {
    let script = Script::new(answers);
    script.set_now(NOW);
    script
}

/// A push that has been sent.
pub fn sent(more: &str) -> (Script, Step) {
    let script = script([active(), one_phone(), waiting("mst5exampleTxn001", more)]);
    let step = okta_verify::push::start(&script, &settings(""), &mona()).unwrap();
    (script, step)
}

pub fn number(step: &Step) -> Option<u8> {
    match step.prompt {
        Prompt::Push(number) => number,
        Prompt::Code(_) => panic!("a push asks for no code"),
    }
}
