//! What an operation asks for next, and how it ends, whatever comes back.

use super::*;
use serde_json::json;

const RESOURCE: &str = "https://management.azure.com/subscriptions/s/providers/P/things/one";

/// An answer in a line: the status, the state of the resource or operation in the body, then
/// headers as `name=address`, each below Azure Resource Manager.
fn answer(line: &str) -> (u16, HeaderMap, Vec<u8>) {
    let mut words = line.split(' ');
    let status = words.next().and_then(|status| status.parse().ok()).expect("a status");
    let (mut headers, mut body) = (HeaderMap::new(), Vec::new());
    for word in words {
        match word.split_once('=') {
            Some(("after", seconds)) => {
                headers.insert("retry-after", seconds.parse().expect("a header"));
            }
            Some((name, path)) => {
                let name = if name == "status" { "azure-asyncoperation" } else { "location" };
                let address = match path {
                    "own" => format!("{RESOURCE}?api-version=9"),
                    path if path.starts_with("http") => path.to_owned(),
                    path => format!("https://management.azure.com/{path}"),
                };
                headers.insert(name, address.parse().expect("a header"));
            }
            None if word == "{}" => body = b"{}".to_vec(),
            None => {
                let document = json!({"properties": {"provisioningState": word}, "status": word});
                body = document.to_string().into_bytes();
            }
        }
    }
    (status, headers, body)
}

/// What is done next: `look 2` reads the resource after two seconds, `poll x` an address.
fn told(operation: &Operation) -> String {
    match operation.next() {
        Next::Poll { url, .. } => format!("poll {}", url.rsplit('/').next().unwrap_or_default()),
        Next::Read { url, after } => {
            assert!(url.starts_with(RESOURCE), "{url}");
            format!("look {}", after.as_secs())
        }
        Next::Done(OperationOutcome::Succeeded(found)) => {
            let state = found.as_ref().and_then(provisioning).unwrap_or("-");
            format!("done {state}")
        }
        Next::Done(OperationOutcome::Failed(_)) => "failed".to_owned(),
        Next::Done(OperationOutcome::Deadline { .. }) => "late".to_owned(),
    }
}

/// The whole course of an operation: what is told after each answer, and the last state.
fn course(method: &str, answers: &[&str]) -> String {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let url = match method {
        Method::POST => format!("{RESOURCE}/act?api-version=9"),
        _ => format!("{RESOURCE}?api-version=9"),
    };
    let (status, headers, body) = answer(answers[0]);
    let mut operation = Operation::begin(&method, &url, status, &headers, &body);
    let mut all = vec![told(&operation)];
    for line in &answers[1..] {
        let (status, headers, body) = answer(line);
        match operation.on_response(status, &headers, &body) {
            Ok(()) => all.push(told(&operation)),
            Err(_) => all.push("unknown".to_owned()),
        }
    }
    format!("{}; {}", all.join(", "), operation.state())
}

/// What it is about, the method, the answers, and what is told.
const COURSES: &[(&str, &str, &[&str], &str)] = &[
    ("over at once", "PUT", &["200 Succeeded"], "done Succeeded; Succeeded"),
    ("no state is a good one", "PUT", &["201 {}"], "done -; Accepted"),
    ("failed at once", "PUT", &["200 Failed"], "failed; Failed"),
    ("refused", "PUT", &["409 {}"], "failed; Accepted"),
    (
        "202 without an address",
        "PUT",
        &["202 Succeeded", "200 Creating", "200 Succeeded"],
        "look 1, look 1, done Succeeded; Succeeded",
    ),
    (
        "the address of a status",
        "PUT",
        &[
            "201 Creating status=op location=elsewhere",
            "200 Creating",
            "200 Succeeded",
            "200 Succeeded",
        ],
        "poll op, poll op, look 0, done Succeeded; Succeeded",
    ),
    (
        "the address moves",
        "PUT",
        &["202 status=op", "200 Creating status=next", "307 location=last", "200 Failed"],
        "poll op, poll next, poll last, failed; Failed",
    ),
    (
        "a status that may not be read",
        "PUT",
        &["202 status=op", "403", "200 Succeeded"],
        "poll op, look 0, done Succeeded; Succeeded",
    ),
    (
        "201 with the resource's own address",
        "PUT",
        &["201 Creating location=own", "200 Succeeded"],
        "look 1, done Succeeded; Succeeded",
    ),
    (
        "201 with another address",
        "PUT",
        &["201 Creating location=op", "202 Succeeded", "200", "200 Succeeded"],
        "poll op, poll op, look 0, done Succeeded; Succeeded",
    ),
    ("200 with an address", "PUT", &["200 Succeeded location=op"], "done Succeeded; Succeeded"),
    (
        "an address of somebody else",
        "PUT",
        &["202 status=https://elsewhere.example/op", "200 Succeeded"],
        "look 1, done Succeeded; Succeeded",
    ),
    (
        "the location answers as the request would have",
        "PUT",
        &["202 location=op", "409"],
        "poll op, failed; Accepted",
    ),
    (
        "the location is kept where none is named",
        "PUT",
        &["202 location=op", "202", "302 location=next", "404", "200 Succeeded"],
        "poll op, poll op, poll next, look 0, done Succeeded; Succeeded",
    ),
    (
        "a busy server says nothing",
        "PUT",
        &["202 status=op", "429 after=7", "503", "408", "200 Succeeded", "200 Succeeded"],
        "poll op, poll op, poll op, poll op, look 0, done Succeeded; Succeeded",
    ),
    (
        "a read that lags shows the last end once",
        "PUT",
        &["202", "200 Failed", "200 Creating", "200 Failed", "200 Failed"],
        "look 1, look 8, look 1, look 8, failed; Failed",
    ),
    (
        "not there yet",
        "PUT",
        &["202", "404", "404", "404", "404", "200 Succeeded"],
        "look 1, look 2, look 4, look 6, look 8, done Succeeded; Succeeded",
    ),
    (
        "never there",
        "PUT",
        &["202", "404", "410", "404", "404", "404"],
        "look 1, look 2, look 4, look 6, look 8, failed; Accepted",
    ),
    ("not to be read", "PUT", &["202", "403"], "look 1, unknown; Accepted"),
    ("no document", "PUT", &["202", "204"], "look 1, unknown; Accepted"),
    ("gone at once", "DELETE", &["200", "404"], "look 0, done -; Accepted"),
    ("no 204 ends a delete", "DELETE", &["204", "204", "410"], "look 0, look 1, done -; Accepted"),
    ("a document that is none", "DELETE", &["202", "200"], "look 1, unknown; Accepted"),
    (
        "still there",
        "DELETE",
        &["202", "200 Succeeded", "200 Deleting", "404"],
        "look 1, look 1, look 1, done -; Deleting",
    ),
    (
        "what failed before may be deleted",
        "DELETE",
        &["202", "200 Failed", "200 Failed", "404"],
        "look 1, look 1, look 1, done -; Failed",
    ),
    (
        "a delete that failed",
        "DELETE",
        &["202", "200 Deleting", "200 Failed", "200 Failed"],
        "look 1, look 1, look 1, failed; Failed",
    ),
    (
        "a delete whose failure was a lagging read",
        "DELETE",
        &["202", "200 Deleting", "200 Failed", "200 Deleting", "200 Failed", "404"],
        "look 1, look 1, look 1, look 1, look 1, done -; Failed",
    ),
    (
        "a delete with a status",
        "DELETE",
        &["202 status=op", "200 Succeeded", "404"],
        "poll op, look 0, done -; Succeeded",
    ),
    ("an action answers", "POST", &["200 Succeeded"], "done Succeeded; Succeeded"),
    ("what an action answers has no state", "POST", &["200 Creating"], "done Creating; Creating"),
    (
        "an action's location answers",
        "POST",
        &["202 location=op", "202", "200 Succeeded"],
        "poll op, poll op, done Succeeded; Accepted",
    ),
    (
        "an action's location may not be read",
        "POST",
        &["202 location=op", "401", "200 Succeeded"],
        "poll op, look 0, done Succeeded; Succeeded",
    ),
];

#[test]
fn each_answer_leads_on_or_ends_it() {
    let told: Vec<(&str, String)> =
        COURSES.iter().map(|(name, method, answers, _)| (*name, course(method, answers))).collect();
    let wanted: Vec<(&str, String)> =
        COURSES.iter().map(|(name, .., course)| (*name, (*course).to_owned())).collect();
    let pairs = told.iter().zip(&wanted);
    let wrong: Vec<_> = pairs.filter(|(told, wanted)| told != wanted).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_action_that_ends_gives_what_it_made() {
    let output = |body: Json| {
        let headers = answer("202 status=op").1;
        let url = format!("{RESOURCE}/act?api-version=9");
        let mut operation = Operation::begin(&Method::POST, &url, 202, &headers, b"");
        let body = body.to_string();
        operation.on_response(200, &HeaderMap::new(), body.as_bytes()).expect("taken");
        operation.next()
    };
    let done = |found| Next::Done(OperationOutcome::Succeeded(found));
    let body = json!({"status": "Succeeded", "properties": {"output": {"a": 1}, "b": 2}});
    assert_eq!(output(body), done(Some(json!({"a": 1}))));
    let body = json!({"status": "Completed", "properties": {"b": 2}});
    assert_eq!(output(body), done(Some(json!({"b": 2}))));
    assert_eq!(output(json!({"status": "Succeeded"})), done(None));
}

#[test]
fn it_is_followed_where_azure_said_and_shows_no_signature() {
    let headers = answer("202 status=op?sig=Kanarie").1;
    let url = format!("{RESOURCE}?$expand=x&Api-Version=9");
    let operation = Operation::begin(&Method::PUT, &url, 202, &headers, b"");
    assert_eq!(operation.url(), "https://management.azure.com/op?sig=Kanarie");
    assert_eq!(
        format!("{operation:?}"),
        "Operation(PUT /subscriptions/s/providers/P/things/one: Accepted)"
    );
    let watched = Operation::watch(&Method::PUT, &url);
    assert_eq!(watched.url(), format!("{RESOURCE}?Api-Version=9"));
    assert_eq!(Operation::watch(&Method::POST, &url).url(), watched.url().replace("/one", ""));
}

#[test]
fn waits_grow_with_the_time_and_as_asked() {
    let mut operation = Operation::watch(&Method::PUT, RESOURCE);
    let mut after = |line: &str| {
        let (status, headers, body) = answer(line);
        operation.on_response(status, &headers, &body).expect("taken");
        match operation.next() {
            Next::Read { after, .. } => after.as_secs_f64(),
            next => panic!("{next:?}"),
        }
    };
    let waits = ["200 Creating after=100", "200 Creating", "503", "429 after=60", "200 Creating"];
    assert_eq!(waits.map(&mut after), [100.0, 5.0, 5.25, 60.0, 8.5125]);
}
