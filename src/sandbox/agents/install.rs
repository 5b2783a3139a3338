//! The agents of the Azure ML extension inside a simulated cluster: health check, Helm install, upgrade, uninstall.
//!
//! Azure stores what is wanted (`arm::extensions`); the steps here make it so, minutes later, or fail as the real
//! extension does: a critical health check, a Helm conflict at once, or Helm's timeout when pods never become ready.

use serde_json::json;

use super::checks::{self, HookVerdict, ReportLine};
use super::release::{Release, generation, release, strings};
use super::{chart, components, report};
use crate::state::clock::{Pace, Work};
use crate::state::event::{AgentStep, Occurrence};
use crate::state::id::{self, parent_id};
use crate::state::world::World;

/// Takes one step.
pub(crate) fn step(world: &mut World, extension: &str, operation: &str, step: AgentStep) {
    let Some(release) = release(world, extension) else { return };
    let later = |step: AgentStep| Occurrence::Extension {
        id: extension.to_owned(),
        operation: operation.to_owned(),
        step,
    };
    // The agents take away the chart of that name, whatever the resource says it is by now.
    let leaves =
        matches!(step, AgentStep::Uninstall | AgentStep::Gone) && is_installed(world, &release);
    if !release.is_azureml && !leaves {
        // Other extension types are only kept: they succeed without leaving anything in the cluster.
        return finish_other(world, &release, operation, step);
    }
    match step {
        AgentStep::InstallCheck | AgentStep::UpgradeCheck | AgentStep::Uninstall
            if !agents_reachable(world, &release) =>
        {
            wait_for_agents(world, &release, operation, later(step));
        }
        AgentStep::InstallCheck => {
            check(world, &release, operation, "pre-install", later(AgentStep::Install))
        }
        AgentStep::UpgradeCheck if !is_installed(world, &release) => {
            check(world, &release, operation, "pre-install", later(AgentStep::Install));
        }
        AgentStep::UpgradeCheck => {
            check(world, &release, operation, "pre-upgrade", later(AgentStep::Upgrade))
        }
        AgentStep::Install | AgentStep::Upgrade => helm(world, &release, operation, step),
        AgentStep::Done => {
            components::make_ready(world, &release);
            report::write(world, &release, "test", &[]);
            succeed(world, &release, operation);
        }
        AgentStep::TimedOut => {
            let after = if was_applied(world, &release) {
                Aftermath::RollBack
            } else {
                Aftermath::Uninstall
            };
            fail(world, &release, operation, "timed out waiting for the condition", after);
        }
        AgentStep::Uninstall => {
            report::write(world, &release, "pre-delete", &[]);
            world.after(Work::HelmUninstall, later(AgentStep::Gone));
        }
        AgentStep::Gone => {
            components::remove(world, &release);
            world.end(operation, None);
            world.remove_tree(extension);
        }
    }
}

fn finish_other(world: &mut World, release: &Release, operation: &str, step: AgentStep) {
    match step {
        AgentStep::Uninstall | AgentStep::Gone => {
            world.end(operation, None);
            world.remove_tree(&release.id);
        }
        AgentStep::InstallCheck
        | AgentStep::UpgradeCheck
        | AgentStep::Install
        | AgentStep::Upgrade
        | AgentStep::Done
        | AgentStep::TimedOut => {
            succeed(world, release, operation);
        }
    }
}

/// Ends what runs on an extension because it is being deleted.
pub(crate) fn abandon(world: &mut World, extension: &str) {
    let text = "The operation was superseded by a delete.";
    world.end_running(extension, "OperationCanceled", text);
}

/// Whether the agents of the cluster hear from Azure: connected, and for AKS running.
pub(crate) fn agents_reachable(world: &World, release: &Release) -> bool {
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
fn wait_for_agents(world: &mut World, release: &Release, operation: &str, again: Occurrence) {
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
        .is_some_and(|cluster| chart::helm_release(cluster, &release.name).is_some())
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
fn check(world: &mut World, release: &Release, operation: &str, hook: &str, next: Occurrence) {
    if world.faults.fails_operation(&release.id) {
        return fail(world, release, operation, "pod healthcheck failed", Aftermath::Nothing);
    }
    if has_busy_sibling(world, &release.id) && release.is_aks {
        let text = "Error code: Conflict, \"code\":\"EtagMismatch\": another operation is in progress on the managed cluster";
        return fail(world, release, operation, text, Aftermath::Nothing);
    }
    let findings = checks::health(world, release);
    report::write(world, release, hook, &findings);
    components::put_healthcheck_pod(world, release, hook);
    if findings.iter().any(ReportLine::is_critical) {
        let back = if hook == "pre-install" { "pre-delete" } else { "pre-rollback" };
        report::write(world, release, back, &findings);
        let text = format!("failed {hook}: pod healthcheck failed");
        return fail(world, release, operation, &text, Aftermath::Nothing);
    }
    world.after(Work::HealthCheck, next);
}

fn helm(world: &mut World, release: &Release, operation: &str, step: AgentStep) {
    let later = |step: AgentStep| Occurrence::Extension {
        id: release.id.clone(),
        operation: operation.to_owned(),
        step,
    };
    if step == AgentStep::Install && !was_applied(world, release) && is_installed(world, release) {
        // A forced delete left the chart behind.
        let text = "cannot re-use a name that is still in use";
        return fail(world, release, operation, text, Aftermath::Nothing);
    }
    match checks::helm(world, release) {
        HookVerdict::Refused(text) => fail(world, release, operation, &text, Aftermath::Nothing),
        HookVerdict::NeverReady(accounts) => {
            components::put_all(world, release, &accounts);
            world.after(Work::HelmTimeout, later(AgentStep::TimedOut));
        }
        HookVerdict::Fine => {
            components::put_all(world, release, &[]);
            let work =
                if step == AgentStep::Install { Work::HelmInstall } else { Work::HelmUpgrade };
            world.after(work, later(AgentStep::Done));
        }
    }
}

fn succeed(world: &mut World, release: &Release, operation: &str) {
    note_success(world, release);
    world.end(operation, None);
}

/// What Azure shows of an extension that is as it was asked for.
pub(crate) fn note_success(world: &mut World, release: &Release) {
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

/// Whether another extension of the same cluster is being worked on: on AKS the second one fails with `EtagMismatch`.
pub(crate) fn has_busy_sibling(world: &World, path: &str) -> bool {
    let collection = parent_id(&id::key(path));
    world
        .running_below(&collection)
        .any(|(key, _)| key.contains("/extensions/") && key != id::key(path))
}
