//! `portcullis check`: what would go wrong, said before it does.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use portcullis_guard::ChannelEntry;
use portcullis_ldap::Lookup;

use crate::certificates::Certificates;
use crate::config::{Config, Loaded, Problem, Web};
use crate::out::say;
use crate::{assemble, channels, plugins, policies};

pub(crate) fn check(file: &Path, offline: bool) -> Result<ExitCode> {
    let loaded = Loaded::read(file)?;
    let config = &loaded.config;
    let mut problems: Vec<Problem> = Vec::new();
    let mut plugins = match plugins::engine(config, Arc::new(plugins::NoState), None) {
        Ok(engine) => {
            let list = policies::listed(&config.policies).map_err(|problem| loaded.problems(vec![problem]))?;
            let list = policies::load(list, config, &engine);
            problems.extend(list.all_problems().into_iter().map(policies::in_file));
            plugins::load(config, &engine)
        }
        Err(error) => {
            problems.push(Problem::new(["plugins"], format!("{error:#}")));
            plugins::Plugins::none()
        }
    };
    problems.append(&mut plugins.problems);
    problems.append(&mut plugins.broken);
    problems.extend(assemble::listeners(config, &mut Certificates::default()).err());
    problems.extend(assemble::web(config, &mut Certificates::default()).err());
    let channels = channels::entries(config).unwrap_or_else(|found| {
        problems.extend(found);
        Vec::new()
    });
    let lookups = lookups(config);
    if offline {
        problems.extend(lookups.err());
    } else {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match lookups {
                Err(problem) => problems.push(problem),
                Ok(lookups) => {
                    try_demotion(config, &lookups, &mut problems).await?;
                    ask_servers(lookups, &mut problems).await?;
                }
            }
            ask_channels(&channels, &mut problems).await?;
            ask_connectors(config, &plugins, &mut problems).await
        })?;
    }
    if hides_clients(&config.web) {
        say(format_args!(
            "web: warning: `public-url` begins with https:// and there is no certificate: behind a proxy everybody has its address, \
             so that people wait for each other's wrong passwords and the challenge page finds nobody's sign-in"
        ))?;
    }
    if problems.is_empty() {
        say(format_args!("{}: no problem was found", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(loaded.problems(problems).into())
}

/// Whether something in front of the console and the challenge page has to speak TLS for them.
fn hides_clients(web: &Web) -> bool {
    web.certificate.is_none() && web.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
}

/// A look-up for each server of the directory, so that those behind the first are tried too.
fn lookups(config: &Config) -> Result<Vec<(String, Lookup)>, Problem> {
    let upstreams = assemble::upstreams(config)?;
    upstreams.each().map(|(server, only)| Ok((server, assemble::lookup(config, only)?))).collect()
}

/// The account that takes others out of groups, at each server.
async fn try_demotion(config: &Config, lookups: &[(String, Lookup)], problems: &mut Vec<Problem>) -> io::Result<()> {
    for (server, lookup) in lookups {
        match assemble::members(config, lookup) {
            Ok(None) => {}
            Ok(Some(members)) => match members.check().await {
                Ok(()) => say(format_args!(
                    "demotion {server}: the account can read the directory and finds the vital groups"
                ))?,
                Err(error) => problems.push(Problem::new(["demotion"], format!("{server}: {error}"))),
            },
            Err(problem) => problems.push(problem),
        }
    }
    Ok(())
}

async fn ask_servers(lookups: Vec<(String, Lookup)>, problems: &mut Vec<Problem>) -> io::Result<()> {
    for (server, lookup) in lookups {
        match lookup.check().await {
            Ok(()) => say(format_args!("directory {server}: the service account can read it"))?,
            Err(error) => problems.push(Problem::new(["directory"], format!("{server}: {error}"))),
        }
    }
    Ok(())
}

/// Channels are looked at without sending a message.
async fn ask_channels(channels: &[ChannelEntry], problems: &mut Vec<Problem>) -> io::Result<()> {
    for (index, entry) in channels.iter().enumerate() {
        let name = &entry.subscription.name;
        match entry.channel.check().await {
            Ok(found) => say(format_args!("channel {name}: {found}"))?,
            Err(why) => problems.push(Problem::new(["channel", &index.to_string()], why)),
        }
    }
    Ok(())
}

/// Connectors that were loaded are asked to try their settings.
async fn ask_connectors(config: &Config, plugins: &plugins::Plugins, problems: &mut Vec<Problem>) -> io::Result<()> {
    for (index, connector) in config.connectors.iter().enumerate() {
        let name = portcullis_core::ConnectorName::new(&connector.name);
        let provider = plugins.sources.iter().find(|source| source.name == name);
        let checked = match plugins.connectors.get(&name).filter(|_| !plugins.is_replaced(index)) {
            Some(loaded) => loaded.check().await,
            None => match provider {
                Some(source) => source.provider.check().await,
                None => continue,
            },
        };
        match checked {
            Ok(health) => {
                say(format_args!("connector {name}: {}", health.detail))?;
                for warning in &health.warnings {
                    say(format_args!("connector {name}: warning: {warning}"))?;
                }
            }
            Err(error) => problems.push(Problem::new(["connector", &index.to_string()], error.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_in_front_of_the_pages_is_warned_of() {
        let hides = |text: &str| hides_clients(&toml::from_str(text).unwrap());
        assert!(hides("address = \"127.0.0.1:8080\"\npublic-url = \"https://portcullis.example.com\""));
        assert!(!hides("address = \"127.0.0.1:8080\""));
        assert!(!hides("address = \"127.0.0.1:8080\"\npublic-url = \"http://localhost:8080\""));
        let own = "address = \"[::]:443\"\npublic-url = \"https://a.example\"\ncertificate = \"a\"\nkey = \"b\"";
        assert!(!hides(own));
    }
}
