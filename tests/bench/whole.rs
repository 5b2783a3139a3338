//! Measures the whole program and prints ratios: start-up, plan and apply of the full manifest on
//! the simulator, apply against the critical path of its graph, fleets of growing size, and a fleet
//! of a thousand (`thousand.rs`). `cargo bench` runs it, `cargo bench -- NAME` a part of it;
//! docs/performance.md holds what it printed.

#![expect(clippy::print_stdout, reason = "a benchmark reports by printing")]

#[path = "../common/fleets.rs"]
mod fleets;
#[path = "../common/served.rs"]
mod served;
mod thousand;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleets::fleet;
use serde_json::Value as Json;
use served::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_amlplan");

/// A run: how long it took, the most memory it held in MiB, what it wrote.
struct Run {
    took: Duration,
    peak: f64,
    out: String,
}

/// The largest resident set of a process that is still there, in KiB (proc(5): `VmHWM`).
fn peak_of(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = text.lines().find(|it| it.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn run(folder: &Path, words: &[&str], sampled: bool) -> Run {
    let out = std::fs::File::create(folder.join("out.txt")).expect("a file");
    let start = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut peak = 0;
    let status = loop {
        if !sampled {
            break child.wait().expect("it ends");
        }
        peak = peak.max(peak_of(child.id()).unwrap_or(0));
        match child.try_wait().expect("it ends") {
            Some(status) => break status,
            None => std::thread::park_timeout(Duration::from_micros(50)),
        }
    };
    let took = start.elapsed();
    assert!(status.success(), "amlplan {}: {status}", words.join(" "));
    let out = std::fs::read_to_string(folder.join("out.txt")).expect("what it wrote");
    Run { took, peak: peak as f64 / 1024.0, out }
}

/// The median of several runs, with the highest peak of five more that are sampled: a process that
/// lives for milliseconds is easily missed at its largest.
fn median(folder: &Path, words: &[&str], times: usize, before: impl Fn()) -> Run {
    let mut runs: Vec<Run> = (0..times)
        .map(|_| {
            before();
            run(folder, words, false)
        })
        .collect();
    runs.sort_by_key(|it| it.took);
    let peaks = (0..5).map(|_| {
        before();
        run(folder, words, true).peak
    });
    let peak = peaks.fold(0.0, f64::max);
    let middle = runs.swap_remove(times / 2);
    Run { peak, ..middle }
}

/// Simulated seconds of an apply, and those of the longest way through its graph.
fn critical(events: &str, graph: &Json) -> (f64, f64) {
    let lines: Vec<Json> = events.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    let whole = lines
        .iter()
        .find(|it| it["type"] == "change_summary")
        .and_then(|it| it["amlplan"]["elapsed_seconds"].as_f64());
    let seconds: BTreeMap<&str, f64> = lines
        .iter()
        .filter(|it| it["type"] == "apply_complete")
        .filter_map(|it| Some((it["address"].as_str()?, it["elapsed_seconds"].as_f64()?)))
        .collect();
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for edge in graph["edges"].as_array().into_iter().flatten() {
        if let (Some(from), Some(to)) = (edge["from"].as_str(), edge["to"].as_str()) {
            needs.entry(to).or_default().push(from);
        }
    }
    let mut ends = BTreeMap::new();
    let longest = seconds.keys().map(|it| end(it, &needs, &seconds, &mut ends));
    let longest = longest.fold(0.0, f64::max);
    (whole.expect("a summary"), longest)
}

fn end<'a>(
    key: &'a str,
    needs: &BTreeMap<&'a str, Vec<&'a str>>,
    seconds: &BTreeMap<&'a str, f64>,
    ends: &mut BTreeMap<&'a str, f64>,
) -> f64 {
    if let Some(known) = ends.get(key) {
        return *known;
    }
    let before = needs.get(key).into_iter().flatten();
    let start = before.map(|it| end(it, needs, seconds, ends)).fold(0.0, f64::max);
    let at = start + seconds.get(key).copied().unwrap_or(0.0);
    ends.insert(key, at);
    at
}

/// Processor time of all children that have ended, in ticks (proc(5): `cutime`, `cstime`).
fn ticks_of_children() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |it| it.1).split_whitespace();
    fields.skip(13).take(2).filter_map(|it| it.parse::<u64>().ok()).sum()
}

/// Processor time of plans of one cluster over HTTP and over TLS, in ticks for so many runs.
fn tls_and_http(times: usize) -> [u64; 2] {
    [&[][..], &["--tls"]].map(|tls| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        let ids = "00000000-0000-0000-0000-000000000000";
        let manifest = |url: &str| {
            format!(
                "apiVersion: amlplan/v1\nkind: Cluster\nname: edge-01\nazure:\n  cloud: {{name: \
                 bench, resourceManager: '{url}'}}\n  subscription: {ids}\n  resourceGroup: \
                 ml-rg\ncluster: {{type: connectedClusters, name: edge-01, distribution: openshift, \
                 kubeconfig: kubeconfigs/edge-01.yaml}}\nscc: {{}}\nextension:\n  name: \
                 arcml-extension\n  configurationSettings: {{enableTraining: true}}\n"
            )
        };
        std::fs::write(folder.join("one.yaml"), manifest("https://localhost:1")).expect("written");
        run(folder, &["plan", "one.yaml", "--sandbox=state.json"], false);
        let served = Server::start(folder, tls);
        std::fs::write(folder.join("one.yaml"), manifest(&served.url)).expect("written");
        let before = ticks_of_children();
        for _ in 0..times {
            let mut command = served::amlplan(folder);
            if !tls.is_empty() {
                command.env("AMLPLAN_CA_FILE", "ca.pem");
            }
            let command = command.args(["plan", "one.yaml"]);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let status = quiet.status().expect("the program starts");
            assert!(status.success(), "a plan over {}", served.url);
        }
        ticks_of_children() - before
    })
}

fn milliseconds(it: Duration) -> f64 {
    it.as_secs_f64() * 1000.0
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|it| it == name);
    for (name, part) in
        [("one", one as fn()), ("parallelism", parallelism), ("tls", tls), ("validate", validate)]
    {
        if wanted(name) {
            part();
        }
    }
    thousand::rows(wanted);
}

/// One cluster, with everything there is.
fn one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/full.yaml");
    let full = shipped.to_str().expect("a plain path");
    let clear = || drop(std::fs::remove_file(folder.join("world.json")));
    let sandbox = "--sandbox=world.json";

    let version = median(folder, &["--version"], 11, clear);
    let unit = milliseconds(version.took);
    println!("| what | ms | × start-up | peak MiB |\n|---|---|---|---|");
    let row = |what: &str, it: &Run| {
        let took = milliseconds(it.took);
        println!("| {what} | {took:.1} | {:.1} | {:.1} |", took / unit, it.peak);
    };
    row("`--version`", &version);
    row("`validate` of full.yaml", &median(folder, &["validate", full], 7, clear));
    row(
        "`plan` of full.yaml, nothing there yet",
        &median(folder, &["plan", full, sandbox], 7, clear),
    );
    let apply = ["apply", full, sandbox, "--auto-approve"];
    let applied = median(folder, &apply, 7, clear);
    row("`apply` of full.yaml", &applied);
    row("`plan` of full.yaml, nothing to do", &median(folder, &["plan", full, sandbox], 7, || {}));
}

/// Apply of it against its critical path.
fn parallelism() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/full.yaml");
    let full = shipped.to_str().expect("a plain path");
    let clear = || drop(std::fs::remove_file(folder.join("world.json")));
    let apply = ["apply", full, "--sandbox=world.json", "--auto-approve", "--json"];
    let graph = run(folder, &["graph", full, "--format", "json"], false).out;
    let graph: Json = serde_json::from_str(&graph).expect("a graph");
    println!("\n| `--parallelism` | simulated s | critical path s | ratio |\n|---|---|---|---|");
    for parallelism in ["1", "2", "4", "10", "50"] {
        clear();
        let words = [&apply[..], &["--parallelism", parallelism]].concat();
        let (whole, path) = critical(&run(folder, &words, false).out, &graph);
        println!("| {parallelism} | {whole:.0} | {path:.0} | {:.3} |", whole / path);
    }
}

fn tls() {
    let [http, tls] = tls_and_http(40);
    println!("\n| 40 plans of one cluster | processor ms | ratio |\n|---|---|---|");
    println!("| over HTTP | {} | 1.00 |", http * 10);
    println!("| over TLS | {} | {:.2} |", tls * 10, tls as f64 / http as f64);
}

/// Manifests of growing size.
fn validate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    println!("\n| clusters | `validate` ms | growth | peak MiB | growth |\n|---|---|---|---|---|");
    let mut last: Option<Run> = None;
    for clusters in [100, 1_000, 10_000] {
        let name = format!("fleet-{clusters}.yaml");
        std::fs::write(folder.join(&name), fleet(clusters, false)).expect("a manifest");
        let it = median(folder, &["validate", &name], 7, || {});
        let growth = |now: f64, before: fn(&Run) -> f64| {
            last.as_ref().map_or("–".to_owned(), |it| format!("× {:.1}", now / before(it)))
        };
        let took = milliseconds(it.took);
        let (time, memory) =
            (growth(took, |it| milliseconds(it.took)), growth(it.peak, |it| it.peak));
        println!("| {clusters} | {took:.0} | {time} | {:.1} | {memory} |", it.peak);
        last = Some(it);
    }
}
