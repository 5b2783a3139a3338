//! A report as markdown for a pull request or a job summary, and as one self-contained page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{FindingSite, people, verdict};
use crate::health::{Finding, Report, Status};
use crate::render::fleet::Fleet;
use crate::render::safe::markup;
use crate::render::style::{Style, count};

/// GitHub refuses comments over 64 KiB; the rest is for the closing lines.
const BUDGET_BYTES: usize = 60_000;
/// A table with longer cells cannot be read.
const CELL_CHARS: usize = 240;

/// The report as markdown, at most 64 KiB: what does not fit is counted in the last line.
pub(super) fn markdown(report: &Report, style: &Style) -> String {
    let mut out = format!("## {}\n", plain(&verdict(report)));
    let bad = report.bad();
    let fleet = &Fleet::of_report(report, style);
    if let (Some(fleet), false) = (fleet, bad.is_empty()) {
        out.push_str("\n| | findings | clusters |\n|---|---|---|\n");
        for row in people::overview(report, &bad, fleet) {
            let _ = writeln!(out, "| {} |", row.map(|text| plain(&text)).join(" | "));
        }
    }
    let mut left = bad.len();
    for (title, rows) in sections(&bad, fleet.as_ref()) {
        if out.len() > BUDGET_BYTES {
            continue;
        }
        let _ = write!(out, "\n### {title}\n\n");
        out.push_str(
            "| | resource | finding | how to mend it | manifest |\n|---|---|---|---|---|\n",
        );
        for (number, row) in rows {
            if out.len() + row.len() <= BUDGET_BYTES {
                out.push_str(&row);
                left -= number;
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
    let once =
        fleet.as_ref().map(|it| (it.diagnostics(&report.diagnostics), it.notes(&report.skipped)));
    let (findings, skipped) =
        once.unwrap_or_else(|| (report.diagnostics.clone(), report.skipped.clone()));
    let findings = findings.iter().map(|finding| format!("{}: {}", finding.code, finding.message));
    let notes: Vec<String> =
        findings.chain(skipped.iter().map(|text| format!("skipped: {text}"))).collect();
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

/// Rows of a table, each with how many findings it stands for.
type Rows = Vec<(usize, String)>;

/// Headings, each with its rows.
fn sections(bad: &[&Finding], fleet: Option<&Fleet<'_>>) -> Vec<(String, Rows)> {
    let Some(fleet) = fleet else {
        let rows = |scope: &str| {
            let own = bad.iter().filter(|finding| finding.address.scope == scope);
            own.map(|finding| (1, row(finding, true))).collect()
        };
        return scopes(bad).into_iter().map(|scope| (code(scope), rows(scope))).collect();
    };
    let mut sections: Vec<(Vec<&str>, Rows)> = Vec::new();
    for group in fleet.findings(bad) {
        let row = match group.several() {
            true => row(&group.own.finding(group.first), false),
            false => row(group.first, true),
        };
        let row = (group.number, row);
        match sections.iter_mut().find(|it| it.0 == group.clusters) {
            Some(section) => section.1.push(row),
            None => sections.push((group.clusters, vec![row])),
        }
    }
    let title = |text: &[&str]| match text {
        [one] => code(one),
        several => format!("{}: {}", count(several.len(), "cluster"), code(&fleet.names(several))),
    };
    sections.into_iter().map(|(clusters, rows)| (title(&clusters), rows)).collect()
}

fn scopes<'a>(bad: &[&'a Finding]) -> BTreeSet<&'a str> {
    bad.iter().map(|finding| finding.address.scope.as_str()).collect()
}

/// The resource without its scope, which stands in the heading.
fn resource(finding: &Finding) -> String {
    let key = &finding.address;
    if key.name.is_empty() { key.kind.to_string() } else { format!("{}/{}", key.kind, key.name) }
}

fn row(finding: &Finding, alone: bool) -> String {
    let site = FindingSite::of_finding(finding).map(|it| code(&it.line())).unwrap_or_default();
    let symbol = people::said(finding.status).0;
    let what = match &finding.sides {
        Some((declared, live)) => {
            let at = code(&finding.path.to_string());
            format!("{at}: declared {}, live {}", code(declared), code(live))
        }
        None => plain(&finding.problem()),
    };
    let help = plain(finding.help.as_deref().unwrap_or_default());
    let since = finding.members.get("since").and_then(|value| value.as_str());
    let id = finding.class.map(|class| {
        let since = since.map(|text| format!(", {text}")).unwrap_or_default();
        let print = if alone { format!(", id {}", finding.fingerprint()) } else { String::new() };
        format!("<br>{class}{since}, {}{print}", finding.code)
    });
    let (resource, id) = (code(&resource(finding)), id.unwrap_or_default());
    format!("| {symbol} | {resource}{id} | {what} | {help} | {site} |\n")
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
    cut(text).chars().fold(String::new(), |mut out, letter| {
        if special(letter) {
            out.push('\\');
        }
        out.push(letter);
        out
    })
}

/// A code span, whatever ticks and bars the text holds (GitHub Flavored Markdown: tables).
fn code(text: &str) -> String {
    let text = cut(text);
    let run = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(run + 1);
    let pad = if run > 0 { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:1rem auto;max-width:60rem;padding:0 1rem;color:#222;overflow-wrap:anywhere}\
    h1{font-size:1.2rem}h2{font-size:1.1rem;margin:1.5rem 0 .5rem}h3{font-size:1rem;margin:0}\
    article{border-left:4px solid #888;padding:.5rem .8rem;margin:.8rem 0;background:#f6f6f6;break-inside:avoid}\
    article p{margin:.4rem 0}.error{border-color:#b00020}.warning{border-color:#b87700}.info{border-color:#0060a0}\
    .help{font-weight:600}.small{color:#555;font-size:.85rem}.fine{color:#0a6b2d}label{margin-right:1rem}select{font-size:1rem;max-width:100%}\
    table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}.counts td+td{text-align:right}\
    .sides th{font-weight:normal;color:#555;white-space:nowrap}\
    .picture{overflow-x:auto}@media print{form{display:none}.picture svg{max-width:100%;height:auto}}";

/// The report as one page without scripts or anything from elsewhere: filters are style sheets.
pub(super) fn html(report: &Report) -> String {
    let title = format!("amlplan {}", report.command);
    let bad = report.bad();
    // The worst first: a person on a phone reads the top.
    let mut scopes: Vec<&str> = scopes(&bad).into_iter().collect();
    scopes.sort_by_key(|scope| bad.iter().position(|finding| finding.address.scope == *scope));
    let sorts: BTreeSet<&str> = bad.iter().filter_map(|finding| finding.class).collect();
    let sorts: Vec<&str> = sorts.into_iter().collect();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}{}{}</style></head><body>\n<h1>{title}</h1>\n<p><strong>{}</strong></p>\n",
        filter("cluster", scopes.len()),
        filter("class", sorts.len()),
        markup(&verdict(report))
    );
    overview(report, &scopes, &mut out);
    if bad.len() > 1 {
        out.push_str("<form>");
        choice("cluster", &scopes, &mut out);
        choice("class", &sorts, &mut out);
        out.push_str("</form>\n");
    }
    for (index, scope) in scopes.iter().enumerate() {
        let _ = writeln!(out, "<section class=\"cluster{index}\"><h2>{}</h2>", markup(scope));
        for finding in bad.iter().filter(|it| it.address.scope == *scope) {
            let sort = sorts.iter().position(|text| Some(*text) == finding.class);
            article(finding, &sort.map(|it| format!("class{it}")).unwrap_or_default(), &mut out);
        }
        out.push_str("</section>\n");
    }
    for finding in &report.diagnostics {
        let _ = writeln!(out, "<p>{}: {}</p>", markup(finding.code), markup(&finding.message));
    }
    for text in &report.skipped {
        let _ = writeln!(out, "<p>skipped: {}</p>", markup(text));
    }
    if !report.picture.is_empty() {
        let _ = writeln!(
            out,
            "<details open><summary>Resources by state</summary><div class=\"picture\">{}</div></details>",
            report.picture
        );
    }
    let fine: Vec<&Finding> = report.findings.iter().filter(|finding| !finding.counts()).collect();
    if !fine.is_empty() {
        let _ = writeln!(out, "<details><summary>{} ok or skipped</summary><ul>", fine.len());
        for finding in fine {
            let word = people::said(finding.status).1;
            let (address, title) = (finding.address.to_string(), finding.title.as_str());
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

/// What hides everything but the chosen one. Values stand in no rule: the choices are numbered.
fn filter(what: &str, number: usize) -> String {
    let rule = |index| {
        let (chosen, own) =
            (format!("body:has(option[value={what}{index}]:checked)"), format!(".{what}{index}"));
        match what {
            "cluster" => format!("{chosen} section:not({own}){{display:none}}"),
            // A cluster without any of the class goes with its heading.
            _ => format!(
                "{chosen} article:not({own}),{chosen} section:not(:has({own})){{display:none}}"
            ),
        }
    };
    (0..number).map(rule).collect()
}

fn choice(what: &str, words: &[&str], out: &mut String) {
    let _ = write!(out, "<label>{what} <select id=\"{what}\"><option>all</option>");
    for (index, word) in words.iter().enumerate() {
        let _ = write!(out, "<option value=\"{what}{index}\">{}</option>", markup(word));
    }
    out.push_str("</select></label> ");
}

/// How many findings of which severity each cluster has; those without any in one line.
fn overview(report: &Report, scopes: &[&str], out: &mut String) {
    let severities = ["error", "warning", "info"];
    let bad = report.bad();
    if !bad.is_empty() {
        out.push_str("<table class=\"counts\"><tr><th>cluster</th>");
        for text in severities {
            let _ = write!(out, "<th>{text}</th>");
        }
        out.push_str("</tr>\n");
    }
    for scope in scopes {
        let _ = write!(out, "<tr><td>{}</td>", markup(scope));
        for severity in severities {
            let of = |finding: &&&Finding| {
                finding.address.scope == *scope && super::severity(finding.status) == severity
            };
            let _ = write!(out, "<td>{}</td>", bad.iter().filter(of).count());
        }
        out.push_str("</tr>\n");
    }
    if !bad.is_empty() {
        out.push_str("</table>\n");
    }
    let all: BTreeSet<&str> = report.findings.iter().map(|it| it.address.scope.as_str()).collect();
    let half_seen = report.half_seen();
    let fine = all.iter().filter(|text| !scopes.contains(text) && !half_seen.contains(*text));
    let fine: Vec<&str> = fine.copied().collect();
    let half_seen: Vec<&str> = half_seen.into_iter().collect();
    for (status, class, said, names) in [
        (Status::Pass, "fine", "Nothing to do in", fine),
        (Status::Unknown, "unread", "Not all could be read of", half_seen),
    ] {
        if !names.is_empty() {
            let (sign, names) = (people::said(status).0, markup(&names.join(", ")));
            let _ = writeln!(out, "<p class=\"{class}\">{sign} {said} {names}.</p>");
        }
    }
}

/// One finding: what is wrong with what, what to do, both sides, and what it rests on.
fn article(finding: &Finding, sort: &str, out: &mut String) {
    let class = super::severity(finding.status);
    let (symbol, word, _) = people::said(finding.status);
    let word = if finding.status == Status::Unknown { "could not be looked at" } else { word };
    let problem = finding.problem();
    let about = match (&finding.sides, finding.title.as_str()) {
        (None, "") => problem,
        (None, title) if problem.contains(title) => problem,
        (None, title) => format!("{title}: {problem}"),
        (Some(_), title) => title.to_owned(),
    };
    let _ = write!(
        out,
        "<article class=\"{class} {sort}\" id=\"f{}\"><h3>{symbol} {}</h3><p>{}</p>",
        finding.fingerprint(),
        markup(&resource(finding)),
        markup(&about)
    );
    if let Some((declared, live)) = &finding.sides {
        let (declared, live) = (markup(declared), markup(live));
        let _ = write!(
            out,
            "<table class=\"sides\"><tr><th>declared</th><td><code>{declared}</code></td></tr>\
             <tr><th>live</th><td><code>{live}</code></td></tr></table>"
        );
    }
    if let Some(help) = &finding.help {
        let _ = write!(out, "<p class=\"help\">{}</p>", markup(help));
    }
    for text in &finding.evidence {
        let _ = write!(out, "<p class=\"small\">{}</p>", markup(text));
    }
    let site = FindingSite::of_finding(finding).map(|it| format!(" · {}", markup(&it.line())));
    let kind = finding.class.map(|class| format!(" · {class}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "<p class=\"small\">{word}{kind} · {}{} · <a href=\"#f{2}\">{2}</a></p></article>",
        markup(finding.code),
        site.unwrap_or_default(),
        finding.fingerprint()
    );
}
