//! Single commands, in the words of a manifest.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::script::variable_name;
use crate::catalog::{self, SettingKind};
use crate::language::{
    CloudName, CloudSpec, ClusterSpec, ComputeSpec, ExtensionSpec, IdentityType, InstanceTypeSpec,
    ProtectedSetting,
};
use crate::model::Json;
use crate::resource::part::word;
use crate::resource::workspace_options;

#[derive(Default)]
pub(super) struct Script(pub(super) String);

impl Script {
    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// One command, an option a line.
    pub(super) fn command(&mut self, verb: &str, options: &[String]) {
        self.line(&format!("{verb} {}", options.join(" \\\n  ")));
    }

    /// One command with a document on its standard input.
    pub(super) fn apply(&mut self, verb: &str, document: &Json) {
        self.line(&format!("{verb} -f - <<'EOF'"));
        for (key, value) in document.as_object().into_iter().flatten() {
            self.line(&format!("{key}: {value}"));
        }
        self.line("EOF");
    }
}

pub(super) fn register_feature(feature: &str, script: &mut Script) {
    let (namespace, name) = feature.split_once('/').unwrap_or((feature, ""));
    let which = format!("--namespace {} --name {}", word(namespace), word(name));
    script.line(&format!("az feature register {which}"));
    script.line(&format!(
        "until [ \"$(az feature show {which} --query properties.state --output tsv)\" = Registered \
         ]; do sleep 60; done"
    ));
}

pub(super) fn add_user(scc: &str, account: &str, script: &mut Script) {
    let patch = json!([{"op": "add", "path": "/users/-", "value": account}]).to_string();
    script.line(&format!("oc patch scc {} --type=json -p {}", word(scc), word(&patch)));
}

pub(super) fn sign_in(cluster: &ClusterSpec, script: &mut Script) {
    match &cluster.azure.cloud {
        CloudSpec::Named(CloudName::AzureCloud) => {}
        CloudSpec::Named(name) => script.line(&format!("az cloud set --name {}", name.as_str())),
        CloudSpec::Custom(cloud) => {
            let given = [
                ("--name", Some(&cloud.name)),
                ("--endpoint-resource-manager", Some(&cloud.resource_manager)),
                ("--endpoint-active-directory", cloud.authority.as_ref()),
                ("--endpoint-active-directory-resource-id", cloud.audience.as_ref()),
            ];
            let given =
                given.into_iter().filter_map(|it| Some(format!("{} {}", it.0, word(it.1?))));
            let options: Vec<String> = given.collect();
            script.command("az cloud register", &options);
            script.line(&format!("az cloud set --name {}", word(&cloud.name)));
        }
    }
    if let Some(tenant) = &cluster.azure.tenant {
        script.line(&format!("az login --tenant {}", word(tenant)));
    }
    script.line(&format!("az account set --subscription {}", word(&cluster.azure.subscription)));
}

pub(super) fn which_extension(cluster: &ClusterSpec, extension: &ExtensionSpec) -> Vec<String> {
    vec![
        format!("--name {}", word(&extension.name)),
        format!("--cluster-type {}", cluster.cluster.kind.as_str()),
        format!("--cluster-name {}", word(&cluster.cluster.name)),
        format!("--resource-group {}", word(&cluster.azure.resource_group)),
    ]
}

pub(super) fn install(cluster: &ClusterSpec, extension: &ExtensionSpec, script: &mut Script) {
    let mut options = which_extension(cluster, extension);
    options.push("--extension-type Microsoft.AzureML.Kubernetes".to_owned());
    options.push("--scope cluster".to_owned());
    if extension.release_train != "stable" {
        options.push(format!("--release-train {}", word(&extension.release_train)));
    }
    if let Some(version) = &extension.version {
        options.push(format!("--version {}", word(version)));
    }
    if !extension.auto_upgrade_minor_version {
        options.push("--auto-upgrade-minor-version false".to_owned());
    }
    let settings = extension.configuration_settings.iter();
    let settings: Vec<String> = settings
        .map(|(key, setting)| word(&format!("{}={}", catalog::wire_key(key), setting.wire())))
        .collect();
    if !settings.is_empty() {
        options.push(format!("--configuration-settings {}", settings.join(" ")));
    }
    options.extend(secrets(extension));
    script.command("az k8s-extension create", &options);
}

pub(super) fn secrets(extension: &ExtensionSpec) -> Option<String> {
    let secrets = extension.configuration_protected_settings.iter();
    let secrets: Vec<String> = secrets.map(|(key, setting)| secret(key, setting)).collect();
    (!secrets.is_empty())
        .then(|| format!("--configuration-protected-settings {}", secrets.join(" ")))
}

/// `key=` what a command prints; a path, where the setting takes one.
pub(super) fn given(key: &str, path: bool, command: &str) -> String {
    if path {
        format!("{}<({command})", word(&format!("{key}=")))
    } else {
        format!("\"{key}=$({command})\"")
    }
}

/// `key=value` of a secret, without the secret.
pub(super) fn secret(key: &str, setting: &ProtectedSetting) -> String {
    let path = catalog::setting(key).is_some_and(|it| it.kind == SettingKind::Path);
    match setting {
        ProtectedSetting::Text(text) | ProtectedSetting::FromFile { from_file: text } if path => {
            word(&format!("{key}={text}"))
        }
        ProtectedSetting::FromEnv { from_env } if path => {
            format!("{}<(printf %s \"${from_env}\")", word(&format!("{key}=")))
        }
        ProtectedSetting::FromEnv { from_env } => format!("\"{key}=${{{from_env}}}\""),
        ProtectedSetting::FromFile { from_file } => format!("\"{key}=$(cat {})\"", word(from_file)),
        ProtectedSetting::FromKeyVault { from_key_vault: vault_secret } => {
            let version = vault_secret.version.iter().map(|it| format!(" --version {}", word(it)));
            let (vault, name) = (word(&vault_secret.vault), word(&vault_secret.secret));
            let which =
                format!("--vault-name {vault} --name {name}{}", version.collect::<String>());
            given(key, path, &format!("az keyvault secret show {which} --query value -o tsv"))
        }
        ProtectedSetting::FromSecret { from_secret: secret_key } => {
            let (namespace, name) = (word(&secret_key.namespace), word(&secret_key.name));
            let data = word(&format!("{{.data.{}}}", secret_key.key.replace('.', "\\.")));
            let which = format!("-n {namespace} {name} -o jsonpath={data}");
            given(key, path, &format!("kubectl get secret {which} | base64 -d"))
        }
        // The text is the secret itself.
        ProtectedSetting::Text(_) => format!("\"{key}=${{{}}}\"", variable_name(key)),
    }
}

pub(super) fn instance_type(instance_type: &InstanceTypeSpec, script: &mut Script) {
    let quantities = |map: &BTreeMap<String, crate::language::Quantity>| {
        let texts = map.iter().map(|(key, quantity)| (key.clone(), json!(quantity.wire())));
        Json::Object(texts.collect())
    };
    let mut spec = json!({
        "resources": {
            "requests": quantities(&instance_type.resources.requests),
            "limits": quantities(&instance_type.resources.limits),
        },
    });
    if !instance_type.node_selector.is_empty() {
        spec["nodeSelector"] = json!(instance_type.node_selector);
    }
    let document = json!({
        "apiVersion": "amlarc.azureml.com/v1alpha1",
        "kind": "InstanceType",
        "metadata": {"name": instance_type.name},
        "spec": spec,
    });
    script.apply("kubectl apply", &document);
}

pub(super) fn attach(cluster: &ClusterSpec, compute: &ComputeSpec, script: &mut Script) {
    let mut options = workspace_options(cluster, compute);
    options.push(format!("--name {}", word(&compute.name)));
    options.push(format!("--resource-id {}", word(cluster.resource_id().as_str())));
    options.push("--type Kubernetes".to_owned());
    options.push(format!("--namespace {}", word(&compute.namespace)));
    let kind = compute.identity.kind;
    if kind != IdentityType::None {
        options.push(format!("--identity-type {}", kind.as_str()));
    }
    if kind == IdentityType::UserAssigned {
        let ids = compute.identity.user_assigned_identities.join(",");
        options.push(format!("--user-assigned-identities {}", word(&ids)));
    }
    script.command("az ml compute attach", &options);
}
