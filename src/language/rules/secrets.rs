//! Secrets that the cluster itself holds, where it is never asked. Their forms are in [`super::forms`].

use crate::language::{Access, ProtectedSetting};
use crate::source::{Diagnostic, Diagnostics};

use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    if view.cluster.cluster.access != Access::AzureOnly {
        return;
    }
    for (key, setting) in &settings.extension.configuration_protected_settings {
        if !matches!(setting, ProtectedSetting::FromSecret { .. }) {
            continue;
        }
        let message = format!(
            "`{key}` comes from a Secret in the cluster, and `access: azureOnly` never asks the cluster"
        );
        found.push(
            Diagnostic::error("bad-secret-reference", message)
                .with_help("write access: kubernetes, or take the secret from a vault, a file or a variable")
                .at(settings.key_place(key), "needs the Kubernetes API")
                .at(view.value("/cluster/access"), "never asked"),
        );
    }
}
