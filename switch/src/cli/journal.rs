//! `yika journal`: a journal read from outside. Nothing is written; damage is told as a start would tell it.

use super::{CliError, Place, keys};
use crate::core::durable::Durable;
use crate::core::entry::{Entry, Intent, Outcome};
use crate::core::ids::Seq;
use crate::data_dir::journal_in;
use crate::journal::disk::{Disk, FileDisk};
use crate::journal::recovery::{Scan, scan};
use crate::journal::replay;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use yika_codec::{FieldSet, Pan};
use yika_keystore::Keystore;

fn open(place: &Place) -> Result<(FileDisk, Keystore), CliError> {
    let keystore = match place.config()? {
        Some(config) => keys::open(&config)?,
        None => keys::open_plain()?,
    };
    Ok((FileDisk::read_only(&journal_in(&place.data()?)), keystore))
}

pub(super) fn verify(place: &Place) -> Result<ExitCode, CliError> {
    let (disk, keystore) = open(place)?;
    let opened = replay(&disk, &keystore)?;
    for segment in &opened.scan.segments {
        println!(
            "{}: segment {}, start {}, continues frame {}, {} bytes used",
            disk.name(segment.file),
            segment.header.number,
            segment.header.epoch,
            segment.header.continues,
            segment.end
        );
    }
    let scan = &opened.scan;
    println!(
        "{} frames, {} entries, {} bytes, {} spare segments",
        scan.frames,
        scan.records,
        scan.bytes,
        scan.spares.len()
    );
    match &scan.torn {
        Some(torn) => println!(
            "the tail of {} is torn at offset {}: a start cuts it there; nothing in it was acknowledged",
            torn.file, torn.offset
        ),
        None => println!("the tail is whole"),
    }
    println!(
        "every seal opens, every frame continues the one before it, and every entry fits: the journal is good"
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stats(place: &Place) -> Result<ExitCode, CliError> {
    let (disk, keystore) = open(place)?;
    let mut kinds: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    let mut durable = Durable::new(keystore.hash_seed());
    let (mut first_ms, mut last_ms) = (u64::MAX, 0);
    let read: Scan = scan(&disk, &keystore, |seq, record| {
        let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
        let counts = kinds.entry(name(&entry)).or_default();
        counts.0 += 1;
        counts.1 += record.entry.len() as u64;
        first_ms = first_ms.min(record.wall_ms);
        last_ms = last_ms.max(record.wall_ms);
        durable.absorb(Seq(seq), record.wall_ms, entry).map_err(|e| e.to_string())
    })?;
    println!("{:<16}{:>12}{:>16}{:>10}", "entry", "count", "bytes", "each");
    for (name, (count, bytes)) in &kinds {
        println!("{name:<16}{count:>12}{bytes:>16}{:>10}", bytes / (*count).max(1));
    }
    let per_frame = read.records as f64 / read.frames.max(1) as f64;
    println!(
        "{} entries in {} frames, {per_frame:.1} each, {} segments, {} bytes",
        read.records,
        read.frames,
        read.segments.len(),
        read.bytes
    );
    if read.records > 0 {
        println!("from {first_ms} to {last_ms} (wall milliseconds), {} starts", read.epoch);
    }
    println!(
        "open transactions {}, open obligations {}, keys in the dedupe window {}, kept payments {}, business date {}",
        durable.open.len(),
        durable.obligations.len(),
        durable.dedupe.len(),
        durable.originals.len(),
        durable.dates.current
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) fn dump(place: &Place) -> Result<ExitCode, CliError> {
    let (disk, keystore) = open(place)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let dumped = scan(&disk, &keystore, |seq, record| {
        let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
        writeln!(out, "{seq} {} {}", record.wall_ms, line(&entry)).map_err(|e| format!("cannot write: {e}"))
    });
    match dumped {
        Err(crate::journal::recovery::RecoveryError::Entry { what, .. })
            if what.starts_with("cannot write") =>
        {
            // The reader of a pipe went away: it has seen enough.
            Ok(ExitCode::SUCCESS)
        }
        other => other.map(|_| ExitCode::SUCCESS).map_err(CliError::from),
    }
}

fn name(entry: &Entry) -> &'static str {
    match entry {
        Entry::Limits(_) => "limits",
        Entry::Named { .. } => "named",
        Entry::Intent(_) => "intent",
        Entry::Step(_) => "step",
        Entry::Outcome(_) => "outcome",
        Entry::Taken(_) => "taken",
        Entry::Late(_) => "late",
        Entry::Discharged { .. } => "discharged",
        Entry::Parked { .. } => "parked",
        Entry::CutOver { .. } => "cut-over",
        Entry::DateClosed { .. } => "date-closed",
        Entry::KeyEpoch { .. } => "key-epoch",
        Entry::SignedOff { .. } => "signed-off",
        Entry::TimePassed => "time-passed",
    }
}

/// One entry in words: ids, amounts and codes; cards masked, other kept fields by number only.
fn line(entry: &Entry) -> String {
    let name = name(entry);
    match entry {
        Entry::Limits(limits) => format!("{name} {limits:?}"),
        Entry::Named { id, name: called } => format!("{name} {id} {called}"),
        Entry::Intent(one) => format!("{name} {}", intent(one)),
        Entry::Step(one) => {
            format!(
                "{name} tx {} leg {} agreed {} next {} stan {}",
                one.tx, one.leg, one.agreed, one.next.participant, one.next.identity.stan
            )
        }
        Entry::Outcome(one) => format!("{name} {}", outcome(one)),
        Entry::Taken(one) => {
            format!("{name} {} | {} | {:?}", intent(&one.intent), outcome(&one.outcome), one.reversal)
        }
        Entry::Late(one) => format!(
            "{name} tx {} leg {} code {} late {} ms amount {}",
            one.of.tx, one.of.leg, one.code, one.late_ms, one.money.minor
        ),
        Entry::Discharged { id, how } => format!("{name} obligation {id} {how:?}"),
        Entry::Parked { id, code } => format!("{name} obligation {id} code {code}"),
        Entry::CutOver { to, trigger } => format!("{name} {to} {trigger:?}"),
        Entry::DateClosed { date } => format!("{name} {date}"),
        // The block is sealed under the master key, and still no business of a dump.
        Entry::KeyEpoch { participant, usage, epoch, .. } => {
            format!("{name} participant {participant} {usage:?} epoch {epoch}")
        }
        Entry::SignedOff { participant, off } => format!("{name} participant {participant} off {off}"),
        Entry::TimePassed => name.to_owned(),
    }
}

fn intent(one: &Intent) -> String {
    let legs: Vec<String> = one
        .legs
        .iter()
        .map(|leg| format!("{} stan {} amount {}", leg.participant, leg.identity.stan, leg.amount))
        .collect();
    format!(
        "tx {} {} acquirer {} terminal {} stan {} amount {} {} date {} card {} legs [{}] custody {}",
        one.tx,
        one.kind.as_str(),
        one.acquirer,
        one.terminal.escape_ascii(),
        one.stan,
        one.money.minor,
        one.money.currency.0,
        one.date,
        masked(&one.custody),
        legs.join(", "),
        numbers(&one.custody)
    )
}

fn outcome(one: &Outcome) -> String {
    let owed: Vec<String> =
        one.owed.iter().map(|owed| format!("{} {:?} to {}", owed.id, owed.kind, owed.participant)).collect();
    format!(
        "tx {} {:?} code {} approved {}{} owed [{}] answer {}",
        one.tx,
        one.reason,
        one.code,
        one.approved,
        if one.stand_in { " stand-in" } else { "" },
        owed.join(", "),
        numbers(&one.answer)
    )
}

/// First six and last four digits, as everywhere.
fn masked(fields: &FieldSet) -> String {
    fields.get(2).and_then(Pan::new).map_or("none".into(), |pan| pan.to_string())
}

fn numbers(fields: &FieldSet) -> String {
    let numbers: Vec<String> = fields.iter().map(|(n, _)| n.to_string()).collect();
    format!("F[{}]", numbers.join(","))
}
