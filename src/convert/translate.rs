//! A cluster's manifest in one profile → the same in the other, with every decision explained.
//!
//! What has no counterpart is left out and said; where leaving out would open endpoints to more
//! people than before, there is no translation. Source: Azure CLI k8s-extension, its history.

use std::collections::BTreeMap;

use crate::catalog::{self, ProfileName, SettingFact};
use crate::source::{Diagnostic, Diagnostics, Severity};

use super::az::derived_accounts;
use super::script::variable_name;
use crate::language::{ClusterSpec, ClusterType, ExtensionSpec, Profile, Setting};
use crate::language::{Dollars, to_yaml};
use crate::resource::graph::catalog_profile;

/// A manifest in the other profile.
#[derive(Debug, Clone)]
pub struct Translated {
    /// The manifest as YAML, with the decisions as comments on top.
    pub text: String,
    /// What was decided, in the order of the manifest.
    pub decisions: Vec<TranslationChoice>,
}

/// One decision of a translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslationChoice {
    /// The part of the manifest, as a dotted path.
    pub path: String,
    /// [`Severity::Warning`] where the reader should look at it.
    pub severity: Severity,
    /// What was done and why: one sentence without a full stop.
    pub message: String,
}

/// Translates a cluster. `host_name` is the name that clients use, for profile ga with a
/// certificate: taken from the certificate by the caller, or left to the variable `SSL_CNAME`.
///
/// # Errors
/// `no-counterpart`: the other profile has no way to say a part.
pub fn translate(
    cluster: &ClusterSpec,
    to: Profile,
    host_name: Option<&str>,
) -> Result<Translated, Diagnostics> {
    let mut work = TranslationWork { to, decisions: Vec::new(), errors: Vec::new() };
    let mut out = cluster.clone();
    if let Some(extension) = &mut out.extension
        && extension.profile != to
    {
        work.extension(cluster, extension, host_name);
        work.rest(cluster, &mut out);
    } else {
        work.say("extension.profile", format!("this is profile {} already", to.as_str()));
    }
    if !work.errors.is_empty() {
        return Err(work.errors);
    }
    let heading = format!("Translated to profile {}:", to.as_str());
    let head: Vec<String> = std::iter::once(heading)
        .chain(work.decisions.iter().map(|choice| format!("- {}: {}", choice.path, choice.message)))
        .collect();
    let text = to_yaml(&out, &head, &BTreeMap::new(), Dollars::Escape);
    // The one variable of ours; all other dollar signs are the user's.
    let text = text.replace("sslCname: \"$${SSL_CNAME}\"", "sslCname: \"${SSL_CNAME}\"");
    Ok(Translated { text, decisions: work.decisions })
}

struct TranslationWork {
    to: Profile,
    decisions: Vec<TranslationChoice>,
    errors: Diagnostics,
}

fn path(key: &str) -> String {
    format!("extension.configurationSettings.{key}")
}

fn on(extension: &ExtensionSpec, key: &str) -> bool {
    extension.configuration_settings.get(key).is_some_and(Setting::is_true)
}

impl TranslationWork {
    fn say(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.decide(Severity::Advice, path.into(), message.into());
    }

    fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.decide(Severity::Warning, path.into(), message.into());
    }

    fn decide(&mut self, severity: Severity, path: String, message: String) {
        self.decisions.push(TranslationChoice { path, severity, message });
    }

    fn cannot(&mut self, key: &str, why: &str, help: &str) {
        let message = format!("`{key}` has no counterpart in profile {}: {why}", self.to.as_str());
        self.errors.push(Diagnostic::error("no-counterpart", message).with_help(help));
    }

    /// Writes a setting and says why.
    fn write(&mut self, extension: &mut ExtensionSpec, key: &str, value: Setting, why: &str) {
        self.say(path(key), format!("{} — {why}", value.wire()));
        extension.configuration_settings.insert(key.to_owned(), value);
    }

    fn extension(
        &mut self,
        cluster: &ClusterSpec,
        extension: &mut ExtensionSpec,
        name: Option<&str>,
    ) {
        let (from, to) = (extension.profile, self.to);
        self.say("extension.profile", format!("{} instead of {}", to.as_str(), from.as_str()));
        extension.profile = to;
        if let Some(version) = extension.version.take() {
            let message = format!("no longer pinned: {version} belongs to the other profile");
            self.warn("extension.version", message);
            extension.auto_upgrade_minor_version = true;
        }
        let implied = catalog::setting("installNvidiaDevicePlugin")
            .and_then(|setting_fact| setting_fact.default_in(catalog_profile(from)))
            .unwrap_or("False");
        if !extension.configuration_settings.contains_key("installNvidiaDevicePlugin") {
            let value = Setting::Bool(implied.eq_ignore_ascii_case("true"));
            let why = "the default is another one in this profile; write it to keep what you have";
            self.write(extension, "installNvidiaDevicePlugin", value, why);
        }
        match to {
            Profile::Ga => self.ga(cluster, extension, name),
            Profile::Preview => self.preview(cluster, extension),
        }
        self.by_catalog(extension);
        self.secrets(extension);
    }

    fn ga(&mut self, cluster: &ClusterSpec, extension: &mut ExtensionSpec, name: Option<&str>) {
        let inference = on(extension, "enableInference");
        let node_port = on(extension, "privateEndpointNodeport");
        let internal = on(extension, "privateEndpointILB");
        for key in ["privateEndpointNodeport", "privateEndpointILB"] {
            extension.configuration_settings.remove(key);
        }
        if inference && node_port && internal {
            let why = "it stands beside privateEndpointNodeport";
            self.cannot("privateEndpointILB", why, "keep one of the two");
        } else if inference {
            let (kind, why) = match (node_port, internal) {
                (true, _) => ("NodePort", "was privateEndpointNodeport"),
                (false, true) => ("LoadBalancer", "was privateEndpointILB"),
                (false, false) => ("LoadBalancer", "was implied; this profile wants it said"),
            };
            self.write(extension, "inferenceRouterServiceType", Setting::Text(kind.into()), why);
        }
        if inference && internal && !node_port {
            self.internal_load_balancer(cluster, extension);
        }
        let certificate = ["sslCertPemFile", "sslKeyPemFile"]
            .iter()
            .any(|text| extension.configuration_protected_settings.contains_key(*text));
        if inference && certificate && !extension.configuration_settings.contains_key("sslCname") {
            let (value, why) = match name {
                Some(name) => (name, "from the certificate; this profile wants it said"),
                None => (
                    "${SSL_CNAME}",
                    "set SSL_CNAME to the name clients use: this profile wants it said",
                ),
            };
            self.write(extension, "sslCname", Setting::Text(value.to_owned()), why);
        }
        let declared = cluster.cluster.distribution.as_deref().unwrap_or_default();
        if let Some(openshift) = extension.configuration_settings.get("openshift") {
            if !openshift.is_true() || declared.eq_ignore_ascii_case("openshift") {
                extension.configuration_settings.remove("openshift");
                self.say(path("openshift"), "left out: derived from the cluster's distribution");
            } else {
                self.say(path("openshift"), "kept: the manifest does not say cluster.distribution");
            }
        }
        if extension.configuration_settings.remove("clusterPurpose").is_some() {
            self.say(path("clusterPurpose"), "left out: derived where the cluster is small");
        }
        if on(extension, "logAnalyticsWS") {
            self.warn(path("logAnalyticsWS"), "kept: it works, but is no longer documented");
        }
        let aks = cluster.cluster.kind == ClusterType::ManagedClusters;
        let gone = if aks { "Relay and Service Bus" } else { "Service Bus" };
        let message = format!(
            "{gone} are no longer used; the namespaces stay in Azure until you delete them"
        );
        self.say("extension", message);
    }

    fn internal_load_balancer(&mut self, cluster: &ClusterSpec, extension: &mut ExtensionSpec) {
        let key = "internalLoadBalancerProvider";
        let value = Setting::Text("azure".to_owned());
        let aks = cluster.cluster.kind == ClusterType::ManagedClusters;
        let distribution = cluster.cluster.distribution.as_deref().map(str::to_lowercase);
        let doubt = match distribution.as_deref() {
            _ if aks => None,
            Some(text) if text.starts_with("aks") => {
                Some("documented for AKS without Azure Arc only")
            }
            None => Some("works on clusters of the AKS family only; say cluster.distribution"),
            Some(other) => {
                let why = format!(
                    "{other} cannot make internal load balancers, and a public one would open your endpoints"
                );
                let help = "use privateEndpointNodeport: true instead";
                return self.cannot("privateEndpointILB", &why, help);
            }
        };
        self.write(extension, key, value, "was privateEndpointILB");
        if let Some(doubt) = doubt {
            self.warn(path(key), doubt);
        }
    }

    fn preview(&mut self, cluster: &ClusterSpec, extension: &mut ExtensionSpec) {
        let kind = extension.configuration_settings.remove("inferenceRouterServiceType");
        let kind = kind.map(|setting| setting.wire().to_lowercase());
        let internal = extension.configuration_settings.remove("internalLoadBalancerProvider");
        match kind.as_deref() {
            Some("nodeport") => {
                let why = "was inferenceRouterServiceType: NodePort";
                self.write(extension, "privateEndpointNodeport", Setting::Bool(true), why);
            }
            Some("clusterip") => {
                let help = "use inferenceRouterServiceType: NodePort";
                self.cannot("inferenceRouterServiceType", "it knows no ClusterIP", help);
            }
            Some(_) | None if internal.is_some() => {
                let why = "was internalLoadBalancerProvider: azure";
                self.write(extension, "privateEndpointILB", Setting::Bool(true), why);
            }
            Some(_) => {
                let message = "left out: a public load balancer is what this profile makes unasked";
                self.say(path("inferenceRouterServiceType"), message);
            }
            None => {}
        }
        if extension.configuration_settings.contains_key("sslSecret") {
            let help = "give sslCertPemFile and sslKeyPemFile";
            self.cannot("sslSecret", "certificates come from files", help);
        }
        let openshift = cluster.cluster.distribution.as_deref();
        if openshift.is_some_and(|text| text.eq_ignore_ascii_case("openshift")) {
            let why = "this profile does not derive it";
            self.write(extension, "openshift", Setting::Bool(true), why);
        }
        self.say("extension", "Relay and Service Bus are used on every cluster");
    }

    /// Settings that only one profile has, by what the catalog says of them.
    fn by_catalog(&mut self, extension: &mut ExtensionSpec) {
        let to = catalog_profile(self.to);
        let foreign = |key: &String| {
            let fact = catalog::setting(key)?;
            let renamed = fact.replaced_by.as_ref().is_some_and(|it| it.key.is_some());
            let old = renamed && to == ProfileName::Ga && !fact.documented;
            (old || !fact.in_profile(to)).then(|| (key.clone(), fact))
        };
        let facts: Vec<(String, &SettingFact)> =
            extension.configuration_settings.keys().filter_map(foreign).collect();
        for (key, fact) in facts {
            let Some(value) = extension.configuration_settings.remove(&key) else { continue };
            let replacement = fact.replaced_by.as_ref();
            match replacement.and_then(|it| it.key.as_ref().map(|key| (key, it.invert))) {
                Some((new, invert)) => {
                    let value = if invert { Setting::Bool(!value.is_true()) } else { value };
                    let why = if invert { "the opposite of" } else { "was" };
                    self.write(extension, new, value, &format!("{why} {key}"));
                }
                None => {
                    let advice =
                        replacement.and_then(|it| it.advice.strip_prefix("leave it out: "));
                    let advice = advice.unwrap_or("this profile does not have it");
                    self.say(path(&key), format!("left out: {advice}"));
                }
            }
        }
    }

    /// No secret is written into a new file.
    fn secrets(&mut self, extension: &mut ExtensionSpec) {
        use crate::language::ProtectedSetting::{FromEnv, Text};
        for (key, value) in &mut extension.configuration_protected_settings {
            let path = catalog::setting(key)
                .is_some_and(|setting_fact| setting_fact.kind == catalog::SettingKind::Path);
            if let (false, Text(_)) = (path, &*value) {
                let from_env = variable_name(key);
                let message =
                    format!("read from the variable {from_env} instead of standing in the file");
                self.warn(format!("extension.configurationProtectedSettings.{key}"), message);
                *value = FromEnv { from_env };
            }
        }
    }

    /// Registrations and grants.
    fn rest(&mut self, before: &ClusterSpec, out: &mut ClusterSpec) {
        if self.to == Profile::Ga {
            for retired in catalog::retired_features() {
                let count = out.features.len();
                out.features.retain(|feature| !feature.eq_ignore_ascii_case(&retired.name));
                if out.features.len() < count {
                    let message = format!("{} left out: {}", retired.name, retired.reason);
                    self.say("features", message);
                }
            }
        }
        let derived = derived_accounts(out);
        if let Some(scc) = &mut out.scc {
            scc.service_accounts.retain(|service_account| !derived.contains(service_account));
            if scc.method.is_none() {
                let (new, old) = match self.to {
                    Profile::Ga => ("role bindings", "the users added to the constraint stay"),
                    Profile::Preview => ("the users of the constraint", "the role bindings stay"),
                };
                self.say(
                    "scc.method",
                    format!("grants are {new} in this profile; {old} until you remove them"),
                );
            }
        }
        let old = derived_accounts(before);
        let gone = old.iter().filter(|text| !derived.contains(text)).count();
        let added = derived.iter().filter(|text| !old.contains(text)).count();
        if out.scc.is_some() && gone + added > 0 {
            let message = format!("{added} service accounts come, {gone} are no longer needed");
            self.say("scc", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(kind: &str, distribution: &str, extension: &str) -> ClusterSpec {
        let distribution = if distribution.is_empty() {
            String::new()
        } else {
            format!(", distribution: {distribution}")
        };
        let text = format!(
            "name: c\nazure: {{subscription: s, resourceGroup: g}}\n\
             cluster: {{type: {kind}, name: c{distribution}}}\nextension: {extension}\n"
        );
        serde_yaml::from_str(&text).expect("a cluster")
    }

    fn read(translated: &Translated) -> ClusterSpec {
        let lines = translated.text.lines();
        let own = lines.filter(|it| !it.starts_with("apiVersion:") && !it.starts_with("kind:"));
        serde_yaml::from_str(&own.collect::<Vec<_>>().join("\n")).expect("a cluster")
    }

    fn settings(translated: &Translated) -> String {
        let cluster = read(translated);
        let extension = cluster.extension.as_ref().expect("an extension");
        let settings = extension.configuration_settings.iter();
        settings.map(|(key, value)| format!("{key}={}", value.wire())).collect::<Vec<_>>().join(" ")
    }

    const PREVIEW: &str = "{name: e, profile: 2021-11-preview, configurationSettings: ";

    #[test]
    fn settings_of_the_preview_have_counterparts_today() {
        for (before, after) in [
            ("{enableTraining: true}", "enableTraining=True installNvidiaDevicePlugin=True"),
            (
                "{enableTraining: true, installNvidiaDevicePlugin: false, reuseExistingPromOp: true, volcanoScheduler.enable: false, blobCsiDriverEnabled: true}",
                "enableTraining=True installNvidiaDevicePlugin=False installPromOp=False installVolcano=False",
            ),
            (
                "{enableInference: true, allowInsecureConnections: true, privateEndpointNodeport: true, inferenceLoadBalancerHA: false}",
                "allowInsecureConnections=True enableInference=True inferenceRouterHA=False inferenceRouterServiceType=NodePort installNvidiaDevicePlugin=True",
            ),
            (
                "{enableInference: true, allowInsecureConnections: true, privateEndpointILB: true}",
                "allowInsecureConnections=True enableInference=True inferenceRouterServiceType=LoadBalancer installNvidiaDevicePlugin=True internalLoadBalancerProvider=azure",
            ),
        ] {
            let cluster = cluster("managedClusters", "", &format!("{PREVIEW}{before}}}"));
            let translated = translate(&cluster, Profile::Ga, None).expect("a translation");
            assert_eq!(settings(&translated), after);
            let back = translate(&read(&translated), Profile::Preview, None).expect("a way back");
            let forth = translate(&read(&back), Profile::Ga, None).expect("and forth again");
            // Only what the preview cannot say is lost on the way.
            let kept: Vec<&str> = after.split(' ').filter(|it| !it.contains("Volcano")).collect();
            assert_eq!(settings(&forth), kept.join(" "));
        }
    }

    #[test]
    fn an_internal_load_balancer_never_becomes_a_public_one() {
        let text = format!(
            "{PREVIEW}{{enableInference: true, allowInsecureConnections: true, privateEndpointILB: true}}}}"
        );
        for (distribution, works) in
            [("k3s", false), ("openshift", false), ("aks_engine", true), ("", true)]
        {
            let cluster = cluster("connectedClusters", distribution, &text);
            let result = translate(&cluster, Profile::Ga, None);
            assert_eq!(result.is_ok(), works, "{distribution}");
            for translated in result.iter() {
                assert!(settings(translated).contains("internalLoadBalancerProvider=azure"));
                assert!(translated.decisions.iter().any(|it| it.severity == Severity::Warning));
            }
        }
    }

    #[test]
    fn the_host_name_comes_from_the_certificate_or_the_environment() {
        let text = "{name: e, profile: 2021-11-preview, configurationSettings: {enableInference: true}, \
            configurationProtectedSettings: {sslCertPemFile: a, sslKeyPemFile: b}}";
        let cluster = cluster("connectedClusters", "", text);
        let with = translate(&cluster, Profile::Ga, Some("ml.example.com")).expect("a translation");
        assert!(with.text.contains("sslCname: ml.example.com"), "{}", with.text);
        let without = translate(&cluster, Profile::Ga, None).expect("a translation");
        assert!(without.text.contains("sslCname: \"${SSL_CNAME}\""), "{}", without.text);
    }

    #[test]
    fn a_secret_in_the_manifest_is_not_written_again() {
        let text = "{name: e, profile: 2021-11-preview, configurationSettings: {enableTraining: true}, \
            configurationProtectedSettings: {relayServerConnectionString: hunter2}}";
        let cluster = cluster("connectedClusters", "", text);
        let translated = translate(&cluster, Profile::Ga, None).expect("a translation");
        assert!(!translated.text.contains("hunter2"));
        assert!(translated.text.contains("fromEnv: RELAYSERVERCONNECTIONSTRING"));
    }

    #[test]
    fn what_today_can_say_only_is_refused() {
        for (setting, key) in [
            ("inferenceRouterServiceType: ClusterIP", "inferenceRouterServiceType"),
            ("sslSecret: tls", "sslSecret"),
        ] {
            let text =
                format!("{{name: e, configurationSettings: {{enableInference: true, {setting}}}}}");
            let errors =
                translate(&cluster("connectedClusters", "", &text), Profile::Preview, None)
                    .expect_err("no counterpart");
            assert!(errors.iter().any(|finding| finding.message.contains(key)), "{errors:?}");
        }
    }
}
