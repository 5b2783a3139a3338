//! Drift as markdown for a pull request comment or a job summary.

use super::{Finding, Places, Report, Rule, side};
use crate::plan::Plan;

/// GitHub refuses comments over 64 KiB; the rest is for the closing lines.
const BUDGET_BYTES: usize = 60_000;
/// A table with longer cells cannot be read.
const CELL_CHARS: usize = 160;

/// The report as markdown, at most 64 KiB: what does not fit is counted in the last line.
#[must_use]
pub fn markdown(plan: &Plan, places: Places<'_>) -> String {
    let report = Report::new(plan, places);
    let mut out = format!("## {}\n", report.verdict());
    let mut left = report.findings.len();
    for scope in report.scopes() {
        let rows: Vec<String> =
            report.findings.iter().filter(|it| it.step.key.scope == scope).map(row).collect();
        if rows.is_empty() || out.len() > BUDGET_BYTES {
            continue;
        }
        out.push_str(&format_args!("\n### {}\n\n", code(scope)).to_string());
        out.push_str("| resource | field | declared | live | manifest |\n|---|---|---|---|---|\n");
        for row in rows {
            if out.len() + row.len() <= BUDGET_BYTES {
                out.push_str(&row);
                left -= 1;
            }
        }
    }
    if left > 0 {
        let more = format!("\n… and {left} more findings: see `amlplan drift --format json`\n");
        out.push_str(&more);
    }
    notes(plan, &mut out);
    out
}

fn notes(plan: &Plan, out: &mut String) {
    let findings = plan.told().map(|it| format!("{}: {}", it.code, it.message));
    let notes: Vec<String> =
        findings.chain(plan.skipped.iter().map(|it| format!("skipped: {it}"))).collect();
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        let line = format!("- {}\n", code(&note));
        if out.len() + line.len() <= BUDGET_BYTES + 4_000 {
            out.push_str(&line);
        }
    }
}

fn row(finding: &Finding<'_>) -> String {
    let key = &finding.step.key;
    let resource = if key.name.is_empty() {
        key.kind.to_string()
    } else {
        format!("{}/{}", key.kind, key.name)
    };
    let site = finding.site().map(|it| code(&format!("{}:{}", it.file, it.start.0)));
    let (field, declared, live) = match finding.rule {
        Rule::Changed | Rule::ChangedForGood => {
            let (declared, live) = match finding.items() {
                Some((extra, missing)) => {
                    (some("missing: ", &missing), some("not declared: ", &extra))
                }
                None => (code(&side(&finding.expected)), code(&side(&finding.live))),
            };
            (code(&finding.path.to_string()), declared, live)
        }
        Rule::Missing | Rule::Unhealthy | Rule::Unwanted | Rule::Orphan => {
            (format!("**{}**", plain(&finding.problem())), String::new(), String::new())
        }
    };
    let resource = code(&resource);
    let site = site.unwrap_or_default();
    format!("| {resource} | {field} | {declared} | {live} | {site} |\n")
}

fn some(title: &str, items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!("{title}{}", code(&items.join(", "))) }
}

fn cut(text: &str) -> String {
    let flat: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    if flat.chars().count() <= CELL_CHARS {
        return flat;
    }
    flat.chars().take(CELL_CHARS).chain(['…']).collect()
}

/// Text in which markdown finds nothing to format.
fn plain(text: &str) -> String {
    let special = |it: char| "\\`*_{}[]<>()#+-!|@~&".contains(it);
    cut(text).chars().fold(String::new(), |mut out, it| {
        if special(it) {
            out.push('\\');
        }
        out.push(it);
        out
    })
}

/// A code span, whatever ticks and bars the text holds (GitHub Flavored Markdown: tables).
fn code(text: &str) -> String {
    let text = cut(text);
    let run = text.split(|it| it != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(run + 1);
    let pad = if run > 0 { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}
