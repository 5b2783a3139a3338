# Rules of an organisation over `amlplan show --json PLAN`, for OPA and conftest.
package main

import rego.v1

changes(kind) := [change | some change in input.resource_changes; change.type == kind]

deny contains message if {
	some change in changes("extension")
	settings := change.change.after.properties.configurationSettings
	lower(settings.allowInsecureConnections) == "true"
	message := sprintf("%s: endpoints over plain http are not allowed", [change.address])
}

deny contains message if {
	some change in changes("compute")
	change.change.after.properties.properties.namespace == "default"
	message := sprintf("%s: workloads do not run in the namespace default", [change.address])
}

deny contains message if {
	some change in changes("extension")
	"delete" in change.change.actions
	message := sprintf("%s: an extension is destroyed by hand, after a ticket", [change.address])
}
