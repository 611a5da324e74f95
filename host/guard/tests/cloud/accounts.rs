//! Whose a cloud account is, and whether a directory account has one.

use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_core::cloud::{CloudAccountStore as _, CloudMatch, CloudOverride, MatchedBy};
use portcullis_core::event::{AdministrationEvent, Event};
use portcullis_core::{AccountId, ConnectorName, EventId, Timestamp};
use portcullis_guard::cloud::OnBlock;

use super::service::*;

async fn tell(cloud: &Stage, cursor: &str, id: &str, identities: &[&str]) -> String {
    let mut event = sign_in(id, cloud.now().0, "198.51.100.7");
    event.identities = identities.iter().map(|name| (*name).to_owned()).collect();
    cloud.service.tell(cursor, vec![event]);
    cloud.settle().await;
    cloud.scene.last().access.account.map_or_else(|| "nobody".to_owned(), |account| account.id.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_cloud_account_without_a_twin_is_an_account_too() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    assert_eq!(tell(&cloud, "c1", "e1", &["00u9", "bob@example.com"]).await, "okta:00u9");
    assert_eq!(cloud.scene.last().access.account.unwrap().login, "bob@example.com");
    assert_eq!(tell(&cloud, "c2", "e2", &[]).await, "nobody");
    assert_eq!(tell(&cloud, "c3", "e3", &["00u1", "alice@example.com"]).await, "alice-id");
    let twins = cloud.store.twins.lock().unwrap();
    let matches: Vec<_> = twins.values().map(|twin| twin.matches.first().map(|found| found.by)).collect();
    assert_eq!(matches, [Some(MatchedBy::Mail), None]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_belongs_to_nobody_until_a_person_decides() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    cloud.scene.world.two_alices.store(true, Ordering::SeqCst);
    let (source, names) = (ConnectorName::new("okta"), ["00u1", "alice@example.com"]);
    assert_eq!(tell(&cloud, "c1", "e1", &names).await, "okta:00u1");
    let twin = cloud.store.cloud_accounts().await.unwrap().remove(0);
    assert!(twin.is_contested());
    let alice = twin.matches.iter().find(|found| found.account.as_str() == "alice-id").unwrap().clone();
    let decide = |account: Option<CloudMatch>| {
        let event = Event::Administration(AdministrationEvent {
            id: EventId(uuid::Uuid::from_u128(7)),
            at: Timestamp(7),
            actor: "ada".to_owned(),
            action: "cloud-account-linked".to_owned(),
            detail: String::new(),
        });
        let decision = CloudOverride { account, person: "ada".to_owned(), at: Timestamp(7) };
        let (store, source) = (cloud.store.clone(), source.clone());
        async move { store.decide_cloud_account(&source, "00u1", Some(decision), event).await.unwrap() }
    };
    // Another process has written it: the gateway finds it within a minute or so.
    assert!(decide(Some(CloudMatch { by: MatchedBy::Person, ..alice })).await);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(tell(&cloud, "c2", "e2", &names).await, "alice-id");
    cloud.scene.world.two_alices.store(false, Ordering::SeqCst);
    assert!(decide(None).await);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(tell(&cloud, "c3", "e3", &names).await, "okta:00u1", "a person's no wins over the names");
}

#[tokio::test(start_paused = true)]
async fn a_bind_does_not_wait_for_the_service_and_the_next_one_knows() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    let enabled = |cloud: &Stage| cloud.scene.last().access.account.unwrap().cloud_enabled;
    cloud.service.accounts.lock().unwrap().push(cloud_account("00u1", "alice@example.com", true));
    cloud.scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(enabled(&cloud), None);
    cloud.settle().await;
    cloud.scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(enabled(&cloud), Some(true));
    assert_eq!(cloud.service.looked_up.lock().unwrap().len(), 1);
    // Suspended there: what was known counts until the service is asked again, an hour later.
    *cloud.service.accounts.lock().unwrap() = vec![cloud_account("00u1", "alice@example.com", false)];
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    cloud.scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(enabled(&cloud), Some(true));
    cloud.settle().await;
    cloud.scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(enabled(&cloud), Some(false));
}

#[tokio::test(start_paused = true)]
async fn no_account_there_is_known_as_well_and_survives_a_restart() {
    let cloud = cloud(vec![], OnBlock::EndSessions);
    // By the short name alone the service finds somebody else's.
    cloud.service.accounts.lock().unwrap().push(cloud_account("00u5", "alice", true));
    cloud.service.accounts.lock().unwrap()[0].attributes.clear();
    cloud.service.accounts.lock().unwrap()[0].login = "alice@elsewhere.example".to_owned();
    cloud.scene.bind("10.0.0.1").await.unwrap();
    cloud.settle().await;
    let _again = cloud.restart().await;
    cloud.settle().await;
    cloud.scene.bind("10.0.0.1").await.unwrap();
    assert_eq!(cloud.scene.last().access.account.unwrap().cloud_enabled, Some(false));
    let without = cloud.store.without.lock().unwrap();
    assert_eq!(without[0].1, AccountId::new("alice-id"));
}
