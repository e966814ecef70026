//! The machine of a run, and how quiet it was: figures of a noisy machine are read as ratios, not as times.

use crate::error::BenchError;
use crate::measure::quantile_us;
use crate::place::Place;
use crate::report::{Report, Row, figure};
use serde::Serialize;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

#[derive(Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    file_system: String,
    /// Over 1, 5 and 15 minutes, before the first measurement.
    load_average: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, processor, kernel, file_system, load_average } = self;
        write!(
            f,
            "{cores} cores, {processor}, Linux {kernel}, {file_system}; load average at the start {load_average}"
        )
    }
}

pub(crate) fn describe(place: &Place) -> Result<Machine, BenchError> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(BenchError::io("read", path));
    let processors = read("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let load = read("/proc/loadavg")?;
    Ok(Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: model.map_or("processor not named", |(_, name)| name.trim()).to_owned(),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        file_system: place.file_system().to_owned(),
        load_average: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
    })
}

/// What others take from this machine: gaps in a thread that only spins, and the cost of one block made durable.
pub(crate) fn noise(place: &Place, report: &mut Report) -> Result<(), BenchError> {
    let (lost, longest) = spin_gaps(Duration::from_millis(300));
    report.add(
        Row::new("machine", "time taken from a spinning thread", lost * 100.0, "%")
            .beside(format!("longest gap {} us", figure(longest.as_nanos() as f64 / 1e3))),
    );
    let mut file = Bare::make(place, 1 << 22)?;
    let mut times = file.sync_for(4096, Duration::from_millis(300))?;
    report.add(
        Row::new("machine", "fdatasync of one block of 4 KiB, p50", quantile_us(&mut times, 0.5), "us")
            .beside(format!("p99 {} us, {} of them", figure(quantile_us(&mut times, 0.99)), times.len())),
    );
    Ok(())
}

/// The part of the time lost in gaps, and the longest gap.
fn spin_gaps(length: Duration) -> (f64, Duration) {
    // Reading the clock takes some 30 ns; a gap this long is an interrupt or another process.
    const GAP: Duration = Duration::from_micros(5);
    let began = Instant::now();
    let (mut last, mut lost, mut longest) = (began, Duration::ZERO, Duration::ZERO);
    while last - began < length {
        let now = Instant::now();
        let gap = now - last;
        if gap > GAP {
            lost += gap;
            longest = longest.max(gap);
        }
        last = now;
    }
    (lost.as_secs_f64() / length.as_secs_f64(), longest)
}

/// A file of written zeros, so that a sync costs what it costs in a journal segment: data and no metadata.
pub(crate) struct Bare {
    file: File,
    bytes: u64,
    at: u64,
}

/// Journals write whole blocks.
pub(crate) const BLOCK: usize = 4096;

impl Bare {
    pub(crate) fn make(place: &Place, bytes: u64) -> Result<Bare, BenchError> {
        Bare::at(&place.path("bare"), bytes)
    }

    pub(crate) fn at(path: &std::path::Path, bytes: u64) -> Result<Bare, BenchError> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(path);
        let file = file.map_err(BenchError::io("make", path.display()))?;
        let zeros = vec![0; 1 << 20];
        for at in (0..bytes).step_by(zeros.len()) {
            file.write_all_at(&zeros, at).map_err(BenchError::io("fill", path.display()))?;
        }
        file.sync_all().map_err(BenchError::io("sync", path.display()))?;
        Ok(Bare { file, bytes, at: 0 })
    }

    /// Writes behind what was written last, from the front again at the end, and syncs.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        if self.at + bytes.len() as u64 > self.bytes {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at).map_err(BenchError::io("write", "a bare file"))?;
        self.at += bytes.len() as u64;
        self.file.sync_data().map_err(BenchError::io("sync", "a bare file"))
    }

    /// One put after the other; how long each took, in nanoseconds.
    pub(crate) fn sync_for(&mut self, bytes: usize, length: Duration) -> Result<Vec<u64>, BenchError> {
        let data = vec![0xA5; bytes.next_multiple_of(BLOCK)];
        let (began, mut times) = (Instant::now(), Vec::new());
        while began.elapsed() < length {
            let start = Instant::now();
            self.put(&data)?;
            times.push(start.elapsed().as_nanos() as u64);
        }
        Ok(times)
    }
}
