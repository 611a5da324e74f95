//! A gateway for tests: answers from a list, a clock that is set by hand, and a record of everything.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::Host;
use crate::contract::portcullis::gateway::http::{Header, HttpError, Request, Response};
use crate::contract::portcullis::gateway::log::Level;

/// The host that a test hands to a connector.
#[derive(Default)]
pub struct Script {
    answers: RefCell<VecDeque<Result<Response, HttpError>>>,
    requests: RefCell<Vec<Request>>,
    lines: RefCell<Vec<String>>,
    now: Cell<u64>,
}

impl Script {
    /// A host whose requests are answered in this order. One more request than answers finds nobody there.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = Result<Response, HttpError>>) -> Self {
        let script = Self::default();
        script.answers.borrow_mut().extend(answers);
        script
    }

    /// Sets the gateway's clock: milliseconds since 1970.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
    }

    /// Adds an answer behind the others.
    pub fn push(&self, answer: Result<Response, HttpError>) {
        self.answers.borrow_mut().push_back(answer);
    }

    /// What was sent.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// What was logged.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Answers that nobody asked for.
    #[must_use]
    pub fn left(&self) -> usize {
        self.answers.borrow().len()
    }
}

impl Host for Script {
    fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request);
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or_else(|| Err(HttpError::Unreachable("the script has ended".to_owned())))
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn log(&self, _level: Level, message: &str) {
        self.lines.borrow_mut().push(message.to_owned());
    }
}

/// An answer.
#[must_use]
pub fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let header = |(name, value): &(&str, &str)| Header { name: (*name).to_owned(), value: (*value).to_owned() };
    Response { status, headers: headers.iter().map(header).collect(), body: body.as_bytes().to_vec() }
}

/// A refusal in Okta's form.
#[must_use]
pub fn error(status: u16, code: &str) -> Response {
    let body = format!(
        r#"{{"errorCode":"{code}","errorSummary":"Summary","errorLink":"{code}","errorId":"oae1example","errorCauses":[]}}"#
    );
    reply(status, &[("content-type", "application/json")], &body)
}

/// The value of a header of a request.
#[must_use]
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}
