use std::sync::atomic::Ordering;

use portcullis_core::store::{Administrator, SettingsStore as _};
use portcullis_web::{FIRST_LOGIN, ensure_first_administrator};

use crate::stage::{Stage, header};

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let stage = Stage::new().await;
    assert!(stage.password.len() >= 20, "{}", stage.password.len());
    let stored = stage.world.store.password_hash(FIRST_LOGIN);
    assert!(stored.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{stored}");
    assert!(!stored.contains(&stage.password));
    let again = ensure_first_administrator(stage.world.store.as_ref(), stage.world.ids.as_ref()).await.unwrap();
    assert!(again.is_none());
    assert_eq!(stage.world.store.password_hash(FIRST_LOGIN), stored);
}

#[tokio::test]
async fn a_session_begins_with_the_right_password_and_ends_with_sign_out() {
    let stage = Stage::new().await;
    let answer = stage.browser().sign_in("admin", &stage.password).await;
    assert_eq!(answer.status(), 303);
    let cookie = header(&answer, "set-cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=28800; HttpOnly; SameSite=Strict");
    let value = pair.strip_prefix("portcullis=").unwrap();
    assert_eq!(value.len(), 43, "32 bytes in base64");
    let mut browser = stage.browser();
    browser.cookie = Some(pair.to_owned());
    let page = browser.text("/activity").await;
    assert!(page.contains("admin") && !page.contains(value) && !page.contains(&stage.password));
    let keys = stage.world.store.session_keys();
    assert_eq!(keys.len(), 1);
    assert_ne!(keys[0].as_slice(), value.as_bytes());

    let csrf = browser.csrf().await;
    let answer = browser.post("/sign-out", &format!("csrf={csrf}")).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, "/sign-in".to_owned()));
    assert!(header(&answer, "set-cookie").starts_with("portcullis=; Path=/; Max-Age=0;"));
    // The old cookie is worth nothing any more.
    assert_eq!(browser.get("/activity").await.status(), 303);
    let actions: Vec<_> = stage.world.store.administration().into_iter().map(|e| (e.actor, e.action)).collect();
    let expected = [("admin", "console-sign-in"), ("admin", "console-sign-out")];
    assert_eq!(actions, expected.map(|(actor, action)| (actor.to_owned(), action.to_owned())));
}

#[tokio::test]
async fn every_session_has_its_own_cookie_and_its_own_secret() {
    let stage = Stage::new().await;
    let (one, two) = (stage.signed_in().await, stage.signed_in().await);
    assert_ne!(one.cookie, two.cookie);
    let csrf = one.csrf().await;
    assert_ne!(csrf, two.csrf().await);
    assert_eq!(two.post("/sign-out", &format!("csrf={csrf}")).await.status(), 403);
    assert_eq!(two.get("/activity").await.status(), 200);
}

#[tokio::test]
async fn a_session_ends_after_eight_hours() {
    let stage = Stage::new().await;
    let browser = stage.signed_in().await;
    stage.world.clock.forward(8 * 3_600 - 1);
    assert_eq!(browser.get("/activity").await.status(), 200);
    stage.world.clock.forward(1);
    assert_eq!(browser.get("/activity").await.status(), 303);
}

#[tokio::test]
async fn wrong_password_and_unknown_login_get_the_same_answer() {
    let stage = Stage::new().await;
    let browser = stage.browser();
    let wrong = browser.sign_in("admin", "hunter2-hunter2").await;
    let unknown = browser.sign_in("hunter3-in-the-wrong-field", "x").await;
    assert_eq!((wrong.status().as_u16(), unknown.status().as_u16()), (401, 401));
    assert!(header(&wrong, "set-cookie").is_empty());
    assert_eq!(wrong.text().await.unwrap(), unknown.text().await.unwrap());
    let events = stage.world.store.administration();
    let told: Vec<_> = events.iter().map(|event| (event.actor.as_str(), event.action.as_str())).collect();
    assert_eq!(told, [("admin", "console-sign-in-refused"), ("unknown", "console-sign-in-refused")]);
    assert!(!format!("{events:?}").contains("hunter"), "what was typed is not on record");
}

#[tokio::test]
async fn the_work_for_an_unknown_login_is_the_work_for_a_known_one() {
    let stage = Stage::new().await;
    let browser = stage.browser();
    let mut times = Vec::new();
    for login in ["admin", "nobody"] {
        let begun = std::time::Instant::now();
        assert_eq!(browser.sign_in(login, "wrong").await.status(), 401);
        times.push(begun.elapsed());
    }
    // Without the hash an answer takes a millisecond; with it a hundred times as long, on any machine.
    assert!(times[1] > times[0] / 4, "{times:?}");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_right_password_does_not_help_meanwhile() {
    let stage = Stage::new().await;
    let browser = stage.browser();
    for _ in 0..5 {
        assert_eq!(browser.sign_in("admin", "wrong").await.status(), 401);
    }
    let answer = browser.sign_in("admin", &stage.password).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(header(&answer, "retry-after"), "1");
    // Another login from this address, and this login from another address, have to wait as well.
    assert_eq!(browser.sign_in("other", "wrong").await.status(), 429);
    let elsewhere = stage.browser_at([127, 0, 0, 2].into());
    assert_eq!(elsewhere.sign_in("admin", "wrong").await.status(), 429);
    assert_eq!(elsewhere.sign_in("other", "wrong").await.status(), 401);
    stage.world.clock.forward(1);
    assert_eq!(browser.sign_in("admin", "wrong").await.status(), 401);
    let answer = browser.sign_in("admin", "wrong").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, "2".to_owned()));
    stage.world.clock.forward(2);
    assert_eq!(browser.sign_in("admin", &stage.password).await.status(), 303);
    // Whoever knew the password begins anew.
    assert_eq!(browser.sign_in("admin", "wrong").await.status(), 401);
}

#[tokio::test]
async fn attempts_at_the_same_time_count_as_well() {
    let stage = Stage::new().await;
    let guesses = (0..8).map(|_| {
        let browser = stage.browser();
        async move { browser.sign_in("admin", "wrong").await.status().as_u16() }
    });
    let mut answers = futures_util::future::join_all(guesses).await;
    answers.sort_unstable();
    assert_eq!(answers, [401, 401, 401, 401, 401, 429, 429, 429]);
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_and_older_browsers_are_not() {
    let stage = Stage::new().await;
    let body = format!("login=admin&password={}", stage.password);
    let base = stage.base.as_str();
    // An older browser names the origin with a form of ours; it hides that of a page that is shown inside another.
    let cases: [(&[(&str, &str)], u16); 7] = [
        (&[("sec-fetch-site", "same-origin"), ("origin", "null")], 303),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site"), ("origin", base)], 403),
        (&[("origin", base)], 303),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[], 303),
    ];
    for (headers, expected) in cases {
        let answer = stage.browser().post_from("/sign-in", &body, headers).await;
        assert_eq!(answer.status().as_u16(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_recorded_does_not_happen() {
    let stage = Stage::new().await;
    stage.world.store.full.store(true, Ordering::SeqCst);
    let answer = stage.browser().sign_in("admin", &stage.password).await;
    assert_eq!(answer.status(), 503);
    assert!(header(&answer, "set-cookie").is_empty());
    assert!(stage.world.store.session_keys().is_empty());
}

#[tokio::test]
async fn a_damaged_hash_lets_nobody_in() {
    let stage = Stage::new().await;
    for hash in ["", "plain", "$argon2id$v=19$m=65536,t=3,p=4$"] {
        let damaged = Administrator { login: "eve".to_owned(), password_hash: hash.to_owned() };
        stage.world.store.put_administrator(&damaged).await.unwrap();
        assert_eq!(stage.browser().sign_in("eve", "plain").await.status(), 401, "{hash:?}");
    }
}

#[tokio::test]
async fn incomplete_and_oversized_forms_are_refused() {
    let stage = Stage::new().await;
    let browser = stage.browser();
    assert_eq!(browser.post("/sign-in", "login=admin").await.status(), 400);
    let large = format!("login=admin&password={}", "x".repeat(16 * 1024));
    assert_eq!(browser.post("/sign-in", &large).await.status(), 413);
    assert_eq!(browser.sign_in(&"x".repeat(10_000), "y").await.status(), 401);
}

#[tokio::test]
async fn whoever_is_signed_in_does_not_see_the_form() {
    let stage = Stage::new().await;
    let answer = stage.signed_in().await.get("/sign-in").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, "/activity".to_owned()));
}
