//! What differs by design, in a domain's words: the gateway's own answers are the same as before OpenLDAP, the controller's are its own.

use anyhow::Result;

use super::super::ber::{Octets, element, elements, header, int, with_value};
use super::super::case::{Case, Compare};
use super::super::request::{self, BOB, bind, who_am_i};
use super::super::script::{self, Server, Transcript};
use super::words::translated;

/// What a controller answers to the question whose connection it is, under message id 2.
pub(super) struct Identities {
    nobody: Vec<Octets>,
    bob: Vec<Octets>,
}

impl Identities {
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let asked = async |name: &str, password: &str| {
            let case = translated(Case::new("whose connection it is").ask(bind(name, password)).ask(who_am_i()));
            let heard = script::run(&case, server.clone()).await?.remove(0);
            anyhow::Ok(heard.frames.into_iter().skip(1).collect())
        };
        Ok(Self { nobody: asked("", "").await?, bob: asked(BOB, "bob-secret").await? })
    }

    /// The case with the controller's words where those of OpenLDAP were.
    pub(super) fn adapted(&self, case: &Case, direct: &[Transcript]) -> Case {
        let mut case = case.clone();
        if let Compare::ByDesign(design) = &mut case.compare {
            let mut wanted = Transcript::default();
            wanted.take(&design.octets);
            let frames = wanted.frames.iter().flat_map(|frame| self.frames(frame, direct));
            design.octets = frames.collect::<Vec<_>>().concat();
        }
        case
    }

    fn frames(&self, frame: &Octets, direct: &[Transcript]) -> Vec<Octets> {
        let id = header(frame).map_or(0, |(id, _)| i64::from(id));
        let with_id = |frames: &[Octets]| frames.iter().map(|frame| renumbered(frame, id)).collect();
        if *frame == request::nobody(id) {
            return with_id(&self.nobody);
        }
        if *frame == request::somebody(id, BOB) {
            return with_id(&self.bob);
        }
        if *frame == request::answer(id, request::BIND_RESPONSE, 0, "") {
            let of_id = |frame: &&Octets| header(frame).is_some_and(|(found, _)| i64::from(found) == id);
            return direct.iter().flat_map(|heard| heard.frames.iter().filter(of_id)).cloned().collect();
        }
        vec![frame.clone()]
    }
}

/// The message under another id of the same length.
fn renumbered(frame: &[u8], id: i64) -> Octets {
    let Some(outer) = element(frame, 0) else { return frame.to_vec() };
    let rest = elements(frame, outer.value.clone()).first().map_or(0, |id| id.value.end);
    with_value(frame, &outer, &[&int(id)[..], &frame[rest..outer.value.end]].concat())
}
