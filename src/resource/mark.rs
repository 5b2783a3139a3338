//! Marks: which manifest made a thing. They ride on the thing itself, so that nothing has to be
//! remembered elsewhere, and say what may be removed when the manifest no longer names it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{ArmId, Json, Pointer};

/// The mark of one manifest: its name, and a digest of the cluster it is for, since manifests of
/// different clusters may have one name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Name of the manifest's cluster.
    pub name: String,
    /// Eight hexadecimal digits.
    cluster: String,
}

impl Mark {
    /// The mark of the manifest `name` of this cluster.
    #[must_use]
    pub fn of(name: &str, cluster: &ArmId) -> Self {
        let digest = Sha256::digest(cluster.as_str().to_ascii_lowercase());
        let cluster = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { name: name.to_owned(), cluster }
    }

    /// Whether both are for the same cluster: then the thing moved from one manifest to another.
    #[must_use]
    pub fn is_for_the_cluster_of(&self, other: &Self) -> bool {
        self.cluster == other.cluster
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.cluster)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, cluster) = text.rsplit_once('.').ok_or(())?;
        let hex = cluster.len() == 8 && cluster.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex || name.is_empty() {
            return Err(());
        }
        Ok(Self { name: name.to_owned(), cluster: cluster.to_owned() })
    }
}

/// Where a kind carries its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkAt {
    /// A text of its own, at this pointer.
    Own(&'static str),
    /// A word beginning with `amlplan:` in a text that people write too.
    Word(&'static str),
}

/// A tag of an Azure resource.
pub(super) const TAG: MarkAt = MarkAt::Own("/tags/amlplan-mark");
/// An annotation of a Kubernetes object.
pub(super) const ANNOTATION: MarkAt = MarkAt::Own("/metadata/annotations/amlplan-mark");

const WORD: &str = "amlplan:";

impl MarkAt {
    /// The place in the document.
    #[must_use]
    pub fn pointer(self) -> Pointer {
        let (Self::Own(at) | Self::Word(at)) = self;
        Pointer::parse(at)
    }

    /// The text at the place, whatever it says.
    #[must_use]
    pub fn text(self, document: Option<&Json>) -> Option<&str> {
        let (Self::Own(at) | Self::Word(at)) = self;
        document?.pointer(at)?.as_str().filter(|text| !text.is_empty())
    }

    /// The mark that a document carries.
    #[must_use]
    pub fn read(self, document: Option<&Json>) -> Option<Mark> {
        let text = self.text(document)?;
        match self {
            Self::Own(_) => text.parse().ok(),
            Self::Word(_) => {
                text.split_whitespace().find_map(|part| part.strip_prefix(WORD)?.parse().ok())
            }
        }
    }

    /// The text with this mark in it instead of any other; what people wrote stays.
    #[must_use]
    pub fn write(self, document: Option<&Json>, mark: &Mark) -> String {
        match self {
            Self::Own(_) => mark.to_string(),
            Self::Word(_) => {
                let text = self.text(document).unwrap_or_default();
                let other =
                    |it: &&str| it.strip_prefix(WORD).is_none_or(|it| it.parse::<Mark>().is_err());
                let own = format!("{WORD}{mark}");
                let words = text.split_whitespace().filter(other).chain([own.as_str()]);
                words.collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mark_survives_its_text_and_leaves_what_people_wrote() {
        let id = |name| ArmId::resource("s", "g", "Microsoft.Kubernetes/connectedClusters", name);
        let (own, other) = (Mark::of("edge-01", &id("a")), Mark::of("edge-01", &id("b")));
        assert_eq!(own, Mark::of("edge-01", &id("A")));
        assert!(own != other && !own.is_for_the_cluster_of(&other));
        let at = MarkAt::Word("/properties/description");
        let document = json!({"properties": {"description": "ticket 7.12345678 by Bob"}});
        assert_eq!(at.read(Some(&document)), None);
        let text = at.write(Some(&document), &other);
        let document = json!({"properties": {"description": text}});
        let document = json!({"properties": {"description": at.write(Some(&document), &own)}});
        assert_eq!(at.read(Some(&document)), Some(own.clone()));
        let text = at.text(Some(&document)).unwrap();
        assert_eq!(text, format!("ticket 7.12345678 by Bob amlplan:{own}"));
        let tags = json!({"tags": {"amlplan-mark": TAG.write(None, &own)}});
        assert_eq!(TAG.read(Some(&tags)), Some(own));
    }
}
