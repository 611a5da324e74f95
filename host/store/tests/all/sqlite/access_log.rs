//! The log as backtests read it.

use portcullis_core::Timestamp;
use portcullis_core::backtest::AccessLog as _;
use portcullis_core::event::{Event, Record};
use portcullis_core::store::{EventStore as _, Sequence};

use super::Folder;
use crate::contract::Place as _;
use crate::sample::{access, administration, event_id, summary};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accesses_come_in_their_order_and_nothing_else_does() {
    let place = Folder::new().await;
    let store = place.open().await;
    let events: Vec<Event> = (1..=30)
        .map(|number| match number % 3 {
            0 => administration(number),
            1 => access(number, "mia"),
            _ => summary(number, "mia"),
        })
        .collect();
    for event in events {
        store.append(Record { event, learned: None, incidents: Vec::new() }).await.unwrap();
    }
    let mut reader = store.reader().unwrap();
    let ids = |found: Vec<portcullis_core::backtest::RecordedAccess>| -> Vec<_> {
        found.into_iter().map(|recorded| recorded.access.id).collect()
    };
    let all = ids(reader.accesses(Sequence(0), Sequence(30)).unwrap());
    assert_eq!(all, (1..=28).step_by(3).map(event_id).collect::<Vec<_>>());
    let mut pages = Vec::new();
    for after in (0..30).step_by(7) {
        pages.extend(ids(reader.accesses(Sequence(after), Sequence(after + 7)).unwrap()));
    }
    assert_eq!(pages, all, "pages meet");
    let Event::Access(stored) = access(4, "mia") else { unreachable!("an access") };
    let read = reader.accesses(Sequence(3), Sequence(4)).unwrap().remove(0);
    assert_eq!((&read.access, read.decision, &read.challenges), (&stored.access, stored.decision, &stored.challenges));
    assert_eq!(read.rulings[0].verdict, stored.rulings[0].verdict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_has_its_place_in_the_log() {
    let place = Folder::new().await;
    let store = place.open().await;
    assert_eq!(store.extent(Timestamp(0)).unwrap(), (Sequence(0), Sequence(0)));
    for number in 1..=50 {
        // At 1,002, 1,004, ...
        let record = Record { event: access(2 * number, "mia"), learned: None, incidents: Vec::new() };
        store.append(record).await.unwrap();
    }
    for (since, before) in
        [(0, 0), (1_002, 0), (1_003, 1), (1_004, 1), (1_050, 24), (1_100, 49), (1_101, 50), (9_999, 50)]
    {
        assert_eq!(store.extent(Timestamp(since)).unwrap(), (Sequence(before), Sequence(50)), "since {since}");
    }
}
