//! Making exclusions while incidents are resolved, and undoing them.

use portcullis_core::exclusion::ExclusionError;
use portcullis_core::incident::{Incident, IncidentSource, IncidentState};
use portcullis_core::policy::Severity;
use portcullis_core::{AccountId, Timestamp};

use crate::stage::{Stage, header};
use crate::support::{BEGIN, sample};

fn detected(number: u64, name: &str) -> Incident {
    let incident = sample::incident(number, "bob", Severity::Critical, "Touched", Timestamp(BEGIN));
    Incident { source: IncidentSource::Detection(name.to_owned()), ..incident }
}

/// What a person ticks and types.
const FORM: &str = "detections=group&account=yes&network=10.1.9.0/24&until=2027-01-31&reason=An+audit.&sure=yes";

#[tokio::test]
async fn the_page_of_a_detections_incident_offers_the_narrowest_exclusion() {
    let stage = Stage::new().await;
    let trap = detected(1, "honeytoken");
    let machine = Incident { account: AccountId::new("address:10.1.9.3"), ..detected(2, "brute-force") };
    let policy_s = sample::incident(3, "bob", Severity::High, "Denied", Timestamp(BEGIN));
    let resolved = Incident { state: IncidentState::Resolved, ..detected(4, "honeytoken") };
    for incident in [&trap, &machine, &policy_s, &resolved] {
        stage.world.store.put_incident(incident.clone());
    }
    let browser = stage.signed_in().await;
    let page = async |incident: &Incident| browser.text(&format!("/incidents/{}", incident.id)).await;
    let offered = page(&trap).await;
    for part in [
        "value=\"10.1.9.3\"",
        "name=\"account\" value=\"yes\" checked",
        "value=\"detection\" checked",
        "<strong>Careful: </strong>",
        "name=\"sure\" value=\"yes\" required",
    ] {
        assert!(offered.contains(part), "{part} in {offered}");
    }
    for forbidden in ["<style", " style=", "onclick"] {
        assert!(!offered.contains(forbidden));
    }
    let of_machine = page(&machine).await;
    assert!(of_machine.contains("/exclude\"") && !of_machine.contains("name=\"account\""), "{of_machine}");
    assert!(!of_machine.contains("name=\"sure\""), "guessing is not grave");
    assert!(!page(&policy_s).await.contains("/exclude\""), "a policy's incident has none");
    assert!(!page(&resolved).await.contains("/exclude\""), "nor one that is resolved");
}

#[tokio::test]
async fn what_is_ticked_is_asked_for_and_what_is_refused_is_shown_with_it() {
    let stage = Stage::new().await;
    let trap = detected(1, "honeytoken");
    stage.world.store.put_incident(trap.clone());
    let browser = stage.signed_in().await;
    let (csrf, path) = (browser.csrf().await, format!("/incidents/{}", trap.id));
    let post = async |fields: &str| browser.post(&format!("{path}/exclude"), &format!("csrf={csrf}&{fields}")).await;
    let said = || stage.world.exclusions.said.lock().unwrap().clone();
    let answer = post(FORM).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, path.clone()));
    // The last day is the end of it.
    let expected = "admin: bob group true Some(\"10.1.9.0/24\") Some(1801440000000) \"An audit.\" true";
    assert_eq!(said(), [expected]);
    assert_eq!(post("detections=detection&reason=x&network=").await.status(), 303);
    assert_eq!(said()[1], "admin: bob detection false None None \"x\" false");

    for (wrong, why) in [
        ("detections=all&reason=x", "Choose the detection"),
        ("detections=group&reason=x&network=10.1", "“10.1” is no address"),
        ("detections=group&reason=x&until=31.01.2027", "“31.01.2027” is no day"),
    ] {
        let answer = post(wrong).await;
        assert_eq!(answer.status(), 409, "{wrong}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(why) && page.contains("<details class=\"exclude\" open"), "{page}");
    }
    *stage.world.exclusions.refusal.lock().unwrap() = Some(ExclusionError::Refused("Not <that>.".to_owned()));
    let page = post("detections=group&reason=%3Cb%3E&network=10.0.0.0/8").await.text().await.unwrap();
    for part in ["Not &lt;that&gt;.", "&lt;b&gt;</textarea>", "value=\"10.0.0.0/8\"", "value=\"group\" checked"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    *stage.world.exclusions.refusal.lock().unwrap() = Some(ExclusionError::TooLate);
    let late = post(FORM).await;
    assert_eq!(late.status(), 409);
    assert!(late.text().await.unwrap().contains("Nothing was done: the incident is resolved."));
    assert_eq!(post("detections=group").await.status(), 400, "a form of somebody else's making");
    assert_eq!(said().len(), 2);
    let nowhere = "/incidents/00000000-0000-0000-0000-000000000000/exclude";
    assert_eq!(browser.post(nowhere, &format!("csrf={csrf}&{FORM}")).await.status(), 404);
}

#[tokio::test]
async fn exclusions_are_listed_and_undone() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    let page = browser.text("/exclusions").await;
    for text in
        ["In force", "Expired", "Undone", "mallory &lt;b&gt;", "&lt;i&gt;audit&lt;/i&gt;", "10.1.9.0/24", "by ada"]
    {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert_eq!(page.matches("/undo\"").count(), 1, "only what is in force");
    let csrf = browser.csrf().await;
    let post = async |path: &str| browser.post(path, &format!("csrf={csrf}")).await.status().as_u16();
    assert_eq!(post("/exclusions/3/undo").await, 303);
    assert_eq!(post("/exclusions/2/undo").await, 303);
    assert_eq!(post("/exclusions/x/undo").await, 404);
    assert_eq!(stage.world.exclusions.said.lock().unwrap().as_slice(), ["admin: undo 3"]);
    let older = browser.text("/exclusions?before=2").await;
    assert!(older.contains("Undone") && !older.contains("Expired"), "{older}");
    assert_eq!(browser.get("/exclusions?before=x").await.status(), 400);
}

#[tokio::test]
async fn programs_list_make_and_undo_them() {
    let stage = Stage::new().await;
    let trap = detected(1, "honeytoken");
    stage.world.store.put_incident(trap.clone());
    let browser = stage.signed_in().await;
    let listed = browser.json("/api/v1/exclusions?limit=2").await;
    let exclusions = listed["exclusions"].as_array().unwrap();
    assert_eq!(exclusions.len(), 2);
    assert_eq!((&exclusions[0]["state"], &exclusions[1]["state"]), (&"in-force".into(), &"expired".into()));
    assert_eq!((&exclusions[0]["detections"], &exclusions[0]["account"]), (&"honeytoken".into(), &"mallory-id".into()));
    assert_eq!((&exclusions[1]["network"], &exclusions[1]["number"]), (&"10.1.9.0/24".into(), &2.into()));
    assert_eq!(browser.get("/api/v1/exclusions?limit=0").await.status(), 400);

    let csrf = browser.csrf().await;
    let path = format!("/api/v1/incidents/{}/exclude", trap.id);
    let post = async |path: &str, fields: &str| browser.post(path, &format!("csrf={csrf}&{fields}")).await;
    assert_eq!(post(&path, FORM).await.status(), 204);
    let refused = post(&path, "detections=group&reason=x&network=10.1").await;
    assert_eq!(refused.status(), 409);
    let why: serde_json::Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert!(why["error"].as_str().unwrap().contains("10.1"), "{why}");
    *stage.world.exclusions.refusal.lock().unwrap() = Some(ExclusionError::TooLate);
    assert_eq!(post(&path, FORM).await.status(), 409);
    assert_eq!(post("/api/v1/exclusions/3/undo", "").await.status(), 204);
    assert_eq!(post("/api/v1/exclusions/2/undo", "").await.status(), 404);
}
