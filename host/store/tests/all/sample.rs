//! Records to store. What is not the point of a test has a fixed value.

use std::net::IpAddr;

use portcullis_core::event::{
    AccessEvent, AdministrationEvent, Decision, Event, Record, RecordedChallenge, RecordedRuling,
};
use portcullis_core::incident::IncidentChange;
use portcullis_core::learned::Observation;
use portcullis_core::policy::{ChallengeOutcome, ChallengeRequest, Effect, Mode, Severity, Verdict};
use portcullis_core::summary::{Machine, SessionSummary, Tally};
use portcullis_core::{
    Access, Account, AccountId, AccountKind, BindMethod, ChallengeId, ConnectorName, Endpoint, EventId, IncidentId,
    ListenerName, Operation, OperationKind, Outcome, PolicyName, Protection, Signal, Target, Timestamp,
};
use uuid::Uuid;

pub fn event_id(number: u128) -> EventId {
    EventId(Uuid::from_u128(number))
}

pub fn incident_id(number: u128) -> IncidentId {
    IncidentId(Uuid::from_u128(number))
}

pub fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

pub fn administration(number: u128) -> Event {
    Event::Administration(AdministrationEvent {
        id: event_id(number),
        at: Timestamp(1_000 + u64::try_from(number & 0xffff_ffff).unwrap()),
        actor: "ada".to_owned(),
        action: "console-sign-in".to_owned(),
        detail: format!("Sign-in number {number}."),
    })
}

/// A record of nothing but an event.
pub fn record(number: u128) -> Record {
    Record { event: administration(number), learned: None, incidents: vec![] }
}

pub fn access(number: u128, account: &str) -> Event {
    Event::Access(Box::new(AccessEvent {
        access: Access {
            id: event_id(number),
            at: Timestamp(1_000 + u64::try_from(number & 0xffff_ffff).unwrap()),
            source: "ldap".to_owned(),
            account: Some(Account {
                id: AccountId::new(account),
                login: "mia".to_owned(),
                dn: Some("uid=mia,ou=people,dc=example".to_owned()),
                mail: None,
                kind: AccountKind::Human,
                privileged: true,
                cloud_enabled: None,
                risk: 7,
            }),
            endpoint: Some(Endpoint {
                address: address(7),
                name: None,
                site: Some("lab".to_owned()),
                shared: false,
                associated: true,
                risk: 0,
            }),
            protection: Some(Protection::Cleartext),
            target: Target { application: "wiki".to_owned(), entry: Some("dc=example".to_owned()) },
            operation: Operation::Bind(BindMethod::Sasl("GSSAPI".to_owned())),
            outcome: Outcome::Success,
            signals: vec![Signal { name: "unusual-endpoint".to_owned(), score: 40, reason: "New.".to_owned() }],
        },
        directory_result: Some(0),
        decision: Decision::Block,
        decided_by: Some(PolicyName::new("second-factor")),
        reason: "The person said no.".to_owned(),
        rulings: vec![RecordedRuling {
            policy: PolicyName::new("second-factor"),
            mode: Mode::Enforce,
            verdict: Verdict::Challenge(ChallengeRequest {
                connector: ConnectorName::new("okta-verify"),
                remember_seconds: 600,
                timeout_seconds: 0,
            }),
            reason: "Privileged.".to_owned(),
            effects: vec![
                Effect::RaiseIncident { severity: Severity::High, title: "Denied".to_owned(), escalate: Vec::new() },
                Effect::ResolveIncident,
                Effect::AddRisk(20),
            ],
            fault: None,
        }],
        challenges: vec![RecordedChallenge {
            id: Some(ChallengeId(Uuid::from_u128(9))),
            connector: ConnectorName::new("okta-verify"),
            outcome: ChallengeOutcome::Denied,
            detail: String::new(),
            remembered: false,
            waited_ms: 4_200,
        }],
        foreign: None,
    }))
}

pub fn summary(number: u128, account: &str) -> Event {
    let Event::Access(of) = access(number, account) else { unreachable!("an access") };
    let mut tally =
        Tally { bases: vec!["dc=example".to_owned()], entries: 12_000, octets: 1 << 40, ..Tally::default() };
    tally.operations = [(OperationKind::Search, 1_204), (OperationKind::PasswordChange, u64::MAX)].into();
    tally.fail(Some(32), 2);
    tally.fail(None, 1);
    Event::Summary(Box::new(SessionSummary {
        id: event_id(number),
        from: Timestamp(1_000),
        to: of.access.at,
        account: of.access.account,
        endpoint: Machine { address: address(7), name: None, site: Some("lab".to_owned()) },
        application: "wiki".to_owned(),
        listener: ListenerName::new("main"),
        client: Some("192.0.2.7:50123".parse().unwrap()),
        connections: 1,
        tally,
        signals: Vec::new(),
    }))
}

pub fn raise(new_id: u128, account: &str, severity: Severity, title: &str) -> IncidentChange {
    IncidentChange::Raise {
        new_id: incident_id(new_id),
        account: AccountId::new(account),
        login: format!("login of {account}"),
        source: PolicyName::new("second-factor").into(),
        severity,
        title: title.to_owned(),
        escalate: Vec::new(),
    }
}

pub fn resolve(account: &str) -> IncidentChange {
    IncidentChange::Resolve { account: AccountId::new(account), source: PolicyName::new("second-factor").into() }
}

pub fn with_incidents(number: u128, incidents: Vec<IncidentChange>) -> Record {
    Record { incidents, ..record(number) }
}

pub fn seen(number: u128, account: &str, address: IpAddr, at: u64) -> Record {
    let learned = Some(Observation { account: AccountId::new(account), address, at: Timestamp(at) });
    let Event::Access(mut event) = access(number, account) else { unreachable!("an access") };
    event.access.endpoint.iter_mut().for_each(|endpoint| endpoint.address = address);
    Record { event: Event::Access(event), learned, incidents: vec![] }
}
