//! A connector whose credentials are an OAuth 2.0 service app's.

use std::time::Duration;

use anyhow::Result;
use portcullis_lab::okta::{Behaviour, ServiceApp};

use crate::stage::{Setup, Stage, machine, run};

const TOKEN: &str = "token = { file = \"okta-token\" }";
const CLIENT: &str = "0oaLabServiceApp0001";

fn app(key: &rcgen::KeyPair) -> ServiceApp {
    ServiceApp {
        client_id: CLIENT.to_owned(),
        public_key: key.public_key_raw().to_vec(),
        key_id: "gateway-1".to_owned(),
        scopes: ["okta.users.read", "okta.users.manage", "okta.orgs.read"].map(str::to_owned).to_vec(),
        token_lifetime: Duration::from_secs(3600),
        requires_dpop: false,
    }
}

/// A stage whose organization has a service app, of which the configuration names these scopes; and the app's key.
async fn stage(scopes: &str) -> Result<(Stage, rcgen::KeyPair)> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    let key = rcgen::KeyPair::generate()?;
    std::fs::write(stage.folder.path().join("okta-key.pem"), key.serialize_pem())?;
    // No API token is good for anything here.
    stage.okta.revoke_token();
    stage.okta.set_service_app(Some(app(&key)));
    let client = format!(
        "token = {{ oauth = {{ client-id = \"{CLIENT}\", key = {{ file = \"okta-key.pem\" }}, key-id = \"gateway-1\", \
         scopes = [{scopes}] }} }}"
    );
    let text = std::fs::read_to_string(stage.config_file())?;
    assert!(text.contains(TOKEN), "the stage's connector has a token");
    std::fs::write(stage.config_file(), text.replace(TOKEN, &client))?;
    Ok((stage, key))
}

async fn check(stage: &Stage) -> Result<(i32, String, String)> {
    run(vec!["check".into(), stage.config_file().display().to_string()]).await
}

const SCOPES: &str = "\"okta.users.read\", \"okta.users.manage\"";

#[tokio::test]
async fn a_push_is_sent_with_an_access_token_that_stays_outside_the_plugin() -> Result<()> {
    let (mut stage, key) = stage(SCOPES).await?;
    stage.start().await?;
    let said = stage.wait_for_log("connector okta-verify: ").await?;
    assert!(said.contains(&format!("as the service app {CLIENT}")), "{said}");
    stage.okta.on_push("alice@example.com", Behaviour::ApproveAfter(Duration::from_millis(300)))?;
    stage.learn(machine(), "alice").await?;
    assert_eq!(stage.tools("alice", "alice-secret").whoami().await?.code, 0);
    assert_eq!(stage.okta.access_tokens_asked(), 1, "one token for the check, the push and its polls");

    stage.okta.revoke_access_tokens();
    let from = machine();
    assert_eq!(stage.bind_from(from, "alice", "alice-secret").await?.0, 0, "a revoked token is renewed on the way");
    assert_eq!(stage.okta.access_tokens_asked(), 2);
    let pem = key.serialize_pem();
    let secret = pem.lines().nth(1).unwrap_or_default();
    let log = stage.log().join("\n");
    assert!(!log.contains("eyJraWQi") && !log.contains(secret), "{log}");
    Ok(())
}

#[tokio::test]
async fn check_says_what_is_wrong_with_a_service_app() -> Result<()> {
    let (stage, key) = stage(SCOPES).await?;
    let (code, out, err) = check(&stage).await?;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(&format!("connector okta-verify: localhost, as the service app {CLIENT}.")), "{out}");
    let right = app(&key);
    let stranger = rcgen::KeyPair::generate()?;
    for (app, says) in [
        (ServiceApp { requires_dpop: true, ..right.clone() }, "demands DPoP, which is not supported"),
        (ServiceApp { scopes: vec!["okta.users.read".to_owned()], ..right.clone() }, "invalid_scope"),
        (ServiceApp { public_key: stranger.public_key_raw().to_vec(), ..right.clone() }, "signature is invalid"),
        (ServiceApp { client_id: "0oaAnother".to_owned(), ..right.clone() }, "invalid_client"),
    ] {
        stage.okta.set_service_app(Some(app));
        let (code, _, err) = check(&stage).await?;
        assert_eq!(code, 1, "{says}");
        assert!(err.contains(says) && err.contains("`api-token`") && err.contains("portcullis.toml:"), "{err}");
    }
    Ok(())
}

#[tokio::test]
async fn check_holds_the_scopes_against_what_is_needed() -> Result<()> {
    let (lacking, _) = stage("\"okta.users.read\"").await?;
    let (code, _, err) = check(&lacking).await?;
    assert_eq!(code, 1);
    assert!(err.contains("the scopes of the service app lack okta.users.manage"), "{err}");
    let (mut generous, key) = stage(&format!("{SCOPES}, \"okta.apps.manage\"")).await?;
    let mut app = app(&key);
    app.scopes.push("okta.apps.manage".to_owned());
    generous.okta.set_service_app(Some(app));
    let (code, out, err) = check(&generous).await?;
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("warning: More scopes are asked for than this connector needs: leave out okta.apps.manage."),
        "{out}"
    );
    generous.start().await?;
    generous.wait_for_log("leave out okta.apps.manage").await?;
    Ok(())
}

#[tokio::test]
async fn check_warns_of_a_super_administrators_token() -> Result<()> {
    let stage = Stage::without_gateway(Setup::default()).await?;
    stage.okta.set_owner_roles(&["HELP_DESK_ADMIN"]);
    let (code, out, err) = check(&stage).await?;
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("with the API token of portcullis-connector@example.com") && !out.contains("warning"),
        "{out}"
    );
    stage.okta.set_owner_roles(&["READ_ONLY_ADMIN", "SUPER_ADMIN"]);
    let (code, out, _) = check(&stage).await?;
    assert_eq!(code, 0);
    assert!(out.contains("warning: The token is a super administrator's"), "{out}");
    stage.okta.set_token_rights(portcullis_lab::okta::TokenRights::ReadOnly);
    let (_, out, _) = check(&stage).await?;
    assert!(out.contains("warning: The token does not seem to have the right to verify factors"), "{out}");
    Ok(())
}
