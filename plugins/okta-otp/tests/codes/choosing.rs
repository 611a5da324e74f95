//! Another way, or the same once more.

use okta::contract::portcullis::gateway::http::HttpError;
use okta::script::error;
use okta_otp::codes;
use okta_otp::contract::exports::portcullis::gateway::authenticator::Progress;
use okta_otp::contract::exports::portcullis::gateway::connector::ConnectorError;

use crate::answers::*;

#[test]
fn another_factor_is_asked_and_tried_from_then_on() {
    let (script, step) = asked(&[TOTP, SMS, EMAIL]);
    assert_eq!(choices(&step), [SMS, EMAIL]);
    script.push(challenge());
    let step = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
    assert_eq!(choices(&step), [TOTP.to_owned(), format!("{SMS}*"), EMAIL.to_owned()]);
    assert!(hint(&step).contains("ending in 78"));
    script.push(result("SUCCESS"));
    codes::verify(&script, &settings(""), &step.handle, "294871").unwrap();
    assert_eq!(script.requests().pop().unwrap().url, verify_link(SMS));
    // Back to what needs no request.
    let before = script.requests().len();
    let step = codes::choose(&script, &settings(""), &step.handle, TOTP).unwrap();
    assert!(hint(&step).contains("Okta Verify"));
    assert_eq!(script.requests().len(), before);
}

#[test]
fn a_code_is_sent_again_after_the_window_and_not_before() {
    for (id, window) in [(SMS, 30), (CALL, 30), (EMAIL, 5)] {
        let (script, step) = asked(&[id]);
        assert_eq!(step.choices[0].wait_ms, window * 1_000);
        script.set_now(NOW + u64::from(window) * 1_000 - 1_500);
        let early = codes::choose(&script, &settings(""), &step.handle, id).unwrap();
        assert_eq!((early.progress, script.requests().len()), (Progress::Waiting, 3), "nothing is sent");
        assert!(note(&early).contains("in 2 s") && note(&early).contains("still good"), "{}", note(&early));
        assert_eq!(early.choices[0].wait_ms, 1_500);
        script.set_now(NOW + u64::from(window) * 1_000);
        script.push(challenge());
        let again = codes::choose(&script, &settings(""), &early.handle, id).unwrap();
        assert_eq!((again.note.as_deref(), script.requests().len()), (None, 4));
        assert_eq!(again.choices[0].wait_ms, window * 1_000, "a new window begins");
    }
}

#[test]
fn the_window_of_one_factor_is_not_that_of_another() {
    let (script, step) = asked(&[SMS, EMAIL]);
    script.push(challenge());
    let mail = codes::choose(&script, &settings(""), &step.handle, EMAIL).unwrap();
    assert_eq!(script.requests().len(), 4);
    // Back to the text message that is on its way.
    let back = codes::choose(&script, &settings(""), &mail.handle, SMS).unwrap();
    assert_eq!(script.requests().len(), 4);
    assert!(hint(&back).contains("text message") && note(&back).contains("still good"));
}

#[test]
fn a_clock_that_goes_back_does_not_shut_a_factor_for_long() {
    let (script, step) = asked(&[SMS]);
    script.set_now(NOW - 3_600_000);
    let step = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
    assert_eq!(step.choices[0].wait_ms, 30_000);
}

#[test]
fn what_okta_refuses_to_send_leaves_the_way_in_use() {
    for code in ["E0000150", "E0000151", "E0000204", "E0000205"] {
        for status in [403, 429] {
            let (script, step) = asked(&[EMAIL, SMS]);
            assert!(hint(&step).contains("text message"), "the order of the settings");
            script.push(Ok(error(status, code)));
            let step = codes::choose(&script, &settings(""), &step.handle, EMAIL);
            // 403 and 429 with a code that belongs to the other status are told by the code all the same, or are a pause.
            match step {
                Ok(step) => {
                    assert_eq!((step.progress, choices(&step)[0].as_str()), (Progress::Waiting, &*format!("{SMS}*")));
                    assert!(note(&step).contains("Choose another way"), "{code}: {}", note(&step));
                }
                Err(error) => assert!(matches!(error, ConnectorError::RateLimited(_)), "{status} {code}: {error:?}"),
            }
        }
    }
}

#[test]
fn a_window_that_only_okta_knows_of_is_kept_too() {
    for (id, code) in [(SMS, "E0000109"), (CALL, "E0000133"), (EMAIL, "E0000118")] {
        let (script, step) = asked(&[TOTP, id]);
        script.push(Ok(error(429, code)));
        let step = codes::choose(&script, &settings(""), &step.handle, id).unwrap();
        assert!(note(&step).contains("still good"));
        assert!(step.choices.iter().any(|choice| choice.id == id && choice.current && choice.wait_ms > 0));
    }
}

#[test]
fn a_factor_that_is_gone_is_offered_no_more() {
    let (script, step) = asked(&[TOTP, SMS, EMAIL]);
    script.push(Ok(error(410, "E0000154")));
    let step = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
    assert_eq!((step.progress, choices(&step)), (Progress::Waiting, vec![EMAIL.to_owned()]));
    let again = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
    assert!(note(&again).contains("not set up"), "{}", note(&again));
    assert_eq!(codes::choose(&script, &settings(""), &step.handle, "x").unwrap().progress, Progress::Waiting);
    assert_eq!(script.requests().len(), 3);
}

#[test]
fn trouble_leaves_the_challenge_as_it_was() {
    let (script, step) = asked(&[TOTP, SMS]);
    script.push(Ok(error(429, "E0000047")));
    assert!(matches!(
        codes::choose(&script, &settings(""), &step.handle, SMS),
        Err(ConnectorError::RateLimited(2_000))
    ));
    script.push(Err(HttpError::Unreachable("no".to_owned())));
    assert!(matches!(codes::choose(&script, &settings(""), &step.handle, SMS), Err(ConnectorError::Unavailable(_))));
    // Lost on the way back: a code may be under way.
    script.push(Err(HttpError::Timeout));
    let maybe = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
    assert!(note(&maybe).contains("not certain") && hint(&maybe).contains("text message"));
}

#[test]
fn a_user_who_is_stopped_meanwhile_is_out() {
    for code in ["E0000038", "E0000069", "E0000119"] {
        let (script, step) = asked(&[TOTP, SMS]);
        script.push(Ok(error(403, code)));
        let step = codes::choose(&script, &settings(""), &step.handle, SMS).unwrap();
        assert_eq!(step.progress, Progress::Failed, "{code}");
    }
}
