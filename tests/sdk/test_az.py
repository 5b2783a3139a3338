"""The Azure CLI, where it is on the machine: signed in to the simulator as to a private cloud."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import uuid

from common import BASE, CA, CLIENT, TENANT

AZ = shutil.which("az")


@unittest.skipIf(AZ is None, "az is not on this machine")
class Az(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.env = {
            **os.environ,
            "REQUESTS_CA_BUNDLE": CA,
            "AZURE_CONFIG_DIR": cls.folder,
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_OUTPUT": "json",
        }
        cls.az("cloud", "register", "-n", "sandbox", "--endpoint-resource-manager", BASE)
        cls.az("cloud", "set", "-n", "sandbox")
        cls.az("login", "--service-principal", "-u", CLIENT, "-p", "any", "--tenant", TENANT)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def az(cls, *words):
        done = subprocess.run([AZ, *words], env=cls.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"az {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def test_the_commands_that_lead_to_an_extension(self):
        group, relay = f"az-{uuid.uuid4().hex[:8]}", f"az-{uuid.uuid4().hex[:10]}"
        feature = ("--namespace", "Microsoft.ContainerService", "--name", "AKS-AzAsked")
        self.assertEqual(self.az("feature", "register", *feature)["properties"]["state"], "Registering")
        self.az("provider", "register", "--namespace", "Microsoft.KubernetesConfiguration", "--wait")
        self.assertEqual(self.az("group", "create", "-n", group, "-l", "westeurope")["name"], group)
        # An unregistered provider is registered by az itself, which reads its name in the refusal.
        self.assertTrue(self.az("identity", "create", "-g", group, "-n", "id1")["principalId"])
        made = self.az("relay", "namespace", "create", "-g", group, "-n", relay, "-l", "westeurope")
        self.assertEqual(made["provisioningState"], "Succeeded")
        self.assertEqual(self.az("aks", "show", "-g", "ml-rg", "-n", "aks-01")["provisioningState"], "Succeeded")
        self.az("group", "delete", "-n", group, "-y")
        self.assertFalse(self.az("group", "exists", "-n", group))
