//! Okta's answers and the gateway's questions, as the tests need them.

use okta::contract::portcullis::gateway::http::{HttpError, Response};
use okta::contract::portcullis::gateway::types::{Account, AccountKind, Endpoint};
use okta::script::{Script, reply};
use okta_otp::codes;
use okta_otp::contract::exports::portcullis::gateway::authenticator::{Context, Prompt, StartError, Step};
use okta_otp::settings::Settings;

pub type Answer = Result<Response, HttpError>;

pub const BASE: &str = "https://acme.okta.com";
pub const USER: &str = "00u7exampleUSER00001";
pub const NOW: u64 = 1_795_490_402_000;
pub const TOTP: &str = "ost2exampleTOTP00001";
pub const GOOGLE: &str = "ufs3exampleGOOG00001";
pub const SMS: &str = "mbl4exampleSMS000001";
pub const CALL: &str = "clf5exampleCALL00001";
pub const EMAIL: &str = "emf6exampleMAIL00001";

pub fn settings(more: &str) -> Settings {
    Settings::parse(&format!(r#"{{"base-url":"{BASE}"{more}}}"#)).unwrap()
}

pub fn mona() -> Context {
    let account = Account {
        id: "5f7d".to_owned(),
        login: "mona".to_owned(),
        dn: None,
        mail: Some("mona.reyes@acme.example".to_owned()),
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

pub fn user(status: &str) -> Answer {
    let login = "mona.reyes@acme.example";
    Ok(reply(200, &[], &format!(r#"{{"id":"{USER}","status":"{status}","profile":{{"login":"{login}"}},"new":[1]}}"#)))
}

pub fn factor(id: &str, status: &str) -> String {
    let (kind, provider, profile) = match id {
        TOTP => ("token:software:totp", "OKTA", r#"{"credentialId":"mona"}"#),
        GOOGLE => ("token:software:totp", "GOOGLE", r#"{"credentialId":"mona"}"#),
        SMS => ("sms", "OKTA", r#"{"phoneNumber":"+33612345678"}"#),
        CALL => ("call", "OKTA", r#"{"phoneNumber":"+1-555-415-1337","phoneExtension":"1234"}"#),
        EMAIL => ("email", "OKTA", r#"{"email":"mona.reyes@acme.example"}"#),
        _ => panic!("no such factor"),
    };
    format!(
        r#"{{"id":"{id}","factorType":"{kind}","provider":"{provider}","status":"{status}","profile":{profile},
            "_links":{{"verify":{{"href":"{}"}}}}}}"#,
        verify_link(id)
    )
}

pub fn verify_link(id: &str) -> String {
    format!("{BASE}/api/v1/users/{USER}/factors/{id}/verify")
}

pub fn factors(ids: &[&str]) -> Answer {
    let factors: Vec<_> = ids.iter().map(|id| factor(id, "ACTIVE")).collect();
    list(&factors)
}

pub fn list(factors: &[String]) -> Answer {
    Ok(reply(200, &[], &format!("[{}]", factors.join(","))))
}

pub fn result(word: &str) -> Answer {
    Ok(reply(200, &[], &format!(r#"{{"factorResult":"{word}","profile":{{"phoneNumber":"+33612345678"}}}}"#)))
}

pub fn challenge() -> Answer {
    result("CHALLENGE")
}

pub fn script(answers: impl IntoIterator<Item = Answer>) -> Script {
    let script = Script::new(answers);
    script.set_now(NOW);
    script
}

/// A person with these factors, and what Okta answers to the wishes for a code.
pub fn started_with(more: &str, ids: &[&str], answers: &[Answer]) -> (Script, Result<Step, StartError>) {
    let script = script([user("ACTIVE"), factors(ids)].into_iter().chain(answers.iter().cloned()));
    let step = codes::start(&script, &settings(more), &mona());
    (script, step)
}

/// A challenge that waits for a code of this factor.
pub fn asked(ids: &[&str]) -> (Script, Step) {
    let sent = if ids[0] == TOTP || ids[0] == GOOGLE { vec![] } else { vec![challenge()] };
    let (script, step) = started_with("", ids, &sent);
    assert_eq!(script.left(), 0);
    (script, step.unwrap())
}

pub fn hint(step: &Step) -> &str {
    match &step.prompt {
        Prompt::Code(hint) => hint,
        Prompt::Push(_) => panic!("a code is asked for"),
    }
}

pub fn note(step: &Step) -> &str {
    step.note.as_deref().unwrap_or_default()
}

/// Ids of the choices, the current one with a star.
pub fn choices(step: &Step) -> Vec<String> {
    let name = |id: &str, current: bool| format!("{id}{}", if current { "*" } else { "" });
    step.choices.iter().map(|choice| name(&choice.id, choice.current)).collect()
}
