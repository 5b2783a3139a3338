//! Command lines of az.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| amlplan::fuzz::az_lines(input));
