//! Comparing what came back, and showing where it differs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ber::{Octets, header};
use super::case::{Case, Compare};
use super::normal::normalised;
use super::script::Transcript;

/// How far both sides have to agree before a line of octets is left out.
const LINE: usize = 16;
/// Lines of octets that are shown of one message.
const SHOWN: usize = 24;

/// What is wrong with the gateway's answers, for people; nothing when nothing is.
pub(super) fn verdict(case: &Case, direct: &[Transcript], gateway: &[Transcript]) -> Option<String> {
    if let Compare::ByDesign(design) = &case.compare {
        let (Some(direct), Some(gateway)) = (direct.first(), gateway.first()) else {
            return Some("no connection".to_owned());
        };
        let mut wanted = Transcript::default();
        wanted.take(&design.octets);
        wanted.closed = true;
        if let Some(place) = design.place {
            let own = std::mem::replace(&mut wanted, direct.clone()).frames;
            wanted.frames.splice(place..wanted.frames.len().min(place + 1), own);
        }
        if !design.now_and_then && streams(&wanted) == streams(direct) {
            return Some(format!("there is no difference any more ({})", design.why));
        }
        return difference(&streams(&wanted), &streams(gateway)).map(|text| format!("({})\n{text}", design.why));
    }
    let mut said = String::new();
    for (number, (direct, gateway)) in direct.iter().zip(gateway).enumerate() {
        let found = match case.compare {
            Compare::Whole | Compare::ByDesign(_) => difference(&streams(direct), &streams(gateway)),
            Compare::PerId => difference(&by_id(direct, None), &by_id(gateway, None)),
            Compare::CutShort(id) if number > 0 => difference(&by_id(direct, Some(id)), &by_id(gateway, Some(id))),
            Compare::CutShort(_) => difference(&streams(direct), &streams(gateway)),
        };
        if let Some(text) = found {
            let _ = writeln!(said, "connection {number}:\n{text}");
        }
    }
    if let Compare::CutShort(id) = case.compare {
        for (name, side) in [("directory", direct), ("gateway", gateway)] {
            said.push_str(&beginning(name, side, id).unwrap_or_default());
        }
    }
    (!said.is_empty()).then_some(said)
}

/// That the answer to this id on every other connection is a beginning of the one on the first.
fn beginning(name: &str, side: &[Transcript], id: i32) -> Option<String> {
    let of = |transcript: &Transcript| -> Vec<Octets> {
        let frames = transcript.frames.iter().filter(|frame| header(frame).is_some_and(|(found, _)| found == id));
        frames.map(|frame| normalised(frame)).collect()
    };
    let (whole, others) = side.split_first()?;
    let whole = of(whole);
    others.iter().find_map(|other| {
        let cut = of(other);
        (!whole.starts_with(&cut)).then(|| {
            format!("{name}: {} messages that are no beginning of the whole answer of {}\n", cut.len(), whole.len())
        })
    })
}

/// A transcript as one or more named streams of messages.
type Streams = BTreeMap<String, Vec<Octets>>;

fn streams(transcript: &Transcript) -> Streams {
    let frames = transcript.frames.iter().map(|frame| normalised(frame)).collect();
    BTreeMap::from([("all".to_owned(), frames), ("end".to_owned(), end(transcript))])
}

fn by_id(transcript: &Transcript, without: Option<i32>) -> Streams {
    let mut streams = BTreeMap::from([("end".to_owned(), end(transcript))]);
    for frame in &transcript.frames {
        let id = header(frame).map_or(-1, |(id, _)| id);
        if Some(id) != without {
            streams.entry(format!("message id {id}")).or_default().push(normalised(frame));
        }
    }
    streams
}

fn end(transcript: &Transcript) -> Vec<Octets> {
    let closed = if transcript.closed { "closed" } else { "open" };
    vec![transcript.rest.clone(), closed.as_bytes().to_vec()]
}

fn difference(wanted: &Streams, got: &Streams) -> Option<String> {
    let mut text = String::new();
    for name in wanted.keys().chain(got.keys().filter(|name| !wanted.contains_key(*name))) {
        let (wanted, got) = (wanted.get(name), got.get(name));
        if wanted == got {
            continue;
        }
        let (wanted, got) = (wanted.map_or(&[][..], Vec::as_slice), got.map_or(&[][..], Vec::as_slice));
        let _ = writeln!(text, "  {name}: {} messages wanted, {} came", wanted.len(), got.len());
        let same = wanted.iter().zip(got).take_while(|(wanted, got)| wanted == got).count();
        for (sign, messages) in [("-", wanted), ("+", got)] {
            match messages.get(same) {
                Some(message) => {
                    let _ = writeln!(text, "  {sign} message {same}, {} octets", message.len());
                }
                None => {
                    let _ = writeln!(text, "  {sign} nothing");
                }
            }
        }
        let nothing = Octets::new();
        text.push_str(&octets(wanted.get(same).unwrap_or(&nothing), got.get(same).unwrap_or(&nothing)));
    }
    (!text.is_empty()).then_some(text)
}

/// Both sides in lines of 16 octets, from the first that differs.
fn octets(wanted: &[u8], got: &[u8]) -> String {
    let mut text = String::new();
    let lines = wanted.len().max(got.len()).div_ceil(LINE);
    let line = |octets: &[u8], nth: usize| {
        let octets = octets.get(nth * LINE..).unwrap_or_default();
        octets[..octets.len().min(LINE)].to_vec()
    };
    let differing = (0..lines).filter(|&nth| line(wanted, nth) != line(got, nth));
    for nth in differing.take(SHOWN) {
        for (sign, side) in [("-", wanted), ("+", got)] {
            let side = line(side, nth);
            if !side.is_empty() {
                let hex: String = side.iter().map(|octet| format!("{octet:02x} ")).collect();
                let ascii: String = side
                    .iter()
                    .map(|&octet| if (32..127).contains(&octet) { char::from(octet) } else { '.' })
                    .collect();
                let _ = writeln!(text, "  {sign} {:06x}  {hex:<48} {ascii}", nth * LINE);
            }
        }
    }
    text
}

#[test]
fn a_difference_is_shown_with_its_octets() {
    let mut one = Transcript::default();
    one.take(&super::request::answer(1, 0x61, 0, ""));
    let mut other = one.clone();
    other.frames[0][8] = 49;
    let case = Case::new("x").ask(super::request::bind("", ""));
    let said = verdict(&case, &[one.clone()], &[other]).unwrap();
    assert!(said.contains("- message 0, 14 octets"), "{said}");
    assert!(said.contains("+ 000000  30 0c 02 01 01 61 07 0a 31 "), "{said}");
    assert_eq!(verdict(&case, &[one.clone()], &[one]), None);
}
