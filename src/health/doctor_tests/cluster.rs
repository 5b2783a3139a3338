//! Rules about the inside of the cluster.

use serde_json::json;

use super::*;

#[test]
pub(in crate::health) fn nodes_have_to_be_enough_open_and_selected() {
    let mut tainted = node("n1");
    tainted["spec"]["taints"] = json!([{"key": "team", "effect": "NoSchedule"}]);
    let mut arm = node("n1");
    arm["status"]["nodeInfo"]["architecture"] = json!("arm64");
    let mut cordoned = node("n1");
    cordoned["spec"]["unschedulable"] = json!(true);
    for bad in [&tainted, &arm, &cordoned] {
        let world = DoctorWorld::good(false).answer("nodes", json!([bad]));
        expect(&world, "no-linux-node", Status::Fail, "none of 1 nodes");
    }
    let ha = |nodes: Json| {
        DoctorWorld::good(false).setting("inferenceRouterHA", json!(true)).answer("nodes", nodes)
    };
    expect(
        &ha(json!([node("n1"), node("n2"), tainted.clone()])),
        "too-few-nodes",
        Status::Fail,
        "wants 3 nodes for high availability, and 2",
    );
    expect(&ha(json!([node("n1"), node("n2"), node("n3")])), "too-few-nodes", Status::Pass, "");
    tainted["spec"]["taints"][0]["key"] = json!("ml.azure.com/amlarc");
    expect(
        &ha(json!([node("n1"), node("n2"), tainted])),
        "too-few-nodes",
        Status::Pass,
        "3 replicas",
    );
    let selected = |value| DoctorWorld::good(false).setting("nodeSelector.disk", json!(value));
    expect(&selected("ssd"), "node-selector-matches-nothing", Status::Pass, "3 nodes");
    expect(&selected("tape"), "node-selector-matches-nothing", Status::Fail, "disk=tape");
    let preview = DoctorWorld::good(false)
        .declare("/extension/profile", json!("2021-11-preview"))
        .answer("nodes", json!([node("n1")]));
    let found = preview.run();
    assert!(
        worst(&found, "too-few-nodes")
            .unwrap()
            .help
            .as_ref()
            .unwrap()
            .contains("inferenceLoadBalancerHA: false")
    );
}

#[test]
pub(in crate::health) fn room_is_what_other_pods_leave() {
    let pod = |cpu: &str, labels: Json, phase: &str| {
        json!({"metadata": {"labels": labels}, "spec": {"nodeName": "n1", "containers": [{"resources": {"requests": {"cpu": cpu}}}]},
            "status": {"phase": phase}})
    };
    let with = |pods: Json| DoctorWorld::good(false).answer("all-pods", pods);
    expect(&DoctorWorld::good(false), "capacity", Status::Pass, "23.4 CPU");
    // On each node.
    let everywhere = |cpu: &str| {
        let pods = ["n1", "n2", "n3"].map(|name| {
            let mut pod = pod(cpu, json!({}), "Running");
            pod["spec"]["nodeName"] = json!(name);
            pod
        });
        with(json!(pods))
    };
    expect(&everywhere("7"), "capacity", Status::Fail, "2.4 CPU");
    expect(&everywhere("4"), "capacity", Status::Warning, "takes up to");
    // Enough in all, and no node has room for a replica of the router.
    let world = everywhere("7").setting("inferenceRouterHA", json!(false));
    let wanted = "no room for azureml-fe-v2; azureml-fe-v2 asks for 0.9 CPU";
    expect(&world, "capacity", Status::Fail, wanted);
    let rows =
        DoctorWorld::good(true).run().into_iter().filter(|finding| finding.code == "capacity");
    assert_eq!(rows.count(), 1 + 15, "a line for each component");
    let done = pod("21", json!({}), "Succeeded");
    let own = pod("21", json!({"ml.azure.com/amlarc-system": "true"}), "Running");
    expect(&with(json!([done, own])), "capacity", Status::Pass, "23.4 CPU");
    let mut small = node("n1");
    small["status"]["allocatable"] = json!({"cpu": "3", "memory": "8Gi"});
    let world = DoctorWorld::good(false)
        .setting("inferenceRouterHA", json!(false))
        .answer("nodes", json!([small]));
    expect(&world, "cluster-small", Status::Warning, "3.0 CPU");
    let mut huge = node("n1");
    huge["status"]["allocatable"] = json!({"cpu": "96", "memory": "400Gi"});
    let world = DoctorWorld::good(true).answer("nodes", json!([node("n2"), node("n3"), huge]));
    expect(&world, "ingress-many-processes", Status::Warning, "96 CPUs");
    let mut blank = node("n1");
    blank["status"]["allocatable"] = Json::Null;
    expect(
        &DoctorWorld::good(false).answer("nodes", json!([blank])),
        "capacity",
        Status::Unknown,
        "allocatable",
    );
}

#[test]
pub(in crate::health) fn tolerations_of_the_settings_open_tainted_nodes() {
    let mut tainted = node("n1");
    tainted["spec"]["taints"] = json!([{"key": "sku", "value": "gpu", "effect": "NoSchedule"}]);
    let world = |key: &str, fields: &[(&str, &str)]| {
        let types =
            json!([{"name": "it", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]);
        let mut world = DoctorWorld::good(false)
            .answer("nodes", json!([tainted]))
            .declare("/instanceTypes", types)
            .declare("/extension/allowUnknownSettings", json!(true));
        for (field, value) in fields {
            world = world.setting(&format!("{key}[0].{field}"), json!(value));
        }
        world
    };
    let equal = [("key", "sku"), ("operator", "Equal"), ("value", "gpu"), ("effect", "NoSchedule")];
    let (jobs, own) = ("instance-type-too-large", "no-linux-node");
    // Those of workloads are not for the extension's own pods, and the other way round.
    expect(&world("workLoadToleration", &equal), jobs, Status::Pass, "");
    expect(&world("workLoadToleration", &equal), own, Status::Fail, "none of 1 nodes");
    expect(&world("toleration", &equal), own, Status::Pass, "1 of 1 nodes");
    expect(&world("toleration", &equal), jobs, Status::Warning, "no usable node");
    for good in [&[("operator", "Exists")][..], &[("key", "sku"), ("operator", "Exists")]] {
        expect(&world("toleration", good), own, Status::Pass, "1 of 1 nodes");
    }
    for bad in [
        &[("key", "sku")][..],
        &[("key", "sku"), ("value", "cpu")],
        &[("key", "sku"), ("operator", "Exists"), ("effect", "NoExecute")],
        &[("value", "gpu")],
    ] {
        expect(&world("toleration", bad), own, Status::Fail, "none of 1 nodes");
    }
}

#[test]
pub(in crate::health) fn instance_types_have_to_fit_a_node() {
    let with = |cpu: &str, selector: Json, limits: Json| {
        DoctorWorld::good(false).declare(
            "/instanceTypes",
            json!([{"name": "it", "nodeSelector": selector,
            "resources": {"requests": {"cpu": cpu, "memory": "4Gi"}, "limits": limits}}]),
        )
    };
    expect(&with("4", json!({}), json!({})), "instance-type-too-large", Status::Pass, "");
    expect(
        &with("16", json!({}), json!({})),
        "instance-type-too-large",
        Status::Warning,
        "16.0 CPU",
    );
    expect(
        &with("1", json!({}), json!({"nvidia.com/gpu": 1})),
        "instance-type-too-large",
        Status::Warning,
        "1 nvidia.com/gpu",
    );
    expect(
        &with("1", json!({"sku": "gpu"}), json!({})),
        "instance-type-too-large",
        Status::Warning,
        "sku=gpu",
    );
    let skipped =
        with("16", json!({}), json!({})).setting("amloperator.skipResourceValidation", json!(true));
    expect(&skipped, "instance-type-too-large", Status::Pass, "");
}

#[test]
pub(in crate::health) fn software_that_is_there_already_collides_while_its_setting_is_on() {
    let named = |name: &str| json!([{"metadata": {"name": name, "namespace": "other"}}]);
    let preview =
        |world: DoctorWorld| world.declare("/extension/profile", json!("2021-11-preview"));
    let good = || DoctorWorld::good(false);
    for (world, code, expected) in [
        (
            good().answer("daemonsets", named("nvidia-device-plugin")),
            "nvidia-plugin-conflict",
            Status::Pass,
        ),
        (
            good()
                .answer("daemonsets", named("nvidia-device-plugin"))
                .setting("installNvidiaDevicePlugin", json!(true)),
            "nvidia-plugin-conflict",
            Status::Fail,
        ),
        (
            preview(good().answer("daemonsets", named("nvidia-device-plugin"))),
            "nvidia-plugin-conflict",
            Status::Fail,
        ),
        (
            good().answer("deployments", named("kube-prometheus-operator")),
            "prometheus-conflict",
            Status::Fail,
        ),
        (
            good()
                .answer("deployments", named("kube-prometheus-operator"))
                .setting("installPromOp", json!(false)),
            "prometheus-conflict",
            Status::Pass,
        ),
        (
            preview(good().answer("deployments", named("prometheus-operator"))),
            "prometheus-conflict",
            Status::Fail,
        ),
        (
            preview(
                good()
                    .answer("deployments", named("prometheus-operator"))
                    .setting("reuseExistingPromOp", json!(true)),
            ),
            "prometheus-conflict",
            Status::Pass,
        ),
        (good().answer("crds", named("jobs.batch.volcano.sh")), "volcano-conflict", Status::Fail),
        (
            good()
                .answer("crds", named("jobs.batch.volcano.sh"))
                .setting("enableTraining", json!(false)),
            "volcano-conflict",
            Status::Pass,
        ),
    ] {
        expect(&world, code, expected, "");
    }
}

#[test]
pub(in crate::health) fn a_conflict_can_be_resolved_belong_to_us_or_only_warn() {
    let named = |name: &str| json!([{"metadata": {"name": name, "namespace": "other"}}]);
    let class =
        json!([{"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}]);
    let good = || DoctorWorld::good(false);
    for (world, code, expected) in [
        (good().answer("ingress-classes", class.clone()), "ingress-class-conflict", Status::Pass),
        (
            DoctorWorld::good(true).answer("ingress-classes", class.clone()),
            "ingress-class-conflict",
            Status::Fail,
        ),
        (
            DoctorWorld::good(true)
                .answer("ingress-classes", class)
                .setting("nginxIngress.controller", json!("k8s.io/amlarc-ingress-nginx")),
            "ingress-class-conflict",
            Status::Pass,
        ),
        (
            good()
                .answer("daemonsets", named("dcgm-exporter"))
                .setting("installDcgmExporter", json!(true)),
            "dcgm-conflict",
            Status::Warning,
        ),
        (
            good().answer("webhooks", named("dapr-sidecar-injector")),
            "dapr-conflict",
            Status::Warning,
        ),
    ] {
        expect(&world, code, expected, "");
    }
    let own = json!([{"metadata": {"name": "ext-prometheus-operator", "namespace": "azureml",
        "annotations": {"meta.helm.sh/release-name": "ext"}}}]);
    expect(&good().answer("deployments", own), "prometheus-conflict", Status::Pass, "");
}

#[test]
pub(in crate::health) fn leftovers_of_other_installations_are_found() {
    let old = json!({"metadata": {"name": "azureml-fe", "annotations": {"azureml-fe-enable-upgrade": "true"}}});
    let world = DoctorWorld::good(false).answer("legacy 5", old);
    expect(&world, "legacy-router", Status::Fail, "deployment/azureml-fe");
    expect(
        &world.setting("scoringFe.enableUpgrade", json!(true)),
        "legacy-router",
        Status::Warning,
        "",
    );
    let gateway = json!([{"metadata": {"name": "gateway", "namespace": "azureml", "annotations": {"meta.helm.sh/release-name": "ext"}}}]);
    let world = DoctorWorld::good(false).answer("deployments", gateway.clone());
    expect(&world, "installed-another-way", Status::Fail, "named ext");
    let mut young = gateway.clone();
    young[0]["metadata"]["creationTimestamp"] = json!("2026-06-01T11:58:00Z");
    let at_work = DoctorWorld::good(false).answer("deployments", young);
    expect(&at_work, "installed-another-way", Status::Warning, "just now");
    let known =
        world.live("edge/extension/ext", "/properties/provisioningState", json!("Succeeded"));
    expect(&known, "installed-another-way", Status::Pass, "");
    let other =
        json!([{"name": "old", "properties": {"extensionType": "microsoft.azureml.kubernetes"}}]);
    expect(
        &DoctorWorld::good(false).answer("extensions", other),
        "other-extension",
        Status::Fail,
        "under the name old",
    );
    let stuck: Vec<Json> = (0..11)
        .map(|number| json!({"metadata": {"name": format!("sh.helm.release.v1.ext.v{number}"), "labels": {"status": "pending-upgrade"}}}))
        .collect();
    let updating = DoctorWorld::good(false).answer("secrets", json!(stuck)).live(
        "edge/extension/ext",
        "/properties/provisioningState",
        json!("Updating"),
    );
    expect(&updating, "helm-revisions-pending", Status::Warning, "it is Updating");
    expect(
        &DoctorWorld::good(false).answer("secrets", json!(stuck)),
        "helm-revisions-pending",
        Status::Warning,
        "11 revisions",
    );
    let agent = |skipped: &str| {
        json!([{"metadata": {"name": "config-agent", "namespace": "azure-arc"}, "spec": {"template": {"spec": {"containers": [
        {"env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}, {"name": "NO_PROXY", "value": skipped}]}]}}}}])
    };
    let proxied = |skipped: &str| DoctorWorld::good(false).answer("deployments", agent(skipped));
    expect(&proxied("localhost,.svc"), "proxy-skip-range", Status::Warning, "lacks 127.0.0.1");
    expect(&proxied("localhost,127.0.0.1"), "proxy-skip-range", Status::Pass, "");
}

#[test]
pub(in crate::health) fn namespaces_secrets_balancers_and_constraints() {
    let good = || DoctorWorld::good(false);
    let namespace = "edge/namespace/azureml";
    expect(
        &good().live(namespace, "/status/phase", json!("Terminating")),
        "namespace-terminating",
        Status::Fail,
        "deleted",
    );
    let label = "/metadata/labels/pod-security.kubernetes.io~1enforce";
    expect(
        &good().live(namespace, label, json!("restricted")),
        "pod-security-restricted",
        Status::Warning,
        "baseline",
    );
    let tls = || {
        let good = good().setting("allowInsecureConnections", json!(false));
        good.setting("sslSecret", json!("tls"))
    };
    expect(
        &tls().answer("tls-secret", Json::Null),
        "ssl-secret-missing",
        Status::Fail,
        "azureml/tls",
    );
    expect(
        &tls().answer("tls-secret", json!({"data": {"cert.pem": "eA=="}})),
        "ssl-secret-missing",
        Status::Fail,
        "lacks key.pem",
    );
    let whole = json!({"type": "Opaque", "data": {"cert.pem": "eA==", "key.pem": "eA=="}});
    expect(&tls().answer("tls-secret", whole), "ssl-secret-missing", Status::Pass, "");
    expect(&good().answer("services", json!([])), "no-load-balancer", Status::Warning, "");
    let waiting = json!([{"metadata": {"creationTimestamp": "2026-06-01T11:00:00Z"}, "spec": {"type": "LoadBalancer"}}]);
    let mut young = waiting.clone();
    young[0]["metadata"]["creationTimestamp"] = json!("2026-06-01T11:58:00Z");
    expect(&good().answer("services", young), "no-load-balancer", Status::Warning, "");
    expect(
        &good().answer("services", waiting.clone()),
        "no-load-balancer",
        Status::Fail,
        "wait for an address",
    );
    let cloud = good().answer("services", waiting).live(
        CLUSTER,
        "/properties/infrastructure",
        json!("aws"),
    );
    expect(&cloud, "no-load-balancer", Status::Pass, "");
    let gke = good().live(CLUSTER, "/properties/distribution", json!("gke"));
    expect(&gke, "gke-node-image", Status::Pass, "");
    let mut cos = node("n1");
    cos["status"]["nodeInfo"]["osImage"] = json!("Container-Optimized OS");
    expect(&gke.answer("nodes", json!([cos])), "gke-node-image", Status::Warning, "n1");
    let openshift = || good().declare("/cluster/distribution", json!("openshift"));
    expect(&openshift(), "scc-unavailable", Status::Fail, "privileged");
    let scc = "edge/scc_grant/privileged";
    expect(
        &openshift().live(scc, "/metadata/name", json!("privileged")),
        "scc-unavailable",
        Status::Pass,
        "apply grants it to 1",
    );
}
