//! The state file: who may write it, who may read it, and what is left after every way to be interrupted.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::tests::{S, arc, get, install, of, send, set, wait};
use crate::{Sandbox, SandboxError, Seed, SeedCluster, StateAccess, Subject};

fn seed(clusters: usize) -> Seed {
    let subscription = S.trim_start_matches("/subscriptions/").to_owned();
    let cluster = |at| SeedCluster {
        subscription: subscription.clone(),
        resource_group: "ml-rg".to_owned(),
        name: format!("edge-{at}"),
        kind: "connectedClusters".to_owned(),
        ..SeedCluster::default()
    };
    Seed { clusters: (0..clusters).map(cluster).collect(), ..Seed::default() }
}

fn opened(path: &Path) -> Sandbox {
    Sandbox::open(Some(path), None, StateAccess::Write).expect("opens")
}

#[tokio::test(start_paused = true)]
async fn every_cut_of_a_state_file_is_the_world_before_a_change_or_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let sandbox = opened(&path);
    sandbox.seed(&seed(2));
    sandbox.save().expect("saved");
    let mut worlds = vec![(fs::metadata(&path).expect("there").len(), sandbox.show())];
    for at in 0..4 {
        let node = of(
            &format!(
                "{S}/resourceGroups/ml-rg/providers/Microsoft.Kubernetes/connectedClusters/edge-1"
            ),
            "node/node-2",
        );
        set(&sandbox, node, "/metadata/labels/at", json!(format!("{at}"))).expect("set");
        worlds.push((fs::metadata(&path).expect("there").len(), sandbox.show()));
    }
    drop(sandbox);
    let whole = fs::read(&path).expect("read");
    // Around every end of a line, and a sample of the rest.
    let near = |at: usize| whole[at.saturating_sub(2)..(at + 2).min(whole.len())].contains(&b'\n');
    for length in (0..=whole.len()).filter(|at| near(*at) || at % 997 == 0) {
        fs::write(&path, &whole[..length]).expect("written");
        match Sandbox::open(Some(&path), None, StateAccess::Read) {
            Ok(cut) => {
                let length = u64::try_from(length).expect("small");
                let last = worlds.iter().rev().find(|(end, _)| *end <= length);
                let (_, expected) =
                    last.unwrap_or_else(|| panic!("a world came from {length} bytes"));
                assert!(cut.show() == *expected, "cut at {length}");
            }
            Err(SandboxError::Corrupt { .. }) => {
                assert!(
                    length < usize::try_from(worlds[0].0).expect("small"),
                    "refused at {length}"
                );
                assert_eq!(fs::read(&path).expect("read").len(), length, "left as it is");
            }
            Err(other) => panic!("{length}: {other}"),
        }
    }
    // The next writer goes on from the last whole line.
    fs::write(&path, &whole[..whole.len() - 5]).expect("written");
    let sandbox = opened(&path);
    set(&sandbox, Subject::Arm(S.to_owned()), "/displayName", json!("again")).expect("set");
    let shown = sandbox.show();
    drop(sandbox);
    assert_eq!(opened(&path).show(), shown);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_asked_and_not_changed_is_not_looked_through_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let sandbox = opened(&path);
    sandbox.seed(&seed(3));
    sandbox.save().expect("saved");
    let length = fs::metadata(&path).expect("there").len();
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "azureml"}}});
    let subscription = S.trim_start_matches("/subscriptions/");
    for at in 0..3 {
        let cluster = format!("/kubernetes/{subscription}/ml-rg/edge-{at}");
        let url = format!("{cluster}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        let got = send(&sandbox, "POST", &url, Some(review.clone())).await;
        assert_eq!(got.body["status"]["allowed"], true, "{}", got.body);
    }
    assert_eq!(sandbox.lock().touched.len(), 0, "what is looked through before the next change");
    assert_eq!(fs::metadata(&path).expect("there").len(), length, "a review changes nothing");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn nobody_else_reads_the_state_and_no_link_is_followed() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".amlplan/state.json");
    let sandbox = opened(&path);
    sandbox.seed(&seed(1));
    sandbox.save().expect("saved");
    for (path, mode) in [(path.parent().expect("a folder"), 0o700), (&path, 0o600)] {
        assert_eq!(fs::metadata(path).expect("there").mode() & 0o777, mode, "{}", path.display());
    }
    drop(sandbox);
    let left: Vec<_> = fs::read_dir(path.parent().expect("a folder")).expect("read").collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let other = folder.path().join("other");
    fs::write(&other, "precious").expect("written");
    fs::remove_file(&path).expect("removed");
    for suffix in ["", ".lock"] {
        let link = folder.path().join(format!(".amlplan/state.json{suffix}"));
        symlink(&other, &link).expect("linked");
        let outcome = Sandbox::open(Some(&path), None, StateAccess::Write).and_then(|it| it.save());
        let said = outcome.expect_err("refused").to_string();
        assert!(said.contains("it is a link"), "{said}");
        fs::remove_file(&link).expect("removed");
    }
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::remove_dir_all(folder.path().join(".amlplan")).expect("removed");
    symlink(&elsewhere, folder.path().join(".amlplan")).expect("linked");
    assert!(Sandbox::open(Some(&path), None, StateAccess::Write).is_err());
    assert_eq!(fs::read_to_string(&other).expect("read"), "precious");
    assert_eq!(fs::read_dir(&elsewhere).expect("read").count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_writes_others_read_and_a_reader_that_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let sandbox = opened(&path);
    sandbox.seed(&seed(1));
    sandbox.save().expect("saved");
    let reader = Sandbox::open(Some(&path), None, StateAccess::Read).expect("opens");
    reader.seed(&seed(3));
    reader.save().expect("nothing to say");
    let before = fs::read(&path).expect("read");
    assert_eq!(reader.show()["kubernetes"].as_object().map(serde_json::Map::len), Some(3));
    drop((sandbox, reader));

    let reader = Sandbox::open(Some(&path), None, StateAccess::Read).expect("opens");
    reader.seed(&seed(1));
    for url in ["/subscriptions", S, &format!("{S}/resources")] {
        assert_eq!(get(&reader, url).await.status, 200, "{url}");
    }
    let nodes = format!(
        "/kubernetes/{}/ml-rg/edge-0/api/v1/nodes",
        S.trim_start_matches("/subscriptions/")
    );
    assert_eq!(get(&reader, &nodes).await.body["items"].as_array().map(Vec::len), Some(3));
    wait(100_000).await;
    reader.save().expect("nothing to save");
    assert_eq!(fs::read(&path).expect("read"), before, "only reading leaves the file as it is");
}

#[tokio::test(start_paused = true)]
async fn a_protected_setting_is_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let sandbox = opened(&path);
    let mut world = seed(1);
    world.clusters[0].name = "edge".to_owned();
    sandbox.seed(&world);
    let got = install(&sandbox, json!({"enableTraining": "true"})).await;
    assert_eq!(got.body["properties"]["provisioningState"], "Succeeded", "{}", got.body);
    let change =
        json!({"properties": {"configurationProtectedSettings": {"password": "hunter-2-hunter"}}});
    let url = format!("{}/providers/Microsoft.KubernetesConfiguration/extensions/ext", arc());
    assert_eq!(send(&sandbox, "PATCH", &url, Some(change)).await.status, 202);
    wait(1000).await;
    sandbox.save().expect("saved");
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.contains("aml-operator"));
    assert!(
        !text.contains("hunter-2-hunter") && !text.contains("\"secret\""),
        "a secret in the state"
    );
}

/// A file system that is full, where the machine lets one be made: /dev/full is refused as no file, so the limit on the
/// size of files stands in for it.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_loses_no_world_that_was_saved() {
    use std::process::Command;
    const INNER: &str = "SANDBOX_FULL_DISK";
    if let Ok(path) = std::env::var(INNER) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
        runtime.block_on(async {
            let sandbox = opened(Path::new(&path));
            let long = "x".repeat(200_000);
            let outcome = set(&sandbox, Subject::Arm(S.to_owned()), "/displayName", json!(long));
            assert!(outcome.is_err(), "the limit holds");
            assert!(sandbox.save().is_err(), "what could not be written is said at the end");
        });
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let sandbox = opened(&path);
    sandbox.seed(&seed(1));
    sandbox.save().expect("saved");
    let shown = sandbox.show();
    drop(sandbox);
    let exe = std::env::current_exe().expect("this test");
    let script = format!(
        "trap '' XFSZ; ulimit -f 60; exec {} --exact tests_state::a_disk_that_is_full_loses_no_world_that_was_saved",
        exe.display()
    );
    let ran = Command::new("bash").args(["-c", &script]).env(INNER, &path).output().expect("runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(opened(&path).show(), shown);
    let left: Vec<_> =
        fs::read_dir(folder.path()).expect("read").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["state.json"], "nothing is left beside it");
}
