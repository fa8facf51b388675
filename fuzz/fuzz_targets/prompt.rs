//! See `tamis_fuzz::prompt`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tamis_fuzz::prompt(bytes));
