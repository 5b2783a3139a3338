//! Names: what Azure, Kubernetes and Helm accept, and what becomes of names in other names.
//! Sources: Azure docs: resource name rules; Kubernetes docs: names; AML docs: troubleshooting.

use std::sync::LazyLock;

use crate::catalog;
use crate::language::{CloudSpec, ClusterType, Profile, path_tokens, suggest};
use crate::model::{Json, KindName, Trust};
use crate::source::{Diagnostic, Diagnostics};

use super::view::View;

pub(super) fn check(view: View<'_>, trust: &Trust, found: &mut Diagnostics) {
    azure(view, found);
    cloud(view, trust, found);
    kubernetes(view, found);
    computes(view, found);
    companions(view, found);
    registrations(view, found);
    lifecycle(view, found);
    accepted(view, found);
}

/// A DNS label: 1 to 63 lower-case letters, digits and hyphens.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// DNS labels joined by dots.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

pub(super) const LABEL_HELP: &str =
    "use lower-case letters, digits and hyphens, with a letter or digit at both ends, 63 at most";

fn azure(view: View<'_>, found: &mut Diagnostics) {
    let azure = &view.cluster.azure;
    let mut report = |fits: bool, code, path: &str, message: String, help: &str| {
        if !fits {
            found.push(
                Diagnostic::error(code, message).with_help(help).at(view.value(path), "here"),
            );
        }
    };
    let id_help = "write the id, not the name: `az account show` prints `id` and `tenantId`";
    let subscription = &azure.subscription;
    let message = format!("`{subscription}` is not a subscription id");
    report(is_uuid(subscription), "bad-subscription", "/azure/subscription", message, id_help);
    if let Some(tenant) = &azure.tenant {
        let fits =
            is_uuid(tenant) || (tenant.contains('.') && is_subdomain(&tenant.to_ascii_lowercase()));
        report(
            fits,
            "bad-tenant",
            "/azure/tenant",
            format!("`{tenant}` is not a directory id"),
            id_help,
        );
    }
    let mut groups = vec![("/azure/resourceGroup".to_owned(), &azure.resource_group)];
    for (index, compute) in view.cluster.computes.iter().enumerate() {
        let at = format!("/computes/{index}/workspace");
        if let Some(subscription) = &compute.workspace.subscription {
            let message = format!("`{subscription}` is not a subscription id");
            report(
                is_uuid(subscription),
                "bad-subscription",
                &format!("{at}/subscription"),
                message,
                id_help,
            );
        }
        groups.extend(
            compute.workspace.resource_group.as_ref().map(|it| (format!("{at}/resourceGroup"), it)),
        );
    }
    for (path, group) in groups {
        let allowed = |letter: char| letter.is_alphanumeric() || "-_.()".contains(letter);
        let fits = (1..=90).contains(&group.chars().count())
            && group.chars().all(allowed)
            && !group.ends_with('.');
        let help = "use letters, digits and -_.(), 90 at most, without a dot at the end; write the name, not the id";
        report(
            fits,
            "bad-resource-group",
            &path,
            format!("`{group}` is not the name of a resource group"),
            help,
        );
        let help =
            "Azure ML answers every workload there with InternalServerError: use another group";
        report(
            !group.ends_with('-'),
            "name-ends-with-hyphen",
            &path,
            format!("the resource group `{group}` ends with a hyphen"),
            help,
        );
    }
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

fn kubernetes(view: View<'_>, found: &mut Diagnostics) {
    let cluster = &view.cluster.spec;
    let mut report = |fits: bool, code, path: &str, message: String, help: &str| {
        if !fits {
            found.push(
                Diagnostic::error(code, message).with_help(help).at(view.value(path), "here"),
            );
        }
    };
    let message = format!("`{}` cannot be the first part of addresses", cluster.name);
    report(is_label(&cluster.name), "bad-cluster-name", "/name", message, LABEL_HELP);
    let name = &cluster.cluster.name;
    let allowed = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_' || it == '.';
    let fits = (1..=63).contains(&name.len()) && name.chars().all(allowed);
    let help = if name.contains('/') {
        "write the cluster's name, not its resource id"
    } else {
        "use letters, digits, hyphens and underscores, 63 at most"
    };
    report(
        fits,
        "bad-azure-name",
        "/cluster/name",
        format!("`{name}` is not the name of a cluster in Azure"),
        help,
    );
    if let Some(extension) = &cluster.extension {
        let name = &extension.name;
        let help = "it becomes the name of a helm release: lower-case letters, digits and hyphens, a letter or digit at both ends, 53 at most";
        report(
            is_label(name) && name.len() <= 53,
            "bad-extension-name",
            "/extension/name",
            format!("`{name}` cannot name an extension"),
            help,
        );
    }
    for (index, instance_type) in cluster.instance_types.iter().enumerate() {
        let message = format!("`{}` cannot name an instance type", instance_type.name);
        report(
            is_subdomain(&instance_type.name),
            "bad-instance-type-name",
            &format!("/instanceTypes/{index}/name"),
            message,
            LABEL_HELP,
        );
    }
    for (index, compute) in cluster.computes.iter().enumerate() {
        let message = format!("`{}` cannot be a Kubernetes namespace", compute.namespace);
        report(
            is_label(&compute.namespace),
            "bad-namespace",
            &format!("/computes/{index}/namespace"),
            message,
            LABEL_HELP,
        );
    }
    if cluster.cluster.kind == ClusterType::ManagedClusters {
        let distribution = cluster.cluster.distribution.as_deref().unwrap_or("aks");
        let message = format!("managedClusters are AKS, not `{distribution}`");
        let help = "write type: connectedClusters for a cluster that is connected through Azure Arc, or remove `distribution`";
        report(
            distribution.to_ascii_lowercase().starts_with("aks"),
            "distribution-not-aks",
            "/cluster/distribution",
            message,
            help,
        );
    } else if let Some(word) = &cluster.cluster.distribution {
        distribution(view, word, found);
    }
}

/// The words that Azure Arc knows (Azure CLI: connectedk8s connect --distribution).
const DISTRIBUTIONS: [&str; 19] = [
    "aks",
    "aks_edge_k3s",
    "aks_edge_k8s",
    "aks_engine",
    "aks_hci",
    "aks_management",
    "aks_workload",
    "canonical",
    "capz",
    "eks",
    "generic",
    "gke",
    "k3s",
    "karbon",
    "kind",
    "minikube",
    "openshift",
    "rancher_rke",
    "tkg",
];

fn distribution(view: View<'_>, word: &str, found: &mut Diagnostics) {
    if DISTRIBUTIONS.iter().any(|text| text.eq_ignore_ascii_case(word)) {
        return;
    }
    let help = suggest::nearest(word, DISTRIBUTIONS).map_or_else(
        || {
            format!(
                "known are {}; leave it out to have it read from Azure",
                DISTRIBUTIONS.join(", ")
            )
        },
        |text| format!("did you mean `{text}`? Left out, it is read from Azure"),
    );
    found.push(
        Diagnostic::warning(
            "unknown-distribution",
            format!("Azure Arc knows no distribution `{word}`"),
        )
        .with_help(help)
        .at(view.value("/cluster/distribution"), "unknown"),
    );
}

fn computes(view: View<'_>, found: &mut Diagnostics) {
    for (index, compute) in view.cluster.computes.iter().enumerate() {
        let name = &compute.name;
        let inner = |byte: u8| byte.is_ascii_alphanumeric();
        let fits = (2..=16).contains(&name.len())
            && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && name.bytes().last().is_some_and(inner)
            && name.bytes().all(|byte| inner(byte) || byte == b'-');
        let place = view.value(&format!("/computes/{index}/name"));
        let valid = !name.is_empty()
            && name.len() <= 32
            && name.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'_');
        if !valid {
            found.push(
                Diagnostic::error("bad-compute-name", format!("`{name}` cannot name a compute"))
                    .with_help("use letters, digits and hyphens, 32 at most")
                    .at(place, "here"),
            );
        } else if !fits {
            found.push(
                Diagnostic::warning("risky-compute-name", format!("not every tool takes a compute named `{name}`"))
                    .with_help("2 to 16 letters, digits and hyphens, beginning with a letter, not ending with a hyphen, work everywhere")
                    .at(place, "here"),
            );
        }
        let workspace = &compute.workspace.name;
        let allowed = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        let at = format!("/computes/{index}/workspace/name");
        if !(3..=33).contains(&workspace.len()) || !workspace.chars().all(allowed) {
            found.push(
                Diagnostic::error(
                    "bad-workspace-name",
                    format!("`{workspace}` is not the name of a workspace"),
                )
                .with_help(
                    "3 to 33 letters, digits, hyphens and underscores; write the name, not the id",
                )
                .at(view.value(&at), "here"),
            );
        } else if workspace.ends_with('-') {
            found.push(
                Diagnostic::error("name-ends-with-hyphen", format!("the workspace `{workspace}` ends with a hyphen"))
                    .with_help("Azure ML answers every workload there with InternalServerError: use another workspace")
                    .at(view.value(&at), "here"),
            );
        }
    }
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

fn registrations(view: View<'_>, found: &mut Diagnostics) {
    let namespace = |text: &str| {
        text.split('.').count() >= 2
            && text.split('.').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
    };
    for (index, provider) in view.cluster.providers.iter().enumerate() {
        if !namespace(provider) {
            found.push(
                Diagnostic::error(
                    "bad-provider",
                    format!("`{provider}` is not a resource provider"),
                )
                .with_help("write for example Microsoft.KubernetesConfiguration")
                .at(view.value(&format!("/providers/{index}")), "here"),
            );
        }
    }
    for (index, feature) in view.cluster.features.iter().enumerate() {
        let fits = feature.split_once('/').is_some_and(|(provider, name)| {
            namespace(provider) && !name.is_empty() && !name.contains(['/', ' '])
        });
        let place = view.value(&format!("/features/{index}"));
        let retired =
            catalog::retired_features().iter().find(|it| it.name.eq_ignore_ascii_case(feature));
        if !fits {
            found.push(
                Diagnostic::error("bad-feature", format!("`{feature}` is not a preview feature"))
                    .with_help("write NAMESPACE/NAME, for example Microsoft.ContainerService/AKS-ExtensionManager")
                    .at(place, "here"),
            );
        } else if let Some(retired) =
            retired.filter(|_| view.settings().is_some_and(super::view::Settings::is_ga))
        {
            found.push(
                Diagnostic::warning(
                    "retired-feature",
                    format!("`{feature}` is not needed any more"),
                )
                .with_help(retired.reason.clone())
                .at(place, "may be unknown to Azure by now"),
            );
        }
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
fn walk(root: &Json, schema: &Json, tokens: &[&str]) -> Result<(), Slip> {
    let Some((token, rest)) = tokens.split_first() else { return Ok(()) };
    let mut open = vec![schema];
    let mut here: Vec<&Json> = Vec::new();
    while let Some(schema) = open.pop() {
        let named = schema["$ref"].as_str().and_then(|at| root.pointer(at.trim_start_matches('#')));
        open.extend(named);
        let forms = ["anyOf", "oneOf", "allOf"].map(|word| schema[word].as_array());
        open.extend(forms.into_iter().flatten().flatten());
        here.push(schema);
    }
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

/// Accepted drift: each path is one, each date is one, and nothing is accepted without a reason.
fn accepted(view: View<'_>, found: &mut Diagnostics) {
    for (index, ignored) in view.cluster.drift.ignore.iter().enumerate() {
        let at = format!("/drift/ignore/{index}");
        let own = ignored.path.split('/').next().unwrap_or_default();
        let address =
            own == view.cluster.name || own.eq_ignore_ascii_case(&view.cluster.azure.subscription);
        if !address {
            path(&ignored.path, &format!("{at}/path"), view, found);
        }
        let until = ignored.until.as_deref();
        if let Some(text) = until.filter(|it| it.parse::<jiff::civil::Date>().is_err()) {
            let message = format!("`{text}` is not a day");
            let finding = Diagnostic::error("bad-drift-ignore", message);
            let finding = finding.with_help("write it like 2027-01-31");
            found.push(finding.at(view.value(&format!("{at}/until")), "here"));
        }
        if ignored.reason.trim().is_empty() {
            let finding = Diagnostic::error("bad-drift-ignore", "the reason is empty");
            let finding = finding.with_help("say why this drift is accepted");
            found.push(finding.at(view.value(&format!("{at}/reason")), "here"));
        }
    }
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
        let own = head == view.cluster.name
            || head.eq_ignore_ascii_case(&view.cluster.azure.subscription);
        let kind = if own { parts.next().unwrap_or("cluster") } else { head };
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
