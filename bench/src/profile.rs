//! Where the time of a payment goes: `perf record` of the switch at 64 x 16, each sample of its main thread given to the innermost
//! part of the program in its stack. The stacks need frame pointers: `cargo xtask bench profile` builds with them.

use crate::error::BenchError;
use crate::place::Place;
use crate::process::perf;
use crate::report::{Report, Row};
use crate::stage::{CONNECTIONS, Load, Run, Scene, Times, Watch};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

/// Parts of a payment on the main thread, and a piece of the functions' names that they are: the first that fits the innermost
/// frame that any fits.
const PARTS: [(&str, &[&str]); 12] = [
    ("core: absorbing entries, where the tables are", &["Durable>::absorb"]),
    ("core: encoding entries", &["Batch::record"]),
    ("core: the rest of apply", &["Core::apply"]),
    ("requests out: encode, PIN, MAC", &["wire::write_request"]),
    ("answers out: encode, MAC", &["Driver>::reply", "wire::write_re"]),
    ("requests in: facts, custody, card token", &["facts::facts"]),
    ("requests in: frames, decode, MAC", &["Driver::session_bytes"]),
    ("answers of banks: frames, decode, MAC", &["Driver::line_bytes"]),
    ("queues of events, released effects", &["Driver::turn"]),
    ("system calls: receive", &["__sys_recvfrom", "libc_recv"]),
    ("system calls: send", &["__sys_sendto", "__send"]),
    ("system calls: wait", &["epoll_wait", "epoll_pwait"]),
];
/// The C library has no frame pointers: whoever called it is not in the stack.
const MEMORY: (&str, &[&str]) =
    ("malloc, free, copies, whoever asked for them", &["alloc", "free", "unlink_chunk", "__mem"]);
const REST: &str = "runtime, and what fits nowhere";

pub(crate) fn run(place: &Place, quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let measured = Duration::from_secs(if quick { 3 } else { 8 });
    let times = Times { warm_up: Duration::from_secs(1), measured };
    let load = Load::Window { connections: CONNECTIONS, outstanding: 16 };
    let samples = place.path("perf.data");
    let scene = Scene { watch: Watch::Samples(samples.clone()), ..Scene::new(times, load) };
    let played = scene.play(place)?;
    let counts = count(&stacks(&samples)?)?;
    rows(&played, &counts, report);
    Ok(())
}

/// One line for each frame, its address and name, innermost first, and an empty one after each stack: of the thread called `yika`.
fn stacks(samples: &Path) -> Result<String, BenchError> {
    let arguments = ["script", "--comms", "yika", "-F", "ip,sym", "-i"].map(OsStr::new);
    let said = perf(&[&arguments[..], &[samples.as_os_str()]].concat())?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Samples of each part, then those of `MEMORY` alone, and last those of nothing.
fn count(stacks: &str) -> Result<[u64; PARTS.len() + 2], BenchError> {
    let mut counts = [0; PARTS.len() + 2];
    let mut framed = false;
    for stack in stacks.split("\n\n").filter(|stack| !stack.trim().is_empty()) {
        let part = stack.lines().find_map(part_of);
        framed |= part.is_some();
        counts[part.unwrap_or_else(|| PARTS.len() + usize::from(!is_memory(stack)))] += 1;
    }
    if !framed {
        let why = "no sample has a function of the switch in its stack; run it as `cargo xtask bench profile`, which builds with \
                   frame pointers, where perf may record (kernel.perf_event_paranoid)";
        return Err(BenchError::setup("a profile")(&why));
    }
    Ok(counts)
}

fn part_of(frame: &str) -> Option<usize> {
    PARTS.iter().position(|(_, names)| names.iter().any(|name| frame.contains(name)))
}

fn is_memory(stack: &str) -> bool {
    MEMORY.1.iter().any(|name| stack.contains(name))
}

fn rows(played: &Run, counts: &[u64], report: &mut Report) {
    let samples = counts.iter().sum::<u64>().max(1);
    let main_us = played.thread_us("yika");
    let mut add = |what: &str, us: f64, beside: String| {
        report.add(Row::new("profile", what, us, "us").beside(beside));
    };
    add("the switch", played.cpu_us(), format!("CPU a payment; {}", played.load.text()));
    add("main thread", main_us, format!("{samples} samples"));
    let labels = PARTS.iter().map(|(label, _)| *label).chain([MEMORY.0, REST]);
    for (label, count) in labels.zip(counts) {
        let share = *count as f64 / samples as f64;
        add(&format!("- {label}"), main_us * share, format!("{:.1} % of it", share * 100.0));
    }
    for thread in ["sender", "journal", "segments"] {
        add(&format!("thread {thread}"), played.thread_us(thread), String::new());
    }
    for (who, us) in played.others_us() {
        add(&format!("beside it: {who}"), us, "on the same cores".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_innermost_part_of_its_stack() {
        let absorb = "__memmove\nyika_switch::core::absorb::<impl yika_switch::core::durable::Durable>::absorb\n\
                      yika_switch::core::batch::Batch::record\nyika_switch::core::Core::apply\nyika_switch::driver::Driver::turn";
        let send = "tcp_sendmsg\n__sys_sendto\nyika_switch::net::serve::turn";
        let counts =
            count(&format!("{absorb}\n\n{send}\n\n{absorb}\n\n[unknown]\n\n_int_malloc\n\n")).unwrap();
        assert_eq!((counts[0], counts[10]), (2, 1));
        assert_eq!(counts[PARTS.len()..], [1, 1]);
        assert_eq!(counts.iter().sum::<u64>(), 5);
        assert!(count("[unknown]\n[unknown]\n\n").is_err(), "a profile of nothing is none");
    }
}
