//! A service app of the organization: access tokens for signed assertions (Okta, "Implement OAuth for Okta with a service
//! app").

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::answer::Answer;

/// A service app. It has one key, on P-256.
#[derive(Debug, Clone)]
pub struct ServiceApp {
    /// Its client id.
    pub client_id: String,
    /// Its public key: an uncompressed point of 65 bytes.
    pub public_key: Vec<u8>,
    /// What the key is called.
    pub key_id: String,
    /// Scopes that an administrator has granted.
    pub scopes: Vec<String>,
    /// How long a token lives; Okta's live an hour.
    pub token_lifetime: Duration,
    /// Whether a proof of possession has to come with each request (RFC 9449).
    pub requires_dpop: bool,
}

/// The app and its tokens.
#[derive(Default)]
pub(super) struct Tokens {
    pub(super) app: Option<ServiceApp>,
    given: BTreeMap<String, Given>,
    /// Assertions that were used; each is good once.
    used: HashSet<String>,
    pub(super) asked: usize,
}

struct Given {
    scopes: Vec<String>,
    until: Instant,
}

impl Tokens {
    /// `POST /oauth2/v1/token`. The random part makes tokens differ.
    pub(super) fn answer(&mut self, base: &str, body: &[u8], random: &str) -> Answer {
        self.asked += 1;
        let form = form(body);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != "client_credentials" {
            return refusal(400, "unsupported_grant_type", "The grant type is not supported.");
        }
        let Some(app) = &self.app else { return refusal(401, "invalid_client", "Invalid value for 'client_id'.") };
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if field("client_assertion_type") != kind {
            return refusal(401, "invalid_client", "Client authentication failed.");
        }
        let id = match check(app, base, field("client_assertion")) {
            Ok(id) => id,
            Err(why) => return refusal(401, "invalid_client", why),
        };
        if !self.used.insert(id) {
            return refusal(401, "invalid_client", "The client_assertion token must be used only once.");
        }
        if app.requires_dpop {
            return refusal(400, "invalid_dpop_proof", "The DPoP proof JWT header is missing.");
        }
        let scopes: Vec<String> = field("scope").split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        if scopes.is_empty() {
            return refusal(400, "invalid_scope", "The scope parameter is required.");
        }
        if scopes.iter().any(|scope| !app.scopes.contains(scope)) {
            return refusal(
                400,
                "invalid_scope",
                "One or more scopes are not configured for the authorization server resource.",
            );
        }
        let token = format!("eyJraWQiOiJsYWIifQ.{random}");
        let given = Given { scopes: scopes.clone(), until: Instant::now() + app.token_lifetime };
        self.given.insert(token.clone(), given);
        let lifetime = app.token_lifetime.as_secs();
        Answer::json(
            200,
            json!({"token_type": "Bearer", "expires_in": lifetime, "access_token": token, "scope": scopes.join(" ")}),
        )
    }

    /// Why the token is not good enough for a request.
    pub(super) fn refuse(&self, token: &str, needed: Option<&str>) -> Option<Answer> {
        let challenge = |more: &str| format!(r#"Bearer authorization_uri="http://lab/oauth2/v1/authorize", {more}"#);
        let given = self.given.get(token).filter(|given| Instant::now() < given.until);
        let Some(given) = given else {
            let challenge = challenge(r#"error="invalid_token", error_description="The token is not good.""#);
            return Some(Answer::empty(401).with_header("www-authenticate", challenge));
        };
        let needed = needed?;
        if given.scopes.iter().any(|scope| scope == needed) {
            return None;
        }
        let challenge = challenge(&format!(r#"scope="{needed}", error="insufficient_scope""#));
        Some(Answer::empty(403).with_header("www-authenticate", challenge))
    }

    /// Makes all tokens so far worthless.
    pub(super) fn revoke(&mut self) {
        self.given.clear();
    }
}

/// The scope that a request needs, where the simulator knows.
pub(super) fn scope(method: &str, segments: &[String]) -> Option<&'static str> {
    match (method, segments.get(2).map(String::as_str)) {
        ("GET", Some("users")) => Some("okta.users.read"),
        (_, Some("users")) if segments.iter().any(|part| part == "transactions") => Some("okta.users.read"),
        (_, Some("users")) => Some("okta.users.manage"),
        (_, Some("logs")) => Some("okta.logs.read"),
        (_, Some("apps")) => Some("okta.apps.read"),
        (_, Some("org")) => Some("okta.orgs.read"),
        _ => None,
    }
}

/// Verifies an assertion and gives its id.
fn check(app: &ServiceApp, base: &str, assertion: &str) -> Result<String, &'static str> {
    const WRONG: &str = "The client_assertion is not valid.";
    let (signed, signature) = assertion.rsplit_once('.').ok_or(WRONG)?;
    let (header, claims) = signed.split_once('.').ok_or(WRONG)?;
    let part = |text: &str| BASE64URL.decode(text).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let (header, claims) = (part(header).ok_or(WRONG)?, part(claims).ok_or(WRONG)?);
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(&header, "alg") != "ES256" || text(&header, "kid") != app.key_id {
        return Err("The client_assertion was signed with another key.");
    }
    let signature = BASE64URL.decode(signature).map_err(|_| WRONG)?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &app.public_key);
    key.verify(signed.as_bytes(), &signature).map_err(|_| "The client_assertion signature is invalid.")?;
    if text(&claims, "iss") != app.client_id || text(&claims, "sub") != app.client_id {
        return Err("The client_assertion is another client's.");
    }
    if text(&claims, "aud") != format!("{base}/oauth2/v1/token") {
        return Err("The audience of the client_assertion is wrong.");
    }
    let now = Timestamp::now().as_second();
    let ends = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    if ends <= now {
        return Err("The client_assertion token is expired.");
    }
    if ends > now + 3600 {
        return Err("The client_assertion token has an expiration too far into the future.");
    }
    Ok(text(&claims, "jti"))
}

/// RFC 6749, section 5.2.
fn refusal(status: u16, code: &str, description: &str) -> Answer {
    Answer::json(status, json!({"error": code, "error_description": description}))
}

fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let decode = |text: &str| super::serve::percent_decode(&text.replace('+', " "));
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}
