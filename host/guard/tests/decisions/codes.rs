//! Challenges by code: what comes from the page, how often, and what happens when the page goes.

use std::sync::Arc;
use std::time::Duration;

use portcullis_core::Secret;
use portcullis_core::challenge::{ChallengeDesk, ChallengeState, ChallengeView, LinkToken, NotTaken, PageId, Presence};
use portcullis_core::event::Decision;
use portcullis_core::plugin::ConnectorError;
use portcullis_core::policy::*;
use portcullis_core::*;
use portcullis_guard::PolicyEntry;
use tokio::task::JoinHandle;

use crate::support::*;

const PAGE: PageId = PageId(1);

/// Asks for a code; allows when it was right, or when the service does not work.
fn code_policy() -> PolicyEntry {
    policy("code", Mode::Enforce, FailMode::Closed, |_, evidence| match evidence {
        [] => ruling(Verdict::Challenge(ChallengeRequest {
            connector: ConnectorName::new("codes"),
            remember_seconds: 0,
            timeout_seconds: 0,
        })),
        [Evidence::Challenge(result), ..]
            if matches!(result.outcome, ChallengeOutcome::Approved | ChallengeOutcome::Unavailable) =>
        {
            ruling(Verdict::Allow)
        }
        _ => ruling(Verdict::Block),
    })
}

type Bind = JoinHandle<Result<&'static str, String>>;

async fn asked() -> (Arc<Scene>, Bind, LinkToken) {
    let scene = Arc::new(scene(vec![code_policy()]));
    let (bind, link) = ask(&scene, "10.0.0.1").await;
    (scene, bind, link)
}

async fn ask(scene: &Arc<Scene>, from: &'static str) -> (Bind, LinkToken) {
    let bind = tokio::spawn({
        let scene = scene.clone();
        async move { scene.bind(from).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let views = scene.guard.desk().of_address(from.parse().unwrap()).await;
    (bind, views.into_iter().find(|view| view.state == ChallengeState::Open).unwrap().link)
}

impl Scene {
    async fn view(&self, link: &LinkToken) -> ChallengeView {
        self.guard.desk().by_link(link).await.unwrap()
    }

    async fn type_code(&self, link: &LinkToken, code: &str) -> Result<(), NotTaken> {
        self.guard.desk().verify(link, Secret::new(code)).await
    }

    async fn note(&self, link: &LinkToken) -> String {
        self.view(link).await.note.unwrap_or_default()
    }

    fn outcome(&self) -> ChallengeOutcome {
        self.last().challenges[0].outcome
    }
}

#[tokio::test(start_paused = true)]
async fn the_right_code_lets_the_bind_through() {
    let (scene, bind, link) = asked().await;
    let view = scene.view(&link).await;
    assert_eq!(view.code.as_deref(), Some("Type the code from sms."));
    assert_eq!((view.choices[0].current, view.choices[0].from.since(view.opened_at).as_secs()), (true, 30));
    assert_eq!(scene.type_code(&link, " 294871\n").await, Ok(()));
    let view = scene.view(&link).await;
    assert_eq!((view.state, view.code, view.choices.len()), (ChallengeState::Approved, None, 0));
    assert_eq!(bind.await.unwrap(), Ok("held"));
    assert_eq!(scene.outcome(), ChallengeOutcome::Approved);
    assert_eq!(scene.codes.calls(), ["start", "verify 294871"], "and nothing is taken back");
}

#[tokio::test(start_paused = true)]
async fn three_wrong_codes_end_it_whatever_the_connector_bears() {
    let (scene, bind, link) = asked().await;
    scene.type_code(&link, "000001").await.unwrap();
    assert_eq!(scene.note(&link).await, "Not this one. You have 2 more tries.");
    scene.type_code(&link, "000002").await.unwrap();
    assert_eq!(scene.note(&link).await, "Not this one. You have one more try.");
    scene.type_code(&link, "000003").await.unwrap();
    assert_eq!(scene.view(&link).await.state, ChallengeState::Failed);
    assert!(bind.await.unwrap().is_err());
    assert_eq!((scene.outcome(), scene.last().decision), (ChallengeOutcome::Failed, Decision::Block));
    assert_eq!(scene.type_code(&link, "294871").await, Err(NotTaken::Ended), "the right one comes too late");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(scene.codes.calls().last().unwrap(), "cancel 4");
}

#[tokio::test(start_paused = true)]
async fn the_administrator_says_how_many_wrong_codes_there_may_be() {
    for most in [1, 5] {
        let scene = Arc::new(scene_where(vec![code_policy()], |options| options.challenge_budget.wrong_codes = most));
        let (bind, link) = ask(&scene, "10.0.0.1").await;
        for _ in 1..most {
            scene.type_code(&link, "000001").await.unwrap();
            assert_eq!(scene.view(&link).await.state, ChallengeState::Open);
        }
        scene.type_code(&link, "000001").await.unwrap();
        assert_eq!(scene.view(&link).await.state, ChallengeState::Failed);
        assert!(bind.await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_code_is_no_wrong_code_and_not_without_end() {
    let (scene, bind, link) = asked().await;
    for text in ["", "  ", &"1".repeat(65)] {
        scene.type_code(&link, text).await.unwrap();
        assert!(scene.note(&link).await.contains("cannot be a code"));
    }
    assert_eq!(scene.codes.calls(), ["start"], "the connector is not even asked");
    for _ in 0..20 {
        scene.type_code(&link, "letters").await.unwrap();
        assert_eq!(scene.note(&link).await, "A code has digits.");
    }
    scene.type_code(&link, "letters").await.unwrap();
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_sent_twice_is_tried_once() {
    let (scene, bind, link) = asked().await;
    *scene.codes.takes.lock().unwrap() = Duration::from_secs(3);
    let desk = scene.guard.desk();
    let (first, second, chosen) =
        tokio::join!(scene.type_code(&link, "294871"), scene.type_code(&link, "294871"), desk.choose(&link, "mail"),);
    assert_eq!((first, second, chosen), (Ok(()), Err(NotTaken::Busy), Err(NotTaken::Busy)));
    assert_eq!(scene.codes.calls(), ["start", "verify 294871"]);
    assert!(bind.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_for_the_verdict_does_not_take_it_back() {
    let (scene, bind, link) = asked().await;
    *scene.codes.takes.lock().unwrap() = Duration::from_secs(3);
    let given_up = tokio::time::timeout(Duration::from_secs(1), scene.type_code(&link, "294871")).await;
    assert!(given_up.is_err());
    assert!(bind.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn other_ways_are_asked_after_their_windows_and_within_the_budget() {
    let (scene, bind, link) = asked().await;
    let desk = scene.guard.desk();
    assert_eq!(desk.choose(&link, "pigeon").await, Err(NotTaken::NothingToDo));
    desk.choose(&link, "sms").await.unwrap();
    assert_eq!(scene.note(&link).await, "This can be asked for again in 30 seconds.");
    // Six questions in an hour; the bind was the first.
    for way in ["mail", "sms", "mail", "sms", "mail"] {
        desk.choose(&link, way).await.unwrap();
        let view = scene.view(&link).await;
        assert_eq!((view.note.as_deref(), view.code), (Some("Sent."), Some(format!("Type the code from {way}."))));
    }
    let calls = scene.codes.calls().len();
    desk.choose(&link, "sms").await.unwrap();
    assert!(scene.note(&link).await.starts_with("No more can be sent"));
    assert_eq!(scene.codes.calls().len(), calls);
    scene.type_code(&link, "294871").await.unwrap();
    assert!(bind.await.unwrap().is_ok(), "what was sent can still be typed");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_wants_a_pause_gets_it_and_nobody_in_by_that() {
    let (scene, bind, link) = asked().await;
    *scene.codes.trouble.lock().unwrap() = Some(ConnectorError::RateLimited(20_000));
    scene.type_code(&link, "000001").await.unwrap();
    assert!(scene.note(&link).await.contains("Try again in 20 seconds."));
    scene.type_code(&link, "294871").await.unwrap();
    assert!(scene.note(&link).await.contains("Try again in 20 seconds."));
    assert_eq!(scene.codes.calls(), ["start", "verify 000001"]);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Expired, "not: unavailable, where this policy lets people in");
}

#[tokio::test(start_paused = true)]
async fn trouble_with_a_code_leaves_the_challenge_open_and_hopeless_trouble_does_not_open_it() {
    let (scene, bind, link) = asked().await;
    *scene.codes.trouble.lock().unwrap() = Some(ConnectorError::Unavailable("timeout".to_owned()));
    scene.type_code(&link, "294871").await.unwrap();
    assert!(scene.note(&link).await.contains("not certain"));
    scene.type_code(&link, "294871").await.unwrap();
    assert!(bind.await.unwrap().is_ok());

    let (scene, bind, link) = asked().await;
    for _ in 0..3 {
        *scene.codes.trouble.lock().unwrap() = Some(ConnectorError::Protocol("HTML".to_owned()));
        scene.type_code(&link, "294871").await.unwrap();
    }
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Failed, "whoever types may be the one who causes it");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_closed_closes_the_challenge_and_one_that_is_loaded_again_does_not() {
    let (scene, bind, link) = asked().await;
    let desk = scene.guard.desk();
    assert!(desk.seen(&link, PAGE, Presence::Visible).await);
    assert!(desk.seen(&link, PAGE, Presence::Gone).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(desk.seen(&link, PageId(2), Presence::Visible).await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.view(&link).await.state, ChallengeState::Open);
    desk.seen(&link, PageId(2), Presence::Gone).await;
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Closed);
    assert!(!desk.seen(&link, PageId(2), Presence::Visible).await, "it is over");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_falls_silent_closes_it_and_one_that_was_never_open_lets_it_expire() {
    let (scene, bind, link) = asked().await;
    let began = tokio::time::Instant::now();
    scene.guard.desk().seen(&link, PAGE, Presence::Visible).await;
    assert!(bind.await.unwrap().is_err());
    assert_eq!((scene.outcome(), began.elapsed().as_secs()), (ChallengeOutcome::Closed, 20));

    let (scene, bind, _) = asked().await;
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Expired);
}

#[tokio::test(start_paused = true)]
async fn closing_the_page_of_a_push_closes_nothing() {
    let scene = Arc::new(scene(vec![push_policy(0)]));
    let (bind, link) = ask(&scene, "10.0.0.1").await;
    assert_eq!(scene.view(&link).await.number, Some(47));
    let desk = scene.guard.desk();
    desk.seen(&link, PAGE, Presence::Visible).await;
    desk.seen(&link, PAGE, Presence::Gone).await;
    assert_eq!(scene.type_code(&link, "294871").await, Err(NotTaken::NothingToDo));
    tokio::time::sleep(Duration::from_secs(30)).await;
    scene.phone.answer(plugin::Progress::Approved);
    assert!(bind.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_was_not_me_is_a_denial_also_while_a_code_is_being_tried() {
    let (scene, bind, link) = asked().await;
    *scene.codes.takes.lock().unwrap() = Duration::from_secs(3);
    let desk = scene.guard.desk();
    let (tried, denied) = tokio::join!(scene.type_code(&link, "294871"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        desk.deny(&link).await
    });
    assert_eq!((tried, denied), (Ok(()), true));
    assert!(bind.await.unwrap().is_err());
    assert_eq!(scene.outcome(), ChallengeOutcome::Denied);
    assert!(!desk.deny(&link).await && !desk.dismiss(&link).await);
}

#[tokio::test(start_paused = true)]
async fn a_code_counts_for_the_challenge_whose_page_it_was_typed_on() {
    let (scene, mine, link) = asked().await;
    let (other, _) = ask(&scene, "10.0.0.2").await;
    scene.codes.calls.lock().unwrap().clear();
    assert_eq!(
        scene.guard.desk().verify(&LinkToken::from_random([7; 16]), Secret::new("1")).await,
        Err(NotTaken::Ended)
    );
    assert!(scene.guard.desk().dismiss(&link).await);
    assert!(mine.await.unwrap().is_err());
    assert!(!other.is_finished());
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_typed_is_kept() {
    let (scene, bind, link) = asked().await;
    scene.type_code(&link, "987654").await.unwrap();
    scene.type_code(&link, "294871").await.unwrap();
    assert!(bind.await.unwrap().is_ok());
    let kept = format!("{:?} {:?}", scene.world.records.lock().unwrap(), scene.world.challenges.lock().unwrap());
    assert!(!kept.contains("294871") && !kept.contains("987654"), "{kept}");
}
