"""What no SDK sends but people do: odd paths, wrong verbs and bodies, conditions, changes at the same time.

Every refusal is ARM's own; nothing that was not understood is answered with a success.
"""

import threading
import uuid

from azure.mgmt.resource.resources import ResourceManagementClient

from common import AKS, ARC, SUBSCRIPTION, Case, client, send, until

ROOT = f"/subscriptions/{SUBSCRIPTION}"
IDENTITIES = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"


class Wire(Case):
    providers = (
        "Microsoft.KubernetesConfiguration",
        "Microsoft.MachineLearningServices",
        "Microsoft.ManagedIdentity",
        "Microsoft.Relay",
    )

    def setUp(self):
        self.here = f"{ROOT}/resourcegroups/{self.group}"

    def answers(self, status, code, method, path, body=None, **more):
        answer = send(method, path, body=body, **more)
        said = answer.json()["error"]["code"] if answer.content and code else code
        self.assertEqual((answer.status_code, said), (status, code), f"{method} {path}: {answer.text}")
        return answer

    def test_paths_are_read_without_regard_to_case_and_doubled_slashes(self):
        for path in (
            self.here.upper(),
            f"//subscriptions//{SUBSCRIPTION}//resourceGroups/{self.group}/",
            f"{ROOT}/ResourceGroups/{self.group.upper()}",
        ):
            self.assertEqual(send("GET", path).json()["name"], self.group)
        answer = send("GET", f"{self.here}?API-Version=2021-04-01", None)
        self.assertEqual(answer.status_code, 200, answer.text)

    def test_api_versions(self):
        for version in ("2015-01-01", "2021-04-01", "2026-06-01", "2025-01-01-preview"):
            self.assertEqual(send("GET", self.here, version).status_code, 200)
        self.answers(400, "MissingApiVersionParameter", "GET", self.here, version=None)
        self.answers(400, "InvalidApiVersionParameter", "GET", self.here, version="latest")

    def test_verbs_that_a_path_does_not_have(self):
        for method, path in [
            ("POST", "/subscriptions"),
            ("PUT", ROOT),
            ("DELETE", f"{ROOT}/resourcegroups"),
            ("POST", f"{ROOT}/resourcegroups"),
            ("DELETE", f"{ROOT}/resources"),
            ("PUT", f"{ROOT}/providers"),
            ("OPTIONS", self.here),
            ("POST", self.here),
            ("POST", f"{ARC}/providers/Microsoft.KubernetesConfiguration/extensions/x"),
            ("PUT", f"{ARC}/providers/Microsoft.KubernetesConfiguration/extensions"),
            ("PATCH", f"{self.here}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"),
        ]:
            with self.subTest(f"{method} {path}"):
                self.answers(405, "MethodNotAllowed", method, path)

    def test_types_that_do_not_exist(self):
        for path, code in [
            (f"{self.here}/providers/Microsoft.Foo/bars/x", "InvalidResourceNamespace"),
            (f"{self.here}/providers/Microsoft.Relay/bars/x", "InvalidResourceType"),
            (f"{AKS}/frobnicate", "InvalidResourceType"),
            ("/nothing", "NotFound"),
        ]:
            for method in ("GET", "PUT", "DELETE"):
                with self.subTest(f"{method} {path}"):
                    self.answers(404, code, method, path, {} if method == "PUT" else None)

    def test_head_tells_whether_a_thing_is_there(self):
        self.answers(204, None, "HEAD", self.here)
        self.answers(404, None, "HEAD", f"{ROOT}/resourcegroups/none")

    def test_bodies_that_cannot_be_read(self):
        for text in ("{not json", "[]", '"x"'):
            answer = send("PUT", self.here, headers={"Content-Type": "application/json"}, data=text)
            self.assertEqual(answer.json()["error"]["code"], "InvalidRequestContent", text)

    def test_groups_have_rules(self):
        there = f"{ROOT}/resourcegroups/"
        europe = {"location": "westeurope"}
        self.answers(400, "LocationRequired", "PUT", f"{there}{uuid.uuid4()}", {})
        self.answers(400, "LocationRequired", "PUT", self.here, {"tags": {}})
        self.answers(
            400, "LocationNotAvailableForResourceGroup", "PUT", f"{there}{uuid.uuid4()}", {"location": "nowhere"}
        )
        self.answers(400, "InvalidResourceGroup", "PUT", f"{there}ends.with.", europe)
        self.answers(400, "InvalidResourceGroup", "PUT", f"{there}{'x' * 91}", europe)
        self.assertEqual(send("PUT", self.here, body={"location": "West Europe"}).status_code, 200)

    def test_a_resource_stays_where_it_is(self):
        identity = f"{self.here}/{IDENTITIES}/fixed"
        self.assertEqual(send("PUT", identity, body={"location": "westeurope"}).status_code, 201)
        self.assertEqual(send("PUT", identity, body={"location": "West Europe"}).status_code, 200)
        self.answers(409, "InvalidResourceLocation", "PUT", identity, {"location": "eastus"})
        self.answers(400, "InvalidResourceName", "PUT", f"{self.here}/{IDENTITIES}/a%2Fb", {"location": "westeurope"})

    def test_a_patch_merges_and_null_removes(self):
        identity = f"{self.here}/{IDENTITIES}/patched"
        send("PUT", identity, body={"location": "westeurope", "tags": {"a": "1", "b": "2"}})
        changed = send("PATCH", identity, body={"tags": {"a": None, "c": "3"}}).json()
        self.assertEqual(changed["tags"], {"b": "2", "c": "3"})
        self.answers(404, "ResourceNotFound", "PATCH", f"{self.here}/{IDENTITIES}/none", {})
        self.answers(204, None, "DELETE", f"{self.here}/{IDENTITIES}/none")

    def test_conditions_of_aks(self):
        tag = send("GET", AKS, "2025-10-01").json()["eTag"]
        stale = {"If-Match": '"00000000-stale"'}
        tags = {"tags": {"round": uuid.uuid4().hex}}
        self.answers(412, "PreconditionFailed", "PATCH", AKS, tags, version="2025-10-01", headers=stale)
        changed = send("PATCH", AKS, "2025-10-01", tags, headers={"If-Match": f'"{tag}"'}).json()
        self.assertNotEqual(changed["eTag"], tag)
        self.answers(
            412,
            "PreconditionFailed",
            "PUT",
            AKS,
            {"location": "westeurope"},
            version="2025-10-01",
            headers={"If-None-Match": "*"},
        )

    def test_a_cluster_removed_by_a_client(self):
        self.register("Microsoft.Kubernetes")
        cluster = f"{self.here}/providers/Microsoft.Kubernetes/connectedClusters/short"
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {}}
        resources = client(ResourceManagementClient).resources
        resources.begin_create_or_update_by_id(cluster, body, api_version="2024-01-01").result()
        resources.begin_delete_by_id(cluster, api_version="2024-01-01").result()
        self.answers(404, "ResourceNotFound", "GET", cluster)

    def test_computes_have_rules(self):
        workspace = f"{self.here}/providers/Microsoft.MachineLearningServices/workspaces/w"
        send("PUT", workspace, body={"location": "westeurope"})
        computes = f"{workspace}/computes"
        for body in (
            {},
            {"properties": {"computeType": "Kubernetes"}},
            {"properties": {"computeType": "Nonsense", "resourceId": ARC}},
        ):
            self.answers(400, "UserError", "PUT", f"{computes}/k8s", body)
        self.answers(400, "UserError", "PUT", f"{computes}/a", {"properties": {"computeType": "Kubernetes", "resourceId": ARC}})
        self.answers(404, "ResourceNotFound", "GET", f"{computes}/none")
        self.answers(404, "ResourceNotFound", "POST", f"{computes}/none/listKeys")
        self.answers(404, "ResourceNotFound", "GET", f"{self.here}/providers/Microsoft.MachineLearningServices/workspaces/x/computes")

    def test_role_assignments_have_rules(self):
        role = f"{ROOT}/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
        there = f"{self.here}/providers/Microsoft.Authorization/roleAssignments/"
        self.answers(400, "InvalidRoleAssignmentId", "PUT", f"{there}x", {"properties": {"roleDefinitionId": role}})
        name = uuid.uuid4()
        self.answers(400, "InvalidPrincipalId", "PUT", f"{there}{name}", {"properties": {"roleDefinitionId": role}})
        wanted = {"roleDefinitionId": role, "principalId": str(uuid.uuid4()), "principalType": "ServicePrincipal"}
        self.assertEqual(send("PUT", f"{there}{name}", body={"properties": wanted}).status_code, 201)
        other = {**wanted, "principalId": str(uuid.uuid4())}
        self.answers(409, "RoleAssignmentUpdateNotPermitted", "PUT", f"{there}{name}", {"properties": other})

    def test_rights_that_do_not_exist(self):
        relay = f"{self.here}/providers/Microsoft.Relay/namespaces/r{uuid.uuid4().hex[:10]}"
        send("PUT", relay, body={"location": "westeurope"})
        self.answers(400, "BadRequest", "PUT", f"{relay}/authorizationRules/x", {"properties": {"rights": ["Fly"]}})

    def test_pages_of_the_graph_have_rules(self):
        graph = "/providers/Microsoft.ResourceGraph/resources"
        for body in (
            {},
            {"query": "nosuchtable"},
            {"query": "resources", "options": {"$top": 5000}},
            {"query": "resources", "options": {"$skipToken": "junk"}},
        ):
            self.answers(400, "BadRequest", "POST", graph, body)

    def test_one_of_two_that_change_an_extension_at_once_is_refused(self):
        extension = f"{ARC}/providers/Microsoft.KubernetesConfiguration/extensions/raced"
        body = {"properties": {"extensionType": "Microsoft.AzureML.Kubernetes", "configurationSettings": {"enableTraining": "True"}}}
        codes = []
        threads = [
            threading.Thread(target=lambda: codes.append(send("PUT", extension, "2023-05-01", body).status_code))
            for _ in range(4)
        ]
        for it in threads:
            it.start()
        for it in threads:
            it.join()
        self.assertEqual(codes.count(201), 1, codes)
        self.assertLessEqual(set(codes), {200, 201, 409})
        state = lambda: send("GET", extension, "2023-05-01").json()["properties"]["provisioningState"]
        until(state, "Succeeded")
        self.assertIn(send("DELETE", extension, "2023-05-01").status_code, (200, 202))
        until(lambda: send("GET", extension, "2023-05-01").status_code, 404)
        self.answers(204, None, "DELETE", extension)

    def test_the_headers_of_arm(self):
        mine = str(uuid.uuid4())
        answer = send(
            "GET",
            self.here,
            headers={
                "x-ms-client-request-id": mine,
                "x-ms-return-client-request-id": "true",
                "x-ms-correlation-request-id": mine,
            },
        )
        self.assertEqual(answer.headers["x-ms-client-request-id"], mine)
        self.assertEqual(answer.headers["x-ms-correlation-request-id"], mine)
        for name in ("x-ms-request-id", "x-ms-routing-request-id", "strict-transport-security"):
            self.assertTrue(answer.headers[name])
        left = int(answer.headers["x-ms-ratelimit-remaining-subscription-reads"])
        self.assertGreater(left, 0)
