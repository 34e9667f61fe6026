#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracles::target::keystone_answer(input));
