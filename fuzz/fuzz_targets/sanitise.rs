//! Names that strangers give to files.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_store::fuzz::sanitise(input));
