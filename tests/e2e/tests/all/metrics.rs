//! The page of what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portcullis_lab::client::LdapClient;
use portcullis_lab::net::{free_port, own_address};

use crate::stage::{PATIENCE, Setup, Stage, machine};

/// The samples of a page in the OpenMetrics text format, by name and labels. Refuses what a collector would refuse.
fn samples(page: &str) -> Result<BTreeMap<String, u64>> {
    ensure!(page.ends_with("# EOF\n"), "the page is not whole");
    let (mut family, mut families, mut samples) = (String::new(), BTreeSet::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("a type without a name")?;
            ensure!(families.insert(name.to_owned()), "{name} is there twice");
            family = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').context("a sample without a value")?;
            ensure!(key.split('{').next() == Some(&family), "{key} stands in the family {family}");
            ensure!(samples.insert(key.to_owned(), value.parse()?).is_none(), "{key} is there twice");
        }
    }
    Ok(samples)
}

/// Where the metrics are to be, and the section that says so.
fn metrics() -> Result<(SocketAddr, String)> {
    let own = own_address().into();
    let address = SocketAddr::new(own, free_port(own)?);
    Ok((address, format!("[metrics]\naddress = \"{address}\"\n")))
}

#[tokio::test]
async fn what_is_turned_away_is_counted_and_hardly_fills_the_log() -> Result<()> {
    let (address, sections) = metrics()?;
    let balancer = machine();
    let listener = format!("tls = \"none\"\nproxy-protocol-from = [\"{balancer}/32\"]");
    let stage = Stage::new(Setup { listener, sections, ..Setup::default() }).await?;
    let begun = Instant::now();
    for _ in 0..50 {
        let mut client = LdapClient::connect_saying(stage.ldap, balancer, b"GET / HTTP/1.1\r\n\r\n").await?;
        // A socket that is closed with something unread in it resets the connection.
        let _ = client.read_frame().await;
    }
    let text = reqwest::get(format!("http://{address}/metrics")).await?.text().await?;
    assert_eq!(samples(&text)?["portcullis_bad_proxy_headers_total{listener=\"wiki\"}"], 50);
    stage.wait_for_log("a load balancer's connection is closed").await?;
    let lines = stage.log().iter().filter(|line| line.contains("a load balancer's connection is closed")).count();
    let most = 1 + usize::try_from(begun.elapsed().as_secs())? / 10;
    assert!(lines <= most, "{lines} lines for 50 connections in {:?}", begun.elapsed());
    Ok(())
}

/// Waits until the sample is as wanted.
async fn wait_for(page: impl AsyncFn() -> Result<String>, sample: &str, wanted: impl Fn(u64) -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = page().await?;
        if samples(&text)?.get(sample).is_some_and(|value| wanted(*value)) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{sample} is not as wanted\n{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_happens_is_counted_and_nobody_is_named() -> Result<()> {
    let (address, sections) = metrics()?;
    let mut stage = Stage::new(Setup { sections, ..Setup::default() }).await?;
    let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let page = async || -> Result<String> {
        let answer = http.get(format!("http://{address}/metrics")).send().await?.error_for_status()?;
        let kind = answer.headers().get("content-type").context("no content type")?.to_str()?.to_owned();
        ensure!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
        Ok(answer.text().await?)
    };
    let server = stage.slapd.ldaps_addr().to_string();
    let spare = format!("portcullis_directory_server_connections_spare{{server=\"{server}\"}}");
    wait_for(&page, &spare, |spare| spare == 2).await?;
    let before = samples(&page().await?)?;
    assert_eq!(before["portcullis_connections_accepted_total{listener=\"wiki\"}"], 0);
    assert_eq!(before["portcullis_decisions_total{decision=\"allow\"}"], 0);
    assert_eq!(before["portcullis_store_failing"], 0);

    assert_eq!(stage.bind_from(machine(), "alice", "alice-secret").await?.0, 0);
    assert_eq!(stage.bind_from(machine(), "alice", "wrong").await?.0, 49);
    let mut client = stage.client(machine()).await?;
    client.whoami().await?;
    let text = page().await?;
    let after = samples(&text)?;
    let wanted = [
        ("portcullis_connections_accepted_total{listener=\"wiki\"}", 3),
        ("portcullis_binds_total{listener=\"wiki\",result=\"accepted\"}", 1),
        ("portcullis_binds_total{listener=\"wiki\",result=\"refused-by-directory\"}", 1),
        ("portcullis_requests_total{listener=\"wiki\",operation=\"bind\",handling=\"forwarded\"}", 2),
        ("portcullis_requests_total{listener=\"wiki\",operation=\"extended\",handling=\"forwarded\"}", 1),
        ("portcullis_directory_connections_total{listener=\"wiki\",result=\"failed\"}", 0),
        ("portcullis_limit_reached_total{listener=\"wiki\",limit=\"connections\"}", 0),
        ("portcullis_decisions_total{decision=\"allow\"}", 1),
        ("portcullis_decisions_total{decision=\"refused\"}", 1),
        ("portcullis_challenges_total{outcome=\"approved\"}", 0),
        ("portcullis_policy_faults_total", 0),
    ];
    for (sample, value) in wanted {
        assert_eq!(after.get(sample), Some(&value), "{sample}\n{text}");
    }
    // Each client got a connection to the directory, spare or made for it.
    let got =
        |result| after[&format!("portcullis_directory_connections_total{{listener=\"wiki\",result=\"{result}\"}}")];
    assert_eq!(got("spare") + got("ready"), 3, "{text}");
    assert!(got("spare") >= 1, "{text}");
    let of = |name: &str| after[&format!("portcullis_directory_server_{name}{{server=\"{server}\"}}")];
    let tried = |result| {
        after[&format!("portcullis_directory_server_connections_total{{server=\"{server}\",result=\"{result}\"}}")]
    };
    assert_eq!((of("up"), tried("failed")), (1, 0));
    assert!(of("connections_open") > of("connections_spare"), "one client is there\n{text}");
    assert!(tried("ready") > got("ready"), "spare ones were made as well\n{text}");
    assert!(after["portcullis_connections_open{listener=\"wiki\"}"] >= 1);
    assert!(after["process_resident_memory_bytes"] > 0 && after["process_open_fds"] > 0);
    let without_server = text.replace(&server, "");
    assert!(!text.contains("alice") && !without_server.contains("127."), "{text}");

    // What a client has left is another's; a server that is lost is shown.
    client.unbind().await?;
    wait_for(&page, &format!("portcullis_directory_server_connections_handed_on_total{{server=\"{server}\"}}"), |n| {
        n >= 1
    })
    .await?;
    stage.slapd.stop()?;
    wait_for(&page, &format!("portcullis_directory_server_up{{server=\"{server}\"}}"), |up| up == 0).await?;
    wait_for(&page, &format!("portcullis_directory_server_connections_open{{server=\"{server}\"}}"), |open| open == 0)
        .await?;

    // It is there and nowhere else, and nothing else is there.
    assert_eq!(http.get(format!("http://{}/metrics", stage.web)).send().await?.status().as_u16(), 404);
    assert_eq!(http.get(format!("http://{address}/activity")).send().await?.status().as_u16(), 404);
    Ok(())
}
