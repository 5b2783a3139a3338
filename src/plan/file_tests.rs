//! Where an edited plan differs, and what is never written into one.

use serde_json::json;

use super::super::tests::{desired, settled};
use super::*;
use crate::model::KindName;

#[test]
fn the_first_difference_is_named() {
    for (one, two, at) in [
        (json!({}), json!({}), None),
        (json!({"a": 1, "b": [1, {"c": 2}]}), json!({"a": 1, "b": [1, {"c": 2}]}), None),
        (json!({"a": 1}), json!({"a": 2}), Some("/a")),
        (json!({"a": 1}), json!({}), Some("/a")),
        (json!({}), json!({"a": 1}), Some("/a")),
        (json!({"x": 1, "a": {"b": 1}}), json!({"x": 1, "a": {"b": 2}}), Some("/a/b")),
        (json!({"a": [1, 2, {"b": 3}]}), json!({"a": [1, 2, {"b": 4}]}), Some("/a/2/b")),
        (json!({"a": [1, 2]}), json!({"a": [1]}), Some("/a")),
        (json!({"a": [1]}), json!({"a": [1, 2]}), Some("/a")),
        (json!({"a": [1]}), json!({"a": {"0": 1}}), Some("/a")),
        (json!(1), json!(2), Some("")),
    ] {
        let found = difference(&one, &two, &Pointer::root()).map(|pointer| pointer.to_string());
        assert_eq!(found.as_deref(), at, "{one} {two}");
    }
}

#[test]
fn what_a_server_lets_slip_of_secrets_is_not_saved() {
    let desired = desired(json!({}));
    let mut live = settled(&desired);
    let extension = Key::new("edge", KindName::Extension, "ext");
    let document = live.live.get_mut(&extension).unwrap().0[0].as_mut().unwrap();
    document["properties"]["configurationProtectedSettings"] = json!({"key": "Kanarie"});
    let input = PlanInput { desired: &desired, live: &live, mode: Mode::Apply };
    let surroundings =
        Surroundings { made: String::new(), sandbox: false, tenant: None, principal: None };
    let saved = Saved::new(&input, &[Diagnostic::warning("x", "it")], surroundings);
    let text = saved.text(&saved.plan(), &|_, _| json!({})).unwrap();
    assert!(text.contains(r#""configurationProtectedSettings": {"#) && !text.contains("Kanarie"));
    assert_eq!(saved.plan().findings[0].message, "it");
}

#[test]
fn a_plan_is_read_back_as_it_was_written_or_not_at_all() {
    let desired = desired(json!({}));
    let live = settled(&desired);
    let input = PlanInput { desired: &desired, live: &live, mode: Mode::Apply };
    let surroundings =
        Surroundings { made: String::new(), sandbox: true, tenant: None, principal: None };
    let saved = Saved::new(&input, &[], surroundings);
    let folder = tempfile::tempdir().unwrap();
    let represent: Represent<'_> = &|plan, _| json!({"steps": plan.steps.len()});
    let path = folder.path().join("saved.plan");
    write(&path, &saved, represent).unwrap();
    let read_back = read(&path, represent).unwrap();
    assert_eq!(read_back.plan, saved.plan());
    assert_eq!(read_back.representation["amlplan"].get("saved"), None);
    let text = std::fs::read_to_string(&path).unwrap();
    let tool = env!("CARGO_PKG_VERSION");
    for (number, (from, to, code)) in [
        (r#""version": 2"#.to_owned(), r#""version": 3"#.to_owned(), "plan-version"),
        (format!(r#""tool": "{tool}""#), r#""tool": "0.0.1""#.to_owned(), "plan-version"),
        (r#""sandbox": true"#.to_owned(), r#""sandbox": false"#.to_owned(), "plan-edited"),
        (r#""steps": "#.to_owned(), r#""steps": 1"#.to_owned(), "plan-edited"),
        ("{\n".to_owned(), "{\n\n".to_owned(), "plan-edited"),
        (r#""saved""#.to_owned(), r#""other""#.to_owned(), "plan-file"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(text.contains(&from), "{from}");
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, text.replacen(&from, &to, 1)).unwrap();
        assert_eq!(read(&path, represent).unwrap_err().code, code, "{from}");
    }
    let arm = Target::Arm(crate::model::ArmId::parse("/subscriptions/s/resourceGroups/g").unwrap());
    let key = Key::new("edge", KindName::Compute, "gpu");
    assert_eq!(owner(&arm, &key), "/subscriptions/s/resourceGroups/g");
    assert_eq!(owner(&Target::Objects(Vec::new()), &key), key.to_string());
}
