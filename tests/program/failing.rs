//! Installs that fail: each ends in one screen that names cause, line of the manifest, and fix, and
//! leaves its evidence in a file.

use crate::program::{Place, Ran};

/// More lines than this a terminal of 80 columns does not show at once.
const SCREEN: usize = 24;

/// A failing install: what differs in the world and in the manifest, how it ends, what the screen
/// has to hold.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "full")]
    manifest: String,
    replace: Option<[String; 2]>,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    world: String,
    exit: i32,
    holds: Vec<String>,
}

fn full() -> String {
    "full.yaml".to_owned()
}

impl Case {
    /// Applies the manifest in the world of the case.
    fn run(&self, place: &Place) -> Ran {
        let path = place.path(&self.manifest);
        let text = std::fs::read_to_string(&path).expect("a manifest");
        if let Some([from, to]) = &self.replace {
            assert!(text.contains(from), "{}", self.name);
            let to = to.replace("{root}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(&path, text.replacen(from, &to, 1)).expect("a manifest");
        }
        let name = text.lines().find_map(|it| it.strip_prefix("name: ")).expect("a name").trim();
        let cluster = format!("clusters:\n- {{name: {name}, {}}}\n", self.cluster);
        std::fs::write(place.path("world.yaml"), cluster + &self.world).expect("a world");
        let words =
            "apply --sandbox --sandbox-world world.yaml --auto-approve --evidence evidence.json";
        let words: Vec<&str> = words.split(' ').chain([self.manifest.as_str()]).collect();
        place.run(&words)
    }
}

/// What a person sees at the end: the result from the count of changes on, and what came beside it.
fn screen(out: &str, err: &str) -> String {
    let result =
        out.lines().skip_while(|it| !it.starts_with("Plan")).collect::<Vec<_>>().join("\n");
    let lines = |it: &&str| {
        !it.contains("creating...") && !it.contains(" after ") && !it.contains(" so far")
    };
    let told: Vec<&str> = err.lines().filter(lines).collect();
    format!("{result}\n{}", told.join("\n"))
}

#[test]
fn every_failing_install_ends_in_one_screen_with_cause_line_and_fix() {
    #[derive(serde::Deserialize)]
    struct Cases {
        case: Vec<Case>,
    }
    let cases: Cases = toml::from_str(include_str!("../fixtures/failing.toml")).expect("the cases");
    let mut wrong = Vec::new();
    for case in &cases.case {
        let mut place = Place::new();
        place.env.push(("COLUMNS".to_owned(), "80".to_owned()));
        let told = case.run(&place);
        let seen = screen(&told.out, &told.err);
        let flat = seen.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let mut lacks: Vec<String> =
            case.holds.iter().filter(|it| !flat.contains(it.as_str())).cloned().collect();
        for line in seen.lines().filter(|it| it.trim_start().starts_with("help:")) {
            if seen.matches(line).count() > 1 {
                lacks.push(format!("more than once: {line}"));
            }
        }
        if told.code != case.exit {
            lacks.push(format!("exit {} instead of {}", told.code, case.exit));
        }
        if seen.lines().count() > SCREEN {
            lacks.push(format!("{} lines", seen.lines().count()));
        }
        // A gate changes nothing, so there is nothing to write down; neither fails what is not read.
        if case.exit == 3 && !told.out.contains(" not read") {
            let evidence = std::fs::read_to_string(place.path("evidence.json")).unwrap_or_default();
            let evidence: serde_json::Value = serde_json::from_str(&evidence).unwrap_or_default();
            if evidence["failed"][0]["message"].as_str().is_none_or(str::is_empty) {
                lacks.push(format!("evidence: {evidence}"));
            }
        }
        if !lacks.is_empty() {
            wrong.push(format!("{}: {lacks:?}\n{seen}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.case.len(), wrong.join("\n\n"));
    assert!(cases.case.len() >= 10);
}

#[test]
fn the_evidence_holds_what_a_ticket_needs_and_no_secret() {
    let place = Place::new();
    std::fs::write(place.path("world.yaml"), "clusters:\n- {name: edge-full, health: [E40001]}\n")
        .expect("a world");
    let words = [
        "apply",
        "--sandbox",
        "--sandbox-world",
        "world.yaml",
        "--auto-approve",
        "--evidence",
        "evidence.json",
        "full.yaml",
    ];
    assert_eq!(place.run(&words).code, 3);
    let text = std::fs::read_to_string(place.path("evidence.json")).expect("the evidence");
    let evidence: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let failed = &evidence["failed"][0];
    assert_eq!(failed["address"], "edge-full/extension/arcml-extension");
    for part in ["health_report", "resource", "pods", "events"] {
        assert!(!failed[part].is_null(), "{part} is missing: {failed}");
    }
    assert!(failed["health_report"].to_string().contains("E40001"));
    let key = std::fs::read_to_string(place.path("tls/ml.example.com.key")).expect("a key");
    let line = key.lines().nth(1).expect("a line of the key");
    assert!(
        !text.contains(line)
            && !text.contains("SharedAccessKey=")
            && !text.contains("configurationProtectedSettings")
    );
}
