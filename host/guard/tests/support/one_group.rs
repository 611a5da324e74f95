//! A made-up directory with one group in it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use portcullis_core::AccountId;
use portcullis_core::demotion::{GroupError, Groups, Membership};

pub const GROUP: &str = "cn=admins,dc=example";

/// Its members are names.
#[derive(Default)]
pub struct OneGroup {
    pub members: Mutex<Vec<String>>,
    /// What the account is called; nothing for its id.
    pub name: Mutex<Option<String>>,
    pub away: AtomicBool,
    pub refuses: AtomicBool,
    /// Nobody may go.
    pub is_last: AtomicBool,
    /// Nobody may see who is in the group.
    pub is_hidden: AtomicBool,
    /// Changes are carried out, and the answers get lost.
    pub loses_answers: AtomicBool,
    pub changes: Mutex<Vec<String>>,
}

impl OneGroup {
    fn change(&self, what: &str, change: impl FnOnce(&mut Vec<String>)) -> Result<(), GroupError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(GroupError::Unreachable("connection refused".to_owned()));
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Err(GroupError::Refused("insufficient rights".to_owned()));
        }
        change(&mut self.members.lock().unwrap());
        self.changes.lock().unwrap().push(what.to_owned());
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(GroupError::Unreachable("no answer".to_owned()));
        }
        Ok(())
    }

    pub fn has(&self, name: &str) -> bool {
        self.members.lock().unwrap().iter().any(|member| member == name)
    }

    fn name_of(&self, account: &AccountId) -> String {
        self.name.lock().unwrap().clone().unwrap_or_else(|| account.as_str().to_owned())
    }

    pub fn rename(&self, from: &str, to: &str) {
        *self.name.lock().unwrap() = Some(to.to_owned());
        for member in self.members.lock().unwrap().iter_mut().filter(|member| *member == from) {
            to.clone_into(member);
        }
    }
}

#[async_trait]
impl Groups for OneGroup {
    async fn membership(&self, group: &str, account: &AccountId) -> Result<Membership, GroupError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(GroupError::Unreachable("connection refused".to_owned()));
        }
        if group != "admins" && group != GROUP {
            return Err(GroupError::NoPlace(format!("there is no group {group:?}")));
        }
        if self.is_hidden.load(Ordering::SeqCst) {
            return Err(GroupError::NoPlace("its members may not be read".to_owned()));
        }
        let (attribute, value) = ("member".to_owned(), self.name_of(account));
        if !self.has(&value) {
            return Err(GroupError::NotMember(GROUP.to_owned()));
        }
        if self.is_last.load(Ordering::SeqCst) {
            return Err(GroupError::Refused("it is the last account".to_owned()));
        }
        Ok(Membership { group: GROUP.to_owned(), attribute, value })
    }
    async fn leave(&self, membership: &Membership, account: &AccountId) -> Result<(), GroupError> {
        if !self.has(&membership.value) && self.has(&self.name_of(account)) {
            return Err(GroupError::Unreachable("it is named otherwise".to_owned()));
        }
        self.change("leave", |members| members.retain(|member| *member != membership.value))
    }
    async fn join(&self, _: &Membership, account: &AccountId) -> Result<(), GroupError> {
        let name = self.name_of(account);
        self.change("join", |members| {
            if !members.contains(&name) {
                members.push(name);
            }
        })
    }
}
