//! Azure Machine Learning workspaces and computes ("Azure REST: Machine Learning Compute"), and the document behind
//! `discoveryUrl` that the first Python SDK reads.

use serde_json::{Value as Json, json};

use super::answer::{
    Ask, fill_identity, mark_deleting, not_found, pages, refuse, region, retry_later,
};
use super::{generic, providers};
use crate::json::{fill, says, text};
use crate::state::clock::Work;
use crate::state::event::Occurrence;
use crate::state::id;
use crate::state::world::World;
use crate::wire::{HttpAnswer, HttpCall, Reply};

/// An error in the envelope of the ML service, which says more than ARM's.
fn refuse_compute(world: &World, error: &str, values: &[&str]) -> Reply {
    let mut reply = refuse(error, values).with("x-ms-response-type", "error");
    if let Some(body) = reply.body.as_mut() {
        fill(
            &mut body["error"],
            &json!({"severity": null, "messageFormat": null, "messageParameters": null, "referenceCode": null,
            "detailsUri": null, "target": null, "details": [], "innerError": null, "debugInfo": null, "additionalInfo": null}),
        );
        fill(
            body,
            &json!({"correlation": {"operation": "00000000000000000000000000000000", "request": "0000000000000000"},
            "environment": "westeurope", "location": "westeurope", "time": world.stamp(), "componentName": "machinelearningcompute"}),
        );
    }
    reply
}

pub(crate) fn no_compute(world: &World, ask: &Ask<'_>) -> HttpAnswer {
    Err(refuse_compute(world, "compute", &[ask.name()]))
}

/// What a compute can be ("Azure REST: Machine Learning Compute", discriminator of `Compute`).
const COMPUTES: &[&str] = &[
    "AKS",
    "Kubernetes",
    "AmlCompute",
    "ComputeInstance",
    "DataFactory",
    "VirtualMachine",
    "HDInsight",
    "Databricks",
    "DataLakeAnalytics",
    "SynapseSpark",
];

/// Against a served simulator the discovery document is its own.
pub(crate) fn show_discovery(_: &World, ask: &Ask<'_>, body: &mut Json) {
    let origin = &ask.call.origin;
    let public =
        ["management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"];
    if body["properties"].is_object() && !public.iter().any(|host| origin.ends_with(host)) {
        body["properties"]["discoveryUrl"] = json!(format!("{origin}/discovery"));
    }
}

/// The document behind `discoveryUrl`.
pub(crate) fn discovery(call: &HttpCall) -> Reply {
    let api = &call.origin;
    Reply::ok(
        json!({"api": api, "experimentation": api, "history": api, "hyperdrive": api, "modelmanagement": api,
        "studio": api, "rp": api, "pipelines": api, "registry": api, "onboarding": api, "inferencing": api}),
    )
}

/// A workspace with what the service adds.
pub(crate) fn complete_workspace(world: &World, id: &str, body: &mut Json) {
    let place =
        body["location"].as_str().map_or("westeurope".to_owned(), |_| region(&body["location"]));
    body["etag"] = Json::Null;
    let identity = fill_identity(world, id, &json!({"type": "SystemAssigned"}));
    fill(
        body,
        &json!({"identity": identity, "sku": {"name": "Basic", "tier": "Basic"}, "kind": "Default"}),
    );
    let properties = &mut body["properties"];
    fill(
        properties,
        &json!({"friendlyName": id::last_segment(id), "tenantId": world.tenant(), "workspaceId": world.guid(&format!("workspace {id}")),
        "discoveryUrl": format!("https://{place}.api.azureml.ms/discovery"), "mlFlowTrackingUri": format!("azureml://{place}.api.azureml.ms/mlflow/v1.0{id}")}),
    );
    fill(properties, providers::defaults(&id::type_of(id)));
}

pub(crate) fn put_workspace(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    generic::put(world, ask, |world, body| complete_workspace(world, &ask.id, body))
}

pub(crate) fn require_workspace(world: &World, ask: &Ask<'_>) -> Result<(), Reply> {
    let workspace = if ask.is_named() { ask.parent() } else { ask.subject().to_owned() };
    world.get(&workspace).map(|_| ()).ok_or_else(|| not_found(&id::parse(&workspace)))
}

/// This service counts with `$skip`.
pub(crate) fn list(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let items = world.collection(&ask.id);
    Ok(pages(world, ask.call, "$skip", items, |stored| stored.body.clone()))
}

pub(crate) fn keys(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(body) = world.body(ask.subject()) else {
        return Err(refuse_compute(world, "compute", &[id::last_segment(ask.subject())]));
    };
    Ok(Reply::ok(json!({"computeType": body["properties"]["computeType"]})))
}

pub(crate) fn refuse_patch(world: &mut World, _: &Ask<'_>) -> HttpAnswer {
    Err(refuse_compute(world, "compute-patch", &[]))
}

pub(crate) fn attach(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    providers::require(world, ask.target)?;
    let request = ask.call.json()?;
    let wanted = &request["properties"];
    let (name, kind) = (ask.name(), text(&wanted["computeType"]));
    if kind.is_empty() {
        return Err(refuse_compute(world, "compute-type", &[]));
    }
    if !COMPUTES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(refuse_compute(world, "compute-kind", &[kind]));
    }
    if kind.eq_ignore_ascii_case("kubernetes") && text(&wanted["resourceId"]).is_empty() {
        return Err(refuse_compute(world, "compute-cluster", &[]));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !(2..=32).contains(&name.len()) || !name.chars().all(fits) {
        return Err(refuse_compute(world, "compute-name", &[name]));
    }
    if world.is_busy(&ask.id) {
        return Err(refuse_compute(world, "compute-busy", &[name]));
    }
    let place = world.body(&ask.parent()).map(|body| body["location"].clone()).unwrap_or_default();
    let location = request.get("location").filter(|value| value.is_string()).unwrap_or(&place);
    let body = compute_body(world, &ask.id, &request, location);
    world.forget(&ask.id);
    world.put(&ask.id, body.clone());
    let operation = world.begin(&ask.id, "InProgress");
    let ends = Occurrence::Attach { id: ask.id.clone(), operation: operation.clone() };
    world.after(Work::Attach, ends);
    Ok(with_operation(world, ask, &operation, Reply::json(201, body)))
}

/// A compute as the service returns it right after the request.
fn compute_body(world: &World, id: &str, request: &Json, location: &Json) -> Json {
    let existing = world.body(id);
    let wanted = &request["properties"];
    let stamp = json!(world.stamp());
    let inner = &wanted["properties"];
    let said = |member: &str| inner[member].as_str();
    let default_type = json!({"defaultinstancetype": {"nodeSelector": null, "resources": {
        "requests": {"cpu": "100m", "memory": "2Gi", "nvidia.com/gpu": null}, "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": null}}}});
    let types =
        inner.get("instanceTypes").filter(|types| types.is_object()).unwrap_or(&default_type);
    let place = wanted.get("computeLocation").filter(|value| value.is_string()).unwrap_or(location);
    let made = existing.map_or(&stamp, |old| &old["properties"]["createdOn"]);
    let mut body = json!({
        "id": existing.map_or(json!(id), |old| old["id"].clone()), "name": id::last_segment(id),
        "type": "Microsoft.MachineLearningServices/workspaces/computes", "location": location, "tags": request["tags"],
        "properties": {
            "createdOn": made, "modifiedOn": stamp, "disableLocalAuth": wanted["disableLocalAuth"].as_bool().unwrap_or(false),
            "description": wanted["description"], "resourceId": wanted["resourceId"], "computeType": wanted["computeType"],
            "computeLocation": place, "provisioningState": "Creating", "provisioningErrors": null, "isAttachedCompute": true,
            "properties": {"relayConnectionString": null, "serviceBusConnectionString": null,
                "extensionPrincipalId": said("extensionPrincipalId"), "extensionInstanceReleaseTrain": said("extensionInstanceReleaseTrain"),
                "vcName": said("vcName"), "namespace": said("namespace").unwrap_or("default"),
                "defaultInstanceType": said("defaultInstanceType").unwrap_or("defaultinstancetype"), "instanceTypes": types},
        },
    });
    if request["identity"].is_object() {
        body["identity"] = fill_identity(world, id, &request["identity"]);
    }
    body
}

fn with_operation(world: &World, ask: &Ask<'_>, operation: &str, reply: Reply) -> Reply {
    let place = world.body(&ask.parent()).map(|body| region(&body["location"]));
    let place = place.filter(|place| !place.is_empty()).unwrap_or_else(|| "westeurope".to_owned());
    let (origin, version) = (&ask.call.origin, ask.call.api_version());
    let url = format!(
        "{origin}/subscriptions/{}/providers/Microsoft.MachineLearningServices/locations/{place}/computeOperationsStatus/{operation}?api-version={version}&service=new",
        ask.subscription()
    );
    reply
        .with("Azure-AsyncOperation", url)
        .with("x-ms-response-type", "standard")
        .with("x-aml-cluster", format!("vienna-{place}-01"))
        .with("x-request-time", "0.214")
}

pub(crate) fn operation(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(found) = world.operations.get(&ask.name().to_ascii_lowercase()) else {
        return Err(refuse_compute(world, "compute-operation", &[]));
    };
    if ask.call.param("service") != Some("new") {
        return Err(refuse_compute(world, "compute-address", &[]));
    }
    let mut body = json!({"status": found.status});
    if let Some(error) = &found.error {
        body["error"] = error.clone();
    }
    if found.ended.is_none() {
        return Ok(retry_later(world, Reply::ok(body), 10));
    }
    body["percentComplete"] = json!(100.0);
    Ok(Reply::ok(body))
}

fn is_kubernetes(body: &Json) -> bool {
    says(&body["properties"]["computeType"], "kubernetes")
}

pub(crate) fn detach(world: &mut World, ask: &Ask<'_>) -> HttpAnswer {
    let Some(action) = ask.call.param("underlyingresourceaction") else {
        return Err(refuse_compute(world, "compute-action", &[]));
    };
    let detaches = action.eq_ignore_ascii_case("detach");
    if !detaches && world.body(&ask.id).is_some_and(is_kubernetes) {
        return Err(refuse_compute(world, "compute-detach", &[]));
    }
    if world.get(&ask.id).is_none() {
        return Ok(Reply::empty(204));
    }
    world.end_running(&ask.id, "Canceled", "The compute was detached.");
    world.forget(&ask.id);
    mark_deleting(world, &ask.id);
    let operation = world.begin(&ask.id, "InProgress");
    world.after(Work::Detach, Occurrence::Remove { id: ask.id.clone() });
    world.after(Work::Detach, Occurrence::End { operation: operation.clone(), error: None });
    Ok(with_operation(world, ask, &operation, Reply::empty(202)))
}

/// Ends an attach: it succeeds when the cluster can be reached and has the extension.
pub(crate) fn finish_attach(world: &mut World, id: &str, operation: &str) {
    let Some(body) = world.body(id).cloned() else { return };
    let cluster = text(&body["properties"]["resourceId"]);
    let problem = if !is_kubernetes(&body) {
        None
    } else if world.faults.fails_operation(id) {
        let text = "An internal server error occurred while attaching the compute.";
        Some(("InternalServerError", text.to_owned()))
    } else {
        attach_problem(world, cluster)
    };
    let extension = azureml_extension(world, cluster).cloned();
    let stamp = world.stamp();
    let Some(stored) = world.get_mut(id) else { return };
    let properties = &mut stored.body["properties"];
    properties["modifiedOn"] = json!(stamp);
    if let Some((code, message)) = problem {
        let error = json!({"code": code, "message": message});
        properties["provisioningState"] = json!("Failed");
        properties["provisioningErrors"] = json!([{"error": error}]);
        world.end(operation, Some(error));
        return;
    }
    properties["provisioningState"] = json!("Succeeded");
    if let Some(extension) = extension {
        let own = extension["identity"]["principalId"].as_str();
        let of_aks = extension["properties"]["aksAssignedIdentity"]["principalId"].as_str();
        properties["properties"]["extensionPrincipalId"] = json!(own.or(of_aks));
        properties["properties"]["extensionInstanceReleaseTrain"] =
            extension["properties"]["releaseTrain"].clone();
    }
    fill(&mut stored.body, &json!({"tags": {}}));
    world.end(operation, None);
}

fn azureml_extension<'a>(world: &'a World, cluster: &str) -> Option<&'a Json> {
    let extensions = format!("{cluster}/providers/Microsoft.KubernetesConfiguration/extensions");
    let all = world.collection(&extensions).into_iter().map(|stored| &stored.body);
    all.into_iter()
        .find(|body| says(&body["properties"]["extensionType"], "microsoft.azureml.kubernetes"))
}

fn attach_problem(world: &World, cluster: &str) -> Option<(&'static str, String)> {
    let Some(body) = world.body(cluster) else {
        return Some(("ClusterNotFound", format!("The cluster '{cluster}' was not found.")));
    };
    let state = &body["properties"]["connectivityStatus"];
    let stopped = body["properties"]["powerState"]["code"] == "Stopped";
    if stopped || (state.is_string() && !says(state, "connected")) {
        return Some((
            "ClusterNotReachable",
            "The cluster is stopped or not connected.".to_owned(),
        ));
    }
    let problem = match azureml_extension(world, cluster).map(|body| &body["properties"]) {
        None => "the AzureML extension is not installed on the cluster.".to_owned(),
        Some(properties) if properties["currentVersion"].is_null() => format!(
            "the AzureML extension is not ready, its provisioning state is {}.",
            properties["provisioningState"].as_str().unwrap_or("Unknown")
        ),
        Some(_) => return None,
    };
    Some(("UserError", format!("Failed to attach: {problem}")))
}
