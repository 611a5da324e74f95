//! What messages say.

use std::fmt::Write as _;

use jiff::Timestamp as Moment;
use portcullis_core::Timestamp;
use portcullis_core::channel::{Notice, NoticeKind, SummedUp, Told};
use portcullis_core::policy::Severity;

/// Octets of a title or of what a policy says.
pub(crate) const LONGEST_TEXT: usize = 1_000;
/// Octets of a name.
pub(crate) const LONGEST_NAME: usize = 200;
/// Octets of a subject.
const LONGEST_SUBJECT: usize = 200;

/// A text as one line of at most `most` octets in which nothing hides: no control characters and line breaks of any kind, none
/// of the marks that turn the direction of writing or take no room (Unicode Technical Report 36, section 2.6), and neither a
/// scheme nor a `www.`, by which mail programs know what to make a link of. Attackers choose their names.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    let mut was_space = true;
    for c in text.chars() {
        let c = match c {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' => {
                continue;
            }
            '\u{61c}' | '\u{180e}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}' => continue,
            '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        };
        if c == ' ' && was_space {
            continue;
        }
        was_space = c == ' ';
        out.push(c);
    }
    let out = without_links(out.trim_end());
    if out.len() <= most {
        return out;
    }
    let room = out.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", out.get(..room).unwrap_or_default())
}

fn without_links(text: &str) -> String {
    let mut rest = text.replace("://", "[:]//");
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.to_ascii_lowercase().find("www.") {
        let behind = rest.split_off(at + "www.".len());
        rest.pop();
        out.push_str(&rest);
        out.push_str("[.]");
        rest = behind;
    }
    out + &rest
}

/// RFC 3339, in UTC, with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    let moment = i64::try_from(at.0).ok().and_then(|ms| Moment::from_millisecond(ms).ok());
    moment.map(|moment| format!("{moment:.3}")).unwrap_or_default()
}

pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// The name of the kind for programs, parts joined by a dot as Standard Webhooks has it.
pub(crate) fn event_type(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Policy => "policy.notified",
        NoticeKind::IncidentOpened => "incident.opened",
        NoticeKind::IncidentRaised => "incident.raised",
        NoticeKind::IncidentReopened => "incident.reopened",
        NoticeKind::IncidentResolved => "incident.resolved",
        NoticeKind::SumUp => "notices.summed-up",
        NoticeKind::Test => "channel.tested",
    }
}

fn words(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Policy => "Policy",
        NoticeKind::IncidentOpened => "Incident opened",
        NoticeKind::IncidentRaised => "Incident raised",
        NoticeKind::IncidentReopened => "Incident reopened",
        NoticeKind::IncidentResolved => "Incident resolved",
        NoticeKind::SumUp => "Summed up",
        NoticeKind::Test => "Test",
    }
}

/// One line that says it all.
pub(crate) fn summary(notice: &Notice) -> String {
    let text = match &notice.summed_up {
        Some(sum) => {
            let highest = notice.told.severity.map(|it| format!(", the highest {}", severity(it)));
            format!("{} things to tell at once{}", sum.count, highest.unwrap_or_default())
        }
        None => short(&notice.told),
    };
    line(&text, LONGEST_SUBJECT)
}

fn short(told: &Told) -> String {
    let (kind, text) = (words(told.kind), line(&told.text, LONGEST_TEXT));
    let login = line(&told.login, LONGEST_NAME);
    match told.kind {
        NoticeKind::Test => format!("{kind}: {text}"),
        NoticeKind::Policy => format!("{}: {login}: {text}", line(&told.source, LONGEST_NAME)),
        _ => {
            let severity = told.severity.map(severity).unwrap_or_default();
            format!("{kind} ({severity}): {login}: {text}")
        }
    }
}

/// The whole message as plain text. Each value stands on one line.
pub(crate) fn body(notice: &Notice) -> String {
    let mut out = String::new();
    match &notice.summed_up {
        Some(sum) => sum_up(&mut out, sum),
        None => details(&mut out, notice),
    }
    if let Some(until) = notice.silent_until {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\nThis channel has got as many messages as it takes in an hour. What comes before {} ",
            time(until)
        );
        out.push_str("is summed up then.\n");
    }
    out.push_str("\nSent by Portcullis. Names and titles can have been chosen by an attacker.\n");
    out
}

fn details(out: &mut String, notice: &Notice) {
    let told = &notice.told;
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<11}{value}");
        }
    };
    row("What:", words(told.kind));
    row("Text:", &line(&told.text, LONGEST_TEXT));
    row("Severity:", told.severity.map(severity).unwrap_or_default());
    if told.kind != NoticeKind::Test {
        row("Account:", &line(&told.login, LONGEST_NAME));
        row("By:", &line(&told.source, LONGEST_NAME));
    }
    row("At:", &time(told.at));
    if told.kind != NoticeKind::Test {
        row("Event:", &told.event.to_string());
    }
    if let Some(id) = told.incident {
        row("Incident:", notice.link.as_deref().unwrap_or(&id.to_string()));
    }
}

fn sum_up(out: &mut String, sum: &SummedUp) {
    let _ = writeln!(out, "There were {} things to tell at once:\n", sum.count);
    let mut kept = 0;
    for (kind, count) in &sum.kinds {
        kept += count;
        let _ = writeln!(out, "  {count:>6} × {}", words(*kind));
    }
    let lost = sum.count.saturating_sub(kept);
    if lost > 0 {
        let _ = writeln!(out, "  {lost:>6} × more, of which only the number was kept");
    }
    let _ = writeln!(out, "\nThe first of them:\n");
    for told in &sum.first {
        let _ = writeln!(out, "  {} {}", time(told.at), short(told));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use portcullis_core::{AccountId, EventId, IncidentId};
    use uuid::Uuid;

    use super::*;

    pub(crate) fn notice(login: &str, text: &str) -> Notice {
        let told = Told {
            kind: NoticeKind::IncidentOpened,
            at: Timestamp(1_800_000_000_123),
            event: EventId(Uuid::from_u128(7)),
            incident: Some(IncidentId(Uuid::from_u128(9))),
            severity: Some(Severity::High),
            account: AccountId::new("alice-id"),
            login: login.to_owned(),
            source: "second-factor".to_owned(),
            text: text.to_owned(),
        };
        let link = Some("https://portcullis.example.com/incidents/9".to_owned());
        Notice { id: "msg_7_1".to_owned(), told, summed_up: None, link, silent_until: None }
    }

    #[test]
    fn a_line_is_one_line_and_hides_nothing() {
        for (given, wanted) in [
            ("plain", "plain"),
            ("a\r\nBcc: eve@example.com", "a Bcc: eve@example.com"),
            ("a\u{2028}b\u{85}c\u{b}d\0e", "a b c d e"),
            ("ab\u{202e}cd\u{2066}e\u{200b}f\u{feff}", "abcdef"),
            ("see https://evil.example/x", "see https[:]//evil.example/x"),
            ("  much \t  room  ", "much room"),
            ("ht\u{200b}tp:\u{200b}//x", "http[:]//x"),
            ("see www.evil.example or WwW.evil.example", "see www[.]evil.example or WwW[.]evil.example"),
            ("http:\u{fe0f}//x, ww\u{180e}w.y", "http[:]//x, www[.]y"),
            ("a\u{61c}b\u{e0041}c\u{fe00}d", "abcd"),
        ] {
            assert_eq!(line(given, 100), wanted, "{given:?}");
        }
        assert_eq!(line("häuser", 5), "h…");
        assert!(line(&"ä".repeat(500), 99).len() <= 99);
    }

    #[test]
    fn a_body_has_a_line_for_each_value_and_no_other() {
        let body = body(&notice("eve\nSeverity: low", "x\r\n\r\nAll is well\u{2029}Incident: none"));
        let first: Vec<_> = body.lines().take(7).collect();
        assert_eq!(
            first,
            [
                "What:      Incident opened",
                "Text:      x All is well Incident: none",
                "Severity:  high",
                "Account:   eve Severity: low",
                "By:        second-factor",
                "At:        2027-01-15T08:00:00.123Z",
                "Event:     00000000-0000-0000-0000-000000000007",
            ]
        );
        assert!(
            body.contains("https://portcullis.example.com/incidents/9"),
            "the console's own address is one: {body}"
        );
    }

    #[test]
    fn a_sum_up_counts_what_was_not_kept_too() {
        let mut notice = notice("alice", "first");
        let first = vec![notice.told.clone()];
        notice.told.kind = NoticeKind::SumUp;
        let kinds = vec![(NoticeKind::IncidentOpened, 3), (NoticeKind::Policy, 1)];
        notice.summed_up = Some(SummedUp { count: 9, kinds, first });
        assert_eq!(summary(&notice), "9 things to tell at once, the highest high");
        let body = body(&notice);
        for part in ["3 × Incident opened", "5 × more", "Incident opened (high): alice: first"] {
            assert!(body.contains(part), "{part}: {body}");
        }
    }
}
