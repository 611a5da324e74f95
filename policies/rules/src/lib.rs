//! The policy behind the console's editor: an ordered list of rules, of which the first that matches decides.
//!
//! [`settings`] reads the rules, [`decide`] applies them. Both are plain functions; what an account is a member of comes in
//! through [`condition::Facts`].

pub mod action;
pub mod attribute;
#[cfg(target_family = "wasm")]
mod component;
pub mod condition;
pub mod contract;
pub mod decide;
pub mod dn;
pub mod hours;
pub mod settings;
pub mod shape;
mod texts;
