//! SCC grants: what counts as granted, and what is sent.

use super::*;

fn grant(method: GrantMethod) -> SccGrant {
    let accounts = [("azureml", "default"), ("ml", "default")];
    SccGrant {
        key: Key::new("edge", KindName::SccGrant, "privileged"),
        method,
        accounts: accounts.iter().map(|(n, text)| ((*n).into(), (*text).into())).collect(),
        distribution: None,
    }
}

fn live(scc: Json, cluster_bindings: Json, azureml_bindings: Json) -> Live {
    let roles = json!([{"metadata": {"name": "system:openshift:scc:privileged"}, "rules": [{
        "verbs": ["use"], "apiGroups": ["security.openshift.io"],
        "resources": ["securitycontextconstraints"], "resourceNames": ["privileged"]}]}]);
    Live(vec![
        Some(scc),
        Some(cluster_bindings),
        Some(roles),
        Some(azureml_bindings),
        Some(json!([])),
        Some(json!([])),
        Some(json!([])),
    ])
}

#[test]
fn a_grant_by_user_group_or_role_counts_alike() {
    let subject = json!({"kind": "ServiceAccount", "namespace": "azureml", "name": "default"});
    let role = json!({"kind": "ClusterRole", "name": "system:openshift:scc:privileged"});
    let binding = json!([{"metadata": {"name": "x"}, "roleRef": role, "subjects": [subject]}]);
    let cases = [
        (json!({"users": ["system:serviceaccount:azureml:default"]}), json!([]), json!([])),
        (
            json!({"groups": ["system:serviceaccounts:azureml"], "users": null}),
            json!([]),
            json!([]),
        ),
        (json!({}), binding.clone(), json!([])),
        (json!({}), json!([]), binding),
    ];
    for (scc, cluster, namespaced) in cases {
        let live = live(scc.clone(), cluster, namespaced);
        let grant = grant(GrantMethod::Rbac);
        assert!(grant.holds(&live, "azureml", "default", true), "{scc}");
        assert!(!grant.holds(&live, "ml", "default", true), "{scc}");
    }
}

#[test]
fn only_missing_accounts_are_bound_and_the_scc_stays_untouched() {
    let scc = json!({"users": ["system:serviceaccount:azureml:default"]});
    let live = live(scc, json!([]), json!([]));
    let grant = grant(GrantMethod::Rbac);
    let want = grant.want(&Snapshot::default());
    let change = Change { verb: Verb::Update, want: &want, live: &live, changes: &[] };
    let requests = grant.requests(&change);
    let [Request::Apply { object, .. }] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(object.namespace.as_deref(), Some("ml"));
}

#[test]
fn a_grant_that_amlplan_did_not_write_is_not_removed() {
    let users = json!({"users": ["system:serviceaccount:azureml:default"]});
    let live = live(users, json!([]), json!([]));
    assert!(grant(GrantMethod::Users).removable(&live).is_err());
}
