//! Manifests in YAML.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| amlplan::fuzz::manifest(input));
