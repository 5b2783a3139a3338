//! A manifest → the commands of `az`, `oc` and `kubectl` that would do the same, ready to paste.
//!
//! What no command can say stands in comments (`# amlplan: PATH = VALUE`), so that reading the
//! commands back gives the same manifest. Secrets are shell variables.

mod verbs;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::az::DIRECTIVES;
use crate::language::{
    ClusterSpec, ComputeSpec, CredentialsFrom, Dollars, ExtensionSpec, Manifest, to_yaml,
};
use crate::model::{ArmId, Json, KindName, ObjectRef, Value};
use crate::plan::{self, Action, Mode, Plan, PlanInput, Reason, Step};
use crate::resource::graph::{self, Desired};
use crate::resource::part::{AzForm, word};
use crate::resource::{Family, FieldChange, Method, PARTS, Request, Snapshot, about};
use crate::source::Diagnostics;
use verbs::{
    Script, add_user, attach, install, instance_type, register_feature, secrets, sign_in,
    which_extension,
};

/// The commands that do what a plan does, in its order: what is as it should be has none.
#[must_use]
pub fn commands(manifest: &Manifest, desired: &Desired, plan: &Plan) -> String {
    let mut said = BTreeSet::new();
    let scripts = manifest.clusters.iter().filter_map(|declared| {
        let cluster = &declared.spec;
        // What a subscription has once is made with the first cluster that needs it.
        let own = |step: &&Step| {
            let shared = step.key.scope.eq_ignore_ascii_case(&cluster.azure.subscription);
            step.key.scope == cluster.name || shared
        };
        let steps: Vec<&Step> = plan.changing().filter(own).collect();
        let mut steps: Vec<&Step> = steps.into_iter().filter(|it| said.insert(&it.key)).collect();
        // Who gets a role is asked of the compute, and nothing waits for a role.
        steps.sort_by_key(|step| step.key.kind == KindName::RoleAssignment);
        (!steps.is_empty()).then(|| of_cluster(cluster, desired, &steps))
    });
    scripts.collect::<Vec<_>>().join("\n")
}

/// The commands that make everything that a manifest declares, as if nothing were there.
///
/// # Errors
/// Where the manifest breaks a rule: ids that are none, addresses that collide.
pub fn anew(manifest: &Manifest) -> Result<String, Diagnostics> {
    let desired = graph::build(manifest)?;
    let nothing = Snapshot::default();
    let plan = plan::plan(&PlanInput { desired: &desired, live: &nothing, mode: Mode::Apply });
    Ok(commands(manifest, &desired, &plan))
}

fn of_cluster(cluster: &ClusterSpec, desired: &Desired, steps: &[&Step]) -> String {
    let mut script = Script::default();
    let has = |kind: KindName| steps.iter().any(|step| step.key.kind == kind);
    context(cluster, &has, &mut script);
    sign_in(cluster, &mut script);
    let cluster_api = [KindName::SccGrant, KindName::Namespace, KindName::InstanceType];
    if cluster_api.into_iter().any(has) {
        if cluster.cluster.credentials == CredentialsFrom::Azure {
            let (group, name) = (word(&cluster.azure.resource_group), word(&cluster.cluster.name));
            script.line(&format!("az aks get-credentials --resource-group {group} --name {name}"));
        }
        if let Some(name) = &cluster.cluster.context {
            script.line(&format!("kubectl config use-context {}", word(name)));
        }
    }
    // `az k8s-extension create` makes them by itself.
    let installs = steps.iter().any(|step| {
        step.key.kind == KindName::Extension
            && matches!(step.action, Action::Create | Action::Replace)
    });
    for step in
        steps.iter().filter(|step| !installs || about(step.key.kind).family != Family::Companion)
    {
        let node = desired.nodes.get(&step.key);
        let declared = node.and_then(|it| it.declared.as_ref());
        let index = declared.and_then(|(_, at)| at.tokens().get(1)?.parse::<usize>().ok());
        let part = ScriptPart { cluster, step, index };
        part.write(&mut script);
    }
    script.0
}

/// The command of `az` that makes things of a kind.
fn form(kind: KindName) -> Option<AzForm> {
    PARTS.iter().filter_map(|part| part.az()).find(|az_form| az_form.kind == kind)
}

/// What no command can say, in the manifest's words.
fn context(cluster: &ClusterSpec, has: &dyn Fn(KindName) -> bool, script: &mut Script) {
    let named = has(KindName::Extension) || has(KindName::Compute);
    let text = to_yaml(cluster, &[], &BTreeMap::new(), Dollars::Escape);
    let whole: Json = serde_yaml::from_str(&text).unwrap_or_default();
    for path in DIRECTIVES {
        let at = format!("/{}", path.replace('.', "/"));
        let told = match path {
            "scc" => has(KindName::SccGrant),
            "azure.resourceGroup" | "cluster.type" | "cluster.name" => named,
            _ => false,
        };
        if let Some(value) = whole.pointer(&at).filter(|_| !told) {
            script.line(&format!("# amlplan: {path} = {value}"));
        }
    }
}

/// One step of a plan, and the declaration that it is about.
struct ScriptPart<'a> {
    cluster: &'a ClusterSpec,
    step: &'a Step,
    /// Which entry of its list declares it.
    index: Option<usize>,
}

impl ScriptPart<'_> {
    fn write(&self, script: &mut Script) {
        let Self { cluster, step, .. } = *self;
        let name = step.key.name.as_str();
        if matches!(step.action, Action::Delete | Action::Replace) {
            step.removal.iter().for_each(|request| self.request(request, script));
        }
        if step.action == Action::Delete {
            return;
        }
        match step.key.kind {
            KindName::Feature => register_feature(name, script),
            KindName::Provider => {
                script.line(&format!("az provider register --namespace {} --wait", word(name)));
            }
            KindName::SccGrant => self.grants(script),
            KindName::Namespace if step.action == Action::Create => {
                script.line(&format!("kubectl create namespace {}", word(name)));
            }
            KindName::Extension => match &cluster.extension {
                Some(extension) if step.action == Action::Update => self.update(extension, script),
                Some(extension) => install(cluster, extension, script),
                None => {}
            },
            KindName::InstanceType => {
                let one = self.index.and_then(|index| cluster.instance_types.get(index));
                one.into_iter().for_each(|it| instance_type(it, script));
            }
            KindName::Compute => {
                let compute = self.index.and_then(|index| cluster.computes.get(index));
                compute.into_iter().for_each(|it| self.compute(it, script));
            }
            kind if step.action != Action::Update && form(kind).is_some() => {
                let Some(form) = form(kind) else { return };
                let all = (form.write)(cluster);
                let own = self.index.and_then(|index| all.get(index));
                own.into_iter().for_each(|text| script.command(form.verb, text));
            }
            _ => step.requests.iter().for_each(|request| self.request(request, script)),
        }
    }

    /// A request that no verb of `az` is for.
    fn request(&self, request: &Request, script: &mut Script) {
        let kind = |object: &ObjectRef| word(&object.kind.to_lowercase());
        let place = |object: &ObjectRef| {
            let space = object.namespace.as_ref();
            let space = space.map_or_else(String::new, |it| format!(" --namespace {}", word(it)));
            format!("{} {}{space}", kind(object), word(&object.name))
        };
        match request {
            Request::Arm { method: Method::Delete, path, .. } => self.remove(path, script),
            Request::Arm { method, path, api_version, body, .. } => {
                let shown = body.as_ref().map(Value::to_stored).unwrap_or_default().to_string();
                if shown.contains("\"$later\"") || shown.contains("\"$secret\"") {
                    // Only who carries the plan out knows what to send.
                    let what = if shown.contains("\"$secret\"") {
                        "a secret"
                    } else {
                        "what a step before it answers"
                    };
                    script.line(&format!(
                        "# {}: only `amlplan apply` can do this, since it sends {what}.",
                        self.step.key
                    ));
                    return;
                }
                let url = word(&format!("{path}?api-version={api_version}"));
                let options = [format!("--url {url}"), format!("--body {}", word(&shown))];
                script.command(&format!("az rest --method {}", method.as_str()), &options);
            }
            Request::Apply { body, .. } => {
                let verb = "kubectl apply --server-side --field-manager amlplan";
                script.apply(verb, &body.to_stored());
            }
            Request::RemoveFields { object, paths } => {
                let gone: Vec<Json> =
                    paths.iter().map(|path| json!({"op": "remove", "path": path})).collect();
                let patch = word(&Json::from(gone).to_string());
                script.line(&format!("kubectl patch {} --type=json -p {patch}", place(object)));
            }
            Request::AddUsers { object, users } => {
                users.iter().for_each(|user| add_user(&object.name, user, script));
            }
            Request::RemoveUsers { object, users } => {
                let name = word(&object.name);
                let filter = word(&format!(".users -= {}", json!(users)));
                script.line(&format!("oc get scc {name} -o json | jq {filter} | oc replace -f -"));
            }
            Request::DeleteObject { object } => {
                script.line(&format!("kubectl delete {}", place(object)));
            }
        }
    }

    fn remove(&self, path: &str, script: &mut Script) {
        let Ok(id) = ArmId::parse(path) else { return };
        let group = word(id.resource_group().unwrap_or_default());
        let name = word(id.name());
        script.line(&match self.step.key.kind {
            KindName::Compute => format!(
                "az ml compute detach --name {name} --resource-group {group} --workspace-name {} \
                 --yes",
                word(id.up_to("workspaces").name())
            ),
            KindName::Extension => format!(
                "az k8s-extension delete --name {name} --cluster-type {} --cluster-name {} \
                 --resource-group {group} --yes",
                self.cluster.cluster.kind.as_str(),
                word(&self.cluster.cluster.name)
            ),
            KindName::RoleAssignment => format!("az role assignment delete --ids {}", word(path)),
            _ => format!("az resource delete --ids {}", word(path)),
        });
    }

    /// Accounts that get the grant, and those that lose it.
    fn grants(&self, script: &mut Script) {
        let step = self.step;
        let accounts = |document: &Json| -> BTreeSet<String> {
            let subject = |value: &Json| {
                let text = |key: &str| value.get(key).and_then(Json::as_str).unwrap_or_default();
                let own = value.as_str().map(str::to_owned);
                own.unwrap_or_else(|| {
                    format!("system:serviceaccount:{}:{}", text("namespace"), text("name"))
                })
            };
            let lists = ["users", "subjects"].iter().filter_map(|it| document.get(*it)?.as_array());
            lists.flatten().map(subject).collect()
        };
        let wanted = step.after.as_ref().map(Value::to_stored).unwrap_or_default();
        let users = wanted.get("users").is_some();
        let (wanted, held) = (accounts(&wanted), step.before.as_ref().map(accounts));
        let held = held.unwrap_or_default();
        let scc = step.key.name.as_str();
        for (verb, all) in [("add-scc-to", &wanted - &held), ("remove-scc-from", &held - &wanted)] {
            for account in all {
                if users && verb.starts_with("add") {
                    add_user(scc, &account, script);
                    continue;
                }
                let parts: Vec<&str> = account.split(':').collect();
                let who = match parts[..] {
                    ["system", "serviceaccount", namespace, name] => {
                        format!("-z {} -n {}", word(name), word(namespace))
                    }
                    _ => word(&account),
                };
                script.line(&format!("oc adm policy {verb}-user {} {who}", word(scc)));
            }
        }
    }

    /// What differs, and nothing else; protected settings are replaced as a whole.
    fn update(&self, extension: &ExtensionSpec, script: &mut Script) {
        let mut options = Vec::new();
        let mut settings = Vec::new();
        let mut guarded = false;
        for change in &self.step.changes {
            match change.path.tokens() {
                [_, map, key] if map == "configurationSettings" => {
                    let after = change.after.as_ref().map(Value::to_stored);
                    let text = after.as_ref().map_or(Some(""), Json::as_str);
                    let text = text.filter(|_| !key.starts_with("amlplan."));
                    settings.extend(text.map(|it| word(&format!("{key}={it}"))));
                }
                [_, map, ..] if map == "configurationProtectedSettings" => guarded = true,
                [_, field] => options.extend(match field.as_str() {
                    "version" => {
                        extension.version.as_ref().map(|text| format!("--version {}", word(text)))
                    }
                    "releaseTrain" => {
                        Some(format!("--release-train {}", word(&extension.release_train)))
                    }
                    "autoUpgradeMinorVersion" => {
                        let follows = extension.auto_upgrade_minor_version;
                        Some(format!("--auto-upgrade-minor-version {follows}"))
                    }
                    _ => None,
                }),
                _ => {}
            }
        }
        if !settings.is_empty() {
            options.push(format!("--configuration-settings {}", settings.join(" ")));
        }
        if guarded {
            options.extend(secrets(extension));
        }
        if options.is_empty() {
            let ours = self.step.reasons.iter().all(|reason| {
                matches!(reason, Reason::FieldsDiffer | Reason::Moved(_) | Reason::Adopted)
            });
            if ours {
                script.line(&format!("# {}: only amlplan's own mark differs.", self.step.key));
            } else {
                install(self.cluster, extension, script);
            }
            return;
        }
        let mut all = which_extension(self.cluster, extension);
        all.append(&mut options);
        all.push("--yes".to_owned());
        script.command("az k8s-extension update", &all);
    }

    fn compute(&self, compute: &ComputeSpec, script: &mut Script) {
        let changed = |field: &str| {
            let within = |change: &&FieldChange| change.path.tokens().iter().any(|it| it == field);
            self.step.action != Action::Update || self.step.changes.iter().any(|it| within(&it))
        };
        // Attaching again is how `az` changes an identity.
        if changed("identity") {
            attach(self.cluster, compute, script);
        }
        // No option of `attach` takes these.
        let id = format!("{}/computes/{}", self.cluster.workspace_id(compute), compute.name);
        if changed("tags") && !compute.tags.is_empty() {
            let tags = compute.tags.iter().map(|(key, value)| word(&format!("{key}={value}")));
            let tags = format!("--tags {}", tags.collect::<Vec<_>>().join(" "));
            let options =
                [format!("--resource-id {}", word(&id)), "--operation Merge".to_owned(), tags];
            script.command("az tag update", &options);
        }
        let mut set: Vec<String> = Vec::new();
        for (path, value) in [
            ("properties.description", &compute.description),
            ("properties.properties.defaultInstanceType", &compute.default_instance_type),
        ] {
            let field = path.rsplit('.').next().unwrap_or(path);
            let value = value.iter().filter(|_| changed(field));
            set.extend(value.map(|text| word(&format!("{path}={text}"))));
        }
        if !set.is_empty() {
            let options = [format!("--ids {}", word(&id)), format!("--set {}", set.join(" "))];
            script.command("az resource update", &options);
        }
    }
}
