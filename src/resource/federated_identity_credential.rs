//! Federated identity credentials: pods of a service account act as a managed identity
//! (Azure REST: Managed Identity federatedIdentityCredentials; Entra docs: workload identity
//! federation, considerations).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::graph::{ClusterAccess, Desired, GraphBuilder};
use super::orphans::Search;
use super::part::{Around, AzForm, Lists, Options, word};
use super::update::{self, Takes};
use super::{
    About, Change, Document, Family, Impact, Kind, Live, Read, Readiness, Request, Resource, Rules,
    Snapshot, Target,
};
use crate::catalog::ArmType;
use crate::language::{self, CloudName, CloudSpec, ClusterType, DriftClass, ServiceAccount};
use crate::model::{ArmId, Json, Key, KindName, Later, Pointer, Value, text};

pub(super) const ABOUT: About = About {
    class: DriftClass::Grant,
    family: Family::Access,
    part: "federatedIdentityCredentials",
    wire: |rest| match rest {
        ["issuer", ..] => Pointer::parse("/properties/issuer"),
        ["serviceAccount", ..] => Pointer::parse("/properties/subject"),
        ["audiences", ..] => Pointer::parse("/properties/audiences"),
        _ => Pointer::root(),
    },
    ..About::AZURE
};

const TYPE: &str = "federatedIdentityCredentials";

/// The trust of a managed identity in a service account of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederatedIdentityCredential {
    /// The address.
    pub key: Key,
    /// Azure id of the identity.
    pub identity: ArmId,
    /// Its name below the identity.
    pub name: String,
    /// The cluster, which says its issuer.
    pub cluster: Key,
    /// The issuer that the manifest declares.
    pub issuer: Option<String>,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// What the tokens are for.
    pub audiences: Vec<String>,
}

impl FederatedIdentityCredential {
    fn id(&self) -> ArmId {
        self.identity.child(TYPE, &self.name)
    }
}

/// Where a cluster names the issuer of its tokens: AKS, and Azure Arc.
fn issuer_of(cluster: &Json) -> Option<&str> {
    let both =
        ["/properties/oidcIssuerProfile/issuerURL", "/properties/oidcIssuerProfile/issuerUrl"];
    both.into_iter().map(|it| text(cluster, it)).find(|it| !it.is_empty())
}

/// What tokens are for where the manifest does not say (Entra docs: workload identity federation).
fn audience(cloud: &CloudSpec) -> &'static str {
    match cloud {
        CloudSpec::Named(CloudName::AzureUSGovernment) => "api://AzureADTokenExchangeUSGov",
        CloudSpec::Named(CloudName::AzureChinaCloud) => "api://AzureADTokenExchangeChina",
        CloudSpec::Named(CloudName::AzureCloud) | CloudSpec::Custom(_) => {
            "api://AzureADTokenExchange"
        }
    }
}

fn subject(account: &ServiceAccount) -> String {
    format!("system:serviceaccount:{}:{}", account.namespace, account.name)
}

/// The service account behind a subject.
fn account(subject: &str) -> Option<ServiceAccount> {
    let (namespace, name) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn list(identity: &ArmId) -> Read {
    let api_version = ArmType::IDENTITIES.api_version;
    Read::ArmList { path: format!("{identity}/{TYPE}"), api_version }
}

/// The identities whose credentials a cluster of the graph declares, each once.
fn identities<'a>(desired: &'a Desired, scope: &'a str) -> Vec<&'a ArmId> {
    let own = desired.in_scope(scope).filter_map(|(_, node)| match &node.resource {
        Resource::FederatedIdentityCredential(credential) => Some(&credential.identity),
        _ => None,
    });
    let mut own: Vec<&ArmId> = own.collect();
    own.sort();
    own.dedup();
    own
}

/// The part of the manifest.
pub(super) struct FederatedIdentityCredentials;

impl super::part::Part for FederatedIdentityCredentials {
    fn declare(&self, builder: &mut GraphBuilder<'_>) {
        let spec = builder.spec;
        let cluster = builder.key(KindName::Cluster, builder.cluster_id.name());
        for (index, one) in spec.federated_identity_credentials.iter().enumerate() {
            let at = format!("/federatedIdentityCredentials/{index}");
            let place = format!("{at}/identity");
            let Some(identity) = builder.arm_id(&one.identity, &place) else { continue };
            let owner = builder.read_only(KindName::ManagedIdentity, identity.clone(), &place);
            let audiences = match &one.audiences[..] {
                [] => vec![audience(&spec.azure.cloud).to_owned()],
                own => own.to_vec(),
            };
            let resource = FederatedIdentityCredential {
                key: builder.key(KindName::FederatedIdentityCredential, &one.name),
                identity,
                name: one.name.clone(),
                cluster: cluster.clone(),
                issuer: one.issuer.clone(),
                subject: subject(&one.service_account),
                audiences,
            };
            builder.add(resource, &[cluster.clone(), owner], &at);
        }
    }

    fn az(&self) -> Option<AzForm> {
        Some(AzForm {
            kind: KindName::FederatedIdentityCredential,
            verb: "az identity federated-credential create",
            options: &[
                &["--name", "-n"],
                &["--identity-name"],
                &["--resource-group", "-g"],
                &["--subscription"],
                &["--issuer"],
                &["--subject"],
                &["--audiences", "--audience"],
            ],
            needed: &["--name", "--identity-name", "--subject"],
            write: |cluster| {
                let all = &cluster.federated_identity_credentials;
                all.iter().map(|spec| options(cluster, spec)).collect()
            },
            read: declared,
        })
    }

    fn live(&self, around: &Around<'_>) -> Vec<Read> {
        let identities = around.computes.iter().filter_map(|(_, value)| {
            value.pointer("/identity/userAssignedIdentities").and_then(Json::as_object)
        });
        let ids = identities.flat_map(|it| it.keys()).filter_map(|text| ArmId::parse(text).ok());
        ids.map(|id| list(&id)).collect()
    }

    /// Those that trust the cluster's issuer.
    fn take(&self, around: &Around<'_>, lists: &Lists, cluster: &mut language::ClusterSpec) {
        let Some(issuer) = issuer_of(around.cluster) else { return };
        let mut asked = self.live(around);
        asked.sort();
        asked.dedup();
        for value in asked.iter().filter_map(|it| lists.get(it)).flatten() {
            let id = ArmId::parse(text(value, "/id")).ok();
            let account = account(text(value, "/properties/subject"));
            let (Some(id), Some(service_account)) = (id, account) else { continue };
            if text(value, "/properties/issuer") != issuer {
                continue;
            }
            let audiences = value.pointer("/properties/audiences").and_then(Json::as_array);
            let audiences = audiences.into_iter().flatten();
            let audiences: Vec<String> =
                audiences.filter_map(|value| value.as_str().map(str::to_owned)).collect();
            cluster.federated_identity_credentials.push(
                language::FederatedIdentityCredentialSpec {
                    name: id.name().to_owned(),
                    identity: id.up_to("userAssignedIdentities").to_string(),
                    service_account,
                    issuer: None,
                    audiences: unlike_default(audiences, &cluster.azure.cloud),
                },
            );
        }
    }

    fn lists(&self, desired: &Desired, scope: &str, _: &ClusterAccess) -> Vec<Read> {
        identities(desired, scope).into_iter().map(list).collect()
    }

    /// A credential has no place for a mark, so the name says whose it is.
    fn orphans(&self, search: &Search<'_>) -> Vec<Resource> {
        let orphan = |(id, document): (ArmId, &Json)| {
            named_for(search.scope, id.name()).then(|| {
                let resource = FederatedIdentityCredential {
                    key: search.key(KindName::FederatedIdentityCredential, id.name(), id.name()),
                    identity: id.up_to("userAssignedIdentities"),
                    name: id.name().to_owned(),
                    cluster: Key::new(search.scope, KindName::Cluster, search.access.id.name()),
                    issuer: Some(text(document, "/properties/issuer").to_owned()),
                    subject: text(document, "/properties/subject").to_owned(),
                    audiences: Vec::new(),
                };
                resource.into()
            })
        };
        undeclared(search).into_iter().filter_map(orphan).collect()
    }

    fn foreign(&self, search: &Search<'_>) -> Vec<(Key, String)> {
        let foreign = |(id, document): (ArmId, &Json)| {
            let key = Key::new(search.scope, KindName::FederatedIdentityCredential, id.name());
            let subject = text(document, "/properties/subject");
            let message = format!(
                "this identity also trusts {subject} of the cluster, which is not declared: {id}"
            );
            (!named_for(search.scope, id.name())).then_some((key, message))
        };
        undeclared(search).into_iter().filter_map(foreign).collect()
    }
}

/// Whether a name says that the manifest of a cluster made the credential.
fn named_for(scope: &str, name: &str) -> bool {
    let rest = name.strip_prefix("amlplan-").and_then(|text| text.strip_prefix(scope));
    rest.is_some_and(|text| text.starts_with('-'))
}

/// Credentials of the declared identities for this cluster's tokens that nobody declares.
fn undeclared<'a>(search: &'a Search<'_>) -> Vec<(ArmId, &'a Json)> {
    let Some(issuer) = search.live.cluster(search.scope).and_then(issuer_of) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for identity in identities(search.desired, search.scope) {
        for value in search.list(&list(identity)) {
            if text(value, "/properties/issuer") == issuer {
                found.extend(search.undeclared(value).map(|id| (id, value)));
            }
        }
    }
    found
}

fn unlike_default(audiences: Vec<String>, cloud: &CloudSpec) -> Vec<String> {
    if audiences == [audience(cloud)] { Vec::new() } else { audiences }
}

/// What the options of a command declare; an error for subjects outside of Kubernetes.
fn declared(options: &Options, cluster: &mut language::ClusterSpec) -> Result<(), String> {
    let value = |name: &str| options.get(name).cloned();
    let subject = value("--subject").unwrap_or_default();
    let Some(service_account) = account(&subject) else {
        return Err(format!("`{subject}` is no service account of the cluster"));
    };
    let azure = &cluster.azure;
    let subscription = value("--subscription").unwrap_or_else(|| azure.subscription.clone());
    let group = value("--resource-group").unwrap_or_else(|| azure.resource_group.clone());
    let owner = value("--identity-name").unwrap_or_default();
    let identity = ArmId::resource(&subscription, &group, ArmType::IDENTITIES.name, &owner);
    let audiences = value("--audiences").into_iter().collect();
    let spec = language::FederatedIdentityCredentialSpec {
        name: value("--name").unwrap_or_default(),
        identity: identity.to_string(),
        service_account,
        // What a script asks of the cluster is what is read without being told.
        issuer: value("--issuer").filter(|text| text.starts_with("https://")),
        audiences: unlike_default(audiences, &azure.cloud),
    };
    cluster.federated_identity_credentials.retain(|known| known.name != spec.name);
    cluster.federated_identity_credentials.push(spec);
    Ok(())
}

/// The options of `az identity federated-credential create`.
fn options(
    cluster: &language::ClusterSpec,
    spec: &language::FederatedIdentityCredentialSpec,
) -> Vec<String> {
    let issuer = spec.issuer.as_deref().map_or_else(
        || {
            let show = match cluster.cluster.kind {
                ClusterType::ManagedClusters => "aks",
                ClusterType::ConnectedClusters => "connectedk8s",
            };
            format!(
                "\"$(az {show} show --name {} --resource-group {} --query \
                 oidcIssuerProfile.issuerUrl --output tsv)\"",
                word(&cluster.cluster.name),
                word(&cluster.azure.resource_group),
            )
        },
        word,
    );
    let identity = ArmId::parse(&spec.identity).ok();
    let part = |of: fn(&ArmId) -> &str| word(identity.as_ref().map(of).unwrap_or_default());
    let mut options = vec![
        format!("--name {}", word(&spec.name)),
        format!("--identity-name {}", part(ArmId::name)),
        format!("--resource-group {}", part(|id| id.resource_group().unwrap_or_default())),
    ];
    let subscription = identity.as_ref().map(ArmId::subscription).unwrap_or_default();
    if !subscription.eq_ignore_ascii_case(&cluster.azure.subscription) {
        options.push(format!("--subscription {}", word(subscription)));
    }
    options.push(format!("--issuer {issuer}"));
    options.push(format!("--subject {}", word(&subject(&spec.service_account))));
    let default = [audience(&cluster.azure.cloud).to_owned()];
    let audiences = if spec.audiences.is_empty() { &default[..] } else { &spec.audiences[..] };
    let audiences: Vec<String> = audiences.iter().map(|audience| word(audience)).collect();
    options.push(format!("--audiences {}", audiences.join(" ")));
    options
}

impl Kind for FederatedIdentityCredential {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.id())
    }

    /// Azure refuses two writes on one identity at a time.
    fn changes_alone_in(&self) -> Option<&ArmId> {
        Some(&self.identity)
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: self.id(), api_version: ArmType::IDENTITIES.api_version }]
    }

    fn want(&self, world: &Snapshot) -> Document {
        let own = json!({"subject": self.subject, "audiences": self.audiences});
        let mut properties = Value::from(own);
        match (&self.issuer, world.document(&self.cluster)) {
            (Some(issuer), _) => properties.insert("issuer", issuer.as_str()),
            (None, Some(cluster)) => {
                if let Some(issuer) = issuer_of(cluster) {
                    properties.insert("issuer", issuer);
                }
            }
            // The cluster was not read: nobody knows whether it has one.
            (None, None) => {
                let at = Pointer::parse("/properties/oidcIssuerProfile/issuerUrl");
                let later = Later { from: self.cluster.clone(), at, call: None };
                properties.insert("issuer", later);
            }
        }
        let mut body = Value::object();
        body.insert("properties", properties);
        Document::plain(body)
    }

    fn rules(&self) -> Rules {
        Rules::default()
    }

    fn readiness(&self, want: &Document, live: &Live) -> Readiness {
        if want.body.get(&Pointer::parse("/properties/issuer")).is_none() {
            let why = "the cluster names no OIDC issuer: turn it on (`az aks update \
                       --enable-oidc-issuer`, `az connectedk8s update --enable-oidc-issuer`), or \
                       write the issuer";
            return Readiness::NeedsHuman(why.to_owned());
        }
        if live.document().is_some() { Readiness::Ready } else { Readiness::Absent }
    }

    fn requests(&self, change: &Change<'_>) -> Vec<Request> {
        let (path, version) = (self.id().to_string(), ArmType::IDENTITIES.api_version);
        vec![update::request(change, Takes::Put, &self.rules(), path, version)]
    }

    /// Pods get no more tokens for the identity.
    fn removal_impact(&self) -> Impact {
        Impact::DisruptsJobsAndEndpoints
    }

    fn declared_at(&self, wire: &Pointer) -> Option<Pointer> {
        let own = match wire.tokens().get(1)?.as_str() {
            "subject" => "serviceAccount",
            text @ ("issuer" | "audiences") => text,
            _ => return None,
        };
        Some(Pointer::root().join(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_the_whole_cluster_in_it_counts_as_made_here() {
        assert!(named_for("edge", "amlplan-edge-train"));
        assert!(!named_for("edge", "amlplan-edge2-train") && !named_for("edge", "train-edge"));
    }

    #[test]
    fn a_subject_and_its_account_are_one() {
        let own = ServiceAccount { namespace: "ml-jobs".into(), name: "default".into() };
        assert_eq!(account(&subject(&own)), Some(own));
        assert_eq!(account("repo:contoso/ml:ref:refs/heads/main"), None);
    }
}
