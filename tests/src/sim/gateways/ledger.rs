//! What a gateway of a world keeps: its taps, batches and payments, and what it was told of each.

use crate::gateway::{self, Sums};
use std::collections::BTreeMap;
use yika_codec::gate::{BatchOpen, BatchVerdicts, RawRecord, Record, TransactionAnswer, Verdict};
use yika_keystore::Sha256;

pub(in crate::sim) struct Ledger {
    source: u8,
    pub(in crate::sim) name: &'static str,
    sequence: u32,
    /// A payment that is older may be forgotten.
    forgotten_ms: u64,
    pub(super) rows: Vec<Row>,
    pub(super) batches: Vec<Batch>,
    pub(super) payments: Vec<Payment>,
}

/// A tap, and what its verdict said.
pub(super) struct Row {
    sequence: u32,
    bytes: Vec<u8>,
    /// Another tap has its key, and was stored.
    conflicts: bool,
    sent: u32,
    /// The date that it counts for; None as long as nothing was heard.
    stored: Option<u32>,
    /// It is asked again although it is settled.
    again: bool,
    pub(super) asked: bool,
}

pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) records: Vec<Vec<u8>>,
    /// The date that each counts for; None as long as no verdict was heard.
    stored: Vec<Option<u32>>,
    /// The index that a part may begin at, at most, since it was opened on this connection.
    pub(super) reach: Option<usize>,
    pub(super) closed: bool,
    /// Something of it is under way.
    pub(super) asked: bool,
}

/// A payment over nothing, which is declined here: no bank hears of it.
pub(super) struct Payment {
    pub(super) reference: [u8; 16],
    pub(super) stan: u32,
    pub(super) made_ms: u64,
    /// F39 and F37.
    pub(super) answer: Option<([u8; 2], Vec<u8>)>,
    again: bool,
    pub(super) asked: bool,
}

/// Of a payment over nothing.
const BAD_AMOUNT: [u8; 2] = *b"13";
/// Of what nobody can tell any more.
const FORGOTTEN: [u8; 2] = *b"94";
/// Of what became no payment, and may be asked again.
const OVERLOAD: [u8; 2] = *b"96";

impl Ledger {
    pub(super) fn new(source: u8, name: &'static str, forgotten_ms: u64) -> Ledger {
        let (rows, batches, payments) = (Vec::new(), Vec::new(), Vec::new());
        Ledger { source: source + 1, name, sequence: 0, forgotten_ms, rows, batches, payments }
    }

    fn next_tap(&mut self, wall_ms: u64) -> Vec<u8> {
        self.sequence += 1;
        gateway::tap(self.source, self.sequence, 100 + self.sequence % 7, wall_ms)
    }

    pub(super) fn tap(&mut self, wall_ms: u64) {
        let bytes = self.next_tap(wall_ms);
        self.rows.push(Row::new(self.sequence, bytes, false));
    }

    pub(super) fn batch(&mut self, count: usize, wall_ms: u64) {
        let records: Vec<Vec<u8>> = (0..count).map(|_| self.next_tap(wall_ms)).collect();
        let id = u64::from(self.source) << 32 | self.batches.len() as u64;
        let stored = vec![None; count];
        self.batches.push(Batch { id, records, stored, reach: None, closed: false, asked: false });
    }

    /// A tap or payment that is settled comes again.
    pub(super) fn again(&mut self, pick: usize) {
        let settled: Vec<&mut Row> = self.rows.iter_mut().filter(|row| row.is_settled()).collect();
        let count = settled.len().max(1);
        settled.into_iter().nth(pick % count).into_iter().for_each(|row| row.again = true);
        let paid: Vec<&mut Payment> = self.payments.iter_mut().filter(|one| one.answer.is_some()).collect();
        let count = paid.len().max(1);
        paid.into_iter().nth(pick / 7 % count).into_iter().for_each(|one| one.again = true);
    }

    /// Another tap with the key of one that is stored.
    pub(super) fn conflict(&mut self, pick: usize, wall_ms: u64) {
        let stored: Vec<u32> = self
            .rows
            .iter()
            .filter(|row| row.is_settled() && !row.conflicts)
            .map(|row| row.sequence)
            .collect();
        let Some(sequence) = stored.get(pick % stored.len().max(1)).copied() else { return };
        let bytes = gateway::tap(self.source, sequence, 9_000 + self.rows.len() as u32, wall_ms);
        self.rows.push(Row::new(sequence, bytes, true));
    }

    pub(super) fn payment(&mut self, wall_ms: u64) {
        let number = self.payments.len() as u32;
        let mut reference = [self.source; 16];
        reference[..4].copy_from_slice(&number.to_be_bytes());
        // Far from what terminals draw, and two apart: a clash takes the one between.
        let stan = 800_000 + u32::from(self.source) * 10_000 + 2 * number;
        self.payments.push(Payment {
            reference,
            stan,
            made_ms: wall_ms,
            answer: None,
            again: false,
            asked: false,
        });
    }

    pub(super) fn batches_open(&self) -> usize {
        self.batches.iter().filter(|batch| !batch.is_settled()).count()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.rows.iter().all(|row| row.is_settled() && !row.again)
            && self.batches_open() == 0
            && self.payments.iter().all(|one| one.answer.is_some() && !one.again)
    }

    /// What waits, for people.
    pub(in crate::sim) fn unrest(&self) -> String {
        let rows = self.rows.iter().filter(|row| row.again || !row.is_settled()).count();
        let payments = self.payments.iter().filter(|one| one.again || one.answer.is_none()).count();
        let batches = self.batches_open();
        format!("{}: {rows} taps, {batches} batches, {payments} payments", self.name)
    }

    pub(super) fn unsettled(&self) -> Vec<usize> {
        let waits = |row: &Row| !row.asked && (row.again || !row.is_settled());
        (0..self.rows.len()).filter(|at| waits(&self.rows[*at])).collect()
    }

    pub(super) fn unsettled_payments(&self) -> Vec<usize> {
        let waits = |one: &Payment| !one.asked && (one.again || one.answer.is_none());
        (0..self.payments.len()).filter(|at| waits(&self.payments[*at])).collect()
    }

    pub(super) fn ask(&mut self, at: usize) -> Vec<u8> {
        let row = &mut self.rows[at];
        row.asked = true;
        row.sent += 1;
        row.bytes.clone()
    }

    /// The connection is gone: nothing is under way any more.
    pub(super) fn lose(&mut self) {
        self.rows.iter_mut().for_each(|row| row.asked = false);
        self.payments.iter_mut().for_each(|one| one.asked = false);
        self.batches.iter_mut().for_each(|batch| (batch.asked, batch.reach) = (false, None));
    }

    /// # Errors
    /// The verdict is not one that this tap may get.
    pub(super) fn verdict(&mut self, at: usize, number: u8, date: u32) -> Result<(), String> {
        let row = &mut self.rows[at];
        let verdict = Verdict::of(number).ok_or("an unknown verdict")?;
        let fits = match verdict {
            Verdict::Stored => !row.conflicts && !row.is_settled(),
            Verdict::StoredEarlier => !row.conflicts && row.sent > 1,
            Verdict::Conflict => row.conflicts,
            _ => false,
        };
        if !fits || row.stored.is_some_and(|before| before != date) {
            let before = row.stored;
            return Err(format!(
                "P3: tap {}: verdict {verdict:?} of {date}, before {before:?}",
                row.sequence
            ));
        }
        (row.stored, row.again, row.asked) = (Some(date), false, false);
        Ok(())
    }

    /// # Errors
    /// The answer is not one that this payment may get.
    pub(super) fn paid(
        &mut self,
        at: usize,
        told: &TransactionAnswer<'_>,
        wall_ms: u64,
    ) -> Result<(), String> {
        let payment = &mut self.payments[at];
        payment.asked = false;
        if told.state == 1 || told.code == OVERLOAD && payment.answer.is_none() {
            return Ok(());
        }
        if told.code == FORGOTTEN && payment.made_ms + self.forgotten_ms < wall_ms {
            payment.answer.get_or_insert_with(|| (told.code, Vec::new()));
            payment.again = false;
            return Ok(());
        }
        let answer = (told.code, told.fields.get(37).unwrap_or_default().to_vec());
        if answer.0 != BAD_AMOUNT || payment.answer.as_ref().is_some_and(|before| *before != answer) {
            return Err(format!("P3: a payment was told {answer:?}, before {:?}", payment.answer));
        }
        (payment.answer, payment.again) = (Some(answer), false);
        Ok(())
    }

    /// Each record that was told to be stored.
    pub(in crate::sim) fn told_stored(&self) -> impl Iterator<Item = &[u8]> {
        let rows = self.rows.iter().filter(|row| row.is_settled()).map(|row| &row.bytes[..]);
        let batches = self.batches.iter().flat_map(|batch| {
            let each = batch.records.iter().zip(&batch.stored);
            each.filter(|(_, date)| date.is_some()).map(|(record, _)| &record[..])
        });
        rows.chain(batches)
    }

    /// What it counts for each date.
    pub(in crate::sim) fn sums(&self) -> BTreeMap<u32, Sums> {
        let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.conflicts) {
            if let Some(date) = row.stored {
                sums.entry(date).or_default().add(&row.bytes, fen_of(&row.bytes));
            }
        }
        for batch in &self.batches {
            for (record, date) in batch.records.iter().zip(&batch.stored) {
                if let Some(date) = date {
                    sums.entry(*date).or_default().add(record, fen_of(record));
                }
            }
        }
        sums
    }
}

impl Row {
    fn new(sequence: u32, bytes: Vec<u8>, conflicts: bool) -> Row {
        Row { sequence, bytes, conflicts, sent: 0, stored: None, again: false, asked: false }
    }

    fn is_settled(&self) -> bool {
        self.stored.is_some()
    }
}

impl Batch {
    pub(super) fn open(&self) -> BatchOpen<'static> {
        BatchOpen {
            batch: self.id,
            content: 1,
            records: self.records.len() as u32,
            amount_fen: self.records.iter().map(|record| u64::from(fen_of(record))).sum(),
            hash: Sha256::of(&self.records.concat()),
            date: gateway::date(20_261_124),
            payer: None,
            policy: None,
            period: None,
            signature: None,
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.closed && self.stored.iter().all(Option::is_some)
    }

    pub(super) fn opened(&mut self, next: usize) {
        (self.reach, self.asked) = (Some(next), false);
    }

    /// Where the next part begins: at what was not heard, or where the switch goes on.
    pub(super) fn next(&self, reach: usize) -> Option<usize> {
        let unheard = self.stored.iter().position(Option::is_none).unwrap_or(self.records.len());
        let next = if self.closed { unheard } else { unheard.min(reach) };
        (next < self.records.len()).then_some(next)
    }

    /// # Errors
    /// A verdict is not one that its record may get.
    pub(super) fn verdicts(&mut self, from: usize, told: &BatchVerdicts<'_>) -> Result<(), String> {
        self.asked = false;
        let numbers = told.verdicts.numbers();
        let mut dates = vec![told.business_date.number(); numbers.len()];
        for (index, count, date) in told.earlier.iter().flat_map(|earlier| earlier.iter()) {
            let run = usize::from(index)..usize::from(index) + usize::from(count);
            dates.get_mut(run).ok_or("a run beyond the part")?.fill(date.number());
        }
        for (at, (number, date)) in (from..).zip(numbers.iter().zip(dates)) {
            let before = self.stored.get(at).copied().ok_or("more verdicts than records")?;
            let fits = match Verdict::of(*number) {
                Some(Verdict::Stored) => before.is_none(),
                Some(Verdict::StoredEarlier) => before.is_none_or(|before| before == date),
                _ => false,
            };
            if !fits {
                return Err(format!(
                    "P3: batch {:x}, record {at}: verdict {number} of {date}, before {before:?}",
                    self.id
                ));
            }
            self.stored[at] = Some(date);
        }
        self.reach = self.reach.map(|reach| reach.max(from + numbers.len()));
        Ok(())
    }
}

/// The amount of a tap.
fn fen_of(record: &[u8]) -> u32 {
    let raw = RawRecord::new(record).expect("a record of the ledger");
    Record::decode(raw).expect("a tap").amount_fen() as u32
}
