//! What the Okta connectors import from the gateway, generated from `wit/` once for all of them. The types are there on every
//! target, so that tests speak them too; the functions exist in a component only.
#![allow(missing_docs, unsafe_code, unused_qualifications, clippy::all, reason = "written by a generator")]

wit_bindgen::generate!({
    path: "../../wit/v0.1",
    inline: "
        package portcullis:okta;
        world imports {
            import portcullis:gateway/log@0.1.0;
            import portcullis:gateway/clock@0.1.0;
            import portcullis:gateway/http@0.1.0;
        }
    ",
    world: "portcullis:okta/imports",
    additional_derives: [PartialEq],
    generate_all,
});
