//! Asking the directory whom it has bound. Its answer counts more than whatever a bind has said.

use std::time::Duration;

use portcullis_core::gate::{Claim, Gate};
use portcullis_core::{BindMethod, Outcome};
use tokio::time::Instant;

use super::bind::Stage;
use super::claim::{bind_asked, said};
use super::{Link, Session};
use crate::decode::{self, Bind};
use crate::encode::OwnRequest;
use crate::frame::{Frame, op};
use crate::lane::HeldSuccess;
use crate::sasl::authorization;

/// How long the directory may take to say whom it has bound.
const NAMING_TIMEOUT: Duration = Duration::from_secs(10);
/// The security identifier of who has not bound (MS-DTYP, section 2.4.2.4).
const ANONYMOUS: &str = "S-1-5-7";

/// What the directory was asked.
pub(super) enum Inquiry {
    /// "Who am I?" (RFC 4532).
    WhoAmI,
    /// The security identifiers of who asks, the first of which has come or not.
    Sids(Option<String>),
}

impl<G: Gate> Session<'_, G> {
    pub(super) fn ask_who(&mut self, id: i32, bind: Bind, held: HeldSuccess) {
        self.inquire(id, OwnRequest::who_am_i);
        let deadline = Instant::now() + NAMING_TIMEOUT;
        self.stage = Stage::Naming { id, bind, held, inquiry: Inquiry::WhoAmI, deadline };
    }

    fn inquire(&mut self, bind: i32, request: impl FnOnce(i32) -> OwnRequest) {
        let own = self.unused_id(bind);
        if let Link::Up(directory) = &mut self.directory {
            directory.inquire(own, request(own));
        }
    }

    /// The directory has answered.
    pub(super) fn named(&mut self, answer: &Frame) {
        let Stage::Naming { id, bind, inquiry, .. } = &mut self.stage else { return };
        match inquiry {
            Inquiry::WhoAmI => {
                let identity = if answer.op() == op::EXTENDED_RESPONSE { decode::identity(answer) } else { None };
                let (id, is_sasl) = (*id, matches!(bind.method, BindMethod::Sasl(_)));
                // Samba does not know the question, but shows everybody's own security identifiers.
                if identity.is_none() && is_sasl && self.shared.upstreams().is_active_directory() {
                    *inquiry = Inquiry::Sids(None);
                    self.inquire(id, OwnRequest::own_sids);
                    return;
                }
                self.name(identity.as_deref());
            }
            Inquiry::Sids(first) if answer.op() == op::SEARCH_ENTRY => {
                if first.is_none() {
                    *first = decode::first_sid(answer);
                }
            }
            Inquiry::Sids(first) => {
                let identity = first.take().map(|sid| {
                    // A DN, which nothing but the entry with this identifier has (MS-ADTS, section 3.1.1.3.1.2.4).
                    if sid == ANONYMOUS { String::new() } else { format!("<SID={sid}>") }
                });
                self.name(identity.as_deref());
            }
        }
    }

    /// The directory has not said in time whom it has bound.
    pub(super) fn nameless(&mut self) {
        self.name(None);
    }

    fn name(&mut self, identity: Option<&str>) {
        let (id, bind, held) = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Naming { id, bind, held, .. } => (id, bind, held),
            stage => {
                self.stage = stage;
                return;
            }
        };
        let claim = match (identity.map(authorization), &bind.method) {
            (Some(Some(name)), _) => Claim::Name(name.to_owned()),
            (Some(None), BindMethod::Sasl(_)) => Claim::Anonymous,
            // A directory without "Who am I?": what was said, and the directory has found to be true.
            _ => said(&bind),
        };
        if let Some((code, why)) = self.forbidden_stranger(&bind, &claim) {
            self.refuse_accepted(id, &bind, code, why);
            return;
        }
        let asked = bind_asked(&self.connection, &bind, claim, Outcome::Success, Some(0));
        self.decide(id, asked, held);
    }
}
