"""kubectl against the simulated clusters, through the kubeconfigs that the server writes."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import uuid

from common import SANDBOX

KUBECTL = shutil.which("kubectl")


def kubeconfig(cluster):
    return os.path.join(SANDBOX, "kubeconfigs", f"{cluster}.yaml")


@unittest.skipIf(KUBECTL is None, "kubectl is not on this machine")
class Kubectl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cache = tempfile.mkdtemp()
        cls.namespace = f"t-{uuid.uuid4().hex[:8]}"
        cls.run_ok("create", "namespace", cls.namespace)

    @classmethod
    def tearDownClass(cls):
        cls.run_ok("delete", "namespace", cls.namespace, "--wait=true", "--timeout=20s")
        shutil.rmtree(cls.cache)

    @classmethod
    def run_any(cls, *words, stdin=None, cluster="edge-01"):
        command = [KUBECTL, f"--kubeconfig={kubeconfig(cluster)}", f"--cache-dir={cls.cache}", *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)

    @classmethod
    def run_ok(cls, *words, **more):
        done = cls.run_any(*words, **more)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def config(self, **data):
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "settings", "namespace": self.namespace},
                "data": data,
            }
        )

    def data(self):
        text = self.run_ok("get", "configmap", "settings", "-n", self.namespace, "-o", "json")
        return json.loads(text)["data"]

    def test_nodes_are_ready(self):
        lines = self.run_ok("get", "nodes").splitlines()
        self.assertEqual(lines[0].split()[:2], ["NAME", "STATUS"])
        self.assertEqual({line.split()[1] for line in lines[1:]}, {"Ready"})

    def test_discovery_knows_the_kinds_involved(self):
        known = self.run_ok("api-resources", "-o", "name").split()
        for kind in ("configmaps", "deployments.apps", "roles.rbac.authorization.k8s.io"):
            self.assertIn(kind, known)
        known = self.run_ok("api-resources", "-o", "name", cluster="openshift-01").split()
        self.assertIn("securitycontextconstraints.security.openshift.io", known)

    def test_applied_changed_by_hand_and_applied_again(self):
        self.assertIn("created", self.run_ok("apply", "-f", "-", stdin=self.config(a="1", b="1")))
        self.assertIn("unchanged", self.run_ok("apply", "-f", "-", stdin=self.config(a="1", b="1")))
        self.assertIn("configured", self.run_ok("apply", "-f", "-", stdin=self.config(a="2")))
        self.assertEqual(self.data(), {"a": "2"})
        self.assertEqual(self.run_any("diff", "-f", "-", stdin=self.config(a="2")).returncode, 0)
        self.assertEqual(self.run_any("diff", "-f", "-", stdin=self.config(a="3")).returncode, 1)
        self.run_ok("delete", "configmap", "settings", "-n", self.namespace)
        missing = self.run_any("get", "configmap", "settings", "-n", self.namespace)
        self.assertIn('configmaps "settings" not found', missing.stderr)

    def test_applied_by_the_server_two_managers_conflict(self):
        apply = ("apply", "--server-side", "-f", "-")
        self.run_ok(*apply, "--field-manager=one", stdin=self.config(owned="1"))
        refused = self.run_any(*apply, "--field-manager=two", stdin=self.config(owned="2"))
        self.assertIn('conflict with "one"', refused.stderr)
        self.run_ok(*apply, "--field-manager=two", "--force-conflicts", stdin=self.config(owned="2"))
        self.assertEqual(self.data()["owned"], "2")
        self.run_ok("delete", "configmap", "settings", "-n", self.namespace)

    def test_patched_in_every_way(self):
        self.run_ok("create", "configmap", "patched", "-n", self.namespace, "--from-literal=a=1")
        patch = ("patch", "configmap", "patched", "-n", self.namespace)
        self.run_ok(*patch, "--type=merge", "-p", '{"data":{"b":"2"}}')
        self.run_ok(*patch, "--type=json", "-p", '[{"op":"replace","path":"/data/a","value":"9"}]')
        self.run_ok(*patch, "-p", '{"data":{"c":"3"}}')
        got = self.run_ok("get", "configmap", "patched", "-n", self.namespace, "-o", "jsonpath={.data}")
        self.assertEqual(json.loads(got), {"a": "9", "b": "2", "c": "3"})
        self.run_ok("label", "configmap", "patched", "-n", self.namespace, "team=ml")
        named = self.run_ok("get", "configmap", "-n", self.namespace, "-l", "team=ml", "-o", "name")
        self.assertEqual(named.split(), ["configmap/patched"])
        self.run_ok("annotate", "configmap", "patched", "-n", self.namespace, "note=x", "--overwrite")

    def test_a_change_of_an_old_version_is_refused(self):
        self.run_ok("create", "configmap", "old", "-n", self.namespace, "--from-literal=a=1")
        text = self.run_ok("get", "configmap", "old", "-n", self.namespace, "-o", "json")
        self.run_ok("label", "configmap", "old", "-n", self.namespace, "x=y")
        late = self.run_any("replace", "-f", "-", stdin=text)
        self.assertIn("the object has been modified", late.stderr)

    def test_waited_for(self):
        done = self.run_ok("wait", "--for=condition=Ready", "node", "--all", "--timeout=20s")
        self.assertIn("condition met", done)
        self.run_ok("create", "configmap", "gone", "-n", self.namespace)
        self.run_ok("delete", "configmap", "gone", "-n", self.namespace, "--wait=false")
        self.run_ok("wait", "--for=delete", "configmap/gone", "-n", self.namespace, "--timeout=20s")

    def test_edited(self):
        self.run_ok("create", "configmap", "edited", "-n", self.namespace, "--from-literal=a=old")
        command = [KUBECTL, f"--kubeconfig={kubeconfig('edge-01')}", "edit", "configmap/edited", "-n", self.namespace]
        env = {**os.environ, "KUBE_EDITOR": "sed -i s/old/new/"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        got = self.run_ok("get", "configmap", "edited", "-n", self.namespace, "-o", "jsonpath={.data.a}")
        self.assertEqual(got, "new")

    def test_a_reader_reads_and_writes_nothing(self):
        reader = ("--token=read-only",)
        self.run_ok(*reader, "get", "nodes")
        self.assertIn("yes", self.run_any(*reader, "auth", "can-i", "get", "pods").stdout)
        self.assertIn("no", self.run_any(*reader, "auth", "can-i", "create", "pods").stdout)
        refused = self.run_any(*reader, "create", "configmap", "x", "-n", self.namespace)
        self.assertIn("forbidden", refused.stderr)
        self.assertIn("yes", self.run_ok("auth", "can-i", "create", "pods"))

    def test_an_account_has_the_rights_it_was_bound_to(self):
        account = f"--as=system:serviceaccount:{self.namespace}:worker"
        ask = ("auth", "can-i", "list", "configmaps", "-n", self.namespace, account)
        self.assertIn("no", self.run_any(*ask).stdout)
        self.run_ok("create", "serviceaccount", "worker", "-n", self.namespace)
        self.run_ok("create", "role", "lister", "-n", self.namespace, "--verb=list", "--resource=configmaps")
        self.run_ok(
            "create",
            "rolebinding",
            "lister",
            "-n",
            self.namespace,
            "--role=lister",
            f"--serviceaccount={self.namespace}:worker",
        )
        self.assertIn("yes", self.run_any(*ask).stdout)

    def test_a_misspelled_kind(self):
        done = self.run_any("get", "configmapz")
        self.assertIn("the server doesn't have a resource type", done.stderr)

    def test_sccs_of_openshift_name_their_users(self):
        users = '{"users":["system:serviceaccount:azureml:default"]}'
        self.run_ok("patch", "scc", "privileged", "--type=merge", "-p", users, cluster="openshift-01")
        got = self.run_ok("get", "scc", "privileged", "-o", "jsonpath={.users[*]}", cluster="openshift-01")
        self.assertEqual(got, "system:serviceaccount:azureml:default")

    def test_watched(self):
        self.run_ok("create", "configmap", "watched", "-n", self.namespace)
        process = subprocess.Popen(
            [KUBECTL, f"--kubeconfig={kubeconfig('edge-01')}", "get", "configmap", "watched", "-n", self.namespace]
            + ["-w", "-o", "jsonpath={.metadata.labels}{'\\n'}", "--request-timeout=10s"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            process.stdout.readline()
            self.run_ok("label", "configmap", "watched", "-n", self.namespace, "seen=yes")
            self.assertIn('"seen":"yes"', process.stdout.readline())
        finally:
            process.kill()
            process.communicate()
