//! What differs by design, in a domain's words: the gateway's own answers are the same as before OpenLDAP, the controller's are its own.

use anyhow::{Context as _, Result};

use super::super::ber::{Octets, element, elements, header, int, with_value};
use super::super::case::{Case, Compare, Step};
use super::super::request::{self, BOB, bind, read, who_am_i};
use super::super::script::{self, Server, Transcript};
use super::words::translated;
use super::world::Protection;

const GONE: &str = "the directory is not available";

/// Mechanisms that the gateway refuses only where they could put a layer on the connection; before Active Directory over TLS
/// none can (MS-ADTS, section 5.1.2.1), so the controller answers itself.
const RELAYED_OVER_TLS: [&str; 5] = [
    "sasl: \"\"",
    "sasl: \"DIGEST-MD5\"",
    "sasl: \"LOGIN\"",
    "sasl: \"NOBODY-KNOWS\"",
    "sasl: SCRAM given up by the empty mechanism",
];

/// What could ask for a layer is refused in the clear.
const REFUSED_IN_THE_CLEAR: [&str; 3] =
    ["domain sasl: GSS-SPNEGO, nonsense", "domain sasl: GSSAPI, nonsense", "domain sasl: NTLM, nonsense"];

/// The case with what differs where client and gateway are connected like this.
pub(super) fn under(mut case: Case, protection: Protection) -> Case {
    if protection != Protection::Plain {
        if RELAYED_OVER_TLS.contains(&case.name.as_str()) {
            case.compare = Compare::Whole;
        }
        if case.name == "extended: StartTLS where the gateway does not offer it" {
            let own = request::answer(1, request::EXTENDED_RESPONSE, 1, "TLS is already established");
            return case.by_design("TLS ends at the gateway, whose listener answers", &[own]);
        }
    } else if REFUSED_IN_THE_CLEAR.contains(&case.name.as_str()) {
        let own = request::answer(1, request::BIND_RESPONSE, 7, "this SASL mechanism is not supported here");
        return case.one_by_design(
            "a mechanism that may put a layer on the connection is refused in the clear",
            0,
            own,
        );
    }
    case
}

/// What a controller answers to the question whose connection it is.
pub(super) struct Identities {
    nobody: Vec<Octets>,
    bob: Vec<Octets>,
    /// To a search of who has not bound.
    unauthenticated: Octets,
}

impl Identities {
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let asked = async |case: Case, answers: usize| {
            let heard = script::run(&translated(case.ask(who_am_i())), server.clone()).await?.remove(0);
            anyhow::Ok(heard.frames.into_iter().skip(answers).collect())
        };
        // Who has bound as nobody is in more groups than who has not bound at all.
        let nobody = asked(Case::new("whose connection it is at first"), 0).await?;
        let refused = script::run(&translated(Case::new("a search of nobody").ask(read(BOB))), server.clone()).await?;
        let unauthenticated = refused[0].frames.first().cloned().context("a search of nobody is not answered")?;
        Ok(Self {
            nobody,
            unauthenticated,
            bob: asked(Case::new("whose it is then").ask(bind(BOB, "bob-secret")), 1).await?,
        })
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
        self.failed_bind(&mut case, direct);
        case
    }

    /// The controller closes without a word where it cannot read a request. The gateway says to the client what that means.
    fn closed_without_a_word(case: &mut Case, direct: &[Transcript]) {
        let ([heard], Compare::Whole | Compare::PerId) = (direct, &case.compare) else { return };
        let open = unanswered(case, heard);
        let waits = case.steps.iter().any(|(_, step)| matches!(step, Step::Closed));
        let noticed = heard.frames.iter().any(|frame| header(frame).is_some_and(|(id, _)| id == 0));
        if heard.closed && (!open.is_empty() || waits) && !noticed && !leaves(case) {
            let answers = open.iter().map(|&(id, tag)| request::answer(id, tag, 52, GONE));
            let octets = heard.frames.iter().cloned().chain(answers).chain([request::notice(52, GONE)]);
            let why = "a directory that is gone is answered by unavailable (52)";
            *case = case.clone().by_design(why, &octets.collect::<Vec<_>>());
        }
    }

    /// After a bind that fails, Samba goes on with who was bound before. Through the gateway the connection is then nobody's.
    fn failed_bind(&self, case: &mut Case, direct: &[Transcript]) {
        let ([heard], Compare::Whole) = (direct, &case.compare) else { return };
        let (mut somebody, mut failed, mut identified, mut wanted) = (false, false, Vec::new(), Vec::new());
        for frame in &heard.frames {
            let Some((id, tag)) = header(frame) else { return };
            if tag == request::BIND_RESPONSE {
                match code(frame) {
                    Some(0) => (somebody, failed) = (!is_anonymous(case, id), false),
                    Some(14) => {}
                    // Who was nobody before stays that on the same connection.
                    _ => failed = somebody,
                }
            }
            let of_id = |other: &&Octets| header(other).is_some_and(|(found, _)| found == id);
            let asks_whose = heard.frames.iter().filter(of_id).any(|other| names(other, b"tokenGroups"));
            if failed && asks_whose {
                if !identified.contains(&id) {
                    identified.push(id);
                    wanted.extend(self.nobody.iter().map(|frame| renumbered(frame, i64::from(id))));
                }
            } else if failed && tag != request::BIND_RESPONSE && tag != request::EXTENDED_RESPONSE && !at_root(case, id)
            {
                // Only the last message counts: nobody gets no entries.
                if ![0x64, 0x73].contains(&tag) {
                    wanted.push(retagged(&renumbered(&self.unauthenticated, i64::from(id)), tag));
                }
            } else {
                wanted.push(frame.clone());
            }
        }
        if wanted != heard.frames {
            let why = "after a bind that failed the connection is nobody's (RFC 4511, section 4.2.1); Samba keeps the one before";
            *case = case.clone().by_design(why, &wanted);
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
    // Samba answers to any request with a critical control that it does not know as if it were an extended one.
    let is_open = |(id, tag): &(i32, u8)| {
        let answers = [Some((*id, *tag)), Some((*id, request::EXTENDED_RESPONSE))];
        !heard.frames.iter().any(|frame| answers.contains(&header(frame)))
    };
    // The script itself leaves without what it does not wait for, unless it waits for the end.
    let is_awaited = |(id, _): &(i32, u8)| {
        case.steps.iter().any(|(_, step)| match step {
            Step::Wait(ids) => ids.contains(id),
            step => matches!(step, Step::Closed),
        })
    };
    asked.filter(is_awaited).filter(is_open).map(|(id, tag)| (i64::from(id), tag)).collect()
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

/// The result code of an answer.
fn code(message: &[u8]) -> Option<u8> {
    let operation = elements(message, element(message, 0)?.value).into_iter().nth(1)?;
    let code = elements(message, operation.value).into_iter().next()?;
    message[code.value].first().copied()
}

fn names(message: &[u8], attribute: &[u8]) -> bool {
    message.windows(attribute.len()).any(|part| part == attribute)
}

/// The request with this id is an anonymous bind.
fn is_anonymous(case: &Case, id: i32) -> bool {
    let anonymous = bind("", "").message(i64::from(id));
    case.steps.iter().any(|(_, step)| matches!(step, Step::Send(octets) if *octets == anonymous))
}

/// The request with this id is a search at the root, which is everybody's.
fn at_root(case: &Case, id: i32) -> bool {
    case.steps.iter().any(|(_, step)| {
        let (Step::Send(octets) | Step::Trickle(octets)) = step else { return false };
        elements(octets, 0..octets.len()).into_iter().any(|message| {
            header(&octets[message.start..]) == Some((id, 0x63)) && {
                let operation = elements(octets, message.value).into_iter().nth(1).map(|operation| operation.value);
                let base = operation.and_then(|operation| elements(octets, operation).into_iter().next());
                base.is_some_and(|base| base.value.is_empty())
            }
        })
    })
}

/// The answer as one to another kind of request.
fn retagged(message: &[u8], tag: u8) -> Octets {
    let Some(outer) = element(message, 0) else { return message.to_vec() };
    let mut inside = message[outer.value.clone()].to_vec();
    if let Some(operation) = elements(message, outer.value.clone()).get(1) {
        inside[operation.start - outer.value.start] = tag;
    }
    with_value(message, &outer, &inside)
}

/// The message under another id of the same length.
fn renumbered(frame: &[u8], id: i64) -> Octets {
    let Some(outer) = element(frame, 0) else { return frame.to_vec() };
    let rest = elements(frame, outer.value.clone()).first().map_or(0, |id| id.value.end);
    with_value(frame, &outer, &[&int(id)[..], &frame[rest..outer.value.end]].concat())
}
