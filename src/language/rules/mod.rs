//! Rules over the manifest alone, for `validate` and the warnings of a plan. Live state is `health`'s.
//!
//! Pure: no files, no environment, no clock. One family of rules a file; every code has a page in the catalog, which
//! `amlplan explain CODE` prints.

mod certificates;
mod credentials;
mod forms;
mod identities;
mod ids;
mod instances;
mod names;
mod openshift;
mod quantity;
mod router;
mod secrets;
mod settings;
mod versions;
mod view;

use jiff::Timestamp;

use super::Manifest;
use crate::catalog::{self, CodePage};
use crate::model::Trust;
use crate::source::{Diagnostic, Diagnostics, Severity};

pub use certificates::{Held, host_name, pair};
pub(crate) use quantity::Amount;

/// A finding as the page of its code words it: how bad it is, what is wrong (`{}` stands for `about`) and
/// how to mend it.
fn told(code: &'static str, about: &str) -> Diagnostic {
    let Some(page) = catalog::explain(code) else { return Diagnostic::error(code, about) };
    let message = page.says.replace("{}", about);
    Diagnostic::new(code, severity(page), message).with_help(&page.help)
}

fn severity(page: &CodePage) -> Severity {
    match page.severity.first().map(String::as_str) {
        Some("warning") => Severity::Warning,
        Some("advice") => Severity::Advice,
        _ => Severity::Error,
    }
}

/// Checks every cluster of a manifest. `now` is what certificates are compared with; `trust` says
/// which hosts may have credentials.
///
/// In a fleet a default that is wrong is reported once.
#[must_use]
pub fn check(manifest: &Manifest, now: Timestamp, trust: &Trust) -> Diagnostics {
    let mut all = Diagnostics::new();
    let mut certificates = certificates::KnownPairs::default();
    let doubtful = manifest.doubtful.iter().map(|it| (&it.declared, Some(it)));
    for (cluster, doubtful) in manifest.clusters.iter().map(|it| (it, None)).chain(doubtful) {
        let view = view::View { cluster };
        let mut found = Diagnostics::new();
        forms::check(view, &mut found);
        names::check(view, trust, &mut found);
        ids::check(view, &mut found);
        identities::check(view, &mut found);
        credentials::check(view, &mut found);
        instances::check(view, &mut found);
        openshift::check(view, &mut found);
        versions::check(view, &mut found);
        if settings::reasonable(view, &mut found) {
            settings::check(view, &mut found);
            secrets::check(view, &mut found);
            router::check(view, &mut found);
        }
        certificates::check(view, now, &mut certificates, &mut found);
        found.retain(|finding| doubtful.is_none_or(|own| own.is_sound(finding)));
        all.extend(found);
    }
    let mut found = Diagnostics::new();
    let doubtful = manifest.doubtful.iter().map(|it| &it.declared);
    credentials::across(manifest.clusters.iter().chain(doubtful), &mut found);
    found.retain(|finding| manifest.doubtful.iter().all(|own| own.is_sound(finding)));
    all.extend(found);
    super::distinct(&mut all);
    all
}
