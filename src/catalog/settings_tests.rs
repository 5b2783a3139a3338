//! The catalog of settings holds together, and finds what is meant.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_setting_stands_once_and_names_only_settings() {
    let keys: BTreeSet<_> = settings().iter().map(|setting| setting.key.as_str()).collect();
    assert_eq!(keys.len(), settings().len());
    for fact in settings() {
        let others =
            fact.conflicts.iter().chain(fact.replaced_by.iter().filter_map(|it| it.key.as_ref()));
        for other in others {
            assert!(keys.contains(other.as_str()), "{} names {other}", fact.key);
        }
        for wrong in &fact.misspellings {
            assert!(setting(wrong).is_none(), "{wrong} is a setting");
            assert_eq!(fact.key.ends_with('*'), fact.prefix);
        }
        assert!(!fact.profiles.is_empty());
        let single = fact.profiles.len() == 1 && !fact.derived;
        if single && fact.documented {
            let known = fact.replaced_by.is_some();
            assert!(known, "{} says nothing for the other profile", fact.key);
        }
    }
}

#[test]
fn every_derived_key_is_a_setting_in_its_map() {
    for derived_fact in DERIVED.iter() {
        let fact = setting(&derived_fact.key).expect("a setting");
        assert_eq!(
            fact.protected,
            derived_fact.map == DerivedMap::Protected,
            "{}",
            derived_fact.key
        );
    }
    for setting_fact in settings().iter().filter(|setting| setting.derived && !setting.prefix) {
        assert!(
            DERIVED.iter().any(|d| d.key == setting_fact.key),
            "{} has no reason",
            setting_fact.key
        );
    }
}

#[test]
fn keys_find_the_fact_of_their_prefix() {
    for (key, fact) in [
        ("nodeSelector.sku", "nodeSelector.*"),
        ("workLoadToleration[12].key", "workLoadToleration[i].*"),
        ("scoringFe.resourcesEnvoy.limits.cpu", "scoringFe.resources*"),
        ("enableTraining", "enableTraining"),
    ] {
        assert_eq!(setting(key).map(|setting_fact| setting_fact.key.as_str()), Some(fact), "{key}");
    }
    for key in
        ["nodeSelector.", "workLoadToleration[].key", "workLoadToleration.key", "EnableTraining"]
    {
        assert!(setting(key).is_none(), "{key}");
    }
}

#[test]
fn wrong_spellings_lead_to_the_right_ones() {
    for (wrong, right) in [
        ("ssKeyPMFile", "sslKeyPemFile"),
        ("sslCertKeyFile", "sslKeyPemFile"),
        ("InferenceRouterHA", "inferenceRouterHA"),
        ("installPrometheusOperator", "installPromOp"),
        ("enabletraining", "enableTraining"),
        ("nodeselector.sku", "nodeSelector.sku"),
        ("workloadToleration[0].key", "workLoadToleration[0].key"),
        ("internalLbProvider", "internalLoadBalancerProvider"),
    ] {
        assert_eq!(suggest_setting(wrong).as_deref(), Some(right), "{wrong}");
    }
    assert_eq!(suggest_setting("somethingElse"), None);
}

#[test]
fn the_impact_of_a_change_has_a_direction() {
    use Impact::{DisruptsEndpoints, DisruptsJobs, DisruptsJobsAndEndpoints, NotInPlace, Safe};
    for (key, from, to, impact) in [
        ("enableTraining", Some("True"), Some("false"), DisruptsJobs),
        ("enableTraining", Some("True"), None, DisruptsJobs),
        ("enableTraining", None, Some("True"), Safe),
        ("enableTraining", Some("True"), Some("true"), Safe),
        ("enableInference", Some("True"), Some("False"), DisruptsEndpoints),
        ("installNvidiaDevicePlugin", None, Some("False"), Safe),
        ("installNvidiaDevicePlugin", Some("True"), None, DisruptsJobsAndEndpoints),
        ("nodeSelector.sku", Some("a"), None, NotInPlace),
        ("nodeSelector.sku", None, Some("a"), DisruptsJobsAndEndpoints),
        ("sslCname", Some("a.b"), Some("c.d"), DisruptsEndpoints),
        ("allowInsecureConnections", Some("True"), Some("False"), DisruptsEndpoints),
        ("allowInsecureConnections", None, Some("True"), DisruptsEndpoints),
        ("inferenceRouterServiceType", Some("NodePort"), Some("LoadBalancer"), DisruptsEndpoints),
        ("internalLoadBalancerProvider", None, Some("azure"), DisruptsEndpoints),
        ("scoringFe.serviceType.nodePort", None, Some("True"), DisruptsEndpoints),
        ("scoringFe.serviceType.nodePort", None, Some("False"), Safe),
        ("relayserver.enabled", Some("true"), Some("false"), DisruptsJobsAndEndpoints),
        ("servicebus.enabled", Some("true"), Some("false"), DisruptsJobsAndEndpoints),
        ("nginxIngress.enabled", Some("true"), Some("false"), DisruptsEndpoints),
        ("openshift", Some("true"), Some("false"), DisruptsJobsAndEndpoints),
        ("installVolcano", Some("true"), Some(""), Safe),
        ("enableTraining", Some("True"), Some(""), DisruptsJobs),
        ("sslSecret", Some("a"), Some("b"), Safe),
        ("installVolcano", None, Some("false"), DisruptsJobs),
        ("nobodyKnows", None, Some("x"), DisruptsJobsAndEndpoints),
    ] {
        assert_eq!(impact_of(ProfileName::Ga, key, from, to), impact, "{key} {from:?} {to:?}");
    }
    let preview = impact_of(ProfileName::Preview, "installNvidiaDevicePlugin", None, Some("False"));
    assert_eq!(preview, DisruptsJobsAndEndpoints);
}

/// What every change of every setting disturbs, for a person to read: a slip in the data is a
/// change that nobody is asked about.
#[test]
fn the_impact_of_every_setting_is_as_a_person_read_it() {
    let mut lines = String::new();
    for fact in settings() {
        let key = fact.key.replace('*', "x");
        for profile in [ProfileName::Ga, ProfileName::Preview] {
            let of = |from, to| impact_of(profile, &key, from, to).describe();
            let mut told = vec![format!("changed {}", of(Some("one"), Some("two")))];
            let values =
                ["true", "false"].into_iter().chain(fact.impact_to.keys().map(String::as_str));
            for value in values.collect::<BTreeSet<_>>() {
                told.push(format!("to {value} {}", of(Some("one"), Some(value))));
            }
            told.push(format!("removed {}", of(Some("one"), None)));
            let line = format!("{} ({profile:?}): {}\n", fact.key, told.join("; "));
            let both = line.replace("(Preview)", "(Ga)");
            // The preview is told of only where it differs.
            if profile == ProfileName::Ga || !lines.ends_with(&both) {
                lines.push_str(&line);
            }
        }
    }
    insta::assert_snapshot!(lines);
}
