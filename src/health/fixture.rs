//! Declared clusters and answers of probes for the tests of checks.

use std::collections::BTreeMap;

use serde_json::json;

use super::report::{Finding, Probed, Status};
use crate::language::{ClusterOrigin, ClusterSpec, Declared, Manifest};
use crate::model::{Json, Key};
use crate::resource::graph::{Desired, build};
use crate::resource::{Live, Snapshot};

/// A manifest of one cluster named `edge`, with what `more` adds to or replaces at its top.
pub(super) fn desired(more: Json) -> Desired {
    let mut spec = json!({
        "name": "edge",
        "azure": {"subscription": "00000000-0000-0000-0000-000000000001", "resourceGroup": "rg"},
        "cluster": {"type": "connectedClusters", "name": "edge"},
        "extension": {"name": "ext", "configurationSettings": {
            "enableTraining": true, "enableInference": true, "allowInsecureConnections": true,
            "inferenceRouterServiceType": "LoadBalancer",
        }},
    });
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        spec[key] = value;
    }
    let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
    let declared = Declared { spec, origin: ClusterOrigin::default(), secrets: BTreeMap::new() };
    build(&Manifest::from(vec![declared])).unwrap()
}

/// A snapshot that holds these documents, and knows of every other resource that it is not there.
pub(super) fn snapshot(desired: &Desired, live: &[(&str, Json)]) -> Snapshot {
    let mut found: BTreeMap<Key, Live> =
        desired.nodes.keys().map(|key| (key.clone(), Live(vec![None]))).collect();
    for (address, document) in live {
        let key: Key = address.parse().unwrap();
        let documents = match document {
            Json::Array(all) => all.iter().cloned().map(Some).collect(),
            one => vec![Some(one.clone())],
        };
        assert!(found.contains_key(&key), "{address} is not declared: {:?}", desired.nodes.keys());
        found.insert(key, Live(documents));
    }
    Snapshot { live: found, ..Snapshot::default() }
}

/// Answers of the probes of cluster `edge`.
pub(super) fn probed(answers: &[(&str, Json)]) -> Probed {
    let answer = |(name, value): &(&str, Json)| {
        let found = if value.is_null() { None } else { Some(value.clone().into()) };
        (("edge".to_owned(), (*name).to_owned()), Ok(found))
    };
    Probed(answers.iter().map(answer).collect())
}

/// The worst status of a code, with the message and help of that check.
pub(super) fn worst<'a>(checks: &'a [Finding], code: &str) -> Option<&'a Finding> {
    checks.iter().filter(|finding| finding.code == code).max_by_key(|finding| finding.status)
}

/// The worst status of a code; a code that did not appear is a mistake of the test.
pub(super) fn status(checks: &[Finding], code: &str) -> Status {
    let seen: Vec<_> = checks.iter().map(|finding| (finding.code, finding.status)).collect();
    worst(checks, code).unwrap_or_else(|| panic!("no {code} in {seen:?}")).status
}

/// How often each rule failed (false) and passed (true).
type RuleCounts = BTreeMap<(&'static str, bool), usize>;

thread_local! {
    static SEEN: std::cell::RefCell<RuleCounts> = std::cell::RefCell::default();
}

/// Notes what rules found in the worlds of a test.
pub(super) fn note(found: &[Finding]) {
    let passes = |finding: &Finding| match finding.status {
        Status::Pass => Some(true),
        Status::Fail | Status::Warning | Status::Info => Some(false),
        Status::Unknown | Status::Skipped => None,
    };
    SEEN.with_borrow_mut(|seen| {
        for (code, passes) in found.iter().filter_map(|it| Some((it.code, passes(it)?))) {
            *seen.entry((code, passes)).or_default() += 1;
        }
    });
}

pub(super) fn forget() {
    SEEN.with_borrow_mut(BTreeMap::clear);
}

pub(super) fn seen() -> RuleCounts {
    SEEN.with_borrow(Clone::clone)
}
