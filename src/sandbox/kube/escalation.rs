//! Nobody hands out rights in a cluster that he has not himself, unless he may `escalate` the role or
//! `bind` it (Kubernetes docs, "Using RBAC Authorization": privilege escalation prevention).

use serde_json::{Value as Json, json};

use super::rbac::{self, AuthorizerAttributes};
use super::request::ApiCall;
use super::status::Failure;
use super::store::Store;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Refuses a role or binding that grants more than the caller has.
pub(crate) fn check(
    store: &Store,
    call: &ApiCall<'_>,
    live: Option<&Json>,
    object: &Json,
) -> Result<(), Failure> {
    let kind = &call.kind;
    let binds = match kind.plural.as_str() {
        _ if kind.group != RBAC => return Ok(()),
        "rolebindings" | "clusterrolebindings" => true,
        _ => false,
    };
    let same = |at: &str| live.is_some_and(|live| live.pointer(at) == object.pointer(at));
    let unchanged = if binds { same("/subjects") } else { same("/rules") };
    if unchanged {
        return Ok(());
    }
    let namespace = call.namespace().map(ToOwned::to_owned);
    let may = |verb: &str, resource: &str, name: &str| {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        let (group, name, namespace) = (RBAC.to_owned(), name.to_owned(), namespace.clone());
        rbac::allowed(
            store,
            call.caller,
            &AuthorizerAttributes { verb, group, resource, name, namespace },
        )
    };
    let (leave, rules) = if binds {
        let role = &object["roleRef"];
        let plural = if role["kind"] == "Role" { "roles" } else { "clusterroles" };
        let name = role["name"].as_str().unwrap_or_default();
        let mut placed = object.clone();
        placed["metadata"]["namespace"] = json!(namespace);
        (may("bind", plural, name), rbac::role_rules(store, &placed))
    } else {
        // A create has no name in its address, so leave for one name does not count for it.
        let rules = object["rules"].as_array().cloned().unwrap_or_default();
        (may("escalate", &kind.plural, call.at.name.as_deref().unwrap_or_default()), rules)
    };
    if leave {
        return Ok(());
    }
    let lacking = rules.iter().flat_map(deeds).find(|(deed, _)| {
        let deed = AuthorizerAttributes { namespace: namespace.clone(), ..deed.clone() };
        !rbac::allowed(store, call.caller, &deed)
    });
    let Some((_, rule)) = lacking else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why = format!(
        "user \"{}\" (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{{APIGroups:{}, Resources:{}, Verbs:{}}}",
        call.caller.user(),
        call.caller.groups(),
        rule["apiGroups"],
        rule["resources"],
        rule["verbs"]
    );
    Err(Failure::forbidden(kind, name, &why))
}

/// Everything that a rule allows, one by one, each with the rule. `*` is a right of its own.
fn deeds(rule: &Json) -> Vec<(AuthorizerAttributes, &Json)> {
    let words = |field: &str| -> Vec<String> {
        let all = rule[field].as_array().into_iter().flatten();
        all.filter_map(|value| value.as_str().map(ToOwned::to_owned)).collect()
    };
    let mut names = words("resourceNames");
    if names.is_empty() {
        names.push(String::new());
    }
    let mut all = Vec::new();
    for group in words("apiGroups") {
        for resource in words("resources") {
            for verb in words("verbs") {
                all.extend(names.iter().map(|name| {
                    let (verb, group, resource) = (verb.clone(), group.clone(), resource.clone());
                    (
                        AuthorizerAttributes {
                            verb,
                            group,
                            resource,
                            name: name.clone(),
                            namespace: None,
                        },
                        rule,
                    )
                }));
            }
        }
    }
    all
}
