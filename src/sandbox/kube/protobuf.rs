//! Protocol Buffers bodies: kubectl sends them for what it creates without a file
//! (`create namespace`, `auth can-i`, …). Decoded to JSON; answers stay JSON (Kubernetes API
//! concepts, "Kubernetes Protobuf encoding").

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

/// The media type.
pub(crate) const MEDIA: &str = "application/vnd.kubernetes.protobuf";

struct Field {
    name: String,
    list: bool,
    kind: String,
}

/// Message name → field number → field.
static MESSAGES: LazyLock<BTreeMap<String, BTreeMap<u64, Field>>> = LazyLock::new(|| {
    let written: BTreeMap<String, String> =
        toml::from_str(include_str!("protobuf.toml")).expect("protobuf.toml is well formed");
    let field = |text: &str| {
        let parts: Vec<&str> = text.split(' ').collect();
        let [number, name, kind] = parts.as_slice() else {
            return None;
        };
        let field = Field {
            name: (*name).to_owned(),
            list: kind.starts_with("[]"),
            kind: kind.trim_start_matches("[]").to_owned(),
        };
        Some((number.parse().ok()?, field))
    };
    written
        .iter()
        .map(|(name, fields)| (name.clone(), fields.split(", ").filter_map(field).collect()))
        .collect()
});

/// A body in the Kubernetes envelope as JSON; `None` when it is malformed or of a type the
/// sandbox has no schema for.
pub(crate) fn decode(body: &[u8]) -> Option<Json> {
    let envelope = split(body.strip_prefix(b"k8s\0")?)?;
    let part = |wanted: u64| {
        envelope.iter().find_map(|(number, value)| match value {
            Wire::Bytes(bytes) if *number == wanted => Some(*bytes),
            Wire::Bytes(_) | Wire::Number(_) => None,
        })
    };
    let mut api_version = None;
    let mut kind = None;
    for (number, value) in split(part(1)?)? {
        match (number, value) {
            (1, value) => api_version = value.text(),
            (2, value) => kind = value.text(),
            _ => {}
        }
    }
    let (api_version, kind) = (api_version?, kind?);
    let mut object = message(&kind, part(2)?)?;
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    Some(object)
}

/// One value on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Wire::Bytes(bytes) => Some(bytes),
            Wire::Number(_) => None,
        }
    }

    fn text(self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn number(self) -> Option<i64> {
        match self {
            Wire::Number(number) => Some(number.cast_signed()),
            Wire::Bytes(_) => None,
        }
    }
}

/// The fields of a message in order.
fn split(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        out.push((tag >> 3, value));
    }
    Some(out)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut out = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        out |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(out);
        }
    }
    None
}

fn message(name: &str, bytes: &[u8]) -> Option<Json> {
    let schema = MESSAGES.get(name)?;
    let mut out = Map::new();
    for (number, wire) in split(bytes)? {
        let Some(field) = schema.get(&number) else {
            continue;
        };
        if let Some(inner) = field.kind.strip_prefix('m') {
            let entry = split(wire.bytes()?)?;
            let part = |wanted: u64| entry.iter().find(|(at, _)| *at == wanted);
            let key = part(1).and_then(|(_, wire)| wire.text()).unwrap_or_default();
            let value = part(2).map_or(Some(json!("")), |(_, wire)| value(inner, *wire))?;
            let map = out.entry(field.name.clone()).or_insert_with(|| json!({}));
            map[key] = value;
            continue;
        }
        let value = value(&field.kind, wire)?;
        if field.name == "~" {
            out.extend(value.as_object().cloned().unwrap_or_default());
        } else if field.list {
            let list = out.entry(field.name.clone()).or_insert_with(|| json!([]));
            list.as_array_mut()?.push(value);
        } else if !is_zero(&field.kind, &value) {
            out.insert(field.name.clone(), value);
        }
    }
    Some(Json::Object(out))
}

/// Go's encoder writes the zero of fields nobody set.
fn is_zero(kind: &str, value: &Json) -> bool {
    match kind {
        "s" => value == "",
        "i" => *value == 0,
        "b" => *value == false,
        _ => value.is_null(),
    }
}

fn value(kind: &str, wire: Wire<'_>) -> Option<Json> {
    Some(match kind {
        "s" => json!(wire.text()?),
        "i" | "I" => json!(wire.number()?),
        "b" | "B" => json!(wire.number()? != 0),
        "y" => json!(base64::engine::general_purpose::STANDARD.encode(wire.bytes()?)),
        "q" => {
            let fields = split(wire.bytes()?)?;
            fields.first().and_then(|(_, text)| text.text()).map_or(Json::Null, Json::String)
        }
        "t" => {
            let fields = split(wire.bytes()?)?;
            let seconds = fields.iter().find(|(number, _)| *number == 1);
            seconds
                .and_then(|(_, seconds)| jiff::Timestamp::from_second(seconds.number()?).ok())
                .map_or(Json::Null, |time| json!(time.to_string()))
        }
        "x" => {
            let fields = split(wire.bytes()?)?;
            let part = |wanted: u64| fields.iter().find(|(number, _)| *number == wanted);
            match part(1).and_then(|(_, kind)| kind.number()) {
                Some(1) => json!(part(3)?.1.text()?),
                _ => json!(part(2).and_then(|(_, number)| number.number()).unwrap_or(0)),
            }
        }
        name => message(name, wire.bytes()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length-delimited field.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("short");
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn a_body_in_the_kubernetes_envelope_reads_as_json() {
        let label = [field(1, b"team"), field(2, b"ml")].concat();
        let metadata =
            [field(1, b"azureml"), field(3, b""), field(8, b""), field(11, &label)].concat();
        let body = envelope("v1", "Namespace", &field(1, &metadata));
        assert_eq!(
            decode(&body),
            Some(json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": "azureml", "labels": {"team": "ml"}},
            }))
        );
        let zero_replicas = [1 << 3, 0];
        let body = envelope("apps/v1", "Deployment", &field(2, &zero_replicas));
        assert_eq!(decode(&body).expect("decodes")["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn truncated_and_unknown_bodies_are_refused_without_a_panic() {
        let whole =
            envelope("v1", "ConfigMap", &field(2, &[field(1, b"k"), field(2, b"v")].concat()));
        assert!(decode(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&envelope("v1", "Nonsense", b"")), None);
    }
}
