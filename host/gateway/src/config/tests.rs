//! What the configuration file says, and what it is told about its mistakes.

use std::path::Path;

use super::*;

/// A folder with every file that the sample configuration names, and the sample in it, made to point there.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = ["tls/gateway.pem", "tls/gateway.key", "keys/plugins.pub", "secrets/directory", "secrets/okta-token"];
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "something\n").unwrap();
    }
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    folder
}

fn sample() -> String {
    include_str!("../../portcullis.toml").replace("/usr/lib/portcullis/plugins", "plugins")
}

/// What is said about the sample with `from` replaced by `to`, the folder left out.
fn complaint(from: &str, to: &str) -> String {
    let folder = folder();
    let text = sample();
    assert!(text.contains(from), "the sample has no {from:?}");
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let problems = Loaded::read(&path).err().expect("this is a mistake").to_string();
    problems.replace(&format!("{}/", folder.path().display()), "")
}

fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

#[test]
fn the_sample_is_right() {
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, sample()).unwrap();
    let loaded = Loaded::read(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(secret(&loaded.config.directory.password).unwrap().reveal(), "something");
    assert_eq!(loaded.config.plugins.folder, folder.path().join("plugins"));
}

#[test]
fn everything_that_the_sample_explains_can_be_switched_on() {
    // Lines that are a setting behind `# ` and nothing but a setting.
    let is_setting = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            let rest = rest.split("  ").next().unwrap_or(rest);
            rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        })
    };
    let mut text = String::new();
    // One of two ways to give a connector's credentials, where the sample takes the other.
    let sample = sample().replacen("\ntoken = { file = \"secrets/okta-token\" }", "\n", 1);
    for line in sample.lines() {
        let switched = if is_setting(line) { line.trim_start_matches("# ") } else { line };
        text.push_str(switched);
        text.push('\n');
    }
    assert!(toml::from_str::<Config>(&text).is_ok(), "{:?}", toml::from_str::<Config>(&text).err());
    assert!(
        text.contains("\nstart-tls = true") && text.contains("\nnumber-challenge = true"),
        "nothing was switched on"
    );
}

#[test]
fn the_sample_has_every_setting() {
    let sample = sample();
    let is_set = |key: &str| {
        let is_whole = |at: usize| !sample[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        sample.match_indices(&format!("{key} = ")).any(|(at, _)| is_whole(at))
    };
    let mut count = 0;
    for source in [include_str!("model.rs"), include_str!("channels.rs"), include_str!("secret.rs")] {
        let mut before = "";
        for line in source.lines() {
            let field = line.strip_prefix("    pub(crate) ").and_then(|rest| rest.split_once(": "));
            if let Some((field, _)) = field.filter(|(field, _)| !field.contains(' ')) {
                let renamed = before.split_once("rename = \"").and_then(|(_, rest)| rest.split('"').next());
                let key = renamed.map_or_else(|| field.replace('_', "-"), str::to_owned);
                let forms = [format!("[{key}]"), format!("[{key}."), format!(".{key}]")];
                assert!(is_set(&key) || forms.iter().any(|form| sample.contains(form)), "the sample has no {key}");
                count += 1;
            }
            before = line;
        }
    }
    assert!(count > 100, "{count} fields were found");
}

#[test]
fn a_mistyped_key_is_named_with_its_line_and_the_right_one() {
    let said = complaint("service-account =", "service-acount =");
    let line = line_of(&sample(), "service-account =");
    assert!(said.starts_with(&format!("portcullis.toml:{line}: unknown field `service-acount`")), "{said}");
    assert!(said.ends_with("; did you mean `service-account`?"), "{said}");
}

#[test]
fn each_mistake_is_named_with_line_setting_and_advice() {
    let cases = [
        (
            "\"ldaps://dc1.example.com\"",
            "\"http://dc1.example.com\"",
            "url = ",
            "has to begin with ldap:// or ldaps://",
        ),
        ("\"ldaps://dc1.example.com\"", "\"ldap://dc1.example.com\"", "url = ", "set start-tls = true"),
        (
            "\"ldaps://dc1.example.com\"",
            "[\"ldaps://dc1.example.com\", \"dc2\"]",
            "url = ",
            "has to begin with ldap://",
        ),
        ("\"ldaps://dc1.example.com\"", "[]", "url = ", "names no server"),
        (
            "\"ldaps://dc1.example.com\"",
            "[\"ldaps://dc1.example.com\", \"ldaps://DC1.example.com:636\"]",
            "url = ",
            "twice",
        ),
        ("\"ldaps://dc1.example.com\"", "636", "url = ", "or several in brackets"),
        ("tls/gateway.pem", "tls/missing.pem", "certificate = ", "tls/missing.pem cannot be opened"),
        ("tls = \"ldaps\"", "tls = \"none\"", "tls = \"ldaps\"", "is \"none\", yet there is a certificate"),
        ("secrets/okta-token", "secrets/none", "secrets/okta-token", "secrets/none cannot be read"),
        ("\"company.okta.com\"", "\"company-admin.okta.com\"", "domain = \"company", "the API is at company.okta.com"),
        ("\"company.okta.com\"", "\"http://company.okta.com\"", "domain = \"company", "only https:// is spoken"),
        (
            "\"company.okta.com\"",
            "\"https://company.okta.com/app\"",
            "domain = \"company",
            "type it like company.okta.com",
        ),
        ("folder = \"plugins\"", "folder = \"nowhere\"", "folder = \"plugins\"", "does not exist"),
        ("name = \"main\"", "name = \"the main one\"", "name = \"main\"", "is no name"),
        ("base = \"dc=example,dc=com\"", "base = \"\"", "base = ", "is empty"),
        ("# tls-min = \"1.3\"     ", "tls-min = \"1.1\"     ", "tls-min = ", "expected `1.2` or `1.3`"),
        (
            "# allow-cleartext-passwords = false",
            "allow-cleartext-passwords = true",
            "allow-cleartext-passwords =",
            "leave it out",
        ),
        (
            "# client-certificates = \"asked\"",
            "client-certificates = \"asked\"",
            "client-certificates =",
            "needs `client-ca`",
        ),
        (
            "# client-ca = \"tls/clients-ca.pem\"",
            "client-ca = \"tls/gateway.pem\"",
            "client-ca =",
            "set one of them, or leave it out",
        ),
        (
            "# client-crl = \"tls/clients-crl.pem\"",
            "client-crl = \"tls/gateway.pem\"",
            "client-crl =",
            "goes with client-certificates and client-ca",
        ),
        (
            "# own-names = [\"dc1\"",
            "own-names = [\"ldap://dc1\"",
            "own-names = ",
            "give it without ldap:// and without a port",
        ),
        ("# netbios-name = \"CORP\"", "netbios-name = \"CORP\"", "netbios-name = ", "goes with domain: give both"),
        (
            "# rewrite-referrals = \"ldaps://gateway.example.com\"",
            "rewrite-referrals = \"ldaps://gateway.example.com/dc=example\"",
            "rewrite-referrals = ",
            "and nothing behind it",
        ),
        (
            "# proxy-protocol-from = [\"10.0.0.0/8\"]",
            "proxy-protocol-from = [\"::/0\"]",
            "proxy-protocol-from = ",
            "would let every client choose its address",
        ),
        ("# connections = 10000", "connections = 0", "connections = 10000", "is 0, with which nothing would work"),
        ("# handshake-seconds = 10 ", "handshake-seconds = 0 ", "handshake-seconds = ", "nobody could connect"),
        ("# search-seconds = 3600", "search-seconds = 0", "search-seconds = ", "leave it out"),
    ];
    for (from, to, on_line, advice) in cases {
        let said = complaint(from, to);
        let line = line_of(&sample(), on_line);
        assert!(said.starts_with(&format!("portcullis.toml:{line}: ")), "{from} → {to}: {said}");
        assert!(said.contains(advice), "{from} → {to}: {said}");
    }
}

#[test]
fn somebody_with_the_password_has_few_tries_at_a_code() {
    for wrong in [0, 11] {
        let said = complaint("# [challenge]", &format!("[challenge]\nwrong-codes = {wrong}"));
        let line = line_of(&sample(), "# [challenge]") + 1;
        assert!(said.starts_with(&format!("portcullis.toml:{line}: ")), "{said}");
        assert!(said.contains("between 1 and 10"), "{said}");
    }
}

#[test]
fn zero_is_refused_where_nothing_would_work_with_it() {
    for (section, key) in [
        ("challenge", "per-account-and-hour"),
        ("challenge", "denials-in-a-row"),
        ("behavior", "risk-half-life-hours"),
        ("behavior", "forget-after-days"),
        ("behavior", "shared-from-accounts"),
        ("events", "store-timeout-seconds"),
        ("backtest", "days"),
        ("backtest", "most-events"),
    ] {
        let said = complaint(&format!("# [{section}]"), &format!("[{section}]\n{key} = 0\n#"));
        let line = line_of(&sample(), &format!("# [{section}]")) + 1;
        assert!(said.starts_with(&format!("portcullis.toml:{line}: {section}.{key}: is 0, ")), "{said}");
    }
}

#[test]
fn what_is_recorded_is_one_of_three() {
    let said = complaint("# [events]", "[events]\naudit = \"all\"");
    let line = line_of(&sample(), "# [events]") + 1;
    assert!(said.starts_with(&format!("portcullis.toml:{line}: unknown variant `all`")), "{said}");
    assert!(said.contains("`summary`, `full`, `off`"), "{said}");
}

#[test]
fn a_limit_of_entries_that_nobody_counts_is_said_to_be_of_no_use() {
    let said = complaint("# [events]", "[events]\naudit = \"full\"\n[detection.bulk-extraction]\nentries = 10");
    assert!(said.contains("bulk-extraction") && said.contains("never given"), "{said}");
}

#[test]
fn an_ipv6_address_of_the_directory_is_taken_out_of_its_brackets() {
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, sample().replace("ldaps://dc1.example.com", "ldaps://[2001:db8::1]:1636/")).unwrap();
    let loaded = Loaded::read(&path).unwrap_or_else(|problems| panic!("{problems}"));
    let address = loaded.config.directory.addresses().unwrap();
    assert_eq!((address[0].host.as_str(), address[0].port), ("2001:db8::1", 1636));
}

#[test]
fn what_is_no_name_of_a_service_account_is_named() {
    let rule = "[[application]]\nname = \"wiki\"\nbind-names = [\"svc-wiki\", \"cn=wiki,,\"]\n\n# [[site]]";
    let said = complaint("# [[site]]", rule);
    assert!(said.starts_with(&format!("portcullis.toml:{}: ", line_of(&sample(), "# [[site]]") + 2)), "{said}");
    assert!(said.contains("`cn=wiki,,` is no name of an account") && !said.contains("`svc-wiki`"), "{said}");
}

#[test]
fn the_console_is_not_served_in_clear_text_to_the_network() {
    let said = complaint("certificate = \"tls/gateway.pem\"\nkey = \"tls/gateway.key\"\n\n# ---", "\n# ---");
    assert!(said.contains("web.address: the console would be served in clear text"), "{said}");
}

#[test]
fn a_file_that_is_not_there_says_where_to_begin() {
    let said = Loaded::read(Path::new("/nonexistent/portcullis.toml")).err().unwrap().to_string();
    assert!(said.contains("/nonexistent/portcullis.toml") && said.contains("sample-config"), "{said}");
}

#[test]
fn the_domain_is_understood_however_it_is_typed() {
    let folder = folder();
    for typed in [
        "company.okta.com",
        "https://company.okta.com",
        " HTTPS://Company.Okta.com/ ",
        "https://company.okta.com/",
        "\\tcompany.okta.com.\\n",
    ] {
        let path = folder.path().join("portcullis.toml");
        std::fs::write(&path, sample().replace("\"company.okta.com\"", &format!("\"{typed}\""))).unwrap();
        let loaded = Loaded::read(&path).unwrap_or_else(|problems| panic!("{typed}: {problems}"));
        assert_eq!(loaded.config.connectors[0].base_url().unwrap().base_url, "https://company.okta.com");
    }
}

#[test]
fn a_domain_that_is_not_understood_is_answered_with_the_right_one() {
    for (typed, says) in [
        ("https://company-admin.okta.com/admin/dashboard", "type it like company.okta.com"),
        ("https://Company.okta.com/app/UserHome", "type it like Company.okta.com"),
        ("COMPANY-ADMIN.oktapreview.com", "the API is at company.oktapreview.com"),
        ("user@company.okta.com", "type it like company.okta.com"),
        ("company", "did you mean company.okta.com?"),
        ("company okta com", "is no host name"),
        ("ldap://company.okta.com", "only https:// is spoken"),
        ("", "is no host name"),
    ] {
        let said = complaint("\"company.okta.com\"", &format!("\"{typed}\""));
        assert!(said.contains(says), "{typed}: {said}");
    }
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, sample().replace("\"company.okta.com\"", "\"sso-admin.company.example\"")).unwrap();
    assert!(Loaded::read(&path).is_ok(), "a domain of one's own may be called anything");
}

#[test]
fn limits_of_components_let_something_work_and_are_limits() {
    let token = "token = { file = \"secrets/okta-token\" }";
    for (limit, most) in [("memory-mib", 4_096_u64), ("call-ms", 600_000), ("concurrent-calls", 1_024)] {
        for wrong in [0, most + 1] {
            let text = complaint(token, &format!("{token}\nlimits = {{ {limit} = {wrong} }}"));
            assert!(text.contains(&format!("is {wrong}: give a number from 1 to {most}")), "{text}");
            assert!(text.contains(&format!("limits.{limit}")), "{text}");
        }
    }
}

#[test]
fn a_connector_has_a_token_or_a_service_app() {
    let token = "token = { file = \"secrets/okta-token\" }";
    let app = |key: &str, scopes: &str| {
        format!("token = {{ oauth = {{ client-id = \"0oa9\", key = {{ file = \"{key}\" }}, scopes = [{scopes}] }} }}")
    };
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, sample().replace(token, &app("secrets/okta-token", "\"okta.users.read\""))).unwrap();
    let loaded = Loaded::read(&path).unwrap_or_else(|problems| panic!("{problems}"));
    let client = loaded.config.connectors[0].token.source().unwrap_err();
    assert_eq!(secret(&client.key).unwrap().reveal(), "something", "the file is looked for beside the configuration");
    for (text, says) in [
        (app("secrets/none", "\"okta.users.read\""), "secrets/none cannot be read"),
        (app("secrets/okta-token", ""), "scopes: is empty"),
        ("token = { oauth = { client-id = \"0oa9\" } }".to_owned(), "missing field `key`"),
        (format!("{token}\n[connector.settings.oauth]\nclient-id = \"x\""), "is made from `token`"),
    ] {
        let said = complaint(token, &text);
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_secret_that_is_written_as_text_is_not_repeated() {
    let sections = sample().replace("\ntoken = { file = \"secrets/okta-token\" }", "\ntoken = §")
        + "\n[[channel]]\nname = \"soc\"\nkind = \"webhook\"\nurl = \"https://soc.example.com\"\nsecret = §\n";
    let sections = sections.replace("\npassword = { file = \"secrets/directory\" }", "\npassword = §");
    let sections = sections.replace("# notify-token = { file = \"secrets/notify-token\" }", "notify-token = §");
    let other = "{ plain-text = \"something\" }";
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    let said = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Loaded::read(&path).err().unwrap_or_else(|| panic!("this is a mistake: {text}")).to_string()
    };
    let is_place = |text: &&str| text.contains('§');
    assert_eq!(sections.lines().filter(is_place).count(), 4);
    for place in 0..4 {
        for (written, says) in [
            ("\"7777-hush\"", "has to say where the secret is"),
            ("77777777", "has to say where the secret is"),
            ("77777777777777777777777", "has to say where the secret is"),
            ("7777.7777", "has to say where the secret is"),
            ("[\"7777-hush\"]", "expected where the secret is"),
            ("{ plain-text = 77777777 }", "has to be text in quotes"),
            ("{ plain-text = { text = \"7777-hush\" } }", "has to be text in quotes"),
            ("{ file = \"secrets/okta-token\", plain-text = \"7777-hush\" }", "more than one place"),
            ("{ plain-txt = \"7777-hush\" }", "did you mean `plain-text`?"),
            ("{ plain-text = \" \" }", "is empty"),
            ("7777-hush", ""),
            ("{ plain-text = \"7777-hush }", ""),
        ] {
            let mut nth = 0..;
            let text = sections.split_inclusive('§').map(|part| match part.strip_suffix('§') {
                Some(part) => format!("{part}{}", if nth.next() == Some(place) { written } else { other }),
                None => part.to_owned(),
            });
            let text: String = text.collect();
            let said = said(&text);
            assert!(said.contains(says), "{written}: {said}");
            assert!(!said.contains("7777"), "{said}");
            let line = sections.lines().enumerate().filter(|(_, line)| is_place(line)).nth(place).unwrap().0 + 1;
            // What is no TOML may be found to be none further down.
            let is_there = says.is_empty() || said.contains(&format!("portcullis.toml:{line}: "));
            assert!(is_there, "{written} in line {line}: {said}");
        }
    }
    let key = "token = { oauth = { client-id = \"0oa9\", key = \"7777-hush\", scopes = [\"okta.users.read\"] } }";
    let said = said(&sample().replace("token = { file = \"secrets/okta-token\" }", key));
    assert!(said.contains("where the secret is") && !said.contains("7777"), "{said}");
}

#[test]
fn no_secret_is_shown_by_debug() {
    let folder = folder();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, sample().replace("{ file = \"secrets/okta-token\" }", "{ plain-text = \"00SecretToken\" }"))
        .unwrap();
    let loaded = Loaded::read(&path).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(!format!("{:?}", loaded.config).contains("00SecretToken"));
}
