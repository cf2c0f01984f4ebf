//! Messages of the supernode overlay.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::supernode::fuzz::supernode_message(input));
