//! The gateway in front of a real Active Directory domain controller.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use portcullis_lab::client::{LdapClient, decode};
use portcullis_lab::pki::client_config_from_pem;
use portcullis_lab::proto::{LdapOp, LdapSearchScope};
use portcullis_lab::samba::{ALICE, BASE_DN, BOB, COMPUTER, NAMESAKE, SERVICE, Samba, password};
use portcullis_lab::tools::{ToolOutput, Tools};
use serde_json::Value;

use crate::stage::{PATIENCE, Setup, Stage, machine};

const ALICE_DN: &str = "CN=Alice Adams,CN=Users,DC=example,DC=test";

/// Who is in the group `staff`, be it through another group, is blocked; so is whose primary group is that of machines.
const POLICY: &str = r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
fail = "closed"
[[policy.settings.rules]]
name = "Staff"
when = { group = ["cn=staff,cn=users,dc=example,dc=test"] }
then = "block"
[[policy.settings.rules]]
name = "Machines"
when = { group = ["Domain Computers"] }
then = "block"
"#;

async fn stage(samba: &Samba, base: &str) -> Result<Stage> {
    let url = format!("url = \"{}\"", samba.ldaps_uri());
    stage_with(samba, base, &url, "tls = \"none\"", "").await
}

async fn stage_with(samba: &Samba, base: &str, url: &str, listener: &str, more: &str) -> Result<Stage> {
    let directory = format!("{url}\nca-file = \"{}\"", samba.ca_pem_path().display());
    let accounts = format!(
        r#"
base = "{base}"
schema = "active-directory"
service-account = "{SERVICE}@example.test"
password = {{ plain-text = "{secret}" }}
{more}
"#,
        secret = password(SERVICE)
    );
    let (listener, policies) = (listener.to_owned(), POLICY.to_owned());
    let setup = Setup { directory: Some(directory), accounts, policies, listener, ..Setup::default() };
    Stage::new(setup).await
}

/// Binds through the gateway; gives the result code and the account that the event names.
async fn bind(stage: &Stage, name: &str, password: &str) -> Result<(i32, Value)> {
    let mut client = stage.client(machine()).await?;
    let code = client.bind(name, password).await?.code as i32;
    let event = stage.last_access().await?;
    Ok((code, event["access"]["account"].clone()))
}

/// The bytes that answer a bind.
async fn bind_answer(mut client: LdapClient, name: &str, password: &str) -> Result<Vec<u8>> {
    client.send_bind(name, password).await?;
    client.read_frame().await?.context("the connection was closed")
}

/// The id that the directory shows, in the text form that the gateway uses.
async fn object_guid(samba: &Samba) -> Result<String> {
    let tools = Tools::new(samba.uri()).bind(ALICE_DN, password(ALICE));
    let found = tools.search(ALICE_DN, "base", "(objectClass=*)", &["objectGUID"]).await?;
    let line = found.stdout.lines().find_map(|line| line.strip_prefix("objectGUID:: ")).context("no objectGUID")?;
    let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, line)?;
    // The first three groups of digits are stored with their lowest octet first (MS-DTYP, section 2.3.4.2).
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text: String = order.iter().map(|&at| format!("{:02x}", octets[at])).collect();
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    Ok(text)
}

/// Groups and a person as alice sees them, with attributes that are text, binary, or given on demand only.
async fn search(tools: Tools) -> Result<ToolOutput> {
    let tools = tools.bind("alice@example.test", password(ALICE)).timeout(PATIENCE);
    tools.search(BASE_DN, "sub", "(|(objectClass=group)(sAMAccountName=bob))", &["*", "canonicalName"]).await
}

/// One test for everything, because making a domain takes several seconds.
#[tokio::test]
async fn accounts_groups_and_answers_are_those_of_a_real_domain_controller() -> Result<()> {
    let samba = tokio::task::spawn_blocking(Samba::start).await??;
    let stage = stage(&samba, BASE_DN).await?;
    let id = object_guid(&samba).await?;

    // Every form of a name that this domain controller takes in a simple bind.
    let forms = [
        ALICE_DN,
        "cn=ALICE adams, cn=users,dc=example,dc=test",
        "alice@example.test",
        "alice@EXAMPLE",
        "EXAMPLE\\alice",
        "example\\ALICE",
        "example.test/Users/Alice Adams",
        "EXAMPLE.TEST/users/alice adams",
        "example.test/Users\nAlice Adams",
    ];
    for form in forms {
        let (code, account) = bind(&stage, form, &password(ALICE)).await?;
        assert_eq!(code, 0, "{form:?}");
        assert_eq!((&account["login"], &account["id"]), (&"alice".into(), &id.as_str().into()), "{form:?}: {account}");
        assert_eq!((&account["kind"], &account["mail"]), (&"human".into(), &"alice@example.test".into()), "{account}");
    }

    // Groups above groups, whatever the account is called.
    for form in [
        "CN=Bob Brown,CN=Users,DC=example,DC=test",
        "bob@example.test",
        "EXAMPLE\\bob",
        "example.test/Users/Bob Brown",
        "example.test/Users\nBob Brown",
    ] {
        let (code, account) = bind(&stage, form, &password(BOB)).await?;
        assert_eq!((code, &account["login"]), (49, &BOB.into()), "{form:?}: {account}");
        assert_eq!(stage.last_access().await?["decision"], "block", "{form:?}");
    }

    let (code, account) = bind(&stage, "example.test/Guests/Bob Brown", &password(NAMESAKE)).await?;
    assert_eq!((code, &account["login"]), (0, &NAMESAKE.into()), "{account}");

    // Names of other domains, with the password of the local account of the same name. Nobody's account is blamed for it.
    for form in
        ["OTHER\\alice", "alice@other.example", "\\alice", "OTHER\\EXAMPLE\\alice", "alice@example.test@other.example"]
    {
        let (code, account) = bind(&stage, form, &password(ALICE)).await?;
        let nobody = format!("name:{}", form.to_lowercase());
        assert_eq!((code, &account["id"]), (49, &nobody.as_str().into()), "{form:?}: {account}");
    }
    // A wrong password, on the other hand, is the local account's for its own domain, and for a suffix of the forest.
    for form in ["EXAMPLE\\alice", "example.test\\alice", "alice@people.example", "alice@example"] {
        let (code, account) = bind(&stage, form, "wrong").await?;
        assert_eq!((code, &account["id"]), (49, &id.as_str().into()), "{form:?}: {account}");
    }

    // A machine, whose only group is its primary one, which no `member` attribute names.
    let (code, account) = bind(&stage, "EXAMPLE\\WS1$", &password(COMPUTER)).await?;
    assert_eq!((code, &account["kind"]), (49, &"machine".into()), "{account}");
    assert_eq!(stage.last_access().await?["decision"], "block");

    // The directory's own refusal, byte for byte, for a known and for an unknown name and for one of a display name,
    // which Windows takes and Samba does not.
    for form in [ALICE_DN, "alice@example.test", "EXAMPLE\\alice", "Alice Adams"] {
        let direct = bind_answer(LdapClient::connect(samba.addr(), machine()).await?, form, "wrong").await?;
        let through = bind_answer(stage.client(machine()).await?, form, "wrong").await?;
        assert_eq!(through, direct, "{form}");
        assert!(String::from_utf8_lossy(&direct).contains("data 52e"), "it is the answer to a wrong password");
    }

    // A search through the gateway is the same as without it. Both reach Samba over TLS, by which it chooses between ldap
    // and ldaps in its referrals.
    let gateway = Tools::new(format!("ldap://{}", stage.ldap));
    let direct = search(Tools::new(samba.ldaps_uri()).trust(samba.ca_pem_path())).await?;
    let through = search(gateway).await?;
    assert_eq!((direct.code, direct.sorted_ldif().len() > 10), (0, true), "{}", direct.stderr);
    assert!(through == direct, "through the gateway:\n{}\ndirect:\n{}", through.stdout, direct.stdout);
    drop(stage);

    // The same with the names of the domain configured instead of read.
    let names = "domain = \"example.test\"\nnetbios-name = \"OTHER\"\n";
    let stage =
        stage_with(&samba, BASE_DN, &format!("url = \"{}\"", samba.ldaps_uri()), "tls = \"none\"", names).await?;
    let (code, account) = bind(&stage, "OTHER\\alice", "wrong").await?;
    assert_eq!((code, &account["id"]), (49, &id.as_str().into()), "{account}");
    let (code, account) = bind(&stage, "EXAMPLE\\alice", &password(ALICE)).await?;
    assert_eq!(
        (code, &account["kind"]),
        (49, &"unknown".into()),
        "whom the directory lets in is a stranger here: {account}"
    );
    assert_eq!(stage.last_access().await?["decision"], "block");
    drop(stage);

    // Whom the directory knows, but not below the base, is nobody whom the policies could judge.
    let stage = self::stage(&samba, "OU=Guests,DC=example,DC=test").await?;
    let (code, account) = bind(&stage, "alice@example.test", &password(ALICE)).await?;
    assert_eq!((code, &account["kind"]), (49, &"unknown".into()), "{account}");
    Ok(())
}

/// How a client protects its connection.
#[derive(Debug, Clone, Copy)]
enum Front {
    Ldaps,
    StartTls,
}

impl Front {
    /// A protected connection to a server whose certificate this authority has signed.
    async fn connect(self, server: SocketAddr, ca: &Path) -> Result<LdapClient> {
        let (trust, host) = (client_config_from_pem(ca)?, server.ip().to_string());
        match self {
            Self::Ldaps => LdapClient::connect_tls(server, machine(), trust, &host).await,
            Self::StartTls => LdapClient::connect(server, machine()).await?.start_tls(trust, &host).await,
        }
    }
}

/// Binds and searches; all that comes back.
async fn conversation(mut client: LdapClient, name: &str, password: &str) -> Result<Vec<Vec<u8>>> {
    client.set_timeout(PATIENCE);
    let mut frames = Vec::new();
    client.send_bind(name, password).await?;
    frames.push(client.read_frame().await?.context("no answer to a bind")?);
    client.send_search(BASE_DN, LdapSearchScope::Subtree, "(sAMAccountName=bob)", &["cn", "memberOf"]).await?;
    loop {
        let frame = client.read_frame().await?.context("no answer to a search")?;
        let message = decode(&frame)?;
        frames.push(frame);
        if matches!(message.op, LdapOp::SearchResultDone(_)) {
            return Ok(frames);
        }
    }
}

#[tokio::test]
async fn through_ldaps_and_start_tls_every_octet_is_the_domain_controller_s() -> Result<()> {
    let samba = tokio::task::spawn_blocking(Samba::start).await??;
    let (plain, tls) = (samba.addr(), SocketAddr::new(samba.addr().ip(), 636));
    // The same protection in front and behind, because the domain controller's referrals name it.
    for (front, listener, behind, direct) in [
        (Front::Ldaps, "ldaps", format!("url = \"{}\"", samba.ldaps_uri()), tls),
        (Front::StartTls, "start-tls", format!("url = \"{}\"\nstart-tls = true", samba.uri()), plain),
    ] {
        let listener = format!("tls = \"{listener}\"\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"");
        let stage = stage_with(&samba, BASE_DN, &behind, &listener, "").await?;
        for name in [ALICE_DN, "alice@example.test", "EXAMPLE\\alice"] {
            for password in [password(ALICE).as_str(), "wrong"] {
                let through = front.connect(stage.ldap, stage.pki.ca_pem_path()).await?;
                let through = conversation(through, name, password).await?;
                let direct = conversation(front.connect(direct, samba.ca_pem_path()).await?, name, password).await?;
                assert_eq!(through, direct, "{front:?} {name:?} {password:?}");
                assert_eq!(through.len() > 2, password != "wrong", "only who is bound finds something");
            }
        }
    }
    Ok(())
}

/// Samba goes on taking a connection for alice after a failed bind. The gateway does not: what she may not do, she may not do
/// as nobody either.
#[tokio::test]
async fn after_a_failed_bind_nothing_is_left_of_the_one_before() -> Result<()> {
    let samba = tokio::task::spawn_blocking(Samba::start).await??;
    let stage = stage(&samba, BASE_DN).await?;
    let search = async |mut client: LdapClient| {
        client.set_timeout(PATIENCE);
        assert_eq!(client.bind(ALICE_DN, &password(ALICE)).await?.code as i32, 0);
        assert_eq!(client.bind(ALICE_DN, "wrong").await?.code as i32, 49);
        let found = client.search(ALICE_DN, LdapSearchScope::Base, "(objectClass=*)", &["cn"]).await?;
        anyhow::Ok((found.entries.len(), found.result.code as i32))
    };
    assert_eq!(search(LdapClient::connect(samba.addr(), machine()).await?).await?, (1, 0), "without the gateway");
    assert_eq!(search(stage.client(machine()).await?).await?, (0, 1), "operationsError, as for anybody without a bind");
    Ok(())
}
