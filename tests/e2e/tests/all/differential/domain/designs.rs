//! What differs by design, in a domain's words: the gateway's own answers are the same as before OpenLDAP, the controller's are its own.

use anyhow::Result;

use super::super::ber::{Octets, element, elements, header, int, with_value};
use super::super::case::{Case, Compare, Step};
use super::super::request::{self, BOB, bind, who_am_i};
use super::super::script::{self, Server, Transcript};
use super::words::translated;

const GONE: &str = "the directory is not available";

/// What a controller answers to the question whose connection it is.
pub(super) struct Identities {
    nobody: Vec<Octets>,
    bob: Vec<Octets>,
}

impl Identities {
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let asked = async |case: Case, answers: usize| {
            let heard = script::run(&translated(case.ask(who_am_i())), server.clone()).await?.remove(0);
            anyhow::Ok(heard.frames.into_iter().skip(answers).collect())
        };
        // Who has bound as nobody is in more groups than who has not bound at all.
        let nobody = asked(Case::new("whose connection it is at first"), 0).await?;
        Ok(Self { nobody, bob: asked(Case::new("whose it is then").ask(bind(BOB, "bob-secret")), 1).await? })
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
        Self::closed_without_a_word(&mut case, direct);
        case
    }

    /// The controller closes without a word where it cannot read a request. The gateway says to the client what that means.
    fn closed_without_a_word(case: &mut Case, direct: &[Transcript]) {
        let ([heard], Compare::Whole | Compare::PerId) = (direct, &case.compare) else { return };
        let open = unanswered(case, heard);
        if heard.closed && !open.is_empty() && !leaves(case) {
            let answers = open.iter().map(|&(id, tag)| request::answer(id, tag, 52, GONE));
            let octets = heard.frames.iter().cloned().chain(answers).chain([request::notice(52, GONE)]);
            let why = "a directory that is gone is answered by unavailable (52)";
            *case = case.clone().by_design(why, &octets.collect::<Vec<_>>());
        }
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

/// Message ids of requests that have no answer, and the tags that it would have.
fn unanswered(case: &Case, heard: &Transcript) -> Vec<(i64, u8)> {
    let asked = sent(case).filter_map(|(id, tag)| {
        let answer = match tag {
            0x60 | 0x66 | 0x68 | 0x6c | 0x6e | 0x77 => tag + 1,
            0x63 => 0x65,
            0x4a => 0x6b,
            _ => return None,
        };
        Some((id, answer))
    });
    let is_open = |(id, tag): &(i32, u8)| !heard.frames.iter().any(|frame| header(frame) == Some((*id, *tag)));
    asked.filter(is_open).map(|(id, tag)| (i64::from(id), tag)).collect()
}

/// The client itself says goodbye before its script ends.
fn leaves(case: &Case) -> bool {
    sent(case).any(|(_, tag)| tag == 0x42) || case.steps.iter().any(|(_, step)| matches!(step, Step::HalfClose))
}

/// Message ids and tags of what is sent.
fn sent(case: &Case) -> impl Iterator<Item = (i32, u8)> {
    case.steps.iter().flat_map(|(_, step)| match step {
        Step::Send(octets) | Step::Trickle(octets) => {
            elements(octets, 0..octets.len()).iter().filter_map(|found| header(&octets[found.start..])).collect()
        }
        _ => Vec::new(),
    })
}

/// The message under another id of the same length.
fn renumbered(frame: &[u8], id: i64) -> Octets {
    let Some(outer) = element(frame, 0) else { return frame.to_vec() };
    let rest = elements(frame, outer.value.clone()).first().map_or(0, |id| id.value.end);
    with_value(frame, &outer, &[&int(id)[..], &frame[rest..outer.value.end]].concat())
}
