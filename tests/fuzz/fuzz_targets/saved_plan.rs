//! Saved plans.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| amlplan::fuzz::saved_plan(input));
