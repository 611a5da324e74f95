//! Content synchronization (RFC 4533), with changes made meanwhile on another connection.

use anyhow::{Context as _, Result};

use super::super::ber::{Octets, boolean, enumerated, last_control, parts, seq, text};
use super::super::case::Case;
use super::super::request::{
    ADD, DELETE, Op, abandon, add_person, cancel, delete, lab, modify, rename, search, who_am_i,
};

const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";
const SYNC_DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";
const REFRESH_ONLY: i64 = 1;
const REFRESH_AND_PERSIST: i64 = 3;

fn follow(mode: i64, cookie: Option<&[u8]>) -> Op {
    let mut parts = vec![enumerated(mode)];
    parts.extend(cookie.map(text));
    search(lab("ou=tree")).attributes(&["ou", "uid", "title"]).with(SYNC, true, Some(seq(&parts)))
}

/// The cookie in the Sync Done Control of the last answer.
fn cookie(frames: &[Octets]) -> Result<Octets> {
    let value = last_control(frames, SYNC_DONE).context("no Sync Done Control")?;
    parts(&value).into_iter().next().context("no cookie")
}

fn leaf(uid: &str) -> String {
    lab(&format!("uid={uid},ou=tree"))
}

fn add_leaf(uid: &str) -> Op {
    add_person(&format!("{uid},ou=tree"))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("sync: refresh only").manager().ask(follow(REFRESH_ONLY, None)),
        Case::new("sync: refresh again, nothing changed")
            .manager()
            .ask(follow(REFRESH_ONLY, None))
            .reply(|frames| Ok(follow(REFRESH_ONLY, Some(&cookie(frames)?)))),
        Case::new("sync: a cookie that is none").manager().ask(follow(REFRESH_ONLY, Some(b"nonsense"))),
        Case::new("sync: a mode that there is not").manager().ask(follow(2, None)),
        Case::new("sync: nonsense").manager().ask(search(lab("ou=tree")).with(SYNC, true, Some(b"x".to_vec()))),
        Case::new("sync: with a hint to reload").manager().ask(search(lab("ou=tree")).with(
            SYNC,
            true,
            Some(seq(&[enumerated(REFRESH_ONLY), boolean(true)])),
        )),
        Case::new("sync: anonymous").ask(follow(REFRESH_ONLY, None)),
    ];
    // Entries come as two, then the note that this was all.
    let persist = |name: &str| Case::new(name).manager().send(follow(REFRESH_AND_PERSIST, None)).frames(4);
    cases.push(
        persist("sync: persist, with changes made meanwhile")
            .on(1)
            .manager()
            .ask(add_leaf("leaf"))
            .on(0)
            .frames(5)
            .on(1)
            .ask(modify(&leaf("leaf"), &[(ADD, "title", &[b"x"])]))
            .on(0)
            .frames(6)
            .on(1)
            .ask(rename(&leaf("leaf"), "uid=blossom", true, None))
            .on(0)
            .frames(7)
            .on(1)
            .ask(delete(&leaf("blossom")))
            .on(0)
            .frames(8)
            .send(abandon(2))
            .ask(who_am_i()),
    );
    cases.push(
        persist("sync: persist, with other operations on the same connection")
            .ask(modify(&lab("ou=leaf,ou=tree"), &[(ADD, "description", &[b"x"])]))
            .frames(6)
            .ask(modify(&lab("ou=leaf,ou=tree"), &[(DELETE, "description", &[])]))
            .frames(8)
            .per_id()
            .send(abandon(2))
            .ask(who_am_i()),
    );
    cases.push(persist("sync: persist, ended by cancel").ask(cancel(2)).wait([2, 3]).per_id());
    cases.push(persist("sync: persist, left by closing").dropped());
    cases
}
