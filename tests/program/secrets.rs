//! A secret given through every door is searched for in everything that the program writes, at
//! every level of noise, in files and errors; it is found nowhere but in the simulated Azure.

use crate::program::Place;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The same beginning in every door, so that one search finds them all.
const CANARY: &str = "Kanarie5e9b71";

const CLUSTER: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure: {subscription: 00000000-0000-0000-0000-000000000000, resourceGroup: ml-rg}
cluster: {type: connectedClusters, name: edge}
extension:
  name: arcml-extension
  configurationSettings:
    enableTraining: true
    enableInference: true
    inferenceRouterServiceType: NodePort
    inferenceRouterHA: false
    sslCname: ml.example.com
  configurationProtectedSettings:
    relayServerConnectionString: Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=Kanarie5e9b71Text;EntityPath=edge
    fromTheEnvironment: {fromEnv: DOOR}
    fromAFile: {fromFile: ./door.txt}
    fromAVariable: ${DOOR}
    sslCertPemFile: ./tls/ml.example.com.crt
    sslKeyPemFile: ./tls/ml.example.com.key
computes:
  - name: edge
    workspace: {name: ml-workspace}
";

/// What must be found nowhere.
struct Hidden(Vec<String>);

impl Hidden {
    fn new(place: &Place) -> Self {
        let mut all = vec![CANARY.to_owned()];
        for at in 0..3 {
            // base64 of a text that begins at any of the three positions.
            let text = format!("{}{CANARY}", "x".repeat(at));
            let encoded = BASE64_STANDARD.encode(text);
            all.push(encoded[4..encoded.len() - 4].to_owned());
        }
        let key = std::fs::read_to_string(place.path("tls/ml.example.com.key")).expect("the key");
        let body: Vec<&str> = key.lines().filter(|it| !it.starts_with("-----")).collect();
        all.extend(body.iter().take(3).map(|it| (*it).to_owned()));
        let encoded = BASE64_STANDARD.encode(&key);
        all.push(encoded[80..160].to_owned());
        Self(all)
    }

    #[track_caller]
    fn is_not_in(&self, text: &str, what: &str) {
        // A secret does not become one by being broken over two lines.
        let joined: String = text.chars().filter(|it| !it.is_whitespace()).collect();
        for hidden in &self.0 {
            assert!(
                !text.contains(hidden.as_str()) && !joined.contains(hidden.as_str()),
                "`{hidden}` is written by {what}:\n{text}"
            );
        }
    }
}

struct Searched {
    place: Place,
    hidden: Hidden,
}

impl Searched {
    fn new(manifest: &str) -> Self {
        let mut place = Place::new();
        let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect(name);
        write("cluster.yaml", manifest);
        write("door.txt", &format!("{CANARY}File"));
        place.env.push(("DOOR".to_owned(), format!("{CANARY}Env")));
        let hidden = Hidden::new(&place);
        Self { place, hidden }
    }

    /// Runs a command and searches all it writes, folders included.
    #[track_caller]
    fn run(&self, line: &str, code: i32) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = self.place.run(&words);
        self.hidden.is_not_in(&ran.out, line);
        self.hidden.is_not_in(&ran.err, line);
        assert_eq!(ran.code, code, "{line}:\n{}\n{}", ran.out, ran.err);
        for file in ["edge.plan", "imported.yaml"] {
            if let Ok(text) = std::fs::read_to_string(self.place.path(file)) {
                self.hidden.is_not_in(&text, &format!("{line} into {file}"));
            }
        }
        ran.out + &ran.err
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let searched = Searched::new(CLUSTER);
    let state = "the simulated Azure";
    searched.run("apply --sandbox=world.json --auto-approve", 0);
    let world = std::fs::read_to_string(searched.place.path("world.json")).expect(state);
    // The secret of each door arrived, and the simulator keeps none of them.
    for door in ["relayServerConnectionString", "fromTheEnvironment", "fromAFile"] {
        assert!(world.contains(door), "{door} never arrived");
    }
    searched.hidden.is_not_in(&world, "the simulator's state");
    for broken in [format!("{}\n{}", &CANARY[..5], &CANARY[5..]), BASE64_STANDARD.encode(CANARY)] {
        let found = std::panic::catch_unwind(|| searched.hidden.is_not_in(&broken, "a test"));
        assert!(found.is_err(), "{broken} is not found");
    }
}

#[test]
fn no_command_writes_a_secret() {
    let it = Searched::new(CLUSTER);
    it.run("validate -vvv", 0);
    it.run("graph --format json", 0);
    it.run("graph --format dot", 0);
    for noise in ["", " -v", " -vv", " -vvv", " -vvv --log-format json"] {
        it.run(&format!("plan --sandbox=world.json{noise}"), 0);
    }
    it.run("plan --sandbox=world.json --json", 0);
    it.run("plan --sandbox=world.json --as-az", 0);
    it.run("plan --sandbox=world.json --out edge.plan", 0);
    it.run("show edge.plan", 0);
    it.run("show edge.plan --json", 0);
    it.run("doctor --sandbox=world.json --json -vvv", 0);
    it.run("apply edge.plan --sandbox=world.json --json -vvv", 0);
    it.run("apply --sandbox=other.json --auto-approve -vvv --log-format json", 0);
    it.run("verify --sandbox=world.json --json -vvv", 0);
    it.run("sandbox show --json --state world.json", 0);
    it.run("sandbox show --state world.json", 0);
    let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.Kubernetes/connectedClusters/edge";
    it.run(&format!("import --cluster {id} --sandbox=world.json -vvv"), 0);
    it.run("import --from cluster.yaml --profile 2021-11-preview", 0);
    it.run("destroy --sandbox=world.json --auto-approve -vvv", 0);
}

#[test]
fn a_changed_secret_is_seen_and_not_shown() {
    let mut it = Searched::new(CLUSTER);
    it.run("plan --sandbox=world.json --out edge.plan", 0);
    it.run("apply --sandbox=world.json --auto-approve", 0);
    it.run("plan --sandbox=world.json --detailed-exitcode", 0);
    // The last one of a name counts.
    it.place.env.push(("DOOR".to_owned(), format!("{CANARY}Other")));
    let shown = it.run("plan --sandbox=world.json --detailed-exitcode", 2);
    assert!(shown.contains("fromTheEnvironment") && shown.contains("sensitive"), "{shown}");
    assert!(!shown.contains("~ fromAFile"), "another secret is said to change:\n{shown}");
    let formats = ["human", "json", "markdown", "junit", "sarif", "github", "azure-pipelines"];
    for format in formats.into_iter().chain(["gitlab", "html"]) {
        let shown = it.run(&format!("drift --sandbox=world.json --format {format}"), 2);
        assert!(shown.contains("fromTheEnvironment"), "{format}:\n{shown}");
    }
    it.run("apply edge.plan --sandbox=world.json -vvv", 4);
    it.run("apply --sandbox=world.json --auto-approve --allow disruptive --json -vvv", 0);
    it.run("plan --sandbox=world.json --detailed-exitcode", 0);
}

#[test]
fn no_error_shows_a_secret() {
    let secret = "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=Kanarie5e9b71Text;EntityPath=edge";
    let moved =
        CLUSTER.replace(&format!("    relayServerConnectionString: {secret}\n"), "").replace(
            "    enableTraining: true\n",
            &format!("    enableTraining: true\n    relayServerConnectionString: {secret}\n"),
        );
    let key = "    sslKeyPemFile: ./tls/ml.example.com.key";
    let broken = [
        // In the settings that everybody can read.
        moved,
        CLUSTER.replace("fromTheEnvironment: {", "fromTheEnvironment: [{"),
        CLUSTER.replace(
            "fromTheEnvironment: {fromEnv: DOOR}",
            "fromTheEnvironment: {text: Kanarie5e9b71}",
        ),
        CLUSTER.replace(
            "fromTheEnvironment: {fromEnv: DOOR}",
            "fromTheEnvironment: [Kanarie5e9b71, b]",
        ),
        CLUSTER.replace("fromAFile: {fromFile: ./door.txt}", "fromAFile: Kanarie5e9b71\n    a: *b"),
        CLUSTER.replace("${DOOR}", "${DOOR} ${NOT_SET}"),
        // A key of another certificate, a key that is none, a file that is none.
        CLUSTER.replace(key, "    sslKeyPemFile: ./door.txt"),
        CLUSTER.replace("./tls/ml.example.com.crt", "./tls/ml.example.com.key"),
        CLUSTER.replace("name: edge\nazure", "name: edge\n  bad: [Kanarie\nazure"),
    ];
    for (number, text) in broken.iter().enumerate() {
        assert_ne!(text, CLUSTER, "number {number} is not broken");
        let it = Searched::new(text);
        let ran = it.place.run(&["validate", "-vvv"]);
        it.hidden.is_not_in(&ran.err, &format!("validate of {number}"));
        it.hidden.is_not_in(&ran.out, &format!("validate of {number}"));
        let ran = it.place.run(&["plan", "--sandbox=world.json", "-vvv"]);
        it.hidden.is_not_in(&(ran.out + &ran.err), &format!("plan of {number}"));
    }
    // What Azure says about a request that failed.
    let it = Searched::new(CLUSTER);
    let world = "faults: {seed: 1, failOperation: 1, serverError: 0.1}\n";
    std::fs::write(it.place.path("world.yaml"), world).expect("a world");
    it.run("apply --sandbox=world.json --sandbox-world world.yaml --auto-approve -vvv", 3);
    it.run("verify --sandbox=world.json -vvv", 2);
}

const VAULT: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml-rg/providers/Microsoft.KeyVault/vaults/kv1";

/// Certificate and key from a vault and from a Secret, and a text from each.
fn kept_by_services() -> String {
    let own = CLUSTER.split("    relayServerConnectionString").next().expect("a beginning");
    let end = &CLUSTER[CLUSTER.find("computes:").expect("computes")..];
    format!(
        "{own}    sslCertPemFile: {{fromKeyVault: {{vault: kv1, secret: ml-tls}}}}
    sslKeyPemFile: {{fromKeyVault: {{vault: kv1, secret: ml-tls}}}}
    fromAVault: {{fromKeyVault: {{vault: kv1, secret: token}}}}
    fromASecret: {{fromSecret: {{namespace: certs, name: tokens, key: a.token}}}}
{end}"
    )
}

/// What the simulated services hold: the secrets that no output may have.
fn held(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path("world.json")).expect("a world");
    let mut found = Vec::new();
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        collect(&json, &mut found);
    }
    assert!(found.len() >= 4, "the world holds {} secrets", found.len());
    found
}

fn collect(json: &serde_json::Value, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(map) => {
            let versions = map.get("versions").and_then(|it| it.as_array());
            for value in versions.into_iter().flatten().filter_map(|it| it["value"].as_str()) {
                let key = value.lines().nth(1).unwrap_or(value);
                found.extend([key.to_owned(), BASE64_STANDARD.encode(value)]);
            }
            if map.get("kind").is_some_and(|it| it == "Secret")
                && let Some(data) = map["data"].as_object()
                && map["metadata"]["namespace"] == "certs"
            {
                for value in data.values().filter_map(|it| it.as_str()) {
                    let text = BASE64_STANDARD.decode(value).expect("base64");
                    found.extend([value.to_owned(), String::from_utf8(text).expect("a text")]);
                }
            }
            map.values().for_each(|it| collect(it, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|it| collect(it, found)),
        _ => {}
    }
}

#[test]
fn what_services_hold_is_sent_and_a_newer_version_is_a_change() {
    let mut it = Searched::new(&kept_by_services());
    it.run("validate", 0);
    it.run("plan --sandbox=world.json", 0);
    it.hidden.0 = held(&it.place);
    it.run("plan --sandbox=world.json --out edge.plan -vvv", 0);
    it.run("show edge.plan --json", 0);
    let az = it.run("plan --sandbox=world.json --as-az", 0);
    assert!(az.contains("az keyvault secret show --vault-name kv1 --name ml-tls"), "{az}");
    assert!(az.contains("kubectl get secret -n certs tokens"), "{az}");
    it.run("doctor --sandbox=world.json -vvv", 0);
    // The simulated health check looks into certificate and key.
    it.run("apply edge.plan --sandbox=world.json --json -vvv", 0);
    it.run("plan --sandbox=world.json --detailed-exitcode", 0);
    it.run("drift --sandbox=world.json", 0);

    // Whoever annotates a Secret changes nothing of it; whoever renews a certificate does.
    let annotate =
        "sandbox set edge secret/certs/tokens /metadata/annotations/a=b --state world.json";
    it.run(annotate, 0);
    it.run("plan --sandbox=world.json --detailed-exitcode", 0);
    it.hidden.0.push("Kanarie-renewed".to_owned());
    it.run("plan --sandbox=world.json --out edge.plan", 0);
    let rotate = format!("{VAULT}/secrets/token /properties/value=Kanarie-renewed");
    it.run(&format!("sandbox set {rotate} --state world.json"), 0);
    // As Azure, which shows no values; a Secret of Kubernetes is shown as kubectl does.
    let world = it.place.run(&["sandbox", "show", "--json", "--state", "world.json"]);
    assert!(world.out.contains("secretUriWithVersion") && !world.out.contains("Kanarie-renewed"));
    for format in ["human", "json", "sarif"] {
        let drift = it.run(&format!("drift --sandbox=world.json --format {format}"), 2);
        let of = |key: &str| drift.contains(&format!("configurationProtectedSettings/{key}"));
        assert!(of("fromAVault") && !of("fromASecret"), "{drift}");
    }
    let changed = BASE64_STANDARD.encode("Kanarie-other");
    let change =
        format!("sandbox set edge secret/certs/tokens /data/a.token={changed} --state world.json");
    it.run(&change, 0);
    let plan = it.run("plan --sandbox=world.json --detailed-exitcode", 2);
    assert!(plan.contains("fromAVault") && plan.contains("fromASecret"), "{plan}");
    it.run("apply edge.plan --sandbox=world.json", 4);
    it.run("apply --sandbox=world.json --auto-approve --allow disruptive -vvv", 0);
    it.run("plan --sandbox=world.json --detailed-exitcode", 0);
}

#[test]
fn a_certificate_in_a_vault_is_judged_as_one_in_a_file() {
    let tls = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    let read = |path: &str| std::fs::read_to_string(tls.join(path)).expect("a PEM file");
    let (good, key) = (read("tls/ml.example.com.crt"), read("tls/ml.example.com.key"));
    let other = read("invalid/tls/other.key");
    let expired = read("invalid/tls/expired.crt") + &read("invalid/tls/good.key");
    for (held, code) in [
        (format!("{good}{key}"), ""),
        (format!("{good}{other}"), "key-mismatch"),
        (expired, "certificate-expired"),
        (good.clone(), "pem-unreadable"),
        ("nothing".to_owned(), "pem-unreadable"),
    ] {
        let it = Searched::new(&kept_by_services());
        it.run("plan --sandbox=world.json", 0);
        let value = format!("/properties/value={held}");
        let secret = format!("{VAULT}/secrets/ml-tls");
        let set = ["sandbox", "set", &secret, &value, "--state", "world.json"];
        assert_eq!(it.place.run(&set).code, 0);
        let doctor =
            it.run("doctor --sandbox=world.json --all", if code.is_empty() { 0 } else { 2 });
        let apply = "apply --sandbox=world.json --auto-approve";
        let told = it.run(apply, if code.is_empty() { 0 } else { 5 });
        assert!(doctor.contains(code) && told.contains(code), "{code}: {doctor}\n{told}");
        assert!(code.is_empty() || told.contains("cluster.yaml:"), "{told}");
        for line in held.lines().filter(|it| it.len() > 40) {
            assert!(!doctor.contains(line) && !told.contains(line), "{code}");
        }
    }
    // Who may read versions only is told so, and nothing else changes.
    let it = Searched::new(&kept_by_services());
    let rights = "access: {azure: [{scope: /, actions: ['*'], notActions: []}, {scope: /, role: Key Vault Reader}]}\n";
    std::fs::write(it.place.path("rights.yaml"), rights).expect("a world");
    let doctor = it.run("doctor --sandbox=world.json --sandbox-world rights.yaml --all", 0);
    assert!(doctor.contains("certificate and key"), "{doctor}");
    assert!(!doctor.contains("pem-unreadable"), "{doctor}");
}

#[test]
fn a_secret_that_no_service_gives_out_says_why() {
    let rights = "access: {azure: [{scope: /, actions: ['*'], notActions: []}, {scope: /, role: Key Vault Reader}]}\n";
    let cases = [
        ("kv1, secret: token", "rights.yaml", "plan", 0, ""),
        // Versions may be read, values not.
        ("kv1, secret: token", "rights.yaml", "apply --auto-approve", 3, "Key Vault Secrets User"),
        ("kv1, secret: token", "none.yaml", "plan", 1, "Key Vault Secrets User"),
        ("kv1, secret: token, version: 0a1b", "", "apply --auto-approve", 3, "is not there"),
    ];
    for (reference, world, command, code, said) in cases {
        let text = kept_by_services().replace("kv1, secret: token", reference);
        let it = Searched::new(&text);
        std::fs::write(it.place.path("rights.yaml"), rights).expect("a world");
        let none = "access: {azure: [{scope: /, actions: ['*']}]}\n";
        std::fs::write(it.place.path("none.yaml"), none).expect("a world");
        let world =
            if world.is_empty() { String::new() } else { format!(" --sandbox-world {world}") };
        let shown = it.run(&format!("{command} --sandbox=world.json{world}"), code);
        assert!(shown.contains(said), "{command} with {reference}:\n{shown}");
    }
    // A version that is switched off, and one that is gone.
    let it = Searched::new(&kept_by_services());
    it.run("plan --sandbox=world.json", 0);
    let off = format!("sandbox set {VAULT}/secrets/token /properties/attributes/enabled=false");
    it.run(&format!("{off} --state world.json"), 0);
    let shown = it.run("plan --sandbox=world.json", 1);
    let flat =
        |shown: &str| shown.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let why = "secret token of key vault kv1: its newest version is disabled";
    assert!(flat(&shown).contains(why), "{shown}");
    let shown = it.run("doctor --sandbox=world.json", 1);
    assert!(flat(&shown).contains(why), "{shown}");
    it.run(&format!("sandbox delete {VAULT}/secrets/token --state world.json"), 0);
    let shown = it.run("plan --sandbox=world.json", 1);
    assert!(flat(&shown).contains("the vault has no such secret"), "{shown}");
    // To remove what is there takes no secret.
    it.run("destroy --sandbox=world.json --auto-approve", 0);
    let rights = it.run("permissions --for plan --sandbox=world.json", 0);
    assert!(rights.contains("Key Vault Reader") && rights.contains("resourceNames"), "{rights}");
    let rights = it.run("permissions --sandbox=world.json", 0);
    assert!(rights.contains("Key Vault Secrets User"), "{rights}");
}
