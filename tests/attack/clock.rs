//! Dates: whatever a manifest or a server says the day is, it is a day or an error.

use crate::program::Place;

const MANIFEST: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}
cluster: {type: connectedClusters, name: edge}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
drift:
  ignore: [{path: extension.configurationSettings.domain, class: setting, reason: r, owner: o, until: DAY}]
";

#[test]
fn the_last_day_of_the_calendar_is_a_day() {
    let place = Place::new();
    for (day, code) in
        [("9999-12-31", 0), ("0001-01-01", 0), ("99999-01-01", 1), ("2027-02-30", 1), ("-1", 1)]
    {
        let text = MANIFEST.replace("DAY", day);
        std::fs::write(place.path("cluster.yaml"), text).expect("a manifest");
        let ran = place.run(&["plan", "--sandbox"]);
        assert_eq!(ran.code, code, "{day}: {}", ran.err);
    }
    let manifest = MANIFEST.replace("DAY", "9999-12-31");
    std::fs::write(place.path("cluster.yaml"), manifest).expect("a manifest");
    assert_eq!(place.run(&["apply", "--sandbox", "--auto-approve"]).code, 0);
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/\
              Microsoft.Kubernetes/connectedClusters/edge";
    for day in ["9999-12-31T23:59:59.999999999Z", "-9999-01-01T00:00:00Z", "99999-99-99", ""] {
        for field in ["lastConnectivityTime", "managedIdentityCertificateExpirationTime"] {
            let change = format!("/properties/{field}=\"{day}\"");
            assert_eq!(place.run(&["sandbox", "set", id, &change]).code, 0, "{change}");
        }
        for command in ["plan", "drift", "verify", "doctor"] {
            let ran = place.run(&[command, "--sandbox"]);
            assert!([0, 2].contains(&ran.code), "{command} at {day}: {}", ran.err);
        }
    }
    // The simulator in the last hour that its calendar has.
    let state = place.path(".amlplan/sandbox.json");
    let text = std::fs::read_to_string(&state).expect("the state");
    let at = text.rfind("\"base\":\"").expect("the clock") + 8;
    let end = at + text[at..].find('"').expect("its end");
    let late = [&text[..at], "9999-12-30T21:00:00Z", &text[end..]].concat();
    std::fs::write(&state, late).expect("the state");
    for words in
        [&["plan"][..], &["verify"], &["destroy", "--auto-approve"], &["apply", "--auto-approve"]]
    {
        let ran = place.run(&[words, &["--sandbox"]].concat());
        assert!([0, 2, 7].contains(&ran.code), "{words:?}: {}\n{}", ran.code, ran.err);
    }
}
