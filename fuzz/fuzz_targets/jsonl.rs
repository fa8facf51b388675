//! See `tamis_fuzz::jsonl`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamis_fuzz::jsonl(bytes));
