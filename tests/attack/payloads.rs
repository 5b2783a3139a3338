//! Values are data: whatever somebody writes into Azure or the cluster, no output in any format
//! makes a terminal, a CI runner, a browser or a reader of XML do something.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::Attack;
use crate::formats::FORMATS;
use crate::program::{Place, Ran};

const MANIFEST: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}
cluster: {type: connectedClusters, name: edge}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
instanceTypes: [{name: gpu, nodeSelector: {sku: gpu}, resources: {requests: {cpu: '1', memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}}]
computes: [{name: edge, workspace: {name: ml-workspace}}]
";

const PAYLOADS: [&str; 18] = [
    "\u{1b}[31mred\u{1b}]0;title\u{7}",
    "\u{9b}2J\u{85}\u{9d}0;x\u{9c}",
    "\u{202e}txet\u{2066}\u{200f}",
    "in\u{200b}vi\u{2060}si\u{feff}ble\u{ad}\u{e0041}\u{fe0f}",
    "a\n::error file=x::broken",
    "a\r\n  ::set-output name=x::y\r",
    "::add-mask::x",
    "a ##[command]rm -rf",
    "##vso[task.complete result=Succeeded;]",
    "a\u{2028}::error::b\u{2029}##[error]c",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)> ' onmouseover='x",
    "]]></failure><testcase name=\"forged\"/><!--",
    "| a | b |\n|---|---|\n# heading\n[x](javascript:alert(1)) ![y](http://e.vil/z) `c` **b**",
    "\n\nNo changes. Your infrastructure matches the configuration.\n",
    "$(touch x) `touch x` %0A::error::x %25 {{ x }} ${{ x }}",
    "\u{0}\u{8}\u{8}\u{8}\u{b}\u{c}\u{7f}\t",
    "\u{115f}\u{3164}\u{ffa0}\u{34f}\u{180e}\u{206a}\u{fff9}\u{10ffff}",
];

/// Characters that act or cannot be seen.
fn acts(it: char) -> bool {
    (it.is_control() && it != '\n' && it != '\t')
        || "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{180e}\u{3164}\u{feff}\u{ffa0}".contains(it)
        || ('\u{200b}'..='\u{200f}').contains(&it)
        || ('\u{2028}'..='\u{202e}').contains(&it)
        || ('\u{2060}'..='\u{206f}').contains(&it)
        || ('\u{fe00}'..='\u{fe0f}').contains(&it)
        || ('\u{fff9}'..='\u{fffb}').contains(&it)
        || it >= '\u{e0000}'
}

/// Formats whose lines may be commands: those of amlplan itself.
fn commands(format: &str) -> &'static [&'static str] {
    match format {
        "github" => &["::error ", "::warning ", "::notice ", "::group::", "::endgroup::"],
        "azure-pipelines" => &["##vso[task.", "##[group]", "##[endgroup]", "##[section]"],
        _ => &[],
    }
}

/// What stands outside of code spans, which begin and end with equally many backticks (CommonMark).
fn outside_of_code(text: &str) -> String {
    let mut outside = String::new();
    for line in text.lines() {
        let mut rest = line.replace("\\`", "");
        while let Some(at) = rest.find('`') {
            outside.push_str(&rest[..at]);
            let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            let body = rest.split_off(at + ticks);
            let ends = |it: &(usize, &str)| {
                let before = body[..it.0].ends_with('`');
                !before && !body[it.0 + ticks..].starts_with('`')
            };
            match body.match_indices(&"`".repeat(ticks)).find(ends) {
                Some((end, _)) => rest = body[end + ticks..].to_owned(),
                None => rest = body,
            }
        }
        outside.push_str(&rest);
        outside.push('\n');
    }
    outside
}

/// Fails when anything in a text could act.
#[track_caller]
fn inert(text: &str, format: &str, what: &str) {
    let shown: String = text.chars().flat_map(char::escape_debug).collect();
    let wrong = |why: &str| -> ! { panic!("{what} ({format}): {why} in\n{text}\n{shown}") };
    if let Some(it) = text.chars().find(|it| acts(*it)) {
        wrong(&format!("U+{:04X}", u32::from(it)));
    }
    for line in text.lines().map(str::trim_start) {
        let ours = commands(format).iter().any(|it| line.starts_with(it));
        let rest = if ours { &line[1..] } else { line };
        let acts =
            rest.starts_with("::") && !ours || rest.contains("##[") || rest.contains("##vso[");
        // What our own command says about a value is encoded, so no second one can begin in it.
        if acts && !(ours && rest.starts_with("#[")) {
            wrong("a command");
        }
        // A page has its own frame around what a server says.
        let page = ["html", "markdown"].contains(&format);
        if line.starts_with("No changes.") && !page && !what.contains("nothing to do") {
            wrong("a forged verdict");
        }
    }
    // The page draws a graph of its own: a tag of the payload has its handler.
    let tags = ["<script", "<img", "<svg onload", "<testcase name=\"forged\"", "]]>"];
    if ["junit", "html"].contains(&format) && tags.iter().any(|it| text.contains(it)) {
        wrong("a tag");
    }
    if format == "markdown" {
        // Outside of code spans nothing is left that formats.
        let outside = outside_of_code(text);
        let outside = outside.replace("\\<", "").replace("\\[", "").replace("\\]", "");
        if outside.contains("<script") || outside.contains("](") {
            wrong("markdown");
        }
        if text.lines().any(|it| it.starts_with("# heading")) {
            wrong("a heading");
        }
    }
    if ["json", "sarif", "gitlab"].contains(&format)
        && serde_json::from_str::<serde_json::Value>(text).is_err()
    {
        wrong("no JSON");
    }
}

struct World(Place);

impl World {
    fn new() -> Self {
        let place = Place::new();
        std::fs::write(place.path("cluster.yaml"), MANIFEST).expect("a manifest");
        let world = Self(place);
        let ran = world.run(&["apply", "--auto-approve"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        world
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut words = words.to_vec();
        words.push("--sandbox");
        self.0.run(&words)
    }

    /// Somebody writes the payload wherever a value can be written.
    fn poison(&self, payload: &str) {
        let text = serde_json::Value::from(payload).to_string();
        let settings = "/properties/configurationSettings";
        let pointer = |key: &str| key.replace('~', "~0").replace('/', "~1").replace('=', "-");
        let set = |address: &str, at: &str, value: &str| {
            let ran = self.0.run(&["sandbox", "set", address, &format!("{at}={value}")]);
            assert_eq!(ran.code, 0, "{address} {at}: {}", ran.err);
        };
        let extension = "edge/extension/arcml-extension";
        set(extension, &format!("{settings}/enableTraining"), &text);
        if !payload.contains('\0') {
            set(extension, &format!("{settings}/{}", pointer(payload)), "\"x\"");
        }
        set(extension, "/properties/releaseTrain", &text);
        let errors = format!("[{{\"code\": {text}, \"message\": {text}}}]");
        set(extension, "/properties/statuses", &errors);
        set("edge/compute/edge", "/properties/description", &text);
        let said = format!("[{{\"error\": {{\"code\": {text}, \"message\": {text}}}}}]");
        set("edge/compute/edge", "/properties/provisioningErrors", &said);
        set("edge/compute/edge", "/properties/provisioningState", "\"Failed\"");
        set("edge/instance_type/gpu", "/spec/nodeSelector", &format!("{{\"sku\": {text}}}"));
    }

    /// Every command in every format, on what is poisoned.
    fn read_all(&self, payload: &str, attack: &mut Attack) {
        let mut read = |words: &[&str], format: &str| {
            let ran = self.run(words);
            let what = format!("{} with {payload:?}", words.join(" "));
            assert!(ran.code != 101 && ran.code >= 0, "{what}:\n{}", ran.err);
            inert(&ran.err, "human", &what);
            if !ran.err.contains("invalid value") && !ran.err.contains("unexpected argument") {
                inert(&ran.out, format, &what);
                attack.count(format!("{} {format}", words[0]));
            }
            ran
        };
        read(&["plan"], "human");
        read(&["plan", "-vv"], "human");
        read(&["plan", "-vv", "--log-format", "json"], "human");
        read(&["plan", "--json"], "json");
        read(&["plan", "--out", "p.plan"], "human");
        read(&["show", "p.plan"], "human");
        read(&["show", "p.plan", "--json"], "json");
        for format in FORMATS {
            for command in ["drift", "verify", "doctor"] {
                read(&[command, "--format", format], format);
            }
        }
        for command in ["verify", "doctor"] {
            read(&[command], "human");
            read(&[command, "--json"], "json");
        }
        read(&["apply", "--auto-approve", "--json"], "human");
        read(&["apply", "--auto-approve", "--json", "--allow", "disruptive"], "human");
        self.poison(payload);
        let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/\
                  providers/Microsoft.Kubernetes/connectedClusters/edge";
        let read = |words: &[&str]| {
            let ran = self.run(words);
            inert(&ran.out, "human", &words.join(" "));
            inert(&ran.err, "human", &words.join(" "));
        };
        read(&["import", "--cluster", id]);
        read(&["apply", "--auto-approve", "--allow", "disruptive"]);
        let ran = self.0.run(&["sandbox", "show"]);
        inert(&ran.out, "human", "sandbox show");
    }
}

#[test]
fn no_value_acts_in_any_format() {
    let mut attack = Attack::new("payloads");
    let all = PAYLOADS.concat();
    let mut payloads: Vec<&str> = PAYLOADS.to_vec();
    attack.dice.shuffle(&mut payloads);
    let long = "x".repeat(100_000);
    payloads.push(&long);
    let world = World::new();
    for payload in std::iter::once(all.as_str()).chain(payloads) {
        if !attack.goes_on() {
            break;
        }
        world.poison(payload);
        if payload.len() > 10_000 {
            for words in [&["plan"][..], &["drift"], &["drift", "--format", "github"], &["verify"]]
            {
                let ran = world.run(words);
                assert!(ran.out.len() < 30_000, "{words:?} prints {} bytes", ran.out.len());
            }
        }
        world.read_all(payload, &mut attack);
    }
}

/// A result that nobody could read is an error, so that a job does not take it for "nothing found".
#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let world = World::new();
    let mut attack = Attack::new("unwritable output");
    assert_eq!(world.run(&["plan", "--out", "p.plan"]).code, 0);
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/\
              Microsoft.Kubernetes/connectedClusters/edge";
    let mut all: Vec<Vec<&str>> = [
        "plan --sandbox",
        "plan --sandbox --json --detailed-exitcode",
        "plan --as-az",
        "apply --sandbox --auto-approve",
        "verify --sandbox --json",
        "permissions --sandbox",
        "graph",
        "graph --format json",
        "show p.plan",
        "show p.plan --json",
        "sandbox show",
        "sandbox show --json",
        "doctor --sandbox --network-list",
        "schema",
        "completions bash",
        "explain stale-plan",
        "--help",
        "--version",
    ]
    .map(|it| it.split(' ').collect())
    .into();
    all.push(vec!["import", "--sandbox", "--cluster", id]);
    for command in ["drift", "verify", "doctor"] {
        let of = |format| vec![command, "--sandbox", "--format", format];
        all.extend(FORMATS.into_iter().map(of));
    }
    for words in &all {
        for gone in [false, true] {
            let stdout = if gone {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(reader);
                Stdio::from(writer)
            } else {
                Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("full"))
            };
            let ran = Command::new(env!("CARGO_BIN_EXE_amlplan"))
                .args(words)
                .current_dir(world.0.path("."))
                .stdin(Stdio::null())
                .stdout(stdout)
                .stderr(Stdio::piped())
                .output()
                .expect("it starts");
            let err = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.code(), Some(1), "{words:?}: {:?} {err}", ran.status.signal());
            attack.count("ends");
        }
    }
    // A full disk is one for files too.
    let files = FORMATS.map(|it| format!("{it}=/dev/full"));
    let mut named: Vec<Vec<&str>> = files.iter().map(|it| vec!["drift", "--format", it]).collect();
    named.push(vec!["plan", "--out", "/dev/full"]);
    named.push(vec!["plan", "--html", "/dev/full"]);
    named.push(vec!["import", "--cluster", id, "--out", "/dev/full"]);
    for words in named {
        let ran = world.run(&words);
        assert_eq!(ran.code, 1, "{words:?}: {}", ran.err);
        assert!(ran.err.contains("/dev/full"), "{words:?}: {}", ran.err);
        attack.count("files");
    }
}

/// Not 2, which says that something was found.
#[test]
fn a_typo_is_an_error() {
    let place = Place::new();
    for typo in
        [&["plan", "--no-such-flag"][..], &["drift", "--format", "nonsense"], &["dift"], &[]]
    {
        assert_eq!(place.run(typo).code, 1, "{typo:?} is a usage error");
    }
    assert_eq!(place.run(&["--version"]).code, 0);
}
