#![no_main]

use libfuzzer_sys::Corpus;

// Longer ones are mostly more of the same, and slow the search down.
libfuzzer_sys::fuzz_target!(|input: &[u8]| -> Corpus {
    if input.len() > 64 {
        return Corpus::Reject;
    }
    oracles::target::lines_of_fields(input);
    Corpus::Keep
});
