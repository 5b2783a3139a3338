//! Rules over the manifest alone, for `validate`; over manifest and snapshot, for `doctor` and
//! `verify`.
//!
//! Pure: no files, no environment, no clock. One family of rules a file; every code has a page in
//! `codes/*.toml` or `checks.toml`, which `amlplan explain CODE` prints.

mod access;
mod capacity;
mod certificates;
mod codes;
mod conflicts;
pub mod doctor;
mod facts;
#[cfg(test)]
mod fixture;
mod grants;
pub mod health;
mod identities;
mod ids;
mod instances;
mod names;
mod openshift;
pub mod outputs;
mod pages;
mod quantity;
mod report;
mod rights;
mod router;
mod schema;
mod settings;
mod site;
pub mod verify;
mod versions;
mod view;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::manifest::Manifest;
use crate::source::Diagnostics;

pub use certificates::host_name;
pub use codes::{CodePage, codes, explain};
pub use pages::{Page, Weight, page, pages};
pub use report::{Check, Probe, Probed, Status};
pub use schema::schema;

/// Checks every cluster of a manifest. `now` is what certificates are compared with.
///
/// In a fleet a default that is wrong is reported once.
#[must_use]
pub fn manifest(manifest: &Manifest, now: Timestamp) -> Diagnostics {
    let mut all = Diagnostics::new();
    let mut seen = HashSet::new();
    let mut certificates = certificates::Known::default();
    for cluster in &manifest.clusters {
        let view = view::View { cluster };
        let mut found = Diagnostics::new();
        names::check(view, &mut found);
        ids::check(view, &mut found);
        identities::check(view, &mut found);
        instances::check(view, &mut found);
        openshift::check(view, &mut found);
        versions::check(view, &mut found);
        if settings::reasonable(view, &mut found) {
            settings::check(view, &mut found);
            router::check(view, &mut found);
        }
        certificates::check(view, now, &mut certificates, &mut found);
        all.extend(found.into_iter().filter(|it| {
            let place = it.labels.first().map(|it| &it.place);
            let place = place.map(|it| (Arc::as_ptr(&it.source).addr(), it.span.clone()));
            place.is_none() || seen.insert((it.code, it.message.clone(), place))
        }));
    }
    all
}

#[cfg(test)]
mod tests;
