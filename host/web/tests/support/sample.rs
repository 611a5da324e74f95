//! Made-up challenges, events and incidents.

use std::net::IpAddr;

use portcullis_core::access::{BindMethod, Search, SearchScope};
use portcullis_core::challenge::{ChallengeState, ChallengeView, ChoiceView, LinkToken};
use portcullis_core::event::{AccessEvent, Decision, RecordedChallenge, RecordedRuling};
use portcullis_core::incident::{Incident, IncidentState};
use portcullis_core::policy::{ChallengeOutcome, ChallengeRequest, Effect, Mode, Severity, Verdict};
use portcullis_core::summary::{Machine, SessionSummary, Tally};
use portcullis_core::{
    Access, Account, AccountId, AccountKind, ChallengeId, ClientCertificate, ConnectorName, Endpoint, EventId,
    IncidentId, ListenerName, Operation, OperationKind, Outcome, PolicyName, Protection, Signal, Target, Timestamp,
    Tls,
};
use uuid::Uuid;

pub fn link(number: u8) -> LinkToken {
    LinkToken::from_random([number; 16])
}

pub fn challenge(number: u8, address: IpAddr, at: Timestamp) -> ChallengeView {
    ChallengeView {
        id: ChallengeId(Uuid::from_u128(u128::from(number))),
        link: link(number),
        login: "alice".to_owned(),
        address: Some(address),
        endpoint_name: Some("alice-laptop".to_owned()),
        application: "wiki".to_owned(),
        opened_at: at,
        expires_at: Timestamp(at.0 + 60_000),
        number: None,
        code: None,
        note: None,
        choices: Vec::new(),
        state: ChallengeState::Open,
        version: 1,
    }
}

/// A challenge by a code that was sent to a phone.
pub fn code(number: u8, address: IpAddr, at: Timestamp) -> ChallengeView {
    let choice = |id: &str, label: &str, current: bool, wait: u64| ChoiceView {
        id: id.to_owned(),
        label: label.to_owned(),
        current,
        from: Timestamp(at.0 + wait),
    };
    ChallengeView {
        code: Some("Type the 6-digit code from the text message to the number ending in 78.".to_owned()),
        choices: vec![
            choice("ost2", "Code from Okta Verify", false, 0),
            choice("mbl4", "Text message to the number ending in 78", true, 30_000),
            choice("emf6", "Mail to a•••@example.com", false, 0),
        ],
        ..challenge(number, address, at)
    }
}

pub fn account(login: &str) -> Account {
    Account {
        id: AccountId::new(format!("id-{login}")),
        login: login.to_owned(),
        dn: Some(format!("uid={login},ou=people,dc=example,dc=com")),
        mail: Some(format!("{login}@example.com")),
        kind: AccountKind::Human,
        privileged: false,
        cloud_enabled: Some(true),
        risk: 12,
    }
}

pub fn tls() -> Tls {
    Tls {
        version: "TLS 1.3".to_owned(),
        cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        client_certificate: Some(ClientCertificate {
            subject: "CN=alice-laptop,O=Acme".to_owned(),
            alternative_names: vec!["dns:alice-laptop.acme.example".to_owned()],
            fingerprint: "5e".repeat(32),
        }),
    }
}

pub fn endpoint(name: Option<&str>, address: &str) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        name: name.map(str::to_owned),
        site: Some("headquarters".to_owned()),
        shared: false,
        associated: false,
        risk: 5,
    }
}

fn event_id(number: u64) -> EventId {
    EventId(Uuid::from_u128(u128::from(number) << 64 | 1))
}

/// An access that was allowed without a question.
pub fn allowed(number: u64, login: &str, at: Timestamp) -> AccessEvent {
    AccessEvent {
        access: Access {
            id: event_id(number),
            at,
            source: "ldap".to_owned(),
            account: Some(account(login)),
            endpoint: Some(endpoint(None, "10.1.7.40")),
            protection: Some(Protection::Tls(tls())),
            target: Target { application: "wiki".to_owned(), entry: None },
            operation: Operation::Bind(BindMethod::Simple),
            outcome: Outcome::Success,
            signals: Vec::new(),
        },
        directory_result: Some(0),
        decision: Decision::Allow,
        decided_by: None,
        reason: "No policy had anything against it.".to_owned(),
        rulings: Vec::new(),
        challenges: Vec::new(),
        foreign: None,
    }
}

/// An access for which a second factor was asked, with that end.
pub fn challenged(number: u64, login: &str, at: Timestamp, outcome: ChallengeOutcome) -> AccessEvent {
    let approved = outcome == ChallengeOutcome::Approved;
    let policy = PolicyName::new("unusual-endpoint");
    let ruling = |verdict, reason: &str, effects| RecordedRuling {
        policy: policy.clone(),
        mode: Mode::Enforce,
        verdict,
        reason: reason.to_owned(),
        effects,
        fault: None,
    };
    let request =
        ChallengeRequest { connector: ConnectorName::new("okta-verify"), remember_seconds: 28_800, timeout_seconds: 0 };
    let (verdict, reason, effects) = if approved {
        (Verdict::Allow, "A person on an unusual machine: approved on the phone.", vec![Effect::ResolveIncident])
    } else {
        let effect = Effect::RaiseIncident {
            severity: Severity::High,
            title: "Second factor denied".to_owned(),
            escalate: Vec::new(),
        };
        (Verdict::Block, "A person on an unusual machine: the second factor was denied.", vec![effect])
    };
    let mut event = allowed(number, login, at);
    event.access.endpoint = Some(endpoint(Some("meeting-room-3"), "10.1.9.3"));
    event.access.signals = vec![Signal {
        name: "unusual-endpoint".to_owned(),
        score: 60,
        reason: format!("{login} has not used meeting-room-3 before."),
    }];
    event.decision = if approved { Decision::Allow } else { Decision::Block };
    event.decided_by = Some(policy.clone());
    event.reason = reason.to_owned();
    event.rulings = vec![
        ruling(Verdict::Challenge(request), "A person on an unusual machine.", Vec::new()),
        ruling(verdict, reason, effects),
    ];
    event.challenges = vec![RecordedChallenge {
        id: Some(ChallengeId(Uuid::from_u128(u128::from(number)))),
        connector: ConnectorName::new("okta-verify"),
        outcome,
        detail: "Answered on the phone.".to_owned(),
        remembered: false,
        waited_ms: 8_420,
    }];
    event
}

/// A search that a person behind a service account should not make.
pub fn search(number: u64, at: Timestamp) -> AccessEvent {
    let mut event = allowed(number, "svc-backup", at);
    if let Some(account) = &mut event.access.account {
        account.kind = AccountKind::Service;
        account.privileged = true;
        account.risk = 71;
    }
    event.access.target.application = "backup".to_owned();
    event.access.operation = Operation::Search(Some(Search {
        base: "dc=example,dc=com".to_owned(),
        scope: SearchScope::Subtree,
        filter: "(&(objectClass=user)(userAccountControl:1.2.840.113556.1.4.803:=4194304))".to_owned(),
        attributes: vec!["sAMAccountName".to_owned(), "userAccountControl".to_owned()],
    }));
    event.reason = "Only recorded: hunting for accounts without pre-authentication, in monitor mode.".to_owned();
    event.access.signals = vec![Signal {
        name: "directory-reconnaissance".to_owned(),
        score: 80,
        reason: "The filter asks for accounts without pre-authentication.".to_owned(),
    }];
    event
}

/// What an account read in a minute.
pub fn summary(number: u64, login: &str, at: Timestamp) -> SessionSummary {
    let mut tally = Tally { entries: 12_000, octets: 3_481_022, ..Tally::default() };
    tally.operations.insert(OperationKind::Search, 1_204);
    tally.bases = ["dc=example,dc=com", "ou=people,dc=example,dc=com", ""].map(str::to_owned).into();
    SessionSummary {
        id: event_id(number),
        from: Timestamp(at.0 - 60_000),
        to: at,
        account: Some(account(login)),
        endpoint: Machine {
            address: "10.1.9.3".parse().unwrap(),
            name: Some("meeting-room-3".to_owned()),
            site: Some("headquarters".to_owned()),
        },
        application: "wiki".to_owned(),
        listener: ListenerName::new("main"),
        client: Some("10.1.9.3:50123".parse().unwrap()),
        connections: 1,
        tally,
        signals: Vec::new(),
    }
}

/// An incident that is open.
pub fn incident(number: u64, login: &str, severity: Severity, title: &str, at: Timestamp) -> Incident {
    Incident {
        id: IncidentId(Uuid::from_u128(u128::from(number) << 32)),
        account: AccountId::new(format!("id-{login}")),
        login: login.to_owned(),
        source: PolicyName::new("unusual-endpoint").into(),
        address: Some("10.1.9.3".parse().unwrap()),
        severity,
        title: title.to_owned(),
        state: IncidentState::Open,
        opened_at: at,
        changed_at: at,
        count: 1,
        raised_by: event_id(number),
        resolved_by: None,
        resolved_by_person: None,
        verdict: None,
        assignee: None,
        escalates_at: None,
    }
}
