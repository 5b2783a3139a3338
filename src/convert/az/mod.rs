//! `az` command lines → a manifest: what people have in their scripts and articles, read with the
//! errors that such texts have.
//!
//! Each slip is pointed out with what it was taken for; what only the reader can know
//! (`<your-subscription-id>`) becomes a variable with a default.

mod draft;
mod install;
mod lex;
mod options;
mod read;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::catalog::{self, ProfileName, RegistrationQuery};
use crate::source::{Diagnostic, Diagnostics, Place, Severity, Source, has_errors};

use crate::language::{Cluster, ClusterType, Profile};
use crate::language::{Dollars, to_yaml};

/// What an import found.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The manifest: one YAML document for each cluster.
    pub text: String,
    /// The same, as types; texts in them may still hold `${VAR}`.
    pub clusters: Vec<Cluster>,
    /// What was guessed, corrected or left out; no errors.
    pub findings: Diagnostics,
}

/// Reads commands of `az`, `oc` and `kubectl` and writes the manifest that says the same. Where the
/// commands fit both profiles, `profile` decides, else ga.
///
/// # Errors
/// All findings when one of them is an error: no command with a use (`az-nothing`), a part that
/// has to be said (`az-missing`), a value that has no meaning (`az-value`), more than a mebibyte of
/// text or 500 findings (`file-too-large`, `too-many-mistakes`).
pub fn import(source: &Arc<Source>, profile: Option<Profile>) -> Result<Imported, Diagnostics> {
    let mut findings =
        Findings { source: Arc::clone(source), list: Vec::new(), stand_ins: BTreeSet::new() };
    if source.text.len() > LONGEST_BYTES {
        let message = format!("`{}` has more than {LONGEST_BYTES} bytes", source.path.display());
        let help = "import the lines that set up clusters; what else a script does is not read";
        return Err(vec![Diagnostic::error("file-too-large", message).with_help(help)]);
    }
    let (items, slips) = lex::lex(&source.text);
    findings.slips(slips);
    let mut reader = read::Reader::new(&mut findings);
    for item in items {
        reader.item(item);
    }
    let drafts = reader.finish();
    let clusters = draft::finish(drafts, profile, &mut findings);
    if clusters.is_empty() && !has_errors(&findings.list) {
        let message = format!("no command that sets up a cluster in `{}`", source.path.display());
        let help = "give lines that start with `az k8s-extension create` or `az ml compute attach`";
        findings.list.push(Diagnostic::error("az-nothing", message).with_help(help));
    }
    findings.list.sort_by_key(|it| it.labels.first().map_or(usize::MAX, |it| it.place.span.start));
    if has_errors(&findings.list) {
        return Err(findings.list);
    }
    let head = |it: &draft::Finished| {
        let mut head = vec![format!("From `az` commands in {}.", source.path.display())];
        head.extend(it.head.iter().cloned());
        head
    };
    let texts: Vec<String> = clusters
        .iter()
        .map(|it| to_yaml(&it.cluster, &head(it), &it.notes, Dollars::AsWritten))
        .collect();
    let clusters = clusters.into_iter().map(|it| it.cluster).collect();
    Ok(Imported { text: texts.join("---\n"), clusters, findings: findings.list })
}

/// A fleet of a thousand clusters has half of it.
const LONGEST_BYTES: usize = 1 << 20;
/// Who has made more mistakes wants to know of the first ones.
const MAX_FINDINGS: usize = 500;

/// What was found, with its place.
struct Findings {
    source: Arc<Source>,
    list: Diagnostics,
    stand_ins: BTreeSet<String>,
}

impl Findings {
    fn push(
        &mut self,
        (code, severity): (&'static str, Severity),
        span: Range<usize>,
        message: String,
        help: &str,
    ) {
        // What was read may be shorter or longer than what was written, so a computed end can fall
        // inside a character or behind the text.
        let text = &self.source.text;
        let whole = |at: usize| {
            (at..text.len()).find(|it| text.is_char_boundary(*it)).unwrap_or(text.len())
        };
        let (start, end) = (whole(span.start), whole(span.end));
        let span = start.min(end)..end;
        if self.list.len() == MAX_FINDINGS {
            let message = format!("more than {MAX_FINDINGS} findings; the rest is not shown");
            let help = "mend the first ones; perhaps these are no command lines at all";
            self.list.push(Diagnostic::error("too-many-mistakes", message).with_help(help));
        }
        if self.list.len() > MAX_FINDINGS {
            return;
        }
        let place = Place { source: Arc::clone(&self.source), span };
        let finding = Diagnostic::new(code, severity, message).at(Some(place), "");
        self.list.push(if help.is_empty() { finding } else { finding.with_help(help) });
    }

    fn slips(&mut self, slips: Vec<lex::Slip>) {
        for slip in slips {
            self.push(("az-slip", Severity::Warning), slip.span, slip.message, "");
        }
    }

    /// A variable that stands for what only the reader knows; said once.
    fn stand_in(&mut self, variable: &str, span: Range<usize>, message: String, help: &str) {
        if self.stand_ins.insert(variable.to_owned()) {
            self.push(("az-placeholder", Severity::Advice), span, message, help);
        }
    }

    fn advice(&mut self, code: &'static str, span: Range<usize>, message: String) {
        self.push((code, Severity::Advice), span, message, "");
    }
}

/// Features and providers that a cluster's manifest needs registered when it names none itself.
#[must_use]
pub fn derived_registrations(cluster: &Cluster) -> (Vec<&'static str>, Vec<&'static str>) {
    let setting = |key: &str| {
        let extension = cluster.extension.as_ref()?;
        extension.configuration_settings.get(key).map(crate::language::Setting::wire)
    };
    let is = |key: &str, word: &str| setting(key).is_some_and(|it| it.eq_ignore_ascii_case(word));
    let brings = |key: &str| {
        cluster.extension.as_ref().is_some_and(|it| {
            it.configuration_protected_settings.contains_key(key)
                || it.configuration_settings.contains_key(key)
        })
    };
    let aks = cluster.cluster.kind == ClusterType::ManagedClusters;
    let profile =
        catalog_profile(cluster.extension.as_ref().map(|it| it.profile).unwrap_or_default());
    let extension = cluster.extension.is_some();
    let (relay, bus) = match profile {
        ProfileName::Preview => (true, true),
        ProfileName::Ga => {
            let relay = setting("relayserver.enabled").is_some() || !aks;
            let bus = setting("servicebus.enabled").is_some();
            (
                relay && !is("relayserver.enabled", "false"),
                bus && !is("servicebus.enabled", "false"),
            )
        }
    };
    let logs = is("logAnalyticsWS", "true") && !brings("azure_log_analytics.connection_string");
    let needed = catalog::registrations(&RegistrationQuery {
        profile,
        aks,
        extension,
        relay: extension && relay && !brings("relayServerConnectionString"),
        service_bus: extension && bus && !brings("serviceBusConnectionString"),
        log_analytics: extension && logs,
        computes: !cluster.computes.is_empty(),
    });
    let names = |list: Vec<catalog::Registration>| {
        list.into_iter().filter(|it| it.required).map(|it| it.name).collect()
    };
    (names(needed.features), names(needed.providers))
}

/// The catalog's word for a profile.
#[must_use]
pub const fn catalog_profile(profile: Profile) -> ProfileName {
    match profile {
        Profile::Ga => ProfileName::Ga,
        Profile::Preview => ProfileName::Preview,
    }
}

/// Users of the security context constraint that a cluster's manifest derives.
#[must_use]
pub fn derived_accounts(cluster: &Cluster) -> Vec<String> {
    let Some(extension) = &cluster.extension else { return Vec::new() };
    let namespaces: Vec<String> = cluster.computes.iter().map(|it| it.namespace.clone()).collect();
    let profile = catalog_profile(extension.profile);
    let accounts = catalog::service_accounts(profile, &extension.name, &namespaces);
    accounts
        .into_iter()
        .map(|(space, name)| format!("system:serviceaccount:{space}:{name}"))
        .collect()
}

type Notes = BTreeMap<String, String>;
