//! `portcullis check`: what would go wrong, said before it does.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use crate::certificates::Certificates;
use crate::config::{Config, Loaded, Problem};
use crate::out::say;
use crate::{assemble, plugins};

pub(crate) fn check(file: &Path, offline: bool) -> Result<ExitCode> {
    let loaded = Loaded::read(file)?;
    let config = &loaded.config;
    let mut problems: Vec<Problem> = Vec::new();
    let mut plugins = match plugins::engine(config, Arc::new(plugins::NoState), None) {
        Ok(engine) => plugins::load(config, &engine),
        Err(error) => {
            problems.push(Problem::new(["plugins"], format!("{error:#}")));
            plugins::Plugins::none()
        }
    };
    problems.append(&mut plugins.problems);
    problems.append(&mut plugins.broken);
    problems.extend(assemble::listeners(config, &mut Certificates::default()).err());
    let lookup = assemble::upstream(config).and_then(|upstream| assemble::lookup(config, upstream));
    if offline {
        problems.extend(lookup.err());
    } else {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            match lookup {
                Err(problem) => problems.push(problem),
                Ok(lookup) => match lookup.check().await {
                    Ok(()) => say("directory: the service account can read it")?,
                    Err(error) => problems.push(Problem::new(["directory"], error.to_string())),
                },
            }
            ask_connectors(config, &plugins, &mut problems).await
        })?;
    }
    if problems.is_empty() {
        say(format_args!("{}: no problem was found", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(loaded.problems(problems).into())
}

/// Connectors that were loaded are asked to try their settings.
async fn ask_connectors(config: &Config, plugins: &plugins::Plugins, problems: &mut Vec<Problem>) -> io::Result<()> {
    for (index, connector) in config.connectors.iter().enumerate() {
        let name = portcullis_core::ConnectorName::new(&connector.name);
        let Some(loaded) = plugins.connectors.get(&name).filter(|_| !plugins.is_replaced("connector", index)) else {
            continue;
        };
        match loaded.check().await {
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
