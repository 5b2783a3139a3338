"""A world that throttles, fails and drops connections: the SDKs get through it with the retries they have."""

import os
import unittest

from azure.identity import ClientSecretCredential
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
from azure.mgmt.relay import RelayAPIMgmtClient
from azure.mgmt.resource.resources import ResourceManagementClient

from common import CLIENT, SUBSCRIPTION, TENANT, until
from test_extensions import ON_ARC, wanted

FAULTY = os.environ.get("FAULTY")


@unittest.skipIf(not FAULTY, "no faulty world is served")
class Faults(unittest.TestCase):
    def client(self, kind):
        credential = ClientSecretCredential(
            TENANT, CLIENT, "any", authority=FAULTY, disable_instance_discovery=True
        )
        # The waits between the SDKs' own retries are shortened, their number is theirs.
        return kind(
            credential,
            SUBSCRIPTION,
            base_url=FAULTY,
            credential_scopes=[f"{FAULTY}/.default"],
            retry_backoff_factor=0.02,
        )

    def test_an_installation_gets_through(self):
        arm = self.client(ResourceManagementClient)
        for namespace in ("Microsoft.Relay", "Microsoft.KubernetesConfiguration"):
            arm.providers.register(namespace)
            until(lambda: arm.providers.get(namespace).registration_state, "Registered")
        arm.resource_groups.create_or_update("faulty", {"location": "westeurope"})
        relay = self.client(RelayAPIMgmtClient)
        relay.namespaces.begin_create_or_update("faulty", "faulty-relay", {"location": "westeurope"}).result()
        until(lambda: relay.namespaces.get("faulty", "faulty-relay").provisioning_state, "Succeeded")
        relay.hybrid_connections.create_or_update("faulty", "faulty-relay", "edge-01", {"properties": {}})
        extensions = self.client(KubernetesConfigurationExtensionsMgmtClient).extensions
        made = extensions.begin_create(*ON_ARC, "arcml", wanted()).result()
        self.assertEqual(made.properties.provisioning_state, "Succeeded")
        for _ in range(20):
            self.assertEqual([it.name for it in extensions.list(*ON_ARC)], ["arcml"])
        extensions.begin_delete(*ON_ARC, "arcml").result()
        arm.resource_groups.begin_delete("faulty").result()
