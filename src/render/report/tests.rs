//! One report in every format: the same findings everywhere, and nothing in them acts.

use super::*;
use crate::render::samples;

const HOSTILE: &str = "a\u{1b}[31m\n::error::x\n##vso[task.complete]\n<script>\"&'</script>|`]]>";

fn finding(address: &str, status: Status, message: &str) -> Finding {
    Finding {
        title: "extension state".to_owned(),
        help: (status > Status::Skipped).then(|| "look at its pods".to_owned()),
        place: (status == Status::Fail).then(samples::place),
        ..Finding::new("extension-not-ready", status, samples::key(address), message.to_owned())
    }
}

fn report(message: &str) -> Report {
    let mut drifted = finding("edge-02/extension/y", Status::Warning, "");
    drifted.path = crate::model::Pointer::parse("/properties/version");
    drifted.class = Some("version");
    drifted.sides = Some(("1.1.0".to_owned(), message.to_owned()));
    drifted.evidence.push(message.to_owned());
    let findings = vec![
        finding("edge-01/extension/x", Status::Pass, ""),
        finding("edge-01/extension/x", Status::Skipped, "access is azureOnly"),
        finding("edge-01/extension/x", Status::Unknown, "the cluster does not answer"),
        finding("edge-01/extension/x", Status::Info, "an update is there"),
        drifted,
        finding("edge-02/extension/y", Status::Fail, message),
    ];
    Report { command: "verify", findings, ..Report::default() }
}

#[test]
fn people_read_what_is_wrong_first_and_what_is_fine_in_a_line() {
    let report = report("its state is Failed");
    insta::assert_snapshot!(render(&report, Format::Human, &Style::default(), false));
    let all = render(&report, Format::Human, &Style::default(), true);
    assert!(all.contains("✓ edge-01/extension/x: extension state"), "{all}");
}

#[test]
fn every_format_has_every_finding_and_nothing_of_a_server_acts_in_it() {
    for (format, word) in Format::ALL {
        // What is written is what counts: nothing gets out but through this.
        let text = render(&report(HOSTILE), format, &Style::default(), true);
        let text = crate::render::safe::written(&text, format.commands());
        for line in text.lines() {
            let begins = |text: &str| line.trim_start().starts_with(text);
            assert!(format == Format::Github || !begins("::error"), "{word}: {line}");
            let logged = matches!(format, Format::Human | Format::AzurePipelines);
            assert!(!logged || !line.contains("##vso[task.complete]"), "{word}: {line}");
        }
        let acts = ['\u{1b}', '\u{7}'].iter().any(|letter| text.contains(*letter));
        assert!(!acts, "{word}: a control character");
        if matches!(format, Format::Html | Format::Junit) {
            assert!(!text.contains("<script>"), "{word}");
        }
        if !matches!(format, Format::Prometheus) {
            for code in ["edge-01/extension/x", "edge-02/extension/y"] {
                let shown = text.contains(code) || text.contains(code.split('/').next().unwrap());
                assert!(shown, "{word} lacks {code}:\n{text}");
            }
        }
    }
    let document = json(&report("x"));
    assert_eq!(document["findings"].as_array().map(Vec::len), Some(4));
    assert_eq!(document["checks"].as_array().map(Vec::len), Some(6));
    let sarif: Json =
        serde_json::from_str(&render(&report("x"), Format::Sarif, &Style::default(), false))
            .unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(4));
}

/// Opened and closed elements are in pairs; returns the names of all that were opened.
fn elements(page: &str) -> Vec<&str> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for part in page.split('<').skip(1) {
        let inside = part.split('>').next().unwrap_or_default();
        let name = inside.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{inside}> closes what is not open");
        } else if !inside.starts_with('!') {
            all.push(name);
            if !inside.ends_with('/') && name != "meta" {
                open.push(name);
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "never closed");
    all
}

#[test]
fn the_page_is_whole_and_needs_nothing_from_elsewhere() {
    let mut report = report(HOSTILE);
    report.picture = "<svg xmlns=\"http://www.w3.org/2000/svg\"><g></g></svg>".to_owned();
    let page = render(&report, Format::Html, &Style::default(), true);
    let names = elements(&page);
    for text in ["script", "img", "link", "iframe", "object", "base"] {
        assert!(!names.contains(&text), "{text} in\n{page}");
    }
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"));
    assert!(page.contains("name=\"viewport\""));
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for text in ["http:", "https:", "url(", "@import", "src=", " onload", " onerror"] {
        assert!(!page.contains(text), "{text} in\n{page}");
    }
    // What is worst stands first, with what to do about it.
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is in the page"));
    assert!(at("<article class=\"error") < at("<article class=\"warning"));
    assert!(page.contains("<p class=\"help\">look at its pods</p>"));
}

#[test]
fn a_report_is_read_back_as_it_was() {
    let style = Style { detail: true, ..Style::default() };
    let mut said = report(HOSTILE);
    said.findings[4].detail = "one of a list".to_owned();
    let nowhere = |_: &_, _: &_| None;
    let mut plan = samples::plan();
    // The codes of samples are nobody's.
    for finding in &mut plan.findings {
        finding.code = "no-baseline";
        // What a label says stands in no document.
        finding.labels.iter_mut().for_each(|label| label.text.clear());
    }
    plan.unread.iter_mut().for_each(|unread| unread.finding.code = "orphans-unknown");
    let live = crate::resource::Snapshot::default();
    for mut whole in [said, crate::render::drift::report(&plan, &live, &nowhere, Vec::new())] {
        whole.verdict = verdict(&whole);
        let document = json(&whole);
        let mut back = read(&document).expect("our own");
        assert_eq!(json(&back)["checks"], document["checks"]);
        assert_eq!(json(&back)["findings"], document["findings"]);
        assert_eq!(json(&back)["diagnostics"], document["diagnostics"]);
        back.verdict.clone_from(&whole.verdict);
        for format in [Format::Human, Format::Sarif, Format::Junit, Format::Github, Format::Gitlab]
        {
            let text = |report: &Report| render(report, format, &style, false);
            // A line that is quoted from a file is there only where it was quoted.
            let own = |report: &Report| {
                let text = text(report);
                let lines = text.lines().filter(|line| !line.contains('│')).map(str::to_owned);
                lines.collect::<Vec<_>>()
            };
            let (own, back) = (own(&whole), own(&back));
            assert_eq!(own, back, "{format:?}");
        }
    }
    let mut other = json(&report("x"));
    other["checks"][0]["colour"] = "red".into();
    assert!(read(&other).expect_err("not ours").contains("`colour`"));
    assert!(read(&Json::Null).is_err());
    let mut far = json(&report("x"));
    far["checks"][5]["place"]["line"] = u64::MAX.into();
    assert!(read(&far).is_err());
}
