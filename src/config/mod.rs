//! Typed configs: what may be said about an experiment, a campaign and a site, and nothing else.
//!
//! Boundary: reads text, never runs anything; knows no tensors, no programs, no processes. Shapes that depend on the
//! data (classes, image size) are checked in `graph`, where they are known.
//!
//! A file becomes a tree whose keys know their lines (`document`); presets, baseline files and overrides change the
//! tree (`presets`, `load`, `overrides`); the tree is checked against the types as data (`types`, `check`), becomes a
//! value through serde, and is validated (`validate`, `validate_campaign`, `validate_site`, `space`). Search spaces set values through
//! the same tree (`assign`), so they can do nothing that a file could not.

// The types.
mod approval;
mod budget;
mod campaign;
mod data;
mod experiment;
mod llm;
mod model;
mod optimizer;
mod parameter;
mod planner;
mod resources;
mod schedule;
mod shape;
mod site;
mod training;

// From text to types, with places.
mod check;
mod document;
mod json;
mod load;
mod nearest;
mod overrides;
mod places;
mod presets;
mod schema;
mod templates;
mod types;

// What types mean.
mod assign;
mod constraint;
mod difference;
mod ends;
mod identity;
mod space;
mod validate;
mod validate_campaign;
mod validate_site;

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod shipped_tests;
#[cfg(test)]
mod tests;

pub use approval::Approval;
pub use campaign::*;
pub use data::*;
pub use difference::{Difference, differences};
pub use experiment::Experiment;
pub use identity::NUMERICS_VERSION;
pub use llm::{LlmProvider, LlmRole, LlmSpec, TokenPrice};
pub use load::{
    Loaded, load_campaign, load_experiment, load_site, parse_campaign, parse_experiment, parse_site, to_toml,
};
pub use model::*;
pub use optimizer::*;
pub use parameter::*;
pub use places::Places;
pub use planner::*;
pub use presets::presets;
pub use resources::*;
pub use schedule::*;
pub use schema::schema;
pub use shape::*;
pub use site::*;
pub use space::same_value;
pub use templates::{Fill, Template, nearest_template, template, templates};
pub use training::*;
