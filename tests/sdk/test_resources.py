"""Sign-in, providers, features, groups, identities, role assignments: what every client asks first."""

import uuid

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.resource.features import FeatureClient
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from common import (
    BASE,
    CLIENT,
    CREDENTIAL,
    SUBSCRIPTION,
    TENANT,
    Case,
    client,
    send,
    token,
    until,
)


class SignIn(Case):
    def test_the_token_is_for_whom_it_was_asked(self):
        import base64
        import json

        part = token().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        self.assertEqual((claims["tid"], claims["appid"]), (TENANT, CLIENT))

    def test_without_a_token_arm_says_where_to_get_one(self):
        answer = send("GET", "/subscriptions", headers={"Authorization": ""})
        self.assertEqual(answer.status_code, 401)
        self.assertEqual(answer.json()["error"]["code"], "AuthenticationFailed")
        self.assertIn("authorization_uri=", answer.headers["WWW-Authenticate"])


class Groups(Case):
    def test_created_read_listed_patched_deleted(self):
        name = f"rg-{uuid.uuid4().hex[:8]}"
        groups = self.arm.resource_groups
        self.assertFalse(groups.check_existence(name))
        made = groups.create_or_update(name, {"location": "westeurope", "tags": {"a": "1"}})
        self.assertEqual(made.properties.provisioning_state, "Succeeded")
        self.assertTrue(groups.check_existence(name))
        self.assertIn(name, [it.name for it in groups.list()])
        self.assertEqual(groups.update(name, {"tags": {"b": "2"}}).tags, {"b": "2"})
        self.assertEqual(groups.get(name.upper()).location, "westeurope")
        self.refused(
            409, "InvalidResourceGroupLocation", groups.create_or_update, name, {"location": "eastus"}
        )
        groups.begin_delete(name).result()
        self.refused(404, "ResourceGroupNotFound", groups.get, name)

    def test_any_resource_by_its_id(self):
        self.register("Microsoft.Storage")
        account = (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group}"
            f"/providers/Microsoft.Storage/storageAccounts/a{uuid.uuid4().hex[:8]}"
        )
        resources, version = self.arm.resources, "2023-01-01"
        self.assertFalse(resources.check_existence_by_id(account, api_version=version))
        made = resources.begin_create_or_update_by_id(
            account, {"location": "westeurope", "tags": {"a": "1"}}, api_version=version
        ).result()
        self.assertEqual(made.id, account)
        self.assertTrue(resources.check_existence_by_id(account, api_version=version))
        listed = resources.list_by_resource_group(
            self.group, filter="resourceType eq 'Microsoft.Storage/storageAccounts'"
        )
        self.assertEqual([it.id for it in listed], [account])
        resources.begin_delete_by_id(account, api_version=version).result()
        self.refused(404, "ResourceNotFound", resources.get_by_id, account, api_version=version)

    def test_what_a_manifest_only_reads_can_be_made_by_a_client(self):
        for namespace in ("Microsoft.Kubernetes", "Microsoft.ContainerService"):
            self.register(namespace)
        for kind, version in [
            ("Microsoft.Kubernetes/connectedClusters", "2024-01-01"),
            ("Microsoft.ContainerService/managedClusters", "2025-10-01"),
        ]:
            with self.subTest(kind):
                id = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group}/providers/{kind}/made"
                body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": {}}
                self.arm.resources.begin_create_or_update_by_id(id, body, api_version=version).result()
                made = self.arm.resources.get_by_id(id, api_version=version)
                self.assertEqual(made.properties["provisioningState"], "Succeeded")
                self.assertTrue(made.identity.principal_id)


class Providers(Case):
    def test_registered_by_a_post_and_seen_by_reading_again(self):
        namespace = "Microsoft.ContainerRegistry"
        if self.arm.providers.get(namespace).registration_state != "Registered":
            state = self.arm.providers.register(namespace).registration_state
            self.assertEqual(state, "Registering")
        self.register(namespace)
        listed = {it.namespace: it.registration_state for it in self.arm.providers.list()}
        self.assertEqual(listed[namespace], "Registered")
        kinds = {it.resource_type: it for it in self.arm.providers.get(namespace).resource_types}
        self.assertTrue(kinds["registries"].api_versions)

    def test_a_namespace_that_no_provider_has(self):
        self.refused(404, "InvalidResourceNamespace", self.arm.providers.get, "Microsoft.Nothing")

    def test_a_subscription_that_is_not_there(self):
        path = f"/subscriptions/{uuid.uuid4()}/resourcegroups"
        answer = send("GET", path)
        self.assertEqual((answer.status_code, answer.json()["error"]["code"]), (404, "SubscriptionNotFound"))


class Features(Case):
    def test_registered_and_unregistered(self):
        features = client(FeatureClient).features
        where = ("Microsoft.ContainerService", "AKS-ExtensionManager")
        before = features.get(*where)
        self.assertEqual(before.name, "/".join(where))
        self.assertIn(before.properties.state, ("NotRegistered", "Unregistered"))
        features.register(*where)
        until(lambda: features.get(*where).properties.state, "Registered")
        self.assertIn(before.name, [it.name for it in features.list(where[0])])
        self.assertIn(before.name, [it.name for it in features.list_all()])
        features.unregister(*where)
        until(lambda: features.get(*where).properties.state, "Unregistered")

    def test_the_newer_form_is_the_same_feature(self):
        feature = client(FeatureClient)
        where = ("Microsoft.ContainerService", "AKS-Dapr")
        feature.subscription_feature_registrations.create_or_update(*where, {"properties": {}})
        until(lambda: feature.features.get(*where).properties.state, "Registered")
        got = feature.subscription_feature_registrations.get(*where)
        self.assertEqual(got.properties.state, "Registered")
        feature.subscription_feature_registrations.delete(*where)


class Identities(Case):
    providers = ("Microsoft.ManagedIdentity",)

    def test_created_read_listed_deleted(self):
        identities = client(ManagedServiceIdentityClient).user_assigned_identities
        made = identities.create_or_update(self.group, "id1", {"location": self.location})
        uuid.UUID(made.principal_id)
        again = identities.create_or_update(self.group, "id1", {"location": self.location, "tags": {"a": "1"}})
        self.assertEqual((again.principal_id, again.tags), (made.principal_id, {"a": "1"}))
        self.assertEqual(identities.get(self.group, "ID1").client_id, made.client_id)
        self.assertIn("id1", [it.name for it in identities.list_by_resource_group(self.group)])
        identities.delete(self.group, "id1")
        with self.assertRaises(ResourceNotFoundError):
            identities.get(self.group, "id1")

    def test_a_long_list_comes_in_pages(self):
        identities = client(ManagedServiceIdentityClient).user_assigned_identities
        names = {f"many-{at:03}" for at in range(130)}
        for name in names:
            identities.create_or_update(self.group, name, {"location": self.location})
        pages = list(identities.list_by_resource_group(self.group).by_page())
        sizes = [len(list(page)) for page in pages]
        self.assertGreater(len(sizes), 1)
        self.assertLessEqual(names, {it.name for it in identities.list_by_resource_group(self.group)})


class Roles(Case):
    providers = ("Microsoft.ManagedIdentity",)
    acr_pull = "7f951dda-4ed3-4680-a7ca-43fe172d538d"

    def setUp(self):
        identities = client(ManagedServiceIdentityClient).user_assigned_identities
        made = identities.create_or_update(self.group, "reader", {"location": self.location})
        self.principal = made.principal_id
        self.scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{self.group}"
        self.roles = client(AuthorizationManagementClient)
        self.role = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{self.acr_pull}"

    def wanted(self):
        return {
            "role_definition_id": self.role,
            "principal_id": self.principal,
            "principal_type": "ServicePrincipal",
        }

    def test_a_role_by_name(self):
        found = self.roles.role_definitions.list(self.scope, filter="roleName eq 'AcrPull'")
        self.assertEqual([it.name for it in found], [self.acr_pull])

    def test_assigned_listed_taken_back_and_refused_twice(self):
        assignments = self.roles.role_assignments
        name = str(uuid.uuid4())
        made = assignments.create(self.scope, name, self.wanted())
        self.assertEqual((made.scope, made.principal_id), (self.scope, self.principal))
        listed = assignments.list_for_scope(self.scope, filter=f"principalId eq '{self.principal}'")
        self.assertEqual([it.name for it in listed], [name])
        twin = self.refused(
            409, "RoleAssignmentExists", assignments.create, self.scope, str(uuid.uuid4()), self.wanted()
        )
        self.assertIn(name.replace("-", ""), twin.message)
        self.assertEqual(assignments.delete(self.scope, name).name, name)
        self.assertIsNone(assignments.delete(self.scope, name))

    def test_a_role_that_does_not_exist(self):
        wanted = self.wanted()
        wanted["role_definition_id"] = self.role.replace(self.acr_pull, str(uuid.uuid4()))
        with self.assertRaises(HttpResponseError) as caught:
            self.roles.role_assignments.create(self.scope, str(uuid.uuid4()), wanted)
        self.assertEqual(caught.exception.error.code, "RoleDefinitionDoesNotExist")

    def test_the_callers_own_rights(self):
        rights = list(self.roles.permissions.list_for_resource_group("ml-rg"))
        self.assertIn("*", rights[0].actions)

    def test_a_locked_group_keeps_what_is_in_it(self):
        lock = f"{self.scope}/providers/Microsoft.Authorization/locks/keep"
        made = send("PUT", lock, "2016-09-01", {"properties": {"level": "CanNotDelete"}})
        self.assertEqual(made.status_code, 201, made.text)
        identities = client(ManagedServiceIdentityClient).user_assigned_identities
        self.refused(409, "ScopeLocked", identities.delete, self.group, "reader")
        self.assertEqual(send("DELETE", lock, "2016-09-01").status_code, 200)
        identities.delete(self.group, "reader")


class Graph(Case):
    providers = ("Microsoft.ManagedIdentity",)

    def setUp(self):
        self.graph = ResourceGraphClient(
            CREDENTIAL, base_url=BASE, credential_scopes=[f"{BASE}/.default"]
        )

    def ask(self, query, **options):
        return self.graph.resources(
            QueryRequest(
                subscriptions=[SUBSCRIPTION], query=query, options=QueryRequestOptions(**options)
            )
        )

    def test_clusters_of_a_subscription(self):
        found = self.ask(
            "resources | where type in~ ('microsoft.kubernetes/connectedclusters',"
            " 'microsoft.containerservice/managedclusters') | where resourceGroup =~ 'ML-RG'"
            " | project id, name, type | order by name asc"
        )
        self.assertEqual([it["name"] for it in found.data], ["aks-01", "edge-01", "edge-02", "openshift-01"])
        self.assertEqual(found.data[1]["type"], "microsoft.kubernetes/connectedclusters")
        self.assertEqual((found.count, found.result_truncated), (4, "false"))

    def test_pages_by_skip_token(self):
        identities = client(ManagedServiceIdentityClient).user_assigned_identities
        for at in range(5):
            identities.create_or_update(self.group, f"paged-{at}", {"location": self.location})
        query = f"resources | where resourceGroup =~ '{self.group}' | project id, name | order by name asc"
        seen, token = [], None
        for _ in range(5):
            page = self.ask(query, top=2, skip_token=token)
            self.assertEqual(page.total_records, 5)
            seen += [it["name"] for it in page.data]
            token = page.skip_token
            if not token:
                break
        self.assertEqual(seen, [f"paged-{at}" for at in range(5)])

    def test_a_query_that_cannot_be_read(self):
        error = self.refused(400, "BadRequest", self.ask, "resources | nonsense")
        self.assertTrue(error.error.details)
