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
    // What cannot be done is not on record, and the page says why.
    let refused = async |action: &str| {
        let answer = browser.post(&format!("{path}/{action}"), &format!("csrf={csrf}")).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = refused("release").await;
    assert_eq!(status, 409);
    assert!(page.contains("Nothing was done: nobody works on the incident."), "{page}");
    assert!(refused("reopen").await.1.contains("Nothing was done: the incident is not resolved."));
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
        let answer = browser.post(&format!("{path}/note"), &note(&wrong)).await;
        assert_eq!(answer.status(), 422, "{wrong:.9}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("A note ") && page.contains(&wrong.replace("+%0A", "").replace("%00", "\0")), "{page}");
    }
    let page = browser.text(&path).await;
    assert!(!page.contains("<script>alert") && !page.contains("\"'>"), "{page}");
    assert_eq!(
        page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(),
        4,
        "title of both, login and note: {page}"
    );
    let report = browser.json(&format!("/api/v1{path}")).await;
    assert_eq!(report["history"][0]["step"], "noted");
    assert_eq!(report["history"][0]["person"], "admin");
    assert_eq!(report["incident"]["source"], "unusual-endpoint");
    assert_eq!(browser.get("/incidents/00000000-0000-0000-0000-000000000000").await.status(), 404);
    assert_eq!(browser.get("/incidents/x").await.status(), 404);
}

#[tokio::test]
async fn the_page_says_that_another_one_is_in_the_way_of_reopening() {
    let stage = Stage::new().await;
    let mut old = sample::incident(1, "bob", Severity::High, "Second factor denied", Timestamp(BEGIN));
    old.state = IncidentState::Resolved;
    stage.world.store.put_incident(old.clone());
    stage.world.store.put_incident(sample::incident(2, "bob", Severity::Low, "Again", Timestamp(BEGIN)));
    let browser = stage.signed_in().await;
    let answer =
        browser.post(&format!("/incidents/{}/reopen", old.id), &format!("csrf={}", browser.csrf().await)).await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.unwrap();
    assert!(page.contains("another incident of this account and source is open"), "{page}");
}

#[tokio::test]
async fn a_note_is_taken_as_long_as_its_field_and_no_more_of_them_than_there_is_room_for() {
    let stage = Stage::new().await;
    let incident = sample::incident(1, "bob", Severity::Low, "t", Timestamp(BEGIN));
    stage.world.store.put_incident(incident.clone());
    let browser = stage.signed_in().await;
    let (csrf, path) = (browser.csrf().await, format!("/incidents/{}/note", incident.id));
    for letter in ["%C3%A4", "%E5%AD%97"] {
        let answer = browser.post(&path, &format!("csrf={csrf}&text={}", letter.repeat(4_000))).await;
        assert_eq!(answer.status(), 303, "{letter}");
    }
    stage.world.store.has_all_notes.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = browser.post(&path, &format!("csrf={csrf}&text=what+was+typed")).await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.unwrap();
    assert!(page.contains("as many notes as one may have") && page.contains("\nwhat was typed</textarea>"), "{page}");
}

#[tokio::test]
async fn the_list_has_every_incident_on_some_page() {
    let stage = Stage::new().await;
    for number in 1..=120 {
        let severity = if number == 1 { Severity::Critical } else { Severity::Medium };
        let login = format!("user-{number}-");
        stage.world.store.put_incident(sample::incident(number, &login, severity, "t", Timestamp(BEGIN + number)));
    }
    let browser = stage.signed_in().await;
    let (mut path, mut pages) = ("/incidents".to_owned(), Vec::new());
    loop {
        let page = browser.text(&path).await;
        let next = page.split("href=\"/incidents?before=").nth(1).and_then(|rest| rest.split('"').next());
        let next = next.map(|before| format!("/incidents?before={before}"));
        pages.push(page);
        let Some(next) = next else { break };
        path = next;
    }
    assert_eq!(pages.len(), 3);
    assert!(pages[0].contains("120 open") && pages[0].contains("user-1-") && pages[0].contains("user-120-"));
    for number in 1..=120 {
        let login = format!(">user-{number}-<");
        assert_eq!(pages.iter().filter(|page| page.contains(&login)).count(), 1, "{login}");
    }
    assert_eq!(browser.get("/incidents?before=x").await.status(), 400);
    // From there, a button leads back to it.
    let id = sample::incident(7, "", Severity::Low, "t", Timestamp(BEGIN)).id;
    let body = format!("csrf={}&back=incidents", browser.csrf().await);
    assert_eq!(header(&browser.post(&format!("/incidents/{id}/resolve"), &body).await, "location"), "/incidents");
    let mut before = String::new();
    let mut listed = Vec::new();
    loop {
        let page = browser.json(&format!("/api/v1/incidents?limit=50{before}")).await;
        assert_eq!(page["open"], 119);
        listed.extend(page["incidents"].as_array().unwrap().clone());
        let Some(next) = page["next_before"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(
        (listed.len(), &listed[0]["severity"], &listed[119]["state"]),
        (120, &"critical".into(), &"resolved".into())
    );
}

#[tokio::test]
async fn programs_do_with_incidents_what_people_do() {
    let stage = Stage::new().await;
    let incident = sample::incident(1, "bob", Severity::Low, "t", Timestamp(BEGIN));
    stage.world.store.put_incident(incident.clone());
    let browser = stage.signed_in().await;
    let csrf = browser.csrf().await;
    let post = async |action: &str, more: &str| {
        let path = format!("/api/v1/incidents/{}/{action}", incident.id);
        let answer = browser.post(&path, &format!("csrf={csrf}{more}")).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (action, more) in
        [("take", ""), ("release", ""), ("note", "&text=x"), ("resolve", "&verdict=true-positive"), ("reopen", "")]
    {
        assert_eq!(post(action, more).await.0, 204, "{action}");
    }
    let (status, refused) = post("reopen", "").await;
    assert_eq!(status, 409);
    assert!(refused.contains("{\"error\":\"Nothing was done: the incident is not resolved.\"}"), "{refused}");
    assert_eq!(post("note", "&text=").await.0, 422);
    assert_eq!(post("resolve", "&verdict=x").await.0, 400);
    assert_eq!(stage.world.store.administration().len(), 6, "the sign-in and five more");
}
