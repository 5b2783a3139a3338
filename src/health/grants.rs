//! Namespaces, their pod security, and OpenShift's security context constraints
//! (AML docs: reference for Kubernetes clusters, OpenShift).

use jiff::{SignedDuration, Timestamp};

use super::report::Judged;
use super::site::{AZUREML, Found, Inspection, Site, items, text};
use super::verify::missing_accounts;
use crate::model::{Json, Key};
use crate::resource::Readiness;
use crate::resource::graph::ResourceNode;

pub(super) fn terminating(
    world: &Inspection<'_>,
    key: &Key,
    _: &ResourceNode,
) -> Judged<Option<Found>> {
    let Some(document) = world.live(key)? else {
        return Ok(Some(Found::Pass("apply makes it".to_owned())));
    };
    let going = text(document, "/status/phase") == "Terminating"
        || document.pointer("/metadata/deletionTimestamp").is_some();
    Ok(Some(if going {
        Found::wrong(
            "it is still being deleted by an earlier removal",
            format!("wait until `kubectl get namespace {}` finds nothing, then apply", key.name),
        )
    } else {
        Found::pass()
    }))
}

pub(super) fn restricted(
    world: &Inspection<'_>,
    key: &Key,
    _: &ResourceNode,
) -> Judged<Option<Found>> {
    let Some(document) = world.live(key)? else { return Ok(None) };
    let enforced = text(document, "/metadata/labels/pod-security.kubernetes.io~1enforce");
    Ok(Some(if enforced == "restricted" {
        Found::wrong(
            "its pod security is `restricted`; the extension supports `baseline`",
            format!(
                "kubectl label --overwrite namespace {} pod-security.kubernetes.io/enforce=baseline",
                key.name
            ),
        )
    } else {
        Found::pass()
    }))
}

/// Missing grants are apply's work; a constraint that is not there is not.
pub(super) fn grant(site: &mut Site<'_>) -> Judged {
    let Some(grant) = site.grant()? else { return Ok(()) };
    let key = grant.key.clone();
    let found = match site.readiness(grant)? {
        Readiness::NeedsHuman(what) => {
            Found::Wrong(what, Some("write another scc.name, or make the constraint".to_owned()))
        }
        Readiness::Absent | Readiness::Ready | Readiness::Waiting(_) | Readiness::Failed { .. } => {
            match missing_accounts(site)?.len() {
                0 => Found::pass(),
                missing => Found::Pass(format!("apply grants it to {missing} service accounts")),
            }
        }
    };
    site.add(&key, found);
    Ok(())
}

pub(super) fn tls_secret(site: &mut Site<'_>) -> Judged {
    let Some(name) = site.setting("sslSecret")?.map(str::to_owned) else { return Ok(()) };
    let found = match site.document("tls-secret")? {
        None => Found::wrong(
            format!("there is no Secret {AZUREML}/{name}"),
            format!(
                "kubectl create namespace {AZUREML}; kubectl create secret generic {name} \
                 -n {AZUREML} --from-file=cert.pem=… --from-file=key.pem=…"
            ),
        ),
        Some(secret) => {
            let has = |text: &&&str| {
                secret
                    .pointer("/data")
                    .and_then(|data| data.get(**text))
                    .is_some_and(Json::is_string)
            };
            let keys = ["cert.pem", "key.pem"];
            let missing: Vec<&str> = keys.iter().filter(|key| !has(key)).copied().collect();
            let kind = text(secret, "/type");
            if !missing.is_empty() {
                Found::wrong(
                    format!("Secret {AZUREML}/{name} lacks {}", missing.join(" and ")),
                    "the extension reads exactly the keys cert.pem and key.pem",
                )
            } else if kind.is_empty() || kind == "Opaque" {
                Found::pass()
            } else {
                Found::mild(
                    format!("Secret {AZUREML}/{name} is of type {kind}"),
                    "make it as Opaque (kubectl create secret generic)",
                )
            }
        }
    };
    site.add_setting("sslSecret", found);
    Ok(())
}

/// Whether a Service of type LoadBalancer would get an address.
pub(super) fn balancer(site: &mut Site<'_>) -> Judged {
    let now = site.now;
    const SETTING: &str = "inferenceRouterServiceType";
    let wanted =
        site.setting(SETTING)?.is_some_and(|text| text.eq_ignore_ascii_case("LoadBalancer"));
    let aks = site.extension.is_some_and(|extension| extension.aks);
    if !wanted || aks || !site.is_on("enableInference")? {
        return Ok(());
    }
    let property = |text: &str| site.text(&site.cluster, &format!("/properties/{text}"));
    let place = [property("distribution")?, property("infrastructure")?];
    let known = &super::facts::FACTS.balanced;
    let by_place = place.into_iter().any(|text| known.contains(&text.to_lowercase()));
    let help = "install a load balancer (MetalLB, the cloud's own), or write \
                inferenceRouterServiceType: NodePort or ClusterIP";
    if by_place {
        site.add_setting(SETTING, Found::pass());
        return Ok(());
    }
    let balanced = |value: &&Json| text(value, "/spec/type") == "LoadBalancer";
    // A young Service may still get its address.
    let old = |value: &&Json| {
        let made = text(value, "/metadata/creationTimestamp").parse::<Timestamp>();
        made.is_ok_and(|time| now.duration_since(time) > SignedDuration::from_mins(10))
    };
    let all = site.list("services")?.into_iter().filter(balanced);
    let (has, lacks): (Vec<&Json>, Vec<&Json>) =
        all.partition(|value| items(value, "/status/loadBalancer/ingress").next().is_some());
    let found = match (has.is_empty(), lacks.into_iter().filter(old).count()) {
        (false, _) => Found::pass(),
        (true, 0) => Found::mild(
            "no Service of type LoadBalancer shows that this cluster can make one",
            help,
        ),
        (true, waiting) => Found::wrong(
            format!(
                "{waiting} Services of type LoadBalancer wait for an address, and none has one"
            ),
            help,
        ),
    };
    site.add_setting(SETTING, found);
    Ok(())
}
