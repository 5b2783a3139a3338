//! Versions and upgrades of the extension.

use crate::source::Diagnostics;

use super::told;
use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    let Some(extension) = &view.cluster.spec.extension else { return };
    let Some(version) = &extension.version else { return };
    let at = "/extension/version";
    if extension.auto_upgrade_minor_version {
        let auto = "/extension/autoUpgradeMinorVersion";
        let finding = told("pinned-and-upgraded", version).at(view.value(at), "pinned here");
        found.push(if view.written(auto) {
            finding.at(view.value(auto), "upgraded here")
        } else {
            finding.at(view.key("/extension"), "upgrades are on where nothing is said")
        });
    }
    let parts: Vec<&str> = version.split('.').collect();
    let numeric = parts.iter().all(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()));
    if !numeric || parts.len() < 3 {
        found.push(told("bad-version", version).at(view.value(at), "not a version"));
    }
}
