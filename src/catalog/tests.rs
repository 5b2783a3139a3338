//! Every code has a page, and every page a code.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Codes as they stand in the source: the first text after `Diagnostic::…(`, `code:` or a helper.
fn codes_in(text: &str, known: &BTreeSet<&str>, used: &mut BTreeSet<String>) {
    // Not every second piece: a quote as a character (`'"'`) would turn all that follow around.
    for quoted in text.split('"') {
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
            if let Some(code) = rest.strip_prefix('"').and_then(|text| text.split('"').next()) {
                used.insert(code.to_owned());
            }
        }
    }
    // Pairs of code and severity: `("az-slip", Severity::Warning)`.
    for before in text.split(", Severity::").filter_map(|part| part.rsplit_once("(\"")) {
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
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !["tests.rs", "samples.rs"].iter().any(|end| path.to_string_lossy().ends_with(end))
        {
            let text = std::fs::read_to_string(&path).unwrap();
            visit(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: BTreeSet<&str> = codes().iter().map(|page| page.code.as_str()).collect();
    let mut used = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The simulator is no part of the program's own voice.
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("sandbox") {
            walk(&path, &mut |text| codes_in(text, &pages, &mut used));
        }
    }
    for (file, split) in [("source.rs", "#[cfg(test)]"), ("health/doctor.toml", "\u{0}")] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        codes_in(text.split(split).next().unwrap(), &pages, &mut used);
    }
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    let without: Vec<_> = used.difference(&pages).collect();
    assert!(without.is_empty(), "codes without a page: {without:?}");
    let ours = codes().iter().filter(|page| matches!(page.speaker, Speaker::Own | Speaker::Check));
    // Forms of texts are looked for by their page.
    let unused: Vec<_> =
        ours.filter(|page| page.form.is_empty() && !used.contains(page.code.as_str())).collect();
    assert!(unused.is_empty(), "pages without a code: {unused:?}");
}

#[test]
fn what_the_rules_tell_is_worded_by_its_page() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language/rules");
    let mut told = BTreeSet::new();
    walk(&rules, &mut |text| {
        let codes = text.split("told(\"").skip(1).filter_map(|rest| rest.split('"').next());
        told.extend(codes.map(str::to_owned));
    });
    let worded = codes().iter().filter(|page| !page.says.is_empty());
    assert!(worded.clone().all(|page| page.severity.len() == 1 && !page.help.is_empty()));
    assert_eq!(told, worded.map(|page| page.code.clone()).collect());
}

#[test]
fn pages_are_whole_and_unique() {
    let keys: BTreeSet<_> = codes().iter().map(|page| (&page.code, &page.place)).collect();
    assert_eq!(keys.len(), codes().len(), "a code has two pages");
    for page in codes() {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let word = |byte: u8| plain(byte) || (page.speaker == Speaker::Kind && byte == b'_');
        let health = !page.place.is_empty() && page.code.starts_with('E');
        assert!(health || page.code.bytes().all(word), "{}", page.code);
        assert!(!page.severity.is_empty() && !page.summary.ends_with('.'), "{}", page.code);
        assert!(page.speaker == Speaker::Own || page.source.len() > 3, "{}", page.code);
        assert!(page.speaker != Speaker::Check || !page.title.is_empty(), "{}", page.code);
        assert_eq!(explain(&page.code.to_uppercase()).unwrap().code, page.code);
        for text in page.about.iter().filter(|about| !about.starts_with('/')) {
            assert!(setting(text).is_some(), "{}: {text} is no setting", page.code);
        }
    }
    assert!(explain("no-such-code").is_none());
}
