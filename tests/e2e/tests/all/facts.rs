//! What policies are told about accounts, from a real directory.

use anyhow::Result;

use crate::stage::{Setup, Stage, machine};

/// A policy that blocks binds for which the condition holds.
fn block_when(condition: &str) -> Setup {
    let policies = format!(
        r#"
[[policy]]
name = "fence"
plugin = "rules.wasm"
[[policy.settings.rules]]
name = "Fence"
when = {{ {condition} }}
then = "block"
"#
    );
    let sections = r#"
[[application]]
name = "payroll"
listener = "wiki"
networks = ["127.0.0.0/8"]
"#;
    Setup { policies, sections: sections.to_owned(), ..Setup::default() }
}

#[tokio::test]
async fn conditions_see_groups_units_departments_and_applications_as_the_directory_has_them() -> Result<()> {
    // (condition, alice from engineering is blocked, bob from sales is blocked)
    let cases = [
        ("group = [\"cn=everyone,ou=groups,dc=example,dc=com\"]", true, true),
        ("group = [\"Engineers\"]", true, false),
        ("group = [\"CN = engineers , ou=groups,dc=example,dc=com\"]", true, false),
        ("unit = [\"sales\"]", false, true),
        ("entry-under = [\"ou=engineering,ou=people,dc=example,dc=com\"]", true, false),
        ("attribute = { name = \"mail\", values = [\"bob@example.com\"] }", false, true),
        ("login = [\"alice\"]", true, false),
        ("application = [\"payroll\"]", true, true),
        ("application = [\"wiki\"]", false, false),
        ("privileged = true", false, false),
        ("kind = [\"human\"]", true, true),
    ];
    for (condition, alice, bob) in cases {
        let stage = Stage::new(block_when(condition)).await?;
        for (uid, blocked) in [("alice", alice), ("bob", bob)] {
            let (code, _) = stage.bind_from(machine(), uid, &format!("{uid}-secret")).await?;
            assert_eq!(code == 49, blocked, "{condition}: {uid} got {code}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_renamed_writing_of_the_same_name_is_the_same_account() -> Result<()> {
    let stage = Stage::new(block_when("login = [\"alice\"]")).await?;
    let plain = stage.dn("alice");
    let strange = plain.replace("uid=alice,", "UID = ALICE ,  ");
    let mut client = stage.client(machine()).await?;
    assert_eq!(client.bind(&strange, "alice-secret").await?.code as i32, 49);
    let escaped = plain.replace("uid=alice,", "uid=\\61lice,");
    assert_eq!(client.bind(&escaped, "alice-secret").await?.code as i32, 49);
    let oid = plain.replace("uid=alice,", "0.9.2342.19200300.100.1.1=alice,");
    assert_eq!(client.bind(&oid, "alice-secret").await?.code as i32, 49);
    for event in stage.accesses().await? {
        assert_eq!(event["access"]["account"]["login"], "alice");
    }
    Ok(())
}
