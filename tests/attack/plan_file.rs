//! A saved plan is applied as amlplan wrote it, or not at all: every leaf of the file is changed,
//! taken out and doubled, and every edit is refused with exit 4 before anything is sent.

use serde_json::Value as Json;

use crate::Attack;
use crate::edits::{EDITS, edit, leaves};
use crate::program::Place;

const MANIFEST: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}
cluster: {type: connectedClusters, name: edge}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
  configurationProtectedSettings: {token: {fromEnv: TOKEN}}
computes: [{name: edge, workspace: {name: ml-workspace}}]
";

fn planned() -> (Place, String) {
    let mut place = Place::new();
    place.env.push(("TOKEN".to_owned(), "correct horse battery staple".to_owned()));
    std::fs::write(place.path("cluster.yaml"), MANIFEST).expect("a manifest");
    let ran = place.run(&["plan", "--sandbox", "--out", "edge.plan"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = std::fs::read_to_string(place.path("edge.plan")).expect("a plan");
    (place, text)
}

#[track_caller]
fn refused(place: &Place, text: &str, what: &str) {
    std::fs::write(place.path("edited.plan"), text).expect("an edited plan");
    let ran = place.run(&["apply", "edited.plan", "--sandbox"]);
    assert_eq!(ran.code, 4, "{what}:\n{}\n{}", ran.out, ran.err);
    assert!(ran.err.contains("plan-") && ran.out.is_empty(), "{what}:\n{}{}", ran.out, ran.err);
}

#[test]
fn every_edit_of_a_saved_plan_is_refused() {
    let (place, text) = planned();
    let document: Json = serde_json::from_str(&text).expect("JSON");
    let mut all = Vec::new();
    leaves(&document, "", &mut all);
    assert!(all.len() > 200, "the plan has {} leaves", all.len());
    let mut attack = Attack::new("plan file");
    attack.dice.shuffle(&mut all);
    // In a short run a part of the edits, another one each time.
    for at in &all {
        for how in EDITS {
            if !attack.goes_on() {
                break;
            }
            let edited = edit(&document, at, how);
            let edited = serde_json::to_string_pretty(&edited).expect("JSON") + "\n";
            assert_ne!(edited, text);
            refused(&place, &edited, &format!("{how} of {at}"));
            attack.count("edits refused");
        }
    }
    // What JSON does not tell apart: the second of two equal keys counts for some readers.
    let twice = text.replacen("{\n", "{\n  \"resource_changes\": [],\n", 1);
    refused(&place, &twice, "a key twice");
    refused(&place, &serde_json::to_string(&document).expect("JSON"), "formatted anew");
    refused(&place, "{}", "nothing at all");
    refused(&place, &text[..text.len() / 2], "half a plan");
    // And the plan itself is applied: the refusals come from the edits.
    let ran = place.run(&["apply", "edge.plan", "--sandbox"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = place.run(&["plan", "--sandbox", "--detailed-exitcode"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

/// The file of a document whose digest fits.
fn sealed(mut forged: Json) -> String {
    use sha2::Digest as _;
    let saved = forged["amlplan"]["saved"].to_string();
    let digest = sha2::Sha256::digest(saved.as_bytes());
    let digest: String = digest.iter().map(|it| format!("{it:02x}")).collect();
    forged["amlplan"]["digest"] = digest.into();
    serde_json::to_string_pretty(&forged).expect("JSON") + "\n"
}

/// Who edits what the plan was made from can make the digest fit too. Such a file is refused, or
/// is a plan as `show` tells it; it never breaks the reader.
#[test]
fn a_forged_digest_breaks_nothing() {
    let (place, text) = planned();
    let document: Json = serde_json::from_str(&text).expect("JSON");
    let (mut all, mut attack) = (Vec::new(), Attack::new("forged plans"));
    leaves(&document["amlplan"]["saved"], "/amlplan/saved", &mut all);
    attack.dice.shuffle(&mut all);
    for at in &all {
        for how in EDITS {
            if !attack.goes_on() {
                break;
            }
            let text = sealed(edit(&document, at, how));
            std::fs::write(place.path("forged.plan"), text).expect("a forged plan");
            let ran = place.run(&["show", "forged.plan"]);
            assert!([0, 1, 4].contains(&ran.code), "{how} of {at}: {}\n{}", ran.code, ran.err);
            attack.count(if ran.code == 0 { "shown" } else { "refused" });
        }
    }
}

/// A plan of a large fleet is longer than any manifest may be.
#[test]
fn a_plan_that_was_written_can_be_read() {
    let (mut place, _) = planned();
    let described = format!("description: {}, name: edge, workspace", "x".repeat(24 << 20));
    let manifest = MANIFEST.replace("name: edge, workspace", &described);
    std::fs::write(place.path("cluster.yaml"), manifest).expect("a manifest");
    let ran = place.run(&["plan", "--sandbox", "--out", "large.plan"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let length = std::fs::metadata(place.path("large.plan")).expect("a plan").len();
    assert!(length > 64 << 20, "{length}");
    place.env.push(("TOKEN".to_owned(), "another one".to_owned()));
    let ran = place.run(&["apply", "large.plan", "--sandbox"]);
    assert!(ran.code == 4 && ran.err.contains("TOKEN has changed"), "{}: {}", ran.code, ran.err);
}

#[test]
fn a_plan_is_applied_where_it_was_made() {
    let (mut place, _) = planned();
    place.env.push(("AZURE_CLIENT_ID".to_owned(), "me".to_owned()));
    let refused = |place: &Place, words: &[&str], why: &str| {
        let ran = place.run(words);
        assert_eq!(ran.code, 4, "{}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    };
    // Nothing is signed in to: there is no credential, and that would be another error.
    refused(&place, &["apply", "edge.plan"], "made on the simulator");
    place.env.push(("TOKEN".to_owned(), "another one".to_owned()));
    let changed = "the secret from environment variable TOKEN has changed";
    refused(&place, &["apply", "edge.plan", "--sandbox"], changed);
}

/// A plan of last month, of another version, and of another subscription, each whole in itself.
#[test]
fn a_plan_of_another_time_version_or_subscription_is_refused_with_its_reason() {
    let (place, text) = planned();
    let document: Json = serde_json::from_str(&text).expect("JSON");
    let refused = |text: &str, sandbox: &str, code: &str, why: &str| {
        std::fs::write(place.path("other.plan"), text).expect("a plan");
        let ran = place.run(&["apply", "other.plan", sandbox]);
        assert_eq!(ran.code, 4, "{why}: {}{}", ran.out, ran.err);
        let flat = ran.err.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(code) && flat.contains(why), "{why}: {flat}");
    };
    let mut old = document.clone();
    let made = Json::from("2020-01-31T00:00:00Z");
    old["timestamp"] = made.clone();
    old["amlplan"]["saved"]["surroundings"]["made"] = made;
    refused(&sealed(old), "--sandbox", "plan-elsewhere", "it is good for seven days");

    let mut foreign = document.clone();
    foreign["amlplan"]["saved"]["tool"] = "0.0.9".into();
    refused(&sealed(foreign), "--sandbox", "plan-version", "was written by amlplan 0.0.9");

    // Where the subscription of the plan holds other things.
    let elsewhere = MANIFEST.replace("resourceGroup: ml-rg", "resourceGroup: other-rg");
    std::fs::write(place.path("elsewhere.yaml"), elsewhere).expect("a manifest");
    let ran = place.run(&["apply", "elsewhere.yaml", "--sandbox=elsewhere.json", "--auto-approve"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let why = "no longer as it was when the plan was made";
    refused(&text, "--sandbox=elsewhere.json", "stale-plan", why);
    // The subscription in the plan itself is part of what cannot be edited.
    let other = text
        .replace("00000000-0000-0000-0000-000000000000", "99999999-0000-0000-0000-000000000000");
    refused(&other, "--sandbox", "plan-edited", "does not match its digest");
}

#[test]
fn show_prints_what_plan_printed() {
    let (place, _) = planned();
    let plan = place.run(&["plan", "--sandbox"]);
    let show = place.run(&["show", "edge.plan"]);
    assert_eq!((show.out, show.code), (plan.out, 0));
    let json = |words: &[&str]| -> Json {
        let mut it: Json = serde_json::from_str(&place.run(words).out).expect("JSON");
        for gone in ["timestamp", "checks"] {
            it[gone] = Json::Null;
        }
        let own = it["amlplan"].as_object_mut().expect("a map");
        own.retain(|key, _| key != "digest" && key != "diagnostics");
        it
    };
    assert_eq!(json(&["plan", "--sandbox", "--json"]), json(&["show", "edge.plan", "--json"]));
}
