//! A declared cluster as the rules look at it: places by path, settings by key.

use crate::catalog::{self, ProfileName};
use crate::language::{ClusterType, Declared, ExtensionSpec, Profile, Setting, suggest};
use crate::model::Pointer;
use crate::source::Place;

/// One cluster under examination.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub cluster: &'a Declared,
}

impl<'a> View<'a> {
    /// The place of the value at a JSON pointer, or of what is nearest around it.
    pub(super) fn value(self, path: &str) -> Option<Place> {
        self.cluster.origin.value(&Pointer::parse(path))
    }

    /// The place of the key at a JSON pointer.
    pub(super) fn key(self, path: &str) -> Option<Place> {
        self.cluster.origin.key(&Pointer::parse(path))
    }

    /// Whether the manifest says anything at a JSON pointer.
    pub(super) fn written(self, path: &str) -> bool {
        self.cluster.origin.is_written(&Pointer::parse(path))
    }

    /// Whether Kubernetes says it is OpenShift, as far as the manifest tells.
    pub(super) fn family(self) -> DistributionFamily {
        if self.cluster.cluster.kind == ClusterType::ManagedClusters {
            return DistributionFamily::Aks;
        }
        match self.cluster.cluster.distribution.as_deref().map(str::to_ascii_lowercase) {
            None => DistributionFamily::Unknown,
            Some(text) if text == "openshift" => DistributionFamily::OpenShift,
            Some(text) if text.starts_with("aks") => DistributionFamily::Aks,
            Some(_) => DistributionFamily::Other,
        }
    }

    /// The extension with its settings.
    pub(super) fn settings(self) -> Option<Settings<'a>> {
        let extension = self.cluster.spec.extension.as_ref()?;
        Some(Settings { view: self, extension })
    }
}

/// What kind of Kubernetes a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DistributionFamily {
    /// AKS in one of its forms, in Azure or through Arc.
    Aks,
    /// ARO or OCP.
    OpenShift,
    /// Something else.
    Other,
    /// The manifest does not say.
    Unknown,
}

/// The settings of an extension.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    pub view: View<'a>,
    pub extension: &'a ExtensionSpec,
}

impl<'a> Settings<'a> {
    /// The profile in the catalog's words.
    pub(super) fn profile(self) -> ProfileName {
        match self.extension.profile {
            Profile::Ga => ProfileName::Ga,
            Profile::Preview => ProfileName::Preview,
        }
    }

    pub(super) fn is_ga(self) -> bool {
        self.extension.profile == Profile::Ga
    }

    pub(super) fn get(self, key: &str) -> Option<&'a Setting> {
        self.extension.configuration_settings.get(key)
    }

    /// The value that travels; empty where the setting is not there.
    pub(super) fn wire(self, key: &str) -> String {
        self.get(key).map(Setting::wire).unwrap_or_default()
    }

    /// The same in lower case.
    pub(super) fn word(self, key: &str) -> String {
        self.wire(key).to_ascii_lowercase()
    }

    pub(super) fn is_true(self, key: &str) -> bool {
        self.get(key).is_some_and(Setting::is_true)
    }

    pub(super) fn is_protected(self, key: &str) -> bool {
        self.extension.configuration_protected_settings.contains_key(key)
    }

    /// Whether a setting is given and not blanked out, in either map.
    pub(super) fn given(self, key: &str) -> bool {
        self.get(key).is_some_and(|setting| !setting.wire().is_empty()) || self.is_protected(key)
    }

    /// The setting that an unknown key probably means.
    pub(super) fn meant(self, key: &str) -> Option<String> {
        let nearest = |own: bool| {
            let known = catalog::settings().iter().filter(|setting_fact| !setting_fact.prefix);
            let known = known.filter(|it| !own || it.in_profile(self.profile()));
            suggest::nearest(key, known.map(|it| it.key.as_str())).map(str::to_owned)
        };
        catalog::suggest_setting(key).or_else(|| nearest(true)).or_else(|| nearest(false))
    }

    /// Whether somebody wrote this setting, though perhaps misspelled, in the wrong map or with a
    /// value that is none: those mistakes are reported by themselves.
    pub(super) fn attempted(self, key: &str) -> bool {
        let plain = &self.extension.configuration_settings;
        let protected = &self.extension.configuration_protected_settings;
        let mut unknown =
            plain.keys().chain(protected.keys()).filter(|text| catalog::setting(text).is_none());
        plain.contains_key(key)
            || protected.contains_key(key)
            || unknown.any(|text| self.meant(text).is_some_and(|meant| meant == key))
    }

    /// Whether a boolean is true, or would be if it were written right.
    pub(super) fn seems_true(self, key: &str) -> bool {
        let word = self.word(key);
        let plainly_false = self.get(key).is_some() && matches!(word.as_str(), "false" | "");
        self.attempted(key) && !plainly_false
    }

    pub(super) fn inference(self) -> bool {
        self.is_true("enableInference")
    }

    pub(super) fn insecure(self) -> bool {
        self.is_true("allowInsecureConnections")
    }

    pub(super) fn pem(self) -> bool {
        self.is_protected("sslCertPemFile") && self.is_protected("sslKeyPemFile")
    }

    /// The place of a setting's value, in whichever map it stands.
    pub(super) fn place(self, key: &str) -> Option<Place> {
        self.view.cluster.origin.value(&self.pointer(key))
    }

    /// The place of a setting's key.
    pub(super) fn key_place(self, key: &str) -> Option<Place> {
        self.view.cluster.origin.key(&self.pointer(key))
    }

    fn pointer(self, key: &str) -> Pointer {
        let map = if self.extension.configuration_settings.contains_key(key) {
            "configurationSettings"
        } else if self.is_protected(key) {
            "configurationProtectedSettings"
        } else {
            return Pointer::parse("/extension/configurationSettings");
        };
        ["extension", map, key].into_iter().collect()
    }

    /// The place of a key in the map of protected settings, also where both have it.
    pub(super) fn protected_place(self, key: &str) -> Option<Place> {
        let at = ["extension", "configurationProtectedSettings", key].into_iter().collect();
        self.view.cluster.origin.key(&at)
    }
}
