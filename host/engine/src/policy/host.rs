//! What a policy's instance can reach.

use std::sync::Arc;

use crate::bindings::policy::portcullis::gateway::{facts, log, types};
use crate::facts::Facts;
use crate::limits::Watchman;
use crate::log::PluginLog;

pub(crate) struct PolicyHost {
    /// Of the account of the evaluation that is under way; of nobody between evaluations.
    pub(super) facts: Facts,
    pub(super) watchman: Watchman,
    log: Arc<PluginLog>,
}

impl PolicyHost {
    pub(super) fn new(log: Arc<PluginLog>, memory: usize) -> Self {
        Self { facts: Facts::default(), watchman: Watchman::new(memory), log }
    }
}

impl log::Host for PolicyHost {
    fn write(&mut self, level: log::Level, message: String) {
        self.log.write(level, &message);
    }
}

impl facts::Host for PolicyHost {
    fn member_of(&mut self, group: String) -> bool {
        self.facts.member_of(&group)
    }

    fn groups(&mut self) -> Vec<String> {
        self.facts.groups()
    }

    fn units(&mut self) -> Vec<String> {
        self.facts.units()
    }

    fn attribute(&mut self, name: String) -> Vec<String> {
        self.facts.attribute(&name)
    }
}

impl types::Host for PolicyHost {}
