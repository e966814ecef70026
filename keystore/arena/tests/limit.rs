//! A process that may lock little: keys are refused with the remedy, those it has go on working. It gives up the right to
//! lock without limit, so it has a process of its own; that right is a thread's, so there is one test.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use yika_arena::{Arena, ArenaError, Held, Stay};

#[test]
fn the_limit_on_locked_memory_is_an_error_and_not_the_end() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).unwrap();
    let limit = Rlimit { current: Some(256 * 1024), maximum: getrlimit(Resource::Memlock).maximum };
    setrlimit(Resource::Memlock, limit).unwrap();

    let kind = Arena::kind().unwrap();
    let mut keys = Vec::new();
    let error = loop {
        match Held::<[u64; 32]>::new_with(Stay::Lasting, |key| key.fill(keys.len() as u64)) {
            Ok(key) => keys.push(key),
            Err(error) => break error,
        }
        assert!(keys.len() < 10_000, "there was no limit");
    };
    assert!(matches!(error, ArenaError::Limit { limit_kib: 256, .. }), "{error} ({kind:?})");
    assert!(error.to_string().contains("ulimit -l"), "{error}");
    assert!(keys.len() > 100 && Arena::usage().locked_bytes <= 256 * 1024);
    assert!(keys.iter().enumerate().all(|(n, key)| key.iter().all(|&word| word == n as u64)));
    let mut brief = Held::<[u64; 32]>::brief();
    brief.fill(7);
    drop(keys.pop());
    assert!(Held::<[u64; 32]>::new_with(Stay::Lasting, |_| ()).is_ok(), "a place that was given back");
}
