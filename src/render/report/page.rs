//! A report as markdown for a pull request or a job summary, and as one self-contained page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Site, people, verdict};
use crate::health::{Finding, Report, Status};

/// GitHub refuses comments over 64 KiB; the rest is for the closing lines.
const BUDGET_BYTES: usize = 60_000;
/// A table with longer cells cannot be read.
const CELL_CHARS: usize = 240;

/// The report as markdown, at most 64 KiB: what does not fit is counted in the last line.
pub(super) fn markdown(report: &Report) -> String {
    let mut out = format!("## {}\n", plain(&verdict(report)));
    let bad = report.bad();
    let mut left = bad.len();
    for scope in scopes(&bad) {
        if out.len() > BUDGET_BYTES {
            continue;
        }
        let _ = write!(out, "\n### {}\n\n", code(scope));
        out.push_str(
            "| | resource | finding | how to mend it | manifest |\n|---|---|---|---|---|\n",
        );
        for finding in bad.iter().filter(|it| it.address.scope == scope) {
            let row = row(finding);
            if out.len() + row.len() <= BUDGET_BYTES {
                out.push_str(&row);
                left -= 1;
            }
        }
    }
    if left > 0 {
        let _ = writeln!(
            out,
            "\n… and {left} more findings: see `amlplan {} --format json`",
            report.command
        );
    }
    let findings = report.diagnostics.iter().map(|it| format!("{}: {}", it.code, it.message));
    let notes: Vec<String> =
        findings.chain(report.skipped.iter().map(|it| format!("skipped: {it}"))).collect();
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        let line = format!("- {}\n", code(&note));
        if out.len() + line.len() <= BUDGET_BYTES + 4_000 {
            out.push_str(&line);
        }
    }
    out
}

fn scopes<'a>(bad: &[&'a Finding]) -> BTreeSet<&'a str> {
    bad.iter().map(|it| it.address.scope.as_str()).collect()
}

/// The resource without its scope, which stands in the heading.
fn resource(finding: &Finding) -> String {
    let key = &finding.address;
    if key.name.is_empty() { key.kind.to_string() } else { format!("{}/{}", key.kind, key.name) }
}

fn row(finding: &Finding) -> String {
    let site = Site::of_finding(finding).map(|it| code(&it.line())).unwrap_or_default();
    let symbol = people::said(finding.status).0;
    let what = match &finding.sides {
        Some((declared, live)) => {
            let at = code(&finding.path.to_string());
            format!("{at}: declared {}, live {}", code(declared), code(live))
        }
        None => plain(&finding.problem()),
    };
    let help = plain(finding.help.as_deref().unwrap_or_default());
    format!("| {symbol} | {} | {what} | {help} | {site} |\n", code(&resource(finding)))
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

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:1rem auto;max-width:60rem;padding:0 1rem;color:#222}\
    article{border-left:4px solid #888;padding:.3rem .8rem;margin:.8rem 0;background:#f6f6f6}\
    .error{border-color:#b00020}.warning{border-color:#b87700}.info{border-color:#0060a0}\
    pre{white-space:pre-wrap;margin:.3rem 0}code{overflow-wrap:anywhere}h2{font-size:1.1rem}";

/// The report as one page without scripts, images or anything from elsewhere.
pub(super) fn html(report: &Report) -> String {
    let title = format!("amlplan {}", report.command);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p><strong>{}</strong></p>\n",
        markup(&verdict(report))
    );
    let bad = report.bad();
    for scope in scopes(&bad) {
        let _ = writeln!(out, "<section><h2>{}</h2>", markup(scope));
        for finding in bad.iter().filter(|it| it.address.scope == scope) {
            article(finding, &mut out);
        }
        out.push_str("</section>\n");
    }
    for it in &report.diagnostics {
        let _ = writeln!(out, "<p>{}: {}</p>", markup(it.code), markup(&it.message));
    }
    for it in &report.skipped {
        let _ = writeln!(out, "<p>skipped: {}</p>", markup(it));
    }
    let fine: Vec<&Finding> = report.findings.iter().filter(|it| !it.counts()).collect();
    if !fine.is_empty() {
        let _ = writeln!(out, "<details><summary>{} ok or skipped</summary><ul>", fine.len());
        for it in fine {
            let word = people::said(it.status).1;
            let (address, title) = (it.address.to_string(), it.title.as_str());
            let _ = writeln!(
                out,
                "<li>{word}: <code>{}</code> {}</li>",
                markup(&address),
                markup(title)
            );
        }
        out.push_str("</ul></details>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn article(finding: &Finding, out: &mut String) {
    let class = super::severity(finding.status);
    let (symbol, word, _) = people::said(finding.status);
    let address = finding.address.to_string();
    let _ = write!(
        out,
        "<article class=\"{class}\"><div>{symbol} {word} <code>{}</code> {} [{}]</div><pre>{}</pre>",
        markup(&address),
        markup(&finding.title),
        markup(finding.code),
        markup(&finding.problem())
    );
    if let Some((declared, live)) = &finding.sides {
        let path = finding.path.to_string();
        let _ = write!(
            out,
            "<pre>{}\ndeclared: {}\nlive:     {}</pre>",
            markup(&path),
            markup(declared),
            markup(live)
        );
    }
    for it in &finding.evidence {
        let _ = write!(out, "<pre>· {}</pre>", markup(it));
    }
    if let Some(site) = Site::of_finding(finding) {
        let _ = write!(out, "<div>at <code>{}</code></div>", markup(&site.line()));
    }
    if let Some(help) = &finding.help {
        let _ = write!(out, "<div>help: {}</div>", markup(help));
    }
    let status = finding.status == Status::Unknown;
    let note = if status { "<div>It could not be looked at.</div>" } else { "" };
    let _ = writeln!(out, "{note}</article>");
}

/// Text for HTML, in an element or a quoted attribute.
fn markup(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, it| {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            it if it.is_control() && it != '\t' => {}
            it => out.push(it),
        }
        out
    })
}
