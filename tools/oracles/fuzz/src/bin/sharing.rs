#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracles::sharing::check(input));
