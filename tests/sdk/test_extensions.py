"""Cluster extensions through both generations of their SDK, with operations followed to their end."""

import threading

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.kubernetesconfiguration import SourceControlConfigurationClient
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient

from common import ARC, Case, client, send

ON_ARC = ("ml-rg", "Microsoft.Kubernetes", "connectedClusters", "edge-01")
ON_ARC_TOO = ("ml-rg", "Microsoft.Kubernetes", "connectedClusters", "edge-02")
ON_AKS = ("ml-rg", "Microsoft.ContainerService", "managedClusters", "aks-01")


def wanted(**settings):
    return {
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "extensionType": "Microsoft.AzureML.Kubernetes",
            "autoUpgradeMinorVersion": True,
            "releaseTrain": "stable",
            "scope": {"cluster": {"releaseNamespace": "azureml"}},
            "configurationSettings": {"enableTraining": "True", **settings},
            "configurationProtectedSettings": {"secret": "hidden"},
        },
    }


class Extensions(Case):
    providers = ("Microsoft.KubernetesConfiguration",)

    def setUp(self):
        self.extensions = client(KubernetesConfigurationExtensionsMgmtClient).extensions
        self.addCleanup(self.clean)

    def clean(self):
        for cluster in (ON_ARC, ON_ARC_TOO, ON_AKS):
            for it in self.extensions.list(*cluster):
                self.extensions.begin_delete(*cluster, it.name).result()

    def test_on_arc_from_creation_to_deletion(self):
        where = (*ON_ARC, "arcml")
        states = []
        made = self.extensions.begin_create(
            *where, wanted(), raw_response_hook=lambda it: states.append(it.http_response.status_code)
        ).result()
        self.assertEqual(states[0], 201)
        self.assertEqual(made.properties.provisioning_state, "Succeeded")
        self.assertTrue(made.properties.current_version)
        principal = made.identity.principal_id
        self.assertTrue(principal)
        self.assertEqual(made.properties.configuration_settings["enableTraining"], "True")
        self.assertFalse(any((made.properties.configuration_protected_settings or {}).values()))

        changed = self.extensions.begin_update(
            *where, {"properties": {"configurationSettings": {"nodeSelector.a": "b"}}}
        ).result()
        self.assertEqual(
            changed.properties.configuration_settings, {"enableTraining": "True", "nodeSelector.a": "b"}
        )
        self.assertEqual(changed.identity.principal_id, principal)

        replaced = self.extensions.begin_create(*where, wanted()).result()
        self.assertEqual(replaced.properties.configuration_settings, {"enableTraining": "True"})
        self.assertEqual([it.name for it in self.extensions.list(*ON_ARC)], ["arcml"])

        self.extensions.begin_delete(*where).result()
        missing = self.refused(404, "ResourceNotFound", self.extensions.get, *where)
        self.assertEqual(missing.error.message, "Extension instance with name 'arcml' not found.")
        self.extensions.begin_delete(*where).result()

    def test_on_aks_the_identity_is_the_clusters(self):
        self.refused(400, "BadRequest", self.extensions.begin_create, *ON_AKS, "ml", wanted())
        body = wanted()
        del body["identity"]
        made = self.extensions.begin_create(*ON_AKS, "ml", body).result()
        self.assertTrue(made.properties.aks_assigned_identity.principal_id)
        self.assertIsNone(made.identity)

    def test_one_that_cannot_work_fails_with_the_reason(self):
        body = wanted(enableInference="True", inferenceRouterServiceType="LoadBalancer")
        with self.assertRaises(HttpResponseError) as caught:
            self.extensions.begin_create(*ON_ARC, "broken", body).result()
        self.assertIn("pod healthcheck failed", str(caught.exception))
        self.assertEqual(caught.exception.error.code, "ExtensionOperationFailed")
        failed = self.extensions.get(*ON_ARC, "broken")
        self.assertEqual(failed.properties.provisioning_state, "Failed")
        self.assertTrue(failed.properties.statuses)

    def test_removed_by_force_at_once_and_the_chart_stays(self):
        where = (*ON_ARC_TOO, "forced")
        self.extensions.begin_create(*where, wanted()).result()
        self.extensions.begin_delete(*where, force_delete=True).result()
        with self.assertRaises(ResourceNotFoundError):
            self.extensions.get(*where)
        with self.assertRaises(HttpResponseError) as caught:
            self.extensions.begin_create(*where, wanted()).result()
        self.assertIn("cannot re-use a name that is still in use", str(caught.exception))

    def test_a_cluster_that_is_not_there(self):
        nowhere = ("ml-rg", "Microsoft.Kubernetes", "connectedClusters", "nowhere")
        with self.assertRaises(ResourceNotFoundError):
            self.extensions.get(*nowhere, "x")
        with self.assertRaises(ResourceNotFoundError):
            self.extensions.begin_create(*nowhere, "x", wanted())

    def test_settings_are_texts(self):
        body = wanted()
        body["properties"]["configurationSettings"]["enableTraining"] = True
        answer = send(
            "PUT", f"{ARC}/providers/Microsoft.KubernetesConfiguration/extensions/x", "2023-05-01", body
        )
        self.assertEqual(answer.status_code, 400, answer.text)

    def test_every_api_version_of_the_older_sdk(self):
        for version in ("2021-09-01", "2022-03-01", "2022-07-01", "2022-11-01", "2023-05-01"):
            with self.subTest(version):
                extensions = client(SourceControlConfigurationClient, api_version=version).extensions
                name = f"v{version.replace('-', '')}"
                models = SourceControlConfigurationClient.models(version)
                body = models.Extension(
                    extension_type="Microsoft.AzureML.Kubernetes",
                    configuration_settings={"enableTraining": "True"},
                    identity=models.Identity(type="SystemAssigned"),
                    scope=models.Scope(cluster=models.ScopeCluster(release_namespace="azureml")),
                )
                made = extensions.begin_create(*ON_ARC, name, body).result()
                self.assertEqual(made.provisioning_state, "Succeeded")
                self.assertEqual(made.scope.cluster.release_namespace, "azureml")
                patch = models.PatchExtension(configuration_settings={"a": "b"})
                changed = extensions.begin_update(*ON_ARC, name, patch).result()
                self.assertEqual(changed.configuration_settings, {"enableTraining": "True", "a": "b"})
                extensions.begin_delete(*ON_ARC, name).result()

    def test_deleted_while_it_is_being_created(self):
        where = (*ON_ARC, "short")
        self.extensions.begin_create(*where, wanted(), polling=False)
        self.extensions.begin_delete(*where).result()
        with self.assertRaises(ResourceNotFoundError):
            self.extensions.get(*where)
        again = self.extensions.begin_create(*where, wanted()).result()
        self.assertEqual(again.properties.provisioning_state, "Succeeded")

    def test_two_clusters_at_the_same_time(self):
        body = wanted()
        del body["identity"]
        results = {}

        def install(cluster, wish):
            results[cluster[3]] = self.extensions.begin_create(*cluster, "both", wish).result()

        threads = [
            threading.Thread(target=install, args=it) for it in ((ON_ARC, wanted()), (ON_AKS, body))
        ]
        for it in threads:
            it.start()
        for it in threads:
            it.join()
        states = {name: str(it.properties.provisioning_state.value) for name, it in results.items()}
        self.assertEqual(states, {"edge-01": "Succeeded", "aks-01": "Succeeded"})
