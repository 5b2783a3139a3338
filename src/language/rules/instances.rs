//! Instance types. Source: AML docs: manage Kubernetes instance types.

use std::collections::BTreeMap;

use crate::catalog;
use crate::language::{InstanceTypeSpec, Quantity};
use crate::source::{Diagnostic, Diagnostics};

use super::quantity;
use super::view::View;

pub(super) fn check(view: View<'_>, found: &mut Diagnostics) {
    for (index, instance_type) in view.cluster.instance_types.iter().enumerate() {
        let at = format!("/instanceTypes/{index}");
        let lists = [
            ("requests", &instance_type.resources.requests),
            ("limits", &instance_type.resources.limits),
        ];
        for (list, quantities) in lists {
            required(view, instance_type, &at, list, quantities, found);
            for (resource, quantity) in quantities {
                quantity_of(view, &at, list, resource, quantity, found);
            }
        }
        order(view, instance_type, &at, found);
        selectors(view, instance_type, &at, found);
    }
}

fn required(
    view: View<'_>,
    kind: &InstanceTypeSpec,
    at: &str,
    list: &str,
    quantities: &BTreeMap<String, Quantity>,
    found: &mut Diagnostics,
) {
    for resource in ["cpu", "memory"].into_iter().filter(|text| !quantities.contains_key(*text)) {
        let example = if resource == "cpu" { "\"1\"" } else { "2Gi" };
        let message = format!("instance type `{}` has no {resource} under {list}", kind.name);
        found.push(
            Diagnostic::error("instance-type-incomplete", message)
                .with_help(format!("cpu and memory are needed under both requests and limits: add {resource}: {example}"))
                .at(view.key(&format!("{at}/resources/{list}")), "missing here"),
        );
    }
}

const GPU: &str = "nvidia.com/gpu";

fn quantity_of(
    view: View<'_>,
    at: &str,
    list: &str,
    resource: &str,
    quantity: &Quantity,
    found: &mut Diagnostics,
) {
    let path = format!("{at}/resources/{list}/{}", resource.replace('~', "~0").replace('/', "~1"));
    let text = quantity.wire();
    let wrong = |code, message: String, help: &str| {
        Diagnostic::error(code, message).with_help(help).at(view.value(&path), "here")
    };
    if resource == GPU {
        if list == "requests" {
            found.push(wrong(
                "gpu-under-requests",
                format!("`{GPU}` stands under requests"),
                "GPUs are given under limits only: move the line there",
            ));
        } else if text.parse::<u32>().is_err() {
            found.push(wrong(
                "bad-quantity",
                format!("`{GPU}` is a whole number, not `{text}`"),
                "GPUs cannot be shared: write 1, 2, …",
            ));
        }
        return;
    }
    let (fits, help) = match resource {
        "cpu" => {
            (is_cpu(&text), "write whole or decimal cores (\"2\", \"0.5\") or thousandths (500m)")
        }
        "memory" => (is_memory(&text), "write a number with Mi or Gi, for example 16Gi"),
        _ => (is_quantity(&text), "write a Kubernetes quantity, for example 500m, 4 or 16Gi"),
    };
    if !fits {
        found.push(wrong("bad-quantity", format!("`{text}` is not an amount of {resource}"), help));
    } else if quantity::parse(&text) == Some(0.0) {
        found.push(wrong("bad-quantity", format!("{resource} cannot be zero"), help));
    }
}

/// A limit below its request is refused by Kubernetes.
fn order(view: View<'_>, kind: &InstanceTypeSpec, at: &str, found: &mut Diagnostics) {
    for (resource, request) in &kind.resources.requests {
        let Some(limit) = kind.resources.limits.get(resource) else { continue };
        let (Some(least), Some(most)) =
            (quantity::parse(&request.wire()), quantity::parse(&limit.wire()))
        else {
            continue;
        };
        if least > most {
            let path =
                |list: &str| format!("{at}/resources/{list}/{}", resource.replace('/', "~1"));
            let message =
                format!("instance type `{}` requests more {resource} than its limit", kind.name);
            found.push(
                Diagnostic::error("request-above-limit", message)
                    .with_help("raise the limit or lower the request")
                    .at(view.value(&path("requests")), "requested")
                    .at(view.value(&path("limits")), "the limit"),
            );
        }
    }
}

/// Pods must match the selector of the type and that of the extension.
fn selectors(view: View<'_>, kind: &InstanceTypeSpec, at: &str, found: &mut Diagnostics) {
    let Some(settings) = view.settings() else { return };
    for (label, value) in &kind.node_selector {
        let all = &settings.extension.configuration_settings;
        let same = all.iter().find(|it| catalog::node_label(it.0).as_ref() == Some(label));
        let Some((key, other)) = same.map(|(key, setting)| (key, setting.wire())) else { continue };
        if other != *value {
            let message = format!("no node can be both {label}={value} and {label}={other}");
            found.push(
                Diagnostic::error("node-selector-conflict", message)
                    .with_help("workloads must match the instance type's selector and the extension's: make the values equal or drop one")
                    .at(view.value(&format!("{at}/nodeSelector/{}", label.replace('/', "~1"))), "of the instance type")
                    .at(settings.place(key), "of the extension"),
            );
        }
    }
}

fn is_cpu(text: &str) -> bool {
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    match text.strip_suffix('m') {
        Some(milli) => digits(milli),
        None => text
            .split_once('.')
            .map_or_else(|| digits(text), |(whole, part)| digits(whole) && digits(part)),
    }
}

fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix("Mi").or_else(|| text.strip_suffix("Gi"));
    number.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether Kubernetes reads the text as a quantity.
pub(super) fn is_quantity(text: &str) -> bool {
    quantity::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_memory_have_their_own_notations() {
        assert!(is_cpu("0.5") && is_cpu("500m") && !is_cpu("1Gi") && !is_cpu("m") && !is_cpu(".5"));
        assert!(is_memory("16Gi") && !is_memory("16") && !is_memory("16G") && !is_memory("Gi"));
    }
}
