//! The contract's own types, generated from `wit/`. They are there on every target, so that tests speak them too; what they
//! import from the gateway exists in a component only.
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all, reason = "written by a generator")]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    world: "policy-plugin",
    additional_derives: [PartialEq],
});

#[cfg(target_family = "wasm")]
use crate::component::Component;
#[cfg(target_family = "wasm")]
export!(Component);
