//! SCC grants: what counts as granted, and what is sent.

use super::*;

const GRANTS: GrantMethod = GrantMethod::Rbac;
const NOTHING: [&str; 0] = [];

fn grant(method: GrantMethod) -> SccGrant {
    let accounts = [("azureml", "default"), ("ml", "default")];
    SccGrant {
        key: Key::new("edge", KindName::SccGrant, "privileged"),
        method,
        accounts: accounts.iter().map(|(n, text)| ((*n).into(), (*text).into())).collect(),
        distribution: None,
    }
}

/// The four words of a rule: verb, API group, resource, name; `-` stands for no name.
fn role(name: &str, rule: &str) -> Json {
    let words: Vec<&str> = rule.split(' ').collect();
    let [verb, group, resource, scc] = words[..] else { panic!("{rule}") };
    let names: &[&str] = if scc == "-" { &[] } else { &[scc] };
    json!({"metadata": {"name": name}, "rules": [{"verbs": [verb], "apiGroups": [group],
        "resources": [resource], "resourceNames": names}]})
}

fn bind(name: &str, kind: &str, role: &str, subject: &Json) -> Json {
    json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": [subject]})
}

/// What a grant reads, in the order of its reads.
#[derive(Clone, Default)]
struct Granted {
    scc: Json,
    cluster: (Vec<Json>, Vec<Json>),
    azureml: (Vec<Json>, Vec<Json>),
    ml: (Vec<Json>, Vec<Json>),
}

impl Granted {
    fn live(&self) -> Live {
        let mut all = vec![Some(self.scc.clone())];
        for (bindings, roles) in [&self.cluster, &self.azureml, &self.ml] {
            all.extend([Some(json!(bindings)), Some(json!(roles))]);
        }
        Live(all)
    }

    /// Our bindings, with these subjects, and the role that they name.
    fn ours(azureml: &[(&str, &str)], ml: &[(&str, &str)]) -> Self {
        let grant = grant(GRANTS);
        let binding = |namespace, accounts: &[(&str, &str)]| -> Vec<Json> {
            let accounts: BTreeSet<_> =
                accounts.iter().map(|(n, text)| ((*n).to_owned(), (*text).to_owned())).collect();
            let body = grant.binding_body(&grant.binding(namespace), &accounts).to_stored();
            if accounts.is_empty() { Vec::new() } else { vec![body] }
        };
        Self {
            scc: json!({"metadata": {"name": "privileged"}}),
            cluster: (Vec::new(), vec![role(&grant.role_name(), USE)]),
            azureml: (binding("azureml", azureml), Vec::new()),
            ml: (binding("ml", ml), Vec::new()),
        }
    }
}

const USE: &str = "use security.openshift.io securitycontextconstraints privileged";

/// Which of the two accounts hold it.
fn held(world: &Granted) -> (bool, bool) {
    let (grant, live) = (grant(GRANTS), world.live());
    let holds = |namespace| grant.holds(&live, namespace, "default", true);
    (holds("azureml"), holds("ml"))
}

fn account(namespace: &str) -> Json {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": "default"})
}

#[test]
fn the_lists_of_the_scc_grant_to_the_account_and_to_its_groups() {
    for (scc, wanted) in [
        (json!({}), (false, false)),
        (json!({"users": null, "groups": null}), (false, false)),
        (json!({"users": ["system:serviceaccount:azureml:default"]}), (true, false)),
        (json!({"users": ["system:serviceaccount:ml:default"]}), (false, true)),
        (json!({"users": ["system:serviceaccount:azureml:other"]}), (false, false)),
        (json!({"groups": ["system:serviceaccounts:azureml"], "users": null}), (true, false)),
        (json!({"groups": ["system:serviceaccounts"]}), (true, true)),
        (json!({"groups": ["system:authenticated"]}), (true, true)),
        (json!({"groups": ["system:serviceaccount:azureml:default"]}), (false, false)),
    ] {
        assert_eq!(held(&Granted { scc: scc.clone(), ..Granted::default() }), wanted, "{scc}");
    }
}

#[test]
fn a_role_grants_where_it_lets_use_this_scc() {
    for (rule, grants) in [
        (USE, true),
        ("* * * *", true),
        ("use security.openshift.io securitycontextconstraints -", true),
        ("use security.openshift.io securitycontextconstraints other", false),
        ("get security.openshift.io securitycontextconstraints privileged", false),
        ("use apps securitycontextconstraints privileged", false),
        ("use security.openshift.io pods privileged", false),
    ] {
        // The role of the cluster or of the namespace, bound in the cluster or in the namespace.
        for (kind, own_role, own_binding, wanted) in [
            ("ClusterRole", false, false, (grants, false)),
            ("ClusterRole", false, true, (grants, false)),
            ("Role", true, true, (grants, false)),
            ("ClusterRole", true, true, (false, false)),
            ("Role", false, true, (false, false)),
            ("Role", true, false, (false, false)),
            ("Role", false, false, (false, false)),
        ] {
            let mut world = Granted::default();
            let roles = if own_role { &mut world.azureml.1 } else { &mut world.cluster.1 };
            roles.extend([role("elsewhere", "get apps pods -"), role("r", rule)]);
            let bindings = if own_binding { &mut world.azureml.0 } else { &mut world.cluster.0 };
            bindings.push(bind("b", kind, "r", &account("azureml")));
            let told = format!("{rule}: {kind} {own_role} {own_binding}");
            assert_eq!(held(&world), wanted, "{told}");
            // The same in the other namespace.
            let mut other =
                Granted { ml: world.azureml, cluster: world.cluster, ..Granted::default() };
            for binding in other.ml.0.iter_mut().chain(&mut other.cluster.0) {
                binding["subjects"] = json!([account("ml")]);
            }
            assert_eq!(held(&other), (wanted.1, wanted.0), "{told} in the other namespace");
        }
    }
}

#[test]
fn a_binding_grants_to_its_subjects() {
    for (subject, wanted) in [
        (account("azureml"), (true, false)),
        (json!({"kind": "ServiceAccount", "namespace": "azureml", "name": "x"}), (false, false)),
        (json!({"kind": "User", "name": "system:serviceaccount:ml:default"}), (false, true)),
        (json!({"kind": "User", "name": "default", "namespace": "ml"}), (false, false)),
        (json!({"kind": "Group", "name": "system:serviceaccounts:ml"}), (false, true)),
        (json!({"kind": "Group", "name": "system:serviceaccounts"}), (true, true)),
        (json!({"kind": "Group", "name": "system:authenticated"}), (true, true)),
        (json!({"kind": "Group", "name": "admins"}), (false, false)),
        (json!({"kind": "Other", "name": "default", "namespace": "ml"}), (false, false)),
    ] {
        let cluster = (vec![bind("b", "ClusterRole", "r", &subject)], vec![role("r", USE)]);
        assert_eq!(held(&Granted { cluster, ..Granted::default() }), wanted, "{subject}");
    }
}

/// The requests of a verb in a line each.
fn sent(method: GrantMethod, verb: Verb, world: &Granted) -> Vec<String> {
    let (grant, live) = (grant(method), world.live());
    let want = grant.want(&Snapshot::default());
    let requests = grant.requests(&Change { verb, want: &want, live: &live, changes: &[] });
    let line = |request: &Request| match request {
        Request::Apply { object, body, take_over } => {
            let body = body.to_stored();
            let subjects: Vec<&str> =
                items(&body, "/subjects").map(|it| text(it, "/namespace")).collect();
            let namespace = object.namespace.as_deref().unwrap_or("-");
            let over = if *take_over { " over" } else { "" };
            assert_eq!(
                (text(&body, "/metadata/name"), text(&body, "/kind")),
                (&*object.name, &*object.kind)
            );
            format!("apply {namespace} {}{over}: {}", object.name, subjects.join(","))
        }
        Request::DeleteObject { object } => {
            format!("delete {} {}", object.namespace.as_deref().unwrap_or("-"), object.name)
        }
        Request::AddUsers { object, users } => format!("add {} {}", object.name, users.join(",")),
        Request::RemoveUsers { object, users } => {
            format!("remove {} {}", object.name, users.join(","))
        }
        other => panic!("{other:?}"),
    };
    requests.iter().map(line).collect()
}

#[test]
fn only_what_is_missing_is_bound_and_what_is_bound_too_much_goes() {
    const ROLE: &str = "apply - system:openshift:scc:privileged: ";
    let rbac = |world: &Granted| sent(GRANTS, Verb::Update, world);
    let own = |namespace: &str| format!("apply {namespace} amlplan-scc-privileged: {namespace}");
    assert_eq!(rbac(&Granted::default()), [ROLE.to_owned(), own("azureml"), own("ml")]);
    let (one, two) = (("azureml", "default"), ("ml", "default"));
    let good = Granted::ours(&[one], &[two]);
    assert_eq!(rbac(&good), NOTHING);
    // Bound to somebody else: ours to mend.
    let over = "apply ml amlplan-scc-privileged over: ml";
    assert_eq!(rbac(&Granted::ours(&[one], &[one])), [over]);
    // Granted by others as well: ours is not needed there.
    let scc = json!({"users": ["system:serviceaccount:ml:default"]});
    let gone = "delete ml amlplan-scc-privileged";
    assert_eq!(rbac(&Granted { scc: scc.clone(), ..good.clone() }), [gone]);
    assert_eq!(rbac(&Granted { scc, ..Granted::ours(&[one], &[]) }), NOTHING);

    assert_eq!(
        sent(GRANTS, Verb::Delete, &Granted::ours(&[], &[two])),
        ["delete ml amlplan-scc-privileged"]
    );
    let users = "system:serviceaccount:azureml:default,system:serviceaccount:ml:default";
    let list = |verb, scc: Json| {
        sent(GrantMethod::Users, verb, &Granted { scc, ..Granted::default() }).remove(0)
    };
    assert_eq!(list(Verb::Create, json!({})), format!("add privileged {users}"));
    let (first, second) = users.split_once(',').unwrap();
    assert_eq!(list(Verb::Update, json!({"users": [first]})), format!("add privileged {second}"));
    // Only whom the SCC remembers as ours is taken out of it.
    let added = json!([second, "system:admin"]).to_string();
    let scc = json!({"users": [first, second], "metadata": {"annotations": {ADDED_USERS: added}}});
    assert_eq!(list(Verb::Delete, scc.clone()), format!("remove privileged {second}"));
    let theirs = json!({"users": [first], "metadata": {"annotations": {ADDED_USERS: "no list"}}});
    let (ours, theirs) =
        (Granted { scc, ..Granted::default() }, Granted { scc: theirs, ..Granted::default() });
    let list = grant(GrantMethod::Users);
    assert_eq!((list.gone(&ours.live()), list.gone(&theirs.live())), (false, true));
    assert!(list.removable(&theirs.live()).is_err());
    assert_eq!(list.removal_impact(), Impact::DisruptsJobsAndEndpoints);
    let binding = grant(GRANTS);
    assert_eq!((binding.gone(&good.live()), binding.gone(&ours.live())), (false, true));
}

#[test]
fn what_is_granted_shows_as_it_is_wanted() {
    let (one, two) = (("azureml", "default"), ("ml", "default"));
    let rbac = grant(GRANTS);
    let want = rbac.want(&Snapshot::default());
    let good = Granted::ours(&[one], &[two]).live();
    assert!(rbac.differences(&want, &good).is_empty());
    assert_eq!(rbac.readiness(&want, &good), Readiness::Ready);
    // Somebody else in our binding is a difference, also when it is all that is there.
    let stranger = Granted::ours(&[], &[("ml", "stranger")]).live();
    let shown = rbac.shown(&stranger).unwrap();
    let names: Vec<&str> = items(&shown, "/subjects").map(|it| text(it, "/name")).collect();
    assert_eq!(names, ["stranger"]);
    assert_eq!(rbac.differences(&want, &stranger).len(), 1);
    assert_eq!(rbac.readiness(&want, &stranger), Readiness::Absent);
    let none = Granted { scc: json!({}), ..Granted::default() }.live();
    assert_eq!(rbac.shown(&none), None);
    assert!(matches!(rbac.readiness(&want, &Live(vec![None])), Readiness::NeedsHuman(_)));
    let nobody = SccGrant { accounts: BTreeSet::new(), ..rbac };
    assert_eq!(nobody.readiness(&want, &none), Readiness::Ready);
    // The order of a list means nothing.
    for list in ["/users", "/subjects"] {
        assert!(nobody.rules().same.contains(&(list, Same::Set)), "{list}");
    }
}

#[test]
fn who_else_writes_our_binding_is_told() {
    let mut world = Granted::ours(&[("azureml", "default")], &[("ml", "default")]);
    let fields = |manager: &str| json!([{"manager": "amlplan"}, {"manager": manager}]);
    world.ml.0[0]["metadata"]["managedFields"] = fields("argocd");
    let mut foreign = bind("other", "Role", "r", &account("ml"));
    foreign["metadata"]["managedFields"] = fields("kubectl");
    world.ml.0.push(foreign);
    assert_eq!(grant(GRANTS).other_writers(&world.live()), ["argocd"]);
}

#[test]
fn it_is_for_openshift_only() {
    let world = |azure: &str, scc: Option<Json>| {
        let mut world = Snapshot::default();
        let cluster = json!({"properties": {"distribution": azure}});
        world.live.insert(Key::new("edge", KindName::Cluster, "edge"), Live(vec![Some(cluster)]));
        world.live.insert(Key::new("edge", KindName::SccGrant, "privileged"), Live(vec![scc]));
        world
    };
    let scc = Some(json!({}));
    for (declared, azure, seen, may, applies) in [
        (None, "openshift", None, true, true),
        (None, "OpenShift", None, true, true),
        (None, "k3s", scc.clone(), false, false),
        (None, "generic", scc.clone(), true, true),
        (None, "Generic", None, true, false),
        (None, "", scc.clone(), true, true),
        (Some("k3s"), "openshift", scc.clone(), false, false),
        (Some("openshift"), "k3s", None, true, true),
    ] {
        let own = SccGrant { distribution: declared.map(str::to_owned), ..grant(GRANTS) };
        let world = world(azure, seen);
        assert_eq!(
            (own.may_apply(&world), own.applies(&world)),
            (may, applies),
            "{declared:?} {azure}"
        );
    }
}
