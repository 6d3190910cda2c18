#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cipherfn_tests::fuzz::target("frame_total").read(bytes));
