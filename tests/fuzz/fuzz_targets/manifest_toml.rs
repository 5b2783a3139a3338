//! Manifests in TOML.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| amlplan::fuzz::manifest_toml(input));
