//! What is known of a kind before there is a resource of it. Each kind says its own in its own
//! file; drift, pictures, progress and imports ask here instead of keeping lists of kinds.

use std::time::Duration;

use super::{FieldChange, KindName};
use crate::language::DriftClass;
use crate::model::{Api, Key, Pointer};

/// What a kind says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The API that holds it.
    pub api: Api,
    /// What its differences are, for drift.
    pub class: DriftClass,
    /// What it belongs to, for pictures.
    pub family: Family,
    /// Whose its name is, in a fleet.
    pub named: Named,
    /// The shortest and the longest usual time until it is there, in seconds.
    pub(super) usual: (u64, u64),
    /// The part of the manifest that declares it, as paths name it; empty where it has none.
    pub part: &'static str,
    /// The place on the wire of a path below the part, after the name or number in a list.
    pub wire: fn(&[&str]) -> Pointer,
    /// Kinds without which one that stands is gone, or stops working until it is made again.
    pub stands_on: &'static [KindName],
    /// What an import sets aside when its live state cannot be declared: the path, and why.
    pub set_aside: fn(&Key, &[FieldChange]) -> SetAside,
    /// What is said when it is missing, for what amlplan only reads: code, name, help.
    pub missing: (&'static str, &'static str, &'static str),
}

/// A path of the manifest whose changes are ignored, and why; `None`: there is nothing to set aside.
pub type SetAside = Option<(String, &'static str)>;

/// What a resource belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Registrations of a subscription.
    Registration,
    /// Who may do what.
    Access,
    /// What is made for the extension.
    Companion,
    /// The extension.
    Extension,
    /// Computes.
    Compute,
    /// Objects in the cluster.
    Object,
    /// What is there already.
    Given,
}

/// Whose the name of a resource is, in a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Clusters have the resource together.
    Shared,
    /// It has to differ from cluster to cluster.
    ByCluster,
    /// Each cluster may have one of the same name.
    Alike,
}

impl About {
    /// A thing in Azure that is there in a moment.
    pub(super) const AZURE: Self = Self {
        api: Api::Azure,
        class: DriftClass::Setting,
        family: Family::Given,
        named: Named::Alike,
        usual: (1, 30),
        part: "",
        wire: |_| Pointer::root(),
        stands_on: &[],
        set_aside: |_, _| None,
        missing: ("", "", ""),
    };

    /// An object in the cluster.
    pub(super) const OBJECT: Self =
        Self { api: Api::Kubernetes, family: Family::Object, ..Self::AZURE };

    /// The same with other usual times. Source: AML docs: deploy extension (registrations and
    /// installation: up to ten minutes), attach Kubernetes to workspace (minutes); the rest as seen.
    pub(super) const fn within(self, least: u64, longest: u64) -> Self {
        Self { usual: (least, longest), ..self }
    }

    /// The shortest and the longest usual time until it is there.
    #[must_use]
    pub const fn usual(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.usual.0), Duration::from_secs(self.usual.1))
    }
}

/// A path of the wire from its beginning and the rest of a dotted one.
pub(super) fn below(lead: &[&str], rest: &[&str]) -> Pointer {
    lead.iter().chain(rest).map(|text| (*text).to_owned()).collect()
}
