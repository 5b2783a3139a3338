//! Manifests made at random from whatever combination validates.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Aks,
    Arc,
    Edge,
    OpenShift,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Router {
    None,
    Public,
    Internal,
    NodePort,
    ClusterIp,
}

#[derive(Debug, Clone)]
struct Compute {
    identity: usize,
    namespace: &'static str,
    role: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    place: Where,
    preview: bool,
    azure_only: bool,
    training: bool,
    router: Router,
    https: bool,
    available: bool,
    plugin: bool,
    logs: bool,
    pinned: bool,
    scc: Option<&'static str>,
    computes: Vec<Compute>,
    types: usize,
}

pub(crate) fn wanted() -> impl Strategy<Value = Wanted> {
    let compute = (
        0..4_usize,
        select(vec!["ml-jobs", "ml-serving", "team-a"]),
        proptest::option::of(select(vec!["AcrPull", "Storage Blob Data Reader"])),
    )
        .prop_map(|(identity, namespace, role)| Compute { identity, namespace, role });
    let place = select(vec![Where::Aks, Where::Arc, Where::Edge, Where::OpenShift]);
    let router = select(vec![
        Router::None,
        Router::Public,
        Router::Internal,
        Router::NodePort,
        Router::ClusterIp,
    ]);
    let switches = proptest::collection::vec(any::<bool>(), 8);
    let scc = proptest::option::of(select(vec!["users", "rbac"]));
    let computes = proptest::collection::vec(compute, 0..3);
    (place, router, switches, scc, computes, 0..3_usize).prop_map(
        |(place, router, on, scc, computes, types)| {
            // What validation refuses is not generated: each line is one of its rules.
            let preview = on[0];
            let azure_only = on[1] && on[2] && place != Where::OpenShift;
            let internal = router == Router::Internal && place != Where::Aks;
            let address = preview && router == Router::ClusterIp;
            let router = if internal || address { Router::Public } else { router };
            let scc = scc.filter(|_| place == Where::OpenShift);
            let types = if azure_only { 0 } else { types };
            Wanted {
                place,
                preview,
                azure_only,
                training: on[3] || router == Router::None,
                router,
                https: on[4],
                available: on[5],
                plugin: on[6],
                logs: on[7],
                pinned: on[1] != on[5],
                scc,
                computes,
                types,
            }
        },
    )
}

fn settings(it: &Wanted) -> (Vec<String>, Vec<String>) {
    let mut plain = Vec::new();
    let mut guarded = Vec::new();
    let mut say = |key: &str, value: &str| plain.push(format!("{key}: {value}"));
    if it.training {
        say("enableTraining", "true");
    }
    if it.preview && it.place == Where::OpenShift {
        say("openshift", "true");
    }
    say("installNvidiaDevicePlugin", &it.plugin.to_string());
    if it.logs {
        say("logAnalyticsWS", "true");
    }
    if it.router != Router::None {
        say("enableInference", "true");
        match (it.preview, it.router) {
            (true, Router::Internal) => say("privateEndpointILB", "true"),
            (true, Router::NodePort) => say("privateEndpointNodeport", "true"),
            (true, _) => {}
            (false, Router::NodePort) => say("inferenceRouterServiceType", "NodePort"),
            (false, Router::ClusterIp) => say("inferenceRouterServiceType", "ClusterIP"),
            (false, Router::Internal) => {
                say("inferenceRouterServiceType", "LoadBalancer");
                say("internalLoadBalancerProvider", "azure");
            }
            (false, _) => say("inferenceRouterServiceType", "LoadBalancer"),
        }
        if !it.available {
            let key = if it.preview { "inferenceLoadBalancerHA" } else { "inferenceRouterHA" };
            say(key, "false");
        }
        if it.https {
            if !it.preview {
                say("sslCname", "ml.example.com");
            }
            guarded.push("sslCertPemFile: ./tls/ml.example.com.crt".to_owned());
            guarded.push("sslKeyPemFile: ./tls/ml.example.com.key".to_owned());
        } else {
            say("allowInsecureConnections", "true");
        }
    }
    (plain, guarded)
}

pub(crate) fn manifest(it: &Wanted) -> String {
    let mut text = format!(
        "apiVersion: amlplan/v1\nkind: Cluster\nname: made\nazure:\n  subscription: {}\n  \
         resourceGroup: ml-rg\ncluster:\n  name: made\n",
        SUBSCRIPTION.trim_start_matches("/subscriptions/")
    );
    text.push_str(match it.place {
        Where::Aks => "  type: managedClusters\n",
        Where::Arc => "  type: connectedClusters\n",
        Where::Edge => "  type: connectedClusters\n  distribution: k3s\n",
        Where::OpenShift => "  type: connectedClusters\n  distribution: openshift\n",
    });
    if it.azure_only {
        text.push_str("  access: azureOnly\n");
    }
    if let Some(method) = it.scc {
        let _ = writeln!(text, "scc: {{method: {method}}}");
    }
    text.push_str("extension:\n  name: arcml-extension\n");
    let _ = writeln!(text, "  profile: {}", if it.preview { "2021-11-preview" } else { "ga" });
    if it.pinned {
        // The versions of the old profile end where those of today's begin.
        let version = if it.preview { "1.0.37" } else { "1.1.40" };
        let _ = writeln!(text, "  version: {version}\n  autoUpgradeMinorVersion: false");
    }
    let (plain, guarded) = settings(it);
    let _ = writeln!(text, "  configurationSettings:\n    {}", plain.join("\n    "));
    if !guarded.is_empty() {
        let _ = writeln!(text, "  configurationProtectedSettings:\n    {}", guarded.join("\n    "));
    }
    computes(it, &mut text);
    if it.types > 0 {
        text.push_str("instanceTypes:\n");
    }
    for number in 0..it.types {
        let _ = writeln!(
            text,
            "  - name: type-{number}\n    nodeSelector: {{size: s{number}}}\n    resources:\n      \
             requests: {{cpu: \"{0}\", memory: {0}Gi}}\n      limits: {{cpu: \"{1}\", memory: {1}Gi}}",
            number + 1,
            number + 2
        );
    }
    let roles: Vec<String> = it
        .computes
        .iter()
        .enumerate()
        .filter(|(_, it)| it.identity > 0)
        .filter_map(|(number, it)| Some((number, it.role?)))
        .map(|(number, role)| {
            format!("  - principal: compute/compute-{number}\n    role: {role}\n    scope: {SUBSCRIPTION}/resourceGroups/ml-data\n")
        })
        .collect();
    if !roles.is_empty() {
        let _ = write!(text, "roleAssignments:\n{}", roles.concat());
    }
    text
}

fn computes(it: &Wanted, text: &mut String) {
    if !it.computes.is_empty() {
        text.push_str("computes:\n");
    }
    for (number, compute) in it.computes.iter().enumerate() {
        let Compute { identity, namespace, .. } = compute;
        let _ = writeln!(
            text,
            "  - name: compute-{number}\n    workspace: {{name: ml-workspace}}\n    namespace: {namespace}"
        );
        let ids: Vec<String> = (1..*identity)
            .map(|it| format!("{SUBSCRIPTION}/resourceGroups/ml-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id{it}"))
            .collect();
        let _ = match identity {
            0 => Ok(()),
            1 => writeln!(text, "    identity: {{type: SystemAssigned}}"),
            _ => writeln!(
                text,
                "    identity: {{type: UserAssigned, userAssignedIdentities: [{}]}}",
                ids.join(", ")
            ),
        };
    }
}

/// A source of chance that is the same on every run.
pub(crate) fn runner(part: u8, cases: u32) -> TestRunner {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 12, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[part; 32]))
}
