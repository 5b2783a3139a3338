//! An extension as its agents see it: a Helm release with its settings.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::{Value as Json, json};

use super::nights;
use crate::state::id;
use crate::state::world::World;

/// The namespace everything of the extension lives in.
pub(crate) const NAMESPACE: &str = "azureml";

/// Which component set an extension has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 1.0.x of 2021: Service Bus, azureml-fe.
    Preview,
    /// 1.1.5 and later: Volcano, azureml-fe-v2.
    Ga,
}

/// An extension as its agents see it.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// The extension's ARM id.
    pub(crate) id: String,
    pub(crate) cluster: String,
    /// The extension's name, which is Helm's release name.
    pub(crate) name: String,
    pub(crate) settings: BTreeMap<String, String>,
    /// Kinds of the protected settings, see [`kinds_of`].
    pub(crate) protected: BTreeMap<String, String>,
    pub(crate) generation: Generation,
    /// The version that gets installed.
    pub(crate) version: String,
    pub(crate) is_aks: bool,
    pub(crate) is_azureml: bool,
}

impl Release {
    /// A setting read as the extension does: `true` in any case is true, everything else false.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether a setting says false; absent is not false.
    pub(crate) fn is_false(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("false"))
    }

    /// A setting of either map; an empty one counts as absent.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.settings
            .get(key)
            .or_else(|| self.protected.get(key))
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// Whether the inference router runs three times.
    pub(crate) fn is_ha(&self) -> bool {
        let key = match self.generation {
            Generation::Preview => "inferenceLoadBalancerHA",
            Generation::Ga => "inferenceRouterHA",
        };
        self.is_true("enableInference")
            && !self.is_false(key)
            && !self
                .text("clusterPurpose")
                .is_some_and(|purpose| purpose.eq_ignore_ascii_case("devtest"))
    }

    /// Whether a gate of the components catalog is open.
    pub(crate) fn gate(&self, gate: &str) -> bool {
        let default_true = |key: &str| !self.is_false(key);
        match gate {
            "training" => self.is_true("enableTraining"),
            "inference" => self.is_true("enableInference"),
            "relay" => match self.generation {
                Generation::Preview => true,
                Generation::Ga => self
                    .text("relayserver.enabled")
                    .map_or(!self.is_aks, |_| self.is_true("relayserver.enabled")),
            },
            "nginx" => self
                .text("nginxIngress.enabled")
                .map_or(self.is_aks, |_| self.is_true("nginxIngress.enabled")),
            "promop" => default_true("installPromOp") && !self.is_true("reuseExistingPromOp"),
            "volcano" => default_true("installVolcano"),
            "blobcsi" => default_true("blobCsiDriverEnabled"),
            "nvidia" => match self.generation {
                Generation::Preview => default_true("installNvidiaDevicePlugin"),
                Generation::Ga => self.is_true("installNvidiaDevicePlugin"),
            },
            "dcgm" => self.is_true("installDcgmExporter"),
            "openshift" => self.is_true("openshift"),
            _ => false,
        }
    }
}

pub(crate) fn strings(map: &Json) -> BTreeMap<String, String> {
    map.as_object()
        .map(|map| {
            map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        })
        .unwrap_or_default()
}

/// What is known of protected settings: of each, what kind of value it is and never the value, so that nobody finds a
/// secret in the state.
pub(crate) fn kinds_of(protected: &Json) -> Json {
    let kind = |value: &str| match value.to_ascii_lowercase().as_str() {
        "" => "",
        "true" => "true",
        "false" => "false",
        _ if is_pem(value) => PEM,
        _ => "text",
    };
    let kinds = strings(protected).into_iter().map(|(key, value)| (key, json!(kind(&value))));
    Json::Object(kinds.collect())
}

/// Reads the release behind an extension id.
pub(crate) fn release(world: &World, extension: &str) -> Option<Release> {
    let stored = world.get(extension)?;
    let properties = &stored.body["properties"];
    let settings = strings(&properties["configurationSettings"]);
    let pinned = properties["version"].as_str().filter(|v| !v.is_empty());
    let train = properties["releaseTrain"].as_str().unwrap_or_default();
    let generation = generation(pinned, train, &settings);
    let newer = world.words.nights / nights::RELEASE;
    let version = pinned.map_or_else(
        || match generation {
            Generation::Preview => format!("1.0.{}", 51 + newer),
            Generation::Ga => format!("1.1.{}", 106 + newer),
        },
        ToOwned::to_owned,
    );
    let cluster = id::cluster_of(extension);
    Some(Release {
        id: extension.to_owned(),
        is_aks: id::type_of(&cluster) == "microsoft.containerservice/managedclusters",
        cluster,
        name: stored.body["name"].as_str().unwrap_or_default().to_owned(),
        settings,
        protected: strings(&stored.hidden["protected"]),
        generation,
        version,
        is_azureml: properties["extensionType"]
            .as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("microsoft.azureml.kubernetes")),
    })
}

/// The rule by which the simulator tells the two generations apart, since today's Azure would install the newest for
/// both: a pinned 1.0.x or a preview train is preview; settings that only today's client sends make it GA; settings
/// that only the client of 2021 sends make it preview; otherwise GA.
pub(crate) fn generation(
    pinned: Option<&str>,
    train: &str,
    settings: &BTreeMap<String, String>,
) -> Generation {
    const GA_ONLY: [&str; 5] = [
        "inferenceRouterServiceType",
        "inferenceRouterHA",
        "relayserver.enabled",
        "nginxIngress.enabled",
        "servicebus.enabled",
    ];
    const PREVIEW_ONLY: [&str; 5] = [
        "privateEndpointNodeport",
        "privateEndpointILB",
        "inferenceLoadBalancerHA",
        "servicebus.resourceID",
        "blobCsiDriverEnabled",
    ];
    let has = |keys: &[&str]| keys.iter().any(|key| settings.contains_key(*key));
    if let Some(version) = pinned {
        return if version.starts_with("1.0.") { Generation::Preview } else { Generation::Ga };
    }
    let preview_train = train.to_ascii_lowercase().contains("preview");
    if preview_train || (!has(&GA_ONLY) && has(&PREVIEW_ONLY)) {
        Generation::Preview
    } else {
        Generation::Ga
    }
}

/// The kind of a protected setting that is PEM.
pub(crate) const PEM: &str = "pem";

/// Whether a setting is the base64 of a PEM text, or known to be one.
pub(crate) fn is_pem(value: &str) -> bool {
    if value == PEM {
        return true;
    }
    base64::engine::general_purpose::STANDARD
        .decode(value.trim())
        .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("-----BEGIN "))
}
