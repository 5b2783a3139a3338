//! `amlplan explain` of every text that people are known to paste.

#[path = "common/program.rs"]
mod program;

use std::collections::BTreeMap;

use program::Place;

#[test]
fn every_known_text_is_explained_and_the_right_page_comes_first() {
    let text = include_str!("fixtures/explained.toml");
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
