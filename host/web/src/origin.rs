//! Whether a request that changes something comes from one of our own pages.

use axum::http::{HeaderMap, header};

use crate::app::App;
use crate::failure::Failure;

/// Refuses what a browser sends on behalf of another site. `Sec-Fetch-Site` (Fetch Metadata Request Headers) decides
/// where it is sent; older browsers, and all where a page came in clear text from another machine, send `Origin` with every
/// form (RFC 6454, section 7), which our policy on referrers leaves as it is. A request with neither does not come from a
/// browser, so nobody else's authority can be misused by it.
///
/// # Errors
/// [`Failure::OtherSite`].
pub(crate) fn check(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("unreadable"));
    let ours = match (text(header::HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => is_own(app, origin, text(header::HOST)),
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(Failure::OtherSite) }
}

fn is_own(app: &App, origin: &str, host: Option<&str>) -> bool {
    if let Some(public) = &app.public_origin
        && origin.eq_ignore_ascii_case(public)
    {
        return true;
    }
    let scheme = if app.secure { "https" } else { "http" };
    host.is_some_and(|host| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}")))
}

/// The origin of an address: scheme, host and port.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    (!authority.is_empty()).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn the_origin_of_an_address_ends_before_its_path() {
        assert_eq!(origin_of("https://a.example:8443/x/y?z").as_deref(), Some("https://a.example:8443"));
        assert_eq!(origin_of("https://a.example").as_deref(), Some("https://a.example"));
        assert_eq!(origin_of("a.example"), None);
        assert_eq!(origin_of("https:///x"), None);
    }
}
