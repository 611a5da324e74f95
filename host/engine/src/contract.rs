//! Which interfaces a plugin may import, and which exports make it a plugin of which kind.

use std::fmt;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::EngineError;

/// The contract that this gateway speaks, as it stands in a signature's trusted comment.
pub const CONTRACT: &str = "portcullis:gateway@0.1.0";

const PACKAGE: &str = "portcullis:gateway/";
/// Versions from 0.1.0 up to, not including, 0.2.0 are compatible (semantic versioning, clause 4, as components apply it).
const COMPATIBLE: &str = "0.1.";

/// What a plugin is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It decides on accesses.
    Policy,
    /// It asks for a second factor.
    Authenticator,
    /// It tells what happens at a cloud identity provider, and acts there.
    IdentityProvider,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy-plugin",
            Self::Authenticator => "authenticator-plugin",
            Self::IdentityProvider => "identity-provider-plugin",
        })
    }
}

impl World {
    fn imports(self) -> &'static [&'static str] {
        match self {
            Self::Policy => &["types", "log", "facts"],
            Self::Authenticator | Self::IdentityProvider => &["types", "log", "clock", "http", "state"],
        }
    }

    fn exports(self) -> &'static [&'static str] {
        match self {
            Self::Policy => &["plugin", "policy"],
            Self::Authenticator => &["plugin", "connector", "authenticator"],
            Self::IdentityProvider => &["plugin", "connector", "event-source", "account-directory", "enforcement"],
        }
    }
}

/// The export by which a world is told from the others.
const DECISIVE: [(&str, World); 3] =
    [("policy", World::Policy), ("authenticator", World::Authenticator), ("event-source", World::IdentityProvider)];

/// A component's outer shape.
pub(crate) struct Shape {
    pub(crate) imports: Vec<String>,
    exports: Vec<String>,
}

impl Shape {
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        Self {
            imports: ty.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: ty.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The world that the component belongs to. Its exports decide; then each of its imports has to be one of that world.
    ///
    /// # Errors
    /// [`EngineError::ForeignImport`] or [`EngineError::ContractMismatch`].
    pub(crate) fn world(&self, file: &str) -> Result<World, EngineError> {
        let mismatch = |reason: String| EngineError::ContractMismatch { file: file.to_owned(), reason };
        // What is outside the contract altogether is named first: it is what people trip over, and tells them most.
        if let Some(foreign) = self.imports.iter().find(|name| interface(name).is_none()) {
            return Err(EngineError::ForeignImport { file: file.to_owned(), import: foreign.clone() });
        }
        let exported = |wanted: &str| self.exports.iter().any(|name| interface(name) == Some(wanted));
        let found: Vec<(&str, World)> = DECISIVE.into_iter().filter(|(name, _)| exported(name)).collect();
        let world = match found.as_slice() {
            [(_, world)] => *world,
            [] => {
                let found = if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
                let names = DECISIVE.map(|(name, _)| format!("`{name}`")).join(", ");
                return Err(mismatch(format!("it exports none of {names} but {found}")));
            }
            many => {
                let names: Vec<_> = many.iter().map(|(name, _)| format!("`{name}`")).collect();
                return Err(mismatch(format!("it exports {}; it can be one of them", names.join(" and "))));
            }
        };
        if let Some(missing) = world.exports().iter().find(|name| !exported(name)) {
            return Err(mismatch(format!("a `{world}` has to export `{missing}`")));
        }
        match self.imports.iter().find(|name| !interface(name).is_some_and(|known| world.imports().contains(&known))) {
            Some(foreign) => Err(EngineError::ForeignImport { file: file.to_owned(), import: foreign.clone() }),
            None => Ok(world),
        }
    }
}

/// Whether this gateway speaks the contract, e.g. `portcullis:gateway@0.1.2`.
pub(crate) fn speaks(contract: &str) -> bool {
    contract.strip_prefix("portcullis:gateway@").is_some_and(|version| version.starts_with(COMPATIBLE))
}

/// The interface's short name, if it is one of a compatible version of the contract.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.starts_with(COMPATIBLE).then_some(interface)
}

#[cfg(test)]
mod tests {
    use super::{Shape, World};
    use crate::EngineError;

    fn shape(imports: &[&str], exports: &[&str]) -> Shape {
        let full = |names: &[&str]| {
            names
                .iter()
                .map(|n| if n.contains(':') { (*n).to_owned() } else { format!("portcullis:gateway/{n}@0.1.0") })
                .collect()
        };
        Shape { imports: full(imports), exports: full(exports) }
    }

    #[test]
    fn exports_decide_on_the_world() {
        assert_eq!(shape(&["types", "facts"], &["plugin", "policy"]).world("x").unwrap(), World::Policy);
        assert_eq!(
            shape(&["types", "http"], &["plugin", "connector", "authenticator"]).world("x").unwrap(),
            World::Authenticator
        );
        let provider = ["plugin", "connector", "event-source", "account-directory", "enforcement"];
        assert_eq!(shape(&["types", "http"], &provider).world("x").unwrap(), World::IdentityProvider);
    }

    #[test]
    fn a_component_is_one_thing() {
        let exports = ["plugin", "connector", "authenticator", "event-source", "account-directory", "enforcement"];
        let refused = shape(&[], &exports).world("x.wasm").unwrap_err();
        assert!(refused.to_string().contains("`authenticator` and `event-source`"), "{refused}");
        let refused = shape(&[], &["plugin", "connector"]).world("x.wasm").unwrap_err();
        assert!(refused.to_string().contains("none of `policy`, `authenticator`, `event-source`"), "{refused}");
        let refused = shape(&[], &["plugin", "connector", "event-source", "enforcement"]).world("x.wasm").unwrap_err();
        assert!(refused.to_string().contains("`account-directory`"), "{refused}");
    }

    #[test]
    fn a_later_patch_version_is_understood_and_another_minor_version_is_not() {
        let exports = ["portcullis:gateway/plugin@0.1.7", "portcullis:gateway/policy@0.1.7"];
        assert_eq!(shape(&[], &exports).world("x").unwrap(), World::Policy);
        let exports = ["portcullis:gateway/plugin@0.2.0", "portcullis:gateway/policy@0.2.0"];
        assert!(matches!(shape(&[], &exports).world("x"), Err(EngineError::ContractMismatch { .. })));
    }

    #[test]
    fn a_policy_does_not_get_the_network_nor_the_clock() {
        for import in ["http", "clock", "state"] {
            let refused = shape(&["types", import], &["plugin", "policy"]).world("x");
            assert!(matches!(refused, Err(EngineError::ForeignImport { import: name, .. }) if name.contains(import)));
        }
    }

    #[test]
    fn what_a_world_has_to_export_is_named_when_it_is_missing() {
        let refused = shape(&[], &["policy"]).world("x.wasm").unwrap_err();
        assert!(refused.to_string().contains("`plugin`"), "{refused}");
    }

    #[test]
    fn an_interface_that_only_looks_like_the_contract_is_foreign() {
        for import in ["wasi:cli/environment@0.2.6", "portcullis:gatewayx/log@0.1.0", "portcullis:gateway/log", "log:x"]
        {
            let refused = shape(&[import], &["plugin", "policy"]).world("x");
            assert!(
                matches!(refused, Err(EngineError::ForeignImport { import: name, .. }) if name == import),
                "{import}"
            );
        }
    }
}
