"""What the tests share: where the simulator is, who signs in, and a resource group of one's own.

The addresses come from the environment, which .ci/sdk sets: BASE (https://localhost:PORT) and SANDBOX (the folder with
the CA and the kubeconfigs). Nothing of the SDKs is patched or replaced.
"""

import os
import time
import unittest
import uuid

import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.resource.resources import ResourceManagementClient

BASE = os.environ["BASE"]
SANDBOX = os.environ["SANDBOX"]
CA = os.path.join(SANDBOX, "ca.pem")
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
SEEDED = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml-rg"
ARC = f"{SEEDED}/providers/Microsoft.Kubernetes/connectedClusters/edge-01"
AKS = f"{SEEDED}/providers/Microsoft.ContainerService/managedClusters/aks-01"

os.environ["REQUESTS_CA_BUNDLE"] = CA

CREDENTIAL = ClientSecretCredential(
    TENANT, CLIENT, "any", authority=BASE, disable_instance_discovery=True
)


def client(kind, **more):
    """A management client as a user of a private cloud makes it."""
    return kind(
        CREDENTIAL,
        SUBSCRIPTION,
        base_url=BASE,
        credential_scopes=[f"{BASE}/.default"],
        **more,
    )


def token():
    return CREDENTIAL.get_token(f"{BASE}/.default").token


def send(method, path, version="2021-04-01", body=None, headers=None, **more):
    """A request as written, for what no SDK would send."""
    query = "" if version is None else f"{'&' if '?' in path else '?'}api-version={version}"
    head = {"Authorization": f"Bearer {token()}", **(headers or {})}
    return requests.request(
        method, BASE + path + query, json=body, headers=head, verify=CA, timeout=60, **more
    )


def until(read, wanted, seconds=30):
    """Reads again until the wanted state is there; returns all states seen."""
    seen = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen.append(read())
        if seen[-1] == wanted:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"never {wanted!r}: {seen[-5:]}")


class Case(unittest.TestCase):
    """A test with a resource group of its own and the providers it needs."""

    providers = ()
    location = "westeurope"

    @classmethod
    def setUpClass(cls):
        cls.arm = client(ResourceManagementClient)
        cls.group = f"rg-{uuid.uuid4().hex[:10]}"
        cls.arm.resource_groups.create_or_update(cls.group, {"location": cls.location})
        for namespace in cls.providers:
            cls.register(namespace)

    @classmethod
    def tearDownClass(cls):
        cls.arm.resource_groups.begin_delete(cls.group).result()

    @classmethod
    def register(cls, namespace):
        cls.arm.providers.register(namespace)
        # The registration spreads over regions: one answer does not settle it.
        settled = 0
        for _ in range(600):
            state = cls.arm.providers.get(namespace).registration_state
            settled = settled + 1 if state == "Registered" else 0
            if settled == 5:
                return
            time.sleep(0.02)
        raise AssertionError(f"{namespace} is not registered")

    def refused(self, status, code, call, *args, **kwargs):
        """The call fails with this status and this code of ARM."""
        with self.assertRaises(HttpResponseError) as caught:
            result = call(*args, **kwargs)
            if hasattr(result, "result"):
                result.result()
        self.assertEqual(caught.exception.status_code, status, caught.exception)
        self.assertEqual(caught.exception.error.code, code, caught.exception)
        return caught.exception
