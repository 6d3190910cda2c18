#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cipherfn_tests::fuzz::target("public_query").read(bytes));
