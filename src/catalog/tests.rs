//! Every code has a page, and every page a code.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Codes as they stand in the source: the first text after `Diagnostic::…(`, `code:` or a helper.
fn codes_in(text: &str, known: &BTreeSet<&str>, used: &mut BTreeSet<String>) {
    for quoted in text.split('"').skip(1).step_by(2) {
        if known.contains(quoted) {
            used.insert(quoted.to_owned());
        }
    }
    const CALLS: [&str; 6] = [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        "Diagnostic::new(",
        "Failure::error(",
        ".advice(",
        "code:",
    ];
    for call in CALLS {
        for rest in text.split(call).skip(1) {
            let rest = rest.trim_start();
            if let Some(code) = rest.strip_prefix('"').and_then(|it| it.split('"').next()) {
                used.insert(code.to_owned());
            }
        }
    }
    // Pairs of code and severity: `("az-slip", Severity::Warning)`.
    for before in text.split(", Severity::").filter_map(|it| it.rsplit_once("(\"")) {
        if let Some(code) = before.1.strip_suffix('"') {
            used.insert(code.to_owned());
        }
    }
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else if path.extension().is_some_and(|it| it == "rs")
            && !["tests.rs", "samples.rs"].iter().any(|it| path.ends_with(it))
        {
            let text = std::fs::read_to_string(&path).unwrap();
            visit(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<&str> = codes().iter().map(|it| it.code.as_str()).collect();
    assert_eq!(pages.len(), codes().len(), "a code has two pages");
    let mut used = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The simulator is no part of the program's own voice.
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("sandbox") {
            walk(&path, &mut |text| codes_in(text, &pages, &mut used));
        }
    }
    let source = std::fs::read_to_string(root.join("source.rs")).unwrap();
    codes_in(source.split("#[cfg(test)]").next().unwrap(), &pages, &mut used);
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    assert_eq!(
        used.difference(&pages).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "codes without a page"
    );
    assert_eq!(
        pages.difference(&used).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "pages without a code"
    );
}

#[test]
fn pages_are_written_for_readers() {
    for page in codes() {
        assert!(
            page.code
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-'),
            "{}",
            page.code
        );
        assert!(!page.severity.is_empty() && !page.summary.ends_with('.'), "{}", page.code);
        assert_eq!(explain(&page.code.to_uppercase()).unwrap().code, page.code);
    }
    assert!(explain("no-such-code").is_none());
}
