//! The page on which a code is typed.

use std::net::IpAddr;

use portcullis_core::Timestamp;
use portcullis_core::challenge::{ChallengeState, PageId, Presence};

use crate::stage::{Stage, Stream, header};
use crate::support::{BEGIN, Said, sample};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn page() -> String {
    format!("/challenge/{}", sample::link(1).reveal())
}

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.world.desk.put(sample::code(1, HERE, Timestamp(BEGIN)));
    *stage.world.desk.right_code.lock().unwrap() = "294871".to_owned();
    stage
}

#[tokio::test]
async fn the_form_says_where_the_code_is_and_can_be_read_by_a_screen_reader() {
    let stage = stage().await;
    for path in ["/challenge", &page()] {
        let shown = stage.browser().text(path).await;
        for expected in [
            "<h1>Type your code</h1>",
            "the number ending in 78",
            "<label for=\"code\">One-time code</label>",
            "inputmode=\"numeric\"",
            "autocomplete=\"one-time-code\"",
            "aria-describedby=\"code-note code-hint\"",
            "id=\"code-note\" role=\"alert\"",
            ">alice<",
            ">wiki<",
            "alice-laptop (127.0.0.1)",
            "10:00:00 UTC",
            &format!("method=\"post\" action=\"{}/code\"", page()),
            &format!("data-seen=\"{}/seen\"", page()),
        ] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
        // Without scripts nothing may be disabled, and loading the page again would wipe what is being typed.
        assert!(!shown.contains("disabled"), "{shown}");
        assert!(shown.contains("http-equiv=\"refresh\" content=\"61\""), "{shown}");
    }
}

#[tokio::test]
async fn a_code_is_tried_and_the_page_shows_what_came_of_it_as_often_as_it_is_loaded() {
    let stage = stage().await;
    let browser = stage.browser();
    let answer = browser.post(&format!("{}/code", page()), "code=000000").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, page()));
    for _ in 0..2 {
        assert!(browser.text(&page()).await.contains("This code is not right."));
    }
    browser.post(&format!("{}/code", page()), "code=+294871").await;
    assert_eq!(browser.post(&format!("{}/code", page()), "code=294871").await.status(), 303);
    assert!(browser.text(&page()).await.contains("<h1>Approved</h1>"));
    let codes = ["000000", " 294871", "294871"].map(|code| Said::Code(code.to_owned()));
    assert_eq!(stage.world.desk.said(&sample::link(1)), codes, "as it was typed, and once each");
    // Too late, and the page says how it ended.
    assert_eq!(browser.post(&format!("{}/code", page()), "code=294871").await.status(), 303);
}

#[tokio::test]
async fn another_way_is_chosen_by_a_button_and_the_same_one_waits() {
    let stage = stage().await;
    let browser = stage.browser();
    let shown = browser.text(&page()).await;
    for expected in ["value=\"ost2\"", "value=\"emf6\"", "Send again: Text message", "data-wait-ms=\"30000\""] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    stage.world.clock.forward(29);
    assert!(browser.text(&page()).await.contains("data-wait-ms=\"1000\""));
    stage.world.clock.forward(1);
    assert!(!browser.text(&page()).await.contains("data-wait-ms"));
    let answer = browser.post(&format!("{}/choose", page()), "choice=emf6").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, page()));
    assert!(browser.text(&page()).await.contains("Send again: Mail"));
    assert_eq!(stage.world.desk.said(&sample::link(1)), [Said::Choice("emf6".to_owned())]);
}

#[tokio::test]
async fn forms_of_other_sites_and_broken_ones_do_nothing() {
    let stage = stage().await;
    let browser = stage.browser();
    let forms = [("code", "code=294871"), ("choose", "choice=emf6"), ("deny", ""), ("dismiss", ""), ("seen", "7 gone")];
    for (path, body) in forms {
        let path = format!("{}/{path}", page());
        for headers in
            [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")]
        {
            assert_eq!(browser.post_from(&path, body, &[headers]).await.status(), 403, "{path}");
        }
        assert_eq!(browser.get(&path).await.status(), 405, "{path}");
    }
    for (path, body) in [("code", ""), ("code", "kode=1"), ("choose", "x=1"), ("seen", ""), ("seen", "7 open")] {
        assert_eq!(browser.post(&format!("{}/{path}", page()), body).await.status(), 400, "{path} {body}");
    }
    let long = format!("code={}", "1".repeat(20_000));
    assert_eq!(browser.post(&format!("{}/code", page()), &long).await.status(), 413);
    assert_eq!(stage.world.desk.said(&sample::link(1)), []);
    assert_eq!(stage.world.desk.view(&sample::link(1)).unwrap().state, ChallengeState::Open);
}

#[tokio::test]
async fn it_was_not_me_is_a_denial() {
    let stage = stage().await;
    let answer = stage.browser().post(&format!("{}/deny", page()), "").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, page()));
    assert_eq!(stage.world.desk.view(&sample::link(1)).unwrap().state, ChallengeState::Denied);
    assert!(stage.browser().text(&page()).await.contains("<h1>Denied</h1>"));
}

#[tokio::test]
async fn pages_tell_that_they_are_there_and_hear_when_it_is_over() {
    let stage = stage().await;
    let (browser, path) = (stage.browser(), format!("{}/seen", page()));
    for word in ["visible", "hidden", "elsewhere", "gone"] {
        assert_eq!(browser.post(&path, &format!("7 {word}")).await.status(), 204, "{word}");
    }
    let seen = [Presence::Visible, Presence::Hidden, Presence::Elsewhere, Presence::Gone];
    assert_eq!(stage.world.desk.said(&sample::link(1)), seen.map(|presence| Said::Seen(PageId(7), presence)));
    stage.world.desk.end(&sample::link(1), ChallengeState::Expired);
    assert_eq!(browser.post(&path, "7 visible").await.status(), 410);
}

#[tokio::test]
async fn news_reach_the_open_page_with_their_words() {
    let stage = stage().await;
    let mut stream = Stream::open(&stage.browser(), &format!("{}/events", page())).await;
    assert_eq!(stream.json().await["title"], "Type your code");
    stage.browser().post(&format!("{}/code", page()), "code=000000").await;
    let news = stream.json().await;
    assert!(news["say"].as_str().unwrap().starts_with("This code is not right. Type the 6-digit code"), "{news}");
    stage.world.desk.end(&sample::link(1), ChallengeState::Failed);
    let end = stream.json().await;
    assert!(!end["html"].as_str().unwrap().contains("<form"), "nothing can be typed any more: {end}");
}

#[tokio::test]
async fn several_are_listed_and_none_of_them_counts_as_open() {
    let stage = stage().await;
    stage.world.desk.put(sample::code(2, HERE, Timestamp(BEGIN)));
    let shown = stage.browser().text("/challenge").await;
    assert!(!shown.contains("data-seen") && !shown.contains("name=\"code\""), "{shown}");
    assert_eq!(shown.matches("data-listed=").count(), 2);
}

#[tokio::test]
async fn what_a_connector_says_is_text_and_nothing_else() {
    let stage = Stage::new().await;
    let mut view = sample::code(1, HERE, Timestamp(BEGIN));
    view.code = Some("<b>hint</b>".to_owned());
    view.note = Some("<img src=x>".to_owned());
    view.choices[0].id = "\"><script>".to_owned();
    view.choices[0].label = "<i>label</i>".to_owned();
    stage.world.desk.put(view);
    let shown = stage.browser().text(&page()).await;
    for forbidden in ["<b>hint", "<img src=x", "<i>label", "\"><script>"] {
        assert!(!shown.contains(forbidden), "{forbidden}: {shown}");
    }
}
