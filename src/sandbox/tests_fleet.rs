//! Worlds of many clusters, few rights and tight limits: pages, the index that lags, throttled reads, 403.

use http::StatusCode;
use serde_json::{Value as Json, json};

use crate::tests::{RG, S, arc, get, install, of, seeded, send, set, wait};
use crate::{Sandbox, Seed, SeedCluster, Subject};

const ARC: &str = "Microsoft.Kubernetes/connectedClusters";

fn many(world: &str, clusters: usize) -> Sandbox {
    let sandbox = seeded(world);
    let subscription = S.trim_start_matches("/subscriptions/").to_owned();
    let cluster = |at| SeedCluster {
        subscription: subscription.clone(),
        resource_group: "ml-rg".to_owned(),
        name: format!("edge-{at}"),
        kind: "connectedClusters".to_owned(),
        ..SeedCluster::default()
    };
    sandbox.seed(&Seed { clusters: (0..clusters).map(cluster).collect(), ..Seed::default() });
    sandbox
}

async fn graph(sandbox: &Sandbox, query: &str, skip: Option<&str>) -> Json {
    let url = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01";
    let mut options = json!({"$top": 100, "resultFormat": "objectArray"});
    if let Some(skip) = skip {
        options["$skipToken"] = json!(skip);
    }
    let got = send(sandbox, "POST", url, Some(json!({"query": query, "options": options}))).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    got.body
}

#[tokio::test(start_paused = true)]
async fn every_list_is_the_same_whatever_its_pages_are() {
    for (world, pages) in [("", 3), ("pageSize: 7", 36), ("pageSize: 251", 1)] {
        let sandbox = many(world, 250);
        let mut url = format!("{S}/providers/{ARC}?api-version=2024-01-01");
        let (mut names, mut seen) = (Vec::new(), 0);
        loop {
            let got = get(&sandbox, &url).await;
            let items = got.body["value"].as_array().expect("a page");
            names.extend(items.iter().map(|it| it["name"].as_str().expect("a name").to_owned()));
            seen += 1;
            let Some(next) = got.body["nextLink"].as_str() else { break };
            assert!(
                next.contains("skipToken=") && next.contains("api-version=2024-01-01"),
                "{next}"
            );
            next.clone_into(&mut url);
        }
        names.sort();
        names.dedup();
        assert_eq!((names.len(), seen), (251, pages), "{world}");
    }
    let sandbox = many("", 250);
    let query = "resources | where type =~ 'microsoft.kubernetes/connectedclusters' | project id";
    let (mut rows, mut skip) = (0, None);
    loop {
        let page = graph(&sandbox, query, skip.as_deref()).await;
        assert_eq!(page["totalRecords"], 251);
        rows += page["count"].as_u64().expect("a number");
        skip = page["$skipToken"].as_str().map(ToOwned::to_owned);
        if skip.is_none() {
            break;
        }
    }
    assert_eq!(rows, 251);
}

#[tokio::test(start_paused = true)]
async fn the_index_lags_behind_writes_as_long_as_the_world_says() {
    let sandbox = seeded("graphLag: 60");
    let query = "resources | where name == 'edge' | project id, tags";
    let team = |rows: Json| rows["data"][0]["tags"]["team"].clone();
    set(&sandbox, Subject::Arm(arc()), "/tags/team", json!("a")).expect("set");
    assert_eq!(get(&sandbox, &arc()).await.body["tags"]["team"], "a", "a GET is fresh");
    assert_eq!(team(graph(&sandbox, query, None).await), Json::Null);
    wait(61).await;
    assert_eq!(team(graph(&sandbox, query, None).await), "a");
    send(&sandbox, "DELETE", &format!("{arc}?api-version=2024-01-01", arc = arc()), None).await;
    wait(30).await;
    assert_eq!(get(&sandbox, &arc()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(graph(&sandbox, query, None).await["count"], 1);
    wait(61).await;
    assert_eq!(graph(&sandbox, query, None).await["count"], 0);
}

#[tokio::test(start_paused = true)]
async fn reads_are_throttled_as_the_world_says_and_count_down() {
    let sandbox = seeded("throttling: {reads: 25, retryAfter: 17}");
    for left in (0..25).rev() {
        let got = get(&sandbox, RG).await;
        let header = got.header("x-ms-ratelimit-remaining-subscription-reads");
        assert_eq!((got.status, header), (StatusCode::OK, &*left.to_string()));
    }
    let got = get(&sandbox, RG).await;
    assert_eq!((got.status, got.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "17"));
    wait(1).await;
    assert_eq!(get(&sandbox, RG).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_may_not_do_is_forbidden_and_own_rights_are_told() {
    let world = format!(
        "access: {{azure: [{{role: Reader, scope: {RG}}}], kubernetes: [{{apiGroups: [''], resources: [pods], verbs: [list]}}]}}"
    );
    let sandbox = seeded(&world);
    assert_eq!(get(&sandbox, &arc()).await.status, StatusCode::OK);
    let tags = json!({"tags": {"a": "b"}});
    for (method, url) in
        [("PATCH", arc()), ("DELETE", arc()), ("GET", format!("{S}/providers/Microsoft.Relay"))]
    {
        let got = send(&sandbox, method, &url, (method == "PATCH").then(|| tags.clone())).await;
        let said = got.body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (got.status, &got.body["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("AuthorizationFailed"))
        );
        assert!(
            said.contains("does not have authorization to perform action 'Microsoft."),
            "{said}"
        );
    }
    let rights =
        get(&sandbox, &format!("{RG}/providers/Microsoft.Authorization/permissions")).await;
    assert_eq!(rights.body["value"][0]["actions"], json!(["*/read"]));
    assert_eq!(
        get(&sandbox, "/subscriptions").await.body["value"].as_array().map(Vec::len),
        Some(1)
    );
    let rows = graph(&sandbox, "resources | project id", None).await;
    assert!(rows["count"].as_u64().is_some_and(|count| count >= 3), "{rows}");

    let cluster = format!("/kubernetes/{}/ml-rg/edge", S.trim_start_matches("/subscriptions/"));
    let pods = get(&sandbox, &format!("{cluster}/api/v1/pods")).await;
    let nodes = get(&sandbox, &format!("{cluster}/api/v1/nodes")).await;
    assert_eq!((pods.status, nodes.status), (StatusCode::OK, StatusCode::FORBIDDEN));
    let review = |resource: &str| {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": resource}}})
    };
    for (resource, allowed) in [("pods", true), ("nodes", false)] {
        let url = format!("{cluster}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        let got = send(&sandbox, "POST", &url, Some(review(resource))).await;
        assert_eq!(got.body["status"]["allowed"], allowed, "{resource}: {}", got.body);
    }
}

#[tokio::test(start_paused = true)]
async fn every_health_code_can_be_produced_and_stops_what_it_should() {
    let codes = [
        "E40000", "E40001", "E40002", "E40003", "E40004", "E40005", "E40006", "E40007", "E45001",
        "E45002", "E45003", "E45004", "E45005", "E45006", "E49999",
    ];
    for code in codes {
        let sandbox = seeded(&format!("clusters: [{{name: edge, health: [{code}]}}]"));
        let got = install(&sandbox, json!({"enableTraining": "True"})).await;
        let critical = code < "E45000" || ["E45002", "E45004", "E45005"].contains(&code);
        let state = if critical { "Failed" } else { "Succeeded" };
        assert_eq!(got.body["properties"]["provisioningState"], state, "{code}: {}", got.body);
        let world = sandbox.show()["kubernetes"]["edge"].to_string();
        assert!(world.contains(&format!("ErrorCode: {code}")), "{code}");
    }
    let sandbox = seeded("clusters: [{name: edge, loadBalancer: false}]");
    let settings = json!({"enableInference": "True", "allowInsecureConnections": "True"});
    install(&sandbox, settings).await;
    assert!(sandbox.show()["kubernetes"]["edge"].to_string().contains("ErrorCode: E40001"));
}

#[tokio::test(start_paused = true)]
async fn a_label_with_dots_is_a_selector_only_when_they_are_escaped() {
    for (label, state) in [(r"kubernetes\.io/os", "Succeeded"), ("kubernetes.io/os", "Failed")] {
        let sandbox = seeded("");
        set(&sandbox, of(&arc(), "node/node-1"), "/metadata/labels/x", json!("y")).expect("set");
        let mut settings = json!({"enableTraining": "True"});
        settings[format!("nodeSelector.{label}")] = json!("linux");
        let got = install(&sandbox, settings).await;
        assert_eq!(got.body["properties"]["provisioningState"], state, "{label}: {}", got.body);
    }
}
