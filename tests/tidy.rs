//! The house rules that no compiler checks: which room may use which, sizes of files, words that
//! must not be left behind. The checker itself is checked with broken samples.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A source file: path from the project's folder, and text.
type File = (String, String);

/// Room, and the rooms it may use (docs/architecture.md).
const TABLE: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("source", &[]),
    ("language", &["catalog", "model", "source"]),
    ("catalog", &["model"]),
    ("resource", &["catalog", "language", "model", "source"]),
    ("plan", &["catalog", "resource", "model", "source"]),
    ("health", &["catalog", "language", "model", "resource", "source"]),
    ("convert", &["catalog", "language", "model", "plan", "resource", "source"]),
    ("client", &["model", "source"]),
    ("observe", &["client", "model", "resource"]),
    ("apply", &["client", "model", "observe", "plan", "resource"]),
    (
        "render",
        &[
            "apply", "catalog", "health", "language", "model", "observe", "plan", "resource",
            "source",
        ],
    ),
    (
        "cli",
        &[
            "apply", "catalog", "client", "convert", "health", "language", "model", "observe",
            "plan", "render", "resource", "source",
        ],
    ),
];

/// Crates and modules, the only rooms or files that may use them, and why nobody else does.
const OUTSIDE: [(&[&str], &[&str], &str); 7] = [
    (
        &["tokio", "futures_util"],
        &["client", "observe", "apply", "cli"],
        "the rooms before the first request are pure and synchronous",
    ),
    (
        &["http", "reqwest", "kube", "k8s_openapi", "azure_core", "azure_identity"],
        &["client", "apply"],
        "there is one HTTP seam",
    ),
    (&["axum", "hyper", "hyper_util", "tower"], &["client"], "so is the server's"),
    (&["petgraph"], &["resource"], "it stays in its room"),
    (&["clap", "clap_complete", "clap_mangen"], &["cli"], "arguments end at the door"),
    (&["miette", "indicatif", "similar"], &["render"], "it is the only place that formats"),
    (&["std::env"], &["client", "cli"], "the environment is handed in"),
];

/// Where files are read and written.
const FILES: [&str; 3] = ["src/cli/", "src/source", "src/language/mod.rs"];

/// Whole files come in through `source`, within its bounds; others list folders or look at the
/// first byte.
const READING: [&str; 3] = ["fs::read(", "fs::read_to_string", "Kubeconfig::read"];

/// The one way in which the program writes a file, and the simulator's: whole or not at all, the
/// owner's alone, through no link.
const WRITERS: [&str; 2] = ["src/source/written.rs", "src/sandbox/state/files.rs"];

const WRITING: [&str; 4] = ["fs::write", "File::create", "OpenOptions", "fs::rename"];

/// Rooms whose answer must not depend on when they are asked.
const TIMELESS: [&str; 9] =
    ["model", "source", "language", "catalog", "resource", "plan", "health", "convert", "render"];

const NOW: [&str; 4] = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// Words that must not be left in any file of `src`.
const WORDS: [&str; 9] = [
    "todo!(",
    "unimplemented!(",
    "dbg!(",
    "println!(",
    "print!(",
    "eprint!(",
    "process::exit",
    "#[allow(",
    "#![allow(",
];

/// Words that must not be left in any Rust file, tests included; in two parts, so that this file
/// does not hold them.
const WORDS_EVERYWHERE: [(&str, &str); 4] =
    [("#[ign", "ore"), ("thread::sl", "eep("), ("\"/ho", "me/"), ("\"/wo", "rk/")];

const LONGEST: usize = 600;
const MOST: usize = 400;

/// The room of a file; `None` for `lib.rs` and `main.rs`, which hold them all.
fn room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// Files that only tests compile.
fn only_tests(path: &str) -> bool {
    !path.starts_with("src/")
        || path.split(['/', '.']).any(|it| it.ends_with("tests") || it.starts_with("tests_"))
        || [
            "src/health/cases.rs",
            "src/render/samples.rs",
            "src/cli/fuzz.rs",
            "src/cli/reference.rs",
        ]
        .contains(&path)
}

/// The text without its unit tests and without comments.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = body.lines().map(|it| match it.find("//") {
        Some(at) if !it[..at].ends_with(':') => &it[..at],
        _ => it,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a path such as `tokio` or `std::env` is used, as `use` or in an expression.
fn uses(code: &str, path: &str) -> bool {
    let begins = |at: usize| {
        !code[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_' || it == ':')
    };
    let ends = |at: usize| code[at..].starts_with("::") || code[at..].starts_with([';', ',', '}']);
    let grouped = path.strip_prefix("std::").is_some_and(|name| {
        let group = code.split("use std::{").skip(1).filter_map(|it| it.split(';').next());
        group.into_iter().any(|it| it.split(['{', '}', ',', ' ', ':']).any(|it| it == name))
    });
    grouped
        || code.match_indices(path).any(|(at, _)| {
            begins(at) && ends(at + path.len()) && {
                let line = code[..at].rsplit('\n').next().unwrap_or_default().trim_start();
                code[at + path.len()..].starts_with("::") || line.starts_with("use ")
            }
        })
}

/// The rooms named after `crate::`, also in groups.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let name = |it: &str| -> String {
        it.trim_start().chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
    };
    for part in code.split("crate::").skip(1) {
        let Some(group) = part.strip_prefix('{') else {
            found.insert(name(part));
            continue;
        };
        let mut depth = 1;
        let mut start = 0;
        for (at, sign) in group.char_indices() {
            match sign {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    found.insert(name(&group[start..at]));
                    start = at + 1;
                }
                _ => {}
            }
            if depth == 0 {
                found.insert(name(&group[start..at]));
                break;
            }
        }
    }
    found.retain(|it| TABLE.iter().any(|(room, _)| room == it));
    found
}

/// Everything that breaks a rule, one line each.
fn violations(files: &[File]) -> Vec<String> {
    let table: BTreeMap<&str, &[&str]> = TABLE.into_iter().collect();
    let mut found = Vec::new();
    for (path, text) in files {
        let mut say = |what: &str| found.push(format!("{path}: {what}"));
        let lines = text.lines().count();
        if lines > LONGEST {
            say(&format!("{lines} lines, more than {LONGEST}"));
        }
        if !text.starts_with("//!") {
            say("does not open with what it is for");
        }
        for (start, end) in WORDS_EVERYWHERE {
            if text.contains(&format!("{start}{end}")) {
                say(&format!("`{start}{end}` is left"));
            }
        }
        if only_tests(path) {
            continue;
        }
        let code = code(text);
        for word in WORDS.iter().chain([&".unwrap()"]).filter(|it| code.contains(**it)) {
            say(&format!("`{word}` is left"));
        }
        if !WRITERS.contains(&path.as_str()) && WRITING.iter().any(|it| code.contains(it)) {
            say("a file is written past `source::write`");
        }
        let Some(room) = room(path).filter(|room| *room != "sandbox") else { continue };
        let kernel = path == "src/cli/signals.rs";
        if room != "source" && !kernel && READING.iter().any(|it| code.contains(it)) {
            say("a file is read past `source::read`");
        }
        let Some(may) = table.get(room) else {
            say(&format!("room `{room}` is not in the table"));
            continue;
        };
        // The one word that goes up: a writer needs the permit of the room that may change things.
        let rooms = code.replace("use crate::apply::Permit;", "");
        let rooms = if room == "client" { &rooms } else { &code };
        for used in rooms_used(rooms) {
            if used != room && !may.contains(&used.as_str()) {
                say(&format!("room `{room}` must not use `{used}`"));
            }
        }
        for (names, rooms, why) in OUTSIDE {
            for name in names.iter().filter(|it| !rooms.contains(&room) && uses(&code, it)) {
                say(&format!("room `{room}` must not use `{name}`: {why}"));
            }
        }
        if uses(&code, "std::fs") && !FILES.iter().any(|it| path.starts_with(it)) {
            say("files are not read or written here");
        }
        if TIMELESS.contains(&room) && NOW.iter().any(|it| code.contains(it)) {
            say("the time of day is handed in");
        }
    }
    found
}

/// The length that nine files of ten do not exceed.
fn ninth_tenth(files: &[File]) -> usize {
    let mut lengths: Vec<usize> = files.iter().map(|it| it.1.lines().count()).collect();
    lengths.sort_unstable();
    lengths.get((lengths.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or(0)
}

fn read(folder: &str, extension: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                let name = path.strip_prefix(root).expect("inside").display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    found.sort();
    found
}

/// The anchors of a page, as GitHub and mdBook make them from its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut code = false;
    let heading = |line: &&str| {
        code ^= line.starts_with("```");
        !code && line.starts_with('#')
    };
    let slug = |line: &str| {
        let kept = |it: &char| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_');
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    page.lines().filter(heading).map(slug).collect()
}

/// Links of a page that lead nowhere: to no file of the project, or to no heading of a page. `page` is its path.
fn dead_links(page: &str, text: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut dead = Vec::new();
    let mut code = false;
    for (at, line) in text.lines().enumerate() {
        code ^= line.trim_start().starts_with("```");
        for link in line.split("](").skip(1).filter_map(|it| it.split(')').next()) {
            if code || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root.join(page) } else { root.join(from).join(path) };
            let there = target.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|it| anchors(&it).contains(anchor)));
            if !there {
                dead.push(format!("{page}:{}: {link} leads nowhere", at + 1));
            }
        }
    }
    dead
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    let mut pages = [read("docs", "md"), read(".github", "md")].concat();
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    pages.push(("README.md".to_owned(), readme.expect("a text")));
    let links: usize = pages.iter().map(|it| it.1.matches("](").count()).sum();
    assert!(links > 50, "{links} links");
    let dead: Vec<String> = pages.iter().flat_map(|it| dead_links(&it.0, &it.1)).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert_eq!(dead_links("docs/a.md", "[a](ci.md) [b](no.md)\n[c](ci.md#no) [d](#no)").len(), 3);
}

/// What the pages name as `FILE::TEST`, or as a script, is there.
#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for page in ["docs/reliability.md", "docs/threat-model.md"] {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        let words =
            text.split('`').skip(1).step_by(2).map(|it| it.split_once("::").unwrap_or((it, "")));
        for (file, test) in
            words.filter(|it| it.0.starts_with("tests/") || it.0.starts_with("src/"))
        {
            let held = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(
                held.contains(&format!("fn {test}")) || test.is_empty() && !held.is_empty(),
                "{page}: {file}::{test}"
            );
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn the_house_is_in_order() {
    let (src, tests) = (read("src", "rs"), read("tests", "rs"));
    assert!(src.len() > 100 && tests.len() > 5);
    let long = ninth_tenth(&src);
    assert!(long <= MOST, "a tenth of the files in src is longer than {long} lines");
    let found = violations(&[src, tests].concat());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_room_is_in_the_table() {
    let mut rooms: BTreeSet<String> =
        read("src", "rs").iter().filter_map(|it| room(&it.0).map(str::to_owned)).collect();
    // A crate of its own: cargo keeps it apart.
    rooms.remove("sandbox");
    let table: BTreeSet<String> = TABLE.iter().map(|it| it.0.to_owned()).collect();
    assert_eq!(rooms, table);
}

#[test]
fn a_broken_house_is_noticed() {
    let long = format!("//! Long.\n{}", "\n".repeat(600));
    let samples = [
        (
            "src/model/key.rs",
            "//! A.\nuse crate::resource::Kind;",
            "room `model` must not use `resource`",
        ),
        (
            "src/resource/a.rs",
            "//! A.\nuse crate::{model, plan::{self, Plan}};",
            "must not use `plan`",
        ),
        ("src/resource/a.rs", "//! A.\nfn a() { crate::client::read() }", "must not use `client`"),
        ("src/client/a.rs", "//! A.\nuse crate::plan::Plan;", "must not use `plan`"),
        ("src/render/a.rs", "//! A.\nuse crate::cli;", "must not use `cli`"),
        ("src/plan/a.rs", "//! A.\nuse tokio::time;", "must not use `tokio`"),
        ("src/language/a.rs", "//! A.\nfn a() -> http::Uri {}", "must not use `http`"),
        ("src/apply/a.rs", "//! A.\nuse petgraph::Graph;", "must not use `petgraph`"),
        ("src/health/a.rs", "//! A.\nuse std::{env, fmt};", "must not use `std::env`"),
        ("src/health/a.rs", "//! A.\nuse std::fs;", "files are not read"),
        ("src/plan/a.rs", "//! A.\nfn a() { Timestamp::now(); }", "time of day"),
        ("src/cli/a.rs", "//! A.\nfn a() { std::fs::write(path, text); }", "past `source::write`"),
        ("src/cli/a.rs", "//! A.\nfn a() { std::fs::read(path); }", "past `source::read`"),
        ("src/plan/a.rs", "use std::fmt;", "does not open"),
        ("src/attic/a.rs", "//! A.", "`attic` is not in the table"),
        ("src/plan/a.rs", &long, "601 lines"),
        ("tests/a.rs", &long, "601 lines"),
        ("src/plan/a.rs", "//! A.\nfn a() { x.unwrap(); }", "`.unwrap()` is left"),
        ("src/cli/a.rs", "//! A.\nfn a() { todo!() }", "`todo!(` is left"),
        ("src/cli/a.rs", "//! A.\nfn a() { eprintln!() }", "`println!(` is left"),
        ("tests/a.rs", concat!("//! A.\n#[ign", "ore]\nfn a() {}"), "is left"),
    ];
    for (path, text, expected) in samples {
        let found = violations(&[(path.to_owned(), text.to_owned())]);
        assert!(
            found.iter().any(|it| it.contains(expected)),
            "{path}: {text:.60}: {expected}: {found:?}"
        );
    }
    let files: Vec<File> = (0..10).map(|it| (it.to_string(), "\n".repeat(it * 100))).collect();
    assert_eq!(ninth_tenth(&files), 800);
}

#[test]
fn what_is_allowed_is_not_reported() {
    let samples = [
        (
            "src/plan/a.rs",
            "//! A.\n// tokio::time and crate::client in a comment\nuse crate::resource;",
        ),
        ("src/plan/a.rs", "//! A.\n#[cfg(test)]\nmod tests {\n    fn a() { x.unwrap() }\n}"),
        ("src/language/a.rs", "//! A.\nconst URL: &str = \"https://http.example\";"),
        ("src/client/arm/error_tests.rs", "//! A.\nfn a() { x.unwrap() }"),
    ];
    for (path, text) in samples {
        assert_eq!(violations(&[(path.to_owned(), text.to_owned())]), Vec::<String>::new());
    }
}
