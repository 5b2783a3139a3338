//! What commands share: loading, clients, snapshots. The one place that chooses between the
//! network and the simulator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::exit::{CommandFailure, Streams};
use super::select::Selection;
use super::shared::Global;
use super::signals::Interrupts;
use crate::catalog::ArmType;
use crate::client::arm::{self, Cloud, TokenSource};
use crate::client::kubernetes::KubeconfigFrom;
use crate::client::net::{NetworkOptions, Transport, clock};
use crate::language::{LoadOptions, Manifest, ProtectedSetting, Secrets};
use crate::model::{ArmId, Pointer};
use crate::observe::Clients;
use crate::render::progress::{self, ReadingLine};
use crate::resource::Snapshot;
use crate::resource::graph::{CloudRef, Desired, Scope};
use crate::source::{Diagnostic, Diagnostics, Severity};
use crate::{client::kubernetes, language, observe, resource::graph};
use amlplan_sandbox::{HeldSecret, Sandbox, SeedSecret, StateAccess};

/// What a command runs in.
pub(super) struct CommandContext {
    pub(super) global: Global,
    pub(super) out: Streams,
    pub(super) interrupts: Interrupts,
    /// Which clusters of the manifests the command is about.
    pub(super) select: Selection,
    /// What was seen of the steps that failed.
    pub(super) failures: super::evidence::Failures,
    /// How far reading is.
    asked: observe::Asked,
    sandbox: Option<Sandbox>,
    /// Digest of the manifests and the chosen clusters, those of other parts too.
    pub(super) about: OnceLock<String>,
    /// When the command began.
    pub(super) began: std::time::Instant,
}

/// The environment of the caller.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The simulator takes any credential; these only have to be well-formed.
fn sandbox_env(name: &str) -> Option<String> {
    match name {
        "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => Some(uuid::Uuid::nil().to_string()),
        "AZURE_CLIENT_SECRET" => Some("sandbox".to_owned()),
        _ => None,
    }
}

/// Now, for rules about dates; the only clock outside of waiting.
pub(super) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

impl CommandContext {
    /// `access` is what the command means to do with the simulated world.
    pub(super) fn new(
        global: &Global,
        out: Streams,
        interrupts: Interrupts,
        access: StateAccess,
    ) -> Result<Self, CommandFailure> {
        let open = |state: &PathBuf| {
            Sandbox::open(Some(state), global.sandbox_world.as_deref(), access)
                .map_err(|it| CommandFailure::error("sandbox-state", it.to_string()))
        };
        let sandbox = global.sandbox.as_ref().map(open).transpose()?;
        let select = Selection::default();
        Ok(Self {
            global: global.clone(),
            out,
            interrupts,
            select,
            failures: super::evidence::Failures::default(),
            asked: observe::Asked::default(),
            sandbox,
            about: OnceLock::new(),
            began: std::time::Instant::now(),
        })
    }

    /// What time it is in the world that is looked at.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.sandbox.as_ref().map_or_else(now, Sandbox::now)
    }

    /// Whether the world is the simulator's.
    pub(super) const fn simulated(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Saves the simulator's state.
    pub(super) fn close(&self) -> Result<(), CommandFailure> {
        let save = |sandbox: &Sandbox| sandbox.save();
        let saved = self.sandbox.as_ref().map(save).transpose();
        saved.map(|_| ()).map_err(|it| CommandFailure::error("sandbox-state", it.to_string()))
    }

    /// Loads and checks manifests; warnings are returned beside them.
    pub(super) fn load(
        &self,
        files: &[PathBuf],
    ) -> Result<(Manifest, Diagnostics), CommandFailure> {
        let (mut manifest, warnings) = self.load_whole(files)?;
        self.select.part(&mut manifest);
        Ok((manifest, warnings))
    }

    /// The same with the clusters of all parts.
    fn load_whole(&self, files: &[PathBuf]) -> Result<(Manifest, Diagnostics), CommandFailure> {
        let options = LoadOptions { env: &env, secrets: Secrets::Require };
        let (mut manifest, mut findings) = language::load_lenient(files, &options);
        findings.extend(language::rules::check(&manifest, self.now(), &self.global.trust()));
        if crate::source::has_errors(&findings) {
            // Advice can wait; validate shows both.
            findings.retain(|finding| finding.severity == Severity::Error);
            return Err(findings.into());
        }
        if let Some(sandbox) = &self.sandbox {
            sandbox.seed(&seed(&manifest));
        }
        self.select.narrow(&mut manifest)?;
        Ok((manifest, findings))
    }

    /// Clients for every scope. Nothing is sent yet, except to discover a custom cloud.
    pub(super) async fn clients(&self, desired: &Desired) -> Result<Clients, CommandFailure> {
        let mut clients = Clients { asked: self.asked.clone(), ..Clients::default() };
        let run = arm::RunId::new();
        let transport = self.transport()?;
        let mut readers: BTreeMap<(CloudRef, Option<String>), arm::ArmReader> = BTreeMap::new();
        for (name, scope) in &desired.scopes {
            let shared = (scope.cloud.clone(), scope.tenant.clone());
            if !readers.contains_key(&shared) {
                let cloud = self.cloud(name, scope, desired, &transport).await?;
                let token = self.token(scope, &cloud, &transport)?;
                let reader = arm::ArmReader::new(transport.clone(), cloud, token, run.clone());
                readers.insert(shared.clone(), reader);
            }
            clients.arm.insert(name.clone(), readers[&shared].clone());
            match self.cluster(scope, &readers[&shared], &transport).await {
                Ok(Some(reader)) => {
                    clients.clusters.insert(name.clone(), reader);
                }
                Ok(None) => {}
                Err(error) => {
                    clients.closed.insert(name.clone(), observe::no_client(name, &error));
                }
            }
        }
        Ok(clients)
    }

    /// The cloud of a scope, whatever named it: a manifest, or a plan file that may have been
    /// edited. Credentials go to no host that [`Trust`](crate::model::Trust) did not let through.
    async fn cloud(
        &self,
        name: &str,
        scope: &Scope,
        desired: &Desired,
        transport: &Transport,
    ) -> Result<Cloud, CommandFailure> {
        let wanted = &scope.cloud;
        let Some(resource_manager) = &wanted.resource_manager else {
            return Cloud::named(&wanted.name).ok_or_else(|| {
                CommandFailure::error(
                    "unknown-cloud",
                    format!("there is no cloud `{}`", wanted.name),
                )
            });
        };
        let trust = self.global.trust();
        let origin = |address: &str, at: &str| {
            trust.origin(address).map_err(|untrusted| {
                let place = desired.origins.get(name);
                let place = place.and_then(|it| it.value(&Pointer::parse("/azure/cloud").join(at)));
                Diagnostic::error(untrusted.code(), format!("{name}: {untrusted}"))
                    .with_help(untrusted.help())
                    .at(place, "named here")
            })
        };
        let resource_manager = origin(resource_manager, "resourceManager")?;
        let authority = wanted.authority.as_ref().map(|it| origin(it, "authority")).transpose()?;
        if let (Some(authority), Some(audience)) = (&authority, &wanted.audience) {
            let authority = authority.clone();
            return Ok(Cloud::custom(&wanted.name, resource_manager, authority, audience));
        }
        let found = Cloud::discover(transport, &resource_manager, &trust).await;
        let found = found.map_err(|api_error| CommandFailure::of("cloud-metadata", &api_error))?;
        let authority = authority.unwrap_or(found.authority);
        let audience = wanted.audience.as_ref().unwrap_or(&found.audience);
        let vaults = found.vaults;
        let cloud = Cloud::custom(&wanted.name, resource_manager, authority, audience);
        Ok(Cloud { vaults, ..cloud })
    }

    fn transport(&self) -> Result<Transport, CommandFailure> {
        if let Some(sandbox) = &self.sandbox {
            return Ok(Transport::InProcess(sandbox.router()));
        }
        self.network()
    }

    /// The real network, whatever the world is.
    pub(super) fn network(&self) -> Result<Transport, CommandFailure> {
        let ca_file = env("AMLPLAN_CA_FILE").or_else(|| env("SSL_CERT_FILE")).map(PathBuf::from);
        let options = NetworkOptions { ca_file, ..NetworkOptions::default() };
        Transport::network(&options).map_err(|it| CommandFailure::error("network", it.to_string()))
    }

    fn token(
        &self,
        scope: &Scope,
        cloud: &Cloud,
        transport: &Transport,
    ) -> Result<TokenSource, CommandFailure> {
        let simulated = self.sandbox.is_some();
        let auth = if simulated { arm::Auth::Secret } else { self.global.auth.into() };
        let surroundings: &dyn Fn(&str) -> Option<String> =
            if simulated { &sandbox_env } else { &env };
        let tenant = scope.tenant.as_deref();
        let (token, why) = TokenSource::choose(auth, surroundings, tenant, cloud, transport)
            .map_err(|auth_error| CommandFailure::error("sign-in", auth_error.to_string()))?;
        if !simulated && self.global.verbose > 0 {
            self.out.note(&why);
        }
        Ok(token)
    }

    async fn cluster(
        &self,
        scope: &Scope,
        arm: &arm::ArmReader,
        transport: &Transport,
    ) -> Result<Option<kubernetes::KubeReader>, kubernetes::ApiError> {
        let Some(access) = scope.cluster.as_ref().filter(|cluster| cluster.kubernetes) else {
            return Ok(None);
        };
        if access.handed_out {
            let version = ArmType::MANAGED_CLUSTERS.api_version;
            return Ok(Some(kubernetes::KubeReader::handed_out(arm, &access.id, version)));
        }
        if self.sandbox.is_some() {
            let base = sandbox_base(&access.id);
            return Ok(Some(kubernetes::KubeReader::over(
                transport.clone(),
                &base,
                "sandbox-admin",
            )));
        }
        let options = kubernetes::ConnectOptions {
            kubeconfig: access
                .kubeconfig
                .clone()
                .map_or_else(Default::default, KubeconfigFrom::File),
            obtain: Some(obtain(&access.id)),
            context: access.context.clone(),
        };
        kubernetes::KubeReader::connect(&options).await.map(Some)
    }

    /// Everything live that the desired state is about.
    pub(super) async fn snapshot(&self, desired: &Desired, clients: &Clients) -> Snapshot {
        self.snapshot_and_lists(desired, clients, None).await
    }

    /// The same with the lists of a search.
    async fn snapshot_and_lists(
        &self,
        desired: &Desired,
        clients: &Clients,
        searched: Option<&mut observe::Searched>,
    ) -> Snapshot {
        let parallelism = self.global.read_parallelism.get();
        let desired = desired.with_orphans();
        let reading = observe::snapshot(&desired, clients, parallelism, searched);
        self.patiently(reading).await
    }

    /// Finds out which secrets vaults and clusters hold now. A resource whose secret cannot be read
    /// cannot be compared.
    pub(super) async fn secrets(
        &self,
        desired: &mut Desired,
        clients: &Clients,
        live: &mut Snapshot,
    ) {
        let parallelism = self.global.read_parallelism.get();
        let reading = observe::secrets(desired, clients, parallelism);
        for (key, error) in self.patiently(reading).await {
            live.live.remove(&key);
            live.unread.entry(key).or_insert(error);
        }
    }

    /// Does some reading, and shows how far it is: on a terminal in a line that moves, from half a
    /// second of the run on; elsewhere whom it waits for when nobody answers for a while. The
    /// simulator's time is virtual, so that nobody waits for it.
    pub(super) async fn patiently<T>(&self, reading: impl Future<Output = T>) -> T {
        const SILENCE: Duration = Duration::from_secs(5);
        const TICK: Duration = Duration::from_millis(100);
        // What is over at once must not flicker; cargo waits as long.
        const SHOWN_FROM: Duration = Duration::from_millis(500);
        if self.simulated() {
            return reading.await;
        }
        tokio::pin!(reading);
        let live = self.out.live();
        let pause = if live { TICK } else { SILENCE };
        let (mut answers, mut silent) = (self.asked.state().answers, Duration::ZERO);
        let (mut line, mut told) = (None, Vec::new());
        loop {
            tokio::select! {
                biased;
                done = &mut reading => return done,
                () = clock::sleep(pause) => {}
            }
            let now = self.asked.state();
            silent = if now.answers == answers { silent + pause } else { Duration::ZERO };
            answers = now.answers;
            let quiet = (silent >= SILENCE && !now.waiting.is_empty()).then_some(silent);
            let elapsed = self.began.elapsed();
            if live && elapsed >= SHOWN_FROM {
                let line = line.get_or_insert_with(ReadingLine::new);
                line.show(&now, quiet, elapsed);
            } else if let Some(quiet) = quiet.filter(|_| !live && now.waiting != told) {
                let silence = progress::silence(&now.waiting, quiet);
                self.out.note(&format!("Signing in or reading: {silence}"));
                told = now.waiting;
            }
        }
    }

    /// Manifest to snapshot, and what the manifest made and no longer names.
    pub(super) async fn observe_all(
        &self,
        files: &[PathBuf],
        targets: &[String],
        reverse: bool,
    ) -> Result<Observed, CommandFailure> {
        let mut searched = targets.is_empty().then(observe::Searched::default);
        let mut observed = self.observing(files, targets, reverse, searched.as_mut()).await?;
        let Observed { desired, clients, live, warnings } = &mut observed;
        if let Some(searched) = searched {
            let parallelism = self.global.read_parallelism.get();
            let searching = observe::search(desired, live, clients, parallelism, searched);
            let failed = self.patiently(searching).await;
            warnings.extend(failed.into_iter().map(|error| {
                let message = format!("not searched for what is no longer declared: {error}");
                let may = "a Reader of the resource group and the subscription may look";
                let help = error.help.unwrap_or_else(|| may.to_owned());
                Diagnostic::warning("orphans-unknown", message)
                    .with_help(format!("nothing there is removed; {help}"))
            }));
        }
        Ok(observed)
    }

    /// Manifest, desired state, clients and snapshot: the beginning of every command.
    pub(super) async fn observe(
        &self,
        files: &[PathBuf],
        targets: &[String],
        reverse: bool,
    ) -> Result<Observed, CommandFailure> {
        self.observing(files, targets, reverse, None).await
    }

    async fn observing(
        &self,
        files: &[PathBuf],
        targets: &[String],
        reverse: bool,
        searched: Option<&mut observe::Searched>,
    ) -> Result<Observed, CommandFailure> {
        let (mut manifest, warnings) = self.load_whole(files)?;
        // Set again by a command that observes twice, to the same.
        let _ = self.about.set(super::select::digest(&manifest));
        let mut whole = graph::build(&manifest)?;
        if self.select.shard.is_some() {
            self.select.part(&mut manifest);
            whole = self.select.owned(graph::build(&manifest)?, whole);
        }
        let mut desired = whole.targeted(targets, reverse);
        if let Some(target) = targets.iter().find(|it| !whole.nodes.keys().any(|k| k.matches(it))) {
            let message = format!("no resource of the manifest has the address `{target}`");
            return Err(Diagnostic::error("unknown-target", message)
                .with_help("`amlplan graph --format json` lists the addresses")
                .into());
        }
        let clients = self.patiently(self.clients(&desired)).await?;
        let mut live = self.snapshot_and_lists(&desired, &clients, searched).await;
        if !reverse {
            self.secrets(&mut desired, &clients, &mut live).await;
        }
        Ok(Observed { desired, clients, live, warnings })
    }
}

/// What every command that looks at the world begins with.
pub(super) struct Observed {
    pub(super) desired: Desired,
    pub(super) clients: Clients,
    pub(super) live: Snapshot,
    pub(super) warnings: Diagnostics,
}

/// The command that writes a kubeconfig for this cluster.
fn obtain(id: &ArmId) -> String {
    let group = id.resource_group().unwrap_or_default();
    let place = format!("--subscription {} --resource-group {group} --name", id.subscription());
    let name = id.name();
    if id.resource_type().eq_ignore_ascii_case("Microsoft.Kubernetes/connectedClusters") {
        format!("`oc login`, or `az connectedk8s proxy {place} {name}` while amlplan runs")
    } else {
        format!(
            "`az aks get-credentials {place} {name}` writes one, and with `cluster.credentials: azure` amlplan asks for it"
        )
    }
}

/// Where the simulator serves the Kubernetes API of a cluster.
fn sandbox_base(id: &ArmId) -> String {
    let group = id.resource_group().unwrap_or_default();
    format!("/kubernetes/{}/{group}/{}", id.subscription(), id.name())
}

/// What a manifest presupposes: cluster, workspaces, identities, the Secrets it names.
pub(super) fn seed(manifest: &Manifest) -> amlplan_sandbox::Seed {
    const LOCATION: &str = "westeurope";
    let mut seed = amlplan_sandbox::Seed::default();
    let subscription = |seed: &mut amlplan_sandbox::Seed, id: &str| {
        if !seed.subscriptions.iter().any(|subscription| subscription == id) {
            seed.subscriptions.push(id.to_owned());
        }
    };
    for declared in &manifest.clusters {
        let spec = &declared.spec;
        let azure = &spec.azure;
        if let Some(tenant) = &azure.tenant {
            seed.tenant.get_or_insert_with(|| tenant.clone());
        }
        subscription(&mut seed, &azure.subscription);
        let own = (azure.subscription.clone(), azure.resource_group.clone(), LOCATION.to_owned());
        seed.resource_groups.push(own);
        let (secrets, vaults) = secrets(spec);
        seed.vault_secrets.extend(vaults);
        seed.clusters.push(amlplan_sandbox::SeedCluster {
            subscription: azure.subscription.clone(),
            resource_group: azure.resource_group.clone(),
            name: spec.cluster.name.clone(),
            kind: spec.cluster.kind.as_str().to_owned(),
            distribution: spec.cluster.distribution.clone(),
            location: LOCATION.to_owned(),
            issuer: !spec.federated_identity_credentials.is_empty(),
            secrets,
        });
        for compute in &spec.computes {
            let place = &compute.workspace;
            let group = place.resource_group.as_ref().unwrap_or(&azure.resource_group).clone();
            let own = place.subscription.as_ref().unwrap_or(&azure.subscription).clone();
            subscription(&mut seed, &own);
            seed.resource_groups.push((own.clone(), group.clone(), LOCATION.to_owned()));
            seed.workspaces.push((own, group, place.name.clone(), LOCATION.to_owned()));
        }
        for id in spec.identities().into_iter().filter_map(|identity| ArmId::parse(identity).ok()) {
            subscription(&mut seed, id.subscription());
            let group = id.resource_group().unwrap_or_default().to_owned();
            seed.resource_groups.push((id.subscription().to_owned(), group, LOCATION.to_owned()));
            seed.identities.push(id.to_string());
        }
        for assignment in &spec.role_assignments {
            if let Ok(id) = ArmId::parse(&assignment.scope) {
                subscription(&mut seed, id.subscription());
                if let Some(group) = id.resource_group() {
                    let group = (id.subscription().to_owned(), group.to_owned(), LOCATION.into());
                    seed.resource_groups.push(group);
                }
                if !id.resource_type().is_empty() {
                    seed.resources.push(id.to_string());
                }
            }
        }
    }
    seed
}

/// The secrets that a cluster's manifest expects in the cluster, and in key vaults.
fn secrets(spec: &language::ClusterSpec) -> (Vec<SeedSecret>, Vec<SeedSecret>) {
    let (mut own, mut vaults) = (Vec::<SeedSecret>::new(), Vec::<SeedSecret>::new());
    let mut expect = |vault: bool, at: String, name: &str, key: &str, held: HeldSecret| {
        let all = if vault { &mut vaults } else { &mut own };
        let known = all.iter().position(|it| it.at == at && it.name == name);
        let known = known.unwrap_or_else(|| {
            all.push(SeedSecret { at, name: name.to_owned(), data: Vec::new() });
            all.len() - 1
        });
        let data = &mut all[known].data;
        match data.iter_mut().find(|it| it.0 == key) {
            Some(pair) if pair.1 != held => pair.1 = HeldSecret::Both,
            Some(_) => {}
            None => data.push((key.to_owned(), held)),
        }
    };
    let Some(extension) = &spec.extension else { return (own, vaults) };
    if let Some(secret) = extension.configuration_settings.get("sslSecret") {
        for (key, held) in
            [("cert.pem", HeldSecret::Certificate), ("key.pem", HeldSecret::PrivateKey)]
        {
            expect(false, "azureml".to_owned(), &secret.wire(), key, held);
        }
    }
    for (setting, value) in &extension.configuration_protected_settings {
        let held = match language::PEM_SETTINGS.iter().position(|text| text == setting) {
            Some(0) => HeldSecret::Certificate,
            Some(_) => HeldSecret::PrivateKey,
            None => HeldSecret::Text,
        };
        match value {
            ProtectedSetting::FromSecret { from_secret: secret_key } => {
                expect(
                    false,
                    secret_key.namespace.clone(),
                    &secret_key.name,
                    &secret_key.key,
                    held,
                );
            }
            ProtectedSetting::FromKeyVault { from_key_vault: vault_secret } => {
                let azure = &spec.azure;
                let vault = format!(
                    "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.KeyVault/vaults/{}",
                    azure.subscription, azure.resource_group, vault_secret.vault
                );
                expect(true, vault, &vault_secret.secret, "", held);
            }
            ProtectedSetting::Text(_)
            | ProtectedSetting::FromEnv { .. }
            | ProtectedSetting::FromFile { .. } => {}
        }
    }
    (own, vaults)
}
