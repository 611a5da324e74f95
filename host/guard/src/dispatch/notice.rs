//! From rows of the outbox to messages.

use portcullis_core::channel::{Notice, NoticeKind, SummedUp, Told, Waiting};
use portcullis_core::{AccountId, EventId, Timestamp};

/// Things of a sum-up that are told one by one.
const FIRST: usize = 20;

/// A message with one thing to tell.
pub(super) fn single(row: &Waiting, console: Option<&str>, silent_until: Option<Timestamp>) -> Notice {
    let told = &row.told;
    let link = console.zip(told.incident).map(|(console, incident)| format!("{console}/incidents/{incident}"));
    Notice {
        id: format!("msg_{}_{}", told.event.0.simple(), row.number),
        told: told.clone(),
        summed_up: None,
        link,
        silent_until,
    }
}

/// One with many; none where there are none.
pub(super) fn sum_up(rows: &[Waiting], left_out: u64, silent_until: Option<Timestamp>) -> Option<Notice> {
    let last = rows.last()?;
    let kinds = NoticeKind::ALL.iter().filter_map(|(kind, _)| {
        let count = rows.iter().filter(|row| row.told.kind == *kind).count() as u64;
        (count > 0).then_some((*kind, count))
    });
    let summed_up = SummedUp {
        count: (rows.len() as u64).saturating_add(left_out),
        kinds: kinds.collect(),
        first: rows.iter().take(FIRST).map(|row| row.told.clone()).collect(),
    };
    let severity = rows.iter().filter_map(|row| row.told.severity).max();
    // Of many things, there is no one account and no one source.
    let told = Told {
        kind: NoticeKind::SumUp,
        at: last.told.at,
        event: last.told.event,
        incident: None,
        severity,
        account: AccountId::new(""),
        login: String::new(),
        source: String::new(),
        text: String::new(),
    };
    Some(Notice {
        id: format!("msg_{}_{}_all", told.event.0.simple(), last.number),
        told,
        summed_up: Some(summed_up),
        link: None,
        silent_until,
    })
}

/// The message by which a person sees whether a channel works.
#[must_use]
pub fn test_notice(person: &str, at: Timestamp, event: EventId) -> Notice {
    let told = Told {
        kind: NoticeKind::Test,
        at,
        event,
        incident: None,
        severity: None,
        account: AccountId::new("gateway"),
        login: person.to_owned(),
        source: "portcullis".to_owned(),
        text: format!("{person} wants to see whether this channel works. It does."),
    };
    Notice { id: format!("msg_{}_test", event.0.simple()), told, summed_up: None, link: None, silent_until: None }
}
