//! Azure Machine Learning workspaces and computes ("Azure REST: Machine Learning Compute"), and the mirror of the
//! computes paths that the first Python SDK uses.

use http::Method;
use serde_json::{Value as Json, json};

use super::answer::{self, canonical_id, method_not_allowed, retry_later};
use super::{generic, providers};
use crate::state::clock::Work;
use crate::state::id::{self, Target};
use crate::state::world::{Event, World};
use crate::wire::{Answer, Call, Reply};

/// Answers under `Microsoft.MachineLearningServices`.
pub(crate) fn handle(world: &mut World, call: &Call, target: &Target) -> Answer {
    let Some(level) = target.last() else { return Err(method_not_allowed(call)) };
    let id = canonical_id(call);
    match (level.types().as_str(), level.is_named()) {
        ("workspaces/computes", true) => compute(world, call, target, &id),
        ("workspaces/computes", false) => computes(world, call, &id),
        ("workspaces/computes/listkeys", _) if call.method == Method::POST => {
            let compute = id::parent_or_self(&id);
            let kind = world.body(&compute).map(|body| body["properties"]["computeType"].clone());
            kind.map(|kind| Reply::ok(json!({"computeType": kind})))
                .ok_or_else(|| no_compute(world, &compute))
        }
        ("locations/computeoperationsstatus", true) => operation(world, call, level.last_name()),
        ("workspaces", true) => {
            let mut reply = match call.method {
                Method::PUT => create_workspace(world, call, target, &id)?,
                _ => generic::handle(world, call, target)?,
            };
            show_discovery(call, reply.body.as_mut());
            Ok(reply)
        }
        ("workspaces", false) => {
            let mut reply = generic::handle(world, call, target)?;
            if let Some(items) = reply.body.as_mut().and_then(|body| body["value"].as_array_mut()) {
                items.iter_mut().for_each(|item| show_discovery(call, Some(item)));
            }
            Ok(reply)
        }
        _ => generic::handle(world, call, target),
    }
}

/// The error envelope of the ML service, which says more than ARM's.
fn ml_error(world: &World, status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        json!({"error": {"code": code, "severity": null, "message": message, "messageFormat": null, "messageParameters": null,
            "referenceCode": null, "detailsUri": null, "target": null, "details": [], "innerError": null, "debugInfo": null,
            "additionalInfo": null}, "correlation": {"operation": "00000000000000000000000000000000", "request": "0000000000000000"},
            "environment": "westeurope", "location": "westeurope", "time": world.stamp(), "componentName": "machinelearningcompute"}),
    )
    .with("x-ms-response-type", "error")
}

fn no_compute(world: &World, id: &str) -> Reply {
    let text = format!("Compute with name {} is not found in the workspace.", id::last_segment(id));
    ml_error(world, 404, "ResourceNotFound", &text)
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

fn is_public_arm(origin: &str) -> bool {
    ["management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"]
        .iter()
        .any(|host| origin.ends_with(host))
}

/// Against a served simulator the discovery document is its own.
fn show_discovery(call: &Call, body: Option<&mut Json>) {
    if let Some(body) = body.filter(|body| body["properties"].is_object())
        && !is_public_arm(&call.origin)
    {
        body["properties"]["discoveryUrl"] = json!(format!("{}/discovery", call.origin));
    }
}

/// The document behind `discoveryUrl`.
pub(crate) fn discovery(call: &Call) -> Reply {
    let api = &call.origin;
    Reply::ok(
        json!({"api": api, "experimentation": api, "history": api, "hyperdrive": api, "modelmanagement": api,
        "studio": api, "rp": api, "pipelines": api, "registry": api, "onboarding": api, "inferencing": api}),
    )
}

/// A workspace with what the service adds.
pub(crate) fn complete_workspace(world: &World, id: &str, body: &mut Json) {
    if body.get("identity").is_none() {
        body["identity"] = answer::fill_identity(world, id, &json!({"type": "SystemAssigned"}));
    }
    let location =
        body["location"].as_str().unwrap_or("westeurope").to_ascii_lowercase().replace(' ', "");
    let guid = world.guid(&format!("workspace {id}"));
    let tenant = json!(world.tenant());
    let name = id::last_segment(id).to_owned();
    body["etag"] = Json::Null;
    if body.get("sku").is_none() {
        body["sku"] = json!({"name": "Basic", "tier": "Basic"});
    }
    if body.get("kind").is_none() {
        body["kind"] = json!("Default");
    }
    let properties = &mut body["properties"];
    for (member, value) in [
        ("friendlyName", json!(name)),
        ("description", json!("")),
        ("hbiWorkspace", json!(false)),
        ("tenantId", tenant),
        ("workspaceId", json!(guid)),
        ("publicNetworkAccess", json!("Enabled")),
        ("privateLinkCount", json!(0)),
        ("privateEndpointConnections", json!([])),
        ("v1LegacyMode", json!(false)),
        ("containerRegistry", Json::Null),
        ("discoveryUrl", json!(format!("https://{location}.api.azureml.ms/discovery"))),
        (
            "mlFlowTrackingUri",
            json!(format!("azureml://{location}.api.azureml.ms/mlflow/v1.0{id}")),
        ),
        ("provisioningState", json!("Succeeded")),
    ] {
        if properties.get(member).is_none_or(Json::is_null) {
            properties[member] = value;
        }
    }
}

fn create_workspace(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    generic::put(world, call, target, id, |world, body| complete_workspace(world, id, body))
}

fn computes(world: &World, call: &Call, id: &str) -> Answer {
    let workspace = id.rsplit_once('/').map_or("", |(head, _)| head);
    if world.get(workspace).is_none() {
        return Err(answer::not_found(&id::parse(workspace)));
    }
    if call.method != Method::GET {
        return Err(method_not_allowed(call));
    }
    // This service counts with `$skip`.
    Ok(answer::pages(world, call, "$skip", world.collection(id), |stored| stored.body.clone()))
}

fn compute(world: &mut World, call: &Call, target: &Target, id: &str) -> Answer {
    let workspace = id::parent_id(id);
    if world.get(&workspace).is_none() {
        return Err(answer::not_found(&id::parse(&workspace)));
    }
    match call.method {
        Method::GET | Method::HEAD => match generic::read(world, target, id) {
            Ok(reply) => Ok(reply),
            Err(_) => Err(no_compute(world, id)),
        },
        Method::PUT => attach(world, call, target, id, &workspace),
        Method::DELETE => detach(world, call, id),
        Method::PATCH => Err(ml_error(
            world,
            400,
            "UserError",
            "Only the scale settings of an AmlCompute can be patched.",
        )),
        _ => Err(method_not_allowed(call)),
    }
}

fn attach(world: &mut World, call: &Call, target: &Target, id: &str, workspace: &str) -> Answer {
    providers::require(world, target)?;
    let request = call.json()?;
    let wanted = &request["properties"];
    let kind = wanted["computeType"].as_str().unwrap_or_default();
    let bad = |world: &World, text: &str| ml_error(world, 400, "UserError", text);
    if kind.is_empty() {
        return Err(bad(world, "The property computeType is required."));
    }
    let resource = wanted["resourceId"].as_str().unwrap_or_default().to_owned();
    if !COMPUTES.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(bad(world, &format!("The compute type '{kind}' is not supported.")));
    }
    if kind.eq_ignore_ascii_case("kubernetes") && resource.is_empty() {
        return Err(bad(
            world,
            "The property resourceId is required to attach a Kubernetes cluster.",
        ));
    }
    let name = id::last_segment(id);
    if name.len() < 2
        || name.len() > 32
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        return Err(bad(
            world,
            &format!(
                "Compute name '{name}' is invalid. It must be 2 to 32 characters: letters, digits and '-'."
            ),
        ));
    }
    if world.is_busy(id) {
        return Err(ml_error(
            world,
            409,
            "Conflict",
            &format!("Another operation is in progress on compute {name}."),
        ));
    }
    let existing = world.body(id).cloned();
    let location = request["location"].as_str().map_or_else(
        || world.body(workspace).map(|w| w["location"].clone()).unwrap_or_default(),
        |l| json!(l),
    );
    let body = compute_body(world, id, &request, &location, existing.as_ref());
    world.forget(id);
    world.put(id, body.clone());
    let operation = world.begin(id, "InProgress");
    world.after(Work::Attach, Event::Attach { id: id.to_owned(), operation: operation.clone() });
    Ok(with_operation(world, call, workspace, &operation, Reply::json(201, body)))
}

/// A compute as the service returns it right after the request.
fn compute_body(
    world: &World,
    id: &str,
    request: &Json,
    location: &Json,
    existing: Option<&Json>,
) -> Json {
    let wanted = &request["properties"];
    let stamp = world.stamp();
    let inner = &wanted["properties"];
    let text = |member: &str| inner[member].as_str();
    let default_type = json!({"defaultinstancetype": {"nodeSelector": null, "resources": {
        "requests": {"cpu": "100m", "memory": "2Gi", "nvidia.com/gpu": null}, "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": null}}}});
    let types = inner
        .get("instanceTypes")
        .filter(|types| types.is_object())
        .cloned()
        .unwrap_or(default_type);
    let mut body = json!({
        "id": existing.map_or(json!(id), |e| e["id"].clone()), "name": id::last_segment(id),
        "type": "Microsoft.MachineLearningServices/workspaces/computes", "location": location,
        "tags": request.get("tags").cloned().unwrap_or_default(),
        "properties": {
            "createdOn": existing.map_or(json!(stamp), |e| e["properties"]["createdOn"].clone()), "modifiedOn": stamp,
            "disableLocalAuth": wanted["disableLocalAuth"].as_bool().unwrap_or(false), "description": wanted["description"],
            "resourceId": wanted["resourceId"], "computeType": wanted["computeType"], "computeLocation": wanted["computeLocation"].as_str().map_or_else(|| location.clone(), |l| json!(l)),
            "provisioningState": "Creating", "provisioningErrors": null, "isAttachedCompute": true,
            "properties": {"relayConnectionString": null, "serviceBusConnectionString": null,
                "extensionPrincipalId": text("extensionPrincipalId"),
                "extensionInstanceReleaseTrain": text("extensionInstanceReleaseTrain"), "vcName": text("vcName"), "namespace": text("namespace").unwrap_or("default"),
                "defaultInstanceType": text("defaultInstanceType").unwrap_or("defaultinstancetype"), "instanceTypes": types},
        },
    });
    if let Some(identity) = request.get("identity").filter(|identity| identity.is_object()) {
        body["identity"] = answer::fill_identity(world, id, identity);
    }
    body
}

fn with_operation(
    world: &World,
    call: &Call,
    workspace: &str,
    operation: &str,
    reply: Reply,
) -> Reply {
    let subscription = id::parse(workspace).subscription.unwrap_or_default();
    let region = world
        .body(workspace)
        .and_then(|w| w["location"].as_str())
        .unwrap_or("westeurope")
        .to_ascii_lowercase()
        .replace(' ', "");
    let url = format!(
        "{}/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{region}/computeOperationsStatus/{operation}?api-version={}&service=new",
        call.origin,
        call.api_version()
    );
    reply
        .with("Azure-AsyncOperation", url)
        .with("x-ms-response-type", "standard")
        .with("x-aml-cluster", format!("vienna-{region}-01"))
        .with("x-request-time", "0.214")
}

fn operation(world: &World, call: &Call, operation: &str) -> Answer {
    let Some(found) = world.operations.get(&operation.to_ascii_lowercase()) else {
        return Err(ml_error(world, 404, "NotFound", "The operation was not found."));
    };
    if call.param("service") != Some("new") {
        return Err(ml_error(
            world,
            404,
            "NotFound",
            "The operation was not found; the address of the operation must be used as it was given.",
        ));
    }
    let mut body = json!({"status": found.status});
    if found.ended.is_some() {
        body["percentComplete"] = json!(100.0);
    }
    if let Some(error) = &found.error {
        body["error"] = error.clone();
    }
    let reply = Reply::ok(body);
    Ok(if found.ended.is_some() { reply } else { retry_later(world, reply, 10) })
}

fn detach(world: &mut World, call: &Call, id: &str) -> Answer {
    let Some(action) = call.param("underlyingresourceaction") else {
        return Err(ml_error(
            world,
            400,
            "UserError",
            "The query parameter underlyingResourceAction is required: Delete or Detach.",
        ));
    };
    let kubernetes = world.body(id).is_some_and(|body| {
        body["properties"]["computeType"]
            .as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("kubernetes"))
    });
    if kubernetes && !action.eq_ignore_ascii_case("detach") {
        return Err(ml_error(
            world,
            400,
            "UserError",
            "An attached Kubernetes compute can only be detached.",
        ));
    }
    if world.get(id).is_none() {
        return Ok(Reply::empty(204));
    }
    for operation in world.running_on(id) {
        world.end(
            &operation,
            Some(json!({"code": "Canceled", "message": "The compute was detached."})),
        );
    }
    world.forget(id);
    if let Some(stored) = world.get_mut(id) {
        stored.body["properties"]["provisioningState"] = json!("Deleting");
    }
    let operation = world.begin(id, "InProgress");
    world.after(Work::Detach, Event::Remove { id: id.to_owned() });
    world.after(Work::Detach, Event::End { operation: operation.clone(), error: None });
    let workspace = id::parent_id(id);
    Ok(with_operation(world, call, &workspace, &operation, Reply::empty(202)))
}

/// Ends an attach: it succeeds when the cluster can be reached and has the extension.
pub(crate) fn finish_attach(world: &mut World, id: &str, operation: &str) {
    let Some(stored) = world.get(id) else { return };
    let body = stored.body.clone();
    let cluster = body["properties"]["resourceId"].as_str().unwrap_or_default().to_owned();
    let is_kubernetes = body["properties"]["computeType"]
        .as_str()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("kubernetes"));
    let problem = if !is_kubernetes {
        None
    } else if world.faults.fails_operation(id) {
        Some((
            "InternalServerError",
            "An internal server error occurred while attaching the compute.".to_owned(),
        ))
    } else {
        attach_problem(world, &cluster)
    };
    let extension = azureml_extension(world, &cluster).cloned();
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
        let principal = [&extension["identity"], &extension["properties"]["aksAssignedIdentity"]]
            .iter()
            .find_map(|identity| identity["principalId"].as_str().map(ToOwned::to_owned));
        properties["properties"]["extensionPrincipalId"] = json!(principal);
        properties["properties"]["extensionInstanceReleaseTrain"] =
            extension["properties"]["releaseTrain"].clone();
    }
    if stored.body["tags"].is_null() {
        stored.body["tags"] = json!({});
    }
    world.end(operation, None);
}

fn azureml_extension<'a>(world: &'a World, cluster: &str) -> Option<&'a Json> {
    world
        .collection(&format!("{cluster}/providers/Microsoft.KubernetesConfiguration/extensions"))
        .into_iter()
        .map(|stored| &stored.body)
        .find(|body| {
            body["properties"]["extensionType"]
                .as_str()
                .is_some_and(|t| t.eq_ignore_ascii_case("microsoft.azureml.kubernetes"))
        })
}

fn attach_problem(world: &World, cluster: &str) -> Option<(&'static str, String)> {
    let Some(body) = world.body(cluster) else {
        return Some(("ClusterNotFound", format!("The cluster '{cluster}' was not found.")));
    };
    let stopped = body["properties"]["powerState"]["code"] == "Stopped";
    let offline = body["properties"]["connectivityStatus"]
        .as_str()
        .is_some_and(|state| !state.eq_ignore_ascii_case("connected"));
    if stopped || offline {
        return Some((
            "ClusterNotReachable",
            "The cluster is stopped or not connected.".to_owned(),
        ));
    }
    match azureml_extension(world, cluster) {
        None => Some((
            "UserError",
            "Failed to attach: the AzureML extension is not installed on the cluster.".to_owned(),
        )),
        Some(extension) if extension["properties"]["currentVersion"].is_null() => Some((
            "UserError",
            format!(
                "Failed to attach: the AzureML extension is not ready, its provisioning state is {}.",
                extension["properties"]["provisioningState"].as_str().unwrap_or("Unknown")
            ),
        )),
        Some(_) => None,
    }
}
