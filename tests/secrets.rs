//! A secret given through every door is searched for in everything that the program writes, at
//! every level of noise, in files and errors; it is found nowhere but in the simulated Azure.

#[path = "common/program.rs"]
mod program;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use program::Place;

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
    for format in ["human", "json", "markdown", "junit", "sarif", "github"] {
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
