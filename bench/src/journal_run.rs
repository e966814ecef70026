//! The journal on a real disk: commits by batch size beside `fdatasync` alone in the same minute, and how fast
//! a journal of a million entries is replayed.

use crate::core_run::Till;
use crate::error::BenchError;
use crate::machine::Bare;
use crate::measure::quantile_us;
use crate::place::Place;
use crate::report::{Budget, Report, Row, figure};
use crate::rivals;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};
use yika_keystore::{Keystore, Lmk};
use yika_switch::core::batch::Batch;
use yika_switch::journal::disk::{Disk, FileDisk};
use yika_switch::journal::recovery::Scan;
use yika_switch::journal::{Journal, JournalSize, replay};

const BATCHES: [usize; 5] = [1, 16, 64, 256, 1024];
const SIZE: JournalSize = JournalSize { segment_bytes: 64 << 20, pending_bytes_max: 32 << 20 };
const WINDOW_MS: u64 = 3_600_000;

pub(crate) fn run(place: &Place, quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let keys = Arc::new(Keystore::in_memory(Lmk::test()));
    let folder = place.path("journal");
    let mut ledger = Ledger::start(&folder, &keys)?;
    let length = Duration::from_millis(if quick { 300 } else { 1500 });
    for batch in BATCHES {
        commits(place, &mut ledger, batch, length, report)?;
    }
    let (entries, limit) =
        if quick { (200_000, Duration::from_secs(4)) } else { (1_000_000, Duration::from_secs(40)) };
    let began = Instant::now();
    while ledger.entries < entries && began.elapsed() < limit {
        ledger.payments(1024)?;
    }
    let (written, live_bytes) = (ledger.entries, ledger.bytes);
    drop(ledger);
    let began = Instant::now();
    let opened = replay(&FileDisk::read_only(&folder), &keys)?;
    let took = began.elapsed().as_secs_f64();
    if opened.scan.records != written {
        let why = format!("{} of {written} entries came back", opened.scan.records);
        return Err(BenchError::Setup { part: "recovery", why });
    }
    let beside = format!(
        "{} entries, {} MB in the page cache, {} ms; {} keys in the dedupe window",
        figure(written as f64),
        figure(live_bytes as f64 / 1e6),
        figure(took * 1e3),
        figure(opened.durable.dedupe.len() as f64)
    );
    report.add(
        Row::new("recovery", "entries replayed", written as f64 / took, "/s")
            .budget(Budget::AtLeast(1e6))
            .beside(beside),
    );
    Ok(())
}

/// One size of batch: each commit waits for the one before.
fn commits(
    place: &Place,
    ledger: &mut Ledger,
    batch: usize,
    length: Duration,
    report: &mut Report,
) -> Result<(), BenchError> {
    let (entries, bytes) = (ledger.entries, ledger.bytes);
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < length {
        times.extend(ledger.payments(batch)?);
    }
    let (entries, bytes) = (ledger.entries - entries, ledger.bytes - bytes);
    let spent = times.iter().sum::<u64>() as f64 / 1e9;
    let per_commit = (bytes as f64 / times.len() as f64) as usize;
    let mut alone = Bare::make(place, 64 << 20)?.sync_for(per_commit, length)?;
    let rate = entries as f64 / spent;
    let (p50, p99) = (quantile_us(&mut times, 0.5), quantile_us(&mut times, 0.99));
    let (alone_p50, alone_p99) = (quantile_us(&mut alone, 0.5), quantile_us(&mut alone, 0.99));
    let beside = format!(
        "{} commits/s of {} bytes; commit p50 {} p99 {} us; fdatasync alone p50 {} p99 {} us; ratio {}",
        figure(times.len() as f64 / spent),
        figure(per_commit as f64),
        figure(p50),
        figure(p99),
        figure(alone_p50),
        figure(alone_p99),
        figure(p50 / alone_p50)
    );
    report
        .add(Row::new("journal", format!("entries durable, batches of {batch}"), rate, "/s").beside(beside));
    rivals::beside(place, batch, (bytes / entries.max(1)) as usize, rate, length, report)
}

/// A journal and the core whose entries it holds.
pub(crate) struct Ledger {
    journal: Journal,
    committed: Receiver<()>,
    till: Till,
    entries: u64,
    /// Of all entries so far.
    pub(crate) bytes: u64,
}

impl Ledger {
    pub(crate) fn start(folder: &std::path::Path, keys: &Arc<Keystore>) -> Result<Ledger, BenchError> {
        let disk = FileDisk::create_in(folder).map_err(BenchError::io("make", folder.display()))?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let (till, first) = Till::open(keys, WINDOW_MS)?;
        // A wake that finds one waiting already may be dropped: the waiter looks at the journal itself.
        let (wake, committed) = sync_channel(1);
        let wake = Box::new(move || {
            let _ = wake.try_send(());
        });
        let scan = Scan { next_seq: 1, ..Scan::default() };
        let journal = Journal::start(disk, keys.clone(), &scan, SIZE, wake)?;
        let mut ledger = Ledger { journal, committed, till, entries: 0, bytes: 0 };
        ledger.commit(first)?;
        Ok(ledger)
    }

    /// `count` payments in two batches: requests, then answers. How long each commit took, in nanoseconds.
    pub(crate) fn payments(&mut self, count: usize) -> Result<[u64; 2], BenchError> {
        let requests = self.till.requests(count);
        let mut requested = self.till.apply(requests);
        let answers = self.till.answers(&requested);
        requested.effects.clear();
        let asked = self.commit(requested)?;
        let mut ended = self.till.apply(answers);
        ended.effects.clear();
        Ok([asked, self.commit(ended)?])
    }

    fn commit(&mut self, batch: Batch) -> Result<u64, BenchError> {
        self.entries += u64::from(batch.count);
        self.bytes += batch.records.len() as u64;
        let began = Instant::now();
        self.journal.submit(batch);
        while !self.journal.is_durable() {
            if let Some(why) = self.journal.failure() {
                return Err(BenchError::Setup { part: "the journal", why });
            }
            // The limit is for a wake that came between the look and the wait.
            let _ = self.committed.recv_timeout(Duration::from_millis(100));
        }
        Ok(began.elapsed().as_nanos() as u64)
    }
}
