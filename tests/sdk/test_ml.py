"""azure-ai-ml: a workspace of one's own, and a cluster attached to it and detached again."""

import unittest
import uuid

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

try:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import IdentityConfiguration, KubernetesCompute
    from azure.ai.ml.entities import ManagedIdentityConfiguration
except ImportError:
    MLClient = None

from common import ARC, BASE, CREDENTIAL, SUBSCRIPTION, Case, send


@unittest.skipIf(MLClient is None, "azure-ai-ml is not installed")
class Computes(Case):
    providers = (
        "Microsoft.MachineLearningServices",
        "Microsoft.ManagedIdentity",
        "Microsoft.KubernetesConfiguration",
    )

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{cls.group}/providers"
        workspace = f"{cls.scope}/Microsoft.MachineLearningServices/workspaces/ws1"
        made = send("PUT", workspace, "2025-06-01", {"location": "westeurope", "properties": {}})
        assert made.status_code == 201, made.text
        cls.workspace = workspace
        cls.ml = MLClient(
            CREDENTIAL,
            SUBSCRIPTION,
            cls.group,
            "ws1",
            cloud="Sandbox",
            cloud_metadata={
                "azure_portal": BASE,
                "resource_manager": BASE,
                "active_directory": BASE,
                "aml_resource_id": BASE,
                "storage_endpoint": "core.windows.net",
                "registry_discovery_endpoint": f"{BASE}/discovery",
            },
        )

    def attach(self, name, **more):
        compute = KubernetesCompute(name=name, resource_id=ARC, namespace="default", **more)
        return self.ml.compute.begin_create_or_update(compute)

    def test_the_workspace_is_found(self):
        self.assertEqual(self.ml.workspaces.get("ws1").location, "westeurope")
        self.assertIn("ws1", [it.name for it in self.ml.workspaces.list()])

    def test_attached_listed_changed_and_detached(self):
        extension = f"{ARC}/providers/Microsoft.KubernetesConfiguration/extensions/arcml"
        body = {
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "extensionType": "Microsoft.AzureML.Kubernetes",
                "configurationSettings": {"enableTraining": "True"},
            },
        }
        send("PUT", extension, "2023-05-01", body)
        self.addCleanup(send, "DELETE", extension, "2023-05-01")
        for _ in range(200):
            if send("GET", extension, "2023-05-01").json()["properties"]["provisioningState"] == "Succeeded":
                break
        made = self.attach("k8s").result()
        self.assertEqual((made.provisioning_state, made.namespace), ("Succeeded", "default"))
        self.assertEqual(made.resource_id.lower(), ARC.lower())
        self.assertEqual([it.name for it in self.ml.compute.list()], ["k8s"])
        identity = self.identity()
        changed = self.attach(
            "k8s",
            identity=IdentityConfiguration(
                type="user_assigned",
                user_assigned_identities=[ManagedIdentityConfiguration(resource_id=identity)],
            ),
        ).result()
        self.assertEqual(changed.identity.type.lower().replace("_", ""), "userassigned")
        # The SDK keeps what the service adds under the name it has on the wire.
        self.assertTrue(vars(changed.identity.user_assigned_identities[0])["principalId"])
        self.ml.compute.begin_delete("k8s", action="Detach").result()
        with self.assertRaises(ResourceNotFoundError):
            self.ml.compute.get("k8s")

    def identity(self):
        id = f"{self.scope}/Microsoft.ManagedIdentity/userAssignedIdentities/for-jobs"
        made = send("PUT", id, "2023-01-31", {"location": "westeurope"})
        self.assertEqual(made.status_code, 201, made.text)
        return id

    def test_a_cluster_without_the_extension_cannot_be_attached(self):
        bare = ARC.replace("edge-01", "openshift-01")
        compute = KubernetesCompute(name="bare", resource_id=bare, namespace="default")
        with self.assertRaises(HttpResponseError):
            self.ml.compute.begin_create_or_update(compute).result()
        failed = send("GET", f"{self.workspace}/computes/bare", "2023-10-01").json()
        self.assertEqual(failed["properties"]["provisioningState"], "Failed")
        self.assertTrue(failed["properties"]["provisioningErrors"])
        self.ml.compute.begin_delete("bare", action="Detach").result()

    def test_a_delete_says_what_becomes_of_the_cluster(self):
        answer = send("DELETE", f"{self.workspace}/computes/{uuid.uuid4().hex[:8]}", "2023-10-01")
        self.assertIn(answer.status_code, (204, 400), answer.text)
