//! What stands in for a plugin that could not be loaded, so that everything else goes on.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_core::plugin::{
    Authenticator, ChallengeContext, ConnectorError, Health, PluginFault, Policy, StartError, Step,
};
use portcullis_core::policy::{Evidence, Needs, Ruling};
use portcullis_core::{Access, AccountFacts, OperationKind};

/// A policy that could not be loaded. What it would have wanted to see is not known, so it is asked about everything, and
/// its fail mode speaks each time.
pub(crate) struct BrokenPolicy {
    reason: String,
    needs: Needs,
}

impl BrokenPolicy {
    pub(crate) fn new(reason: String) -> Self {
        let operations = OperationKind::ALL.to_vec();
        Self { reason, needs: Needs { operations, ..Needs::default() } }
    }
}

impl Policy for BrokenPolicy {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn evaluate(&self, _: &Access, _: &Arc<AccountFacts>, _: &[Evidence]) -> Result<Ruling, PluginFault> {
        Err(PluginFault::Host(self.reason.clone()))
    }
}

/// A connector that could not be loaded.
pub(crate) struct BrokenAuthenticator {
    reason: String,
}

impl BrokenAuthenticator {
    pub(crate) fn new(reason: String) -> Self {
        Self { reason }
    }

    fn error(&self) -> ConnectorError {
        ConnectorError::Fault(PluginFault::Host(self.reason.clone()))
    }
}

#[async_trait]
impl Authenticator for BrokenAuthenticator {
    async fn check(&self) -> Result<Health, ConnectorError> {
        Err(self.error())
    }

    async fn start(&self, _: &ChallengeContext) -> Result<Step, StartError> {
        Err(StartError::Failed(self.error()))
    }

    async fn poll(&self, _: &str) -> Result<Step, ConnectorError> {
        Err(self.error())
    }

    async fn verify(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(self.error())
    }

    async fn choose(&self, _: &str, _: &str) -> Result<Step, ConnectorError> {
        Err(self.error())
    }

    async fn cancel(&self, _: &str) -> Result<(), ConnectorError> {
        Err(self.error())
    }
}
