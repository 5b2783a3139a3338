//! Feature flags and resource providers of a subscription.
//!
//! Neither has an operation to follow: registering answers at once and the state is polled
//! (Azure REST: Microsoft.Features, Microsoft.Resources providers). They are never unregistered:
//! other things in the subscription may need them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    About, Change, Document, Family, Kind, Live, Method, Named, Read, Readiness, Request, Rules,
    Snapshot, Target,
};
use crate::catalog::ArmType;
use crate::language::DriftClass;
use crate::model::{ArmId, Key};
use crate::resource::fields::Same;

const REGISTRATION: About = About {
    class: DriftClass::Registration,
    family: Family::Registration,
    named: Named::Shared,
    ..About::AZURE
};
pub(super) const FEATURE: About = About { part: "features", ..REGISTRATION }.within(60, 900);
pub(super) const PROVIDER: About = About { part: "providers", ..REGISTRATION }.within(20, 600);

/// A preview feature flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// The address.
    pub key: Key,
    /// Provider namespace, such as `Microsoft.ContainerService`.
    pub namespace: String,
    /// Name of the flag.
    pub name: String,
}

impl Feature {
    fn id(&self) -> ArmId {
        let Self { key, namespace, name } = self;
        let subscription = &key.scope;
        ArmId::provider(subscription, "Microsoft.Features")
            .child("providers", namespace)
            .child("features", name)
    }
}

impl Kind for Feature {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.id())
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: self.id(), api_version: ArmType::FEATURES.api_version }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({"properties": {"state": "Registered"}}))
    }

    fn rules(&self) -> Rules {
        Rules { same: &[("/properties/state", Same::IgnoringCase)], ..Rules::default() }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        let state = live.text("/properties/state").unwrap_or("NotRegistered");
        match state.to_ascii_lowercase().as_str() {
            // A flag that Azure no longer lists is one whose feature is generally available.
            _ if live.document().is_none() => Readiness::Ready,
            "registered" => Readiness::Ready,
            "registering" => Readiness::Waiting(state.to_owned()),
            "pending" => Readiness::NeedsHuman(format!(
                "feature {}/{} waits for Microsoft's approval; waiting does not help, ask support",
                self.namespace, self.name
            )),
            _ => Readiness::Absent,
        }
    }

    fn requests(&self, _change: &Change<'_>) -> Vec<Request> {
        vec![register(&self.id(), ArmType::FEATURES)]
    }

    /// Registration is replicated by region, so a first `Registered` may be taken back
    /// (terraform-provider-azurerm waits for ten).
    fn steady_looks(&self) -> u32 {
        4
    }

    fn removable(&self, _live: &Live) -> Result<(), String> {
        Err("registrations stay: other things in the subscription may need them".to_owned())
    }

    fn remark(&self, live: &Live) -> Option<String> {
        live.document().is_none().then(|| {
            format!(
                "Azure no longer knows the feature {}/{}; it is most likely generally available, \
                 so there is nothing to register",
                self.namespace, self.name
            )
        })
    }

    fn deadline(&self) -> Duration {
        // Registration of a feature has no published limit; more than half an hour was seen.
        Duration::from_secs(60 * 60)
    }
}

/// A resource provider registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The address; its name is the namespace.
    pub key: Key,
    /// Features that take effect only when this provider is registered again after them.
    pub features: BTreeSet<Key>,
}

impl Provider {
    fn id(&self) -> ArmId {
        let (subscription, namespace) = (&self.key.scope, &self.key.name);
        ArmId::provider(subscription, namespace)
    }
}

impl Kind for Provider {
    fn key(&self) -> &Key {
        &self.key
    }

    fn target(&self) -> Target {
        Target::Arm(self.id())
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Arm { id: self.id(), api_version: ArmType::PROVIDERS.api_version }]
    }

    fn want(&self, _world: &Snapshot) -> Document {
        Document::plain(json!({"registrationState": "Registered"}))
    }

    fn rules(&self) -> Rules {
        Rules { same: &[("/registrationState", Same::IgnoringCase)], ..Rules::default() }
    }

    fn readiness(&self, _want: &Document, live: &Live) -> Readiness {
        let state = live.text("/registrationState").unwrap_or("NotRegistered");
        match state.to_ascii_lowercase().as_str() {
            "registered" => Readiness::Ready,
            "registering" => Readiness::Waiting(state.to_owned()),
            _ => Readiness::Absent,
        }
    }

    fn requests(&self, _change: &Change<'_>) -> Vec<Request> {
        vec![register(&self.id(), ArmType::PROVIDERS)]
    }

    /// Registration is replicated by region, so a first `Registered` may be taken back
    /// (terraform-provider-azurerm waits for ten).
    fn steady_looks(&self) -> u32 {
        4
    }

    fn removable(&self, _live: &Live) -> Result<(), String> {
        Err("registrations stay: other things in the subscription may need them".to_owned())
    }
}

fn register(id: &ArmId, arm_type: ArmType) -> Request {
    Request::Arm {
        method: Method::Post,
        path: format!("{id}/register"),
        api_version: arm_type.api_version,
        query: None,
        body: None,
    }
}
