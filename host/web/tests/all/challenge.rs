use std::net::IpAddr;

use portcullis_core::Timestamp;
use portcullis_core::challenge::ChallengeState;

use crate::stage::{Stage, Stream, header};
use crate::support::{BEGIN, sample};

fn here() -> IpAddr {
    [127, 0, 0, 1].into()
}

fn elsewhere() -> IpAddr {
    [127, 0, 0, 2].into()
}

fn page(number: u8) -> String {
    format!("/challenge/{}", sample::link(number).reveal())
}

#[tokio::test]
async fn the_page_shows_the_challenge_of_the_machine_that_it_is_opened_on() {
    let stage = Stage::new().await;
    let mut mine = sample::challenge(1, here(), Timestamp(BEGIN));
    mine.number = Some(42);
    stage.world.desk.put(mine);
    let mut other = sample::challenge(2, elsewhere(), Timestamp(BEGIN));
    other.login = "zoe".to_owned();
    stage.world.desk.put(other);
    stage.world.clock.forward(20);

    let shown = stage.browser().text("/challenge").await;
    for expected in ["alice-laptop (127.0.0.1)", ">wiki<", ">alice<", ">42<", "10:00:00 UTC", "40 s", "10:01:00 UTC"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    assert!(shown.contains("Waiting for your phone") && shown.contains("<noscript><meta http-equiv=\"refresh\""));
    assert!(!shown.contains("zoe") && !shown.contains(sample::link(2).reveal()));
    let theirs = stage.browser_at(elsewhere()).text("/challenge").await;
    assert!(theirs.contains("zoe") && !theirs.contains(">alice<") && !theirs.contains(">42<"));
    let nobody = stage.browser_at([127, 0, 0, 3].into()).text("/challenge").await;
    assert!(nobody.contains("Nothing to confirm") && !nobody.contains("alice") && !nobody.contains("zoe"));
    assert!(nobody.contains("data-events=\"/challenge/events\""), "it keeps looking");
}

#[tokio::test]
async fn several_challenges_of_a_machine_are_listed_and_one_open_one_is_shown_at_once() {
    let stage = Stage::new().await;
    for (number, application) in [(1, "wiki"), (2, "mail")] {
        let mut view = sample::challenge(number, here(), Timestamp(BEGIN));
        view.application = application.to_owned();
        view.number = Some(77);
        stage.world.desk.put(view);
    }
    let shown = stage.browser().text("/challenge").await;
    for expected in ["wiki", "mail", &page(1), &page(2)] {
        assert!(shown.contains(expected), "{expected}");
    }
    assert!(!shown.contains(">77<"), "the number is on the page of its challenge");
    stage.world.desk.end(&sample::link(1), ChallengeState::Denied);
    let shown = stage.browser().text("/challenge").await;
    assert!(shown.contains("mail") && shown.contains(">77<") && !shown.contains("wiki"));
}

#[tokio::test]
async fn the_link_shows_the_challenge_from_anywhere_and_only_that_one() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, here(), Timestamp(BEGIN)));
    let far = stage.browser_at(elsewhere());
    assert!(far.text(&page(1)).await.contains(">alice<"));
    let unknown = far.get(&page(9)).await;
    let malformed = far.get("/challenge/..%2f..%2fetc").await;
    let unreadable = far.get("/challenge/%ff%fe").await;
    let upper = far.get(&page(0xab).to_uppercase().replace("/CHALLENGE", "/challenge")).await;
    let mut bodies = Vec::new();
    for answer in [unknown, malformed, unreadable, upper] {
        assert_eq!(answer.status(), 404);
        bodies.push(answer.text().await.unwrap());
    }
    assert!(bodies[0].contains("This link is no longer valid") && bodies[0].contains("Sign in to your application"));
    assert!(bodies.iter().all(|body| *body == bodies[0]), "they all look the same");
}

#[tokio::test]
async fn the_stream_of_a_link_pushes_the_number_and_the_approval_and_ends() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, here(), Timestamp(BEGIN)));
    let mut stream = Stream::open(&stage.browser_at(elsewhere()), &format!("{}/events", page(1))).await;
    let first = stream.json().await;
    assert_eq!((first["state"].as_str(), first["done"].as_bool()), (Some("open"), Some(false)));
    stage.world.desk.change(&sample::link(1), |view| view.number = Some(17));
    let second = stream.json().await;
    assert!(second["html"].as_str().unwrap().contains(">17<"), "{second}");
    assert!(second["say"].as_str().unwrap().contains("the number 17"), "{second}");
    assert_ne!(second["mark"], first["mark"]);
    stage.world.desk.end(&sample::link(1), ChallengeState::Approved);
    let third = stream.json().await;
    assert_eq!((third["state"].as_str(), third["done"].as_bool()), (Some("approved"), Some(true)));
    let html = third["html"].as_str().unwrap();
    assert!(html.contains("Approved") && !html.contains(">17<") && !html.contains("dismiss"), "{html}");
    assert!(stream.next().await.is_none(), "there is nothing more to say");
}

#[tokio::test]
async fn the_stream_of_a_machine_pushes_what_is_opened_and_how_it_ends() {
    let stage = Stage::new().await;
    let mut stream = Stream::open(&stage.browser(), "/challenge/events").await;
    assert_eq!(stream.json().await["state"], "nothing");
    stage.world.desk.put(sample::challenge(2, elsewhere(), Timestamp(BEGIN)));
    stage.world.desk.put(sample::challenge(1, here(), Timestamp(BEGIN)));
    let opened = stream.json().await;
    assert_eq!(opened["state"], "open");
    assert!(opened["html"].as_str().unwrap().contains(sample::link(1).reveal()));
    assert!(!opened.to_string().contains(sample::link(2).reveal()));
    stage.world.desk.end(&sample::link(1), ChallengeState::Denied);
    assert_eq!(stream.json().await["state"], "denied");
}

#[tokio::test]
async fn every_end_has_its_own_words() {
    let stage = Stage::new().await;
    let ends = [
        (ChallengeState::Approved, "Approved"),
        (ChallengeState::Denied, "Denied"),
        (ChallengeState::Failed, "Not accepted"),
        (ChallengeState::Expired, "Expired"),
        (ChallengeState::Closed, "Closed"),
        (ChallengeState::Cancelled, "Cancelled"),
    ];
    for (number, (state, words)) in (1..).zip(ends) {
        let mut view = sample::challenge(number, here(), Timestamp(BEGIN));
        // Even if a desk forgot to take it back, a number of the past is not shown.
        view.number = Some(55);
        view.state = state;
        stage.world.desk.put(view);
        let shown = stage.browser().text(&page(number)).await;
        assert!(shown.contains(&format!("<h1>{words}</h1>")), "{state:?}: {shown}");
        assert!(!shown.contains(">55<") && !shown.contains("/dismiss") && !shown.contains("http-equiv"), "{state:?}");
    }
}

#[tokio::test]
async fn a_challenge_is_dismissed_by_its_own_page_alone() {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::challenge(1, here(), Timestamp(BEGIN)));
    let (browser, dismiss) = (stage.browser(), format!("{}/dismiss", page(1)));
    assert_eq!(browser.get(&dismiss).await.status(), 405);
    let cases: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
    ];
    for headers in cases {
        assert_eq!(browser.post_from(&dismiss, "", headers).await.status(), 403, "{headers:?}");
    }
    assert_eq!(stage.world.desk.view(&sample::link(1)).unwrap().state, ChallengeState::Open);
    let answer = browser.post(&dismiss, "").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, page(1)));
    assert_eq!(stage.world.desk.view(&sample::link(1)).unwrap().state, ChallengeState::Closed);
    assert!(browser.text(&page(1)).await.contains("<h1>Closed</h1>"));
    // A second time it changes nothing.
    assert_eq!(browser.post(&dismiss, "").await.status(), 303);
}

#[tokio::test]
async fn what_comes_from_outside_is_text_and_nothing_else() {
    let stage = Stage::new().await;
    let mut view = sample::challenge(1, here(), Timestamp(BEGIN));
    view.login = "<script>alert(1)</script>\r\ndata: forged".to_owned();
    view.application = "\"><img src=x onerror=alert(2)>".to_owned();
    view.endpoint_name = Some("'&<b>".to_owned());
    stage.world.desk.put(view);
    let shown = stage.browser().text("/challenge").await;
    for forbidden in ["<script>alert", "<img src=x", "<b>"] {
        assert!(!shown.contains(forbidden), "{forbidden}");
    }
    assert!(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && shown.contains("'&amp;&lt;b&gt;"), "{shown}");
    // Line breaks in a name do not become messages of the stream.
    let mut stream = Stream::open(&stage.browser(), &format!("{}/events", page(1))).await;
    let message = stream.json().await;
    assert!(message["html"].as_str().unwrap().contains("data: forged"));
    assert!(!message["html"].as_str().unwrap().contains("<script>"));
}
