//! A service account's fence: learned through the gateway, accepted with one click, and then what is outside is blocked and an
//! incident, while its program notices nothing.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::company::group_dn;
use portcullis_lab::proto::{LdapResultCode, LdapSearchScope};
use serde_json::Value;

use crate::stage::{Console, PATIENCE, Setup, Stage, machine};

/// Asks to see searches, as long as there is no fence that does, and has nothing to say.
const WATCHER: &str = r#"
[[policy]]
name = "watcher"
plugin = "rules.wasm"
[[policy.settings.rules]]
name = "Nobody"
operations = ["bind", "search"]
when = { login = "nobody" }
then = "block"
"#;

const PEOPLE: &str = "ou=people,dc=example,dc=com";

/// The program whose account is `cn=wiki,ou=services`: it logs in, and looks somebody up.
async fn look_up(stage: &Stage, from: IpAddr, base: &str, filter: &str) -> Result<(i64, LdapResultCode)> {
    let service = stage.company.service("wiki")?;
    let mut client = stage.client(from).await?;
    let bind = client.bind(&service.dn, &service.password).await?;
    let found = client.search(base, LdapSearchScope::Subtree, filter, &["cn"]).await?;
    client.unbind().await?;
    Ok((i64::from(bind.code as i32), found.result.code))
}

async fn works(stage: &Stage, from: IpAddr, uid: &str) -> Result<()> {
    let filter = format!("(&(objectClass=person)(uid={uid}))");
    let (bind, found) = look_up(stage, from, PEOPLE, &filter).await?;
    ensure!((bind, &found) == (0, &LdapResultCode::Success), "{uid}: {bind} {found:?}\n{}", stage.log().join("\n"));
    Ok(())
}

/// The fence of the account, when so many of its searches are stored.
async fn proposal(console: &Console, searches: u64) -> Result<(u64, Value)> {
    let begun = Instant::now();
    loop {
        let all: Value = serde_json::from_str(&console.get("/api/v1/accounts/fences").await?)?;
        let revision = all["revision"].as_u64().context("a revision")?;
        let ours = all["proposals"].as_array().context("a list")?.iter().find(|one| one["login"] == "wiki").cloned();
        let known = ours.as_ref().and_then(|one| one["fence"]["Ok"]["filters"]["allowed"][0]["count"].as_u64());
        if let Some(ours) = ours.clone().filter(|_| known.is_some_and(|count| count >= searches)) {
            return Ok((revision, ours));
        }
        ensure!(begun.elapsed() < PATIENCE, "no fence of {searches} searches is proposed: {ours:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The incidents of the fence; detections have their own.
async fn of_fence(console: &Console) -> Result<Vec<Value>> {
    Ok(console.incidents().await?.into_iter().filter(|incident| incident["source"] == "fences").collect())
}

async fn incident(console: &Console, times: u64) -> Result<()> {
    let incidents = of_fence(console).await?;
    ensure!(incidents.len() == 1, "{incidents:?}");
    let one = &incidents[0];
    assert_eq!((&one["severity"], &one["count"]), (&"high".into(), &times.into()));
    assert_eq!(one["title"], "wiki is used outside its fence");
    Ok(())
}

/// Form encoding of the fields of a fence.
async fn accept(console: &Console, (revision, proposal): &(u64, Value), mode: &str) -> Result<u16> {
    let page = console.get("/service-accounts").await?;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).context("a form")?;
    let (account, seal) = (proposal["account"].as_str(), proposal["seal"].as_str());
    let (account, seal) = (account.context("an id")?, seal.context("a seal")?);
    let body = format!("csrf={csrf}&account={account}&revision={revision}&seal={seal}&mode={mode}");
    console.post("/service-accounts/fence", body).await
}

#[tokio::test]
async fn a_fence_is_learned_accepted_holds_and_is_taken_back() -> Result<()> {
    let stage = Stage::new(Setup { policies: WATCHER.to_owned(), ..Setup::default() }).await?;
    let (own, other) = (machine(), machine());
    for uid in ["alice", "bob"].iter().cycle().take(25) {
        works(&stage, own, uid).await?;
    }
    // Somebody who has tried once.
    look_up(&stage, other, PEOPLE, "(uid=*)").await?;
    let console = stage.console().await?;
    let found = proposal(&console, 25).await?;
    let fence = &found.1["fence"]["Ok"];
    let only = |part: &str| fence[part]["allowed"].as_array().map_or(0, Vec::len);
    assert_eq!(fence["machines"]["allowed"][0]["what"], own.to_string(), "{fence}");
    assert_eq!((only("machines"), only("filters"), only("places")), (1, 1, 1), "{fence}");
    assert_eq!(fence["filters"]["allowed"][0]["what"], "(&(objectclass=?)(uid=?))");
    let left = &fence["machines"]["left_out"][0];
    assert_eq!(left["known"]["what"], other.to_string(), "{fence}");
    assert!(left["why"].as_str().unwrap_or_default().contains("was noticed with it"), "{left}");
    let (code, said, err) = stage.portcullis(&["accounts", "fence", "wiki"]).await?;
    ensure!(code == 0, "{err}");
    for text in [&format!("machine {own}: seen 25 times since"), "left out:", "filter-shape = [", "mode = \"monitor\""]
    {
        assert!(said.contains(text), "{text} in {said}");
    }

    // One click; not on what is not there any more.
    assert_eq!(accept(&console, &(found.0 + 1, found.1.clone()), "enforce").await?, 409);
    assert_eq!(accept(&console, &found, "enforce").await?, 303);
    assert_eq!(accept(&console, &found, "enforce").await?, 409, "twice");
    let policies: Value = serde_json::from_str(&console.get("/api/v1/policies").await?)?;
    let names: Vec<_> = policies["revision"]["policies"].as_array().context("a list")?.iter().collect();
    assert_eq!((&names[0]["name"], &names[0]["mode"], names.len()), (&"fences".into(), &"enforce".into(), 2));
    works(&stage, own, "alice").await?;
    works(&stage, own, "carol").await?;
    assert!(of_fence(&console).await?.is_empty(), "its own machine, its own search");

    let refused = LdapResultCode::InsufficentAccessRights;
    for (times, base, filter) in [
        (1, PEOPLE, "(&(objectClass=person)(uid=*))".to_owned()),
        (2, PEOPLE, "(mail=alice@example.com)".to_owned()),
        (3, "dc=example,dc=com", "(&(objectClass=person)(uid=alice))".to_owned()),
        (4, &*group_dn("engineers"), "(&(objectClass=groupOfNames)(cn=a))".to_owned()),
    ] {
        let (bind, found) = look_up(&stage, own, base, &filter).await?;
        assert_eq!((bind, found), (0, refused.clone()), "{filter}");
        incident(&console, times).await?;
    }
    // From another machine not even its own search, nor the bind.
    for times in [5, 6] {
        let service = stage.company.service("wiki")?;
        let mut client = stage.client(if times == 5 { other } else { machine() }).await?;
        let bind = client.bind(&service.dn, &service.password).await?;
        assert_eq!(bind.code, LdapResultCode::InvalidCredentials);
        incident(&console, times).await?;
    }
    assert_eq!(stage.bind_from(other, "alice", "alice-secret").await?.0, 0, "others are not meant");
    let accesses = stage.accesses().await?;
    let blocked = accesses.iter().filter(|access| access["decision"] == "block");
    assert!(blocked.clone().all(|access| access["decided_by"] == "fences") && blocked.count() == 6, "{accesses:?}");

    // On the command line it becomes one that is only watched, in place of this one; and one click takes it back.
    let (code, said, err) = stage.portcullis(&["accounts", "fence", "wiki", "--accept"]).await?;
    ensure!(code == 0, "{err}");
    assert!(said.contains("a fence is in force in the policy fences (enforce): this one"), "{said}");
    assert!(said.contains("revision 3 is stored"), "{said}");
    stage.wait_for_log("policies: revision 3").await?;
    look_up(&stage, own, PEOPLE, "(uid=*)").await?;
    let watched = stage.last_access().await?;
    let ruling = &watched["rulings"][0];
    assert_eq!((&watched["decision"], &ruling["policy"]), (&"allow".into(), &"fences-monitor".into()), "{watched}");
    let events = stage.events().await?;
    let applied = events.iter().filter(|event| event["action"] == "policies-applied");
    let details: Vec<_> = applied.map(|event| event["detail"].as_str().unwrap_or_default()).collect();
    assert!(details[1].contains("Fence of wiki (") && details[1].contains("mode enforce"), "{details:?}");
    assert!(details[2].contains("mode monitor"), "{details:?}");
    let (code, _, err) = stage.portcullis(&["policy", "revert", "1"]).await?;
    ensure!(code == 0, "{err}");
    stage.wait_for_log("policies: revision 4").await?;
    assert_eq!(look_up(&stage, other, PEOPLE, "(uid=*)").await?, (0, LdapResultCode::Success));
    Ok(())
}

#[tokio::test]
async fn a_person_s_account_has_no_fence() -> Result<()> {
    let stage = Stage::new(Setup { policies: WATCHER.to_owned(), ..Setup::default() }).await?;
    stage.learn(machine(), "alice").await?;
    let (code, _, err) = stage.portcullis(&["accounts", "fence", "alice"]).await?;
    assert!(code != 0 && err.contains("nothing is known of such a service account"), "{err}");
    Ok(())
}
