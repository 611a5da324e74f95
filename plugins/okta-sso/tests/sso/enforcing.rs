//! Acting on accounts.

use okta::contract::portcullis::gateway::http::{HttpError, Method};
use okta::script::{Script, error, reply};
use okta_sso::contract::exports::portcullis::gateway::connector::ConnectorError;
use okta_sso::contract::exports::portcullis::gateway::enforcement::Action;
use okta_sso::enforce;

use crate::answers::*;

fn act(action: Action, answers: Vec<Answer>) -> (Result<(), ConnectorError>, Script) {
    let script = script(answers);
    (enforce::enforce(&script, &settings(""), USER, action), script)
}

fn is(status: &str) -> Answer {
    json_answer(&user(status))
}

fn done() -> Answer {
    Ok(reply(200, &[], ""))
}

#[test]
fn sessions_end_with_the_tokens_of_applications() {
    let (ended, script) = act(Action::EndSessions, vec![Ok(reply(204, &[], ""))]);
    assert_eq!(ended, Ok(()));
    assert_eq!(script.requests()[0].method, Method::Delete);
    assert_eq!(urls(&script), [format!("/api/v1/users/{USER}/sessions?oauthTokens=true")]);
}

#[test]
fn suspending_and_its_end_are_posts_without_a_body() {
    for (action, before, word) in
        [(Action::Suspend, "ACTIVE", "suspend"), (Action::Unsuspend, "SUSPENDED", "unsuspend")]
    {
        let (result, script) = act(action, vec![is(before), done()]);
        assert_eq!(result, Ok(()));
        let post = &script.requests()[1];
        assert_eq!((post.method, post.body.len()), (Method::Post, 0));
        assert_eq!(urls(&script)[1], format!("/api/v1/users/{USER}/lifecycle/{word}"));
        assert!(script.lines()[0].contains("done for the user"), "{:?}", script.lines());
    }
}

#[test]
fn what_is_so_already_is_not_done_again() {
    for (action, status) in [
        (Action::Suspend, "SUSPENDED"),
        (Action::Suspend, "DEPROVISIONED"),
        (Action::Unsuspend, "ACTIVE"),
        (Action::Unsuspend, "LOCKED_OUT"),
    ] {
        let (result, script) = act(action, vec![is(status)]);
        assert_eq!((result, script.requests().len()), (Ok(()), 1), "{action:?} {status}");
    }
}

#[test]
fn a_lost_answer_is_looked_after() {
    for lost in [Err(HttpError::Timeout), Ok(error(500, "E0000009")), Ok(error(400, "E0000001"))] {
        let (result, script) = act(Action::Suspend, vec![is("ACTIVE"), lost, is("SUSPENDED")]);
        assert_eq!((result, script.left()), (Ok(()), 0));
    }
    let (result, _) = act(Action::Suspend, vec![is("ACTIVE"), Err(HttpError::Timeout), is("ACTIVE")]);
    assert!(matches!(result, Err(ConnectorError::Unavailable(_))), "{result:?}");
}

#[test]
fn a_refusal_names_the_status() {
    let (result, script) = act(Action::Suspend, vec![is("LOCKED_OUT"), Ok(error(400, "E0000001")), is("LOCKED_OUT")]);
    assert!(matches!(&result, Err(ConnectorError::Protocol(text)) if text.contains("LOCKED_OUT")), "{result:?}");
    assert!(script.lines()[0].contains("not done"), "{:?}", script.lines());
}

#[test]
fn errors_are_told() {
    for action in [Action::EndSessions, Action::Suspend, Action::Unsuspend] {
        let fails = |answer| act(action, vec![answer]).0.unwrap_err();
        assert!(matches!(fails(Ok(error(401, "E0000011"))), ConnectorError::Unauthorized(_)));
        assert!(matches!(fails(Ok(error(403, "E0000006"))), ConnectorError::Forbidden(_)));
        assert!(matches!(fails(Ok(error(404, "E0000007"))), ConnectorError::Protocol(_)));
        assert!(matches!(fails(Ok(error(429, "E0000047"))), ConnectorError::RateLimited(_)));
        assert!(matches!(fails(Err(HttpError::Unreachable("no".into()))), ConnectorError::Unavailable(_)));
    }
    let (result, _) = act(Action::Suspend, vec![is("ACTIVE"), Ok(error(403, "E0000006"))]);
    assert!(matches!(result, Err(ConnectorError::Forbidden(_))), "{result:?}");
}

#[test]
fn nobody_is_acted_on_by_anything_but_an_id() {
    for name in ["", "me/x", "..", LOGIN, "00u?x=1"] {
        let script = script([]);
        assert!(enforce::enforce(&script, &settings(""), name, Action::Suspend).is_err(), "{name}");
        assert!(script.requests().is_empty());
    }
}
