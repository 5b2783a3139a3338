//! A declared cluster → the YAML of its manifest: the smallest that says the same, with comments.
//! Which members there are, and in which order, is what their types derive.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::ClusterSpec;

/// Whether texts of the cluster may hold `${VAR}` that is still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dollars {
    /// Texts are in the manifest's notation already.
    AsWritten,
    /// Texts are plain: a dollar sign in them is written `$$`.
    Escape,
}

/// Writes several clusters as one fleet, with what they all say as its defaults.
#[must_use]
pub fn to_fleet(clusters: &[&ClusterSpec], head: &[String], dollars: Dollars) -> String {
    let mut maps: Vec<Entries> = clusters.iter().map(|cluster| entries(cluster)).collect();
    let defaults = common(&mut maps, true);
    let mut top = document("Fleet");
    if !defaults.is_empty() {
        top.push(("defaults".into(), Yaml::Map(defaults)));
    }
    top.push(("clusters".into(), Yaml::List(maps.into_iter().map(Yaml::Map).collect())));
    text(top, head, &BTreeMap::new(), dollars)
}

/// Takes out of all maps what is the same in each: whole values, and the same parts of maps.
fn common(maps: &mut [Entries], top: bool) -> Entries {
    let Some(first) = maps.first() else { return Entries::new() };
    let keys: Vec<String> = first.iter().map(|it| it.0.clone()).collect();
    let mut out = Entries::new();
    for key in keys.into_iter().filter(|text| !(top && text == "name")) {
        let values: Vec<&Yaml> =
            maps.iter().filter_map(|it| Some(&it.iter().find(|it| it.0 == key)?.1)).collect();
        let Some(value) = values.first().filter(|_| values.len() == maps.len()) else { continue };
        if values.iter().all(|yaml| yaml == value) {
            out.push((key.clone(), (*value).clone()));
            maps.iter_mut().for_each(|it| it.retain(|it| it.0 != key));
            continue;
        }
        let inner: Option<Vec<Entries>> = values
            .iter()
            .map(|yaml| if let Yaml::Map(pair) = yaml { Some(pair.clone()) } else { None })
            .collect();
        let Some(mut inner) = inner else { continue };
        let shared = common(&mut inner, false);
        if shared.is_empty() {
            continue;
        }
        for (map, own) in maps.iter_mut().zip(inner) {
            for entry in map.iter_mut().filter(|it| it.0 == key) {
                entry.1 = Yaml::Map(own.clone());
            }
            map.retain(|it| it.0 != key || !matches!(&it.1, Yaml::Map(pair) if pair.is_empty()));
        }
        out.push((key, Yaml::Map(shared)));
    }
    out
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Yaml {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Yaml>),
    Map(#[serde(deserialize_with = "ordered")] Entries),
}

/// Writes a manifest. `head` are comment lines on top; `notes` are comments behind the line of a
/// part, by its dotted path (`extension.configurationSettings.sslCname`; list entries count from
/// zero).
#[must_use]
pub fn to_yaml(
    cluster: &ClusterSpec,
    head: &[String],
    notes: &BTreeMap<String, String>,
    dollars: Dollars,
) -> String {
    let mut top = document("Cluster");
    top.extend(entries(cluster));
    text(top, head, notes, dollars)
}

fn text(
    top: Entries,
    head: &[String],
    notes: &BTreeMap<String, String>,
    dollars: Dollars,
) -> String {
    let mut out: String = head.iter().map(|text| format!("# {text}\n")).collect();
    YamlWriter { dollars, notes }.emit(&Yaml::Map(top), 0, "", &mut out);
    out
}

type Entries = Vec<(String, Yaml)>;

/// Whether a member says nothing, and is left out.
pub(super) fn is_default<T: Default + PartialEq>(member: &T) -> bool {
    *member == T::default()
}

/// What a cluster says, in the order of its types.
fn entries(cluster: &ClusterSpec) -> Entries {
    // serde_json's own values would sort the members.
    let text = serde_json::to_string(cluster).expect("a cluster is JSON");
    ordered(&mut serde_json::Deserializer::from_str(&text)).expect("what was written can be read")
}

/// A document with its first two lines.
fn document(kind: &str) -> Entries {
    [("apiVersion", "amlplan/v1"), ("kind", kind)]
        .map(|(key, value)| (key.to_owned(), Yaml::Text(value.to_owned())))
        .into()
}

/// The members of a map, in their order.
fn ordered<'de, D: Deserializer<'de>>(map: D) -> Result<Entries, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Entries;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
            std::iter::from_fn(|| map.next_entry().transpose()).collect()
        }
    }

    map.deserialize_map(Members)
}

/// A text as a YAML scalar, quoted where a reader could take it for something else.
fn scalar(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_./-:@+".contains(letter);
    let starts_well =
        text.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '/' || it == '.');
    let lower = text.to_ascii_lowercase();
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&&*lower);
    let number = text.parse::<f64>().is_ok()
        || ["0x", "0o", "0b", ".inf", ".nan"].iter().any(|it| lower.starts_with(it));
    let sure = starts_well && text.chars().all(plain) && !text.ends_with(':');
    if sure && !word && !number {
        return text.to_owned();
    }
    // JSON strings are YAML strings, but for characters that YAML calls unprintable.
    let quoted = serde_json::Value::from(text).to_string();
    let unprintable = |letter: char| {
        matches!(
            letter,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    if !quoted.contains(unprintable) {
        return quoted;
    }
    let escaped = quoted.chars().map(|letter| match unprintable(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    });
    escaped.collect()
}

struct YamlWriter<'a> {
    dollars: Dollars,
    notes: &'a BTreeMap<String, String>,
}

impl YamlWriter<'_> {
    /// What stands on one line.
    fn line(&self, yaml: &Yaml) -> Option<String> {
        match yaml {
            Yaml::Flag(flag) => Some(flag.to_string()),
            Yaml::Number(number) => Some(number.to_string()),
            Yaml::Text(text) if self.dollars == Dollars::AsWritten => Some(scalar(text)),
            Yaml::Text(text) => Some(scalar(&text.replace('$', "$$"))),
            Yaml::Map(entries) => entries.is_empty().then(|| "{}".to_owned()),
            Yaml::List(items) => items.is_empty().then(|| "[]".to_owned()),
        }
    }

    fn emit(&self, yaml: &Yaml, indent: usize, path: &str, out: &mut String) {
        let note = |path: &str| match self.notes.get(path) {
            Some(note) => format!("   # {note}"),
            None => String::new(),
        };
        let below = |key: &str| match path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let pad = " ".repeat(indent);
        if let Some(line) = self.line(yaml) {
            out.extend([&pad, line.as_str(), &note(path), "\n"]);
            return;
        }
        match yaml {
            Yaml::Flag(_) | Yaml::Number(_) | Yaml::Text(_) => {}
            Yaml::Map(entries) => {
                for (key, value) in entries {
                    let path = below(key);
                    let (key, note) = (scalar(key), note(&path));
                    if let Some(line) = self.line(value) {
                        out.extend([&pad, key.as_str(), ": ", &line, &note, "\n"]);
                    } else {
                        out.extend([&pad, key.as_str(), ":", &note, "\n"]);
                        self.emit(value, indent + 2, &path, out);
                    }
                }
            }
            Yaml::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let start = out.len();
                    self.emit(item, indent + 2, &below(&index.to_string()), out);
                    // The dash takes the place of the first line's indentation.
                    out.replace_range(start..start + indent + 2, &format!("{pad}- "));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_where_yaml_would_read_something_else() {
        for (text, yaml) in [
            ("ml-rg", "ml-rg"),
            ("2021-11-preview", "2021-11-preview"),
            ("1.1.106", "1.1.106"),
            ("1.1", "\"1.1\""),
            ("4", "\"4\""),
            ("yes", "\"yes\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("${X:-y}", "\"${X:-y}\""),
            ("a: b", "\"a: b\""),
            ("-x", "\"-x\""),
            ("a\u{7f}b", "\"a\\u007fb\""),
            ("system:serviceaccount:a:b", "system:serviceaccount:a:b"),
            ("nvidia.com/gpu", "nvidia.com/gpu"),
        ] {
            assert_eq!(scalar(text), yaml);
        }
    }
}
