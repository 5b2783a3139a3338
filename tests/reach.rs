//! What cannot be reached, or signed in to, over real sockets: one clear diagnostic, the right exit
//! code, and nothing said twice.

#[path = "common/formats.rs"]
mod formats;
#[path = "common/served.rs"]
mod served;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use formats::FORMATS;
use rustls::pki_types::PrivateKeyDer;
use served::{Server, TENANT, amlplan, sign_in};

const PASSWORD: &str = "Kanarie5e9b71";

const MANIFEST: &str = "apiVersion: amlplan/v1
kind: Cluster
name: edge
azure:
  cloud: {name: sandbox, resourceManager: '${BASE:-http://127.0.0.1:1}'}
  subscription: 00000000-0000-0000-0000-000000000000
  resourceGroup: ml-rg
cluster: {type: connectedClusters, name: edge, kubeconfig: ./kubeconfigs/edge.yaml}
extension:
  name: arcml-extension
  configurationSettings: {enableTraining: true}
computes:
- {name: k8s, workspace: {name: ws1}, namespace: team-a, identity: {type: SystemAssigned}}
";

/// A served world in a folder of its own.
struct World {
    folder: tempfile::TempDir,
    server: Server,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("cluster.yaml"), MANIFEST).expect("a manifest");
        let server = Server::start(folder.path(), &["--file", "cluster.yaml"]);
        Self { folder, server }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = amlplan(self.path());
        command.env("BASE", &self.server.url).args(words).env("COLUMNS", "2000");
        command
    }
}

/// Exit code, and all that was written.
fn ran(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("runs");
    let all = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn a_certificate_signs_in_or_says_once_why_not() {
    let world = World::new();
    let fixture = |name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(root.join(name)).expect("a fixture")
    };
    let certificate = fixture("manifests/tls/ml.example.com.crt");
    let locked = fixture("tests/fixtures/keys/aes256.pem");
    let open = fixture("manifests/tls/ml.example.com.key");
    let key = rcgen::KeyPair::from_pem(&open).expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let expired = params.self_signed(&key).expect("a certificate").pem();
    world.write("app.pem", &[certificate.as_str(), &locked].concat());
    world.write("open.pem", &[certificate.as_str(), &open].concat());
    world.write("expired.pem", &[expired.as_str(), &open].concat());
    world.write("app.pfx", "0\u{1}\u{2}");
    for (file, password, says) in [
        ("app.pem", PASSWORD, ""),
        ("open.pem", PASSWORD, ""),
        ("app.pem", "wrong", "the password does not open its key"),
        ("app.pem", "", "set AZURE_CLIENT_CERTIFICATE_PASSWORD"),
        ("expired.pem", "", "it expired on 2021-01-01"),
        ("app.pfx", "", "openssl pkcs12 -in FILE.pfx -out FILE.pem"),
    ] {
        for command in ["plan", "drift"] {
            let mut command = world.command(&[command, "-v"]);
            command.env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", TENANT);
            command.env("AZURE_CLIENT_CERTIFICATE_PATH", file).env_remove("AZURE_CLIENT_SECRET");
            let (code, said) = ran(command.env("AZURE_CLIENT_CERTIFICATE_PASSWORD", password));
            let way = "a certificate (AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH, tenant";
            assert!(said.contains(&format!("signing in with {way}")), "{file}: {said}");
            assert!(!said.contains(PASSWORD), "{said}");
            let failed = said.matches("SignInFailed").count();
            if says.is_empty() {
                assert!(code != 1 && failed == 0, "{file}: {code} {said}");
                continue;
            }
            // Once, with the way that was taken in the same sentence.
            assert_eq!((failed, said.matches(says).count()), (1, 1), "{file}: {said}");
            let line = said.lines().find(|it| it.contains(says)).unwrap_or_default();
            assert!(line.contains(way), "{line}");
            assert!(!said.contains("oauth2/v2.0/token"), "nothing is sent: {said}");
        }
    }
    // With a secret beside it, the secret is the one.
    let mut both = world.command(&["plan", "-v"]);
    both.env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", TENANT);
    both.env("AZURE_CLIENT_SECRET", "any").env("AZURE_CLIENT_CERTIFICATE_PATH", "app.pfx");
    let (code, said) = ran(&mut both);
    assert!(code == 0 && said.contains("signing in with a client secret"), "{said}");
    world.server.stop();
}

/// Two clusters that are as declared, or of which the first has drifted; the API server of the
/// second is replaced by one that cannot be reached.
fn with_a_dead_cluster(drifted: bool, server: &str) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = "apiVersion: amlplan/v1
kind: Fleet
defaults:
  azure:
    cloud: {name: sandbox, resourceManager: '${BASE:-http://127.0.0.1:1}'}
    subscription: 00000000-0000-0000-0000-000000000000
    resourceGroup: ml-rg
  extension: {name: aml, configurationSettings: {enableTraining: true}}
  instanceTypes: [{name: cpu, resources: {requests: {cpu: '1', memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}}]
clusters:
- {name: near, cluster: {type: connectedClusters, name: near, kubeconfig: ./near.yaml}}
- {name: far, cluster: {type: connectedClusters, name: far, kubeconfig: ./far.yaml}}
";
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("cluster.yaml"), fleet).expect("a manifest");
    let sandbox = |words: &[&str]| {
        let (code, said) = ran(amlplan(folder.path()).args(words));
        assert_eq!(code, 0, "{words:?}: {said}");
    };
    sandbox(&["apply", "--sandbox=state.json", "--auto-approve"]);
    if drifted {
        let field = "/spec/resources/limits/cpu=\"2\"";
        sandbox(&["sandbox", "set", "near/instance_type/cpu", field, "--state", "state.json"]);
    }
    let serving = Server::start(folder.path(), &["--file", "cluster.yaml"]);
    for name in ["near", "far"] {
        let own = format!("kubeconfigs/{name}.yaml");
        let mut text = std::fs::read_to_string(at(&own)).expect("a kubeconfig");
        if name == "far" {
            text = text.replace(&serving.url, server);
        }
        std::fs::write(at(&format!("{name}.yaml")), text).expect("a kubeconfig");
    }
    World { folder, server: serving }
}

#[test]
fn a_dead_cluster_of_two_is_in_every_report_and_the_other_is_looked_at() {
    let look = |drifted: bool, server: &str, reason: &str| {
        let world = with_a_dead_cluster(drifted, server);
        let (code, said) = ran(&mut world.command(&["plan"]));
        assert_eq!(code, 1, "{said}");
        assert_eq!(said.contains("near/instance_type/cpu"), drifted, "{said}");
        assert!(said.contains("far") && said.contains(reason), "{said}");
        let files = FORMATS.map(|format| format!("{format}=report.{format}"));
        let mut words = vec!["drift"];
        words.extend(files.iter().flat_map(|file| ["--format", file]));
        let (code, said) = ran(&mut world.command(&words));
        assert_eq!(code, if drifted { 2 } else { 1 }, "{said}");
        for format in FORMATS {
            let report = std::fs::read_to_string(world.path().join(format!("report.{format}")));
            let report = report.expect("a report");
            // Figures name no resource.
            if format == "prometheus" {
                assert!(report.contains("amlplan_complete{command=\"drift\"} 0"), "{report}");
                continue;
            }
            assert!(report.contains("instance_type/cpu") || !drifted, "{format}: {report}");
            for fine in ["nothing found | far", "Nothing to do in far"] {
                assert!(!report.contains(fine), "{format} calls it fine: {report}");
            }
            let told = report.contains("far") && report.contains(reason);
            assert!(told, "{format} does not say what is missing, and why: {report}");
        }
        world.server.stop();
    };
    // Each waits between its attempts.
    std::thread::scope(|scope| {
        scope.spawn(|| look(false, "https://127.0.0.1:1", "refused"));
        let unknown = "the host nowhere.invalid:443 is not known";
        scope.spawn(|| look(true, "https://nowhere.invalid", unknown));
    });
}

/// A world as declared, with something done to it by hand, then served.
fn applied(by_hand: &[&[&str]]) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cluster.yaml"), MANIFEST).expect("a manifest");
    for words in [&["apply", "--auto-approve"][..]].iter().chain(by_hand) {
        let mut command = amlplan(folder.path());
        let (code, said) = ran(command.args(*words).arg("--sandbox=state.json"));
        assert_eq!(code, 0, "{words:?}: {said}");
    }
    let server = Server::start(folder.path(), &["--file", "cluster.yaml"]);
    World { folder, server }
}

/// A workload that is gone is no drift of an extension that nobody could read; a namespace that is
/// gone is.
#[test]
fn what_a_failed_sign_in_left_unread_is_not_judged() {
    let workload: &[&str] =
        &["sandbox", "delete", "edge/cluster/edge", "deployment/azureml/gateway"];
    let namespace: &[&str] = &["sandbox", "delete", "edge/namespace/team-a"];
    for (by_hand, drifted) in [(&[workload][..], false), (&[workload, namespace], true)] {
        let world = applied(by_hand);
        let (code, said) = ran(&mut world.command(&["drift"]));
        assert!(code == 2 && said.contains("component-not-ready"), "{code}: {said}");
        world.write("app.pfx", "0\u{1}\u{2}");
        let unsigned = |words: &[&str]| {
            let mut command = world.command(words);
            command.env("AZURE_CLIENT_CERTIFICATE_PATH", "app.pfx");
            ran(command.env_remove("AZURE_CLIENT_SECRET"))
        };
        let files = FORMATS.map(|format| format!("{format}=report.{format}"));
        let mut words = vec!["drift"];
        words.extend(files.iter().flat_map(|file| ["--format", file]));
        let (code, said) = unsigned(&words);
        assert_eq!(code, if drifted { 2 } else { 1 }, "{said}");
        for format in FORMATS {
            let report = std::fs::read_to_string(world.path().join(format!("report.{format}")));
            let report = report.expect("a report");
            let told = match format {
                "prometheus" => report.contains("amlplan_complete{command=\"drift\"} 0"),
                _ => report.contains("SignInFailed"),
            };
            assert!(told, "{format} does not say what is missing, and why: {report}");
            assert!(!report.contains("component-not-ready"), "{format} judges it: {report}");
            // Figures name no resource.
            let gone = report.contains("namespace/team-a") || format == "prometheus";
            assert!(gone || !drifted, "{format} does not say what is gone: {report}");
        }
        for command in ["verify", "doctor"] {
            let (code, said) = unsigned(&[command]);
            let fails = drifted && command == "verify";
            assert_eq!(code, if fails { 2 } else { 1 }, "{command}: {said}");
            assert_eq!(said.matches("SignInFailed").count(), 1, "the reason once: {said}");
            let judged = said.lines().filter(|it| it.starts_with(['✗', '!'])).count();
            assert_eq!(judged, usize::from(fails), "{command}: {said}");
        }
        world.server.stop();
    }
}

/// Does the same with every connection; returns `host:port`.
fn listening(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    address
}

/// A proxy that answers whatever it is asked with this status.
fn proxy(status: u16) -> String {
    listening(move |mut client| {
        let _ = client.read(&mut [0; 4096]);
        let _ = write!(client, "HTTP/1.1 {status} Sorry\r\nContent-Length: 0\r\n\r\n");
    })
}

/// A server whose certificate ends in this year, and the certificate.
fn tls(year: i32) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], private);
    let config = Arc::new(config.expect("a certificate and its key"));
    let address = listening(move |mut client| {
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
        let _ = session.complete_io(&mut client);
    });
    (address, certificate.pem())
}

/// Where nothing listens under any name.
const ARM: &str = "https://arm.invalid";

/// What is in the way, what is said of it, and how to mend it: each once, in seconds.
#[test]
fn what_is_in_the_way_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cluster.yaml"), MANIFEST).expect("a manifest");
    let (stranger, _) = tls(2099);
    let (expired, authority) = tls(2021);
    std::fs::write(folder.path().join("ca.pem"), authority).expect("a file");
    let [forbids, unreached, asks] = [403, 502, 407].map(proxy);
    let with = |proxy: &str| format!("http://{proxy}");
    let signed_in = format!("http://user:{PASSWORD}@{asks}");
    let leads =
        |proxy: &str| format!("the proxy {proxy} (HTTPS_PROXY) does not lead to arm.invalid:443");
    let asking =
        |name: &str| format!("the proxy {asks} ({name}) asks for a user and a password (407)");
    let cases = [
        (
            "http://127.0.0.1:1",
            "",
            "",
            "127.0.0.1:1 refused the connection".into(),
            "check that the server runs",
        ),
        (ARM, "", "", "the host arm.invalid:443 is not known".into(), "DNS"),
        (
            &*with(&stranger).replace("http", "https"),
            "",
            "",
            format!("the certificate of {stranger} is not trusted"),
            "AMLPLAN_CA_FILE",
        ),
        (
            &*with(&expired).replace("http", "https"),
            "AMLPLAN_CA_FILE",
            "ca.pem",
            "certificate expired".into(),
            "the certificate",
        ),
        (
            ARM,
            "HTTPS_PROXY",
            "http://127.0.0.1:1",
            "the proxy 127.0.0.1:1 (HTTPS_PROXY) refused the connection".into(),
            "NO_PROXY=arm.invalid",
        ),
        (
            ARM,
            "https_proxy",
            "nowhere.invalid:8",
            "the host of the proxy nowhere.invalid:8 (https_proxy) is not known".into(),
            "https_proxy is right",
        ),
        (ARM, "HTTPS_PROXY", &with(&forbids), leads(&forbids), "let arm.invalid:443 through"),
        (ARM, "HTTPS_PROXY", &with(&unreached), leads(&unreached), "let arm.invalid:443 through"),
        (ARM, "HTTPS_PROXY", &with(&asks), asking("HTTPS_PROXY"), "http://USER:PASSWORD@"),
        (ARM, "ALL_PROXY", &signed_in, asking("ALL_PROXY"), "check user and password in ALL_PROXY"),
        (
            "http://127.0.0.1:1",
            "HTTP_PROXY",
            &with(&asks),
            asking("HTTP_PROXY"),
            "write them into HTTP_PROXY",
        ),
    ];
    // Each waits between its attempts.
    std::thread::scope(|scope| {
        for (base, variable, value, says, help) in &cases {
            for command in ["plan", "drift"] {
                let mut run = amlplan(folder.path());
                run.arg(command);
                scope.spawn(move || is_told_once(run, base, (variable, value), says, help));
            }
        }
    });
}

fn is_told_once(
    mut command: Command,
    base: &str,
    (variable, value): (&str, &str),
    says: &str,
    help: &str,
) {
    command.env("BASE", base).env("COLUMNS", "2000");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("AMLPLAN_TRUST_CLOUD", "arm.invalid");
    if !variable.is_empty() {
        command.env(variable, value);
    }
    let (code, said) = ran(&mut command);
    assert_eq!(code, 1, "{base} {variable}: {said}");
    assert_eq!(said.matches(says).count(), 1, "`{says}` once: {said}");
    let told = said.lines().filter(|it| it.starts_with("  ×")).count();
    assert_eq!(told, 1, "one error: {said}");
    let help = said.lines().filter(|it| it.contains("help: ") && it.contains(help)).count();
    assert_eq!(help, 1, "how to mend {base} {variable}: {said}");
    assert!(!said.contains(PASSWORD) && !said.contains("signing in"), "{said}");
}

/// A run that may have few files says so, and never that a service gives nothing.
#[test]
fn too_few_files_are_no_fault_of_a_service() {
    let world = World::new();
    let limited = |files: usize, words: &str| {
        let words = format!("ulimit -n {files}; exec {} {words}", env!("CARGO_BIN_EXE_amlplan"));
        let mut command = Command::new("sh");
        sign_in(command.args(["-c", &words]).current_dir(world.path()));
        command.env("BASE", &world.server.url).env("NO_PROXY", "127.0.0.1").env("COLUMNS", "2000");
        ran(&mut command)
    };
    for command in ["plan", "drift"] {
        // How many are needed depends on what the process was given, and on who is faster.
        let mut told = 0;
        for files in 13..21 {
            let (code, said) = limited(files, command);
            let named = said.matches("TooManyOpenFiles").count();
            assert!(named <= 1 && !said.contains("cannot read anything"), "said once: {said}");
            assert_eq!(said.contains("open files (ulimit -n)"), said.contains("ulimit"), "{said}");
            // Drift that was found elsewhere goes before what is not known.
            let ends: &[i32] = match said.contains("ulimit") {
                true if command == "plan" => &[1],
                true => &[1, 2],
                false => &[if command == "plan" { 0 } else { 2 }],
            };
            assert!(ends.contains(&code), "{files}: {code}: {said}");
            told += named;
        }
        assert!(told > 0, "no limit was met between reads");
        let (_, said) = limited(64, command);
        assert!(!said.contains("ulimit"), "enough for one cluster: {said}");
    }
    world.server.stop();
}
