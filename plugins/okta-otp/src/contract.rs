//! The contract's own types, generated from `wit/`; what all Okta connectors import is generated once, in [`okta::contract`].
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all, reason = "written by a generator")]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "authenticator-plugin",
    additional_derives: [PartialEq],
    with: {
        "portcullis:gateway/types@0.1.0": okta::contract::portcullis::gateway::types,
        "portcullis:gateway/log@0.1.0": okta::contract::portcullis::gateway::log,
        "portcullis:gateway/clock@0.1.0": okta::contract::portcullis::gateway::clock,
        "portcullis:gateway/http@0.1.0": okta::contract::portcullis::gateway::http,
    },
});

#[cfg(target_family = "wasm")]
use crate::component::Component;
#[cfg(target_family = "wasm")]
export!(Component);
