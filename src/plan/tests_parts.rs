//! What a plan says of itself, of what was not read, of orphans and of whose things are.

use super::*;
use crate::model::Api;
use crate::resource::ReadError;
use crate::resource::graph::Orphan;
use crate::resource::mark::Mark;

fn compute() -> Key {
    Key::new("edge", KindName::Compute, "gpu")
}

fn unread(api: Api, status: Option<u16>, code: Option<&str>) -> ReadError {
    ReadError {
        what: "it".into(),
        api,
        status,
        code: code.map(str::to_owned),
        message: "no answer".into(),
        tenant: None,
        help: None,
    }
}

#[test]
fn a_plan_is_complete_without_errors_gaps_and_what_was_skipped() {
    let gap = || {
        let desired = desired(json!({}));
        let mut live = settled(&desired);
        live.live.remove(&compute());
        live.unread.insert(compute(), unread(Api::Azure, Some(403), Some("Denied")));
        make(&desired, &live).unread
    };
    for number in 0..8 {
        let (errs, unread, skips) = (number & 1 > 0, number & 2 > 0, number & 4 > 0);
        let finding = if errs { Diagnostic::error } else { Diagnostic::warning };
        let plan = Plan {
            findings: vec![finding("dependency-cycle", String::new())],
            unread: if unread { gap() } else { Vec::new() },
            skipped: if skips { vec!["some".to_owned()] } else { Vec::new() },
            ..Plan::default()
        };
        assert_eq!((plan.errored(), plan.complete()), (errs, number == 0), "{number}");
        assert_eq!(plan.told().count(), 1 + usize::from(unread), "{number}");
    }
}

#[test]
fn a_part_of_a_plan_has_its_steps_gaps_and_gates() {
    let desired = desired(json!({"lifecycle": {"preventDestroy": ["extension", "compute"]}}));
    let mut live = settled(&desired);
    set(&mut live, &extension(), "/properties/extensionType", json!("other"));
    let workspace = desired.nodes.keys().find(|it| it.kind == KindName::Workspace).unwrap();
    live.unread.insert(workspace.clone(), unread(Api::Azure, None, None));
    let whole = make(&desired, &live);
    assert_eq!(whole.unread.iter().map(|it| it.keys.len()).sum::<usize>(), 2, "and its compute");
    let part = whole.part(|key| *key == extension());
    let steps: Vec<&Key> = part.steps.iter().map(|step| &step.key).collect();
    assert_eq!((steps, part.unread.len(), part.protected.len()), (vec![&extension()], 0, 1));
    let part = whole.part(|key| *key == compute());
    assert_eq!((part.steps.len(), part.unread.len(), part.protected.len()), (0, 1, 0));
    assert_eq!(part.unread[0].keys, [compute()]);
}

/// One line for each finding about what was not read.
fn gaps(errors: &[(&Key, ReadError)]) -> Vec<String> {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    for (key, error) in errors {
        live.live.remove(*key);
        live.unread.insert((*key).clone(), error.clone());
    }
    let plan = make(&desired, &live);
    let own = plan.unread.iter().filter(|gap| gap.finding.code == "read-failed");
    own.map(|gap| gap.finding.message.clone()).collect()
}

#[test]
fn one_reason_is_told_once_with_how_many_it_speaks_for() {
    let desired = desired(json!({}));
    let provider = |name: &str| Key::new(SUBSCRIPTION, KindName::Provider, name);
    let (one, two) = (provider("Microsoft.ContainerService"), provider("Microsoft.Kubernetes"));
    let two = if desired.nodes.contains_key(&two) {
        two
    } else {
        provider("Microsoft.KubernetesConfiguration")
    };
    let (of, same) = (extension(), "cannot read it: no answer");
    let silent = |api| unread(api, None, None);
    assert_eq!(gaps(&[(&one, silent(Api::Azure))]), [format!("{one}: {same}")]);
    let more = |count: usize, s: &str| format!("{one}: {same} ({count} more resource{s} likewise)");
    // Silence of Azure is one fault wherever it shows.
    let pair = [(&one, silent(Api::Azure)), (&of, silent(Api::Azure))];
    assert_eq!(gaps(&pair), [more(1, "")]);
    let three = [pair[0].clone(), pair[1].clone(), (&two, silent(Api::Azure))];
    assert_eq!(gaps(&three), [more(2, "s")]);
    // Clusters are told apart, and so are refusals of Azure, unless this machine is at fault.
    let told = |api, status, code| {
        gaps(&[(&one, unread(api, status, code)), (&of, unread(api, status, code))]).len()
    };
    assert_eq!(told(Api::Kubernetes, None, None), 2);
    assert_eq!(told(Api::Azure, Some(403), Some("Denied")), 2);
    assert_eq!(told(Api::Kubernetes, None, Some("TooManyOpenFiles")), 1);
    assert_eq!(told(Api::Azure, None, Some("SignInFailed")), 1);
}

#[test]
fn what_is_no_longer_declared_goes_stays_or_is_gone() {
    let mut desired = desired(json!({}));
    let live = settled(&desired);
    let mut node = desired.nodes.remove(&compute()).unwrap();
    let mut orphan = |goes: &[&str], kept: bool| {
        let goes = goes.iter().map(ToString::to_string).collect();
        node.orphan = Some(Orphan { mark: "edge".into(), goes, kept });
        desired.orphans = BTreeMap::from([(compute(), node.clone())]);
        desired.clone()
    };
    let step =
        |desired: &Desired, live: &Snapshot| make(desired, live).step(&compute()).unwrap().clone();
    let pods = Note::TakesAlong(vec!["pod a".into()]);
    for (goes, kept, action, note) in [
        (&[][..], false, Action::Delete, None),
        (&["pod a"], false, Action::Delete, Some(pods)),
        (&["pod a"], true, Action::NoOp, Some(Note::Left)),
    ] {
        let step = step(&orphan(goes, kept), &live);
        assert_eq!((step.action, step.note.clone()), (action, note));
        assert_eq!((step.orphan_of(), step.removal.is_empty()), (Some("edge"), kept));
        assert_eq!(step.impact == Impact::Safe, kept);
    }
    let mut gone = live;
    gone.live.insert(compute(), Live(vec![None]));
    let step = step(&orphan(&[], false), &gone);
    assert_eq!((step.action, step.orphan_of()), (Action::NoOp, None));
}

#[test]
fn what_is_no_longer_declared_lets_go_first() {
    let extended = json!({"cluster": {"access": "kubernetes", "type": "connectedClusters"},
        "computes": [{"name": "gpu", "workspace": {"name": "ws"}, "namespace": "team"}]});
    let mut desired = desired(extended);
    let team = Key::new("edge", KindName::Namespace, "team");
    for (old, waits) in [(extension(), extension()), (team, compute())] {
        let mut orphan = desired.nodes[&old].clone();
        orphan.orphan = Some(Orphan { mark: "edge".into(), goes: Vec::new(), kept: false });
        let old = Key::new("edge", old.kind, "old");
        desired.orphans = BTreeMap::from([(old.clone(), orphan)]);
        let whole = desired.with_orphans();
        assert!(whole.nodes[&waits].needs.contains(&old), "{waits} waits for {old}");
        assert!(!whole.nodes[&old].needs.contains(&old));
        let others = whole.nodes.iter().filter(|it| it.1.needs.contains(&old)).count();
        assert_eq!(others, 1);
    }
}

#[test]
fn marks_are_written_with_a_change_on_a_move_or_on_request() {
    let computes = json!([{"name": "gpu", "workspace": {"name": "ws"}, "description": "now"}]);
    let mut desired = desired(json!({"computes": computes}));
    let good = settled(&desired);
    let own = good.text(&compute(), "/tags/amlplan-mark").unwrap().to_owned();
    let scope = desired.scopes["edge"].cluster.clone().unwrap();
    let of = |name: &str, cluster: &str| {
        let id = crate::model::ArmId::parse(&scope.id.as_str().replace("/edge", cluster)).unwrap();
        Mark::of(name, &id).to_string()
    };
    assert_eq!(own, of("edge", "/edge"));
    let (brother, stranger) = (of("brother", "/edge"), of("stranger", "/elsewhere"));
    let moved = Reason::Moved("brother".into());
    let anew = Reason::CannotUpdate(vec![Pointer::parse("/properties/properties/namespace")]);
    let (place, words) = ("/properties/properties/namespace", "/properties/description");
    let differs = Reason::FieldsDiffer;
    for (mark, changed, adopt, action, reasons) in [
        (Some(&own), None, true, Action::NoOp, vec![]),
        (Some(&own), Some(words), false, Action::Update, vec![differs.clone()]),
        (Some(&brother), None, false, Action::Update, vec![moved.clone()]),
        (Some(&brother), Some(words), false, Action::Update, vec![differs.clone(), moved]),
        (Some(&stranger), None, true, Action::NoOp, vec![]),
        (Some(&stranger), Some(words), true, Action::Update, vec![differs.clone()]),
        (Some(&stranger), Some(place), true, Action::Replace, vec![anew]),
        (None, None, false, Action::NoOp, vec![]),
        (None, Some(words), false, Action::Update, vec![differs]),
        (None, None, true, Action::Update, vec![Reason::Adopted]),
    ] {
        let mut live = good.clone();
        set(&mut live, &compute(), "/tags", json!({}));
        if let Some(mark) = mark {
            set(&mut live, &compute(), "/tags", json!({"amlplan-mark": mark}));
        }
        if let Some(changed) = changed {
            set(&mut live, &compute(), changed, json!("other"));
        }
        desired.adopt = adopt;
        let plan = make(&desired, &live);
        let step = plan.step(&compute()).unwrap();
        assert_eq!((step.action, &step.reasons), (action, &reasons), "{mark:?} {changed:?}");
        let shown = step.changes.iter().any(|it| it.path == Pointer::parse("/tags/amlplan-mark"));
        let due = mark.is_none() || mark == Some(&brother);
        assert_eq!(shown, action == Action::Update && due, "{mark:?} {changed:?} {adopt}");
        // The mark of another manifest of another cluster stays where it is not made anew.
        let theirs = mark == Some(&stranger) && action != Action::Replace;
        let kept = action == Action::NoOp && mark != Some(&own);
        let sent = step.after.as_ref().unwrap().to_stored().to_string().contains(&own);
        assert_eq!(sent, !theirs && !kept, "{mark:?} {changed:?} {adopt}");
    }
}

#[test]
fn what_is_ignored_keeps_what_is_live_also_in_a_whole_document() {
    let paths = ["extension.configurationSettings.nodeSelector", "computes.gpu.description"];
    let desired = desired(json!({"lifecycle": {"ignoreChanges": paths}, "extension":
        {"configurationSettings": {"nodeSelector.disk": "hdd", "nodeSelectors": "x"}}}));
    let settings = "/properties/configurationSettings";
    let plan = make(&desired, &given(&desired));
    let made = plan.step(&extension()).unwrap().after.as_ref().unwrap().to_stored();
    let declared = made.pointer(settings).unwrap().get("nodeSelector.disk");
    assert_eq!(declared, Some(&json!("hdd")), "what is new is made as declared");
    let mut live = settled(&desired);
    for (key, value) in
        [("nodeSelector.disk", "ssd"), ("nodeSelector.zone", "1"), ("nodeSelectors", "y")]
    {
        set(&mut live, &extension(), &format!("{settings}/{key}"), json!(value));
    }
    set(&mut live, &extension(), "/properties/provisioningState", json!("Failed"));
    set(&mut live, &compute(), "/properties/description", json!("theirs"));
    set(&mut live, &compute(), "/tags", json!({}));
    let plan = make(&desired, &live);
    let after = plan.step(&extension()).unwrap().after.as_ref().unwrap().to_stored();
    let sent = |key: &str| after.pointer(settings).unwrap().get(key).and_then(Json::as_str);
    assert_eq!(sent("nodeSelector.disk"), Some("ssd"));
    assert_eq!((sent("nodeSelector.zone"), sent("nodeSelectors")), (Some("1"), Some("x")));
    let after = plan.step(&compute()).unwrap().after.as_ref().unwrap().to_stored();
    assert_eq!(after.pointer("/properties/description"), Some(&json!("theirs")));
}

#[test]
fn what_was_decided_has_a_digest_of_its_own() {
    let desired = desired(json!({}));
    let good = settled(&desired);
    let reviewed = make(&desired, &good);
    assert_eq!(file::stale(&reviewed, &make(&desired, &good)), []);
    let mut live = good.clone();
    set(&mut live, &compute(), "/properties/provisioningState", json!("Creating"));
    set(&mut live, &extension(), "/properties/configurationSettings/stray", json!("a"));
    let changed = make(&desired, &live);
    assert_eq!(file::stale(&reviewed, &changed), [extension(), compute()]);
    set(&mut live, &extension(), "/properties/configurationSettings/stray", json!("b"));
    assert_eq!(file::stale(&changed, &make(&desired, &live)), [extension()]);
    live.live.remove(&compute());
    live.unread.insert(compute(), unread(Api::Azure, None, None));
    assert_eq!(file::stale(&reviewed, &make(&desired, &live)), [extension(), compute()]);
}

#[test]
fn a_plan_says_what_it_is_for_and_what_to_know_of_it() {
    let mut desired = everything();
    let stage = json!({"name": "all", "clusters": ["edge"], "maxConcurrency": 1, "wait": 0});
    let rollout = json!({"stages": [stage], "maxFailures": 0});
    let aks = super::desired(json!({}));
    let codes = |desired: &Desired, live: &Snapshot, mode| -> Vec<&'static str> {
        let plan = plan(&PlanInput { desired, live, mode });
        assert_eq!((plan.mode, &plan.skipped), (mode, &desired.skipped));
        assert_eq!(plan.rollouts.is_empty(), mode == Mode::Destroy || desired.rollouts.is_empty());
        plan.findings.iter().map(|finding| finding.code).collect()
    };
    // Companions that are made, and only then.
    assert_eq!(codes(&desired, &given(&desired), Mode::Apply), ["companions"]);
    let good = everything_settled(&desired);
    assert_eq!(codes(&desired, &good, Mode::Apply), [""; 0]);
    assert_eq!(codes(&desired, &good, Mode::Destroy), [""; 0]);
    let mut live = good;
    live.live.insert(compute(), Live(vec![None]));
    assert_eq!(codes(&desired, &live, Mode::Apply), [""; 0]);
    // Rollouts that change AKS clusters, and only those.
    let rollouts: Vec<crate::language::Rollout> = vec![serde_json::from_value(rollout).unwrap()];
    desired.rollouts.clone_from(&rollouts);
    assert_eq!(codes(&desired, &live, Mode::Apply), [""; 0]);
    assert_eq!(codes(&aks, &given(&aks), Mode::Apply), [""; 0]);
    let aks = Desired { rollouts, ..aks };
    assert_eq!(codes(&aks, &given(&aks), Mode::Apply), ["maintenance-windows"]);
    assert_eq!(codes(&aks, &settled(&aks), Mode::Apply), [""; 0]);
    assert_eq!(codes(&aks, &settled(&aks), Mode::Destroy), [""; 0]);
}

#[test]
fn fields_of_other_managers_are_taken_over_only_where_something_changes() {
    let types = json!([{"name": "gpu", "resources": {"limits": {"cpu": "1"}}}]);
    let desired = desired(json!({"cluster": {"access": "kubernetes"}, "instanceTypes": types}));
    let key = Key::new("edge", KindName::InstanceType, "gpu");
    let mut live = settled(&desired);
    let fields = json!([{"manager": "amlplan"}, {"manager": "argocd"}]);
    set(&mut live, &key, "/metadata/managedFields", fields);
    let note = |live: &Snapshot| make(&desired, live).step(&key).unwrap().note.clone();
    assert_eq!(note(&live), None);
    let limits = "/spec/resources/limits";
    set(&mut live, &key, limits, json!({"cpu": "2"}));
    assert_eq!(note(&live), Some(Note::TakesOver(vec!["argocd".into()])));
    set(&mut live, &key, "/metadata/managedFields", json!([{"manager": "amlplan"}]));
    assert_eq!(note(&live), None);
}
