//! The Azure CLI as a client of a served world: what `az` asks and sends when somebody sets up by
//! hand what a manifest declares.
//!
//! Sources: azure-cli-extensions, `partner_extensions/AzureMLKubernetes.py` of k8s-extension 1.7.0
//! (today's profile) and 1.0.1 (that of 2021), `custom.py`; bodies of companions as these versions
//! were seen to send them; azure-ai-ml's attach, which `az ml` wraps; Azure REST: Connected Clusters.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amlplan::text::{ClusterSpec, Declared, IdentityType, Profile, ProtectedSetting, Setting};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Value as Json, json};

use super::served::Server;

type Texts = BTreeMap<String, String>;

/// What `az` tags the companions of an extension with.
fn made_by_az() -> Json {
    json!({"created_by": "Azure Arc-enabled ML"})
}

/// `az`, signed in.
pub(crate) struct Az {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Az {
    /// Signs in to a directory of a served world.
    pub(crate) async fn login(server: &Server, tenant: &str) -> Self {
        // reqwest brings no cryptography of its own (docs/decisions/0004).
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
        let client = builder.build().expect("a client");
        let base = server.url.clone();
        let form = format!(
            "grant_type=client_credentials&client_id={tenant}&client_secret=any&scope={base}/.default"
        );
        let ask = client
            .post(format!("{base}/{tenant}/oauth2/v2.0/token"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = ask.send().await.expect("an answer").text().await.expect("a body");
        let answer: Json = serde_json::from_str(&answer).expect("a token");
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Self { client, base, token }
    }

    /// One request; its operation is followed to the end. `None`: there is none.
    async fn ask(&self, verb: &str, at: &str, version: &str, body: &Json) -> Option<Json> {
        let url = format!("{}{at}?api-version={version}", self.base);
        let verb = reqwest::Method::from_bytes(verb.as_bytes()).expect("a verb");
        let mut ask = self.client.request(verb.clone(), url).bearer_auth(&self.token);
        ask = match body {
            Json::Null => ask.header("content-length", "0"),
            body => ask.header("content-type", "application/json").body(body.to_string()),
        };
        let answer = ask.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let header = answer.headers().get("azure-asyncoperation");
        let operation = header.map(|it| it.to_str().expect("an address").to_owned());
        let text = answer.text().await.expect("a body");
        if status == 404 && verb == "GET" {
            return None;
        }
        // What is granted already is as good.
        let granted = text.contains("RoleAssignmentExists");
        assert!(status < 300 || granted, "{verb} {at}: {status} {text}\n{body}");
        if let Some(operation) = operation {
            for _ in 0..600 {
                let ask = self.client.get(&operation).bearer_auth(&self.token);
                let text = ask.send().await.expect("an answer").text().await.expect("a body");
                let seen: Json = serde_json::from_str(&text).unwrap_or_default();
                match seen["status"].as_str() {
                    Some("Succeeded") => break,
                    Some("Failed" | "Canceled") => panic!("{verb} {at}: {text}\n{body}"),
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        }
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn get(&self, at: &str, version: &str) -> Option<Json> {
        self.ask("GET", at, version, &Json::Null).await
    }

    async fn put(&self, at: &str, version: &str, body: &Json) -> Json {
        self.ask("PUT", at, version, body).await.expect("an answer")
    }

    async fn post(&self, at: &str, version: &str) -> Json {
        self.ask("POST", at, version, &Json::Null).await.expect("an answer")
    }

    /// `az provider register` and `az feature register`, for an address of a plan.
    pub(crate) async fn register(&self, address: &str) {
        let mut parts = address.splitn(3, '/');
        let subscription = parts.next().expect("a subscription");
        let (kind, name) = (parts.next(), parts.next().expect("a name"));
        let (at, version) = match (kind, name.split_once('/')) {
            (Some("provider"), _) => (format!("providers/{name}"), "2024-11-01"),
            (_, Some((provider, feature))) => (
                format!("providers/Microsoft.Features/providers/{provider}/features/{feature}"),
                "2021-07-01",
            ),
            _ => panic!("{address} is no registration"),
        };
        let at = format!("/subscriptions/{subscription}/{at}");
        self.post(&format!("{at}/register"), version).await;
        for _ in 0..600 {
            let seen = self.get(&at, version).await.unwrap_or_default();
            let state = seen["registrationState"].as_str().or(seen["properties"]["state"].as_str());
            if state == Some("Registered") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{address} is not registered");
    }

    /// `az connectedk8s connect` of a cluster that is connected, and `update` of it.
    pub(crate) async fn reconnect(&self, cluster: &Cluster<'_>) {
        if cluster.aks {
            return;
        }
        let version = "2024-01-01";
        let there = self.get(&cluster.id, version).await.expect("a cluster");
        let kept = |key: &str| there["properties"][key].clone();
        let body = json!({
            "location": there["location"].as_str().expect("a region").to_lowercase(),
            "identity": {"type": "SystemAssigned"},
            "tags": {},
            "properties": {
                "agentPublicKeyCertificate": "MIICCgKCAgEA",
                "distribution": kept("distribution"),
                "infrastructure": kept("infrastructure"),
                "oidcIssuerProfile": kept("oidcIssuerProfile"),
                "arcAgentProfile": {"agentAutoUpgrade": "Enabled"},
            },
        });
        self.put(&cluster.id, version, &body).await;
        let body = json!({"tags": {"team": "edge"}, "properties": {"azureHybridBenefit": "NotApplicable"}});
        self.ask("PATCH", &cluster.id, version, &body).await;
    }

    /// `az k8s-extension create`, with an exporter that is turned on later where it is declared.
    pub(crate) async fn create(&self, cluster: &Cluster<'_>) {
        let Some(extension) = cluster.spec.extension.as_ref() else { return };
        let (mut plain, mut guarded) = cluster.given();
        if let Some(later) = plain.get_mut("installDcgmExporter") {
            "False".clone_into(later);
        }
        let there = self.get(&cluster.id, cluster.version()).await.expect("a cluster");
        let region = there["location"].as_str().expect("a region").to_lowercase();
        for key in ["enableTraining", "enableInference"] {
            plain.entry(key.to_owned()).or_insert_with(|| "False".to_owned());
        }
        if plain["enableInference"].eq_ignore_ascii_case("true") {
            cluster.router(&mut plain);
            tls(&mut plain, &mut guarded, extension.profile == Profile::Ga);
        }
        let ga = extension.profile == Profile::Ga;
        if ga {
            size(&mut plain, &there, cluster.aks);
        }
        let default = |plain: &mut Texts, key: &str, value: &str| {
            plain.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        };
        default(&mut plain, "cluster_name", &cluster.id);
        let domain = format!("{region}.cloudapp.azure.com");
        let domain = plain.get("doamin").cloned().unwrap_or(domain);
        plain.insert("domain".to_owned(), domain);
        default(&mut plain, "location", &region);
        default(&mut plain, "jobSchedulerLocation", &region);
        default(&mut plain, "cluster_name_friendly", &cluster.spec.cluster.name);
        if ga {
            default(&mut plain, "servicebus.enabled", "false");
            default(&mut plain, "relayserver.enabled", if cluster.aks { "false" } else { "true" });
            default(&mut plain, "nginxIngress.enabled", if cluster.aks { "true" } else { "false" });
        }
        self.companions(cluster, &region, &mut plain, &mut guarded).await;
        let own = plain["cluster_name"].clone();
        default(&mut plain, "clusterId", &own);
        default(&mut plain, "prometheus.prometheusSpec.externalLabels.cluster_name", &own);
        copy_strings(&mut guarded);
        let mut body = json!({"properties": {
            "extensionType": "microsoft.azureml.kubernetes",
            "autoUpgradeMinorVersion": extension.auto_upgrade_minor_version,
            "releaseTrain": extension.release_train,
            "scope": {"cluster": {"releaseNamespace": "azureml"}},
            "configurationSettings": plain,
            "configurationProtectedSettings": guarded,
        }});
        if let Some(version) = &extension.version {
            body["properties"]["version"] = json!(version);
        }
        if !cluster.aks {
            body["identity"] = json!({"type": "SystemAssigned"});
            body["location"] = json!(region);
        }
        self.put(&cluster.extension(), cluster.era(), &body).await;
    }

    /// `az k8s-extension update` with everything that is declared.
    pub(crate) async fn update(&self, cluster: &Cluster<'_>, with_secrets: bool) {
        let Some(extension) = cluster.spec.extension.as_ref() else { return };
        let (mut plain, mut guarded) = cluster.given();
        let there = self.get(&cluster.extension(), cluster.era()).await.expect("an extension");
        let there = &there["properties"]["configurationSettings"];
        let ga = extension.profile == Profile::Ga;
        let is = |texts: &Texts, key: &str, value: &str| {
            texts.get(key).map(|it| title(it.eq_ignore_ascii_case(value)))
        };
        if ga {
            if let Some(port) = is(&plain, "inferenceRouterServiceType", "nodePort") {
                plain.insert("scoringFe.serviceType.nodePort".to_owned(), port);
            }
            if let Some(internal) = is(&plain, "internalLoadBalancerProvider", "azure") {
                plain.insert("scoringFe.serviceType.internalLoadBalancer".to_owned(), internal);
            }
        }
        if !with_secrets {
            guarded.clear();
        }
        if !guarded.is_empty() {
            let on =
                |key: &str| there[key].as_str().map_or(!ga, |it| !it.eq_ignore_ascii_case("false"));
            let own = "azure_log_analytics.connection_string";
            if let Some(key) = self.workspace_key(cluster).await {
                guarded.entry(own.to_owned()).or_insert(key);
            }
            if on("relayserver.enabled") && !guarded.contains_key("relayServerConnectionString") {
                let key = self.relay_key(cluster).await;
                guarded.insert("relayServerConnectionString".to_owned(), key);
            }
            if on("servicebus.enabled") && !guarded.contains_key("serviceBusConnectionString") {
                let key = self.bus_key(cluster).await;
                guarded.insert("serviceBusConnectionString".to_owned(), key);
            }
            copy_strings(&mut guarded);
        }
        if !pem(&mut guarded)
            && let Some(secret) = plain.get("sslSecret").cloned()
        {
            plain.insert("scoringFe.sslSecret".to_owned(), secret);
        }
        let mut body = json!({"properties": {"configurationSettings": plain}});
        if !guarded.is_empty() {
            body["properties"]["configurationProtectedSettings"] = json!(guarded);
        }
        if !ga {
            // Version 1.0.1 says that nothing was said.
            body["properties"]["releaseTrain"] = json!("");
            body["properties"]["version"] = json!("");
        }
        body["properties"]["autoUpgradeMinorVersion"] = extension.auto_upgrade_minor_version.into();
        self.ask("PATCH", &cluster.extension(), cluster.era(), &body).await;
    }

    /// What an extension stands on, made where it is not there, and its settings.
    async fn companions(
        &self,
        cluster: &Cluster<'_>,
        region: &str,
        plain: &mut Texts,
        guarded: &mut Texts,
    ) {
        let lower = |key: &str| plain.get(key).map(|it| it.to_lowercase());
        let wants_logs = lower("logAnalyticsWS").as_deref() == Some("true");
        let wants_relay = lower("relayserver.enabled").as_deref() != Some("false");
        let wants_bus = lower("servicebus.enabled").as_deref() != Some("false");
        let own = "azure_log_analytics.connection_string";
        if wants_logs && !guarded.contains_key(own) {
            let body = json!({"location": region, "tags": made_by_az()});
            let made = self.put(&cluster.logs(), "2023-09-01", &body).await;
            let customer = made["properties"]["customerId"].as_str().expect("a customer id");
            plain.insert("azure_log_analytics.enabled".to_owned(), "True".to_owned());
            plain.insert("azure_log_analytics.customer_id".to_owned(), customer.to_owned());
            let key = self.workspace_key(cluster).await.expect("a key");
            guarded.insert(own.to_owned(), key);
        }
        if wants_relay && !guarded.contains_key("relayServerConnectionString") {
            let body = json!({"location": region, "tags": made_by_az()});
            self.ready(&cluster.relay(), &body).await;
            let body = json!({"properties": {"requiresClientAuthorization": true}});
            let made = self.put(&cluster.connection(), "2017-04-01", &body).await;
            let body = json!({"properties": {"rights": ["Manage", "Send", "Listen"]}});
            self.put(
                &format!("{}/authorizationRules/azureml_rw", cluster.connection()),
                "2017-04-01",
                &body,
            )
            .await;
            let id = made["id"].as_str().expect("an id").to_owned();
            plain.insert("relayserver.hybridConnectionResourceID".to_owned(), id);
            let name = cluster.spec.cluster.name.clone();
            plain.insert("relayserver.hybridConnectionName".to_owned(), name);
            let key = self.relay_key(cluster).await;
            guarded.insert("relayServerConnectionString".to_owned(), key);
        }
        if wants_bus && !guarded.contains_key("serviceBusConnectionString") {
            let sku = json!({"name": "STANDARD"});
            let body = json!({"location": region, "sku": sku, "tags": made_by_az()});
            self.ready(&cluster.bus(), &body).await;
            for word in ["compute", "job"] {
                let topic = format!("{word}state-updatedby-computeprovider");
                let subscription = format!("compute-scheduler-{word}state");
                let at = format!("{}/topics/{topic}", cluster.bus());
                let body = json!({"properties": {"maxSizeInMegabytes": 5120, "defaultMessageTimeToLive": "P60D"}});
                self.put(&at, "2017-04-01", &body).await;
                let body = json!({"properties": {"maxDeliveryCount": 1, "defaultMessageTimeToLive": "P14D", "lockDuration": "PT30S"}});
                self.put(&format!("{at}/subscriptions/{subscription}"), "2017-04-01", &body).await;
                plain.insert(format!("servicebus.topicSubMapping.{topic}"), subscription);
            }
            plain.insert("servicebus.resourceID".to_owned(), cluster.bus());
            let key = self.bus_key(cluster).await;
            guarded.insert("serviceBusConnectionString".to_owned(), key);
        }
    }

    /// A namespace of Relay or Service Bus, waited for.
    async fn ready(&self, at: &str, body: &Json) {
        self.put(at, "2017-04-01", body).await;
        for _ in 0..600 {
            let seen = self.get(at, "2017-04-01").await.unwrap_or_default();
            if seen["properties"]["provisioningState"] == "Succeeded" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{at} is not ready");
    }

    async fn relay_key(&self, cluster: &Cluster<'_>) -> String {
        let at = format!("{}/authorizationRules/azureml_rw/listKeys", cluster.connection());
        let keys = self.post(&at, "2017-04-01").await;
        keys["primaryConnectionString"].as_str().expect("a connection string").to_owned()
    }

    async fn bus_key(&self, cluster: &Cluster<'_>) -> String {
        let at = format!("{}/AuthorizationRules", cluster.bus());
        let rules = self.get(&at, "2017-04-01").await.expect("rules");
        let first = rules["value"][0]["name"].as_str().expect("a rule").to_owned();
        let keys = self.post(&format!("{at}/{first}/listKeys"), "2017-04-01").await;
        keys["primaryConnectionString"].as_str().expect("a connection string").to_owned()
    }

    async fn workspace_key(&self, cluster: &Cluster<'_>) -> Option<String> {
        self.get(&cluster.logs(), "2023-09-01").await?;
        let keys = self.post(&format!("{}/sharedKeys", cluster.logs()), "2023-09-01").await;
        keys["primarySharedKey"].as_str().map(str::to_owned)
    }

    /// `az ml compute attach` of every compute of the manifest.
    pub(crate) async fn attach(&self, cluster: &Cluster<'_>) {
        for it in &cluster.spec.computes {
            let group = it.workspace.resource_group.as_ref();
            let group = group.unwrap_or(&cluster.spec.azure.resource_group);
            let subscription = it.workspace.subscription.as_ref();
            let subscription = subscription.unwrap_or(&cluster.spec.azure.subscription);
            let workspace = format!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{}",
                it.workspace.name
            );
            let there = self.get(&workspace, "2023-08-01-preview").await.expect("a workspace");
            let mut body = json!({
                "location": there["location"],
                "tags": it.tags,
                "properties": {
                    "computeType": "Kubernetes",
                    "computeLocation": there["location"],
                    "description": it.description,
                    "resourceId": cluster.id,
                    "properties": {"namespace": it.namespace},
                },
            });
            if let Some(name) = &it.default_instance_type {
                body["properties"]["properties"]["defaultInstanceType"] = json!(name);
            }
            let ids = &it.identity.user_assigned_identities;
            match it.identity.kind {
                IdentityType::None => {}
                IdentityType::SystemAssigned => {
                    body["identity"] = json!({"type": "SystemAssigned"});
                }
                IdentityType::UserAssigned => {
                    let ids: BTreeMap<&String, Json> =
                        ids.iter().map(|id| (id, json!({}))).collect();
                    body["identity"] =
                        json!({"type": "UserAssigned", "userAssignedIdentities": ids});
                }
            }
            let at = format!("{workspace}/computes/{}", it.name);
            self.put(&at, "2023-08-01-preview", &body).await;
        }
    }

    /// `az role assignment create` and `az identity federated-credential create`, for a resource
    /// that a plan would make; other kinds are left.
    pub(crate) async fn grant(&self, cluster: &Cluster<'_>, change: &Json, number: usize) {
        let wanted = &change["change"]["after"]["properties"];
        let name = change["name"].as_str().expect("a name");
        match change["type"].as_str() {
            Some("role_assignment") => {
                let all = &cluster.spec.role_assignments;
                // The last segment of the scope ends the name of the address.
                let of = |scope: &str| name.ends_with(scope.rsplit('/').next().unwrap_or(scope));
                let own = all.iter().find(|it| name.starts_with(&it.principal) && of(&it.scope));
                let scope = &own.unwrap_or_else(|| panic!("{name} in {all:?}")).scope;
                let at = format!(
                    "{scope}/providers/Microsoft.Authorization/roleAssignments/99999999-0000-4000-8000-{number:012}"
                );
                let body = json!({"properties": {
                    "roleDefinitionId": wanted["roleDefinitionId"],
                    "principalId": wanted["principalId"],
                    "principalType": "ServicePrincipal",
                }});
                self.put(&at, "2022-04-01", &body).await;
            }
            Some("federated_identity_credential") => {
                let all = cluster.spec.federated_identity_credentials.iter();
                let own = all.rev().find(|it| name.ends_with(&it.name)).expect("declared");
                let at = format!("{}/federatedIdentityCredentials/{}", own.identity, own.name);
                self.put(&at, "2023-01-31", &json!({"properties": wanted})).await;
            }
            _ => {}
        }
    }
}

/// A cluster of a manifest as the one who types commands sees it.
pub(crate) struct Cluster<'a> {
    spec: &'a ClusterSpec,
    folder: &'a Path,
    id: String,
    aks: bool,
}

impl<'a> Cluster<'a> {
    /// One that a manifest declares.
    pub(crate) fn of(declared: &'a Declared, id: &str) -> Self {
        Self {
            spec: &declared.spec,
            folder: &declared.origin.folder,
            id: id.to_owned(),
            aks: id.contains("/managedClusters/"),
        }
    }

    fn version(&self) -> &'static str {
        if self.aks { "2021-05-01" } else { "2021-10-01" }
    }

    /// The api-version that the Azure CLI of the profile's time asks for.
    fn era(&self) -> &'static str {
        match self.spec.extension.as_ref().map(|it| it.profile) {
            Some(Profile::Preview) => "2022-03-01",
            _ => "2023-05-01",
        }
    }

    fn extension(&self) -> String {
        let name = self.spec.extension.as_ref().map_or("", |it| it.name.as_str());
        format!("{}/providers/Microsoft.KubernetesConfiguration/extensions/{name}", self.id)
    }

    fn beside(&self, kind: &str, suffix: &str, most: usize) -> String {
        let azure = &self.spec.azure;
        let (subscription, group) = (&azure.subscription, &azure.resource_group);
        let whole = format!("{}-{subscription}-{group}{suffix}", self.spec.cluster.name);
        let mut name: String = whole.chars().filter(|it| it.is_alphanumeric()).collect();
        if name.len() > most {
            let digest = Md5::digest(whole.as_bytes());
            let digest: String = digest.iter().map(|it| format!("{it:02x}")).collect();
            name = format!("{}{}", &name[..most - 6], &digest[..6]);
        }
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}")
    }

    fn relay(&self) -> String {
        self.beside("Microsoft.Relay/namespaces", "-relay", 50)
    }

    fn connection(&self) -> String {
        format!("{}/hybridConnections/{}", self.relay(), self.spec.cluster.name)
    }

    fn bus(&self) -> String {
        self.beside("Microsoft.ServiceBus/namespaces", "-service-bus", 50)
    }

    fn logs(&self) -> String {
        self.beside("Microsoft.OperationalInsights/workspaces", "", 63)
    }

    /// Settings as they are typed after `--config` and `--config-protected`; files with their path.
    fn given(&self) -> (Texts, Texts) {
        let extension = self.spec.extension.as_ref().expect("an extension");
        let plain = extension.configuration_settings.iter();
        let plain = plain.map(|(key, it)| (key.clone(), Setting::wire(it))).collect();
        let guarded = extension.configuration_protected_settings.iter().map(|(key, it)| {
            let text = match it {
                ProtectedSetting::Text(text) | ProtectedSetting::FromFile { from_file: text } => {
                    text
                }
                other => panic!("{key}: nobody types {other:?}"),
            };
            let file = key.ends_with("PemFile") || matches!(it, ProtectedSetting::FromFile { .. });
            let path = self.folder.join(text).display().to_string();
            (key.clone(), if file { path } else { text.clone() })
        });
        (plain, guarded.collect())
    }

    /// The router's switches.
    fn router(&self, plain: &mut Texts) {
        let is = |key: &str, value: &str| {
            plain.get(key).is_some_and(|it| it.eq_ignore_ascii_case(value))
        };
        let preview = self.era() == "2022-03-01";
        let (port, internal) = if preview {
            (is("privateEndpointNodeport", "true"), is("privateEndpointILB", "true"))
        } else {
            let internal = is("internalLoadBalancerProvider", "azure");
            (is("inferenceRouterServiceType", "nodePort"), internal)
        };
        let small = is("inferenceLoadBalancerHA", "false");
        if port {
            plain.insert("scoringFe.serviceType.nodePort".to_owned(), "True".to_owned());
        } else if internal {
            let key = "scoringFe.serviceType.internalLoadBalancer";
            plain.insert(key.to_owned(), "True".to_owned());
        }
        if preview {
            let purpose = if small { "DevTest" } else { "FastProd" };
            plain.insert("clusterPurpose".to_owned(), purpose.to_owned());
        }
    }
}

fn title(yes: bool) -> String {
    if yes { "True" } else { "False" }.to_owned()
}

/// What today's version makes of few nodes and of OpenShift.
fn size(plain: &mut Texts, there: &Json, aks: bool) {
    let pools = there["properties"]["agentPoolProfiles"].as_array();
    let nodes = match pools.filter(|_| aks) {
        Some(pools) => pools.iter().filter_map(|it| it["count"].as_i64()).sum(),
        None => there["properties"]["totalNodeCount"].as_i64().expect("a number of nodes"),
    };
    if nodes < 3 {
        for (key, value) in [("clusterPurpose", "DevTest"), ("inferenceRouterHA", "false")] {
            plain.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    let distribution = there["properties"]["distribution"].as_str();
    if distribution.is_some_and(|it| it.eq_ignore_ascii_case("openshift")) {
        plain.insert("openshift".to_owned(), "true".to_owned());
    }
}

/// Certificate and key of two files under the keys of the chart; whether there are both.
fn pem(guarded: &mut Texts) -> bool {
    let both = [("sslCertPemFile", "scoringFe.sslCert"), ("sslKeyPemFile", "scoringFe.sslKey")];
    let all = both.iter().all(|(key, _)| guarded.contains_key(*key));
    for (key, chart) in both.iter().filter(|_| all) {
        let text = std::fs::read_to_string(&guarded[*key]).expect("a PEM file");
        guarded.insert((*chart).to_owned(), BASE64_STANDARD.encode(text));
    }
    all
}

fn tls(plain: &mut Texts, guarded: &mut Texts, ga: bool) {
    let insecure = plain.get("allowInsecureConnections");
    if insecure.is_some_and(|it| it.eq_ignore_ascii_case("true")) || pem(guarded) || !ga {
        return;
    }
    let secret = plain.get("sslSecret").expect("a certificate").clone();
    plain.insert("scoringFe.sslSecret".to_owned(), secret);
}

/// What the chart reads under names of its own.
fn copy_strings(guarded: &mut Texts) {
    for (from, to) in [
        ("relayServerConnectionString", "relayserver.relayConnectionString"),
        ("serviceBusConnectionString", "servicebus.connectionString"),
    ] {
        if let Some(text) = guarded.get(from).cloned() {
            guarded.entry(to.to_owned()).or_insert(text);
        }
    }
}
