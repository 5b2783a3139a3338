//! What a resource is: pure functions, one file a kind or family of kinds.
//!
//! A kind says where it lives, what it should look like, which differences count, what a change
//! costs and when it is ready. It never reads or writes anything itself.

mod about;
mod companion;
mod compute;
mod extension;
mod federated_identity_credential;
pub mod fields;
pub mod graph;
mod instance_type;
pub mod live;
pub mod mark;
mod namespace;
pub mod orphans;
pub mod part;
pub mod pods;
mod read_only;
mod registration;
mod request;
pub mod rights;
mod role_assignment;
mod scc_grant;
mod update;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use about::{About, Family, Named};
pub use companion::Companion;
pub use compute::{Compute, ComputeIdentity, workspace_options};
pub use extension::{Companions, Extension, FINGERPRINT_PREFIX};
pub use federated_identity_credential::FederatedIdentityCredential;
pub use fields::{FieldChange, Rules};
pub use instance_type::InstanceType;
pub use live::{Live, Read, ReadError, Snapshot};
pub use namespace::Namespace;
pub use read_only::ReadOnly;
pub use registration::{Feature, Provider};
pub use request::{Method, Request};
pub use role_assignment::{Principal, RoleAssignment};
pub use scc_grant::{GrantMethod, SccGrant};

pub use crate::catalog::Impact;
use crate::model::{ArmId, Key, KindName, ObjectRef, Pointer, Value};

/// Where a resource lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// In Azure.
    Arm(ArmId),
    /// In the cluster of the resource's scope; several objects may carry one resource.
    Objects(Vec<ObjectRef>),
}

/// What a resource should look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The document, in the field names of the wire.
    pub body: Value,
    /// Parts that amlplan adds by itself, with the reason for each.
    pub derived: Vec<(Pointer, String)>,
}

impl Document {
    /// A document without derived parts.
    #[must_use]
    pub fn plain(body: impl Into<Value>) -> Self {
        Self { body: body.into(), derived: Vec::new() }
    }
}

/// How far a live resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// There is none.
    Absent,
    /// Done; what depends on it may start.
    Ready,
    /// Azure or the cluster is still working; the word is the state it reports.
    Waiting(String),
    /// It ended badly: state, and what it says about it.
    Failed {
        /// The state it reports.
        state: String,
        /// What it says.
        message: String,
    },
    /// It waits for a person, not for time.
    NeedsHuman(String),
}

/// What is to happen to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Bring it into being.
    Create,
    /// Change it in place.
    Update,
    /// Remove it.
    Delete,
}

/// What a kind is asked to turn into requests.
pub struct Change<'a> {
    /// What is to happen.
    pub verb: Verb,
    /// What it should look like.
    pub want: &'a Document,
    /// What it looks like.
    pub live: &'a Live,
    /// The fields that differ.
    pub changes: &'a [FieldChange],
}

/// The questions that planner and executor ask. Every answer is a pure function.
pub trait Kind: Send + Sync {
    /// The address.
    fn key(&self) -> &Key;

    /// Where it lives.
    fn target(&self) -> Target;

    /// What to read to know its live state; the first is the resource itself.
    fn reads(&self) -> Vec<Read>;

    /// What it should look like, given what is live around it.
    fn want(&self, world: &Snapshot) -> Document;

    /// What it should look like when it is made anew, whatever was decided about the one that is
    /// there.
    fn want_anew(&self, world: &Snapshot) -> Document {
        self.want(world)
    }

    /// Which fields are ours and how they are compared.
    fn rules(&self) -> Rules;

    /// Whether and how it is there.
    fn readiness(&self, want: &Document, live: &Live) -> Readiness;

    /// Whether a removal is complete.
    fn gone(&self, live: &Live) -> bool {
        live.document().is_none()
    }

    /// The requests that make the change, in order.
    fn requests(&self, change: &Change<'_>) -> Vec<Request>;

    /// The live document as it is compared and shown; `None` when there is none.
    fn shown(&self, live: &Live) -> Option<crate::model::Json> {
        live.document().cloned()
    }

    /// The fields in which live and wanted differ.
    fn differences(&self, want: &Document, live: &Live) -> Vec<FieldChange> {
        self.shown(live)
            .map(|shown| fields::diff(&want.body, &shown, &self.rules()))
            .unwrap_or_default()
    }

    /// What a change of one field costs.
    fn impact(&self, _change: &FieldChange) -> Impact {
        Impact::Safe
    }

    /// What removing one that works costs.
    fn removal_impact(&self) -> Impact {
        Impact::Safe
    }

    /// Whether the live one never worked, so that nothing can be disrupted by what is done to it.
    fn never_worked(&self, _live: &Live) -> bool {
        false
    }

    /// `Some` with the reason when the live one is used as it is, whatever is wanted: somebody
    /// else's.
    fn used_as_it_is(&self, _live: &Live) -> Option<String> {
        None
    }

    /// Where it carries the mark of the manifest that made it; `None` for what cannot carry one.
    fn mark_at(&self) -> Option<mark::MarkAt> {
        None
    }

    /// `Err` with the reason when destroy must leave the live resource alone.
    ///
    /// # Errors
    /// The reason is for people: whose it is, or why it stays.
    fn removable(&self, _live: &Live) -> Result<(), String> {
        Ok(())
    }

    /// Whether a failed one has to be removed before it can be made again.
    fn replaced_when_failed(&self) -> bool {
        false
    }

    /// Whether it could apply, by what is known of the cluster before it is read itself.
    fn may_apply(&self, _world: &Snapshot) -> bool {
        true
    }

    /// Whether the resource applies to this world at all (an SCC grant needs OpenShift).
    fn applies(&self, _world: &Snapshot) -> bool {
        true
    }

    /// A warning that belongs to the live state rather than to a change.
    fn remark(&self, _live: &Live) -> Option<String> {
        None
    }

    /// The secrets it sends.
    fn secrets(&self) -> Vec<&crate::model::Secret> {
        Vec::new()
    }

    /// The same in a stable order, for filling in what a saved plan leaves out.
    fn secrets_mut(&mut self) -> Vec<&mut crate::model::Secret> {
        Vec::new()
    }

    /// Who else writes it, for Kubernetes objects that others have edited.
    fn other_writers(&self, live: &Live) -> Vec<String> {
        fields::other_managers(live.document())
    }

    /// What takes one change at a time, with this one among them.
    fn changes_alone_in(&self) -> Option<&ArmId> {
        None
    }

    /// How often in a row it has to be seen ready: registrations flap.
    fn steady_looks(&self) -> u32 {
        1
    }

    /// How long its slowest healthy operation takes before we stop waiting (lifecycle: suggested
    /// deadlines of the AML troubleshooting guides).
    fn deadline(&self) -> Duration {
        Duration::from_secs(20 * 60)
    }

    /// Where in the declared cluster a field of the wire was written, relative to the resource's
    /// own place in the manifest.
    fn declared_at(&self, _wire: &Pointer) -> Option<Pointer> {
        None
    }
}

macro_rules! resources {
    ($($variant:ident($kind:ty) { $($name:ident: $about:expr),* },)*) => {
        /// A resource of any kind; closed, so that a new kind fails to compile until it is whole.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Resource {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $variant($kind),)*
        }

        impl Resource {
            /// The one match over kinds.
            #[must_use]
            pub fn kind(&self) -> &dyn Kind {
                match self { $(Self::$variant(it) => it,)* }
            }

            /// The same match, for filling in what a saved plan leaves out.
            fn kind_mut(&mut self) -> &mut dyn Kind {
                match self { $(Self::$variant(it) => it,)* }
            }
        }

        $(impl From<$kind> for Resource {
            fn from(it: $kind) -> Self {
                Self::$variant(it)
            }
        })*

        /// What a kind says of itself.
        #[must_use]
        pub const fn about(kind: KindName) -> &'static About {
            match kind { $($(KindName::$name => &$about,)*)* }
        }
    };
}

resources! {
    Feature(Feature) { Feature: registration::FEATURE },
    Provider(Provider) { Provider: registration::PROVIDER },
    SccGrant(SccGrant) { SccGrant: scc_grant::ABOUT },
    Namespace(Namespace) { Namespace: namespace::ABOUT },
    Companion(Companion) {
        RelayNamespace: companion::RELAY_NAMESPACE,
        RelayHybridConnection: companion::RELAY_HYBRID_CONNECTION,
        RelayAuthorizationRule: companion::RELAY_AUTHORIZATION_RULE,
        ServiceBusNamespace: companion::SERVICE_BUS_NAMESPACE,
        ServiceBusTopic: companion::SERVICE_BUS_TOPIC,
        ServiceBusSubscription: companion::SERVICE_BUS_SUBSCRIPTION,
        LogAnalyticsWorkspace: companion::LOG_ANALYTICS_WORKSPACE
    },
    Extension(Extension) { Extension: extension::ABOUT },
    InstanceType(InstanceType) { InstanceType: instance_type::ABOUT },
    Compute(Compute) { Compute: compute::ABOUT },
    RoleAssignment(RoleAssignment) { RoleAssignment: role_assignment::ABOUT },
    FederatedIdentityCredential(FederatedIdentityCredential) {
        FederatedIdentityCredential: federated_identity_credential::ABOUT
    },
    ReadOnly(ReadOnly) {
        Cluster: read_only::CLUSTER,
        Workspace: read_only::WORKSPACE,
        ManagedIdentity: read_only::MANAGED_IDENTITY
    },
}

/// What parts of the manifest mean beside their resources, in the order in which they are made.
pub const PARTS: &[&dyn part::Part] = &[
    &instance_type::InstanceTypes,
    &compute::Computes,
    &role_assignment::RoleAssignments,
    &federated_identity_credential::FederatedIdentityCredentials,
];

impl Resource {
    /// Every secret it sends, so that contents can be filled in after loading a saved plan.
    pub fn secrets_mut(&mut self) -> Vec<&mut crate::model::Secret> {
        self.kind_mut().secrets_mut()
    }
}

/// Readiness by `properties.provisioningState`: absent means done, unknown words mean running
/// (Azure RPC, async API reference).
#[must_use]
pub fn provisioning_readiness(live: &Live) -> Readiness {
    let Some(document) = live.document() else { return Readiness::Absent };
    let state = document.pointer("/properties/provisioningState").and_then(|value| value.as_str());
    match state {
        None => Readiness::Ready,
        Some(text) if text.eq_ignore_ascii_case("Succeeded") => Readiness::Ready,
        Some(text)
            if ["failed", "canceled", "cancelled"]
                .contains(&text.to_ascii_lowercase().as_str()) =>
        {
            Readiness::Failed { state: text.to_owned(), message: failure_message(document) }
        }
        Some(text) => Readiness::Waiting(text.to_owned()),
    }
}

/// What a failed resource says about itself, from the places where ARM resources say it.
fn failure_message(document: &crate::model::Json) -> String {
    let texts = |pointer: &str, inner: &str| -> Vec<String> {
        let items = document.pointer(pointer).and_then(|value| value.as_array());
        items
            .into_iter()
            .flatten()
            .filter_map(|value| value.pointer(inner)?.as_str().map(str::to_owned))
            .collect()
    };
    let mut found = texts("/properties/statuses", "/message");
    found.extend(texts("/properties/provisioningErrors", "/error/message"));
    let info = document.pointer("/properties/errorInfo/message").and_then(|value| value.as_str());
    found.extend(info.map(str::to_owned));
    if found.is_empty() { "it gives no reason".to_owned() } else { found.join("; ") }
}
