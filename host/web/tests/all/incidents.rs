//! The page of an incident.

use portcullis_core::Timestamp;
use portcullis_core::incident::{IncidentState, IncidentVerdict};
use portcullis_core::policy::Severity;

use crate::stage::{Stage, header};
use crate::support::{BEGIN, sample};

#[tokio::test]
async fn a_person_takes_gives_back_resolves_and_reopens_on_record() {
    let stage = Stage::new().await;
    let incident = sample::incident(1, "bob", Severity::High, "Second factor denied", Timestamp(BEGIN));
    stage.world.store.put_incident(incident.clone());
    let browser = stage.signed_in().await;
    let (csrf, path) = (browser.csrf().await, format!("/incidents/{}", incident.id));
    assert!(browser.text("/activity").await.contains(&format!("href=\"{path}\"")), "Activity leads to it");
    let now = || stage.world.store.incident(incident.id);
    let post = async |action: &str, more: &str| {
        let answer = browser.post(&format!("{path}/{action}"), &format!("csrf={csrf}{more}")).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, path.clone()), "{action}");
    };
    post("take", "").await;
    assert_eq!((now().state, now().assignee.as_deref()), (IncidentState::InProgress, Some("admin")));
    post("release", "").await;
    assert_eq!((now().state, now().assignee), (IncidentState::Open, None));
    post("resolve", "&verdict=false-positive").await;
    assert_eq!((now().state, now().verdict), (IncidentState::Resolved, Some(IncidentVerdict::FalsePositive)));
    assert!(browser.text(&path).await.contains("as false positive"));
    post("reopen", "").await;
    assert_eq!((now().state, now().verdict), (IncidentState::Open, None));
    let actions: Vec<_> = stage.world.store.administration().into_iter().skip(1).map(|event| event.action).collect();
    assert_eq!(actions, ["incident-taken", "incident-released", "incident-resolved", "incident-reopened"]);
    // What cannot be done is not on record.
    post("release", "").await;
    assert_eq!(stage.world.store.administration().len(), 5);
    let wrong = browser.post(&format!("{path}/resolve"), &format!("csrf={csrf}&verdict=perhaps")).await;
    assert_eq!(wrong.status(), 400);
    assert_eq!(now().state, IncidentState::Open);
}

#[tokio::test]
async fn notes_are_shown_as_text_and_bounded() {
    let stage = Stage::new().await;
    let hostile = "<script>alert(1)</script>\"'>";
    let incident = sample::incident(1, hostile, Severity::Low, hostile, Timestamp(BEGIN));
    stage.world.store.put_incident(incident.clone());
    let browser = stage.signed_in().await;
    let (csrf, path) = (browser.csrf().await, format!("/incidents/{}", incident.id));
    let note = |text: &str| format!("csrf={csrf}&text={text}");
    let written = note("%3Cscript%3Ealert(1)%3C%2Fscript%3E%0Aand+more");
    assert_eq!(browser.post(&format!("{path}/note"), &written).await.status(), 303);
    for wrong in [String::new(), "+%0A".to_owned(), "a%00b".to_owned(), "x".repeat(4_001)] {
        assert_eq!(browser.post(&format!("{path}/note"), &note(&wrong)).await.status(), 400, "{wrong:.9}");
    }
    let page = browser.text(&path).await;
    assert!(!page.contains("<script>alert") && !page.contains("\"'>"), "{page}");
    assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 3, "login, title and note: {page}");
    let report = browser.json(&format!("/api/v1{path}")).await;
    assert_eq!(report["history"][0]["step"], "noted");
    assert_eq!(report["history"][0]["person"], "admin");
    assert_eq!(report["incident"]["source"], "unusual-endpoint");
    assert_eq!(browser.get("/incidents/00000000-0000-0000-0000-000000000000").await.status(), 404);
    assert_eq!(browser.get("/incidents/x").await.status(), 404);
}
