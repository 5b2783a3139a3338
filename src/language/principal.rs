//! Whom the principal of a role assignment means: names resolve inside the cluster that wrote them.

use crate::catalog::ArmType;
use crate::model::ArmId;

use super::{ClusterSpec, ComputeSpec, IdentityType};

/// What a principal of a declared cluster names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalRef<'a> {
    /// This compute of the cluster, by its place in the list.
    Compute(usize),
    /// The workspace of this compute.
    Workspace(usize),
    /// The cluster's extension.
    Extension,
    /// An object id of the directory.
    ObjectId(&'a str),
}

/// Why a principal names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPrincipal {
    /// Nothing of this name is declared in the cluster; the word says what kind was looked for.
    Unknown(&'static str),
    /// The compute has no identity.
    WithoutIdentity,
    /// Several workspaces have this name: one compute of each, by its place in the list.
    Ambiguous(Vec<usize>),
    /// It is no form of a principal.
    NoForm,
}

impl ClusterSpec {
    /// The Azure id of the cluster.
    #[must_use]
    pub fn resource_id(&self) -> ArmId {
        let (azure, cluster) = (&self.azure, &self.cluster);
        let (group, kind) = (&azure.resource_group, cluster.kind.resource_type());
        ArmId::resource(&azure.subscription, group, kind, &cluster.name)
    }

    /// The Azure id of the workspace that a compute of this cluster names.
    #[must_use]
    pub fn workspace_id(&self, compute: &ComputeSpec) -> ArmId {
        let place = &compute.workspace;
        let subscription = place.subscription.as_ref().unwrap_or(&self.azure.subscription);
        let group = place.resource_group.as_ref().unwrap_or(&self.azure.resource_group);
        ArmId::resource(subscription, group, ArmType::WORKSPACES.name, &place.name)
    }

    /// Resolves `compute/NAME`, `workspace/[[SUBSCRIPTION/]GROUP/]NAME`, `extension` or an object
    /// id. Names are compared without case, as Azure compares them.
    ///
    /// # Errors
    /// Why it names nobody, or more than one.
    pub fn principal<'a>(&self, text: &'a str) -> Result<PrincipalRef<'a>, NoPrincipal> {
        let Some((kind, name)) = text.split_once('/') else {
            return match text {
                "extension" if self.extension.is_some() => Ok(PrincipalRef::Extension),
                "extension" => Err(NoPrincipal::Unknown("extension")),
                text if uuid::Uuid::try_parse(text).is_ok() => Ok(PrincipalRef::ObjectId(text)),
                _ => Err(NoPrincipal::NoForm),
            };
        };
        match kind {
            "compute" => {
                let found = self.computes.iter().position(|it| it.name.eq_ignore_ascii_case(name));
                let at = found.ok_or(NoPrincipal::Unknown("compute"))?;
                match self.computes[at].identity.kind {
                    IdentityType::None => Err(NoPrincipal::WithoutIdentity),
                    IdentityType::SystemAssigned | IdentityType::UserAssigned => {
                        Ok(PrincipalRef::Compute(at))
                    }
                }
            }
            "workspace" => self.workspace(name),
            _ => Err(NoPrincipal::NoForm),
        }
    }

    fn workspace<'a>(&self, name: &str) -> Result<PrincipalRef<'a>, NoPrincipal> {
        let wanted: Vec<&str> = name.rsplit('/').collect();
        let mut found: Vec<(ArmId, usize)> = Vec::new();
        for (index, compute) in self.computes.iter().enumerate() {
            let id = self.workspace_id(compute);
            let tail = [id.name(), id.resource_group().unwrap_or_default(), id.subscription()];
            let fits = wanted.len() <= tail.len()
                && wanted.iter().zip(tail).all(|(want, text)| want.eq_ignore_ascii_case(text));
            if fits && !found.iter().any(|(known, _)| *known == id) {
                found.push((id, index));
            }
        }
        match &found[..] {
            [] => Err(NoPrincipal::Unknown("workspace")),
            [(_, one)] => Ok(PrincipalRef::Workspace(*one)),
            many => Err(NoPrincipal::Ambiguous(many.iter().map(|(_, index)| *index).collect())),
        }
    }
}
