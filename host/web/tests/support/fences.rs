//! Fences that are made up: svc-wiki has one, of svc-new too little is known, and svc-old has accepted another.

use std::sync::Mutex;

use async_trait::async_trait;
use portcullis_core::fence::*;
use portcullis_core::policies::PolicyError;
use portcullis_core::policy::Mode;
use portcullis_core::revision::Revision;
use portcullis_core::{AccountId, OperationKind, PolicyName, Timestamp};
use serde_json::json;

/// Remembers what was accepted.
#[derive(Default)]
pub struct FakeFences {
    pub accepted: Mutex<Vec<String>>,
}

/// The revision that is in force.
pub const REVISION: u64 = 3;

const DAY: u64 = 86_400_000;

fn known<T>(what: T, count: u64) -> Known<T> {
    let (first, last) = (Some(Timestamp(super::BEGIN - 40 * DAY)), Some(Timestamp(super::BEGIN)));
    Known { what, count, first, last }
}

fn faded<T>(what: T, count: u64) -> Known<T> {
    Known { what, count, first: None, last: None }
}

fn part<T>(allowed: Vec<Known<T>>, left_out: Vec<(Known<T>, &str)>, why_not: Option<&str>) -> Part<T> {
    let left_out = left_out.into_iter().map(|(known, why)| LeftOut { known, why: why.to_owned() }).collect();
    Part { allowed, left_out, why_not: why_not.map(str::to_owned) }
}

fn fence() -> Fence {
    let address = |text: &str| text.parse().unwrap();
    let people = SearchPlace { dn: "ou=people,dc=example,dc=com".to_owned(), below: true };
    let why = "The places that are known well enough are 90 % of its searches, of 95 % that it takes.";
    Fence {
        machines: part(
            vec![known(address("10.1.7.20"), 412), known(address("2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"), 38)],
            vec![(known(address("10.9.9.9"), 30), "service-account-misused was noticed with it 12 days ago.")],
            None,
        ),
        applications: part(vec![known("wiki".to_owned(), 450)], vec![], None),
        hours: part(vec![faded(WeekHours { days: vec![0, 1, 2, 3, 4], from: 5, to: 20 }, 320)], vec![], None),
        operations: part(
            vec![faded(OperationKind::Bind, 320), faded(OperationKind::Search, 9_120)],
            vec![(faded(OperationKind::Modify, 1), "Of late it was seen about once only.")],
            None,
        ),
        filters: part(
            vec![known(
                "(&(objectclass=?)(|(uid=?)(mail=?)(employeenumber=?)(userprincipalname=?)))".to_owned(),
                9_000,
            )],
            vec![(known("(<b>=*)".to_owned(), 1), "It was seen once only, of 5 times that it takes.")],
            None,
        ),
        places: part(vec![], vec![(known(people, 20), why)], Some(why)),
    }
}

fn proposal(login: &str) -> FenceProposal {
    let known = login != "svc-new";
    let too_little = "Too little is known: 3 logins in 2 days, of 20 and 7 days that it takes.".to_owned();
    let accepted = AcceptedFence { policy: PolicyName::new("fences-monitor"), mode: Mode::Monitor, is_same: false };
    FenceProposal {
        account: AccountId::new(format!("{login}-id")),
        login: login.to_owned(),
        fence: if known { Ok(fence()) } else { Err(too_little) },
        rule: known.then(|| json!({ "name": format!("fence of {login}"), "then": "block" })),
        seal: if known { format!("seal of {login}") } else { String::new() },
        accepted: (login == "svc-old").then_some(accepted),
    }
}

#[async_trait]
impl FenceDesk for FakeFences {
    async fn fences(&self, limit: u32) -> Result<Fences, FenceError> {
        let all = ["svc-new", "svc-old", "svc-wiki"].map(proposal);
        Ok(Fences { revision: REVISION, proposals: all.into_iter().take(limit as usize).collect() })
    }

    async fn fence(&self, account: &AccountId) -> Result<FenceProposal, FenceError> {
        let all = self.fences(9).await?.proposals;
        all.into_iter().find(|one| one.account == *account).ok_or(FenceError::NotFound)
    }

    async fn accept_fence(
        &self,
        person: &str,
        account: &AccountId,
        acceptance: Acceptance,
    ) -> Result<Revision, FenceError> {
        if acceptance.revision != Some(REVISION) {
            return Err(PolicyError::Conflict.into());
        }
        let proposal = self.fence(account).await?;
        if let Err(why) = proposal.fence {
            return Err(FenceError::Nothing(why));
        }
        if acceptance.seal.as_ref() != Some(&proposal.seal) {
            return Err(FenceError::Changed);
        }
        self.accepted.lock().unwrap().push(format!("{person}: {account} {:?}", acceptance.mode));
        Ok(Revision {
            number: REVISION + 1,
            at: Timestamp(super::BEGIN),
            actor: person.to_owned(),
            comment: String::new(),
            policies: Vec::new(),
        })
    }
}
