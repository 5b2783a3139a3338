//! Many reads of Azure in few requests: what a list shows comes from the list, above all from one
//! that is asked for anyway; what no list above its parent shows (extensions, hybrid connections,
//! rules) is asked for in batches, and the rest, with whatever those could not answer, one by one. Nothing here is older than the request:
//! Resource Graph, which lags behind writes, is not asked.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;

use super::{Answer, Breaker, Service, read_error};
use crate::client::arm;
use crate::model::{ArmId, Json};
use crate::resource::Read;

/// From so many reads of one collection on, the collection is listed: a subscription may hold much
/// that is not ours.
const LIST_FROM: usize = 8;
/// From so many on, what no list shows is asked for in batches.
const BATCH_FROM: usize = 20;
/// Types whose lists show whole resources, for a resource group as for a subscription.
const LISTED: &[&str] = &[
    "Microsoft.Kubernetes/connectedClusters",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.Relay/namespaces",
    "Microsoft.ServiceBus/namespaces",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.MachineLearningServices/workspaces",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    // Listed below their parent.
    "Microsoft.MachineLearningServices/workspaces/computes",
];

/// Performs distinct reads of one cloud.
pub(super) async fn reads(
    reader: &arm::ArmReader,
    wanted: BTreeSet<Read>,
    breaker: &Breaker,
    parallelism: usize,
) -> BTreeMap<Read, Answer> {
    let mut answers = BTreeMap::new();
    let (below, wanted) = below_lists(wanted);
    let (mut lists, mut rest) = in_lists(wanted);
    // So many come in pages, and a batch holds only the first of them.
    for list in below.iter().filter(|it| it.1.len() >= LIST_FROM).map(|it| it.0) {
        if let Read::ArmList { path, api_version } = list {
            rest.remove(list);
            lists.insert((path.clone(), *api_version), vec![list.clone()]);
        }
    }
    let listed = futures_util::stream::iter(lists)
        .map(|((path, api_version), wanted)| async move {
            let list = reader.list(&path, api_version);
            let list = breaker.asked.of(service(reader).who(), list).await;
            (wanted, list)
        })
        .buffer_unordered(parallelism);
    for (wanted, list) in listed.collect::<Vec<_>>().await {
        match list {
            Ok(items) => answers.extend(pick(wanted, items)),
            // Whoever may read a resource need not be allowed to list its neighbours.
            Err(error) => {
                tracing::info!(%error, "a list cannot be read: its resources are read one by one");
                breaker.tell(service(reader), read_error(String::new(), &error));
                rest.extend(wanted);
            }
        }
    }
    let (many, mut single): (Vec<Read>, BTreeSet<Read>) =
        (rest.into_iter().collect(), BTreeSet::new());
    if many.len() < BATCH_FROM || breaker.is_dead(&service(reader)) {
        single.extend(many);
    } else {
        let ids = many.iter().map(|it| match it {
            Read::Arm { id, api_version } => (id.as_str(), *api_version),
            Read::ArmList { path, api_version } => (path.as_str(), *api_version),
            // Nobody asks Azure for these.
            Read::Object(_) | Read::Objects(_) | Read::Review(_) => ("/", ""),
        });
        let ids: Vec<_> = ids.collect();
        let found = breaker.asked.of(service(reader).who(), reader.get_many(&ids)).await;
        let mut found = found.unwrap_or_else(|error| {
            tracing::info!(%error, "batches are not served here: reading one by one");
            BTreeMap::new()
        });
        for (at, read) in many.into_iter().enumerate() {
            match found.remove(&at).and_then(|value| whole(&read, value)) {
                Some(document) => drop(answers.insert(read, Ok(document))),
                None => drop(single.insert(read)),
            }
        }
    }
    answers.extend(one_by_one(reader, single, breaker, parallelism).await);
    let mut unlisted = BTreeSet::new();
    for (list, wanted) in below {
        match answers.get(&list) {
            Some(Ok(items)) => {
                let items = items.as_ref().and_then(Json::as_array).cloned();
                answers.extend(pick(wanted, items.unwrap_or_default()));
            }
            _ => unlisted.extend(wanted),
        }
    }
    answers.extend(one_by_one(reader, unlisted, breaker, parallelism).await);
    answers
}

async fn one_by_one(
    reader: &arm::ArmReader,
    wanted: BTreeSet<Read>,
    breaker: &Breaker,
    parallelism: usize,
) -> Vec<(Read, Answer)> {
    let singly = futures_util::stream::iter(wanted).map(|read| async move {
        let answer = breaker.arm(reader, &read).await;
        (read, answer)
    });
    singly.buffer_unordered(parallelism).collect().await
}

/// What a batch answered; `None` for the first of several pages, which are read by themselves.
fn whole(read: &Read, answer: Option<Json>) -> Option<Option<Json>> {
    match (read, answer) {
        (Read::ArmList { .. }, Some(mut page)) => {
            let more = page["nextLink"].as_str().is_some_and(|text| !text.is_empty());
            (!more && page["value"].is_array()).then(|| Some(page["value"].take()))
        }
        (_, answer) => Some(answer),
    }
}

/// Reads of what stands in a list that is asked for itself, by that list, and all other reads.
fn below_lists(wanted: BTreeSet<Read>) -> (BTreeMap<Read, Vec<Read>>, BTreeSet<Read>) {
    let own = |read: &Read| match read {
        Read::ArmList { path, api_version } => Some((path.to_ascii_lowercase(), *api_version)),
        _ => None,
    };
    let lists: BTreeMap<_, Read> =
        wanted.iter().filter_map(|it| Some((own(it)?, it.clone()))).collect();
    let (mut below, mut rest): (BTreeMap<Read, Vec<Read>>, _) = (BTreeMap::new(), BTreeSet::new());
    for read in wanted {
        match above(&read).and_then(|it| lists.get(&it)) {
            Some(list) => below.entry(list.clone()).or_default().push(read),
            None => drop(rest.insert(read)),
        }
    }
    (below, rest)
}

/// The list in which a resource stands: path, in small letters, and version.
fn above(read: &Read) -> Option<(String, &'static str)> {
    let Read::Arm { id, api_version } = read else { return None };
    let path = id.as_str().rsplit_once('/')?.0;
    Some((path.to_ascii_lowercase(), *api_version))
}

/// The lists that answer many of the reads, and the reads that none does.
#[expect(clippy::type_complexity, reason = "path and version of a list → what it answers")]
fn in_lists(
    wanted: BTreeSet<Read>,
) -> (BTreeMap<(String, &'static str), Vec<Read>>, BTreeSet<Read>) {
    let mut groups: BTreeMap<(String, &'static str), Vec<Read>> = BTreeMap::new();
    let mut rest = BTreeSet::new();
    for read in wanted {
        match above(&read).filter(|_| listed(&read)) {
            Some(list) => groups.entry(list).or_default().push(read),
            None => drop(rest.insert(read)),
        }
    }
    let mut lists: BTreeMap<(String, &'static str), Vec<Read>> = BTreeMap::new();
    // A group each for many groups is no better than a read each: then the subscription is listed.
    let mut small: BTreeMap<(String, &'static str), Vec<Read>> = BTreeMap::new();
    for ((path, api_version), reads) in groups {
        if reads.len() >= LIST_FROM {
            lists.insert((path, api_version), reads);
        } else {
            let whole = of_subscription(&path).unwrap_or(path);
            small.entry((whole, api_version)).or_default().extend(reads);
        }
    }
    for (list, reads) in small {
        if reads.len() >= LIST_FROM {
            lists.insert(list, reads);
        } else {
            rest.extend(reads);
        }
    }
    (lists, rest)
}

fn listed(read: &Read) -> bool {
    let kind = |id: &ArmId| id.resource_type();
    matches!(read, Read::Arm { id, .. } if LISTED.iter().any(|text| text.eq_ignore_ascii_case(&kind(id))))
}

/// `/subscriptions/S/resourcegroups/G/providers/N/T` without its group; `None` for what stands
/// below a parent.
fn of_subscription(path: &str) -> Option<String> {
    let (subscription, rest) = path.split_once("/resourcegroups/")?;
    let (_, below) = rest.split_once('/')?;
    (below.split('/').count() == 3).then(|| format!("{subscription}/{below}"))
}

/// What a list says about each of the reads; what it does not hold is not there. A list that is
/// read for itself is alone.
fn pick(wanted: Vec<Read>, mut items: Vec<Json>) -> impl Iterator<Item = (Read, Answer)> {
    let alone = matches!(&wanted[..], [Read::ArmList { .. }]);
    let mut whole = alone.then(|| Json::Array(std::mem::take(&mut items)));
    let mut by_id: BTreeMap<String, Json> = items
        .into_iter()
        .filter_map(|value| Some((value.get("id")?.as_str()?.to_ascii_lowercase(), value)))
        .collect();
    wanted.into_iter().map(move |read| {
        let Read::Arm { id, .. } = &read else { return (read, Ok(whole.take())) };
        let document = by_id.remove(&id.as_str().to_ascii_lowercase());
        (read, Ok(document))
    })
}

impl Breaker {
    async fn arm(&self, reader: &arm::ArmReader, read: &Read) -> Answer {
        self.guard(service(reader), read_arm(reader, read)).await
    }
}

fn service(reader: &arm::ArmReader) -> Service {
    let host = reader.cloud().resource_manager.to_string();
    Service::Azure { host, client: reader.identity() }
}

/// One read of Azure.
pub(super) async fn read_arm(reader: &arm::ArmReader, read: &Read) -> Answer {
    match read {
        Read::Arm { id, api_version } => reader
            .get(id.as_str(), api_version)
            .await
            .map_err(|api_error| read_error(id.as_str().to_owned(), &api_error)),
        Read::ArmList { path, api_version } => match reader.list(path, api_version).await {
            Ok(items) => Ok(Some(Json::Array(items))),
            // The scope of a list may be something that is yet to be made.
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(read_error(path.clone(), &error)),
        },
        Read::Object(_) | Read::Objects(_) | Read::Review(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(id: &str) -> Read {
        Read::Arm { id: ArmId::parse(id).unwrap(), api_version: "2024-01-01" }
    }

    /// One group: its list. A cluster each in many groups: the subscription's. Few: no list.
    #[test]
    fn lists_are_as_narrow_as_they_can_be_and_only_for_many() {
        let cluster = |group: usize, name: usize| {
            read(&format!(
                "/subscriptions/s/resourceGroups/g{group}/providers/Microsoft.Kubernetes/connectedClusters/c{name}"
            ))
        };
        let paths = |reads: Vec<Read>| {
            let (lists, rest) = in_lists(reads.into_iter().collect());
            let paths: Vec<String> = lists.into_keys().map(|it| it.0).collect();
            (paths, rest.len())
        };
        let kind = "providers/microsoft.kubernetes/connectedclusters";
        assert_eq!(paths((0..7).map(|number| cluster(0, number)).collect()), (vec![], 7));
        let one = format!("/subscriptions/s/resourcegroups/g0/{kind}");
        assert_eq!(paths((0..9).map(|number| cluster(0, number)).collect()), (vec![one], 0));
        let whole = format!("/subscriptions/s/{kind}");
        assert_eq!(paths((0..9).map(|number| cluster(number, number)).collect()), (vec![whole], 0));
        let extension = |number: usize| {
            let id = format!(
                "/subscriptions/s/resourceGroups/g/{kind}/c{number}/providers/Microsoft.KubernetesConfiguration/extensions/e"
            );
            read(&id)
        };
        assert_eq!(paths((0..9).map(extension).collect()), (vec![], 9));

        // Lists that are asked for anyway answer whatever stands in them.
        let list = |path: &str| Read::ArmList { path: path.to_owned(), api_version: "2024-01-01" };
        let own = format!("/subscriptions/s/resourceGroups/G/{kind}");
        let (below, rest) =
            below_lists([list(&own), cluster(0, 1), extension(1)].into_iter().collect());
        assert_eq!((below.len(), rest.len()), (0, 3));
        let own = format!("/subscriptions/s/resourceGroups/G0/{kind}");
        let (below, rest) =
            below_lists([list(&own), cluster(0, 1), extension(1)].into_iter().collect());
        assert_eq!(below.get(&list(&own)), Some(&vec![cluster(0, 1)]));
        assert_eq!(rest.len(), 2);
        let found: Vec<_> = pick(vec![list(&own)], vec![Json::Null]).collect();
        assert_eq!(found, [(list(&own), Ok(Some(Json::Array(vec![Json::Null]))))]);
    }
}
