//! The agents of the Azure ML extension inside a simulated cluster: health check, Helm install, upgrade, uninstall.
//!
//! Azure stores what is wanted (`arm::extensions`); the steps here make it so, minutes later, or fail as the real
//! extension does: a critical health check, a Helm conflict at once, or Helm's timeout when pods never become ready.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::arm::{extensions, id};
use super::checks::{self, Finding, Verdict};
use super::clock::{Pace, Work};
use super::world::{Event, World};
use super::{components, report};

/// The namespace everything of the extension lives in.
pub(super) const NAMESPACE: &str = "azureml";

/// The next thing the agents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    InstallCheck,
    UpgradeCheck,
    /// Helm puts the objects in place; pods start.
    Install,
    Upgrade,
    /// Everything is ready and gets reported.
    Done,
    /// Helm gives up waiting.
    TimedOut,
    Uninstall,
    Gone,
}

/// Which component set an extension has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// 1.0.x of 2021: Service Bus, azureml-fe.
    Preview,
    /// 1.1.5 and later: Volcano, azureml-fe-v2.
    Ga,
}

/// An extension as its agents see it.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// The extension's ARM id.
    pub(super) id: String,
    pub(super) cluster: String,
    /// The extension's name, which is Helm's release name.
    pub(super) name: String,
    pub(super) settings: BTreeMap<String, String>,
    /// Kinds of the protected settings, see [`kinds_of`].
    pub(super) protected: BTreeMap<String, String>,
    pub(super) generation: Generation,
    /// The version that gets installed.
    pub(super) version: String,
    pub(super) is_aks: bool,
    pub(super) is_azureml: bool,
}

impl Release {
    /// A setting read as the extension does: `true` in any case is true, everything else false.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether a setting says false; absent is not false.
    pub(super) fn is_false(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("false"))
    }

    /// A setting of either map; an empty one counts as absent.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.settings
            .get(key)
            .or_else(|| self.protected.get(key))
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// Whether the inference router runs three times.
    pub(super) fn is_ha(&self) -> bool {
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
    pub(super) fn gate(&self, gate: &str) -> bool {
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

fn strings(map: &Json) -> BTreeMap<String, String> {
    map.as_object()
        .map(|map| {
            map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        })
        .unwrap_or_default()
}

/// What is known of protected settings: of each, what kind of value it is and never the value, so that nobody finds a
/// secret in the state.
pub(super) fn kinds_of(protected: &Json) -> Json {
    let kind = |value: &str| match value.to_ascii_lowercase().as_str() {
        "" => "",
        "true" => "true",
        "false" => "false",
        _ if checks::is_pem(value) => checks::PEM,
        _ => "text",
    };
    let kinds = strings(protected).into_iter().map(|(key, value)| (key, json!(kind(&value))));
    Json::Object(kinds.collect())
}

/// Reads the release behind an extension id.
pub(super) fn release(world: &World, extension: &str) -> Option<Release> {
    let stored = world.get(extension)?;
    let properties = &stored.body["properties"];
    let settings = strings(&properties["configurationSettings"]);
    let pinned = properties["version"].as_str().filter(|v| !v.is_empty());
    let train = properties["releaseTrain"].as_str().unwrap_or_default();
    let generation = generation(pinned, train, &settings);
    let version = pinned.map_or_else(
        || match generation {
            Generation::Preview => "1.0.51".to_owned(),
            Generation::Ga => "1.1.106".to_owned(),
        },
        ToOwned::to_owned,
    );
    let cluster = extensions::cluster_of(extension);
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
fn generation(
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

/// Takes one step.
pub(super) fn step(world: &mut World, extension: &str, operation: &str, step: Step) {
    let Some(release) = release(world, extension) else { return };
    let later = |step: Step| Event::Extension {
        id: extension.to_owned(),
        operation: operation.to_owned(),
        step,
    };
    // The agents take away the chart of that name, whatever the resource says it is by now.
    let leaves = matches!(step, Step::Uninstall | Step::Gone) && is_installed(world, &release);
    if !release.is_azureml && !leaves {
        // Other extension types are only kept: they succeed without leaving anything in the cluster.
        return finish_other(world, &release, operation, step);
    }
    match step {
        Step::InstallCheck | Step::UpgradeCheck | Step::Uninstall
            if !agents_reachable(world, &release) =>
        {
            wait_for_agents(world, &release, operation, later(step));
        }
        Step::InstallCheck => {
            check(world, &release, operation, "pre-install", later(Step::Install))
        }
        Step::UpgradeCheck if !is_installed(world, &release) => {
            check(world, &release, operation, "pre-install", later(Step::Install));
        }
        Step::UpgradeCheck => {
            check(world, &release, operation, "pre-upgrade", later(Step::Upgrade))
        }
        Step::Install | Step::Upgrade => helm(world, &release, operation, step),
        Step::Done => {
            components::make_ready(world, &release);
            report::write(world, &release, "test", &[]);
            succeed(world, &release, operation);
        }
        Step::TimedOut => {
            let after = if was_applied(world, &release) {
                Aftermath::RollBack
            } else {
                Aftermath::Uninstall
            };
            fail(world, &release, operation, "timed out waiting for the condition", after);
        }
        Step::Uninstall => {
            report::write(world, &release, "pre-delete", &[]);
            world.after(Work::HelmUninstall, later(Step::Gone));
        }
        Step::Gone => {
            components::remove(world, &release);
            world.end(operation, None);
            world.remove_tree(extension);
        }
    }
}

fn finish_other(world: &mut World, release: &Release, operation: &str, step: Step) {
    match step {
        Step::Uninstall | Step::Gone => {
            world.end(operation, None);
            world.remove_tree(&release.id);
        }
        Step::InstallCheck
        | Step::UpgradeCheck
        | Step::Install
        | Step::Upgrade
        | Step::Done
        | Step::TimedOut => {
            succeed(world, release, operation);
        }
    }
}

/// Ends what runs on an extension because it is being deleted.
pub(super) fn abandon(world: &mut World, extension: &str) {
    for operation in world.running_on(extension) {
        world.end(&operation, Some(json!({"code": "OperationCanceled", "message": "The operation was superseded by a delete."})));
    }
}

/// Whether the agents of the cluster hear from Azure: connected, and for AKS running.
fn agents_reachable(world: &World, release: &Release) -> bool {
    let Some(body) = world.body(&release.cluster) else { return false };
    if release.is_aks {
        return body["properties"]["powerState"]["code"] != "Stopped";
    }
    body["properties"]["connectivityStatus"]
        .as_str()
        .is_none_or(|state| state.eq_ignore_ascii_case("connected"))
}

/// Looks again a minute later; after 48 hours the protected settings are gone and the operation fails
/// ("Azure Arc docs: cluster extensions").
fn wait_for_agents(world: &mut World, release: &Release, operation: &str, again: Event) {
    let since = world.operations.get(operation).map(|operation| operation.started);
    let hours = since.map_or(0, |since| world.now().duration_since(since).as_hours());
    if hours >= 48 {
        let text = "the agents of the cluster did not pick up the request in 48 hours and its protected settings expired";
        fail(world, release, operation, text, Aftermath::Nothing);
    } else {
        let pause = if world.pace == Pace::Fast { 1 } else { 60 };
        world.at(jiff::SignedDuration::from_secs(pause), again);
    }
}

fn is_installed(world: &World, release: &Release) -> bool {
    world
        .cluster(&release.cluster)
        .is_some_and(|cluster| components::helm_release(cluster, &release.name).is_some())
}

/// Whether an operation on this extension succeeded before.
fn was_applied(world: &World, release: &Release) -> bool {
    world.get(&release.id).is_some_and(|stored| stored.hidden["applied"].is_object())
}

/// The release as it was last applied, to which Helm goes back.
fn previous(world: &World, release: &Release) -> Option<Release> {
    let stored = world.get(&release.id)?;
    let settings = strings(&stored.hidden["applied"]);
    let version =
        stored.body["properties"]["currentVersion"].as_str().unwrap_or(&release.version).to_owned();
    let generation = generation(Some(&version), "", &settings);
    Some(Release { settings, version, generation, ..release.clone() })
}

/// What happens to the objects in the cluster when an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aftermath {
    /// Helm had not changed anything yet.
    Nothing,
    /// A first installation is taken back.
    Uninstall,
    /// The objects of the last revision return.
    RollBack,
}

/// Runs the health check and goes on, or fails on a critical finding.
fn check(world: &mut World, release: &Release, operation: &str, hook: &str, next: Event) {
    if world.faults.fails_operation(&release.id) {
        return fail(world, release, operation, "pod healthcheck failed", Aftermath::Nothing);
    }
    if extensions::has_busy_sibling(world, &release.id) && release.is_aks {
        let text = "Error code: Conflict, \"code\":\"EtagMismatch\": another operation is in progress on the managed cluster";
        return fail(world, release, operation, text, Aftermath::Nothing);
    }
    let findings = checks::health(world, release);
    report::write(world, release, hook, &findings);
    components::put_healthcheck_pod(world, release, hook);
    if findings.iter().any(Finding::is_critical) {
        let back = if hook == "pre-install" { "pre-delete" } else { "pre-rollback" };
        report::write(world, release, back, &findings);
        let text = format!("failed {hook}: pod healthcheck failed");
        return fail(world, release, operation, &text, Aftermath::Nothing);
    }
    world.after(Work::HealthCheck, next);
}

fn helm(world: &mut World, release: &Release, operation: &str, step: Step) {
    let later = |step: Step| Event::Extension {
        id: release.id.clone(),
        operation: operation.to_owned(),
        step,
    };
    if step == Step::Install && !was_applied(world, release) && is_installed(world, release) {
        // A forced delete left the chart behind.
        let text = "cannot re-use a name that is still in use";
        return fail(world, release, operation, text, Aftermath::Nothing);
    }
    match checks::helm(world, release) {
        Verdict::Refused(text) => fail(world, release, operation, &text, Aftermath::Nothing),
        Verdict::NeverReady(accounts) => {
            components::put_all(world, release, &accounts);
            world.after(Work::HelmTimeout, later(Step::TimedOut));
        }
        Verdict::Fine => {
            components::put_all(world, release, &[]);
            let work = if step == Step::Install { Work::HelmInstall } else { Work::HelmUpgrade };
            world.after(work, later(Step::Done));
        }
    }
}

fn succeed(world: &mut World, release: &Release, operation: &str) {
    let stamp = world.stamp();
    if let Some(stored) = world.get_mut(&release.id) {
        let applied = stored.body["properties"]["configurationSettings"].clone();
        stored.hidden["applied"] = applied;
        let properties = &mut stored.body["properties"];
        properties["provisioningState"] = json!("Succeeded");
        properties["currentVersion"] = json!(release.version);
        properties["statuses"] = json!([]);
        stored.body["systemData"]["lastModifiedAt"] = json!(stamp);
    }
    world.end(operation, None);
}

/// Ends an operation as Azure reports it: `ExtensionOperationFailed` with Helm's text.
fn fail(world: &mut World, release: &Release, operation: &str, text: &str, after: Aftermath) {
    let update = was_applied(world, release);
    let name = &release.name;
    let (helm, verb) = if update {
        (
            format!(
                "Helm upgrade failed : UPGRADE FAILED: release {name} failed, and has been rolled back due to atomic being set: {text}"
            ),
            "Update",
        )
    } else {
        (
            format!(
                "Helm installation failed : INSTALLATION FAILED: release {name} failed, and has been uninstalled due to atomic being set: {text}"
            ),
            "Create",
        )
    };
    let message = format!(
        "The extension operation failed with the following error: Error: [ InnerError: [{helm}]] occurred while doing the operation : [{verb}] on the config, For general troubleshooting visit: https://aka.ms/k8s-extensions-TSG"
    );
    match after {
        Aftermath::Nothing => {}
        Aftermath::Uninstall => components::remove(world, release),
        Aftermath::RollBack => {
            if let Some(previous) = previous(world, release) {
                components::put_all(world, &previous, &[]);
                components::make_ready(world, &previous);
            }
        }
    }
    let stamp = world.stamp();
    if let Some(stored) = world.get_mut(&release.id) {
        let properties = &mut stored.body["properties"];
        properties["provisioningState"] = json!("Failed");
        let code = if update { "UpdateFailed" } else { "InstallationFailed" };
        properties["statuses"] = json!([{"code": code, "displayStatus": null, "level": "Error", "message": message, "time": stamp}]);
    }
    world.end(operation, Some(json!({"code": "ExtensionOperationFailed", "message": message})));
}
