use portcullis_core::channel::Told;
use tokio::net::TcpListener;

use super::*;
use crate::text::tests::notice;

fn origin() -> Origin {
    Origin { host: "gate1".to_owned(), process: 7 }
}

fn of(login: &str, text: &str) -> String {
    message(&notice(login, text), Facility::AuthPriv, &origin())
}

fn options(port: u16, transport: Transport) -> SyslogOptions {
    SyslogOptions { host: "127.0.0.1".to_owned(), port, transport, facility: Facility::Local(3), ca_file: None }
}

#[test]
fn a_message_is_one_of_rfc_5424() {
    assert_eq!(
        of("alice", "Second factor denied"),
        "<83>1 2027-01-15T08:00:00.123Z gate1 portcullis 7 incident.opened [portcullis@32473 id=\"msg_7_1\" \
         event=\"00000000-0000-0000-0000-000000000007\" incident=\"00000000-0000-0000-0000-000000000009\" \
         severity=\"high\" account=\"alice-id\" login=\"alice\" source=\"second-factor\" \
         link=\"https://portcullis.example.com/incidents/9\"] \u{feff}Incident opened (high): alice: Second factor denied"
    );
}

#[test]
fn nothing_breaks_out_of_a_value_or_a_line() {
    let text = of("eve\"] <0>1 - root\n\\", "x\n<0>1 forged\0\u{2028}y");
    assert!(text.contains(r#"login="eve\"\] <0>1 - root \\""#), "{text}");
    assert!(!text.contains(['\n', '\r', '\0', '\u{2028}']), "{text}");
    // What is not escaped ends the element exactly once.
    let mut ends = 0;
    let mut characters = text.split_once('[').unwrap().1.split('\u{feff}').next().unwrap().chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            ']' => ends += 1,
            _ => {}
        }
    }
    assert_eq!(ends, 1, "{text}");
}

#[test]
fn messages_are_bounded_and_cut_between_letters() {
    let text = of(&"ä\"".repeat(5_000), &"ö".repeat(5_000));
    assert!(text.len() <= LONGEST, "{}", text.len());
    assert!(text.contains("] \u{feff}Incident opened"), "the structured data is whole: {text}");
}

#[test]
fn severities_and_facilities_have_their_numbers() {
    let with = |kind, severity| {
        let before = notice("alice", "text");
        Notice { told: Told { kind, severity, ..before.told.clone() }, ..before }
    };
    for (kind, given, wanted) in [
        (NoticeKind::IncidentOpened, Some(Severity::Critical), 2),
        (NoticeKind::IncidentRaised, Some(Severity::Medium), 4),
        (NoticeKind::IncidentOpened, Some(Severity::Low), 5),
        (NoticeKind::IncidentResolved, Some(Severity::Critical), 5),
        (NoticeKind::Policy, None, 4),
        (NoticeKind::Test, None, 6),
    ] {
        assert_eq!(severity(&with(kind, given)), wanted, "{kind:?}");
    }
    assert_eq!([Facility::Auth, Facility::AuthPriv, Facility::Local(7)].map(Facility::number), [4, 10, 23]);
    assert_eq!(field("höst name", 255), "hstname");
    assert_eq!(field("", 255), "-");
}

#[tokio::test]
async fn a_connection_carries_the_length_and_the_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let syslog = Syslog::new(&options(listener.local_addr().unwrap().port(), Transport::Tcp)).unwrap();
    let heard = tokio::spawn(async move {
        let mut text = String::new();
        listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
        text
    });
    let notice = notice("älice", "text");
    assert_eq!(syslog.send(&notice).await, Ok(()));
    let heard = heard.await.unwrap();
    let (length, rest) = heard.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), rest.len());
    assert_eq!(rest, message(&notice, Facility::Local(3), &syslog.origin));
}

#[tokio::test]
async fn a_collector_that_is_away_is_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let syslog = Syslog::new(&options(port, Transport::Tcp)).unwrap();
    assert!(matches!(syslog.send(&notice("a", "b")).await, Err(ChannelError::Later { .. })));
    assert!(syslog.check().await.is_err());
}

#[tokio::test]
async fn a_datagram_is_one_message() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let syslog = Syslog::new(&options(socket.local_addr().unwrap().port(), Transport::Udp)).unwrap();
    let notice = notice("alice", "text");
    assert_eq!(syslog.send(&notice).await, Ok(()));
    let mut room = [0; 4_096];
    let length = socket.recv(&mut room).await.unwrap();
    assert_eq!(std::str::from_utf8(&room[..length]).unwrap(), message(&notice, Facility::Local(3), &syslog.origin));
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_is_passed_over() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // Nobody connects to a broadcast address without asking for it (EACCES).
    let addresses = ["255.255.255.255:514".parse().unwrap(), socket.local_addr().unwrap()];
    send_datagram(addresses, "text").await.unwrap();
    let mut room = [0; 16];
    assert_eq!(socket.recv(&mut room).await.unwrap(), 4);
    send_datagram([addresses[0]], "text").await.unwrap_err();
    send_datagram([], "text").await.unwrap_err();
}
