//! What needs a gateway or a directory of its own: StartTLS, binds without a password, a directory that dies.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use portcullis_lab::client::LdapClient;
use portcullis_lab::company::Company;
use portcullis_lab::net::{own_address, wait_refused};
use portcullis_lab::slapd::Slapd;

use super::ber::{Octets, context, enumerated, int, seq, text, tlv};
use super::case::Case;
use super::differ;
use super::normal::normalised;
use super::request::{
    ALICE, BASE, EXTENDED_RESPONSE, Op, START_TLS, answer, bind, extended, nobody, notice, password_modify, read, sasl,
    search, somebody, unbind, who_am_i,
};
use super::script;
use super::world::{World, gateway};
use crate::stage::PATIENCE;

const OFFERED: &str = "tls = \"start-tls\"\ncertificate = \"pki/gateway.pem\"\nkey = \"pki/gateway.key\"";
const REFUSED: &str = "this listener takes passwords only after StartTLS";

async fn compare(world: &World, cases: &[Case]) -> Result<()> {
    compare_at(&world.direct, &world.gateways(), cases).await
}

async fn compare_at(slapd: &Slapd, gateways: &[(&str, SocketAddr)], cases: &[Case]) -> Result<()> {
    for case in cases {
        let direct = script::run(case, slapd.addr()).await?;
        for &(name, at) in gateways {
            let said = differ::verdict(case, &direct, &script::run(case, at).await?);
            println!("{}", case.name);
            assert_eq!(said, None, "{} ({name}):\n{}", case.name, said.clone().unwrap_or_default());
        }
    }
    Ok(())
}

/// What an administrator may set so that the gateway is no stricter than the directory.
#[tokio::test]
async fn a_bind_without_a_password_is_the_directory_s_where_the_listener_says_so() -> Result<()> {
    let world = World::new("allow-unauthenticated-bind = true").await?;
    let cases = [
        Case::new("unauthenticated bind: a name and no password").ask(bind(ALICE, "")).ask(who_am_i()).ask(read(ALICE)),
        Case::new("unauthenticated bind: an unknown name")
            .ask(bind("uid=nobody,dc=example,dc=com", ""))
            .ask(who_am_i()),
        Case::new("unauthenticated bind: a name that is no DN").ask(bind("alice", "")).ask(who_am_i()),
        Case::new("unauthenticated bind: after a right one")
            .ask(bind(ALICE, "alice-secret"))
            .ask(bind(ALICE, ""))
            .ask(who_am_i()),
    ];
    compare(&world, &cases).await
}

/// The answers before TLS are the gateway's own; those under it are the directory's.
#[tokio::test]
async fn under_start_tls_the_octets_are_the_same_and_before_it_they_are_the_gateway_s() -> Result<()> {
    let world = World::new(&format!("{OFFERED}\nallow-cleartext-passwords = true")).await?;
    let strict = gateway(OFFERED, "").await?;
    let start = || extended(START_TLS, None);
    let busy = || read("cn=slow,ou=retcodes,dc=example,dc=com");
    let named = tlv(0x78, [enumerated(0), text(""), text(""), context(10, START_TLS)].concat());
    let cases = [
        Case::new("StartTLS: offered, then closed")
            .octets(start().message(1))
            .frames(1)
            .half_close()
            .closed()
            .by_design("slapd leaves out the name that RFC 4511, section 4.14.2, asks for", &[seq(&[int(1), named])]),
        Case::new("StartTLS: while something runs").manager().send(busy()).ask(start()).wait([2]).by_design(
            "slapd has a message of its own",
            &[
                answer(1, 0x61, 0, ""),
                answer(3, EXTENDED_RESPONSE, 1, "StartTLS has to wait until all operations are finished"),
                answer(2, 0x65, 0, ""),
            ],
        ),
        Case::new("StartTLS: with octets behind it")
            .octets([start().message(1), who_am_i().message(2)].concat())
            .frames(1)
            .half_close()
            .closed()
            .by_design(
                "what stands behind it came in the clear and must not be taken for what was said under TLS",
                &[notice(2, "octets behind a StartTLS request")],
            ),
        Case::new("StartTLS: a request before it").ask(who_am_i()).ask(bind(ALICE, "alice-secret")),
    ];
    compare(&world, &cases).await?;
    compare_at(&world.direct, &[("a gateway that takes no passwords in the clear", strict.ldap)], &in_the_clear())
        .await?;

    let requests = [
        bind(ALICE, "alice-secret"),
        who_am_i(),
        search(BASE).attributes(&["*", "+"]).into(),
        read("").attributes(&["namingContexts", "supportedControl", "supportedExtension", "supportedFeatures"]).into(),
        bind(ALICE, "wrong"),
        who_am_i(),
    ];
    let slapd = &world.direct;
    let direct = LdapClient::connect(slapd.addr(), own_address().into()).await?;
    let host = slapd.addr().ip().to_string();
    let direct = secured(direct, &slapd.client_config()?, &host, &requests, "TLS already started").await?;
    for stage in [&world.open, &world.held, &strict] {
        let through = LdapClient::connect(stage.ldap, own_address().into()).await?;
        let (config, host) = (stage.pki.client_config()?, stage.ldap.ip().to_string());
        let got = secured(through, &config, &host, &requests, "TLS is already established").await?;
        assert_eq!(direct.len(), got.len());
        for (nth, (direct, got)) in direct.iter().zip(&got).enumerate() {
            assert!(direct == got, "message {nth}:\n- {direct:02x?}\n+ {got:02x?}");
        }
    }
    Ok(())
}

/// What a listener that offers StartTLS says before it, where it is not told to take passwords in the clear.
fn in_the_clear() -> [Case; 5] {
    let why = "a password that goes through in the clear teaches its client to go on like that";
    let plain = sasl("PLAIN", Some(b"\0alice\0alice-secret"));
    [
        Case::new("before StartTLS: a password")
            .ask(bind(ALICE, "alice-secret"))
            .ask(who_am_i())
            .by_design(why, &[answer(1, 0x61, 13, REFUSED), nobody(2)]),
        Case::new("before StartTLS: a wrong password")
            .ask(bind(ALICE, "wrong"))
            .by_design(why, &[answer(1, 0x61, 13, REFUSED)]),
        Case::new("before StartTLS: SASL PLAIN")
            .ask(plain)
            .ask(who_am_i())
            .by_design(why, &[answer(1, 0x61, 13, REFUSED), nobody(2)]),
        Case::new("before StartTLS: another password")
            .ask(password_modify(Some(ALICE), Some(b"alice-secret"), Some(b"other")))
            .by_design(why, &[answer(1, EXTENDED_RESPONSE, 13, REFUSED)]),
        Case::new("before StartTLS: nobody's requests")
            .ask(bind("", ""))
            .ask(who_am_i())
            .ask(read("").attributes(&["namingContexts"]))
            .ask(read(ALICE)),
    ]
}

/// All answers to these requests under StartTLS, and to another StartTLS at the end this message.
async fn secured(
    client: LdapClient,
    config: &std::sync::Arc<rustls::ClientConfig>,
    host: &str,
    requests: &[Op],
    already: &str,
) -> Result<Vec<Octets>> {
    let mut client = client.start_tls(std::sync::Arc::clone(config), host).await?;
    let mut heard = Vec::new();
    for (request, id) in requests.iter().zip(2..) {
        client.send_raw(&request.message(id)).await?;
        loop {
            let frame = client.read_frame().await?.context("closed")?;
            let last = super::ber::header(&frame).is_some_and(|(_, tag)| ![0x64, 0x73, 0x79].contains(&tag));
            heard.push(normalised(&frame));
            if last {
                break;
            }
        }
    }
    client.send_raw(&extended(START_TLS, None).message(50)).await?;
    let again = client.read_frame().await?.context("closed")?;
    assert_eq!(again, answer(50, EXTENDED_RESPONSE, 1, already));
    client.send_raw(&unbind().message(51)).await?;
    assert_eq!(client.read_frame().await?, None, "an unbind ends it");
    Ok(heard)
}

/// Through the gateway, a client is told what happened; slapd that is killed says nothing.
#[tokio::test]
async fn a_directory_that_dies_is_answered_for_as_documented() -> Result<()> {
    let mut stage = gateway("", "").await?;
    let mut client = LdapClient::connect(stage.ldap, own_address().into()).await?;
    let administrator = bind("cn=manager,dc=example,dc=com", "manager-secret").message(1);
    client.send_raw(&administrator).await?;
    assert_eq!(client.read_frame().await?, Some(answer(1, 0x61, 0, "")));
    let slower = Op::from(read("cn=slower,ou=retcodes,dc=example,dc=com")).message(2);
    client.send_raw(&[slower, who_am_i().message(3)].concat()).await?;
    assert_eq!(client.read_frame().await?, Some(somebody(3, "cn=manager,dc=example,dc=com")));
    let pid = i32::try_from(stage.slapd.pid().context("slapd runs")?)?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
    let why = "the directory is not available";
    assert_eq!(client.read_frame().await?, Some(answer(2, 0x65, 52, why)), "what it had not answered");
    assert_eq!(client.read_frame().await?, Some(notice(52, why)));
    assert_eq!(client.read_frame().await?, None, "closed");
    wait_refused(stage.slapd.addr(), PATIENCE).await?;

    let refused = [
        (bind(ALICE, "alice-secret"), 0x61),
        (read(ALICE).into(), 0x65),
        (who_am_i(), EXTENDED_RESPONSE),
        (super::request::delete(ALICE), 0x6b),
    ];
    for (request, tag) in refused {
        let case = Case::new("gone").ask(request).closed();
        let heard = script::run(&case, stage.ldap).await?.remove(0);
        assert_eq!(heard.frames, [answer(1, tag, 52, why), notice(52, why)]);
    }
    stage.slapd.restart()?;
    let case = Case::new("back").ask(who_am_i());
    assert_eq!(script::run(&case, stage.ldap).await?.remove(0).frames, [nobody(1)]);
    Ok(())
}

/// The directories really are equal before anything is compared.
#[tokio::test]
async fn two_directories_without_a_gateway_answer_alike() -> Result<()> {
    let start = || tokio::task::spawn_blocking(|| Slapd::start_with(&Company::generate(), &super::world::extras()));
    let (one, other) = tokio::join!(start(), start());
    let (one, other) = (one??, other??);
    let case = Case::new("all").manager().ask(search(BASE).attributes(&["*", "+"])).ask(read("").attributes(&["+"]));
    let (one, other) = (script::run(&case, one.addr()).await?, script::run(&case, other.addr()).await?);
    assert_eq!(differ::verdict(&case, &one, &other), None);
    Ok(())
}
