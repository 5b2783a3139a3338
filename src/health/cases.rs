//! Every rule on worlds with few things changed: the rows of `cases.yaml`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::report::{Finding, Probe, Probed, Status};
use super::rules::{self, By, RULES};
use crate::language::{ClusterSpec, Declared, Manifest};
use crate::model::{Api, Json, Key};
use crate::resource::graph::{Desired, build};
use crate::resource::{Live, Read, ReadError, Resource, Snapshot};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    worlds: BTreeMap<String, Json>,
    /// Rules that judge although nothing was read.
    spared: BTreeSet<String>,
    cases: BTreeMap<String, Vec<Json>>,
}

/// A row with all that lies below it.
#[derive(Deserialize)]
struct Case {
    by: String,
    now: Timestamp,
    manifest: ClusterSpec,
    live: BTreeMap<String, Json>,
    answers: BTreeMap<String, Json>,
    help: Option<String>,
    rows: Option<usize>,
    #[serde(default)]
    also: BTreeSet<String>,
    /// One status, or `absent`, with a part of the message; `on` was followed before.
    #[serde(flatten)]
    expected: BTreeMap<String, String>,
}

fn read() -> Cases {
    let group = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg";
    serde_yaml::from_str(&include_str!("cases.yaml").replace("$group", group)).unwrap()
}

fn merge(into: &mut Json, over: &Json) {
    match (into, over) {
        (Json::Object(into), Json::Object(over)) => {
            for (name, value) in over {
                merge(into.entry(name).or_insert(Json::Null), value);
            }
        }
        (into, over) => *into = over.clone(),
    }
}

impl Cases {
    fn merged(&self, row: &Json, below: Option<&str>) -> Json {
        let below = row["on"].as_str().or(below);
        let mut world = below.map_or_else(|| json!({}), |it| self.merged(&self.worlds[it], None));
        let mut row = row.clone();
        let members = row.as_object_mut().expect("a row is a map");
        members.remove("on");
        if let Some(settings) = members.remove("settings") {
            let extension = json!({"extension": {"configurationSettings": settings}});
            merge(members.entry("manifest").or_insert_with(|| json!({})), &extension);
        }
        merge(&mut world, &row);
        world
    }

    fn case(&self, row: &Json) -> Case {
        serde_json::from_value(self.merged(row, Some("arc")))
            .unwrap_or_else(|e| panic!("{e}: {row}"))
    }
}

/// Whether a name of `live` means a resource.
fn is(key: &Key, name: &str) -> bool {
    name == key.kind.as_str() || name == format!("{}/{}", key.kind, key.name)
}

/// Whether a name of `answers` means a probe.
fn answers(name: &str, probe: &Probe) -> bool {
    name == probe.name || probe.name.split(' ').next() == Some(name)
}

/// An answer as Azure or the cluster gives it.
fn given(read: &Read, answer: &Json) -> Option<Arc<Json>> {
    let list = match (read, answer) {
        (_, Json::Null) => return None,
        (Read::Objects(_) | Read::ArmList { .. }, Json::Object(items)) => items,
        _ => return Some(answer.clone().into()),
    };
    let item = |(name, item): (&String, &Json)| {
        let mut named = match read.api() {
            Api::Azure => json!({"name": name}),
            Api::Kubernetes => json!({"metadata": {"name": name}}),
        };
        merge(&mut named, item);
        named
    };
    Some(Json::from_iter(list.iter().filter(|it| !it.1.is_null()).map(item)).into())
}

/// What a case is judged by.
struct World {
    by: By,
    desired: Desired,
    snapshot: Snapshot,
    probes: Vec<Probe>,
    probed: Probed,
    now: Timestamp,
}

impl World {
    fn of(case: &Case) -> Self {
        let by = if case.by == "verify" { By::Verify } else { By::Doctor };
        let (spec, secrets) = (case.manifest.clone(), BTreeMap::new());
        let declared = Declared { secrets, ..Declared::from(spec) };
        let desired = build(&Manifest::from(vec![declared])).unwrap();
        let document = |key: &Key| {
            let mut document = Json::Null;
            case.live.iter().filter(|it| is(key, it.0)).for_each(|it| merge(&mut document, it.1));
            Live(vec![Some(document).filter(|it| !it.is_null())])
        };
        let live = desired.nodes.keys().map(|key| (key.clone(), document(key))).collect();
        let snapshot = Snapshot { live, ..Snapshot::default() };
        let probes = rules::probes(by, &desired, &snapshot);
        let mut probed = Probed::default();
        for probe in &probes {
            // The whole name counts more than its first word.
            let answer = case.answers.get(&probe.name);
            let answer = answer.or_else(|| case.answers.get(probe.name.split(' ').next()?));
            if let Some(answer) = answer {
                let at = (probe.scope.clone(), probe.name.clone());
                probed.0.insert(at, Ok(given(&probe.read, answer)));
            }
        }
        Self { by, desired, snapshot, probes, probed, now: case.now }
    }

    fn run(&self) -> Vec<Finding> {
        rules::checks(self.by, &self.desired, &self.snapshot, &self.probed, self.now)
    }
}

/// The worst result of a rule: its status, messages and helps.
fn worst(found: &[Finding], code: &str) -> (&'static str, String, String) {
    let own = || found.iter().filter(|finding| finding.code == code);
    let Some(status) = own().map(|finding| finding.status).max() else {
        return ("absent", String::new(), String::new());
    };
    let worst: Vec<&Finding> = own().filter(|finding| finding.status == status).collect();
    let messages: Vec<&str> = worst.iter().map(|finding| finding.message.as_str()).collect();
    let helps: Vec<&str> = worst.iter().filter_map(|finding| finding.help.as_deref()).collect();
    (status.as_str(), messages.join("\n"), helps.join("\n"))
}

/// The rules that find something wrong, or cannot tell.
fn speaking(found: &[Finding]) -> BTreeSet<&str> {
    found.iter().filter(|it| it.status > Status::Info).map(|finding| finding.code).collect()
}

impl World {
    /// What is not as the row says.
    fn wrong(&self, code: &str, row: &Json, case: &Case, found: &[Finding]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: String| wrong.extend((!holds).then_some(what));
        let (status, message, help) = worst(found, code);
        let said = case.expected.get(status).is_some_and(|it| message.contains(it));
        let expected = &case.expected;
        expect(said && expected.len() == 1, format!("{status} `{message}`, not {expected:?}"));
        let helped = match case.help.as_deref() {
            Some("") => help.is_empty(),
            Some(part) => help.contains(part),
            None => !help.is_empty() || !["warning", "fail"].contains(&status),
        };
        expect(helped, format!("help `{help}`, not {:?}", case.help));
        let rows = found.iter().filter(|finding| finding.code == code).count();
        expect(case.rows.is_none_or(|it| it == rows), format!("{rows} rows"));
        let mut others = speaking(found);
        others.remove(code);
        expect(others.iter().eq(&case.also), format!("also {others:?}"));
        let own = |part: &str| row[part].as_object().into_iter().flatten().map(|it| it.0.clone());
        for name in own("live") {
            let declared = self.desired.nodes.keys().any(|it| is(it, &name));
            expect(declared, format!("no {name} is declared"));
        }
        for name in own("answers") {
            let asked = self.probes.iter().any(|it| answers(&name, it));
            expect(asked, format!("{name} is not asked for"));
        }
        if row.pointer("/manifest/cluster/access") == Some(&json!("azureOnly")) {
            let azure = self.probes.iter().all(|probe| probe.read.api() == Api::Azure);
            expect(azure, "it asks the cluster".to_owned());
        }
        wrong
    }
}

#[test]
fn each_rule_says_what_its_rows_expect() {
    let cases = read();
    let (mut wrong, mut unasked) = (Vec::new(), BTreeSet::new());
    let (mut spoke, mut passed, mut asked) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (code, rows) in &cases.cases {
        for (number, row) in rows.iter().enumerate() {
            let case = cases.case(row);
            let world = World::of(&case);
            let found = world.run();
            let here = world.wrong(code, row, &case, &found);
            wrong.extend(here.into_iter().map(|it| format!("{code}, row {number}: {it}")));
            for finding in &found {
                match finding.status {
                    Status::Pass => passed.insert(finding.code),
                    Status::Info | Status::Warning | Status::Fail => spoke.insert(finding.code),
                    Status::Skipped | Status::Unknown => false,
                };
            }
            let (own, not): (Vec<String>, Vec<String>) = case
                .answers
                .into_keys()
                .partition(|name| world.probes.iter().any(|it| answers(name, it)));
            asked.extend(own);
            unasked.extend(not);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unasked.is_subset(&asked), "{:?}", unasked.difference(&asked));
    let mut codes: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert!(codes.iter().eq(cases.cases.keys()), "each rule has rows");
    // It says what is not looked at, and judges nothing.
    codes.remove("cluster-not-looked-at");
    assert_eq!(codes, spoke, "each rule speaks");
    assert_eq!(codes, passed, "each rule passes");
    assert_eq!(codes.len(), 77);
}

/// Worlds in which all is well.
const GOOD: [&str; 5] = ["arc", "aks", "stores", "installed", "openshift"];

#[test]
fn nothing_is_wrong_in_a_good_world_and_nothing_is_judged_that_was_not_read() {
    let cases = read();
    let mut spared = BTreeSet::new();
    for name in GOOD {
        let mut world = World::of(&cases.case(&json!({"on": name})));
        let good = world.run();
        assert!(speaking(&good).is_empty(), "{name}: {good:#?}");
        for node in world.desired.nodes.values() {
            let Resource::Extension(extension) = &node.resource else { continue };
            let [here, nowhere] =
                [&world.snapshot, &Snapshot::default()].map(|it| extension.effective(it));
            let mut names = here.keys().chain(nowhere.keys());
            assert!(
                names.all(|it| here.get(it) == nowhere.get(it) || extension.is_decided_live(it))
            );
        }
        let codes: BTreeSet<&str> = good.iter().map(|finding| finding.code).collect();
        world.probed = Probed::default();
        let unanswered = world.run();
        world.snapshot = Snapshot::default();
        let unread = world.run();
        for code in codes {
            let reads = RULES.iter().any(|rule| rule.code == code && !rule.reads.is_empty());
            let told = |found: &[Finding]| !["absent", "unknown"].contains(&worst(found, code).0);
            let spare = told(&unread) || reads && told(&unanswered);
            assert_ne!(worst(&unread, code).0, "absent", "{code} says nothing");
            spared.extend(spare.then_some(code));
        }
    }
    assert!(spared.iter().eq(&cases.spared), "{spared:#?}");
}

/// Why something was not read.
fn failure() -> ReadError {
    ReadError {
        what: "it".to_owned(),
        api: Api::Azure,
        status: Some(403),
        code: None,
        message: "you may not".to_owned(),
        tenant: None,
        help: None,
    }
}

/// What a rule says must not depend on what was not read: it says the same whatever stands there.
#[test]
fn no_judgement_rests_on_what_was_not_read() {
    let cases = read();
    let judged = |world: &World| -> BTreeSet<String> {
        // This one judges by a list of its own where Azure tells none, and names it.
        let tells = |finding: &Finding| {
            !matches!(finding.status, Status::Unknown | Status::Skipped)
                && finding.code != "kubernetes-too-old"
        };
        let line = |finding: &Finding| {
            let Finding { code, address, title, status, .. } = finding;
            format!("{code} {address} {title} {status:?}")
        };
        world.run().iter().filter(|it| tells(it)).map(line).collect()
    };
    let rows = cases.cases.iter().flat_map(|(code, rows)| rows.iter().map(move |it| (code, it)));
    let rows = rows.map(|(code, row)| (code.clone(), row.clone()));
    let rows = rows.filter(|(_, row)| cases.case(row).by == "verify");
    let good = GOOD.iter().map(|name| ((*name).to_owned(), json!({"on": name})));
    let mut wrong = BTreeSet::new();
    for (name, row) in good.chain(rows) {
        let mut world = World::of(&cases.case(&row));
        let told = judged(&world);
        let mut compare = |without: &BTreeSet<String>,
                           absent: &BTreeSet<String>,
                           what: &str,
                           key: Option<&Key>| {
            let both: BTreeSet<&String> = told.intersection(absent).collect();
            let rest = without.iter().filter(|it| !both.contains(it));
            wrong.extend(rest.map(|it| format!("{name}, without {what}: {it}")));
            // What fails elsewhere either way fails, whether that was read or not.
            let lost = both.into_iter().filter(|it| it.ends_with("Fail") && !without.contains(*it));
            let lost = lost.filter(|line| key.is_some_and(|key| !line.contains(&key.to_string())));
            wrong.extend(lost.map(|line| format!("{name}, lost without {what}: {line}")));
        };
        let keys: Vec<Key> = world.snapshot.live.keys().cloned().collect();
        for key in keys {
            let live = world.snapshot.live.insert(key.clone(), Live(vec![None])).unwrap();
            let absent = judged(&world);
            world.snapshot.live.remove(&key);
            world.snapshot.unread.insert(key.clone(), failure());
            compare(&judged(&world), &absent, &key.to_string(), Some(&key));
            world.snapshot.unread.remove(&key);
            world.snapshot.live.insert(key, live);
        }
        let probes: Vec<_> = world.probed.0.keys().cloned().collect();
        for probe in probes {
            let answer = world.probed.0.insert(probe.clone(), Ok(None)).unwrap();
            let absent = judged(&world);
            world.probed.0.insert(probe.clone(), Err(failure()));
            compare(&judged(&world), &absent, &probe.1, None);
            world.probed.0.insert(probe, answer);
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
}
