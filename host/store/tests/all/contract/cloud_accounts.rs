use portcullis_core::cloud::{CloudMatch, CloudOverride, CloudTwin, MatchedBy};
use portcullis_core::source::CloudAccount;
use portcullis_core::{AccountId, ConnectorName, Timestamp};

use super::*;
use crate::sample::administration;

fn twin(id: &str, status: &str) -> CloudTwin {
    let account = CloudAccount {
        id: id.to_owned(),
        login: format!("{id}@example.com"),
        mail: None,
        status: status.to_owned(),
        enabled: true,
        applications: vec!["Wiki".to_owned()],
        factors: vec![],
        attributes: vec![],
    };
    let found = CloudMatch {
        account: AccountId::new("alice-id"),
        login: "alice".to_owned(),
        name: "uid=alice".to_owned(),
        by: MatchedBy::Mail,
    };
    CloudTwin {
        source: ConnectorName::new("okta"),
        account,
        asked_at: Some(Timestamp(5)),
        matches: vec![found],
        decided: None,
    }
}

pub async fn a_person_s_word_outlives_what_is_found<P: Place>(place: &P) {
    let store = place.open().await;
    let (source, alice) = (ConnectorName::new("okta"), AccountId::new("alice-id"));
    store.put_without_cloud_account(&source, &alice, Timestamp(3)).await.unwrap();
    assert_eq!(store.without_cloud_account().await.unwrap(), [(source.clone(), alice, Timestamp(3))]);
    store.put_cloud_account(&twin("00u1", "ACTIVE")).await.unwrap();
    assert_eq!(store.without_cloud_account().await.unwrap(), [], "she has one now");
    let decision = CloudOverride { account: None, person: "ada".to_owned(), at: Timestamp(9) };
    let decide = |id: &'static str, decision: Option<CloudOverride>, event| {
        let (store, source) = (store.clone(), source.clone());
        async move { store.decide_cloud_account(&source, id, decision, administration(event)).await.unwrap() }
    };
    assert!(decide("00u1", Some(decision.clone()), 1).await);
    assert!(!decide("00u2", Some(decision.clone()), 2).await, "there is no such account");
    store.put_cloud_account(&twin("00u1", "SUSPENDED")).await.unwrap();
    P::close(store.clone()).await;
    let store = place.open().await;
    let expected = CloudTwin { decided: Some(decision), ..twin("00u1", "SUSPENDED") };
    assert_eq!(store.cloud_accounts().await.unwrap(), [expected]);
    assert_eq!(store.recent(None, 9).await.unwrap().len(), 1, "what was not decided is not told");
    assert!(store.decide_cloud_account(&source, "00u1", None, administration(3)).await.unwrap());
    assert_eq!(store.cloud_accounts().await.unwrap(), [twin("00u1", "SUSPENDED")]);
}
