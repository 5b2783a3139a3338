//! Words that must be known, and what becomes of names in other names.
//! Sources: Azure CLI: connectedk8s connect; AML docs: troubleshooting.

use std::sync::LazyLock;

use crate::catalog;
use crate::language::schema::all_forms;
use crate::language::{CloudSpec, ClusterType, Profile, path_tokens, suggest};
use crate::model::{Json, KindName, Trust};
use crate::source::{Diagnostic, Diagnostics};

use super::told;
use super::view::{Settings, View};

pub(super) fn check(view: View<'_>, trust: &Trust, found: &mut Diagnostics) {
    cloud(view, trust, found);
    distribution(view, found);
    companions(view, found);
    retired(view, found);
    lifecycle(view, found);
    accepted(view, found);
}

/// The endpoints of a cloud of one's own.
fn cloud(view: View<'_>, trust: &Trust, found: &mut Diagnostics) {
    let CloudSpec::Custom(cloud) = &view.cluster.azure.cloud else { return };
    let manager = ("resourceManager", Some(&cloud.resource_manager));
    for (key, address) in [manager, ("authority", cloud.authority.as_ref())] {
        if let Some(Err(error)) = address.map(|text| trust.origin(text)) {
            found.push(
                Diagnostic::error(error.code(), error.to_string())
                    .with_help(error.help())
                    .at(view.value(&format!("/azure/cloud/{key}")), "here"),
            );
        }
    }
}

/// Words for the kind of Kubernetes that Azure Arc knows.
fn distribution(view: View<'_>, found: &mut Diagnostics) {
    let cluster = &view.cluster.cluster;
    let Some(word) = &cluster.distribution else { return };
    let place = view.value("/cluster/distribution");
    if cluster.kind == ClusterType::ManagedClusters {
        if !word.to_ascii_lowercase().starts_with("aks") {
            found.push(told("distribution-not-aks", word).at(place, "here"));
        }
        return;
    }
    let known = catalog::distributions();
    if known.iter().any(|text| text.eq_ignore_ascii_case(word)) {
        return;
    }
    let help = match suggest::nearest(word, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? Left out, it is read from Azure"),
        None => {
            let known = known.join(", ");
            format!("known are {known}; leave it out to have it read from Azure")
        }
    };
    let message = format!("Azure Arc knows no distribution `{word}`");
    let finding = Diagnostic::warning("unknown-distribution", message).with_help(help);
    found.push(finding.at(place, "unknown"));
}

/// The names of Relay and Service Bus namespaces are made from those of cluster and group.
fn companions(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    let cluster = &view.cluster.spec;
    let preview = settings.extension.profile == Profile::Preview;
    let relay = !settings.given("relayServerConnectionString")
        && (preview
            || settings.is_true("relayserver.enabled")
            || (cluster.cluster.kind == ClusterType::ConnectedClusters
                && settings.word("relayserver.enabled") != "false"));
    let bus = !settings.given("serviceBusConnectionString")
        && (preview || settings.is_true("servicebus.enabled"));
    let azure = &cluster.azure;
    let name = &cluster.cluster.name;
    let made = [
        (
            relay,
            "Relay",
            catalog::relay_namespace_name(name, &azure.subscription, &azure.resource_group),
        ),
        (
            bus,
            "Service Bus",
            catalog::service_bus_namespace_name(name, &azure.subscription, &azure.resource_group),
        ),
    ];
    for (_, service, made) in made.into_iter().filter(|(wanted, ..)| *wanted) {
        let starts = made.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic());
        let path = if starts { "/azure/resourceGroup" } else { "/cluster/name" };
        if starts && made.is_ascii() && made.len() >= 6 {
            continue;
        }
        let why = if starts { "has letters beyond a to z" } else { "does not begin with a letter" };
        let help = match service {
            "Relay" => {
                "connect the cluster under a name that begins with a letter, or bring your own Relay with relayServerConnectionString"
            }
            _ => "connect the cluster under a name that begins with a letter",
        };
        found.push(
            Diagnostic::error(
                "bad-companion-name",
                format!("the {service} namespace would be named `{made}`, which {why}"),
            )
            .with_help(help)
            .at(view.value(path), "its name is made from this"),
        );
        return;
    }
}

/// Features that profile ga needs no more.
fn retired(view: View<'_>, found: &mut Diagnostics) {
    if !view.settings().is_some_and(Settings::is_ga) {
        return;
    }
    for (index, feature) in view.cluster.features.iter().enumerate() {
        let mut all = catalog::retired_features().iter();
        let Some(known) = all.find(|retired| retired.name.eq_ignore_ascii_case(feature)) else {
            continue;
        };
        let message = format!("`{feature}` is not needed any more");
        let finding = Diagnostic::warning("retired-feature", message);
        let place = view.value(&format!("/features/{index}"));
        let finding = finding.with_help(known.reason.clone());
        found.push(finding.at(place, "may be unknown to Azure by now"));
    }
}

/// Says what is wrong with a path of the manifest: it is walked along the schema, so that a slip
/// below the first word is found too.
fn path(path: &str, at: &str, view: View<'_>, found: &mut Diagnostics) {
    // A kind of resources means all that the manifest brings of it.
    if KindName::ALL.iter().any(|kind| kind.as_str() == path) {
        return;
    }
    // One for all clusters of a fleet.
    static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
        let mut schema = schemars::schema_for!(crate::language::ClusterSpec).to_value();
        // What stands in these is in no resource.
        for part in ["name", "azure", "lifecycle", "drift"] {
            schema["properties"].as_object_mut().and_then(|parts| parts.remove(part));
        }
        schema
    });
    let tokens = path_tokens(path);
    let slip = walk(&SCHEMA, &SCHEMA, &tokens).and_then(|()| item(&tokens, view));
    let Err((word, known)) = slip else { return };
    let help = match suggest::nearest(&word, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("nothing stands below; end before `{word}`"),
        None => format!("instead of `{word}` write one of {}", known.join(", ")),
    };
    found.push(
        Diagnostic::error("bad-ignore-path", format!("`{path}` is no path in this manifest"))
            .with_help(help)
            .at(view.value(at), "here"),
    );
}

/// A word that does not fit, and those that would.
type Slip = (String, Vec<String>);

/// An item that is not in the list, where its name looks like one that is: a default of a fleet may
/// name what only some of its clusters have.
fn item(tokens: &[&str], view: View<'_>) -> Result<(), Slip> {
    let [list, name, ..] = tokens else { return Ok(()) };
    let names: Vec<String> = match *list {
        "computes" => view.cluster.computes.iter().map(|compute| compute.name.clone()).collect(),
        "instanceTypes" => view.cluster.instance_types.iter().map(|it| it.name.clone()).collect(),
        _ => return Ok(()),
    };
    let there = names.iter().any(|other| other == name);
    match suggest::nearest(name, names.iter().map(String::as_str)) {
        Some(_) if !there => Err(((*name).to_owned(), names)),
        _ => Ok(()),
    }
}

/// Follows a path along a schema; else the word that is unknown there, and those that are known.
pub(super) fn walk(root: &Json, schema: &Json, tokens: &[&str]) -> Result<(), Slip> {
    let Some((token, rest)) = tokens.split_first() else { return Ok(()) };
    let here = all_forms(root, schema);
    // In a list stands a name, a number or any.
    if let Some(item) = here.iter().find_map(|schema| schema.get("items")) {
        return walk(root, item, rest);
    }
    // Keys of settings have dots, and reach parts of the chart that no page lists.
    if here.iter().any(|schema| schema["patternProperties"].is_object()) {
        return Ok(());
    }
    let parts = || here.iter().filter_map(|schema| schema["properties"].as_object()).flatten();
    if let Some((_, part)) = parts().find(|(name, _)| name == token) {
        return walk(root, part, rest);
    }
    let free = |schema: &&Json| schema["additionalProperties"].is_object();
    if here.iter().any(free) {
        return Ok(());
    }
    Err(((*token).to_owned(), parts().map(|(name, _)| name.clone()).collect()))
}

/// Accepted drift: each path is one.
fn accepted(view: View<'_>, found: &mut Diagnostics) {
    for (index, ignored) in view.cluster.drift.ignore.iter().enumerate() {
        let own = ignored.path.split('/').next().unwrap_or_default();
        if !is_own(own, view) {
            path(&ignored.path, &format!("/drift/ignore/{index}/path"), view, found);
        }
    }
}

/// Whether the first part of an address is of this cluster.
fn is_own(scope: &str, view: View<'_>) -> bool {
    scope == view.cluster.name || scope.eq_ignore_ascii_case(&view.cluster.azure.subscription)
}

fn lifecycle(view: View<'_>, found: &mut Diagnostics) {
    let lifecycle = &view.cluster.lifecycle;
    for (index, text) in lifecycle.ignore_changes.iter().enumerate() {
        path(text, &format!("/lifecycle/ignoreChanges/{index}"), view, found);
    }
    for (index, target) in lifecycle.prevent_destroy.iter().enumerate() {
        let mut parts = target.split('/');
        let head = parts.next().unwrap_or_default();
        let kinds = || KindName::ALL.iter().map(|kind| kind.as_str());
        let kind = if is_own(head, view) { parts.next().unwrap_or("cluster") } else { head };
        if !kinds().any(|text| text == kind) {
            let near = suggest::nearest(kind, kinds());
            let help = near.map_or_else(|| "name a kind such as extension or compute, or an address such as NAME/extension/NAME".to_owned(), |text| format!("did you mean `{text}`?"));
            found.push(
                Diagnostic::error(
                    "bad-prevent-destroy",
                    format!("`{target}` is neither a kind nor an address of this cluster"),
                )
                .with_help(help)
                .at(view.value(&format!("/lifecycle/preventDestroy/{index}")), "protects nothing"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_walked_to_its_end() {
        let schema = schemars::schema_for!(crate::language::ClusterSpec).to_value();
        for (path, slip) in [
            ("extension", None),
            ("extension.configurationSettings.nodeSelector.a.b", None),
            ("computes[0].tags.team", None),
            ("computes.*.description", None),
            ("instanceTypes.gpu.resources.limits", None),
            ("computes.train.tagz", Some("tagz")),
            ("extension.configurationSetting.x", Some("configurationSetting")),
            ("extension.version.minor", Some("minor")),
            ("extension..version", Some("")),
        ] {
            let found = walk(&schema, &schema, &path_tokens(path)).err();
            assert_eq!(found.map(|(word, _)| word).as_deref(), slip, "{path}");
        }
    }
}
