//! Searches, with libFuzzer, for bytes that break what should hold for one target, named in `FUZZ_TARGET`. `scripts/fuzz` builds and
//! runs it.
#![no_main]

use std::sync::LazyLock;

use leasehold_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    Target::named(&name).unwrap_or_else(|| panic!("there is no target {name:?}"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
