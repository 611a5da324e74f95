//! Exclusions that people make while the gateway runs: kept by the store, at hand for every decision.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use ipnet::IpNet;
use portcullis_behavior as behavior;
use portcullis_behavior::detections::{CATALOGUE, about};
use portcullis_core::exclusion::{
    Choice, Exclusion, ExclusionDesk, ExclusionError, NewExclusion, Scope, Silenced, Wish,
};
use portcullis_core::incident::{Incident, IncidentSource, is_account};
use portcullis_core::store::StoreError;
use tracing::{error, info, warn};

use crate::Guard;

/// Octets of a reason.
const LONGEST_REASON: usize = 1_000;
/// The shortest prefixes of networks, of IPv4 and IPv6, whose every account can be left out.
const WIDEST: (u8, u8) = (8, 32);

/// The settings of behaviour with the exclusions that are in force.
pub(crate) struct Heeded(RwLock<Arc<behavior::Settings>>);

impl Heeded {
    pub(crate) fn new(settings: behavior::Settings) -> Self {
        Self(RwLock::new(Arc::new(settings)))
    }

    pub(crate) fn settings(&self) -> Arc<behavior::Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says whether that is something else than before.
    fn put(&self, made: Vec<Scope>) -> bool {
        let mut settings = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if settings.made == made {
            return false;
        }
        *settings = Arc::new(behavior::Settings { made, ..behavior::Settings::clone(&settings) });
        true
    }
}

impl Guard {
    /// Takes over the exclusions that are in force in the store. To be called before anything is decided; what changes later,
    /// [`Guard::look_after_incidents`] takes over.
    ///
    /// # Errors
    /// The store cannot be read. Then those that are known stay.
    pub async fn load_exclusions(&self) -> Result<(), StoreError> {
        // One by one, so that what was read first does not come last.
        let _one = self.exclusions_load.lock().await;
        let found = self.rooms.exclusions.exclusions_in_force(self.rooms.clock.now()).await?;
        let made: Vec<_> = found.into_iter().map(|one| one.scope).collect();
        let count = made.len();
        if self.heeded.put(made) {
            // What was left out is to be told at once when it is not left out any more.
            self.alarms.forget();
            info!(count, "other exclusions are in force");
        }
        Ok(())
    }

    /// What somebody has done to exclusions is in force when he is told so.
    async fn heed(&self) {
        if let Err(error) = self.load_exclusions().await {
            error!(%error, "exclusions could not be read, and are taken over as soon as they can");
        }
    }

    /// The exclusion that is wished for, if nothing speaks against it.
    fn new_exclusion(&self, incident: &Incident, choice: &Choice, wish: Wish) -> Result<NewExclusion, String> {
        let Wish { group, for_account, network, until, reason, sure } = wish;
        let reason = reason.trim();
        let is_strange = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
        if reason.is_empty() || reason.len() > LONGEST_REASON || reason.chars().any(is_strange) {
            return Err(format!("A reason is needed, of at most {LONGEST_REASON} octets."));
        }
        if for_account && !is_account(&incident.account) {
            return Err("The incident is a machine's and no account's: name the network.".to_owned());
        }
        check_network(network, for_account, incident)?;
        if until.is_some_and(|until| until <= self.rooms.clock.now()) {
            return Err("The end of it is over already.".to_owned());
        }
        let grave: Vec<_> = choice.silenced(group).iter().filter(|one| one.is_grave()).collect();
        if !grave.is_empty() && !sure {
            let names: Vec<_> = grave.iter().map(|one| one.name.as_str()).collect();
            return Err(format!(
                "It would silence {}, which hardly anything but an attack gives: say that you are sure.",
                names.join(", ")
            ));
        }
        let detections = if group { &choice.group } else { &choice.detection.name };
        let scope = Scope {
            detections: detections.clone(),
            account: for_account.then(|| incident.account.clone()),
            login: for_account.then(|| incident.login.clone()),
            network,
            until,
        };
        Ok(NewExclusion { scope, reason: reason.to_owned() })
    }
}

fn check_network(network: Option<IpNet>, for_account: bool, incident: &Incident) -> Result<(), String> {
    let Some(network) = network else {
        return if for_account {
            Ok(())
        } else {
            Err("It would silence everybody: name the account, a network, or both.".to_owned())
        };
    };
    if incident.address.is_some_and(|address| !network.contains(&address)) {
        return Err(format!("{network} does not hold the address that the incident is about."));
    }
    let widest = if network.max_prefix_len() == 32 { WIDEST.0 } else { WIDEST.1 };
    if !for_account && network.prefix_len() < widest {
        return Err(format!("{network} is too wide to silence everybody in it: at least /{widest}."));
    }
    Ok(())
}

#[async_trait]
impl ExclusionDesk for Guard {
    fn choice(&self, incident: &Incident) -> Option<Choice> {
        let IncidentSource::Detection(name) = &incident.source else { return None };
        let detection = about(name)?;
        let silenced =
            |name: &str| Silenced { name: name.to_owned(), severity: self.options.behavior.detections.incident(name) };
        let members = CATALOGUE.iter().filter(|other| other.group == detection.group);
        Some(Choice {
            has_account: is_account(&incident.account),
            detection: silenced(name),
            group: detection.group.as_str().to_owned(),
            members: members.map(|other| silenced(other.name)).collect(),
        })
    }

    async fn exclusions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Exclusion>, StoreError> {
        self.rooms.exclusions.exclusions(before, limit).await
    }

    async fn exclude(&self, incident: &Incident, wish: Wish, person: &str) -> Result<(), ExclusionError> {
        let Some(choice) = self.choice(incident) else {
            let text = "The incident is a policy's: change the policy, or what it asks for.";
            return Err(ExclusionError::Refused(text.to_owned()));
        };
        let group = wish.group;
        let new = self.new_exclusion(incident, &choice, wish).map_err(ExclusionError::Refused)?;
        let grave: Vec<_> = choice.silenced(group).iter().filter(|one| one.is_grave()).collect();
        let warning: String = grave
            .iter()
            .filter_map(|one| Some(format!(" It silences {}, whose incidents are {}.", one.name, one.severity?)))
            .collect();
        let end = match new.scope.until {
            Some(until) => format!("for {} s", until.since(self.rooms.clock.now()).as_secs()),
            None => "until it is undone".to_owned(),
        };
        let (id, scope, reason) = (incident.id, &new.scope, &new.reason);
        let detail = format!(
            "Resolved incident {id} as false positive and made an exclusion of {scope}, {end}: {reason}{warning}"
        );
        if !grave.is_empty() {
            warn!(person, %scope, "an exclusion silences what hardly anything but an attack gives");
        }
        let event = self.event_of(person, "exclusion-made", detail);
        let done = self.rooms.exclusions.exclude(id, new, person, event).await.map_err(|error| match error {
            StoreError::Quota(text) => ExclusionError::Refused(format!("{text}: undo one of them first.")),
            other => ExclusionError::Store(other),
        })?;
        if !done {
            return Err(ExclusionError::TooLate);
        }
        self.heed().await;
        Ok(())
    }

    async fn undo(&self, number: u64, person: &str) -> Result<bool, StoreError> {
        let event = self.event_of(person, "exclusion-undone", format!("Exclusion {number} was undone."));
        let done = self.rooms.exclusions.undo_exclusion(number, person, event).await?;
        self.heed().await;
        Ok(done)
    }
}
