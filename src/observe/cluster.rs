//! Reads of one cluster: few at a time, objects of one kind as a list, and nothing more once its
//! API server was silent.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::{Answer, Breaker, Clients, Service};
use crate::model::{Json, ObjectRef};
use crate::resource::Read;

/// How many requests, and so sockets, one cluster has at a time.
const AT_ONCE: usize = 2;
/// From so many objects of a kind in one place on, the kind is listed.
const LIST_FROM: usize = 2;

/// Performs the reads of a cluster.
pub(super) async fn reads(
    clients: &Clients,
    scope: String,
    wanted: Vec<Read>,
    breaker: &Breaker,
) -> (String, BTreeMap<Read, Answer>) {
    let here = scope.as_str();
    // Where there is no such constraint, nobody can have been granted it: most clusters have not
    // even the API, and need not list their roles.
    let constraint = wanted.iter().find(|it| is_constraint(it)).cloned();
    let (later, wanted): (Vec<Read>, Vec<Read>) =
        wanted.into_iter().partition(|it| constraint.is_some() && is_grant(it));
    let mut answers = wave(clients, here, wanted, breaker).await;
    if constraint.and_then(|it| answers.get(&it).cloned()) == Some(Ok(None)) {
        answers.extend(later.into_iter().map(|it| (it, Ok(None))));
    } else {
        answers.extend(wave(clients, here, later, breaker).await);
    }
    if let Ok(reader) = clients.cluster(here) {
        reader.rest();
    }
    (scope, answers)
}

fn is_constraint(read: &Read) -> bool {
    matches!(read, Read::Object(object_ref) if object_ref.kind == "SecurityContextConstraints")
}

fn is_grant(read: &Read) -> bool {
    matches!(read, Read::Objects(object_ref) if object_ref.api_version.starts_with("rbac.authorization.k8s.io/"))
}

async fn wave(
    clients: &Clients,
    here: &str,
    wanted: Vec<Read>,
    breaker: &Breaker,
) -> BTreeMap<Read, Answer> {
    let plan = requests(wanted);
    let asked = futures_util::stream::iter(plan).map(|(request, wanted)| async move {
        let answer =
            breaker.guard(Service::Cluster(here.to_owned()), clients.read(here, &request)).await;
        (request, wanted, answer)
    });
    let mut answers = BTreeMap::new();
    for (request, wanted, answer) in asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        // Whoever may read an object need not be allowed to list its kind.
        let denied = answer.as_ref().is_err_and(|read_error| read_error.status == Some(403));
        for read in wanted {
            let own = if read == request {
                answer.clone()
            } else if denied {
                let ask = clients.read(here, &read);
                breaker.guard(Service::Cluster(here.to_owned()), ask).await
            } else {
                pick(&read, &answer)
            };
            answers.insert(read, own);
        }
    }
    answers
}

/// The requests that answer the reads: a list for several objects of one kind.
fn requests(wanted: Vec<Read>) -> Vec<(Read, Vec<Read>)> {
    let mut kinds: BTreeMap<ObjectRef, Vec<Read>> = BTreeMap::new();
    let mut requests = Vec::new();
    for read in wanted {
        match &read {
            Read::Object(object) => {
                let all = ObjectRef { name: String::new(), ..object.clone() };
                kinds.entry(all).or_default().push(read);
            }
            _ => requests.push((read.clone(), vec![read])),
        }
    }
    for (all, reads) in kinds {
        let list = Read::Objects(all);
        if let Some(same) = requests.iter_mut().find(|it| it.0 == list) {
            same.1.extend(reads);
        } else if reads.len() >= LIST_FROM {
            requests.push((list, reads));
        } else {
            requests.extend(reads.into_iter().map(|it| (it.clone(), vec![it])));
        }
    }
    requests
}

/// An object out of the list of its kind.
fn pick(read: &Read, list: &Answer) -> Answer {
    let Read::Object(object) = read else { return Ok(None) };
    let named = |value: &&Json| value["metadata"]["name"].as_str() == Some(object.name.as_str());
    let all = list.as_ref().map_err(Clone::clone)?.as_ref().and_then(Json::as_array);
    Ok(all.and_then(|values| values.iter().find(named)).cloned())
}
