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
