//! What a working deployment offers: where its inference router answers.

use super::site::{items, number, text};
use crate::model::Json;

/// The address of Service `azureml/azureml-fe`, as its type gives one: the balancer's address, a
/// port on every node, or the address inside the cluster. `None`: it has none yet.
///
/// Source: AML docs: secure Kubernetes online endpoint.
#[must_use]
pub fn router_address(service: &Json) -> Option<String> {
    let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
    match text(service, "/spec/type") {
        "LoadBalancer" => {
            let ingress = items(service, "/status/loadBalancer/ingress").next()?;
            some(text(ingress, "/ip")).or_else(|| some(text(ingress, "/hostname")))
        }
        "NodePort" => {
            let https = items(service, "/spec/ports").find(|value| number(value, "/port") == 443);
            let port = https.or_else(|| items(service, "/spec/ports").next())?;
            let port = number(port, "/nodePort");
            (port != 0).then(|| format!("port {port} of every node"))
        }
        _ => some(text(service, "/spec/clusterIP")).filter(|it| it != "None"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_type_of_service_has_its_own_address() {
        for (service, expected) in [
            (
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
                Some("1.2.3.4"),
            ),
            (
                json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"hostname": "lb"}]}}}),
                Some("lb"),
            ),
            (json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}}), None),
            (
                json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 31080}, {"port": 443, "nodePort": 31443}]}}),
                Some("port 31443 of every node"),
            ),
            (json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1"}}), Some("10.0.0.1")),
            (json!({"spec": {"clusterIP": "None"}}), None),
        ] {
            assert_eq!(router_address(&service).as_deref(), expected, "{service}");
        }
    }
}
