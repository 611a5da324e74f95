//! The cases: OpenLDAP's in a domain's words, and those of a domain alone.

use super::super::case::Case;
use super::super::cases;
use super::super::request::{add, lab};
use super::words::translated;
use super::world::Protection;
use super::{changes, designs, names, searches};

/// What a domain controller has nothing like, so that a script would wait for something that never comes.
const NOTHING_LIKE_IT: [(&str, &str); 2] = [
    ("sync: persist", "it has no content synchronization (RFC 4533)"),
    ("notification", "its overlay sends no notices"),
];

/// Scripts that go on from something in an answer that a domain controller never gives. These are whole names.
const NO_SUCH_ANSWER: [(&str, &str); 7] = [
    ("sasl: SCRAM-SHA-256", "it has no SCRAM, so there is no nonce"),
    ("sasl: SCRAM-SHA-256, wrong password", "it has no SCRAM, so there is no nonce"),
    ("password: made up by the directory", "it has no password modify operation (RFC 3062), so it makes none up"),
    ("sync: refresh again, nothing changed", "it has no content synchronization (RFC 4533), so there is no cookie"),
    ("wire: a farewell of the directory's", "it has nothing like slapd's retcode overlay"),
    ("wire: the directory announces something, then closes", "it has nothing like slapd's retcode overlay"),
    ("wire: the directory closes in the middle", "it has nothing like slapd's retcode overlay"),
];

/// Scripts whose answers depend on who is quicker, the client or the controller, so that two runs against the same controller differ.
/// OpenLDAP takes long enough for what they ask. These are whole names.
const A_RACE: [(&str, &str); 3] = [
    ("timing: abandon right behind the request", "it may have answered before it reads that nobody wants it"),
    ("timing: a bind under the id of what runs", "what ran may have ended before the bind is read"),
    ("timing: a request under the id of what runs", "what ran may have ended before the request is read"),
];

pub(super) fn all(protection: Protection) -> Vec<Case> {
    let there_is = |case: &Case| {
        !NOTHING_LIKE_IT.iter().any(|(name, _)| case.name.contains(name))
            && !NO_SUCH_ANSWER.iter().chain(&A_RACE).any(|(name, _)| case.name == *name)
    };
    let shared = cases::all().into_iter().chain(cases::overlapping()).filter(there_is);
    let own = names::cases().into_iter().chain(searches::cases()).chain(changes::cases());
    let shared = shared.map(|case| if case.name.starts_with("control: tree delete") { planted(case) } else { case });
    shared.chain(own).map(translated).map(|case| designs::under(case, protection)).collect()
}

/// A domain controller knows the control that slapd does not, so other cases would miss what it deletes.
fn planted(case: Case) -> Case {
    let unit = |name: &str| add(lab(name), &[("objectClass", &[b"organizationalUnit"])]);
    case.ask(unit("ou=tree")).ask(unit("ou=leaf,ou=tree"))
}
