"""Relay, Service Bus and Log Analytics: what stands beside an extension."""

import uuid

from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.loganalytics import LogAnalyticsManagementClient
from azure.mgmt.relay import RelayAPIMgmtClient
from azure.mgmt.servicebus import ServiceBusManagementClient

from common import Case, client, until

ALL = {"Listen", "Manage", "Send"}


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


class Relay(Case):
    providers = ("Microsoft.Relay",)

    def test_namespace_connection_rule_and_keys(self):
        relay = client(RelayAPIMgmtClient)
        name = fresh("relay")
        self.assertTrue(relay.namespaces.check_name_availability({"name": name}).name_available)
        made = relay.namespaces.begin_create_or_update(
            self.group, name, {"location": "westus2", "tags": {"a": "1"}}
        ).result()
        self.assertEqual(made.location, "West US 2")
        until(lambda: relay.namespaces.get(self.group, name).provisioning_state, "Succeeded")
        self.assertFalse(relay.namespaces.check_name_availability({"name": name}).name_available)

        where = (self.group, name, "edge-01")
        connection = relay.hybrid_connections.create_or_update(
            *where, {"properties": {"requiresClientAuthorization": True}}
        )
        self.assertTrue(connection.requires_client_authorization)
        rule = relay.hybrid_connections.create_or_update_authorization_rule(
            *where, "azureml_rw", {"properties": {"rights": sorted(ALL)}}
        )
        self.assertEqual(set(rule.rights), ALL)
        keys = relay.hybrid_connections.list_keys(*where, "azureml_rw")
        self.assertIn(";EntityPath=edge-01", keys.primary_connection_string)
        self.assertIn("SharedAccessKeyName=azureml_rw", keys.primary_connection_string)
        turned = relay.hybrid_connections.regenerate_keys(*where, "azureml_rw", {"keyType": "PrimaryKey"})
        self.assertNotEqual(turned.primary_key, keys.primary_key)
        self.assertEqual(turned.secondary_key, keys.secondary_key)
        self.assertEqual(
            [it.name for it in relay.namespaces.list_authorization_rules(self.group, name)],
            ["RootManageSharedAccessKey"],
        )
        self.assertEqual([it.name for it in relay.hybrid_connections.list_by_namespace(*where[:2])], ["edge-01"])

        relay.hybrid_connections.delete(*where)
        with self.assertRaises(ResourceNotFoundError):
            relay.hybrid_connections.get(*where)
        relay.namespaces.begin_delete(self.group, name).result()
        with self.assertRaises(ResourceNotFoundError):
            relay.namespaces.get(self.group, name)

    def test_updated_by_patch(self):
        relay = client(RelayAPIMgmtClient)
        name = fresh("relay")
        relay.namespaces.begin_create_or_update(self.group, name, {"location": "westeurope"}).result()
        changed = relay.namespaces.update(self.group, name, {"tags": {"owner": "ml"}})
        self.assertEqual(changed.tags, {"owner": "ml"})
        self.assertEqual(relay.namespaces.get(self.group, name).tags, {"owner": "ml"})
        self.assertIn(name, [it.name for it in relay.namespaces.list_by_resource_group(self.group)])
        self.assertIn(name, [it.name for it in relay.namespaces.list()])

    def test_names_are_global_and_checked(self):
        relay, bus = client(RelayAPIMgmtClient), client(ServiceBusManagementClient)
        name = fresh("taken")
        relay.namespaces.begin_create_or_update(self.group, name, {"location": "westeurope"}).result()
        self.register("Microsoft.ServiceBus")
        self.refused(
            409,
            "NamespaceUnavailable",
            bus.namespaces.begin_create_or_update,
            self.group,
            name,
            {"location": "westeurope"},
        )
        bad = relay.namespaces.check_name_availability({"name": "1x"})
        self.assertEqual((bad.name_available, bad.reason), (False, "InvalidName"))

    def test_manage_needs_send_and_listen(self):
        relay = client(RelayAPIMgmtClient)
        name = fresh("relay")
        relay.namespaces.begin_create_or_update(self.group, name, {"location": "westeurope"}).result()
        self.refused(
            400,
            "BadRequest",
            relay.namespaces.create_or_update_authorization_rule,
            self.group,
            name,
            "half",
            {"properties": {"rights": ["Manage"]}},
        )

    def test_nothing_lies_in_a_namespace_that_is_not_there(self):
        relay = client(RelayAPIMgmtClient)
        with self.assertRaises(ResourceNotFoundError):
            relay.hybrid_connections.create_or_update(self.group, fresh("none"), "x", {"properties": {}})


class ServiceBus(Case):
    providers = ("Microsoft.ServiceBus",)

    def test_namespace_topic_subscription_rule_and_keys(self):
        bus = client(ServiceBusManagementClient)
        where = (self.group, fresh("bus"))
        made = bus.namespaces.begin_create_or_update(
            *where, {"location": "westus", "sku": {"name": "Standard", "tier": "Standard"}}
        ).result()
        self.assertEqual(made.sku.name, "Standard")
        until(lambda: bus.namespaces.get(*where).provisioning_state, "Succeeded")
        for topic in ("jobstate-updatedby-computeprovider", "computestate-updatedby-computeprovider"):
            bus.topics.create_or_update(*where, topic, {"properties": {"maxSizeInMegabytes": 1024}})
            bus.subscriptions.create_or_update(*where, topic, "jobs", {"properties": {"maxDeliveryCount": 5}})
            self.assertEqual([it.name for it in bus.subscriptions.list_by_topic(*where, topic)], ["jobs"])
        self.assertEqual(len(list(bus.topics.list_by_namespace(*where))), 2)
        subscription = bus.subscriptions.get(*where, topic, "jobs")
        self.assertEqual(subscription.max_delivery_count, 5)
        root = "RootManageSharedAccessKey"
        self.assertEqual([it.name for it in bus.namespaces.list_authorization_rules(*where)], [root])
        keys = bus.namespaces.list_keys(*where, root)
        self.assertTrue(keys.primary_connection_string.startswith(f"Endpoint=sb://{where[1]}."))
        bus.namespaces.create_or_update_authorization_rule(*where, "reader", {"properties": {"rights": ["Listen"]}})
        self.assertEqual(bus.namespaces.get_authorization_rule(*where, "reader").rights, ["Listen"])
        bus.namespaces.delete_authorization_rule(*where, "reader")
        bus.subscriptions.delete(*where, topic, "jobs")
        bus.topics.delete(*where, topic)
        self.assertEqual(len(list(bus.topics.list_by_namespace(*where))), 1)
        bus.namespaces.begin_delete(*where).result()
        with self.assertRaises(ResourceNotFoundError):
            bus.namespaces.get(*where)


class LogAnalytics(Case):
    providers = ("Microsoft.OperationalInsights",)

    def test_workspace_and_its_keys(self):
        logs = client(LogAnalyticsManagementClient)
        where = (self.group, fresh("logs"))
        made = logs.workspaces.begin_create_or_update(*where, {"location": "westeurope"}).result()
        self.assertEqual(made.provisioning_state, "Succeeded")
        uuid.UUID(made.customer_id)
        self.assertEqual(made.retention_in_days, 30)
        self.assertEqual(made.sku.name.lower(), "pergb2018")
        keys = logs.shared_keys.get_shared_keys(*where)
        turned = logs.shared_keys.regenerate(*where)
        self.assertTrue(keys.primary_shared_key and turned.primary_shared_key)
        changed = logs.workspaces.update(*where, {"properties": {"retentionInDays": 60}})
        self.assertEqual(changed.retention_in_days, 60)
        self.assertEqual(logs.workspaces.get(*where).customer_id, made.customer_id)
        self.assertEqual([it.name for it in logs.workspaces.list_by_resource_group(self.group)], [where[1]])
        self.assertIn(where[1], [it.name for it in logs.workspaces.list()])
        logs.workspaces.begin_delete(*where, force=True).result()
        with self.assertRaises(ResourceNotFoundError):
            logs.workspaces.get(*where)
