//! Resources as Azure writes them → commands: ARM templates, what `az … show` and `az rest` print,
//! compute YAML, `terraform show -json`.

use std::ops::Range;

use super::super::script::{ScriptNote, ToolCall};
use super::expression::Template;
use super::shapes::{COMPUTES, EXTENSIONS, after, compute_options, identities, renamed};
use crate::catalog::{self, ProfileName};
use crate::model::Json;
use crate::resource::FINGERPRINT_PREFIX;

/// Nesting beyond this is no document.
const DEEPEST: usize = 40;

/// The commands that make what a document holds.
pub(super) fn document(
    value: &Json,
    text: &str,
    base: usize,
    notes: &mut Vec<ScriptNote>,
) -> Vec<ToolCall> {
    let mut reader =
        TemplateReader { text, base, notes, calls: Vec::new(), template: Template::default() };
    reader.any(value, 0);
    reader.calls
}

/// The commands that make a resource whose texts are in the manifest's notation already, and which
/// stands at this place.
pub(super) fn notated(
    value: &Json,
    place: &Range<usize>,
    notes: &mut Vec<ScriptNote>,
) -> Vec<ToolCall> {
    let template = Template::notated();
    let mut own = Vec::new();
    let mut reader = TemplateReader {
        text: "",
        base: place.start,
        notes: &mut own,
        calls: Vec::new(),
        template,
    };
    reader.resource(value);
    let mut calls = reader.calls;
    notes.append(&mut own);
    for word in calls.iter_mut().flat_map(|it| &mut it.words) {
        word.span = place.clone();
    }
    calls
}

struct TemplateReader<'a> {
    text: &'a str,
    base: usize,
    notes: &'a mut Vec<ScriptNote>,
    calls: Vec<ToolCall>,
    template: Template,
}

impl TemplateReader<'_> {
    /// Where a text stands in the file.
    fn place(&self, text: &str) -> Range<usize> {
        let quoted = Json::from(text).to_string();
        let at = self.text.find(&quoted).or_else(|| self.text.find(text)).unwrap_or(0);
        let start = self.base + at;
        start..start + text.len().min(200)
    }

    fn any(&mut self, value: &Json, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match value {
            Json::Array(list) => list.iter().for_each(|it| self.any(it, depth + 1)),
            Json::Object(map) => {
                if map
                    .get("$schema")
                    .and_then(Json::as_str)
                    .is_some_and(|it| it.contains("eploymentTemplate"))
                {
                    self.template = Template::new(value);
                }
                if self.resource(value) {
                    return;
                }
                // Templates nest, and so do the modules of a Terraform state.
                for key in [
                    "resources",
                    "properties",
                    "template",
                    "values",
                    "planned_values",
                    "root_module",
                    "child_modules",
                    "value",
                    "modules",
                ] {
                    match map.get(key) {
                        Some(Json::Object(own)) if key == "resources" => {
                            own.values().for_each(|it| self.any(it, depth + 1));
                        }
                        Some(own @ (Json::Array(_) | Json::Object(_))) => self.any(own, depth + 1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether it is a resource, and was taken.
    fn resource(&mut self, value: &Json) -> bool {
        let text = |name: &str| value.get(name).and_then(Json::as_str);
        let kind = text("type").unwrap_or_default().to_lowercase();
        let kind = kind.split('@').next().unwrap_or_default();
        if let Some(values) = value.get("values").filter(|_| value.get("mode").is_some()) {
            return self.terraform(kind, values);
        }
        if let Some(instances) =
            value.get("instances").and_then(Json::as_array).filter(|_| value.get("mode").is_some())
        {
            return instances
                .iter()
                .filter_map(|it| it.get("attributes"))
                .map(|it| self.terraform(kind, it))
                .fold(false, |all, flag| all | flag);
        }
        let properties = value.get("properties").unwrap_or(value);
        if kind == EXTENSIONS || properties.get("extensionType").is_some() {
            self.extension(value, properties);
        } else if kind == COMPUTES || properties.get("computeType").is_some() {
            let kubernetes = properties.get("computeType").and_then(Json::as_str);
            if kubernetes.is_none_or(|it| it.eq_ignore_ascii_case("kubernetes")) {
                self.compute(value, properties);
            }
        } else if kind == "kubernetes" && value.get("resource_id").is_some() {
            let words = compute_options(value);
            self.attach(words, text("name").unwrap_or_default());
        } else if kind.ends_with("authorization/roleassignments") {
            self.role(value, properties);
        } else {
            return false;
        }
        true
    }

    /// A text of a template, evaluated.
    fn value(&self, value: Option<&Json>) -> Option<String> {
        let found = match value? {
            Json::String(text) => self.template.text(text),
            Json::Bool(flag) => flag.to_string(),
            Json::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(found).filter(|it| !it.is_empty())
    }

    fn extension(&mut self, resource: &Json, properties: &Json) {
        let get = |name: &str| properties.get(name);
        let scope =
            self.value(resource.get("scope")).or_else(|| self.value(resource.get("cluster_id")));
        let id = self.value(resource.get("id")).unwrap_or_default();
        let cluster =
            id.split("/providers/Microsoft.KubernetesConfiguration").next().unwrap_or_default();
        let cluster = match scope {
            Some(scope) if !scope.is_empty() => self.template.whole_id(&scope),
            _ if !cluster.is_empty() => cluster.to_owned(),
            _ => "${CLUSTER_ID}".to_owned(),
        };
        let written = resource.get("name").and_then(Json::as_str).unwrap_or_default();
        let span = self.place(written);
        let name = self.value(resource.get("name")).unwrap_or_else(|| "azureml".to_owned());
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        let mut words: Vec<String> = ["az", "k8s-extension", "create"].map(str::to_owned).into();
        let mut put = |option: &str, value: Option<String>| {
            if let Some(value) = value.filter(|it| !it.is_empty()) {
                words.extend([option.to_owned(), value]);
            }
        };
        put("--name", Some(name));
        put("--cluster-id", Some(cluster));
        put("--extension-type", self.value(get("extensionType")));
        put("--release-train", self.value(get("releaseTrain")));
        let auto = self.value(get("autoUpgradeMinorVersion"));
        let follows = auto.as_deref().is_none_or(|it| !it.eq_ignore_ascii_case("false"));
        let live = resource.get("systemData").is_some() || get("provisioningState").is_some();
        // What Azure prints names the version that is installed.
        put("--version", self.value(get("version")).filter(|_| !follows || !live));
        put("--auto-upgrade-minor-version", auto);
        let mut derived = Vec::new();
        for (option, part) in [
            ("--configuration-settings", "configurationSettings"),
            ("--configuration-protected-settings", "configurationProtectedSettings"),
        ] {
            let Some(map) = get(part).and_then(Json::as_object) else { continue };
            let mut settings = Vec::new();
            for (key, value) in map {
                let secret = part.contains("Protected");
                let made = |it| catalog::derived_map(it, key).is_some();
                let known =
                    catalog::setting(key).is_some() && !ProfileName::ALL.into_iter().any(made);
                let scenario = matches!(key.as_str(), "enableTraining" | "enableInference");
                if key.starts_with(FINGERPRINT_PREFIX) {
                    continue;
                }
                if live && !secret && !known && !scenario {
                    derived.push(key.clone());
                    continue;
                }
                let value = self.value(Some(value)).unwrap_or_default();
                if value.is_empty() && !secret {
                    continue;
                }
                let name = super::super::script::variable_name(key);
                let value = if value.is_empty() { format!("${{{name}}}") } else { value };
                settings.push(format!("{key}={value}"));
            }
            if !settings.is_empty() {
                words.push(option.to_owned());
                words.extend(settings);
            }
        }
        if !derived.is_empty() {
            let why = format!("left out, amlplan derives them: {}", derived.join(", "));
            self.notes.push(ScriptNote::Aside(span.clone(), why));
        }
        self.calls.push(ToolCall::new(words, &span));
    }

    fn compute(&mut self, resource: &Json, properties: &Json) {
        let id = self.value(resource.get("id")).or_else(|| {
            let parent = self.value(resource.get("parent_id"))?;
            Some(format!("{parent}/computes/"))
        });
        let name = self.value(resource.get("name")).unwrap_or_default();
        let mut parts = name.rsplit('/');
        let own = parts.next().unwrap_or_default().to_owned();
        let workspace = parts.next().map(str::to_owned);
        let inner = properties.get("properties").unwrap_or(properties);
        let mut words = Vec::new();
        let mut put = |option: &str, value: Option<String>| {
            if let Some(value) = value.filter(|it| !it.is_empty()) {
                words.extend([option.to_owned(), value]);
            }
        };
        let id = id.map(|it| self.template.whole_id(&it));
        let segment = |it: &str| id.as_deref().and_then(|id| after(id, it));
        put("--name", Some(own.clone()));
        put("--workspace-name", segment("workspaces").or(workspace));
        put(
            "--resource-group",
            segment("resourceGroups")
                .or_else(|| self.value(resource.get("resourceGroup")))
                .or_else(|| self.template.group()),
        );
        put("--subscription", segment("subscriptions"));
        let cluster = self
            .value(properties.get("resourceId"))
            .or_else(|| self.value(properties.get("resource_id")));
        put("--resource-id", cluster.map(|it| self.template.whole_id(&it)));
        put("--type", Some("Kubernetes".to_owned()));
        put("--namespace", self.value(inner.get("namespace")));
        let identity = resource.get("identity");
        let identity = match identity {
            Some(Json::Array(list)) => list.first(),
            other => other,
        };
        put("--identity-type", self.value(identity.and_then(|it| it.get("type"))));
        let ids = identity.map(identities).unwrap_or_default();
        let ids: Vec<String> =
            ids.iter().map(|it| self.template.whole_id(&self.template.text(it))).collect();
        put("--user-assigned-identities", Some(ids.join(",")));
        let written = resource.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
        self.attach(words, &written);
    }

    fn attach(&mut self, words: Vec<String>, name: &str) {
        let span = self.place(name);
        let verb = ["az", "ml", "compute", "attach"].map(str::to_owned);
        self.calls.push(ToolCall::new(verb.into_iter().chain(words), &span));
    }

    fn role(&mut self, value: &Json, properties: &Json) {
        let principal = properties.get("principalId").and_then(Json::as_str).unwrap_or_default();
        let role = self.value(properties.get("roleDefinitionId")).unwrap_or_default();
        let role = role.rsplit('/').next().unwrap_or_default().to_owned();
        let role =
            catalog::roles().iter().find(|(_, id)| **id == role).map_or(role, |it| it.0.clone());
        let scope = self.value(value.get("scope")).or_else(|| self.value(properties.get("scope")));
        let scope =
            scope.map(|it| self.template.whole_id(&it)).unwrap_or_else(|| "${SCOPE}".to_owned());
        let compute = principal.contains("computes") && principal.contains("reference(");
        let named = self.calls.iter().rev().find_map(|call| {
            let at = call.words.iter().position(|it| it.text == "--name")?;
            (call.words.get(1)?.text == "ml")
                .then(|| call.words.get(at + 1).map(|it| it.text.clone()))?
        });
        let principal = match (compute, named) {
            (true, Some(name)) => format!("compute/{name}"),
            _ if principal.contains("KubernetesConfiguration/extensions") => "extension".to_owned(),
            _ => self.template.text(principal),
        };
        let words = [
            "az",
            "role",
            "assignment",
            "create",
            "--assignee-object-id",
            &principal,
            "--role",
            &role,
            "--scope",
            &scope,
        ];
        let span = self.place(value.get("name").and_then(Json::as_str).unwrap_or_default());
        self.calls.push(ToolCall::new(words, &span));
    }

    /// A resource of a Terraform state, by its provider's names.
    pub(super) fn terraform(&mut self, kind: &str, values: &Json) -> bool {
        match renamed(kind, values) {
            Some(value) => self.resource(&value),
            None => false,
        }
    }
}
