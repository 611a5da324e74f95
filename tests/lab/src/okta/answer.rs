//! What the simulator answers: status, headers, body, and the forms of Okta's errors.

use serde_json::{Value, json};

/// An answer before it is put on the wire.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) enum Content {
    Json(Value),
    /// As some of Okta's older records have it: `application/json;charset=UTF-8`.
    JsonWithCharset(Value),
    /// JSON that is a text already.
    JsonText(String),
    Html(String),
    Empty,
}

impl Answer {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, content: Content::Json(body), headers: Vec::new() }
    }

    pub(super) fn older_json(status: u16, body: Value) -> Self {
        Self { status, content: Content::JsonWithCharset(body), headers: Vec::new() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, content: Content::Empty, headers: Vec::new() }
    }

    /// A page of the front-end server, which does not know Okta's errors.
    pub(super) fn html(status: u16) -> Self {
        let page = format!("<html>\r\n<head><title>{status}</title></head>\r\n<body>{status}</body>\r\n</html>\r\n");
        Self { status, content: Content::Html(page), headers: Vec::new() }
    }

    /// An error in Okta's form. Only the code may steer a client, the summary is for people.
    pub(super) fn error(status: u16, code: &str, summary: &str) -> Self {
        Self::json(
            status,
            json!({
                "errorCode": code,
                "errorSummary": summary,
                "errorLink": code,
                "errorId": format!("oaeLab{code}ErrorId"),
                "errorCauses": []
            }),
        )
    }

    pub(super) fn not_found(id: &str, kind: &str) -> Self {
        Self::error(404, "E0000007", &format!("Not found: Resource not found: {id} ({kind})"))
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The JSON body, when there is one.
    pub(super) fn body_mut(&mut self) -> Option<&mut Value> {
        match &mut self.content {
            Content::Json(body) | Content::JsonWithCharset(body) => Some(body),
            Content::JsonText(_) | Content::Html(_) | Content::Empty => None,
        }
    }

    pub(super) fn content_type(&self) -> Option<&'static str> {
        match self.content {
            Content::Json(_) | Content::JsonText(_) => Some("application/json"),
            Content::JsonWithCharset(_) => Some("application/json;charset=UTF-8"),
            Content::Html(_) => Some("text/html"),
            Content::Empty => None,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Json(body) | Content::JsonWithCharset(body) => body.to_string().into_bytes(),
            Content::Html(text) | Content::JsonText(text) => text.clone().into_bytes(),
            Content::Empty => Vec::new(),
        }
    }
}
