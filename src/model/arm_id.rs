//! Azure Resource Manager ids.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// An ARM resource id, kept as written and compared without case, because ARM echoes whichever
/// case it stored (azure-rest-api-specs, common-api-details "Case Insensitivity").
#[derive(Clone, Debug)]
pub struct ArmId(String);

/// Why a text is not an ARM id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnArmId {
    /// It begins neither with a subscription nor with a management group.
    #[error("an Azure resource id begins with `/subscriptions/`")]
    Prefix,
    /// A character that would mean something else in an address, or a step upwards.
    #[error(
        "the id has a character that no Azure name has (`?`, `#`, `%`, `\\`) or a segment of dots"
    )]
    Character,
    /// Two slashes stand together, or one at the end.
    #[error("the id has an empty segment")]
    EmptySegment,
    /// Types and names do not come in pairs.
    #[error("the id has a type without a name: segments come in pairs after `providers/NAMESPACE`")]
    OddSegments,
}

impl ArmId {
    /// Reads an id. A missing first slash is supplied.
    ///
    /// # Errors
    /// When the text does not begin with `subscriptions/` or a management group, its segments do
    /// not pair up, or a character in it would lead elsewhere.
    pub fn parse(text: &str) -> Result<Self, NotAnArmId> {
        let text = text.trim();
        let id = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        let segments: Vec<&str> = id[1..].split('/').collect();
        let begins = |with: &[&str]| {
            segments.len() > with.len()
                && with.iter().zip(&segments).all(|(want, text)| want.eq_ignore_ascii_case(text))
        };
        let group = ["providers", "Microsoft.Management", "managementGroups"];
        if !begins(&["subscriptions"]) && !begins(&group) {
            return Err(NotAnArmId::Prefix);
        }
        let leads_away = |letter: char| "?#%\\".contains(letter) || letter.is_control();
        if id.contains(leads_away) || segments.iter().any(|text| matches!(*text, "." | "..")) {
            return Err(NotAnArmId::Character);
        }
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(NotAnArmId::EmptySegment);
        }
        let mut rest = &segments[..];
        while !rest.is_empty() {
            // `providers` is followed by a namespace, then by pairs of type and name.
            if rest.len() < 2 {
                return Err(NotAnArmId::OddSegments);
            }
            let provider_alone = rest[0].eq_ignore_ascii_case("providers") && rest.len() == 2;
            if provider_alone && segments.len() > 4 {
                return Err(NotAnArmId::OddSegments);
            }
            rest = &rest[2..];
        }
        Ok(Self(id))
    }

    /// The id of a resource group.
    #[must_use]
    pub fn resource_group_of(subscription: &str, group: &str) -> Self {
        Self(format!("/subscriptions/{subscription}/resourceGroups/{group}"))
    }

    /// The id of a provider's registration in a subscription.
    #[must_use]
    pub fn provider(subscription: &str, namespace: &str) -> Self {
        Self(format!("/subscriptions/{subscription}/providers/{namespace}"))
    }

    /// The id of a resource in a group; `kind` is `NAMESPACE/TYPE`.
    #[must_use]
    pub fn resource(subscription: &str, group: &str, kind: &str, name: &str) -> Self {
        Self(format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"
        ))
    }

    /// The id of a child: `TYPE/NAME` below this id.
    #[must_use]
    pub fn child(&self, kind: &str, name: &str) -> Self {
        Self(format!("{}/{kind}/{name}", self.0))
    }

    /// The id of an extension resource: `providers/NAMESPACE/TYPE/NAME` below this id.
    #[must_use]
    pub fn extension(&self, kind: &str, name: &str) -> Self {
        Self(format!("{}/providers/{kind}/{name}", self.0))
    }

    /// The id as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segment after `name`, compared without case.
    #[must_use]
    pub fn segment_after(&self, name: &str) -> Option<&str> {
        let mut segments = self.0[1..].split('/');
        segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
        segments.next()
    }

    /// The id up to the name after `segment`; the whole id when it has no such segment.
    #[must_use]
    pub fn up_to(&self, segment: &str) -> Self {
        let segments: Vec<&str> = self.0.split('/').collect();
        let at = segments.iter().position(|text| text.eq_ignore_ascii_case(segment));
        let end = at.map_or(segments.len(), |number| segments.len().min(number + 2));
        Self(segments[..end].join("/"))
    }

    /// Whether this is `scope`, or something inside it.
    #[must_use]
    pub fn is_below(&self, scope: &Self) -> bool {
        let (own, scope) = (self.0.to_ascii_lowercase(), scope.0.to_ascii_lowercase());
        own.strip_prefix(&scope).is_some_and(|text| text.is_empty() || text.starts_with('/'))
    }

    /// The subscription id; empty below a management group.
    #[must_use]
    pub fn subscription(&self) -> &str {
        self.segment_after("subscriptions").unwrap_or_default()
    }

    /// The resource group, where there is one.
    #[must_use]
    pub fn resource_group(&self) -> Option<&str> {
        self.segment_after("resourceGroups")
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// `NAMESPACE/TYPE[/TYPE…]` of the last provider in the id; empty for groups and subscriptions.
    #[must_use]
    pub fn resource_type(&self) -> String {
        let segments: Vec<&str> = self.0[1..].split('/').collect();
        let Some(at) = segments.iter().rposition(|it| it.eq_ignore_ascii_case("providers")) else {
            return String::new();
        };
        let namespace = segments.get(at + 1).copied().unwrap_or_default();
        let types = segments.iter().skip(at + 2).step_by(2).copied();
        std::iter::once(namespace).chain(types).collect::<Vec<_>>().join("/")
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl fmt::Display for ArmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ArmId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ArmId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for ArmId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ArmId {}

impl Hash for ArmId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| byte.hash(state));
    }
}

impl PartialOrd for ArmId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ArmId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_compared_without_case_and_know_their_parts() {
        let id = ArmId::parse(
            "subscriptions/S/resourceGroups/R/providers/Microsoft.Kubernetes/connectedClusters/c\
             /providers/Microsoft.KubernetesConfiguration/extensions/e",
        )
        .unwrap();
        assert_eq!(id.subscription(), "S");
        assert_eq!(id.resource_group(), Some("R"));
        assert_eq!(id.name(), "e");
        assert_eq!(id.resource_type(), "Microsoft.KubernetesConfiguration/extensions");
        assert_eq!(id, ArmId::parse(&id.as_str().to_uppercase()).unwrap());
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_its_reason() {
        assert_eq!(ArmId::parse("/providers/x").unwrap_err(), NotAnArmId::Prefix);
        assert_eq!(ArmId::parse("/subscriptions//x").unwrap_err(), NotAnArmId::EmptySegment);
        for away in
            ["/subscriptions/s?a=b", "/subscriptions/s/resourceGroups/..", "/subscriptions/%2e"]
        {
            assert_eq!(ArmId::parse(away).unwrap_err(), NotAnArmId::Character, "{away}");
        }
        let group = "/providers/Microsoft.Management/managementGroups/g";
        let role =
            ArmId::parse(group).unwrap().extension("Microsoft.Authorization/roleAssignments", "n");
        assert_eq!(role.resource_type(), "Microsoft.Authorization/roleAssignments");
        assert_eq!(ArmId::parse(role.as_str()).unwrap(), role);
        let odd = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Relay/namespaces";
        assert_eq!(ArmId::parse(odd).unwrap_err(), NotAnArmId::OddSegments);
    }
}
