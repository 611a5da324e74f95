//! Values that each domain controller chooses for itself, and nothing else, are replaced by fillers.
//!
//! All controllers begin with copies of one database, so what was in it is the same everywhere and compared as it is. Only
//! what was chosen since is replaced: times that are later, numbers of changes that are higher, identifiers that were not there.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::samba::SERVICE;

use super::super::ber::{Found, Octets, element, elements, header, map, with_value};
use super::super::case::{Case, Compare};
use super::super::request::{Op, bind, read, search};
use super::super::script::{self, Server, Transcript};

/// Times as text (MS-ADTS, section 3.1.1.2.2.2.8), and as numbers of 100 ns since 1601.
const TIMES: [&str; 5] = ["whencreated", "whenchanged", "createtimestamp", "modifytimestamp", "currenttime"];
const TICKS: [&str; 5] = ["pwdlastset", "lastlogon", "lastlogontimestamp", "badpasswordtime", "lockouttime"];
/// Numbers of changes.
const CHANGES: [&str; 3] = ["usnchanged", "usncreated", "highestcommittedusn"];

const PAGED: &[u8] = b"1.2.840.113556.1.4.319";
const DIRSYNC: &[u8] = b"1.2.840.113556.1.4.841";
const VLV_RESPONSE: &[u8] = b"2.16.840.1.113730.3.4.10";

const FILLER: &[u8] = b"*";

/// What was there when the databases were copied.
#[derive(Clone)]
pub(super) struct Before {
    identifiers: Arc<HashSet<Octets>>,
    time: Octets,
    ticks: u64,
    change: u64,
}

impl Before {
    /// Read from one of the controllers before anything else has happened.
    pub(super) async fn of(server: &Server) -> Result<Self> {
        let all = |base: &str| search(base).attributes(&["objectGUID"]).with("1.2.840.113556.1.4.417", true, None);
        let case = Case::new("what is there")
            .ask(read("").attributes(&["currentTime", "highestCommittedUSN"]))
            .ask(bind(super::words::MANAGER, portcullis_lab::samba::ADMINISTRATOR_PASSWORD))
            .ask(all("DC=example,DC=test"))
            .ask(all("CN=Configuration,DC=example,DC=test"))
            .ask(all("CN=Schema,CN=Configuration,DC=example,DC=test"));
        let heard = script::run(&case, server.clone()).await?.remove(0);
        let mut identifiers = HashSet::new();
        let (mut time, mut change) = (None, None);
        for frame in &heard.frames {
            for_each_value(frame, |name, value| match name {
                "objectguid" => {
                    identifiers.insert(value.to_vec());
                }
                "currenttime" => time = Some(value.to_vec()),
                "highestcommittedusn" => change = number(value),
                _ => {}
            });
        }
        ensure!(identifiers.len() > 1000, "the domain shows only {} objects", identifiers.len());
        let time = time.context("no currentTime")?;
        let ticks = ticks(&time).context("a time that cannot be read")?;
        Ok(Self { identifiers: Arc::new(identifiers), time, ticks, change: change.context("no highestCommittedUSN")? })
    }

    /// All messages with fillers for what the controller chose.
    pub(super) fn without_chosen(&self, case: &Case, transcripts: Vec<Transcript>) -> Vec<Transcript> {
        transcripts
            .into_iter()
            .map(|transcript| {
                let mut frames: Vec<_> = transcript.frames.iter().map(|frame| self.message(frame)).collect();
                if ANY_OF_THEM.contains(&case.name.as_str()) {
                    frames = frames.iter().map(|frame| counted(frame)).collect();
                }
                if !is_ordered(case) {
                    in_one_order(&mut frames);
                }
                Transcript { frames, ..transcript }
            })
            .collect()
    }

    fn message(&self, octets: &[u8]) -> Octets {
        let parts = |octets: &[u8], found: &Found| match found.tag {
            0x64 => self.entry(octets, found),
            0x61 => bind_answer(octets, found),
            0xa0 => controls(octets, found),
            _ => octets[found.start..found.value.end].to_vec(),
        };
        let Some(outer) = element(octets, 0) else { return octets.to_vec() };
        match map(octets, &outer, parts) {
            Some(inside) => with_value(octets, &outer, &inside),
            None => octets.to_vec(),
        }
    }

    fn entry(&self, octets: &[u8], found: &Found) -> Octets {
        let name = elements(octets, found.value.clone()).first().map(|name| octets[name.value.clone()].to_vec());
        let is_gateway = name.is_some_and(|name| name.starts_with(format!("CN={SERVICE},").as_bytes()));
        inside(octets, found, |octets, part| {
            if part.tag == 0x30 && is_gateway {
                return self.gateway_account(octets, part);
            }
            if part.tag == 0x04 {
                return with_value(octets, part, &self.name(&octets[part.value.clone()]));
            }
            // Samba puts an attribute that has changed last, and the time changes only where a second has passed.
            let (mut first, mut last) = (Octets::new(), Octets::new());
            for attribute in elements(octets, part.value.clone()) {
                let name = elements(octets, attribute.value.clone()).first().map(|name| &octets[name.value.clone()]);
                let is_time = matches!(name, Some(b"whenChanged" | b"modifyTimeStamp"));
                let to = if is_time { &mut last } else { &mut first };
                to.extend(self.attribute(octets, &attribute));
            }
            with_value(octets, part, &[first, last].concat())
        })
    }

    /// The gateway binds under an account of its own, which the controller that stands alone never sees. So what a logon changes
    /// is left out, and attributes are in one order, because Samba puts those that have changed last.
    fn gateway_account(&self, octets: &[u8], found: &Found) -> Octets {
        const OF_LOGONS: [&[u8]; 5] =
            [b"lastLogon", b"lastLogonTimestamp", b"logonCount", b"whenChanged", b"uSNChanged"];
        let mut attributes: Vec<Octets> = elements(octets, found.value.clone())
            .into_iter()
            .filter(|attribute| {
                let name =
                    elements(octets, attribute.value.clone()).first().map(|name| octets[name.value.clone()].to_vec());
                !name.is_some_and(|name| OF_LOGONS.contains(&name.as_slice()))
            })
            .map(|attribute| self.attribute(octets, &attribute))
            .collect();
        attributes.sort();
        with_value(octets, found, &attributes.concat())
    }

    fn attribute(&self, octets: &[u8], found: &Found) -> Octets {
        let name =
            elements(octets, found.value.clone()).first().map(|name| octets[name.value.clone()].to_ascii_lowercase());
        let name = String::from_utf8(name.unwrap_or_default()).unwrap_or_default();
        inside(octets, found, |octets, part| {
            if part.tag != 0x31 {
                return octets[part.start..part.value.end].to_vec();
            }
            inside(octets, part, |octets, value| {
                let octets_of = &octets[value.value.clone()];
                if self.is_chosen(&name, octets_of) {
                    with_value(octets, value, FILLER)
                } else {
                    with_value(octets, value, &self.name(octets_of))
                }
            })
        })
    }

    fn is_chosen(&self, name: &str, value: &[u8]) -> bool {
        match name {
            name if TIMES.contains(&name) => {
                value.len() == self.time.len() && value >= &self.time[..] && ticks(value).is_some()
            }
            name if TICKS.contains(&name) => {
                number(value).is_some_and(|value| value >= self.ticks && value < u64::MAX / 4)
            }
            name if CHANGES.contains(&name) => number(value).is_some_and(|value| value > self.change),
            "objectguid" => value.len() == 16 && !self.identifiers.contains(value),
            "samaccountname" => is_made_up(value),
            _ => false,
        }
    }

    /// The name of a deleted object has its identifier in it (MS-ADTS, section 3.1.1.5.5.1.1).
    fn name(&self, value: &[u8]) -> Octets {
        const MARK: &[u8] = b"DEL:";
        const LENGTH: usize = "01234567-89ab-cdef-0123-456789abcdef".len();
        let Some(at) = value.windows(MARK.len()).position(|part| part == MARK) else { return value.to_vec() };
        let from = at + MARK.len();
        if value.len() < from + LENGTH {
            return value.to_vec();
        }
        [&value[..from], FILLER, &value[from + LENGTH..]].concat()
    }
}

/// Samba makes an account's name up where a new one has none: `$XXXXXX-XXXXXXXXXXXX`, with up to two digits more of each number.
fn is_made_up(value: &[u8]) -> bool {
    const SHORTEST: usize = "$XXXXXX-XXXXXXXXXXXX".len();
    let is_number = |part: &[u8]| part.iter().all(u8::is_ascii_alphanumeric);
    // That of a computer ends like its prefix.
    let value = value.strip_suffix(b"$").unwrap_or(value);
    let parts = value.strip_prefix(b"$").map(|rest| rest.split(|&octet| octet == b'-').collect::<Vec<_>>());
    (SHORTEST..=SHORTEST + 6).contains(&value.len())
        && parts.is_some_and(|parts| matches!(parts.as_slice(), [a, b] if is_number(a) && is_number(b)))
}

/// Where a limit cuts the answer, which entries are in it is the controller's to choose: their number and the results are compared.
const ANY_OF_THEM: [&str; 2] = ["search: size limit", "domain search: control, pages with references"];

/// The order is what was asked for, or the answer is compared as the beginning of another.
fn is_ordered(case: &Case) -> bool {
    case.name.contains("sorted")
        || case.name.contains("a view of a list")
        || matches!(case.compare, Compare::CutShort(_))
}

/// Only that there is an entry or a reference.
fn counted(message: &[u8]) -> Octets {
    match (element(message, 0), header(message)) {
        (Some(outer), Some((_, 0x64 | 0x73))) => {
            let inside: Octets = elements(message, outer.value.clone())
                .iter()
                .map(|part| {
                    let value = if part.tag == 0x02 { &message[part.value.clone()] } else { FILLER };
                    with_value(message, part, value)
                })
                .collect::<Vec<_>>()
                .concat();
            with_value(message, &outer, &inside)
        }
        _ => message.to_vec(),
    }
}

/// Sorts the entries and references of each answer. Their order is the controller's to choose (RFC 4511, section 4.5.2, has
/// none); Samba's is that of its database, which is not the same in copies that have been written to.
pub(super) fn in_one_order(frames: &mut [Octets]) {
    let of_search = |frame: &Octets| header(frame).filter(|(_, tag)| [0x64, 0x73].contains(tag)).map(|(id, _)| id);
    for run in frames.chunk_by_mut(|one, next| of_search(one).is_some() && of_search(one) == of_search(next)) {
        run.sort();
    }
}

/// The element with each of its elements changed.
fn inside(octets: &[u8], found: &Found, change: impl FnMut(&[u8], &Found) -> Octets) -> Octets {
    match map(octets, found, change) {
        Some(value) => with_value(octets, found, &value),
        None => octets[found.start..found.value.end].to_vec(),
    }
}

/// The challenge of NTLM (MS-NLMP, section 2.2.1.2), which has a random number and the time in it.
fn bind_answer(octets: &[u8], found: &Found) -> Octets {
    const SIGNATURE: &[u8] = b"NTLMSSP\0\x02\0\0\0";
    inside(octets, found, |octets, part| {
        let value = &octets[part.value.clone()];
        if part.tag == 0x87 && value.windows(SIGNATURE.len()).any(|part| part == SIGNATURE) {
            return with_value(octets, part, FILLER);
        }
        octets[part.start..part.value.end].to_vec()
    })
}

fn controls(octets: &[u8], found: &Found) -> Octets {
    inside(octets, found, |octets, control| {
        let oid = elements(octets, control.value.clone()).first().map(|oid| octets[oid.value.clone()].to_vec());
        let place = match oid.as_deref() {
            Some(PAGED) => 1,
            Some(DIRSYNC) => 2,
            Some(VLV_RESPONSE) => 3,
            _ => return octets[control.start..control.value.end].to_vec(),
        };
        inside(octets, control, |octets, part| {
            let Some(inner) = element(octets, part.value.start).filter(|inner| part.tag == 0x04 && inner.tag == 0x30)
            else {
                return octets[part.start..part.value.end].to_vec();
            };
            let mut nth = 0;
            let value = inside(octets, &inner, |octets, field| {
                nth += 1;
                // An empty one says that there is no more, and is compared.
                let filler: &[u8] =
                    if nth == place + 1 && !field.value.is_empty() { FILLER } else { &octets[field.value.clone()] };
                with_value(octets, field, filler)
            });
            with_value(octets, part, &value)
        })
    })
}

/// The last value of this attribute in these messages.
pub(super) fn last_value(frames: &[Octets], attribute: &str) -> Result<Octets> {
    let mut found = None;
    for frame in frames {
        for_each_value(frame, |name, value| {
            if name == attribute.to_ascii_lowercase() {
                found = Some(value.to_vec());
            }
        });
    }
    found.with_context(|| format!("no {attribute}"))
}

fn for_each_value(message: &[u8], mut take: impl FnMut(&str, &[u8])) {
    let Some(outer) = element(message, 0) else { return };
    for entry in elements(message, outer.value).into_iter().filter(|part| part.tag == 0x64) {
        for list in elements(message, entry.value).into_iter().filter(|part| part.tag == 0x30) {
            for attribute in elements(message, list.value) {
                if let [name, values] = elements(message, attribute.value).as_slice() {
                    let name = String::from_utf8_lossy(&message[name.value.clone()]).to_ascii_lowercase();
                    for value in elements(message, values.value.clone()) {
                        take(&name, &message[value.value]);
                    }
                }
            }
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// `20261130163407.0Z` in units of 100 ns since 1601.
fn ticks(time: &[u8]) -> Option<u64> {
    /// Days until 1 January 1601, counted as below.
    const BEGIN: u64 = 1600 * 365 + 1600 / 4 - 1600 / 100 + 1600 / 400 + (10 * 153 + 2) / 5 + 1;
    let text = std::str::from_utf8(time).ok()?.strip_suffix(".0Z").filter(|digits| digits.len() == 14)?;
    let field = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (field(0, 4)?, field(4, 6)?, field(6, 8)?);
    // Days of the Gregorian calendar, from years that begin in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day;
    let seconds = days.checked_sub(BEGIN)? * 86_400 + field(8, 10)? * 3600 + field(10, 12)? * 60 + field(12, 14)?;
    Some(seconds * 10_000_000)
}

#[test]
fn only_what_was_chosen_since_is_replaced() {
    use super::super::ber::{int, seq, set, text, tlv};
    assert_eq!(ticks(b"16010101000000.0Z"), Some(0));
    assert_eq!(ticks(b"19700101000000.0Z"), Some(116_444_736_000_000_000));
    assert_eq!(ticks(b"20240301000000.0Z"), Some(133_537_248_000_000_000));
    let before = Before {
        identifiers: Arc::new(HashSet::from([vec![7; 16]])),
        time: b"20261130163407.0Z".to_vec(),
        ticks: ticks(b"20261130163407.0Z").unwrap(),
        change: 3936,
    };
    let entry = |name: &str, value: &[u8]| {
        let attribute = seq(&[text(name), set(&[text(value)])]);
        seq(&[int(1), tlv(0x64, [text("DC=x"), seq(&[attribute])].concat())])
    };
    let cases: [(&str, &[u8], bool); 15] = [
        ("whenChanged", b"20261130163408.0Z", true),
        ("whenChanged", b"20261130163406.0Z", false),
        ("whenChanged", b"20261130163408", false),
        ("description", b"20261130163408.0Z", false),
        ("uSNChanged", b"3937", true),
        ("uSNChanged", b"3936", false),
        ("objectGUID", &[8; 16], true),
        ("objectGUID", &[7; 16], false),
        ("lastLogon", b"134405300631589980", true),
        ("lastLogon", b"9223372036854775807", false),
        ("sAMAccountName", b"$811000-Q7S3KJ6GSVG5", true),
        ("sAMAccountName", b"$811000", false),
        ("sAMAccountName", b"$E69FB02B-55A5628D19A58E85", true),
        ("sAMAccountName", b"$16AEC1C8-92FBA12465D19A58$", true),
        ("sAMAccountName", b"$E69FB02B.55A5628D19A58E85", false),
    ];
    for (name, value, replaced) in cases {
        let wanted = if replaced { entry(name, FILLER) } else { entry(name, value) };
        assert_eq!(before.message(&entry(name, value)), wanted, "{name}");
    }
    let mut frames = [("b", 2), ("a", 2), ("a", 1)].map(|(name, id)| seq(&[int(id), tlv(0x64, text(name))]));
    let [b2, a2, a1] = frames.clone();
    in_one_order(&mut frames);
    assert_eq!(frames, [a2, b2, a1], "each answer stays in its place");
    assert_eq!(Op::from(read("")).message(1), before.message(&Op::from(read("")).message(1)));
}
