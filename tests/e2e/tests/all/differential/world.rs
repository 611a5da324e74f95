//! The three sides: a directory as it is, one behind a gateway that no policy watches, and one behind a gateway whose
//! policy looks at every operation and allows it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use portcullis_lab::company::Company;
use portcullis_lab::slapd::{Extras, Slapd};

use crate::stage::{Setup, Stage};

/// Subscribed to everything that an LDAP client can do. Operations that some policy wants to see are held until it has
/// decided, which is another way through the gateway. It fails open, because on a machine with too much to do, here and
/// there an evaluation takes longer than it may.
pub(super) const ALLOW_ALL: &str = r#"
[[policy]]
name = "everything"
plugin = "rules.wasm"
mode = "enforce"
fail = "open"

[[policy.settings.rules]]
name = "All that there is"
operations = ["bind", "search", "compare", "add", "modify", "delete", "rename", "password-change", "extended", "other"]
then = { verdict = "allow" }
"#;

/// The directory's administrator is nobody whose entry could be read.
const WITHOUT_ENTRY: &str = "accounts-without-entry = [\"cn=manager,dc=example,dc=com\"]\n";

const GLOBAL: &str = r#"
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/dyngroup.schema
moduleload sssvlv
moduleload syncprov
moduleload dynlist
moduleload memberof
moduleload deref
moduleload retcode
sizelimit unlimited
sockbuf_max_incoming_auth 16777215
allow bind_anon_cred
sasl-secprops none
authz-policy to
authz-regexp "uid=([^,]+),cn=[^,]+,cn=auth" "ldap:///dc=example,dc=com??sub?(uid=$1)"
access to attrs=entry,uid,objectClass,authzTo
    by users read
    by * search
"#;

const DATABASE: &str = r#"
overlay retcode
retcode-parent "ou=retcodes,dc=example,dc=com"
retcode-item "cn=slow" 0x00 sleeptime=1
retcode-item "cn=slower" 0x00 sleeptime=30
retcode-item "cn=busy" 0x33 text="not now" matched="dc=example,dc=com"
retcode-item "cn=referral" 0x0a ref="ldap://other.example.com/dc=example,dc=com"
retcode-item "cn=farewell" 0x00 unsolicited=1.3.6.1.4.1.1466.20036 flags=post-disconnect
retcode-item "cn=notification" 0x00 unsolicited=1.3.6.1.4.1.4203.666.6.9:data
retcode-item "cn=abrupt" 0x00 flags=pre-disconnect
overlay dynlist
dynlist-attrset groupOfURLs memberURL member
overlay memberof
overlay deref
overlay sssvlv
overlay syncprov
"#;

/// `password` of the entry `uid=binary` is octets that are no UTF-8: 00 ff fe 80.
const LDIF: &str = include_str!("lab.ldif");

/// All three, each with its own directory. The directories are equal.
pub(super) struct World {
    pub(super) direct: Slapd,
    pub(super) open: Stage,
    pub(super) held: Stage,
}

pub(super) fn extras() -> Extras {
    Extras { global: GLOBAL.to_owned(), database: DATABASE.to_owned(), ldif: LDIF.to_owned() }
}

impl World {
    pub(super) async fn new(listener: &str) -> Result<Self> {
        let direct = tokio::task::spawn_blocking(|| Slapd::start_with(&Company::generate(), &extras()));
        let (direct, open, held) = tokio::join!(direct, gateway(listener, ""), gateway(listener, ALLOW_ALL));
        Ok(Self { direct: direct??, open: open?, held: held? })
    }

    /// Names and addresses of the two gateways.
    pub(super) fn gateways(&self) -> [(&'static str, SocketAddr); 2] {
        [("gateway", self.open.ldap), ("gateway with a policy on everything", self.held.ldap)]
    }
}

/// A gateway in front of a directory of its own. It speaks to it in the clear, as the client does to the other one: a root
/// DSE tells which SASL mechanisms go with the connection.
pub(super) async fn gateway(listener: &str, policies: &str) -> Result<Stage> {
    let mut setup = Setup {
        policies: policies.to_owned(),
        listener: format!("tls = \"none\"\n{listener}"),
        extras: extras(),
        ..Setup::default()
    };
    if listener.contains("tls =") {
        listener.clone_into(&mut setup.listener);
    }
    setup.accounts.push_str(WITHOUT_ENTRY);
    let mut stage = Stage::without_gateway(setup).await?;
    behind_clear(&stage, &stage.slapd)?;
    stage.start().await?;
    Ok(stage)
}

/// A gateway in front of this directory, in the clear; its own one is stopped.
pub(super) async fn gateway_before(slapd: &Slapd, policies: &str) -> Result<Stage> {
    let mut setup = Setup { policies: policies.to_owned(), ..Setup::default() };
    setup.accounts.push_str(WITHOUT_ENTRY);
    let mut stage = Stage::without_gateway(setup).await?;
    stage.slapd.stop()?;
    behind_clear(&stage, slapd)?;
    stage.start().await?;
    Ok(stage)
}

/// Lets the gateway speak to this directory in the clear.
fn behind_clear(stage: &Stage, slapd: &Slapd) -> Result<()> {
    let text = std::fs::read_to_string(stage.config_file())?;
    let tls = format!("url = \"{}\"", stage.slapd.ldaps_uri());
    let clear = format!("url = \"{}\"\nallow-cleartext = true", slapd.uri());
    anyhow::ensure!(text.contains(&tls), "the configuration has no {tls}");
    std::fs::write(stage.config_file(), text.replace(&tls, &clear)).context("writing the configuration")
}
