//! What the settings of scenarios and of the inference router mean together. Source: the checks of
//! Azure CLI's k8s-extension (AzureMLKubernetes) and AML docs: deploy extension.

use crate::catalog::{self, Need};
use crate::source::{Diagnostic, Diagnostics};

use super::told;
use super::view::{DistributionFamily, Settings, View};

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    if !settings.seems_true("enableTraining") && !settings.seems_true("enableInference") {
        found.push(
            told("nothing-enabled", "")
                .at(view.key("/extension/configurationSettings"), "neither is true in here"),
        );
    }
    if settings.inference() {
        tls(settings, found);
        if settings.is_ga() { router_ga(settings, found) } else { router_preview(settings, found) }
    } else {
        without_effect(settings, found);
    }
}

const CERT: &str = "sslCertPemFile";
const KEY: &str = "sslKeyPemFile";

fn tls(settings: Settings<'_>, found: &mut Diagnostics) {
    let halves = [CERT, KEY].map(|text| settings.is_protected(text));
    let half = halves[0] != halves[1] && !(settings.attempted(CERT) && settings.attempted(KEY));
    let none = ![CERT, KEY, "sslSecret", "allowInsecureConnections"]
        .into_iter()
        .any(|text| settings.seems_true(text));
    let (there, lacking) = if halves[0] { (CERT, KEY) } else { (KEY, CERT) };
    let secret = settings.is_ga() && settings.given("sslSecret");
    if settings.insecure() {
        insecure(settings, secret, found);
    } else if half {
        let message = format!("`{there}` needs `{lacking}` beside it");
        let finding = if secret {
            Diagnostic::warning(
                "tls-half",
                format!("{message}; as it is, sslSecret is used instead"),
            )
        } else {
            Diagnostic::error("tls-half", message)
        };
        found.push(
            finding
                .with_help(format!("add {lacking} under configurationProtectedSettings"))
                .at(settings.protected_place(there), "only one of the two")
                .at(settings.key_place("sslSecret").filter(|_| secret), "used instead"),
        );
    } else if none && !keeps_secrets(settings) {
        let how = if settings.is_ga() {
            "give sslCertPemFile and sslKeyPemFile under configurationProtectedSettings, or sslSecret"
        } else {
            "give sslCertPemFile and sslKeyPemFile under configurationProtectedSettings"
        };
        found.push(
            Diagnostic::error("tls-missing", "endpoints need a certificate and its key")
                .with_help(format!("{how}; for tests only, write allowInsecureConnections: true"))
                .at(settings.key_place("enableInference"), "serves endpoints"),
        );
    } else if settings.pem() && secret {
        found.push(
            told("two-certificates", "")
                .at(settings.key_place("sslSecret"), "not used")
                .at(settings.protected_place(CERT), "used"),
        );
    }
    let material = settings.pem() || secret;
    if settings.is_ga() && material && !settings.attempted("sslCname") {
        let source = if secret { "sslSecret" } else { CERT };
        found.push(
            Diagnostic::error(
                "cname-missing",
                "a certificate needs `sslCname`, the host name that clients will use",
            )
            .with_help("add sslCname: NAME, where NAME is covered by the certificate")
            .at(settings.key_place(source), "the certificate is given here"),
        );
    }
}

/// Whether the manifest leaves the protected settings as they are: an imported one may have to,
/// because Azure never returns them.
fn keeps_secrets(settings: Settings<'_>) -> bool {
    let ignored = &settings.view.cluster.spec.lifecycle.ignore_changes;
    ignored.iter().any(|text| text == "extension.configurationProtectedSettings")
}

fn insecure(settings: Settings<'_>, secret: bool, found: &mut Diagnostics) {
    let place = settings.place("allowInsecureConnections");
    found.push(told("insecure-connections", "").at(place, "allowed here"));
    let given = [CERT, KEY].into_iter().find(|text| settings.is_protected(text));
    if let Some(key) = given.or_else(|| secret.then_some("sslSecret")) {
        found.push(
            told("tls-ignored", key)
                .at(settings.key_place(key), "ignored")
                .at(settings.key_place("allowInsecureConnections"), "because of this"),
        );
    }
}

const ROUTER: &str = "inferenceRouterServiceType";
const PROVIDER: &str = "internalLoadBalancerProvider";

fn router_ga(settings: Settings<'_>, found: &mut Diagnostics) {
    if !settings.attempted(ROUTER) {
        let place = settings.key_place("enableInference");
        found.push(told("router-type-missing", ROUTER).at(place, "serves endpoints"));
    }
    if settings.word(PROVIDER) != "azure" {
        return;
    }
    let kind = settings.word(ROUTER);
    if matches!(kind.as_str(), "nodeport" | "clusterip") {
        let written = settings.wire(ROUTER);
        found.push(
            Diagnostic::error(
                "router-contradiction",
                format!("a router of type {written} has no load balancer that could be internal"),
            )
            .with_help(format!("write {ROUTER}: LoadBalancer, or remove {PROVIDER}"))
            .at(settings.place(PROVIDER), "asks for an internal load balancer")
            .at(settings.place(ROUTER), "asks for none"),
        );
    }
    internal(settings, PROVIDER, found);
}

fn router_preview(settings: Settings<'_>, found: &mut Diagnostics) {
    const ILB: &str = "privateEndpointILB";
    const NODE_PORT: &str = "privateEndpointNodeport";
    if !settings.is_true(ILB) {
        return;
    }
    if settings.is_true(NODE_PORT) {
        found.push(
            Diagnostic::error(
                "router-contradiction",
                "the router cannot be a NodePort and an internal load balancer",
            )
            .with_help("keep one of the two")
            .at(settings.place(ILB), "an internal load balancer here")
            .at(settings.place(NODE_PORT), "a NodePort here"),
        );
    }
    internal(settings, ILB, found);
}

/// An internal load balancer is something that AKS has.
fn internal(settings: Settings<'_>, key: &str, found: &mut Diagnostics) {
    let view = settings.view;
    let distribution =
        view.value("/cluster/distribution").filter(|_| view.written("/cluster/distribution"));
    let finding = match view.family() {
        DistributionFamily::Aks => return,
        DistributionFamily::Unknown => Diagnostic::warning(
            "internal-load-balancer",
            "an internal load balancer works on AKS only, and the manifest does not say what this Arc cluster is",
        )
        .with_help("add cluster.distribution; where it is not of the AKS family, the installation fails with E40003"),
        DistributionFamily::OpenShift | DistributionFamily::Other => Diagnostic::error(
            "internal-load-balancer",
            "an internal load balancer works on AKS only: the installation would fail with E40003",
        )
        .with_help("use a NodePort and a load balancer of your own"),
    };
    let cluster = distribution.or_else(|| view.value("/cluster/type"));
    found.push(finding.at(settings.place(key), "asked for here").at(cluster, "the cluster"));
}

/// Inference settings without inference.
fn without_effect(settings: Settings<'_>, found: &mut Diagnostics) {
    let extension = settings.extension;
    let keys = extension
        .configuration_settings
        .keys()
        .chain(extension.configuration_protected_settings.keys());
    for key in keys.filter(|text| *text != "enableInference") {
        let fact = catalog::setting(key);
        if fact.is_some_and(|setting_fact| {
            setting_fact.scenarios.training == Need::None
                && setting_fact.in_profile(settings.profile())
        }) {
            let place = settings.key_place(key);
            found.push(told("setting-without-effect", key).at(place, "not used"));
        }
    }
}
