//! Binds behind which the gateway may see less than it has to: a SASL security layer hides what follows, and some mechanisms
//! hide who asks.

use portcullis_core::gate::{Claim, Gate};
use portcullis_core::{BindMethod, Operation, Outcome};
use tokio::time::Instant;

use super::Session;
use super::claim::{bind_asked, mechanism, said};
use crate::decode::Bind;
use crate::encode::Code;
use crate::lane::{BindFailure, HeldSuccess};
use crate::listener::OpaqueSasl;
use crate::sasl::Layer;

/// invalidCredentials (RFC 4511, appendix A).
const INVALID_CREDENTIALS: u32 = 49;
/// How Active Directory names `SEC_E_BAD_BINDINGS` (MS-ERREF, section 2.1.1) in its diagnostic message.
const BAD_BINDINGS: &str = "80090346";

impl<G: Gate> Session<'_, G> {
    /// That a layer would hide from the gateway what follows, where that is not wanted.
    pub(super) fn forbidden_layer(&self, bind: &Bind) -> Option<(Code, &'static str)> {
        if self.relays_opaque() {
            return None;
        }
        if let Some(left_out) = self.shared.lines().layer.due(Instant::now()) {
            tracing::warn!(
                listener = %self.connection.listener,
                client = %self.connection.client,
                mechanism = %mechanism(bind).escape_debug(),
                layer = ?bind.step.layer,
                left_out,
                "a SASL bind was refused that may hide everything behind it from the gateway; let the client do without \
                 signing and sealing and use TLS, or let such binds through unseen with relay-opaque-sasl = true on this \
                 listener",
            );
        }
        let why = match bind.step.layer {
            Layer::Wanted => "SASL signing and sealing are not supported here; use TLS instead",
            _ => "this SASL mechanism is not supported here",
        };
        Some((Code::AuthMethodNotSupported, why))
    }

    fn relays_opaque(&self) -> bool {
        self.shared.listener().rules.opaque_sasl == OpaqueSasl::Relay
    }

    /// What becomes of a security layer with this directory.
    pub(super) fn layer(&self, bind: &Bind) -> Layer {
        if self.shared.upstreams().may_layer() { bind.step.layer } else { Layer::None }
    }

    /// That nobody says who it was, so that no policy about accounts could hold, where that is not wanted.
    pub(super) fn forbidden_stranger(&self, bind: &Bind, claim: &Claim) -> Option<(Code, &'static str)> {
        if *claim != Claim::Unreadable || !matches!(bind.method, BindMethod::Sasl(_)) || self.relays_opaque() {
            return None;
        }
        if let Some(left_out) = self.shared.lines().stranger.due(Instant::now()) {
            tracing::warn!(
                listener = %self.connection.listener,
                client = %self.connection.client,
                mechanism = %mechanism(bind).escape_debug(),
                left_out,
                "a SASL bind was refused because the directory does not say who that is; relay-opaque-sasl = true on \
                 this listener lets such binds through, as somebody whom no policy about accounts knows",
            );
        }
        Some((Code::AuthMethodNotSupported, "who binds with this SASL mechanism cannot be told here"))
    }

    /// There may be a layer, so nobody can be asked who that was: what the client has said, and the directory has found to be
    /// true, is all that is known.
    pub(super) fn accepted_with_layer(&mut self, id: i32, bind: &Bind, held: HeldSuccess) {
        let claim = said(bind);
        if let Some((code, why)) = self.forbidden_layer(bind) {
            self.refuse_accepted(id, bind, code, why);
            return;
        }
        let mut asked = bind_asked(&self.connection, bind, claim, Outcome::Success, Some(0));
        asked.operation = Operation::Bind(BindMethod::OpaqueSasl(mechanism(bind).to_owned()));
        self.decide(id, asked, held);
    }

    /// Names what an administrator has to know of the directory's refusal.
    pub(super) fn explain(&self, failure: &BindFailure) {
        if failure.code() == INVALID_CREDENTIALS
            && failure.diagnostic().is_some_and(|text| text.contains(BAD_BINDINGS))
            && let Some(left_out) = self.shared.lines().channel_binding.due(Instant::now())
        {
            tracing::warn!(
                listener = %self.connection.listener,
                client = %self.connection.client,
                left_out,
                "Active Directory refused a bind because its channel binding is missing, or of another certificate than \
                 the domain controller's own (80090346): give this listener the domain controller's certificate and \
                 key, as the administrator's guide says under \"Channel binding\"",
            );
        }
    }
}
