//! Style sheet, script and mark: files of ours, and nothing from elsewhere.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("static/console.css");
const SCRIPT: &str = include_str!("static/live.js");
const MARK: &str = include_str!("static/mark.svg");

/// Changes with the files, so that a browser may keep them for as long as it likes and still has those that fit the page.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).chain_update(MARK).finalize();
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The address of a file, with its version.
pub(crate) fn address(file: &str) -> String {
    format!("/static/{file}?v={}", *VERSION)
}

pub(crate) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", STYLE)
}

pub(crate) async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", SCRIPT)
}

pub(crate) async fn mark() -> impl IntoResponse {
    file("image/svg+xml", MARK)
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], content)
}
