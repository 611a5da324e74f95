//! Files that are not taken.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use portcullis_engine::{EngineError, PolicySpec, SignatureError, TrustedKeys, World};
use serde_json::json;

use crate::support::guest::{self, About};
use crate::support::{Plugins, connector_spec, policy_spec};

fn refusal(plugins: &Plugins, spec: PolicySpec) -> EngineError {
    plugins.engine().load_policy(spec).err().unwrap()
}

fn good() -> Vec<u8> {
    guest::policy(&About::default(), "")
}

#[test]
fn an_unsigned_file_is_refused() {
    let plugins = Plugins::new();
    fs::write(plugins.path("x.wasm"), good()).unwrap();
    assert!(matches!(refusal(&plugins, policy_spec("x.wasm")), EngineError::NotSigned(file) if file == "x.wasm"));
}

#[test]
fn a_signature_of_somebody_else_is_refused() {
    let (plugins, stranger) = (Plugins::new(), Plugins::new());
    stranger.add("x.wasm", &good());
    for file in ["x.wasm", "x.wasm.minisig"] {
        fs::copy(stranger.path(file), plugins.path(file)).unwrap();
    }
    let refused = refusal(&plugins, policy_spec("x.wasm"));
    assert!(matches!(refused, EngineError::Signature { reason: SignatureError::UntrustedKey, .. }), "{refused}");
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let plugins = Plugins::new();
    let component = good();
    // The header included: a signature that starts after it would let the kind of file be swapped.
    for at in [0, 5, 8, component.len() / 2, component.len() - 1] {
        plugins.add("x.wasm", &component);
        let mut changed = component.clone();
        changed[at] ^= 1;
        fs::write(plugins.path("x.wasm"), changed).unwrap();
        let refused = refusal(&plugins, policy_spec("x.wasm"));
        assert!(matches!(refused, EngineError::Signature { reason: SignatureError::Mismatch, .. }), "{at}: {refused}");
    }
}

#[test]
fn another_files_signature_and_a_changed_comment_are_refused() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &good());
    plugins.add("y.wasm", &guest::policy(&About::default(), "(call $verdict (i32.const 3))"));
    fs::copy(plugins.path("x.wasm.minisig"), plugins.path("y.wasm.minisig")).unwrap();
    let refused = refusal(&plugins, policy_spec("y.wasm"));
    assert!(matches!(refused, EngineError::Signature { reason: SignatureError::Mismatch, .. }), "{refused}");

    let signature = fs::read_to_string(plugins.path("x.wasm.minisig")).unwrap();
    fs::write(plugins.path("x.wasm.minisig"), signature.replace("1.2.3", "1.2.4")).unwrap();
    let refused = refusal(&plugins, policy_spec("x.wasm"));
    assert!(matches!(refused, EngineError::Signature { reason: SignatureError::Mismatch, .. }), "{refused}");
}

#[test]
fn text_that_is_no_signature_is_refused() {
    let plugins = Plugins::new();
    fs::write(plugins.path("x.wasm"), good()).unwrap();
    for text in [&b""[..], b"untrusted comment: x\nAAAA\ntrusted comment: y\nAAAA\n", b"\xff\xfe\n\n\n\n"] {
        fs::write(plugins.path("x.wasm.minisig"), text).unwrap();
        let refused = refusal(&plugins, policy_spec("x.wasm"));
        assert!(matches!(refused, EngineError::Signature { reason: SignatureError::Malformed(_), .. }), "{refused}");
    }
}

#[test]
fn a_signature_for_another_name_version_or_contract_is_refused() {
    let plugins = Plugins::new();
    for (comment, wrong) in [
        ("name=okta-verify version=1.2.3", "name"),
        ("name=test-guest version=1.2.4", "version"),
        ("contract=portcullis:gateway@0.2.0", "contract"),
    ] {
        plugins.add_signed("x.wasm", &good(), comment);
        let refused = refusal(&plugins, policy_spec("x.wasm"));
        assert!(matches!(refused, EngineError::SignedForOther { field, .. } if field == wrong), "{refused}");
    }
    plugins.add_signed("x.wasm", &good(), "timestamp:1 file:x.wasm hashed");
    assert!(
        plugins.engine().load_policy(policy_spec("x.wasm")).is_ok(),
        "an ordinary minisign signature says nothing of these"
    );
}

#[test]
fn the_folder_is_not_left() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &good());
    for name in ["../x.wasm", "/etc/passwd", "./x.wasm", ""] {
        assert!(matches!(refusal(&plugins, policy_spec(name)), EngineError::FileName(_)), "{name}");
    }
    assert!(matches!(refusal(&plugins, policy_spec("y.wasm")), EngineError::FileMissing(_)));
}

#[test]
fn an_import_from_outside_the_contract_is_refused_by_name() {
    let plugins = Plugins::new();
    let import =
        r#"(import "wasi:cli/environment@0.2.6" (instance (export "initial-cwd" (func (result (option string))))))"#;
    plugins.add("x.wasm", &guest::policy_with_import(&About::default(), "", import));
    let refused = refusal(&plugins, policy_spec("x.wasm"));
    assert!(matches!(&refused, EngineError::ForeignImport { import, .. } if import == "wasi:cli/environment@0.2.6"));
    assert!(refused.to_string().contains("wasi:cli/environment@0.2.6"), "{refused}");
}

#[test]
fn a_function_that_the_contract_does_not_have_is_refused() {
    let plugins = Plugins::new();
    let import = r#"(import "portcullis:gateway/types@0.1.0" (instance (export "backdoor" (func))))"#;
    plugins.add("x.wasm", &guest::policy_with_import(&About::default(), "", import));
    let refused = refusal(&plugins, policy_spec("x.wasm"));
    assert!(
        matches!(&refused, EngineError::ContractMismatch { reason, .. } if reason.contains("backdoor")),
        "{refused}"
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let plugins = Plugins::new();
    let truncated = &good()[..200];
    for (bytes, why) in [
        (&b""[..], "not WebAssembly"),
        (b"MZ garbage that goes on for a while", "not WebAssembly"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x0d\0\x01\0garbage", ""),
        (truncated, ""),
    ] {
        plugins.add("x.wasm", bytes);
        let refused = refusal(&plugins, policy_spec("x.wasm"));
        assert!(matches!(&refused, EngineError::NotAComponent { reason, .. } if reason.contains(why)), "{refused}");
    }
    plugins.add("x.wasm", b"\0asm\x0d\0\x01\0");
    assert!(
        matches!(refusal(&plugins, policy_spec("x.wasm")), EngineError::ContractMismatch { .. }),
        "an empty component"
    );
}

#[test]
fn a_plugin_of_another_kind_is_refused() {
    let plugins = Plugins::new();
    plugins.add("policy.wasm", &good());
    plugins.add("authenticator.wasm", &guest::authenticator(&About::default(), "", "https://a.example/"));
    let refused = refusal(&plugins, policy_spec("authenticator.wasm"));
    assert!(matches!(refused, EngineError::WrongWorld { expected: World::Policy, .. }), "{refused}");
    let refused = plugins.engine().load_authenticator(connector_spec("policy.wasm", Default::default())).err().unwrap();
    assert!(matches!(refused, EngineError::WrongWorld { found: World::Policy, .. }), "{refused}");
}

#[test]
fn problems_with_settings_come_back_one_by_one() {
    let plugins = Plugins::new();
    let about = About { problem: Some(("/rules/0", "has no action")), ..About::default() };
    plugins.add("x.wasm", &guest::policy(&about, ""));
    let refused = refusal(&plugins, policy_spec("x.wasm"));
    let EngineError::Settings { problems, .. } = &refused else { panic!("{refused}") };
    assert_eq!((problems[0].setting.as_str(), problems[0].message.as_str()), ("/rules/0", "has no action"));
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_secret_among_the_settings_never_reaches_the_plugin() {
    let plugins = Plugins::new();
    let about = About { schema: r#"{"properties":{"token":{"format":"secret"}}}"#, ..About::default() };
    plugins.add("x.wasm", &guest::policy(&about, ""));
    let spec = PolicySpec { settings: json!({"token": "hunter2hunter2"}), ..policy_spec("x.wasm") };
    let refused = refusal(&plugins, spec);
    assert!(matches!(&refused, EngineError::Settings { problems, .. } if problems[0].setting == "/token"), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}

#[test]
fn a_plugin_that_describes_itself_wrongly_is_refused() {
    let plugins = Plugins::new();
    plugins.add_signed("x.wasm", &guest::policy(&About { name: "Not A Name", ..About::default() }, ""), "x");
    assert!(matches!(refusal(&plugins, policy_spec("x.wasm")), EngineError::Manifest { .. }));
}

#[test]
fn a_key_file_that_is_none_is_named() {
    let plugins = Plugins::new();
    fs::write(plugins.path("bad.pub"), "not a key").unwrap();
    for file in ["bad.pub", "missing.pub"] {
        let refused = TrustedKeys::from_files(&[plugins.path("trusted.pub"), plugins.path(file)]).unwrap_err();
        assert!(refused.to_string().contains(file), "{refused}");
    }
}

#[test]
fn a_cache_folder_that_others_can_enter_is_left_alone() {
    let plugins = Plugins::new();
    plugins.add("x.wasm", &good());
    let cache = plugins.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(plugins.engine_with_cache(Some(cache.clone())).load_policy(policy_spec("x.wasm")).is_ok());
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}
