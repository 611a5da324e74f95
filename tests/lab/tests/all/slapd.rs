//! The launcher of OpenLDAP.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portcullis_lab::client::LdapClient;
use portcullis_lab::company::{BASE_DN, Company, group_dn};
use portcullis_lab::net::wait_refused;
use portcullis_lab::proto::{LdapResultCode, LdapSearchScope};
use portcullis_lab::slapd::{MANAGER_DN, MANAGER_PASSWORD, Slapd};
use portcullis_lab::tools::Tools;

#[tokio::test]
async fn a_person_logs_in_over_plain_start_tls_and_ldaps() {
    let company = Company::generate();
    let slapd = Slapd::start(&company).unwrap();
    let alice = company.person("alice").unwrap();
    let plain = Tools::new(slapd.uri());
    let start_tls = Tools::new(slapd.uri()).trust(slapd.ca_pem_path()).start_tls();
    let ldaps = Tools::new(slapd.ldaps_uri()).trust(slapd.ca_pem_path());
    for tools in [plain, start_tls, ldaps] {
        let answer = tools.clone().bind(&alice.dn, &alice.password).whoami().await.unwrap();
        assert_eq!((answer.code, answer.stdout.trim()), (0, format!("dn:{}", alice.dn).as_str()), "{answer:?}");
        let answer = tools.bind(&alice.dn, "wrong").whoami().await.unwrap();
        assert_eq!(answer.code, 49, "{answer:?}");
    }
    let untrusted = Tools::new(slapd.ldaps_uri()).whoami().await.unwrap();
    assert_ne!(untrusted.code, 0, "a client that does not trust our authority must refuse the server");
}

#[tokio::test]
async fn what_may_be_read_is_as_documented() {
    let company = Company::generate();
    let slapd = Slapd::start(&company).unwrap();
    let password_of_alice = |tools: Tools| async move {
        let answer = tools.search(BASE_DN, "sub", "(uid=alice)", &["userPassword", "uid"]).await.unwrap();
        (answer.stdout.contains("uid: alice"), answer.stdout.contains("userPassword::"))
    };
    let as_service = |name: &str| {
        let service = company.service(name).unwrap();
        Tools::new(slapd.uri()).bind(&service.dn, &service.password)
    };
    assert_eq!(password_of_alice(Tools::new(slapd.uri())).await, (false, false));
    assert_eq!(password_of_alice(as_service("portcullis")).await, (true, false));
    assert_eq!(password_of_alice(as_service("wiki")).await, (true, false));
    assert_eq!(password_of_alice(as_service("backup")).await, (true, true));

    let everybody = as_service("wiki").search(BASE_DN, "sub", "(objectClass=person)", &["uid"]).await.unwrap();
    assert_eq!(everybody.sorted_ldif().len(), 200);
}

#[tokio::test]
async fn groups_stand_in_groups() {
    let company = Company::generate();
    let slapd = Slapd::start(&company).unwrap();
    let alice = company.person("alice").unwrap();
    let mut client = LdapClient::connect(slapd.addr(), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))).await.unwrap();
    assert_eq!(client.bind(&alice.dn, &alice.password).await.unwrap().code, LdapResultCode::Success);
    let mut member = alice.dn.clone();
    for group in ["engineers", "staff", "everyone"] {
        let filter = format!("(&(member={member})(cn={group}))");
        let found = client.search(BASE_DN, LdapSearchScope::Subtree, &filter, &["cn"]).await.unwrap();
        assert_eq!(found.entries.len(), 1, "{filter}");
        member = group_dn(group);
        assert_eq!(found.entries[0].dn, member);
    }
}

#[tokio::test]
async fn the_server_comes_back_on_its_port_with_its_data_and_goes_for_good_when_dropped() {
    let company = Company::generate();
    let mut slapd = Slapd::start(&company).unwrap();
    let (addr, pid) = (slapd.addr(), slapd.pid().unwrap());
    let manager = Tools::new(slapd.uri()).bind(MANAGER_DN, MANAGER_PASSWORD);
    let bob = company.person("bob").unwrap();
    assert_eq!(manager.run("ldapdelete", &[&bob.dn]).await.unwrap().code, 0);

    slapd.stop().unwrap();
    assert_eq!(slapd.pid(), None);
    wait_refused(addr, Duration::from_secs(5)).await.unwrap();
    assert_eq!(manager.whoami().await.unwrap().code, 255);

    slapd.restart().unwrap();
    assert_eq!(slapd.addr(), addr);
    assert_ne!(slapd.pid(), Some(pid));
    assert_eq!(
        manager.compare(&bob.dn, "uid:bob").await.unwrap().code,
        32,
        "the change must have outlived the restart"
    );

    let folder = slapd.ca_pem_path().parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(slapd);
    assert!(!folder.exists());
    wait_refused(addr, Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn the_client_speaks_start_tls_and_ldaps_from_another_address() {
    let company = Company::generate();
    let slapd = Slapd::start(&company).unwrap();
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
    let config = slapd.client_config().unwrap();
    let plain = LdapClient::connect(slapd.addr(), from).await.unwrap();
    let upgraded = plain.start_tls(config.clone(), "localhost").await.unwrap();
    let ldaps = LdapClient::connect_tls(slapd.ldaps_addr(), from, config.clone(), "127.0.0.1").await.unwrap();
    for mut client in [upgraded, ldaps] {
        assert_eq!(client.local_addr().ip(), from);
        assert_eq!(client.whoami().await.unwrap(), "");
        let carol = company.person("carol").unwrap();
        assert_eq!(client.bind(&carol.dn, "wrong").await.unwrap().code, LdapResultCode::InvalidCredentials);
        assert_eq!(client.bind(&carol.dn, &carol.password).await.unwrap().code, LdapResultCode::Success);
        assert_eq!(client.whoami().await.unwrap(), format!("dn:{}", carol.dn));
        client.unbind().await.unwrap();
    }
    let wrong_name = LdapClient::connect_tls(slapd.ldaps_addr(), from, config, "directory.example.com").await;
    assert!(wrong_name.is_err(), "the certificate is not for this name");
}
