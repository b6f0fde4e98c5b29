//! What computed the runs, summed up from their manifests.

use crate::campaign::{State, attempt_path};
use crate::config::NUMERICS_VERSION;
use crate::problem::Result;
use crate::record::Manifest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name of the file in a bundle.
pub(super) const ENVIRONMENT_FILE: &str = "environment.json";

/// What computed a campaign's runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Environment {
    /// Version of the program that made the bundle.
    pub exported_by: String,
    /// Its numerics version: runs of another one compute other bits.
    pub numerics: u32,
    /// What it was built for.
    pub target: String,
    /// Each kind of place at which attempts ran.
    pub places: Vec<Place>,
    /// BLAKE3 hashes of the content of the datasets.
    pub data: BTreeSet<String>,
}

/// Attempts of one fingerprint, program and host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Place {
    /// Version of the program that computed them.
    pub program: String,
    /// What decides bits beside a run's identity.
    pub fingerprint: BTreeMap<String, String>,
    /// Processor, cores, memory, kernel; never a host's name.
    pub host: BTreeMap<String, String>,
    /// The attempts, as `0007/01`.
    pub attempts: Vec<String>,
}

/// Reads the manifests of all attempts; those without one are in no place.
pub(super) fn environment(folder: &Path, state: &State) -> Result<Environment> {
    let mut places: Vec<Place> = Vec::new();
    let mut data = BTreeSet::new();
    for attempt in state.runs.iter().flat_map(|run| &run.attempts) {
        let Some(manifest) = Manifest::read(&folder.join(attempt_path(attempt.id)))? else { continue };
        data.insert(manifest.data_hash);
        let same = |p: &&mut Place| {
            p.program == manifest.version && p.fingerprint == manifest.fingerprint && p.host == manifest.host
        };
        match places.iter_mut().find(same) {
            Some(place) => place.attempts.push(attempt.id.to_string()),
            None => places.push(Place {
                program: manifest.version,
                fingerprint: manifest.fingerprint,
                host: manifest.host,
                attempts: vec![attempt.id.to_string()],
            }),
        }
    }
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    Ok(Environment {
        exported_by: env!("CARGO_PKG_VERSION").to_string(),
        numerics: NUMERICS_VERSION,
        target,
        places,
        data,
    })
}
