//! Authorization: callers, RBAC rules, access reviews, and who may use a security context
//! constraint (Kubernetes docs, "Using RBAC Authorization"; openshift/apiserver-library-go,
//! sccmatching).

use serde_json::{Value as Json, json};

use super::request::{ApiRequest, Caller};
use super::status::Failure;
use super::store::Store;
use super::types::ResourceType;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

impl Caller {
    /// The user name authorization and messages use.
    pub(crate) fn user(&self) -> String {
        match self {
            Caller::Admin => "system:admin".to_owned(),
            Caller::ReadOnly => "reader".to_owned(),
            Caller::ServiceAccount { namespace, name } => {
                format!("system:serviceaccount:{namespace}:{name}")
            }
            Caller::User { name, .. } => name.clone(),
            Caller::Anonymous => "system:anonymous".to_owned(),
        }
    }

    /// The groups the caller is in.
    pub(crate) fn groups(&self) -> Vec<String> {
        match self {
            Caller::Admin => vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            Caller::ReadOnly => vec!["system:authenticated".to_owned()],
            Caller::ServiceAccount { namespace, .. } => service_account_groups(namespace),
            Caller::User { groups, .. } => {
                let mut groups = groups.clone();
                groups.push("system:authenticated".to_owned());
                groups
            }
            Caller::Anonymous => vec!["system:unauthenticated".to_owned()],
        }
    }
}

fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ]
}

/// What a request wants to do, as an authorizer sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuthorizerAttributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// `pods` or `pods/log`.
    pub(crate) resource: String,
    /// Empty for no particular object.
    pub(crate) name: String,
    /// `None` for the cluster scope.
    pub(crate) namespace: Option<String>,
}

/// Whether RBAC lets a user (with these groups) do this. Members of `system:masters` may do everything.
fn may(store: &Store, user: &str, groups: &[String], deed: &AuthorizerAttributes) -> bool {
    let namespace = deed.namespace.as_deref();
    groups.iter().any(|each| each == "system:masters")
        || rules_for(store, user, groups, namespace).iter().any(|rule| covers(rule, deed))
}

/// Whether the service account may use the security context constraint in its namespace: named
/// in `users`, in one of `groups`, or allowed the verb `use` by RBAC, in this order.
pub(crate) fn scc_allows(store: &Store, scc: &str, namespace: &str, service_account: &str) -> bool {
    let path = format!("/apis/security.openshift.io/v1/securitycontextconstraints/{scc}");
    let Some(object) = store.get(&path) else {
        return false;
    };
    let user = format!("system:serviceaccount:{namespace}:{service_account}");
    let groups = service_account_groups(namespace);
    let lists = |field: &str, wanted: &[String]| {
        object[field]
            .as_array()
            .into_iter()
            .flatten()
            .any(|entry| wanted.iter().any(|wanted| entry == wanted))
    };
    let deed = AuthorizerAttributes {
        verb: "use".to_owned(),
        group: "security.openshift.io".to_owned(),
        resource: "securitycontextconstraints".to_owned(),
        name: scc.to_owned(),
        namespace: Some(namespace.to_owned()),
    };
    lists("users", std::slice::from_ref(&user))
        || lists("groups", &groups)
        || may(store, &user, &groups, &deed)
}

/// Whether the caller may do this; the reader may look at everything and review its own access.
pub(crate) fn allowed(store: &Store, caller: &Caller, deed: &AuthorizerAttributes) -> bool {
    let looks = matches!(deed.verb.as_str(), "get" | "list" | "watch");
    match caller {
        Caller::Admin => true,
        Caller::ReadOnly if looks => true,
        Caller::ReadOnly | Caller::ServiceAccount { .. } | Caller::User { .. } => {
            may(store, &caller.user(), &caller.groups(), deed)
        }
        Caller::Anonymous => false,
    }
}

/// The caller a request acts as: `Impersonate-User` and `Impersonate-Group` (kubectl `--as`),
/// for those who may impersonate.
pub(crate) fn impersonated(
    store: &Store,
    caller: &Caller,
    request: &ApiRequest<'_>,
) -> Result<Caller, Failure> {
    let values = |name: &str| -> Vec<String> {
        let all = request.headers.get_all(name).iter();
        all.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    };
    let Some(user) = values("impersonate-user").into_iter().next() else {
        return Ok(caller.clone());
    };
    let deed = AuthorizerAttributes {
        verb: "impersonate".to_owned(),
        resource: "users".to_owned(),
        name: user.clone(),
        ..AuthorizerAttributes::default()
    };
    if !allowed(store, caller, &deed) {
        let users = ResourceType { plural: "users".to_owned(), ..ResourceType::default() };
        let why = format!(
            "User \"{}\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            caller.user()
        );
        return Err(Failure::forbidden(&users, &user, &why));
    }
    let groups = values("impersonate-group");
    let account = user.strip_prefix("system:serviceaccount:");
    Ok(match account.and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) if groups.is_empty() => {
            Caller::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
        }
        Some(_) | None => Caller::User { name: user, groups },
    })
}

fn rules_for(store: &Store, user: &str, groups: &[String], namespace: Option<&str>) -> Vec<Json> {
    let mut bindings = store.list(&format!("{RBAC}/clusterrolebindings"));
    if let Some(namespace) = namespace {
        bindings.extend(store.list(&format!("{RBAC}/namespaces/{namespace}/rolebindings")));
    }
    bindings
        .into_iter()
        .filter(|binding| {
            let subjects = binding["subjects"].as_array();
            subjects.into_iter().flatten().any(|subject| {
                let name = subject["name"].as_str().unwrap_or_default();
                match subject["kind"].as_str() {
                    Some("User") => name == user,
                    Some("Group") => groups.iter().any(|group| group == name),
                    Some("ServiceAccount") => {
                        let home = subject["namespace"].as_str().unwrap_or_default();
                        user == format!("system:serviceaccount:{home}:{name}")
                    }
                    _ => false,
                }
            })
        })
        .flat_map(|binding| role_rules(store, binding))
        .collect()
}

pub(crate) fn role_rules(store: &Store, binding: &Json) -> Vec<Json> {
    let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
    let path = if binding["roleRef"]["kind"] == "Role" {
        let namespace = binding["metadata"]["namespace"].as_str().unwrap_or_default();
        format!("{RBAC}/namespaces/{namespace}/roles/{name}")
    } else {
        format!("{RBAC}/clusterroles/{name}")
    };
    let Some(role) = store.get(&path) else {
        return Vec::new();
    };
    let own = |role: &Json| role["rules"].as_array().cloned().unwrap_or_default();
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
    let Some(selectors) = selectors else {
        return own(role);
    };
    let chosen = |role: &Json| {
        selectors.iter().any(|selector| {
            selector["matchLabels"].as_object().is_some_and(|labels| {
                labels.iter().all(|(key, value)| &role["metadata"]["labels"][key] == value)
            })
        })
    };
    store
        .list(&format!("{RBAC}/clusterroles"))
        .into_iter()
        .filter(|role| chosen(role))
        .flat_map(own)
        .collect()
}

fn covers(rule: &Json, deed: &AuthorizerAttributes) -> bool {
    let has = |field: &str, wanted: &str| {
        rule[field].as_array().into_iter().flatten().any(|entry| entry == "*" || entry == wanted)
    };
    let any_parent =
        deed.resource.split_once('/').is_some_and(|(_, sub)| has("resources", &format!("*/{sub}")));
    let names = rule["resourceNames"].as_array();
    let named =
        names.is_none_or(|names| names.is_empty() || names.iter().any(|name| *name == deed.name));
    has("verbs", &deed.verb)
        && has("apiGroups", &deed.group)
        && (has("resources", &deed.resource) || any_parent)
        && named
}

/// Answers the create-only review types.
pub(crate) fn review(
    store: &Store,
    caller: &Caller,
    plural: &str,
    mut object: Json,
) -> Result<Json, Failure> {
    match plural {
        "selfsubjectaccessreviews" => {
            let deed = AuthorizerAttributes::read(&object["spec"])?;
            let allowed = allowed(store, caller, &deed);
            object["status"] = verdict(allowed);
        }
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let deed = AuthorizerAttributes::read(&object["spec"])?;
            let user = object["spec"]["user"].as_str().unwrap_or_default();
            let groups: Vec<String> = object["spec"]["groups"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|group| group.as_str().map(str::to_owned))
                .collect();
            if user.is_empty() && groups.is_empty() {
                return Err(Failure::unprocessable(
                    "SubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.user: Invalid value: \"\": at least one of user or group must be specified",
                ));
            }
            object["status"] = verdict(may(store, user, &groups, &deed));
        }
        "selfsubjectrulesreviews" => {
            let namespace = object["spec"]["namespace"].as_str();
            let mut rules = rules_for(store, &caller.user(), &caller.groups(), namespace);
            if matches!(caller, Caller::ReadOnly) {
                rules.push(json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}));
            }
            let (urls, resources): (Vec<Json>, Vec<Json>) =
                rules.into_iter().partition(|rule| rule.get("nonResourceURLs").is_some());
            object["status"] = json!({
                "incomplete": false,
                "nonResourceRules": urls,
                "resourceRules": resources,
            });
        }
        _ => {
            object["status"] =
                json!({"userInfo": {"username": caller.user(), "groups": caller.groups()}});
        }
    }
    Ok(object)
}

fn verdict(allowed: bool) -> Json {
    if allowed { json!({"allowed": true}) } else { json!({"allowed": false, "reason": ""}) }
}

impl AuthorizerAttributes {
    /// The attributes of an access review.
    fn read(spec: &Json) -> Result<AuthorizerAttributes, Failure> {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let (attributes, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        if other["path"].is_string() {
            let (verb, resource) = (text(&other["verb"]), text(&other["path"]));
            return Ok(AuthorizerAttributes { verb, resource, ..AuthorizerAttributes::default() });
        }
        if !attributes.is_object() {
            return Err(Failure::unprocessable(
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
        let (resource, sub) = (text(&attributes["resource"]), text(&attributes["subresource"]));
        Ok(AuthorizerAttributes {
            verb: text(&attributes["verb"]),
            group: text(&attributes["group"]),
            resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
            name: text(&attributes["name"]),
            namespace: Some(text(&attributes["namespace"])).filter(|it| !it.is_empty()),
        })
    }
}
