//! A plan read as drift: every field once, in every format, under the same id.

use super::*;
use crate::render::report::{Format, render};
use crate::render::samples;
use crate::render::style::Style;

fn places(key: &Key, _: &Pointer) -> Option<Place> {
    (key.scope == "edge-02").then(samples::place)
}

fn of(plan: &Plan) -> Report {
    report(plan, &Snapshot::default(), &places, Vec::new())
}

#[test]
fn people_read_every_field_with_both_sides() {
    insta::assert_snapshot!(render(&of(&samples::plan()), Format::Human, &Style::default(), false));
}

#[test]
fn a_finding_has_one_id_whatever_its_values_are() {
    let plan = samples::plan();
    let mut later = plan.clone();
    later.steps.reverse();
    for change in later.steps.iter_mut().flat_map(|step| &mut step.changes) {
        change.before = Some(json!("something else"));
    }
    let prints = |plan: &Plan| -> BTreeSet<String> {
        of(plan).bad().iter().map(|finding| finding.fingerprint()).collect()
    };
    assert_eq!(prints(&plan), prints(&later));
    assert_eq!(prints(&plan).len(), of(&plan).bad().len(), "two findings share an id");
}

#[test]
fn a_baseline_tells_new_from_old_and_what_is_gone() {
    let plan = samples::plan();
    let mut earlier = crate::render::report::json(&of(&plan));
    let list = earlier["findings"].as_array_mut().expect("a list");
    let dropped = list.remove(0);
    list.push(json!({"address": "edge-02/compute/old", "fingerprint": "x", "class": "health"}));
    list.push(json!({"address": "edge-04/compute/dead", "fingerprint": "y", "class": "health"}));
    let mut now = of(&plan);
    since(&mut now, &earlier, &|_| true).expect("a report");
    let document = crate::render::report::json(&now);
    for value in document["findings"].as_array().expect("a list") {
        let wanted = if value["fingerprint"] == dropped["fingerprint"] { "new" } else { "still" };
        assert_eq!(value["since"], wanted, "{value}");
    }
    // Of a cluster that was not read nobody knows what is gone.
    assert_eq!(document["gone"].as_array().map(Vec::len), Some(1), "{}", document["gone"]);
    assert!(since(&mut now, &json!({"findings": []}), &|_| true).is_err());
}

#[test]
fn without_drift_people_read_so_and_errors_are_not_hidden() {
    let mut plan = Plan::default();
    let human = |it: &Plan| render(&of(it), Format::Human, &Style::default(), false);
    assert_eq!(human(&plan), "No drift. 0 resources as declared.\n");
    plan.findings.push(crate::source::Diagnostic::error("denied", "cannot read the cluster"));
    assert!(human(&plan).contains("not known"));
}
