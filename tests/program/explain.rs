//! `amlplan explain` of every text that people are known to paste.

use std::collections::BTreeMap;

use crate::program::Place;

#[test]
fn every_known_text_is_explained_and_the_right_page_comes_first() {
    let text = include_str!("../fixtures/explained.toml");
    let wanted: BTreeMap<String, String> = toml::from_str(text).expect("the texts");
    let place = Place::new();
    let mut wrong = Vec::new();
    for (text, page) in &wanted {
        let told = place.run(&["explain", text]);
        if told.code != 0
            || !told.out.contains(&format!("{page} ")) && !told.out.starts_with(page.as_str())
        {
            wrong.push(format!(
                "{text}: wanted {page}, told {}{}",
                told.out.lines().next().unwrap_or_default(),
                told.err
            ));
        } else if !told.out.contains("Source: ") {
            wrong.push(format!("{text}: without a source"));
        } else if !told.out.starts_with(page.as_str()) {
            wrong.push(format!(
                "{text}: wanted {page} first, told {}",
                told.out.lines().next().unwrap_or_default()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), wanted.len(), wrong.join("\n"));
    assert!(wanted.len() > 100);
}

/// What terminals, logs and JSON make of a text that somebody copies out of them.
fn copied(text: &str, how: usize) -> String {
    match how {
        // Broken at a space, and indented.
        0 => {
            let spaces: Vec<usize> = text.match_indices(' ').map(|it| it.0).collect();
            let Some(at) = spaces.get(spaces.len() / 2) else { return format!("{text}\n") };
            format!("{}\n      {}", &text[..*at], &text[at + 1..])
        }
        // In a box, with colours left out.
        1 => text.split(' ').collect::<Vec<_>>().join("\n  │ "),
        2 => format!("2026-11-03T10:22:41.1234567Z  ERROR  {text}"),
        _ => serde_json::json!({ "message": format!("Error:\n{text}\n") }).to_string(),
    }
}

#[test]
fn a_text_that_was_wrapped_stamped_or_escaped_is_the_same_text() {
    let text = include_str!("../fixtures/explained.toml");
    let wanted: BTreeMap<String, String> = toml::from_str(text).expect("the texts");
    let place = Place::new();
    let mut wrong = Vec::new();
    // A word, or a name of a role, is looked up as a whole.
    let texts = wanted.iter().filter(|it| it.0.contains(' ') && it.0 != it.1);
    for (number, (text, page)) in texts.enumerate() {
        let copy = copied(text, number % 4);
        let told = place.run(&["explain", &copy]);
        if told.code != 0 || !told.out.starts_with(page.as_str()) {
            let first = told.out.lines().next().unwrap_or_default();
            wrong.push(format!("{copy}: wanted {page}, told {first}{}", told.err));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), wanted.len(), wrong.join("\n"));
}

#[test]
fn what_only_sounds_like_it_is_not_explained() {
    let place = Place::new();
    for text in [
        "the train is late and my coffee timed out",
        "job queued for hours, no idea why",
        "Failed to create thread: Resource temporarily unavailable",
        "ModuleNotFoundError: No module named 'azureml'",
        "fatal: not a git repository (or any of the parent directories): .git",
        "CUDA error: device-side assert triggered",
        "KeyError: 'training'",
        "npm ERR! code ELIFECYCLE",
        "Segmentation fault (core dumped)",
    ] {
        let told = place.run(&["explain", text]);
        assert_eq!(told.code, 1, "{text}: {}", told.out);
        assert!(told.err.contains("amlplan verify"), "{}", told.err);
    }
}

#[test]
fn a_manifest_gets_the_line_and_an_unknown_text_the_command_that_shows_more() {
    let place = Place::new();
    std::fs::write(
        place.path("cluster.yaml"),
        "apiVersion: amlplan/v1\nkind: Cluster\nname: edge\nazure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: rg}\ncluster: {type: connectedClusters, name: edge}\nextension:\n  name: ext\n  configurationSettings:\n    enableInference: true\n    inferenceRouterServiceType: NodePort\n    allowInsecureConnections: true\n    inferenceRouterHA: true\n",
    )
    .expect("a manifest");
    let told = place.run(&["explain", "ErrorCode:", "E40002", "-f", "cluster.yaml"]);
    assert!(
        told.out.contains("cluster.yaml:12: inferenceRouterHA: true"),
        "{}{}",
        told.out,
        told.err
    );
    let told = place.run(&["explain", "E40007", "-f", "cluster.yaml"]);
    assert!(told.out.contains("sslCname is not written"), "{}{}", told.out, told.err);
    let told = place.run(&["explain", "the moon is made of \u{1b}[31mcheese"]);
    assert_eq!(told.code, 1);
    assert!(told.err.contains("amlplan verify") && !told.err.contains('\u{1b}'), "{}", told.err);
}
