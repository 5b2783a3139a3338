//! The table of rules leaves no rule of the public documents out, and `docs/reference/checks.md` is
//! made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::rules::{By, Judge, RULES};
use crate::catalog;

/// Rules of the public documents that no check looks at: number, rule, and why.
fn left() -> Vec<(String, String, String)> {
    serde_yaml::from_str(include_str!("left.yaml")).expect("a test reads it")
}

/// How many rules each section of the public documents has.
const SECTIONS: [(&str, usize); 8] = [
    ("REG", 10),
    ("CLU", 19),
    ("ACC", 12),
    ("IAM", 14),
    ("CON", 14),
    ("TLS", 11),
    ("IT", 12),
    ("NS", 13),
];

fn known() -> BTreeSet<String> {
    let section = |(name, number): &(&str, usize)| {
        let name = (*name).to_owned();
        (1..=*number).map(move |it| format!("{name}-{it}"))
    };
    SECTIONS.iter().flat_map(section).chain(["REGION-1".to_owned()]).collect()
}

#[test]
fn every_rule_of_the_documents_is_checked_or_left_out_with_a_reason() {
    let covered: BTreeSet<String> =
        catalog::codes().iter().flat_map(|page| page.covers.iter().cloned()).collect();
    let left: BTreeSet<String> = left().into_iter().map(|it| it.0).collect();
    assert!(covered.is_disjoint(&left), "{:?}", covered.intersection(&left));
    let all: BTreeSet<String> = covered.union(&left).cloned().collect();
    assert_eq!(all, known());
    assert_eq!((covered.len(), left.len()), (82, 24));
}

/// `docs/reference/checks.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Checks\n\nWhat `amlplan doctor` and `amlplan verify` look at. Generated from the table of rules \
         (`src/health/rules.rs`) and the\npages of `amlplan explain`; a test compares it \
         (`UPDATE_REFERENCE=1 cargo test --lib reference` writes it anew).\n\nAn error fails the command and \
         stops an apply, a warning is said. What could not be read is unknown, and passes nowhere.\n",
    );
    let mut rules: BTreeMap<&str, (bool, bool, BTreeSet<&str>)> = BTreeMap::new();
    for rule in RULES {
        let entry = rules.entry(rule.code).or_default();
        entry.0 |= rule.by != By::Verify;
        entry.1 |= rule.by != By::Doctor;
        entry.2.extend(rule.reads);
        if let Judge::Each { kinds, .. } = rule.judge {
            entry.2.extend(kinds.iter().filter(|_| kinds.len() < 3).map(|kind| kind.as_str()));
        }
    }
    let _ = write!(
        out,
        "\n{} rules:\n\n| code | asked by | severity | reads beside the resource | what is wrong | from |\n|---|---|---|---|---|---|\n",
        rules.len()
    );
    for (code, (doctor, verify, reads)) in rules {
        let page = catalog::explain(code).expect("every rule has a page");
        let by = match (doctor, verify) {
            (true, true) => "both",
            (true, false) => "doctor",
            _ => "verify",
        };
        let reads: Vec<&str> = reads.into_iter().collect();
        let _ = writeln!(
            out,
            "| `{code}` | {by} | {} | {} | {} | {} |",
            page.severity.join(", "),
            reads.join(", "),
            page.summary,
            page.covers.join(" ")
        );
    }
    out.push_str("\nRules that need no cluster are checked by `validate`, and so by every command:\n\n| code | what is wrong | from |\n|---|---|---|\n");
    for page in catalog::codes() {
        if !page.covers.is_empty() && !RULES.iter().any(|rule| rule.code == page.code) {
            let _ =
                writeln!(out, "| `{}` | {} | {} |", page.code, page.summary, page.covers.join(" "));
        }
    }
    out.push_str("\n## Not checked\n\nRules of the public documents that amlplan leaves out:\n\n| | rule | why |\n|---|---|---|\n");
    for (id, rule, why) in left() {
        let _ = writeln!(out, "| {id} | {rule} | {why} |");
    }
    out
}
