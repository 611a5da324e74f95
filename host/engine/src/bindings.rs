//! The contract in `wit/v0.1` as Rust types and traits, one module per kind of
//! plugin.
//!
//! The worlds share the interfaces that both know, so that an account is converted by one function, whoever asks for it.

/// World of policies: everything is called on the caller's thread.
#[allow(missing_docs, unreachable_pub, reason = "generated from the contract, which has its own documentation")]
pub(crate) mod policy {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "policy-plugin",
    });
}

/// Worlds of connectors, all in one: they have the same imports, and an interface that two of them export is the same for
/// both. Which of the exports a component has is looked up one by one. Calls and the functions that wait for the network or
/// the store are asynchronous.
#[allow(missing_docs, unreachable_pub, reason = "generated from the contract, which has its own documentation")]
pub(crate) mod connector {
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        inline: "
            package portcullis:engine;
            world connectors {
                include portcullis:gateway/authenticator-plugin@0.1.0;
                include portcullis:gateway/identity-provider-plugin@0.1.0;
            }
        ",
        world: "portcullis:engine/connectors",
        imports: {
            "portcullis:gateway/http": async,
            "portcullis:gateway/state": async,
        },
        exports: { default: async },
        with: {
            "portcullis:gateway/types": crate::bindings::policy::portcullis::gateway::types,
            "portcullis:gateway/log": crate::bindings::policy::portcullis::gateway::log,
        },
        require_store_data_send: true,
    });
}
