//! When two manifests say the same.

use amlplan::text::{ClusterSpec, Profile, ProtectedSetting, Quantity, SccMethod, Setting};

/// What a cluster says, whichever of two equal ways it says it in.
pub(crate) fn meaning(cluster: &ClusterSpec) -> String {
    let mut it = cluster.clone();
    it.computes.sort_by(|a, b| (&a.workspace.name, &a.name).cmp(&(&b.workspace.name, &b.name)));
    it.instance_types.sort_by(|a, b| a.name.cmp(&b.name));
    it.role_assignments.sort_by_key(|it| format!("{it:?}"));
    for compute in &mut it.computes {
        let workspace = &mut compute.workspace;
        workspace.resource_group =
            workspace.resource_group.take().filter(|own| *own != it.azure.resource_group);
        workspace.subscription =
            workspace.subscription.take().filter(|own| *own != it.azure.subscription);
    }
    let profile = it.extension.as_ref().map(|it| it.profile).unwrap_or_default();
    if let Some(scc) = &mut it.scc {
        scc.service_accounts.sort();
        scc.method.get_or_insert(match profile {
            Profile::Ga => SccMethod::Rbac,
            Profile::Preview => SccMethod::Users,
        });
    }
    for kind in &mut it.instance_types {
        for map in [&mut kind.resources.requests, &mut kind.resources.limits] {
            for quantity in map.values_mut() {
                *quantity = Quantity::Text(quantity.wire());
            }
        }
    }
    if let Some(extension) = &mut it.extension {
        for value in extension.configuration_settings.values_mut() {
            // The chart takes `true` and `True` alike.
            let text = value.wire();
            let lower = text.to_lowercase();
            let boolean = ["true", "false"].contains(&lower.as_str());
            *value = Setting::Text(if boolean { lower } else { text });
        }
        for (key, value) in &mut extension.configuration_protected_settings {
            // For the PEM settings a text is a path.
            if let (true, ProtectedSetting::FromFile { from_file }) =
                (key.ends_with("PemFile"), &*value)
            {
                *value = ProtectedSetting::Text(from_file.clone());
            }
        }
    }
    format!("{it:#?}")
}
