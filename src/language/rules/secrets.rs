//! Secrets that a service holds: names, and whether the service can be asked.
//! Sources: Azure docs: resource name rules, Key Vault; Kubernetes docs: Secrets.

use crate::language::{Access, ProtectedSetting};
use crate::model::is_vault_name;
use crate::source::{Diagnostic, Diagnostics};

use super::names::{is_label, is_subdomain};
use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    for (key, setting) in &settings.extension.configuration_protected_settings {
        let (source, parts) = parts(setting);
        for SecretPart { field, text, .. } in parts.iter().filter(|secret_part| !secret_part.fits) {
            let help = help(field);
            let at = ["extension", "configurationProtectedSettings", key, source, field];
            let at = view.cluster.origin.value(&at.into_iter().collect());
            let message = format!("`{text}` cannot be the {field} of a secret");
            let finding = Diagnostic::error("bad-secret-reference", message);
            found.push(finding.with_help(help).at(at, "here"));
        }
        if source == SECRET && view.cluster.cluster.access == Access::AzureOnly {
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
}

const SECRET: &str = "fromSecret";

/// A part of a reference, and whether it can be one.
struct SecretPart<'a> {
    field: &'static str,
    text: &'a str,
    fits: bool,
}

fn parts(setting: &ProtectedSetting) -> (&'static str, Vec<SecretPart<'_>>) {
    let made_of = |text: &str, more: &[u8], most: usize| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        (1..=most).contains(&text.len()) && text.bytes().all(allowed)
    };
    match setting {
        ProtectedSetting::FromKeyVault { from_key_vault: vault_secret } => {
            let mut parts = vec![
                SecretPart {
                    field: "vault",
                    text: &vault_secret.vault,
                    fits: is_vault_name(&vault_secret.vault),
                },
                SecretPart {
                    field: "secret",
                    text: &vault_secret.secret,
                    fits: made_of(&vault_secret.secret, b"-", 127),
                },
            ];
            parts.extend(vault_secret.version.as_ref().map(|text| {
                let fits = made_of(text, b"", 127);
                SecretPart { field: "version", text, fits }
            }));
            ("fromKeyVault", parts)
        }
        ProtectedSetting::FromSecret { from_secret: secret_key } => {
            let parts = vec![
                SecretPart {
                    field: "namespace",
                    text: &secret_key.namespace,
                    fits: is_label(&secret_key.namespace),
                },
                SecretPart {
                    field: "name",
                    text: &secret_key.name,
                    fits: is_subdomain(&secret_key.name),
                },
                SecretPart {
                    field: "key",
                    text: &secret_key.key,
                    fits: made_of(&secret_key.key, b"-_.", 253),
                },
            ];
            (SECRET, parts)
        }
        ProtectedSetting::Text(_)
        | ProtectedSetting::FromEnv { .. }
        | ProtectedSetting::FromFile { .. } => ("", Vec::new()),
    }
}

fn help(field: &str) -> &'static str {
    match field {
        "vault" => "write the vault's name without its domain: 3 to 24 letters, digits and hyphens",
        "secret" => "write the secret's name, not its address: letters, digits and hyphens",
        "version" => {
            "write the version as `az keyvault secret list-versions` shows it at the end of each \
             id, or leave it out"
        }
        "namespace" => "write the namespace as `kubectl get namespaces` shows it",
        "name" => "write the name as `kubectl get secrets` shows it",
        _ => "write a key of the Secret's data, such as tls.crt",
    }
}
