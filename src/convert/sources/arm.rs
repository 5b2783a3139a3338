//! Resources as Azure writes them → commands: ARM templates, what `az … show` and `az rest` print and
//! send, compute YAML, `terraform show -json`. One table says which member is which option.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::script::{ScriptNote, ToolCall, option, variable_name};
use super::expression::Template;
use super::shapes::{LEVELS, SHAPES, Shape, members};
use crate::catalog::{self, ProfileName};
use crate::model::Json;
use crate::resource::FINGERPRINT_PREFIX;

/// Nesting beyond this is no document.
const DEEPEST: usize = 40;
const MOST_ROUNDS: u64 = 2_000;

/// The commands that make what a document holds.
pub(super) fn document(
    value: &Json,
    text: &str,
    base: usize,
    notes: &mut Vec<ScriptNote>,
) -> Vec<ToolCall> {
    let mut reader = TemplateReader::new(text, base, Template::default());
    reader.any(value, 0);
    let (calls, own) = reader.finish(base..base + 1);
    notes.extend(own);
    calls
}

/// The commands that make a resource whose texts are in the manifest's notation already, and which
/// stands at this place; `None` where no command makes it.
pub(super) fn notated(
    kind: &str,
    values: &Json,
    place: &Range<usize>,
    notes: &mut Vec<ScriptNote>,
) -> Option<Vec<ToolCall>> {
    let mut reader = TemplateReader::new("", place.start, Template::notated());
    if !reader.resource(&renamed(kind, values)?) {
        return None;
    }
    let (mut calls, mut own) = reader.finish(place.clone());
    notes.append(&mut own);
    for word in calls.iter_mut().flat_map(|call| &mut call.words) {
        word.span = place.clone();
    }
    Some(calls)
}

/// What `az rest` and `az resource create` send, as the commands that would make the same.
pub(super) fn requested(call: &ToolCall, notes: &mut Vec<ScriptNote>) -> Option<Vec<ToolCall>> {
    let after = |names: &[&str]| option(&call.words, names);
    let method = match (call.words.get(1)?.text.as_str(), call.words.get(2)?.text.as_str()) {
        ("rest", _) => after(&["--method", "-m"])?.to_lowercase(),
        ("resource", "create") => "put".to_owned(),
        _ => return None,
    };
    let url = after(&["--url", "--uri", "-u", "--id"])?.split('?').next()?;
    let id = &url[url.find("/subscriptions/")?..];
    let body = after(&["--body", "-b", "--properties", "-p"])?;
    let body = call.files.get(body).map_or(body, String::as_str);
    let mut body: Json = serde_json::from_str(body).ok()?;
    if body.get("properties").is_none() {
        body = serde_json::json!({ "properties": body });
    }
    let (_, kind) = id.rsplit_once("/providers/")?;
    let mut parts = kind.split('/');
    let namespace = parts.next()?;
    let types: Vec<&str> = parts.clone().step_by(2).collect();
    let kind = format!("{namespace}/{}", types.join("/")).to_lowercase();
    let own = body.as_object_mut()?;
    own.insert("id".to_owned(), Json::from(id));
    own.insert("name".to_owned(), Json::from(parts.next_back()?));
    own.insert("update".to_owned(), Json::from(method == "patch"));
    let span = call.words.first()?.span.start..call.words.last()?.span.end;
    (method == "put" || method == "patch").then(|| notated(&kind, &body, &span, notes))?
}

/// The options of a compute's YAML or JSON, or `None` where it is none of a cluster.
pub(in super::super) fn compute_words(text: &str) -> Option<Vec<String>> {
    let document: Json = serde_yaml::from_str(text).ok()?;
    let kind = document.get("type")?.as_str()?;
    let any = ["resource_id", "resourceId", "namespace"];
    if !kind.eq_ignore_ascii_case("kubernetes") || !any.iter().any(|it| document.get(it).is_some())
    {
        return None;
    }
    let call = self::document(&document, text, 0, &mut Vec::new()).into_iter().next()?;
    Some(call.words.into_iter().skip(4).map(|it| it.text).collect())
}

/// The segment behind this one in a resource id.
pub(in super::super) fn after(id: &str, name: &str) -> Option<String> {
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case(name));
    parts.nth(1).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// A resource of Terraform as one of Azure: what `azapi` keeps in its body stands in it.
fn renamed(kind: &str, values: &Json) -> Option<Json> {
    let mut own = values.as_object()?.clone();
    let mut kind = kind.to_owned();
    if matches!(kind.as_str(), "azapi_resource" | "azapi_update_resource") {
        own.insert("update".to_owned(), Json::from(kind == "azapi_update_resource"));
        let body = match own.get("body")? {
            Json::String(text) => serde_json::from_str(text).ok()?,
            other => other.clone(),
        };
        kind = own.get("type")?.as_str()?.split('@').next()?.to_lowercase();
        own.extend(body.as_object()?.clone());
        if let Some(id) = own.remove("resource_id") {
            own.insert("id".to_owned(), id);
        }
        own.retain(|name, _| !name.starts_with("response_") && !name.starts_with("schema_"));
    }
    own.insert("type".to_owned(), Json::from(kind));
    Some(Json::Object(own))
}

struct TemplateReader<'a> {
    text: &'a str,
    base: usize,
    notes: Vec<ScriptNote>,
    calls: Vec<ToolCall>,
    template: Template,
    /// Types of resources that no manifest declares.
    others: BTreeSet<String>,
}

impl<'a> TemplateReader<'a> {
    fn new(text: &'a str, base: usize, template: Template) -> Self {
        let (notes, calls, others) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { text, base, notes, calls, template, others }
    }

    fn finish(mut self, place: Range<usize>) -> (Vec<ToolCall>, Vec<ScriptNote>) {
        self.notes.extend(others(&self.others, place));
        (self.calls, self.notes)
    }

    /// Where a text stands in the file.
    fn place(&self, text: &str) -> Range<usize> {
        let quoted = Json::from(text).to_string();
        let at = self.text.find(&quoted).or_else(|| self.text.find(text)).unwrap_or(0);
        let start = self.base + at;
        start..start + text.len().min(200)
    }

    fn place_of(&self, resource: &Json) -> Range<usize> {
        self.place(resource.get("name").and_then(Json::as_str).unwrap_or_default())
    }

    fn left(&mut self, resource: &Json, why: String) {
        self.notes.push(ScriptNote::Left(self.place_of(resource), why));
    }

    fn any(&mut self, value: &Json, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let map = match value {
            Json::Array(list) => return list.iter().for_each(|value| self.any(value, depth + 1)),
            Json::Object(map) => map,
            _ => return,
        };
        let schema = map.get("$schema").and_then(Json::as_str).unwrap_or_default();
        if schema.contains("eploymentTemplate") {
            self.template = Template::new(value);
        }
        if self.rounds(value) {
            return;
        }
        if map.get("properties").is_some_and(|value| value.get("templateLink").is_some()) {
            let why = "the template that this links to is not followed; import it as well";
            self.left(value, why.to_owned());
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
                    own.values().for_each(|value| self.any(value, depth + 1));
                }
                Some(own @ (Json::Array(_) | Json::Object(_))) => self.any(own, depth + 1),
                _ => {}
            }
        }
    }

    /// A resource as often as its `copy` makes it; whether it is one, and was taken.
    fn rounds(&mut self, value: &Json) -> bool {
        let Some(count) = value.pointer("/copy/count") else { return self.resource(value) };
        let count = self.value(Some(count)).unwrap_or_default();
        let Ok(count) = count.parse::<u64>() else {
            let taken = self.resource(value);
            if taken {
                let why = "how often `copy` makes this is known only when it is deployed: one round \
                           stands for all";
                self.left(value, why.to_owned());
            }
            return taken;
        };
        let mut taken = count == 0;
        for index in 0..count.min(MOST_ROUNDS) {
            self.template.index = Some(index);
            taken |= self.resource(value);
        }
        self.template.index = None;
        taken
    }

    /// Whether it is a resource, and was taken.
    fn resource(&mut self, value: &Json) -> bool {
        let kind = value.get("type").and_then(Json::as_str).unwrap_or_default();
        let lower = kind.split('@').next().unwrap_or_default().to_lowercase();
        if value.get("mode").is_some() {
            let instances = value.get("instances").and_then(Json::as_array).into_iter().flatten();
            let all = instances.filter_map(|it| it.get("attributes")).chain(value.get("values"));
            let all: Vec<Json> = all.filter_map(|it| renamed(&lower, it)).collect();
            let managed = value.get("mode").and_then(Json::as_str) != Some("data");
            return all.iter().fold(false, |any, value| (managed && self.resource(value)) | any);
        }
        let properties = value.get("properties").unwrap_or(value);
        let lower = match lower {
            _ if properties.get("extensionType").is_some() => SHAPES[0].types[0].to_owned(),
            _ if properties.get("computeType").is_some() => SHAPES[1].types[0].to_owned(),
            other => other,
        };
        let Some(shape) = SHAPES.iter().find(|it| it.types.contains(&lower.as_str())) else {
            let typed = lower.contains('/') || lower.starts_with("az");
            let id = value.get("id").and_then(Json::as_str).unwrap_or_default();
            if typed && !lower.ends_with("/deployments") {
                self.others.insert(kind.split('@').next().unwrap_or_default().to_owned());
            } else if !typed && id.contains("/computes/") {
                self.others.insert(format!("compute of type {kind}"));
            }
            return false;
        };
        match self.value(value.get("condition")).as_deref() {
            Some("false") => {
                self.left(value, "its condition is false: left out".to_owned());
                return true;
            }
            Some(text) if text.contains("${") => {
                let why = "a condition that only the deployment can decide: taken for true";
                self.notes.push(ScriptNote::Slip(self.place_of(value), why.to_owned()));
            }
            _ => {}
        }
        if let Some(kind) = properties.get("computeType").and_then(Json::as_str)
            && !kind.eq_ignore_ascii_case("kubernetes")
        {
            self.others.insert(format!("compute of type {kind}"));
            return true;
        }
        self.shaped(shape, value, properties);
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
        Some(found).filter(|text| !text.is_empty())
    }

    /// The command that makes a resource of a known shape.
    fn shaped(&mut self, shape: &Shape, resource: &Json, properties: &Json) {
        let get = |option: &str| {
            let row = shape.options.iter().find(|it| it.0 == option)?;
            let said = row.1.iter().flat_map(|text| members(resource, text));
            said.into_iter().find_map(|value| self.value(Some(value)))
        };
        let live = is_live(resource);
        let mut words: Vec<String> = shape.verb.iter().map(|verb| (*verb).to_owned()).collect();
        if resource.get("update") == Some(&Json::Bool(true)) && shape.verb[1] == "k8s-extension" {
            words[2] = "update".to_owned();
        }
        let mut given: BTreeMap<&str, String> =
            shape.options.iter().filter_map(|it| Some((it.0, get(it.0)?))).collect();
        let name = self.value(resource.get("name")).unwrap_or_default();
        let (parent, own) = name.rsplit_once('/').unwrap_or(("", &name));
        let id = self.value(resource.get("id")).or_else(|| self.value(resource.get("parent_id")));
        let id = id.map(|text| self.template.whole_id(&text)).unwrap_or_default();
        self.mend(own, &mut given);
        let segment = |text: &str| after(&id, text);
        let group = segment("resourceGroups")
            .or_else(|| self.value(resource.get("resourceGroup")))
            .or_else(|| self.value(resource.get("resource_group_name")))
            .or_else(|| self.template.group());
        let parent = parent.rsplit('/').next().filter(|text| !text.is_empty()).map(str::to_owned);
        let mut put = |option: &'static str, value: Option<String>| {
            given.extend(value.filter(|text| !text.is_empty()).map(|text| (option, text)));
        };
        match shape.verb[1] {
            "ml" => {
                put("--workspace-name", segment("workspaces").or(parent));
                put("--resource-group", group);
                put("--subscription", segment("subscriptions"));
                put("--type", Some("Kubernetes".to_owned()));
                let ids: Vec<String> = identities(resource)
                    .iter()
                    .map(|identity| self.template.whole_id(&self.template.text(identity)))
                    .collect();
                put("--user-assigned-identities", Some(ids.join(",")));
                // Every compute has it.
                given.retain(|_, text| text != "defaultinstancetype");
            }
            "identity" => {
                put("--identity-name", segment("userAssignedIdentities").or(parent));
                put("--resource-group", group);
                put("--subscription", segment("subscriptions"));
            }
            "role" => self.assignee(resource, &mut given),
            _ => upgrades(resource, live, &mut given),
        }
        words.extend(given.into_iter().flat_map(|(name, text)| [name.to_owned(), text]));
        let span = self.place_of(resource);
        if shape.verb[1] == "k8s-extension" {
            self.settings(resource, (live, &span), &mut words);
        }
        if shape.verb[1] == "ml" {
            let tags = resource.get("tags").and_then(Json::as_object).into_iter().flatten();
            // Those of amlplan are its own.
            for (key, value) in tags.filter(|it| !it.0.starts_with("amlplan")) {
                let value = self.value(Some(value)).unwrap_or_default();
                words.extend(["--tags".to_owned(), format!("{key}={value}")]);
            }
        }
        self.calls.push(ToolCall::new(words, &span));
        if !live {
            self.instance_types(properties, &span);
            self.unread(shape, resource, &span);
        }
    }

    /// Ids in full, and names without what stands before them.
    fn mend(&self, own: &str, given: &mut BTreeMap<&str, String>) {
        for (option, value) in given {
            match *option {
                "--name" => own.clone_into(value),
                "--resource-id" | "--scope" => *value = self.template.whole_id(value),
                "--cluster-id" => {
                    let scope = value.split("/providers/Microsoft.KubernetesConfiguration").next();
                    *value = self.template.whole_id(scope.unwrap_or_default());
                }
                "--role" => {
                    let last = value.rsplit('/').next().unwrap_or_default();
                    let named = catalog::roles().iter().find(|it| it.1 == last);
                    *value = named.map_or(last, |it| it.0).to_owned();
                }
                _ => {}
            }
        }
    }

    /// Says which members no option stands for.
    fn unread(&mut self, shape: &Shape, resource: &Json, span: &Range<usize>) {
        let mut left = Vec::new();
        for map in LEVELS.iter().filter_map(|text| resource.pointer(text)?.as_object()) {
            let open = map.iter().filter(|it| !it.1.is_null() && !shape.knows(it.0));
            left.extend(open.map(|it| format!("`{}`", it.0)));
        }
        if !left.is_empty() {
            let why = format!("left out, no manifest says it: {}", left.join(", "));
            self.notes.push(ScriptNote::Aside(span.clone(), why));
        }
    }

    /// Instance types that a compute brings.
    fn instance_types(&mut self, properties: &Json, span: &Range<usize>) {
        let types = properties.pointer("/properties/instanceTypes").and_then(Json::as_object);
        for (name, spec) in types.into_iter().flatten() {
            let mut call = ToolCall::new(["kubectl", "apply", "-f", "-"], span);
            let document = serde_json::json!({
                "kind": "InstanceType", "metadata": { "name": name }, "spec": spec,
            });
            call.body = Some(document.to_string());
            self.calls.push(call);
        }
    }

    /// Who gets a role: a principal by its id, or one that the template makes.
    fn assignee(&self, resource: &Json, given: &mut BTreeMap<&str, String>) {
        let principal = members(resource, "principalId").find_map(Json::as_str).unwrap_or_default();
        let named = self.calls.iter().rev().find_map(|call| {
            let at = call.words.iter().position(|it| it.text == "--name")?;
            (call.words.get(1)?.text == "ml").then(|| call.words.get(at + 1).map(|it| &it.text))?
        });
        let made = match named {
            Some(name) if principal.contains("computes") && principal.contains("reference(") => {
                Some(format!("compute/{name}"))
            }
            _ if principal.contains("KubernetesConfiguration/extensions") => {
                Some("extension".to_owned())
            }
            _ => None,
        };
        if let (Some(made), Some(own)) = (made, given.get_mut("--assignee-object-id")) {
            *own = made;
        }
        given.entry("--scope").or_insert_with(|| "${SCOPE}".to_owned());
    }

    /// The settings of an extension, without those that amlplan derives by itself.
    fn settings(
        &mut self,
        resource: &Json,
        (live, span): (bool, &Range<usize>),
        words: &mut Vec<String>,
    ) {
        let mut derived = Vec::new();
        for (option, name) in [
            ("--configuration-settings", "configurationSettings"),
            ("--configuration-protected-settings", "configurationProtectedSettings"),
        ] {
            let map = members(resource, name).next();
            let secret = option.contains("protected");
            let mut settings = Vec::new();
            for (key, value) in map.and_then(Json::as_object).into_iter().flatten() {
                let made = |profile_name| catalog::derived_map(profile_name, key).is_some();
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
                let name = variable_name(key);
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
    }
}

/// Whether Azure printed it, and nobody wrote it.
fn is_live(resource: &Json) -> bool {
    resource.get("systemData").is_some() || members(resource, "provisioningState").next().is_some()
}

/// Which version an extension is of, and whether it follows its train.
fn upgrades(resource: &Json, live: bool, given: &mut BTreeMap<&str, String>) {
    const AUTO: &str = "--auto-upgrade-minor-version";
    let follows = given.get(AUTO).is_none_or(|text| !text.eq_ignore_ascii_case("false"));
    // What Azure prints names the version that is installed.
    if follows && live {
        given.remove("--version");
    }
    if resource.get("cluster_id").is_some() && given.contains_key("--version") {
        given.entry(AUTO).or_insert_with(|| "false".to_owned());
    }
    given.entry("--cluster-id").or_insert_with(|| "${CLUSTER_ID}".to_owned());
    given.entry("--name").or_insert_with(|| "azureml".to_owned());
}

/// Says which types of resources a manifest does not declare.
pub(super) fn others(types: &BTreeSet<String>, place: Range<usize>) -> Option<ScriptNote> {
    let names: Vec<&str> = types.iter().map(String::as_str).collect();
    let why = format!("left out, nothing a manifest can say: {}", names.join(", "));
    (!names.is_empty()).then_some(ScriptNote::Aside(place, why))
}

/// Resource ids of identities, from a list of them or from the keys of a map.
fn identities(resource: &Json) -> Vec<String> {
    let identity = match resource.get("identity") {
        Some(Json::Array(list)) => list.first(),
        other => other,
    };
    let names = ["user_assigned_identities", "userAssignedIdentities", "identity_ids"];
    match names.iter().find_map(|name| identity?.get(*name)) {
        Some(Json::Object(map)) => map.keys().cloned().collect(),
        Some(Json::Array(list)) => {
            let id = |value: &Json| {
                let own =
                    value.get("resource_id").or_else(|| value.get("resourceId")).unwrap_or(value);
                own.as_str().map(str::to_owned)
            };
            list.iter().filter_map(id).collect()
        }
        _ => Vec::new(),
    }
}
