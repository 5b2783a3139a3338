//! What the writer probably meant.

use std::sync::OnceLock;

use super::schema::all_forms;
use crate::model::Json;

/// The candidate nearest to `word`, if any is near enough to be a slip of the keyboard, of the
/// shift key or of the naming style.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let characters = folded.chars().count();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other = fold(candidate);
        let shorter = other.len().min(folded.len());
        // `preview` for `2021-11-preview`, `fromEnvironment` for `fromEnv`.
        let part = shorter >= 5 && (other.contains(&folded) || folded.contains(&other));
        let slips = (shorter / 3).clamp(1, 4);
        // Each character that one has more of is a slip; to count the others takes long.
        if !part && other.chars().count().abs_diff(characters) > slips {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&folded, &other);
        let slip = distance <= slips;
        if (slip || part) && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, text)| text)
}

fn fold(word: &str) -> String {
    // Nobody mistypes a kilobyte; the distance is quadratic.
    let end = word.char_indices().nth(80).map_or(word.len(), |(at, _)| at);
    let mut folded = word[..end].to_lowercase();
    folded.retain(|it| !matches!(it, '_' | '-' | ' '));
    folded
}

/// The boolean that a text seems to mean.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    let folded = fold(text);
    match folded.as_str() {
        "true" | "yes" | "on" | "y" | "1" | "enabled" | "enable" => Some(true),
        "false" | "no" | "off" | "n" | "0" | "disabled" | "disable" => Some(false),
        "" => None,
        other => nearest(other, ["true", "false"]).map(|text| text == "true"),
    }
}

/// Where a key belongs that was written in the wrong part.
pub(super) fn elsewhere(key: &str) -> Option<String> {
    static KEYS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    let keys = KEYS.get_or_init(all_keys);
    let places: Vec<&str> =
        keys.iter().filter(|(text, _)| text == key).map(|(_, at)| at.as_str()).collect();
    match places.as_slice() {
        [] => None,
        [""] => Some(format!("`{key}` belongs at the top of the cluster, not in here")),
        places => Some(format!(
            "`{key}` belongs in {}",
            places
                .iter()
                .map(|place| if place.is_empty() {
                    "the cluster itself".to_owned()
                } else {
                    format!("`{place}`")
                })
                .collect::<Vec<_>>()
                .join(" or ")
        )),
    }
}

/// Every key of a cluster with the part it belongs in, read from the schema.
fn all_keys() -> Vec<(String, String)> {
    let schema = schemars::schema_for!(super::ClusterSpec).to_value();
    let mut keys = Vec::new();
    collect(&schema, &schema, "", 0, &mut keys);
    keys.sort();
    keys.dedup();
    keys
}

fn collect(root: &Json, schema: &Json, at: &str, depth: usize, keys: &mut Vec<(String, String)>) {
    if depth > 8 {
        return;
    }
    for schema in all_forms(root, schema) {
        if schema["items"].is_object() {
            collect(root, &schema["items"], at, depth + 1, keys);
        }
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            keys.push((key.clone(), at.to_owned()));
            let below = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            collect(root, value, &below, depth + 1, keys);
        }
    }
}

/// An example for a part whose form is not obvious.
pub(super) fn example(part: &str) -> &'static str {
    match part {
        "subscription" => ", for example 00000000-0000-0000-0000-000000000000",
        "type" => " (connectedClusters for Azure Arc, managedClusters for AKS)",
        "name" => ", for example edge-01",
        "resourceGroup" => ", for example ml-rg",
        "resources" => " with `requests` and `limits` below it",
        "workspace" => " with `name` below it",
        "azure" => " with `subscription` and `resourceGroup` below it",
        "cluster" => " with `type` and `name` below it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_strangers_are_not() {
        let keys = ["resourceGroup", "subscription", "name", "sslKeyPemFile"];
        let cases = [
            ("resource_group", Some("resourceGroup")),
            ("Subscripton", Some("subscription")),
            ("ssKeyPMFile", Some("sslKeyPemFile")),
            ("nmae", Some("name")),
            ("colour", None),
            ("resourceGroupName", Some("resourceGroup")),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
        assert_eq!(boolean("Ture"), Some(true));
        assert_eq!(boolean("Flase"), Some(false));
        assert_eq!(boolean("loadBalancer"), None);
        assert!(elsewhere("kubeconfig").unwrap().contains("`cluster`"));
    }
}
