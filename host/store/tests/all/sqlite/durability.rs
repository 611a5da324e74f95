use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use portcullis_core::EventId;
use portcullis_core::store::EventStore as _;
use portcullis_store::{Store, StoreOptions};

use super::Folder;
use crate::sample::{event_id, record};

/// Set in the child: path of the database, and a number that its ids begin with.
const CHILD: &str = "PORTCULLIS_STORE_TEST_CHILD";
const ROUNDS: u128 = 3;

/// Runs this test a second time as a child that appends and says what was acknowledged, and kills it in the middle.
#[test]
fn what_was_acknowledged_survives_a_kill() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Ok(task) = std::env::var(CHILD) {
        return runtime.block_on(append_until_killed(&task));
    }
    let folder = Folder::create();
    let mut acknowledged: Vec<EventId> = vec![];
    for round in 0..ROUNDS {
        // Each round is killed at another place, and goes on with the database as the last one left it.
        let wanted = 60 + 50 * usize::try_from(round).unwrap();
        acknowledged.extend(run_child_and_kill(&folder, round, wanted));
        runtime.block_on(async {
            let store = folder.store().await;
            let stored = store.recent(None, u32::MAX).await.unwrap();
            for id in &acknowledged {
                assert_eq!(stored.iter().filter(|stored| stored.event.id() == *id).count(), 1, "{id}");
            }
            let report = store.verify().await.unwrap();
            assert_eq!((report.damage, report.events), (None, stored.len() as u64));
            store.close().await;
        });
    }
}

fn run_child_and_kill(folder: &Folder, round: u128, wanted: usize) -> Vec<EventId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "sqlite::durability::what_was_acknowledged_survives_a_kill"])
        .env(CHILD, format!("{round}:{}", folder.path().display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let acknowledgement = |line: String| line.strip_prefix("stored ").and_then(|id| id.parse().ok());
    let mut ids: Vec<EventId> = lines.by_ref().filter_map(acknowledgement).take(wanted).collect();
    // SIGKILL: nothing is flushed, closed or rolled back.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ids.len(), wanted, "the child ended by itself");
    // It went on between the last line that was read and its end. A line that was cut off is no id.
    ids.extend(lines.filter_map(acknowledgement));
    ids
}

async fn append_until_killed(task: &str) {
    let (round, path) = task.split_once(':').unwrap();
    let round: u128 = round.parse().unwrap();
    let store = Store::open(StoreOptions::new(path)).await.unwrap();
    let writers: Vec<_> = (0..8_u128)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                // The end is only there so that a child that nobody kills does not stay for ever.
                for number in 0..20_000_u128 {
                    let number = (round << 64) | (writer << 32) | number;
                    store.append(record(number)).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "stored {}", event_id(number)).unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}
