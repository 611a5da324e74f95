//! The policy as the gateway sees it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::condition::Facts;
use crate::contract::exports::portcullis::gateway::plugin::{self, Manifest, Problem};
use crate::contract::exports::portcullis::gateway::policy::{self, Access, Evidence, Ruling};
use crate::contract::portcullis::gateway::facts;
use crate::decide::decide;
use crate::dn::Dn;
use crate::settings::{SCHEMA, Settings};

thread_local! {
    static SETTINGS: RefCell<Option<Settings>> = const { RefCell::new(None) };
}

/// What the contract asks for.
pub(crate) struct Component;

/// The gateway's facts about the account of the access that is being evaluated. What several rules want to know is asked once, and
/// the entry taken apart once: each takes as long as several conditions.
#[derive(Default)]
struct Gateway {
    units: OnceCell<Rc<[String]>>,
    attributes: RefCell<Vec<(String, Rc<[String]>)>>,
    entry: OnceCell<Option<Rc<Dn>>>,
}

impl Facts for Gateway {
    fn member_of(&self, group: &str) -> bool {
        facts::member_of(group)
    }

    fn units(&self) -> Rc<[String]> {
        Rc::clone(self.units.get_or_init(|| facts::units().into()))
    }

    fn attribute(&self, name: &str) -> Rc<[String]> {
        let mut known = self.attributes.borrow_mut();
        if let Some((_, values)) = known.iter().find(|(known, _)| known == name) {
            return Rc::clone(values);
        }
        let values: Rc<[String]> = facts::attribute(name).into();
        known.push((name.to_owned(), Rc::clone(&values)));
        values
    }

    /// An access has one entry.
    fn parsed(&self, entry: &str) -> Option<Rc<Dn>> {
        self.entry.get_or_init(|| Dn::loose(entry).map(Rc::new)).clone()
    }
}

impl plugin::Guest for Component {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            settings_schema: SCHEMA.to_owned(),
        }
    }

    fn configure(text: String) -> Result<(), Vec<Problem>> {
        let problem = |problem: settings::Problem| Problem { setting: problem.setting, message: problem.message };
        let settings =
            Settings::parse(&text).map_err(|problems| problems.into_iter().map(problem).collect::<Vec<_>>())?;
        SETTINGS.set(Some(settings));
        Ok(())
    }
}

impl policy::Guest for Component {
    fn needs() -> policy::Wishes {
        let wants = SETTINGS.with_borrow(|settings| settings.as_ref().map(Settings::wants)).unwrap_or_default();
        policy::Wishes {
            operations: wants.operations,
            connectors: wants.connectors,
            channels: wants.channels,
            groups: wants.groups,
        }
    }

    fn evaluate(access: Access, evidence: Vec<Evidence>) -> Ruling {
        SETTINGS.with_borrow(|settings| match settings {
            Some(settings) => decide(settings, &access, &evidence, &Gateway::default()),
            // The gateway gives every instance its settings first. Without them nothing can be judged, hence nothing allowed.
            None => Ruling {
                verdict: policy::Verdict::Block,
                reason: "The policy has not been given its settings.".to_owned(),
                effects: Vec::new(),
            },
        })
    }
}
