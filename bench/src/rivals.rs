//! Two well-kept stores doing what the journal does: the same records, so many to a commit, each commit durable before the
//! next begins. They also find and remove, which a journal does not; but who stores transactions in one of them pays this.

use crate::error::BenchError;
use crate::measure::quantile_us;
use crate::place::Place;
use crate::report::{Budget, Report, Row, figure};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Durability, TableDefinition};
use std::time::{Duration, Instant};

const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");

/// What a store is asked for.
trait Store {
    const NAME: &'static str;

    /// Makes these records durable, numbered from `first` on. Blocks until they are.
    fn commit(&mut self, first: u64, records: &[&[u8]]) -> Result<(), BenchError>;
}

struct Redb(redb::Database);

impl Store for Redb {
    const NAME: &'static str = "redb";

    fn commit(&mut self, first: u64, records: &[&[u8]]) -> Result<(), BenchError> {
        let failed = BenchError::setup("redb");
        let mut tx = self.0.begin_write().map_err(|e| failed(&e))?;
        tx.set_durability(Durability::Immediate).map_err(|e| failed(&e))?;
        {
            let mut table = tx.open_table(RECORDS).map_err(|e| failed(&e))?;
            for (number, record) in (first..).zip(records) {
                table.insert(number, *record).map_err(|e| failed(&e))?;
            }
        }
        tx.commit().map_err(|e| failed(&e))
    }
}

struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";

    fn commit(&mut self, first: u64, records: &[&[u8]]) -> Result<(), BenchError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (number, record) in (first..).zip(records) {
            batch.insert(&self.records, number.to_be_bytes(), *record);
        }
        batch.commit().map_err(|e| BenchError::setup("fjall")(&e))
    }
}

/// Rows of both for commits of `batch` records of `record_bytes`, and how our journal's `rate` stands to the better one.
pub(crate) fn beside(
    place: &Place,
    batch: usize,
    record_bytes: usize,
    rate: f64,
    length: Duration,
    report: &mut Report,
) -> Result<(), BenchError> {
    let folder = place.path(&format!("rivals-{batch}"));
    std::fs::create_dir_all(&folder).map_err(BenchError::io("make", folder.display()))?;
    let redb = redb::Database::create(folder.join("redb")).map_err(|e| BenchError::setup("redb")(&e))?;
    let redb = measure(Redb(redb), batch, record_bytes, length, report)?;
    let database = Database::builder(folder.join("fjall")).open();
    let database = database.map_err(|e| BenchError::setup("fjall")(&e))?;
    let records = database.keyspace("records", KeyspaceCreateOptions::default);
    let records = records.map_err(|e| BenchError::setup("fjall")(&e))?;
    let fjall = measure(Fjall { database, records }, batch, record_bytes, length, report)?;
    let what = format!("journal to the better of them, batches of {batch}");
    report.add(Row::new("journal", what, rate / redb.max(fjall), "").budget(Budget::AtLeast(1.5)));
    std::fs::remove_dir_all(&folder).map_err(BenchError::io("remove", folder.display()))
}

/// Records a second.
fn measure<S: Store>(
    mut store: S,
    batch: usize,
    record_bytes: usize,
    length: Duration,
    report: &mut Report,
) -> Result<f64, BenchError> {
    // Sealed records do not compress; neither do these.
    let bytes: Vec<u8> = (0..(batch * record_bytes) as u64).map(|at| noise(at) as u8).collect();
    let records: Vec<&[u8]> = bytes.chunks(record_bytes).collect();
    let (began, mut times, mut first) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < length {
        let start = Instant::now();
        store.commit(first, &records)?;
        times.push(start.elapsed().as_nanos() as u64);
        first += batch as u64;
    }
    let rate = first as f64 / (times.iter().sum::<u64>() as f64 / 1e9);
    let beside = format!(
        "{} commits/s of {} bytes; commit p50 {} p99 {} us",
        figure(rate / batch as f64),
        figure(bytes.len() as f64),
        figure(quantile_us(&mut times, 0.5)),
        figure(quantile_us(&mut times, 0.99))
    );
    let what = format!("{}: the same, batches of {batch}", S::NAME);
    report.add(Row::new("journal", what, rate, "/s").beside(beside));
    Ok(rate)
}

/// The finalizer of SplitMix64: bytes without a pattern, the same in every run.
fn noise(at: u64) -> u64 {
    let mixed = (at ^ at >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 31
}
