//! Calm load for a long time: what a process takes and how fast it answers have to stay what they were.

use crate::options::Options;
use crate::round::counted;
use crate::traffic::Traffic;
use crate::verdict::{Figure, judge};
use crate::world::World;
use serde_json::json;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use yika_tests::city::Settings;
use yika_tests::process::passes;
use yika_tests::small_disk::free_bytes;

/// What a bank takes, and what it declines.
const SCRIPT: &str = "decline=2%,delay=exp:1ms";
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// In each interval a block is made durable beside the switch so many times: how fast is the disk by itself?
const PROBES: u32 = 40;
const BLOCK: [u8; 4096] = [0x33; 4096];
/// A shorter run takes at least so many samples, more often.
const SAMPLES_MIN: u32 = 12;
/// The shortest dedupe window there is, in seconds; kept payments are bounded to one and a half of it.
const WINDOW_S: u64 = 60;
/// Window and kept payments have been full several times by then: measured, memory takes its last step before 300 s. A run
/// that is not twice as long says nothing about memory.
const FULL_AFTER: Duration = Duration::from_secs(300);
/// The run ends before it takes the last of the disk.
const FREE_BYTES_MIN: u64 = 2 << 30;
const MIB: f64 = (1 << 20) as f64;

/// One interval.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at_s: f64,
    pub(crate) payments: u64,
    pub(crate) memory_mib: f64,
    pub(crate) descriptors: Option<u64>,
    pub(crate) threads: u64,
    /// Of its files, spare segments included.
    pub(crate) journal_bytes: u64,
    /// Of entries alone.
    pub(crate) entry_bytes: u64,
    pub(crate) commits: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// What one block took to become durable beside it, 90 % of them.
    pub(crate) sync_ms: f64,
}

pub(crate) fn run(folder: &Path, options: &Options) -> Result<(), String> {
    let originals_max = options.rate_per_s * WINDOW_S * 3 / 2;
    let limits = format!("dedupe_window = \"{WINDOW_S}s\"\noriginals_max = {originals_max}");
    let settings = Settings { keyed: true, limits, ..Settings::default() };
    let mut world = World::open(&folder.join("world"), SCRIPT, &settings, false)?;
    let traffic = Traffic::begin(&world.city, options.rate_per_s, options.seed)?;
    let samples = sampled(&world, &traffic, options)?;
    let flowed = traffic.stop()?;
    let rest = match world.rests(&flowed) {
        Ok(rest) => rest,
        Err(why) => {
            world.keep();
            return Err(why);
        }
    };
    let figures = judge(&samples, options.length, FULL_AFTER);
    let skipped: u64 = flowed.reports.iter().map(|report| report.totals.skipped).sum();
    let (payments, rate) = (flowed.payments(), flowed.payments() as f64 / flowed.time.as_secs_f64());
    if options.json {
        let figures: Vec<_> = figures.iter().map(Figure::json).collect();
        println!(
            "{}",
            json!({ "version": 1, "payments": payments, "rate_per_s": rate, "skipped": skipped,
                    "unaccounted_fen": rest.unaccounted_fen, "figures": figures,
                    "samples": samples.iter().map(Sample::json).collect::<Vec<_>>() })
        );
    } else {
        println!("\n{}", Figure::header());
        figures.iter().for_each(|figure| println!("{figure}"));
        println!(
            "{payments} payments, {rate:.0}/s of {}/s, {skipped} skipped; unaccounted {} fen; the journal is good",
            options.rate_per_s, rest.unaccounted_fen
        );
    }
    world.close()?;
    let grown: Vec<_> = figures.iter().filter(|figure| !figure.holds()).map(|figure| figure.name).collect();
    if grown.is_empty() { Ok(()) } else { Err(format!("not flat: {}", grown.join(", "))) }
}

fn sampled(world: &World, traffic: &Traffic, options: &Options) -> Result<Vec<Sample>, String> {
    let (began, every) = (Instant::now(), SAMPLE_EVERY.min(options.length / SAMPLES_MIN));
    traffic.flows(1)?;
    options.tell(&Sample::header());
    let mut probe = Probe::beside(world)?;
    let (mut samples, mut due) = (Vec::new(), every);
    while due <= options.length {
        let sync_ms = probe.until(began + due, every)?;
        due += every;
        let latencies = traffic.interval().ok_or("the load has ended by itself")?.percentiles();
        if latencies.count == 0 {
            return Err(format!("no payment ended in {every:?}; its log: {}", world.yika().log()));
        }
        let (entry_bytes, commits) = world.journal_counts()?;
        let sample = Sample {
            at_s: began.elapsed().as_secs_f64(),
            payments: latencies.count,
            memory_mib: world.yika().memory_kib() as f64 / 1024.0,
            descriptors: world.yika().descriptors(),
            threads: world.yika().threads(),
            journal_bytes: world.journal_bytes(),
            entry_bytes,
            commits,
            p50_ms: latencies.p50_ms,
            p99_ms: latencies.p99_ms,
            max_ms: latencies.max_ms,
            sync_ms,
        };
        options.tell(&sample.line());
        samples.push(sample);
        if free_bytes(&world.data()).is_some_and(|free| free < FREE_BYTES_MIN) {
            return Err(format!(
                "less than {FREE_BYTES_MIN} bytes are free after {:.0} s: take a larger disk (--dir) or a lower --rate",
                sample.at_s
            ));
        }
    }
    Ok(samples)
}

/// Somebody else on the same disk: tells a slower switch from a slower machine.
struct Probe(File);

impl Probe {
    fn beside(world: &World) -> Result<Probe, String> {
        let path = world.data().with_file_name("probe");
        File::create(&path).map(Probe).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Probes now and then until this moment; milliseconds for one block, 90 % of them.
    fn until(&mut self, moment: Instant, interval: Duration) -> Result<f64, String> {
        let mut took_ms = Vec::new();
        while took_ms.is_empty() || Instant::now() < moment {
            let began = Instant::now();
            let written = self.0.write_all_at(&BLOCK, 0).and_then(|()| self.0.sync_data());
            written.map_err(|e| format!("the disk beside the switch: {e}"))?;
            took_ms.push(began.elapsed().as_secs_f64() * 1e3);
            passes((interval / PROBES).min(moment.saturating_duration_since(Instant::now())));
        }
        took_ms.sort_by(f64::total_cmp);
        Ok(took_ms[took_ms.len() * 9 / 10])
    }
}

impl Sample {
    fn header() -> String {
        format!(
            "{:>7} {:>9} {:>10} {:>5} {:>7} {:>11} {:>8} {:>8} {:>9} {:>8}",
            "s",
            "payments",
            "memory MiB",
            "files",
            "threads",
            "journal MiB",
            "p50 ms",
            "p99 ms",
            "max ms",
            "sync ms"
        )
    }

    fn line(&self) -> String {
        format!(
            "{:>7.0} {:>9} {:>10.1} {:>5} {:>7} {:>11.0} {:>8.2} {:>8.2} {:>9.2} {:>8.2}",
            self.at_s,
            self.payments,
            self.memory_mib,
            counted(self.descriptors),
            self.threads,
            self.journal_bytes as f64 / MIB,
            self.p50_ms,
            self.p99_ms,
            self.max_ms,
            self.sync_ms
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "at_s": self.at_s, "payments": self.payments, "memory_mib": self.memory_mib,
            "descriptors": self.descriptors, "threads": self.threads, "journal_bytes": self.journal_bytes,
            "entry_bytes": self.entry_bytes, "commits": self.commits,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "max_ms": self.max_ms, "sync_ms": self.sync_ms,
        })
    }
}
