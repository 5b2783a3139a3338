//! What others wrote survives every change, over every kind in Azure.

use super::*;

/// What Azure holds after a request: a PUT replaces, a PATCH merges members, settings by key.
fn carried_out(live: &Json, request: &Request) -> Json {
    let Request::Arm { method, body: Some(body), .. } = request else { return live.clone() };
    let body = body.resolve(&mut |_| Ok::<_, std::fmt::Error>(json!("secret"))).unwrap();
    if *method == Method::Put {
        return body;
    }
    let mut after = live.clone();
    for (member, value) in body.as_object().unwrap() {
        if member != "properties" {
            after[member] = value.clone();
            continue;
        }
        for (member, value) in value.as_object().unwrap() {
            match member.as_str() {
                "configurationSettings" => {
                    json_patch::merge(&mut after["properties"][member], value)
                }
                _ => after["properties"][member] = value.clone(),
            }
        }
    }
    after
}

/// Every place of a document where somebody else could add a member: all maps but those that are
/// ours as a whole, whose foreign keys the plan shows.
fn places(document: &Json, at: &Pointer, whole: &[&str], found: &mut Vec<Pointer>) {
    let Some(map) = document.as_object() else { return };
    if !whole.contains(&at.to_string().as_str()) {
        found.push(at.clone());
    }
    map.iter().for_each(|(key, value)| places(value, &at.join(key), whole, found));
}

/// Leaves that a colleague could change to another value.
fn texts(document: &Json, at: &Pointer, found: &mut Vec<Pointer>) {
    match document {
        Json::Object(map) => map.iter().for_each(|(key, value)| texts(value, &at.join(key), found)),
        Json::Null => {}
        _ => found.push(at.clone()),
    }
}

#[test]
fn whatever_others_wrote_in_azure_survives_a_change_and_what_does_not_is_shown() {
    let desired = everything();
    let good = everything_settled(&desired);
    let (mut tried, mut kinds) = (0, std::collections::BTreeSet::new());
    for (key, node) in desired.nodes.iter().filter(|it| !it.0.kind.read_only()) {
        let kind = node.resource.kind();
        if !matches!(kind.target(), Target::Arm(_)) {
            continue;
        }
        let document = good.document(key).unwrap().clone();
        let (mut fields, mut spots) = (Vec::new(), Vec::new());
        texts(&document, &Pointer::root(), &mut fields);
        places(&document, &Pointer::root(), kind.rules().whole, &mut spots);
        for field in &fields {
            for spot in &spots {
                let mut live = good.clone();
                set(&mut live, key, &field.to_string(), json!("changed"));
                let foreign = spot.join("theirs");
                set(&mut live, key, &foreign.to_string(), json!({"kept": [1, {"and": true}]}));
                let plan = make(&desired, &live);
                let step = plan.step(key).unwrap();
                let before = live.document(key).unwrap().clone();
                let [request] = &step.requests[..] else { continue };
                if matches!(request, Request::Arm { method: Method::Post, .. }) {
                    continue;
                }
                let after = carried_out(&before, request);
                assert_eq!(
                    foreign.get(&after),
                    foreign.get(&before),
                    "{key}: {foreign} after {field} was mended by {request:#?}"
                );
                // What differs between before and after is what the plan says, and nothing else.
                let mut touched = Vec::new();
                texts(&before, &Pointer::root(), &mut touched);
                let servers = Pointer::parse("/properties/customerId");
                touched.retain(|it| *it != servers && it.get(&before) != it.get(&after));
                for path in touched {
                    let shown = step.changes.iter().any(|change| path.starts_with(&change.path));
                    assert!(shown, "{key}: {path} changes, and the plan does not say so");
                }
                kinds.insert(key.kind);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried} changes");
    assert!(kinds.len() >= 10, "{kinds:?}");
}
