//! Components for tests, put together from the text in `guests/`.

const MEMORY: &str = include_str!("../guests/memory.wat");
const PLUGIN: &str = include_str!("../guests/plugin.wat");
const POLICY: &str = include_str!("../guests/policy.wat");
const IDENTITY_PROVIDER: &str = include_str!("../guests/identity_provider.wat");
const AUTHENTICATOR: &str = include_str!("../guests/authenticator.wat");

/// What the guest says about itself and its settings.
pub struct About {
    pub name: &'static str,
    pub version: &'static str,
    pub schema: &'static str,
    /// Setting and message of the problem that `configure` reports.
    pub problem: Option<(&'static str, &'static str)>,
}

impl Default for About {
    fn default() -> Self {
        Self { name: "test-guest", version: "1.2.3", schema: "{}", problem: None }
    }
}

/// A policy that runs the WebAssembly text at each evaluation and then allows, unless `$verdict` was called.
pub fn policy(about: &About, evaluate: &str) -> Vec<u8> {
    policy_with_import(about, evaluate, "")
}

/// A policy that also imports something.
pub fn policy_with_import(about: &About, evaluate: &str, import: &str) -> Vec<u8> {
    build(&POLICY.replace("@EVALUATE@", evaluate).replace("@EXTRA_IMPORT@", import), about)
}

/// An authenticator that runs the WebAssembly text at each poll and then says that it waits.
pub fn authenticator(about: &About, poll: &str, url: &str) -> Vec<u8> {
    let text = AUTHENTICATOR.replace("@POLL@", poll).replace("@URL@", url);
    build(&text.replace("@URL_LENGTH@", &url.len().to_string()), about)
}

/// A connector to a cloud identity provider that runs the WebAssembly text at each poll and then hands over no event.
pub fn identity_provider(about: &About, poll: &str) -> Vec<u8> {
    build(&IDENTITY_PROVIDER.replace("@POLL@", poll), about)
}

fn build(text: &str, about: &About) -> Vec<u8> {
    let (setting, message) = about.problem.unwrap_or_default();
    // All texts stand one after the other from 1024 on, where `manifest` and `problem` point.
    let mut texts = Vec::new();
    let mut pointers = |pieces: &[&str]| {
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(u32::try_from(1024 + texts.len()).unwrap().to_le_bytes());
            bytes.extend(u32::try_from(piece.len()).unwrap().to_le_bytes());
            texts.extend(piece.bytes());
        }
        escaped(&bytes)
    };
    let manifest = pointers(&[about.name, about.version, "A guest for tests.", about.schema]);
    let problem = pointers(&[setting, message]);
    let configured: &[u8] = if about.problem.is_some() { &[1, 0, 0, 0, 96, 0, 0, 0, 1, 0, 0, 0] } else { &[0; 12] };
    let text = text
        .replace("@PLUGIN@", PLUGIN)
        .replace("@MEMORY@", MEMORY)
        .replace("@MANIFEST@", &manifest)
        .replace("@PROBLEM@", &problem)
        .replace("@CONFIGURED@", &escaped(configured))
        .replace("@TEXTS@", &escaped(&texts));
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
