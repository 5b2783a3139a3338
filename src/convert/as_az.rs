//! A manifest → the commands of `az`, `oc` and `kubectl` that would do the same, ready to paste.
//!
//! What no command can say stands in comments (`# amlplan: PATH = VALUE`), so that reading the
//! commands back gives the same manifest. Secrets are shell variables.

use serde_json::json;

use crate::catalog::{self, ProfileName, SettingKind};
use crate::convert::az::{catalog_profile, derived_accounts, derived_registrations};
use crate::language::{
    Access, Cloud, CloudName, Cluster, Compute, Declared, Extension, IdentityType, InstanceType,
    Manifest, ProtectedSetting, Scc, SccMethod,
};
use crate::resource::part::word;
use crate::resource::{PARTS, workspace_options};

/// The commands for every cluster of a manifest, in the order in which they work: sign-in,
/// registrations, grants, extension, instance types, computes, roles.
#[must_use]
pub fn commands(manifest: &Manifest) -> String {
    let clusters: Vec<String> = manifest.clusters.iter().map(of_cluster).collect();
    clusters.join("\n")
}

struct Script(String);

impl Script {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// One command, an option a line.
    fn command(&mut self, verb: &str, options: &[String]) {
        self.line(&format!("{verb} {}", options.join(" \\\n  ")));
    }

    /// What no command can say.
    fn say(&mut self, path: &str, value: serde_json::Value) {
        self.line(&format!("# amlplan: {path} = {value}"));
    }
}

fn of_cluster(declared: &Declared) -> String {
    let cluster = &declared.spec;
    let mut script = Script(String::new());
    context(cluster, &mut script);
    sign_in(cluster, &mut script);
    registrations(cluster, &mut script);
    if let Some(scc) = &cluster.scc {
        grants(cluster, scc, &mut script);
    }
    if let Some(extension) = &cluster.extension {
        install(cluster, extension, &mut script);
    }
    for namespace in namespaces(cluster) {
        script.line(&format!("kubectl create namespace {}", word(namespace)));
    }
    for it in &cluster.instance_types {
        instance_type(it, &mut script);
    }
    for it in &cluster.computes {
        attach(cluster, it, &mut script);
    }
    for form in PARTS.iter().filter_map(|it| it.az()) {
        for options in (form.write)(cluster) {
            script.command(form.verb, &options);
        }
    }
    script.0
}

fn context(cluster: &Cluster, script: &mut Script) {
    script.say("name", json!(cluster.name));
    for (path, value) in [
        ("cluster.distribution", &cluster.cluster.distribution),
        ("cluster.kubeconfig", &cluster.cluster.kubeconfig),
        ("cluster.context", &cluster.cluster.context),
    ] {
        if let Some(value) = value {
            script.say(path, json!(value));
        }
    }
    if cluster.cluster.access == Access::AzureOnly {
        script.say("cluster.access", json!("azureOnly"));
    }
    if let Some(extension) = &cluster.extension {
        script.say("extension.profile", json!(extension.profile.as_str()));
    }
    for (path, list) in [
        ("features", &cluster.features),
        ("providers", &cluster.providers),
        ("lifecycle.ignoreChanges", &cluster.lifecycle.ignore_changes),
        ("lifecycle.preventDestroy", &cluster.lifecycle.prevent_destroy),
    ] {
        if !list.is_empty() {
            script.say(path, json!(list));
        }
    }
}

fn sign_in(cluster: &Cluster, script: &mut Script) {
    match &cluster.azure.cloud {
        Cloud::Named(CloudName::AzureCloud) => {}
        Cloud::Named(CloudName::AzureUSGovernment) => {
            script.line("az cloud set --name AzureUSGovernment");
        }
        Cloud::Named(CloudName::AzureChinaCloud) => {
            script.line("az cloud set --name AzureChinaCloud");
        }
        Cloud::Custom(cloud) => {
            let mut options = vec![
                format!("--name {}", word(&cloud.name)),
                format!("--endpoint-resource-manager {}", word(&cloud.resource_manager)),
            ];
            let authority = cloud.authority.iter().map(|it| ("--endpoint-active-directory", it));
            let audience =
                cloud.audience.iter().map(|it| ("--endpoint-active-directory-resource-id", it));
            options
                .extend(authority.chain(audience).map(|(name, it)| format!("{name} {}", word(it))));
            script.command("az cloud register", &options);
            script.line(&format!("az cloud set --name {}", word(&cloud.name)));
        }
    }
    if let Some(tenant) = &cluster.azure.tenant {
        script.line(&format!("az login --tenant {}", word(tenant)));
    }
    script.line(&format!("az account set --subscription {}", word(&cluster.azure.subscription)));
}

fn registrations(cluster: &Cluster, script: &mut Script) {
    let (features, providers) = derived_registrations(cluster);
    let or = |own: &[String], derived: Vec<&str>| -> Vec<String> {
        if own.is_empty() { derived.into_iter().map(str::to_owned).collect() } else { own.to_vec() }
    };
    for feature in or(&cluster.features, features) {
        let (namespace, name) = feature.split_once('/').unwrap_or((&feature, ""));
        script.line(&format!(
            "az feature register --namespace {} --name {}",
            word(namespace),
            word(name)
        ));
        script.line("# Wait until `az feature show` says Registered; registering the provider then takes it over.");
    }
    for provider in or(&cluster.providers, providers) {
        script.line(&format!("az provider register --namespace {} --wait", word(&provider)));
    }
}

fn grants(cluster: &Cluster, scc: &Scc, script: &mut Script) {
    let profile = cluster.extension.as_ref().map(|it| it.profile).unwrap_or_default();
    let method = scc.method.unwrap_or(match catalog_profile(profile) {
        ProfileName::Ga => SccMethod::Rbac,
        ProfileName::Preview => SccMethod::Users,
    });
    let mut accounts = derived_accounts(cluster);
    accounts.extend(scc.service_accounts.iter().cloned());
    for account in accounts {
        match (method, account.split(':').collect::<Vec<_>>().as_slice()) {
            (SccMethod::Rbac, ["system", "serviceaccount", namespace, name]) => {
                let scc = word(&scc.name);
                let (name, namespace) = (word(name), word(namespace));
                script
                    .line(&format!("oc adm policy add-scc-to-user {scc} -z {name} -n {namespace}"));
            }
            (SccMethod::Rbac, _) => {
                let line =
                    format!("oc adm policy add-scc-to-user {} {}", word(&scc.name), word(&account));
                script.line(&line);
            }
            (SccMethod::Users, _) => {
                let patch =
                    json!([{"op": "add", "path": "/users/-", "value": account}]).to_string();
                let line =
                    format!("oc patch scc {} --type=json -p {}", word(&scc.name), word(&patch));
                script.line(&line);
            }
        }
    }
}

fn install(cluster: &Cluster, extension: &Extension, script: &mut Script) {
    let mut options = vec![
        format!("--name {}", word(&extension.name)),
        "--extension-type Microsoft.AzureML.Kubernetes".to_owned(),
        format!("--cluster-type {}", cluster.cluster.kind.as_str()),
        format!("--cluster-name {}", word(&cluster.cluster.name)),
        format!("--resource-group {}", word(&cluster.azure.resource_group)),
        "--scope cluster".to_owned(),
    ];
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
        .map(|(key, it)| word(&format!("{}={}", catalog::wire_key(key), it.wire())))
        .collect();
    let secrets = extension.configuration_protected_settings.iter();
    let secrets: Vec<String> = secrets.map(|(key, it)| secret(key, it)).collect();
    for (option, values) in
        [("--configuration-settings", settings), ("--configuration-protected-settings", secrets)]
    {
        if !values.is_empty() {
            options.push(format!("{option} {}", values.join(" ")));
        }
    }
    script.command("az k8s-extension create", &options);
}

/// `key=` what a command prints; a path, where the setting takes one.
fn given(key: &str, path: bool, command: &str) -> String {
    if path {
        format!("{}<({command})", word(&format!("{key}=")))
    } else {
        format!("\"{key}=$({command})\"")
    }
}

/// `key=value` of a secret, without the secret.
fn secret(key: &str, setting: &ProtectedSetting) -> String {
    let path = catalog::setting(key).is_some_and(|it| it.kind == SettingKind::Path);
    match setting {
        ProtectedSetting::Text(it) | ProtectedSetting::FromFile { from_file: it } if path => {
            word(&format!("{key}={it}"))
        }
        ProtectedSetting::FromEnv { from_env } if path => {
            format!("{}<(printf %s \"${from_env}\")", word(&format!("{key}=")))
        }
        ProtectedSetting::FromEnv { from_env } => format!("\"{key}=${{{from_env}}}\""),
        ProtectedSetting::FromFile { from_file } => format!("\"{key}=$(cat {})\"", word(from_file)),
        ProtectedSetting::FromKeyVault { from_key_vault: it } => {
            let version = it.version.iter().map(|it| format!(" --version {}", word(it)));
            let (vault, name) = (word(&it.vault), word(&it.secret));
            given(
                key,
                path,
                &format!(
                    "az keyvault secret show --vault-name {vault} --name {name}{} --query value -o tsv",
                    version.collect::<String>()
                ),
            )
        }
        ProtectedSetting::FromSecret { from_secret: it } => {
            let (namespace, name) = (word(&it.namespace), word(&it.name));
            let data = word(&format!("{{.data.{}}}", it.key.replace('.', "\\.")));
            given(
                key,
                path,
                &format!("kubectl get secret -n {namespace} {name} -o jsonpath={data} | base64 -d"),
            )
        }
        // The text is the secret itself.
        ProtectedSetting::Text(_) => {
            let upper = key
                .chars()
                .map(|it| if it.is_ascii_alphanumeric() { it.to_ascii_uppercase() } else { '_' });
            format!("\"{key}=${{{}}}\"", upper.collect::<String>())
        }
    }
}

fn namespaces(cluster: &Cluster) -> Vec<&str> {
    let mut found: Vec<&str> = cluster.computes.iter().map(|it| it.namespace.as_str()).collect();
    found.retain(|it| *it != "default" && !it.starts_with("kube-") && *it != "azureml");
    found.sort_unstable();
    found.dedup();
    found
}

fn instance_type(it: &InstanceType, script: &mut Script) {
    let quantities = |map: &std::collections::BTreeMap<String, crate::language::Quantity>| {
        let texts = map.iter().map(|(key, it)| (key.clone(), json!(it.wire())));
        serde_json::Value::Object(texts.collect())
    };
    let mut spec = json!({
        "resources": {
            "requests": quantities(&it.resources.requests),
            "limits": quantities(&it.resources.limits),
        },
    });
    if !it.node_selector.is_empty() {
        spec["nodeSelector"] = json!(it.node_selector);
    }
    script.line("kubectl apply -f - <<'EOF'");
    script.line("apiVersion: amlarc.azureml.com/v1alpha1");
    script.line("kind: InstanceType");
    script.line(&format!("metadata: {}", json!({"name": it.name})));
    script.line(&format!("spec: {spec}"));
    script.line("EOF");
}

fn attach(cluster: &Cluster, compute: &Compute, script: &mut Script) {
    let mut options = workspace_options(cluster, compute);
    options.push(format!("--name {}", word(&compute.name)));
    options.push(format!("--resource-id {}", word(cluster.resource_id().as_str())));
    options.push("--type Kubernetes".to_owned());
    options.push(format!("--namespace {}", word(&compute.namespace)));
    match compute.identity.kind {
        IdentityType::None => {}
        IdentityType::SystemAssigned => options.push("--identity-type SystemAssigned".to_owned()),
        IdentityType::UserAssigned => {
            options.push("--identity-type UserAssigned".to_owned());
            let ids = compute.identity.user_assigned_identities.join(",");
            options.push(format!("--user-assigned-identities {}", word(&ids)));
        }
    }
    script.command("az ml compute attach", &options);
    // No option of `attach` takes these.
    let id = format!("{}/computes/{}", cluster.workspace_id(compute), compute.name);
    if !compute.tags.is_empty() {
        let tags = compute.tags.iter().map(|(key, value)| word(&format!("{key}={value}")));
        let tags = format!("--tags {}", tags.collect::<Vec<_>>().join(" "));
        let options =
            [format!("--resource-id {}", word(&id)), "--operation Merge".to_owned(), tags];
        script.command("az tag update", &options);
    }
    let mut set: Vec<String> = Vec::new();
    let mut put = |path: &str, value: &Option<String>| {
        set.extend(value.iter().map(|it| word(&format!("{path}={it}"))));
    };
    put("properties.description", &compute.description);
    put("properties.properties.defaultInstanceType", &compute.default_instance_type);
    if !set.is_empty() {
        let options = [format!("--ids {}", word(&id)), format!("--set {}", set.join(" "))];
        script.command("az resource update", &options);
    }
}
