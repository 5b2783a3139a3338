//! Lists of hosts that clusters have to reach, and what came of trying them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::style::{Ink, Style, count, text};
use crate::health::network::Needed;
use crate::model::Json;

/// Name of the Job that tries the hosts from the cluster.
pub const JOB: &str = "amlplan-network";
/// Its namespace: one that every cluster has, also before the extension.
pub const JOB_NAMESPACE: &str = "default";

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Human,
    /// One document.
    Json,
    /// A line an endpoint.
    Csv,
    /// A line a host, for a firewall's list.
    Hosts,
    /// A Job for `kubectl apply -f -`.
    Job,
}

impl Form {
    /// The words for them.
    pub const NAMES: &'static str = "human, json, csv, hosts, job";

    /// The form of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "human" => Self::Human,
            "json" => Self::Json,
            "csv" => Self::Csv,
            "hosts" => Self::Hosts,
            "job" => Self::Job,
            _ => return None,
        })
    }
}

/// What came of trying a host.
#[derive(Debug, Clone)]
pub struct HostTried {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Where its name leads, where it was looked up here.
    pub address: Option<String>,
    /// The proxy in between, as `host:port`.
    pub proxy: Option<String>,
    /// The status of an answer, or the first hop that failed and how.
    pub end: Result<u16, (&'static str, String)>,
}

/// Every host and port once, in order.
#[must_use]
pub fn hosts(all: &[Needed]) -> BTreeSet<(String, u16)> {
    all.iter().flat_map(|needed| &needed.endpoints).map(|it| (it.host.clone(), it.port)).collect()
}

/// The list of hosts.
#[must_use]
pub fn list(all: &[Needed], form: Form, style: &Style) -> String {
    match form {
        Form::Human => human(all, style),
        Form::Json => pretty(
            &json!({ "format_version": "1.0", "clusters": all.iter().map(cluster).collect::<Vec<_>>() }),
        ),
        Form::Csv => csv(all),
        Form::Hosts => {
            let hosts: BTreeSet<String> = hosts(all).into_iter().map(|it| it.0).collect();
            text(&hosts.into_iter().collect::<Vec<_>>())
        }
        Form::Job => job(all),
    }
}

fn pretty(document: &Json) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn cluster(needed: &Needed) -> Json {
    let endpoints: Vec<Json> = needed
        .endpoints
        .iter()
        .map(|endpoint| json!({"host": endpoint.host, "port": endpoint.port, "protocol": "tcp", "purpose": endpoint.purpose, "without": endpoint.denied}))
        .collect();
    json!({"cluster": needed.cluster, "basis": needed.basis, "endpoints": endpoints})
}

fn csv(all: &[Needed]) -> String {
    let quoted = |text: &str| {
        // A spreadsheet takes a field that begins like this for a formula.
        let text = if text.starts_with(['=', '+', '-', '@']) {
            format!("'{text}")
        } else {
            text.to_owned()
        };
        if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let mut lines = vec!["cluster,host,port,purpose,without".to_owned()];
    for Needed { cluster, endpoints, .. } in all {
        lines.extend(endpoints.iter().map(|endpoint| {
            let parts = [
                cluster,
                &endpoint.host,
                &endpoint.port.to_string(),
                endpoint.purpose,
                endpoint.denied,
            ];
            parts.map(quoted).join(",")
        }));
    }
    text(&lines)
}

fn human(all: &[Needed], style: &Style) -> String {
    let mut lines = Vec::new();
    for Needed { cluster, basis, endpoints } in all {
        lines.push(style.ink(Ink::Strong, &format!("{cluster} ({basis}) has to reach:")));
        let mut groups: Vec<(&str, Vec<String>, &str)> = Vec::new();
        for endpoint in endpoints {
            let host = if endpoint.port == 443 {
                endpoint.host.clone()
            } else {
                format!("{}:{}", endpoint.host, endpoint.port)
            };
            match groups.iter_mut().find(|group| group.0 == endpoint.purpose) {
                Some(group) => group.1.push(host),
                None => groups.push((endpoint.purpose, vec![host], endpoint.denied)),
            }
        }
        for (purpose, hosts, denied) in groups {
            let without =
                if denied.is_empty() { String::new() } else { format!(" (without: {denied})") };
            lines.extend(style.hang("  ", &format!("{purpose}{without}")));
            lines.extend(hosts.iter().map(|host| format!("      {host}")));
        }
        lines.push(String::new());
    }
    lines.push(format!(
        "{}, port 443 unless written. `*` stands for one label or more.",
        count(hosts(all).len(), "host")
    ));
    text(&lines)
}

/// What came of trying the hosts, here and in the clusters.
#[must_use]
pub fn tried(
    all: &[Needed],
    tried: &[HostTried],
    jobs: &[(String, Option<String>)],
    form: Form,
    style: &Style,
) -> String {
    if form == Form::Json {
        let one = |host_tried: &HostTried| {
            let failed = host_tried.end.as_ref().err();
            json!({"host": host_tried.host, "port": host_tried.port, "address": host_tried.address, "proxy": host_tried.proxy,
                "status": host_tried.end.as_ref().ok(), "failed_at": failed.map(|it| it.0), "message": failed.map(|it| &it.1)})
        };
        let jobs: BTreeMap<&String, &Option<String>> =
            jobs.iter().map(|it| (&it.0, &it.1)).collect();
        return pretty(
            &json!({"format_version": "1.0", "from_here": tried.iter().map(one).collect::<Vec<_>>(), "from_clusters": jobs}),
        );
    }
    let mut lines = Vec::new();
    let (bad, fine): (Vec<&HostTried>, Vec<&HostTried>) =
        tried.iter().partition(|host_tried| host_tried.end.is_err());
    let purpose = |host: &str| {
        let found = all.iter().flat_map(|needed| &needed.endpoints).find(|it| it.host == host);
        found.map_or("", |endpoint| endpoint.purpose)
    };
    for host_tried in &bad {
        let Err((hop, why)) = &host_tried.end else { continue };
        let through = match &host_tried.proxy {
            Some(proxy) if *hop == "proxy" => format!(" {proxy}"),
            Some(proxy) => format!(" through proxy {proxy}"),
            None => String::new(),
        };
        let at = host_tried.address.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
        let head =
            format!("{}:{}{at}: fails at {hop}{through}: {why}", host_tried.host, host_tried.port);
        lines.extend(style.hang(&format!("{} ", style.ink(Ink::Bad, "✗")), &head));
        lines.push(format!("    for {}", purpose(&host_tried.host)));
    }
    let hops: BTreeSet<&str> = bad.iter().filter_map(|it| Some(it.end.as_ref().err()?.0)).collect();
    lines.extend(hops.into_iter().flat_map(|hop| style.hang("    help: ", help(hop))));
    let proxies: BTreeSet<&String> = tried.iter().filter_map(|it| it.proxy.as_ref()).collect();
    for proxy in proxies {
        lines.push(format!(
            "Proxy {proxy} is in between (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY); NO_PROXY names what goes past it."
        ));
    }
    let open = all.iter().flat_map(|needed| &needed.endpoints).filter(|it| it.host.contains('*'));
    let open: BTreeSet<&String> = open.map(|endpoint| &endpoint.host).collect();
    if !open.is_empty() {
        lines.push(format!(
            "- {} with `*` cannot be tried; `--network-list` names them.",
            count(open.len(), "host")
        ));
    }
    for (cluster, said) in jobs {
        match said {
            Some(said) => lines.extend(said.lines().map(|line| format!("From {cluster}: {line}"))),
            None => lines.extend(style.wrap("", &format!(
                "From {cluster} nothing was tried. To see its own view: amlplan doctor --network-list --format job \
                 --cluster {cluster} | kubectl apply -f -, then run this again."
            ))),
        }
    }
    lines.push(String::new());
    lines.push(style.ink(
        Ink::Strong,
        &format!("From here {} of {} answer.", fine.len(), count(tried.len(), "host")),
    ));
    text(&lines)
}

const fn help(hop: &str) -> &'static str {
    match hop.as_bytes() {
        b"DNS" => {
            "DNS: the name is not known here: ask whoever runs DNS; private endpoints need their private zones"
        }
        b"TCP" => "TCP: a firewall drops or refuses the connection: open the port for the host",
        b"proxy" => {
            "proxy: it cannot be reached or refuses the host: see HTTPS_PROXY, and let it pass these hosts"
        }
        b"TLS" => {
            "TLS: somebody in between shows a certificate of their own: give its authority in AMLPLAN_CA_FILE, or except the host from inspection"
        }
        _ => {
            "HTTP: the connection stands and no answer comes: an inspecting proxy or an idle limit is in the way"
        }
    }
}

/// Writes what a pod finds into its end message, which `doctor` reads; a pod's log would need more
/// rights.
const SCRIPT: &str = r#"import os, socket, ssl, http.client
ok, bad = 0, []
for line in os.environ["HOSTS"].split():
    host, port = line.rsplit(":", 1)
    hop = "DNS"
    try:
        socket.getaddrinfo(host, int(port))
        hop = "TCP"
        plain = socket.create_connection((host, int(port)), 8)
        hop = "TLS"
        if port == "443":
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        hop = "HTTP"
        asked = http.client.HTTPConnection(host, int(port), timeout=8)
        asked.sock = plain
        asked.request("HEAD", "/")
        asked.getresponse()
        ok += 1
    except Exception as why:
        bad.append(f"fail {line} {hop} {why}"[:150])
    text = "\n".join([f"{ok} hosts answer"] + bad)[:4000]
    open(os.environ.get("REPORT", "/dev/termination-log"), "w").write(text)
print(text)
"#;

fn job(all: &[Needed]) -> String {
    let hosts: Vec<String> = hosts(all)
        .into_iter()
        .filter(|it| !it.0.contains('*'))
        .map(|(host, port)| format!("{host}:{port}"))
        .collect();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": JOB, "namespace": JOB_NAMESPACE},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 3600, "template": {"spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "containers": [{"name": "network", "image": "mcr.microsoft.com/azurelinux/base/python:3.12",
                "command": ["python3", "-c", SCRIPT],
                "env": [{"name": "HOSTS", "value": hosts.join(" ")}],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        }}},
    });
    pretty(&job)
}
