//! The parts of an event of the System Log that this connector reads (Okta API: System Log, schema `LogEvent`).

use serde::Deserialize;

use crate::lenient::{List, Number, Object, Pairs, Word, Words};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogEvent<'a> {
    #[serde(borrow)]
    pub(crate) uuid: Word<'a>,
    #[serde(borrow)]
    pub(crate) published: Word<'a>,
    #[serde(borrow)]
    pub(crate) event_type: Word<'a>,
    #[serde(borrow)]
    pub(crate) display_message: Word<'a>,
    #[serde(borrow)]
    pub(crate) severity: Word<'a>,
    #[serde(borrow)]
    pub(crate) actor: Object<Party<'a>>,
    #[serde(borrow)]
    pub(crate) target: List<Party<'a>>,
    #[serde(borrow)]
    pub(crate) outcome: Object<Outcome<'a>>,
    #[serde(borrow)]
    pub(crate) client: Object<Client<'a>>,
    #[serde(borrow)]
    pub(crate) request: Object<Request<'a>>,
    #[serde(borrow)]
    pub(crate) authentication_context: Object<AuthenticationContext<'a>>,
    #[serde(borrow)]
    pub(crate) security_context: Object<SecurityContext<'a>>,
    #[serde(borrow)]
    pub(crate) debug_context: Object<DebugContext<'a>>,
    #[serde(borrow)]
    pub(crate) transaction: Object<Transaction<'a>>,
    #[serde(borrow)]
    pub(crate) device: Object<Device<'a>>,
}

/// What is left to read of an event that is strange in a way that [`LogEvent`] does not bear.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Bare<'a> {
    #[serde(borrow)]
    pub(crate) uuid: Word<'a>,
    #[serde(borrow)]
    pub(crate) published: Word<'a>,
    #[serde(borrow)]
    pub(crate) event_type: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Party<'a> {
    #[serde(borrow)]
    pub(crate) id: Word<'a>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Word<'a>,
    #[serde(borrow)]
    pub(crate) alternate_id: Word<'a>,
    #[serde(borrow)]
    pub(crate) display_name: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome<'a> {
    #[serde(borrow)]
    pub(crate) result: Word<'a>,
    #[serde(borrow)]
    pub(crate) reason: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Client<'a> {
    #[serde(borrow)]
    pub(crate) ip_address: Word<'a>,
    #[serde(borrow)]
    pub(crate) zone: Word<'a>,
    #[serde(borrow)]
    pub(crate) user_agent: Object<UserAgent<'a>>,
    #[serde(borrow)]
    pub(crate) geographical_context: Object<Place<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UserAgent<'a> {
    #[serde(borrow)]
    pub(crate) raw_user_agent: Word<'a>,
    #[serde(borrow)]
    pub(crate) browser: Word<'a>,
    #[serde(borrow)]
    pub(crate) os: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Place<'a> {
    #[serde(borrow)]
    pub(crate) city: Word<'a>,
    #[serde(borrow)]
    pub(crate) state: Word<'a>,
    #[serde(borrow)]
    pub(crate) country: Word<'a>,
    pub(crate) geolocation: Object<Geolocation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Geolocation {
    pub(crate) lat: Number,
    pub(crate) lon: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) ip_chain: List<Hop<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hop<'a> {
    #[serde(borrow)]
    pub(crate) ip: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AuthenticationContext<'a> {
    #[serde(borrow)]
    pub(crate) credential_type: Word<'a>,
    #[serde(borrow)]
    pub(crate) external_session_id: Word<'a>,
    #[serde(borrow)]
    pub(crate) root_session_id: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecurityContext<'a> {
    #[serde(borrow)]
    pub(crate) as_org: Word<'a>,
    #[serde(borrow)]
    pub(crate) isp: Word<'a>,
    #[serde(borrow)]
    pub(crate) is_proxy: Word<'a>,
    #[serde(borrow)]
    pub(crate) risk: Object<Risk<'a>>,
    #[serde(borrow)]
    pub(crate) user_behaviors: List<Behavior<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Risk<'a> {
    #[serde(borrow)]
    pub(crate) level: Word<'a>,
    #[serde(borrow)]
    pub(crate) reasons: Words<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Behavior<'a> {
    #[serde(borrow)]
    pub(crate) name: Word<'a>,
    #[serde(borrow)]
    pub(crate) result: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DebugContext<'a> {
    #[serde(borrow)]
    pub(crate) debug_data: Object<DebugData<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DebugData<'a> {
    #[serde(borrow)]
    pub(crate) request_uri: Word<'a>,
    #[serde(borrow)]
    pub(crate) factor: Word<'a>,
    #[serde(borrow)]
    pub(crate) push_only_response_type: Word<'a>,
    #[serde(borrow)]
    pub(crate) push_with_number_challenge_response_type: Word<'a>,
    #[serde(borrow)]
    pub(crate) threat_suspected: Word<'a>,
    #[serde(borrow)]
    pub(crate) risk: Word<'a>,
    #[serde(borrow)]
    pub(crate) behaviors: Word<'a>,
    #[serde(borrow)]
    pub(crate) log_only_security_data: Word<'a>,
    #[serde(borrow)]
    pub(crate) privilege_granted: Word<'a>,
    #[serde(borrow)]
    pub(crate) case_number: Word<'a>,
}

/// The JSON inside the text `logOnlySecurityData`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogOnly<'a> {
    #[serde(borrow)]
    pub(crate) risk: Object<Risk<'a>>,
    #[serde(borrow)]
    pub(crate) behaviors: Pairs<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Transaction<'a> {
    #[serde(borrow)]
    pub(crate) id: Word<'a>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Word<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Device<'a> {
    #[serde(borrow)]
    pub(crate) id: Word<'a>,
    #[serde(borrow)]
    pub(crate) name: Word<'a>,
}
