//! Operations that run at the same time, are given up, or are cut short. `cn=slow` is answered after a second.

use super::super::ber::Octets;
use super::super::case::Case;
use super::super::request::{
    ALICE, BASE, BOB, LAB, Op, abandon, answer, bind, cancel, notice, read, search, unbind, who_am_i,
};

const SLOW: &str = "cn=slow,ou=retcodes,dc=example,dc=com";

fn slow() -> Op {
    read(SLOW).into()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = order();
    cases.extend(given_up());
    cases.extend(cut_short());
    cases.extend(pipelines());
    cases
}

fn begin(name: &str) -> Case {
    Case::new(name).manager()
}

fn order() -> Vec<Case> {
    vec![
        begin("timing: answers out of order").send(slow()).ask(read(ALICE)).wait([2]),
        // slapd gives up what runs when a bind comes (RFC 4511, section 4.2.1).
        begin("timing: a bind while something runs")
            .send(slow())
            .ask(read(ALICE))
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i())
            .ask(slow()),
        begin("timing: a bind that fails while something runs")
            .send(slow())
            .ask(read(ALICE))
            .ask(bind(ALICE, "wrong"))
            .ask(who_am_i())
            .ask(slow()),
        begin("timing: a bind under the id of what a bind has given up")
            .send(slow())
            .ask(read(ALICE))
            .ask(bind(ALICE, "alice-secret"))
            .ask_as(2, bind(BOB, "bob-secret"))
            .ask_as(9, who_am_i()),
        begin("timing: a bind under the id of what runs")
            .send(slow())
            .octets(bind(ALICE, "alice-secret").message(2))
            .frames(2)
            .by_design(
                "which answer belonged to which of the two could not be told; RFC 4511, section 4.1.1.1, forbids it",
                &[answer(1, 0x61, 0, ""), notice(2, "a bind whose message id is in use")],
            ),
        begin("timing: a request under the id of what runs")
            .send(slow())
            .octets(who_am_i().message(2))
            .frames(2)
            .by_design(
                "which answer belonged to which of the two could not be told; RFC 4511, section 4.1.1.1, forbids it",
                &[answer(1, 0x61, 0, ""), notice(2, "a message id that is in use")],
            ),
        begin("timing: two connections at the same time")
            .send(slow())
            .on(1)
            .manager()
            .ask(read(ALICE))
            .on(0)
            .ask(read(BOB))
            .wait([2]),
    ]
}

fn given_up() -> Vec<Case> {
    vec![
        begin("timing: abandon of what runs").send(slow()).ask(read(ALICE)).send(abandon(2)).ask(slow()),
        begin("timing: abandon right behind the request")
            .octets([slow().message(2), abandon(2).message(3)].concat())
            .ask_as(4, slow()),
        begin("timing: abandon of what there is not").send(abandon(77)).ask(who_am_i()),
        begin("timing: abandon of itself").send(abandon(2)).ask(who_am_i()),
        begin("timing: abandon of an abandoned")
            .send(slow())
            .ask(read(ALICE))
            .send(abandon(2))
            .send(abandon(2))
            .ask(slow()),
        begin("timing: abandon as the first message").dropped_first(),
        // slapd may forget an operation a moment after it has answered it.
        begin("timing: cancel of what is finished").ask(read(ALICE)).ask(slow()).ask(cancel(2)),
        begin("timing: cancel of what runs").send(slow()).ask(read(ALICE)).ask(cancel(2)).wait([2]).per_id(),
        begin("timing: unbind while something runs").send(slow()).ask(read(ALICE)).octets(unbind().message(9)).closed(),
        begin("timing: half-closed while something runs").send(slow()).ask(read(ALICE)).half_close().closed(),
        begin("timing: half-closed with everything answered").ask(read(ALICE)).half_close().closed(),
        begin("timing: requests behind an unbind")
            .octets([unbind().message(2), who_am_i().message(3)].concat())
            .closed(),
        Case::new("timing: unbind as the first message").octets(unbind().message(1)).closed(),
        Case::new("timing: half-closed before anything").octets(Octets::new()).half_close().closed(),
    ]
}

impl Case {
    fn dropped_first(self) -> Self {
        Self::new(self.name).send(abandon(5)).ask(who_am_i())
    }
}

fn cut_short() -> Vec<Case> {
    let whole = |name: &str| begin(name).ask(search(BASE).attributes(&["*", "+"])).on(1).manager();
    vec![
        whole("timing: abandon in the middle of an answer")
            .send(search(BASE).attributes(&["*", "+"]))
            .frames(20)
            .send(abandon(2))
            .ask(slow())
            .cut_short(2),
        whole("timing: unbind in the middle of an answer")
            .send(search(BASE).attributes(&["*", "+"]))
            .frames(20)
            .octets(unbind().message(3))
            .closed()
            .cut_short(2),
        whole("timing: half-closed in the middle of an answer")
            .send(search(BASE).attributes(&["*", "+"]))
            .frames(20)
            .half_close()
            .closed()
            .cut_short(2),
    ]
}

fn pipelines() -> Vec<Case> {
    let many = |count: i64, op: &dyn Fn(i64) -> Op| (0..count).map(|nth| op(nth).message(nth + 2)).collect::<Vec<_>>();
    let names = ["alice", "bob", "carol", "dave", "erin"];
    let person = |nth: i64| {
        let uid = names[usize::try_from(nth).unwrap() % names.len()];
        search(BASE).filter(super::super::request::equal("uid", uid)).into()
    };
    let mixed = |nth: i64| match nth % 4 {
        0 => person(nth),
        1 => who_am_i(),
        2 => super::super::request::compare(BOB, "uid", "bob"),
        _ => read(LAB).into(),
    };
    let packet: Octets = many(5, &mixed).concat();
    vec![
        begin("pipeline: 100 searches in one packet").octets(many(100, &person).concat()).wait(2..102).per_id(),
        begin("pipeline: 100 of several kinds in one packet").octets(many(100, &mixed).concat()).wait(2..102).per_id(),
        begin("pipeline: 500 of several kinds in one packet").octets(many(500, &mixed).concat()).wait(2..502).per_id(),
        begin("pipeline: each octet in a packet of its own").trickle(packet).wait(2..7).per_id(),
        Case::new("pipeline: a bind, each octet in a packet of its own")
            .trickle(bind(ALICE, "alice-secret").message(1))
            .wait([1])
            .ask_as(2, who_am_i()),
    ]
}
