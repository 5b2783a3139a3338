//! A thousand clusters: what they cost, beside what they cost before (column "before", measured once
//! on the program of that time) and what was aimed at. Each row is a count, or a ratio of one run.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::fleets::{fleet, served_fleet, staged};
use super::served::{Server, amlplan, sign_in};
use super::{critical, peak_of, ticks_of_children};

/// Name, what is measured, before, aim, and how it is measured.
type Row = (&'static str, &'static str, &'static str, &'static str, fn(&Path) -> String);

const ROWS: [Row; 11] = [
    (
        "requests",
        "ARM requests, plan of 1,000, azureOnly, nothing to change",
        "6,007",
        "80",
        requests,
    ),
    ("kubernetes", "the same with Kubernetes access, requests per cluster", "17", "5", kubernetes),
    (
        "client",
        "memory and processor time of the client of a plan of 1,000",
        "315 MiB, 2.2 s",
        "150 MiB, 1.5 s",
        client,
    ),
    (
        "doctor",
        "doctor of 1,000, simulator included",
        "17.8 GB, exponent 2.05",
        "500 MiB, exponent 1.1",
        doctor,
    ),
    ("sockets", "sockets of a plan of 200, ulimit 256", "about 2,000", "2 each in flight", sockets),
    ("waves", "waves of a plan of full.yaml, 100 ms a request", "7", "4", waves),
    ("apply", "apply of 100, default flags ÷ critical path", "8.9", "1.1", applied),
    (
        "throttled",
        "300 under 25 reads a second, Retry-After 17",
        "6,000 requests",
        "429s 1 %",
        throttled,
    ),
    ("dead", "one silent API server among 20", "516 s, empty plan", "25 s, 19 planned", dead),
    ("rollout", "1,000 in stages, some fail, resumed, then planned", "–", "clean", rollout),
    (
        "growth",
        "plan of 10,000, nothing there yet, simulator included",
        "1.58 GB, × 50 of 1,000",
        "2 GB, × 10",
        growth,
    ),
];

/// Prints the rows that are wanted.
pub(crate) fn rows(wanted: impl Fn(&str) -> bool) {
    println!("\n| row | what | before | aim | now |\n|---|---|---|---|---|");
    for (name, what, before, aim, measure) in ROWS.iter().filter(|it| wanted(it.0)) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        println!("| `{name}` | {what} | {before} | {aim} | {} |", measure(folder.path()));
    }
}

/// A run of the program: its output, and what it cost.
struct Cost {
    code: i32,
    out: String,
    err: String,
    seconds: f64,
    processor: f64,
    mebibytes: f64,
}

/// Runs it with these words, signed in to whatever is served.
fn run(folder: &Path, words: &[&str]) -> Cost {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("what it wrote");
    let file = |name: &str| std::fs::File::create(folder.join(name)).expect("a file");
    let (ticks, start) = (ticks_of_children(), Instant::now());
    let mut command = amlplan(folder);
    let command = command.args(words).stdin(Stdio::null());
    let mut child = command.stdout(file("out")).stderr(file("err")).spawn().expect("it starts");
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of(child.id()).unwrap_or(0));
        match child.try_wait().expect("it ends") {
            Some(status) => break status,
            None => std::thread::park_timeout(Duration::from_millis(2)),
        }
    };
    Cost {
        code: status.code().unwrap_or(-1),
        out: text("out"),
        err: text("err"),
        seconds: start.elapsed().as_secs_f64(),
        processor: (ticks_of_children() - ticks) as f64 / 100.0,
        mebibytes: peak as f64 / 1024.0,
    }
}

/// The same for a run that has to end with this code.
fn ended(folder: &Path, words: &[&str], code: i32) -> Cost {
    let cost = run(folder, words);
    assert_eq!(cost.code, code, "amlplan {}: {}", words.join(" "), cost.err);
    cost
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("fleet.yaml"), text).expect("a manifest");
}

const APPLY: [&str; 4] = ["apply", "fleet.yaml", "--sandbox=state.json", "--auto-approve"];
const PLAN: [&str; 3] = ["plan", "fleet.yaml", "--sandbox=state.json"];

/// A fleet that is as declared, in `state.json`.
fn converged(folder: &Path, clusters: usize, kubernetes: bool) {
    write(folder, &fleet(clusters, kubernetes));
    ended(folder, &APPLY, 0);
}

fn requests(folder: &Path) -> String {
    converged(folder, 1_000, false);
    let plan = ended(folder, &[&PLAN[..], &["-v", "--detailed-exitcode"]].concat(), 0);
    plan.err.matches(" azure ").count().to_string()
}

fn kubernetes(folder: &Path) -> String {
    converged(folder, 200, true);
    let plan = ended(folder, &[&PLAN[..], &["-v", "--detailed-exitcode"]].concat(), 0);
    format!("{:.1}", plan.err.matches(" kubernetes ").count() as f64 / 200.0)
}

fn client(folder: &Path) -> String {
    converged(folder, 1_000, false);
    let server = Server::start(folder, &[]);
    write(folder, &served_fleet(1_000, &server.url, None));
    let plan = ended(folder, &["plan", "fleet.yaml", "--detailed-exitcode"], 0);
    server.stop();
    format!("{:.0} MiB, {:.1} s", plan.mebibytes, plan.processor)
}

fn doctor(folder: &Path) -> String {
    let [small, large] = [250, 1_000].map(|clusters| {
        write(folder, &fleet(clusters, true));
        let state = format!("--sandbox={clusters}.json");
        run(folder, &["doctor", "fleet.yaml", &state])
    });
    let exponent = |small: f64, large: f64| (large / small).log2() / 2.0;
    let time = exponent(small.processor, large.processor);
    let memory = exponent(small.mebibytes, large.mebibytes);
    format!("{:.0} MiB, exponent {time:.2} (memory {memory:.2})", large.mebibytes)
}

/// A proxy that holds back what a client sends next after an answer, as a long way does, and counts its sockets. What
/// follows at once, as the rest of a request in two writes, goes on at once.
struct Proxy {
    url: String,
    most: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(server: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = server.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (most, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let (open, upstream) = (Arc::clone(&open), upstream.clone());
                seen.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    if let Ok(server) = TcpStream::connect(&upstream) {
                        let answered = Arc::new(AtomicBool::new(true));
                        let back = (server.try_clone(), client.try_clone());
                        if let (Ok(from), Ok(to)) = back {
                            let answered = Arc::clone(&answered);
                            let note = move || answered.store(true, Ordering::Relaxed);
                            std::thread::spawn(move || carry(from, to, note));
                        }
                        carry(client, server, || {
                            if answered.swap(false, Ordering::Relaxed) {
                                std::thread::park_timeout(delay);
                            }
                        });
                    }
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { url, most }
    }
}

/// Carries bytes one way until they end.
fn carry(mut from: TcpStream, mut to: TcpStream, before: impl Fn()) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(size @ 1..) = from.read(&mut bytes) {
        before();
        if to.write_all(&bytes[..size]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Kubeconfigs of a served world that lead through another address.
fn lead(folder: &Path, from: &str, to: &str) {
    for entry in std::fs::read_dir(folder.join("kubeconfigs")).expect("kubeconfigs") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a kubeconfig");
        std::fs::write(&path, text.replace(from.trim_end_matches('/'), to)).expect("written");
    }
}

fn sockets(folder: &Path) -> String {
    write(folder, &fleet(200, true));
    ended(folder, &PLAN, 0);
    let server = Server::start(folder, &[]);
    let proxy = Proxy::start(&server.url, Duration::from_millis(20));
    lead(folder, &server.url, &proxy.url);
    write(folder, &served_fleet(200, &proxy.url, Some("kubeconfigs")));
    let words = format!("ulimit -n 256; exec {} plan fleet.yaml", super::PROGRAM);
    let mut command = std::process::Command::new("sh");
    let command = sign_in(command.args(["-c", &words]).current_dir(folder));
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("sh runs");
    assert_eq!(status.code(), Some(0), "every cluster is read");
    format!("{} in all at most", proxy.most.load(Ordering::Relaxed))
}

fn waves(folder: &Path) -> String {
    const DELAY: Duration = Duration::from_millis(100);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    std::fs::create_dir_all(folder.join("tls")).expect("a folder");
    for name in ["full.yaml", "tls/ml.example.com.crt", "tls/ml.example.com.key"] {
        std::fs::copy(shipped.join(name), folder.join(name)).expect("a copy");
    }
    ended(folder, &["plan", "full.yaml", "--sandbox=state.json"], 0);
    let server = Server::start(folder, &[]);
    let text = std::fs::read_to_string(folder.join("full.yaml")).expect("a manifest");
    let [near, far] = [Duration::ZERO, DELAY].map(|delay| {
        let proxy = Proxy::start(&server.url, delay);
        lead(folder, &server.url, &proxy.url);
        let cloud = format!("cloud: {{name: bench, resourceManager: '{}'}}", proxy.url);
        let text = text.replace("cloud: AzureCloud", &cloud).replace(
            "  distribution: openshift\n",
            "  distribution: openshift\n  kubeconfig: kubeconfigs/edge-full.yaml\n",
        );
        write(folder, &text);
        let plan = ended(folder, &["plan", "fleet.yaml"], 0);
        lead(folder, &proxy.url, &server.url);
        plan.seconds
    });
    format!("{:.1}", (far - near) / DELAY.as_secs_f64())
}

fn applied(folder: &Path) -> String {
    write(folder, &fleet(100, false));
    let graph = ended(folder, &["graph", "fleet.yaml", "--format", "json"], 0).out;
    let apply = ended(folder, &[&APPLY[..], &["--json"]].concat(), 0);
    let graph: Json = serde_json::from_str(&graph).expect("a graph");
    let (whole, path) = critical(&apply.out, &graph);
    format!("{:.2}", whole / path)
}

fn throttled(folder: &Path) -> String {
    converged(folder, 300, false);
    let text = "throttling: {reads: 25, retryAfter: 17}";
    std::fs::write(folder.join("world.yaml"), text).expect("a world");
    let words = [&PLAN[..], &["--sandbox-world", "world.yaml", "-v"]].concat();
    let log = ended(folder, &words, 0).err;
    let sum = |name: &str| -> usize {
        let values = log.split_whitespace().filter_map(|it| it.strip_prefix(name));
        values.filter_map(|it| it.parse::<usize>().ok()).sum()
    };
    let sent = log.matches(" azure ").count();
    let refused = log.matches("status=429").count() + sum("throttled=");
    format!("{sent} requests with {} reads, {refused} refused", sent + sum("reads="))
}

fn dead(folder: &Path) -> String {
    write(folder, &fleet(20, true));
    ended(folder, &PLAN, 0);
    let server = Server::start(folder, &[]);
    // Connections wait in its queue for ever.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let path = folder.join("kubeconfigs/edge-7.yaml");
    let text = std::fs::read_to_string(&path).expect("a kubeconfig");
    std::fs::write(&path, text.replace(server.url.trim_end_matches('/'), &url)).expect("written");
    write(folder, &served_fleet(20, &server.url, Some("kubeconfigs")));
    let plan = ended(folder, &["plan", "fleet.yaml", "--json"], 1);
    let json: Json = serde_json::from_str(&plan.out).expect("JSON");
    let unread = json["amlplan"]["unread"].as_array().expect("a list").iter();
    let scopes = unread.filter_map(|it| it["address"].as_str()?.split('/').next());
    let scopes: std::collections::BTreeSet<&str> = scopes.collect();
    format!("{:.0} s, {} planned", plan.seconds, 20 - scopes.len())
}

fn rollout(folder: &Path) -> String {
    write(folder, &staged(1_000, 1));
    let world = |text: &str| std::fs::write(folder.join("world.yaml"), text).expect("a world");
    let apply = [&APPLY[..], &["--sandbox-world", "world.yaml", "--json"]].concat();
    world("faults: {seed: 1, failOperation: 0.01}");
    let stopped = ended(folder, &apply, 3);
    let mut lines = stopped.out.lines().filter_map(|it| serde_json::from_str::<Json>(it).ok());
    let sum = lines.rfind(|it| it["type"] == "change_summary").expect("a summary");
    let stages = sum["amlplan"]["stages"].as_array().expect("stages");
    let count = |name: &str| -> usize {
        stages.iter().filter_map(|it| it[name].as_array()).map(Vec::len).sum()
    };
    let (done, failed, left) = (count("done"), count("failed"), count("not_done"));
    assert!(failed > 1 && left > 800, "the rest is not begun: {done}, {failed}, {left}");
    world("faults: {failOperation: 0}");
    ended(folder, &apply, 0);
    ended(folder, &[&PLAN[..], &["--detailed-exitcode"]].concat(), 0);
    format!("{failed} failed, {left} not begun; then all done, clean")
}

fn growth(folder: &Path) -> String {
    let [small, large] = [1_000, 10_000].map(|clusters| {
        write(folder, &fleet(clusters, false));
        let state = format!("--sandbox={clusters}.json");
        ended(folder, &["plan", "fleet.yaml", &state], 0)
    });
    let times = large.processor / small.processor;
    format!("{:.2} GB, × {times:.0} of 1,000 ({:.0} s)", large.mebibytes / 954.0, large.seconds)
}
