//! Every file in `manifests/invalid` has one mistake; its report is a snapshot. Every other
//! shipped manifest has none.

#[path = "common/manifests.rs"]
mod manifests;

use std::collections::BTreeSet;
use std::path::Path;

use amlplan::text::{
    self, Diagnostics, LoadOptions, Secrets, Severity, Trust, check, has_errors, load_lenient,
};
use jiff::Timestamp;
use manifests::manifests;

/// The day on which the certificates of the fixtures are looked at.
fn day() -> Timestamp {
    Timestamp::constant(1_767_225_600, 0)
}

/// The project's folder: tests run in it, and relative paths keep reports free of where it lies.
fn root() -> &'static Path {
    Path::new("")
}

fn validate(path: &Path) -> Diagnostics {
    let options = LoadOptions { env: &|_| None, secrets: Secrets::Require };
    let (manifest, mut findings) = load_lenient(&[path.to_owned()], &options);
    findings.extend(check(&manifest, day(), &Trust::default()));
    findings
}

/// The report as a user in the project's folder would see it.
fn report(findings: &Diagnostics) -> String {
    text::report(findings, false, 100)
}

#[test]
fn every_mistake_has_a_message_worth_reading() {
    let files = manifests("manifests/invalid");
    assert!(files.len() >= 60);
    for file in files {
        let findings = validate(&file);
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(!findings.is_empty(), "{name} has no finding");
        for finding in &findings {
            let page = text::explain(finding.code);
            let page = page.unwrap_or_else(|| panic!("`{}` has no page", finding.code));
            let severity = format!("{:?}", finding.severity).to_lowercase();
            assert!(
                page.severity.contains(&severity),
                "{} is not said to be {severity}",
                finding.code
            );
            assert!(finding.help.is_some(), "`{}` does not say how to mend it", finding.code);
        }
        let report = report(&findings);
        assert!(!report.contains("canary"), "{name} shows a secret");
        assert!(!report.contains(env!("CARGO_MANIFEST_DIR")), "{name} shows a folder");
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots/invalid");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name.replace('.', "-"), report));
    }
}

#[test]
fn shipped_manifests_have_no_mistake() {
    for file in manifests("manifests") {
        let findings = validate(&file);
        assert!(!has_errors(&findings), "{}", report(&findings));
    }
}

#[test]
fn one_mistake_is_one_error() {
    // A colleague who makes one slip wants one message, not three that follow from it.
    let crowded: Vec<String> = manifests("manifests/invalid")
        .iter()
        .map(|file| validate(file))
        .filter(|it| it.iter().filter(|it| it.severity == Severity::Error).count() > 1)
        .map(|it| report(&it))
        .collect();
    assert!(crowded.is_empty(), "{}", crowded.join("\n=====\n"));
}

#[test]
fn one_run_names_the_mistakes_of_every_kind() {
    let findings = validate(&root().join("tests/fixtures/mistakes-of-every-kind.yaml"));
    let errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let mut codes: Vec<&str> = errors.map(|it| it.code).collect();
    codes.sort_unstable();
    let expected = [
        "bad-compute-name",
        "bad-subscription",
        "duplicate-instance-type",
        "missing-part",
        "setting-not-boolean",
        "setting-of-other-profile",
        "unknown-setting",
        "wrong-type",
        "wrong-value",
        "wrong-value",
    ];
    assert_eq!(codes, expected, "{}", report(&findings));
}

/// Whatever is wrong with a manifest is still said when one more part of it cannot be read.
#[test]
fn a_part_that_cannot_be_read_hides_no_other_mistake() {
    let scratch = tempfile::tempdir().expect("a folder for the copies");
    let copied = copy(Path::new("manifests"), scratch.path()).expect("manifests can be read");
    assert!(copied > 60);
    let codes = |file: &Path| -> BTreeSet<&'static str> {
        let findings = validate(file);
        findings.iter().filter(|it| it.severity == Severity::Error).map(|it| it.code).collect()
    };
    let (mut tried, mut hidden) = (0, Vec::new());
    for file in manifests("manifests/invalid") {
        let Some(name) = file.file_name() else { continue };
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        // Without a tree, or without a kind, there is no part to add.
        let whole = text.contains("kind: Cluster\n") && !text.contains("\n---");
        let cut = ["syntax-", "api-version-", "alias-", "template-", "nothing-"];
        let part = ["features", "providers", "lifecycle", "roleAssignments"]
            .into_iter()
            .find(|it| !text.contains(it));
        let (true, Some(part)) = (whole, part) else { continue };
        if cut.iter().any(|it| name.to_string_lossy().starts_with(it)) {
            continue;
        }
        let changed = scratch.path().join("invalid").join(name);
        std::fs::write(&changed, format!("{}\n{part}: 7\n", text.trim_end()))
            .expect("a copy can be written");
        let (before, after) = (codes(&file), codes(&changed));
        if !after.contains("wrong-type") || !before.is_subset(&after) {
            hidden.push(format!("{}: {before:?} became {after:?}", file.display()));
        }
        tried += 1;
    }
    assert!(hidden.is_empty(), "{}", hidden.join("\n"));
    assert!(tried >= 60, "{tried}");
}

/// Copies a folder, and says how many files it had.
fn copy(from: &Path, to: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(to)?;
    let mut files = 0;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files += copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
            files += 1;
        }
    }
    Ok(files)
}

#[test]
fn an_internal_load_balancer_is_judged_by_the_distribution() {
    let of = |name: &str| -> Vec<Severity> {
        let findings = validate(&root().join("manifests").join(name));
        let about = findings.iter().filter(|it| it.code == "internal-load-balancer");
        about.map(|it| it.severity).collect()
    };
    assert_eq!(of("internal-load-balancer-on-arc-aks-family.yaml"), []);
    assert_eq!(of("internal-load-balancer-on-arc-unknown-distribution.yaml"), [Severity::Warning]);
    assert_eq!(of("invalid/internal-load-balancer-off-aks.yaml"), [Severity::Error]);
}
