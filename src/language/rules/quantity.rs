//! Kubernetes quantities as numbers (Kubernetes docs: resource quantities).

use std::collections::BTreeMap;

use crate::model::Json;

const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
];

/// The value of a quantity in base units; `None` for a text that is none.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let suffixed =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (digits, factor) = suffixed.unwrap_or((text, 1.0));
    // Nothing of a cluster is negative, and `inf` is no number here.
    let unsigned = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    digits.parse::<f64>().ok().filter(|_| unsigned).map(|number| number * factor)
}

/// CPU in millicores and memory in Mi, and whole devices by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Amount {
    pub(crate) cpu_m: i64,
    pub(crate) memory_mi: i64,
    pub(crate) devices: BTreeMap<String, i64>,
}

#[expect(clippy::cast_possible_truncation, reason = "quantities of nodes are far below i64")]
const fn whole(value: f64) -> i64 {
    value as i64
}

impl Amount {
    /// Reads a map of quantities (`allocatable`, `requests`); numbers count as texts.
    pub(crate) fn read(map: Option<&Json>) -> Self {
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let all = map.and_then(Json::as_object).into_iter().flatten();
        Self::of(all.map(|(key, value)| (key.as_str(), text(value))))
    }

    /// The same from names and texts.
    pub(crate) fn of<'a>(quantities: impl Iterator<Item = (&'a str, String)>) -> Self {
        let mut amount = Self::default();
        for (name, text) in quantities {
            let Some(value) = parse(&text) else { continue };
            match name {
                "cpu" => amount.cpu_m = whole((value * 1000.0).round()),
                "memory" => amount.memory_mi = whole(value / 1_048_576.0),
                device if device.contains('/') => {
                    amount.devices.insert(device.to_owned(), whole(value));
                }
                _ => {}
            }
        }
        amount
    }

    /// Adds CPU and memory.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_m += other.cpu_m;
        self.memory_mi += other.memory_mi;
    }

    /// Takes away CPU and memory.
    pub(crate) fn take(&mut self, other: &Self) {
        self.cpu_m -= other.cpu_m;
        self.memory_mi -= other.memory_mi;
    }

    /// The larger of both, part by part.
    pub(crate) fn at_least(&mut self, other: &Self) {
        self.cpu_m = self.cpu_m.max(other.cpu_m);
        self.memory_mi = self.memory_mi.max(other.memory_mi);
    }

    /// Whether this much fits into `room`.
    pub(crate) fn fits(&self, room: &Self) -> bool {
        self.cpu_m <= room.cpu_m
            && self.memory_mi <= room.memory_mi
            && self
                .devices
                .iter()
                .all(|(name, number)| room.devices.get(name).unwrap_or(&0) >= number)
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = |value: i64, unit: i64| {
            let tenths = value * 10 / unit;
            format!("{}.{}", tenths / 10, (tenths % 10).abs())
        };
        write!(f, "{} CPU and {} GiB", tenths(self.cpu_m, 1000), tenths(self.memory_mi, 1024))?;
        self.devices.iter().try_for_each(|(name, number)| write!(f, " and {number} {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_read_in_every_notation() {
        for (text, value) in [
            ("2", Some(2.0)),
            ("500m", Some(0.5)),
            ("1.5", Some(1.5)),
            ("1Ki", Some(1024.0)),
            ("16Gi", Some(17_179_869_184.0)),
            ("1k", Some(1000.0)),
            ("1e3", Some(1000.0)),
            ("128M", Some(128_000_000.0)),
            ("0", Some(0.0)),
            ("lots", None),
            ("2 GB", None),
            ("Gi", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }

    #[test]
    fn amounts_compare_part_by_part_and_print_for_people() {
        let node = Amount::read(Some(
            &json!({"cpu": "7820m", "memory": "28Gi", "nvidia.com/gpu": "1", "pods": "110"}),
        ));
        assert_eq!((node.cpu_m, node.memory_mi), (7820, 28672));
        let mut want =
            Amount::read(Some(&json!({"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": 2})));
        assert!(!want.fits(&node));
        want.devices.insert("nvidia.com/gpu".into(), 1);
        assert!(want.fits(&node));
        assert_eq!(want.to_string(), "4.0 CPU and 16.0 GiB and 1 nvidia.com/gpu");
    }
}
