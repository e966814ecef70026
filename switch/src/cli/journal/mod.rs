//! `yika journal`: a journal read from outside, also while a switch writes it. Nothing is written, but for a lost anchor
//! that is made anew; damage is told as a start would tell it.

mod anchor;
mod dump;
mod live;
mod told;
mod words;

pub(super) use anchor::anchor;
pub(super) use dump::dump;

use super::out::json_line;
use super::{CliError, Place, keys};
use crate::core::clock::rfc3339;
use crate::core::durable::Durable;
use crate::core::entry::Entry;
use crate::core::ids::Seq;
use crate::journal::disk::{Disk, FileDisk};
use crate::journal::recovery::{Scan, Torn, scan};
use crate::journal::replay;
use live::Live;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use yika_keystore::Keystore;

/// A journal, and what reading it needs.
struct Source {
    folder: PathBuf,
    keystore: Keystore,
    live: Live,
}

impl Source {
    fn open(place: &Place) -> Result<Source, CliError> {
        let keystore = match place.config()? {
            Some(config) => keys::open(&config)?,
            None => keys::open_plain()?,
        };
        Ok(Source { folder: place.journal()?, keystore, live: Live::on(place.data()?) })
    }

    /// Afresh for each reading: files come and go beside a running switch.
    fn disk(&self) -> FileDisk {
        FileDisk::read_only(&self.folder)
    }
}

/// How a journal ends.
#[derive(Serialize)]
struct Tail {
    tail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail_offset: Option<u64>,
}

impl Tail {
    fn of(scan: &Scan, live: bool) -> Tail {
        match &scan.torn {
            None => Tail { tail: "whole", tail_file: None, tail_offset: None },
            Some(Torn { file, offset }) => Tail {
                tail: if live { "being-written" } else { "torn" },
                tail_file: Some(file.clone()),
                tail_offset: Some(*offset),
            },
        }
    }

    fn text(&self) -> String {
        match (self.tail, &self.tail_file, self.tail_offset) {
            ("torn", Some(file), Some(offset)) => format!(
                "the tail of {file} is torn at offset {offset}: a start cuts it there; nothing in it was acknowledged"
            ),
            ("being-written", Some(file), Some(offset)) => {
                format!(
                    "the tail of {file} is being written now, from offset {offset}: a switch runs on this journal"
                )
            }
            _ => "the tail is whole".into(),
        }
    }
}

#[derive(Serialize)]
struct Verified {
    segments: Vec<VerifiedSegment>,
    frames: u64,
    entries: u64,
    bytes: u64,
    spare_segments: usize,
    #[serde(flatten)]
    tail: Tail,
}

#[derive(Serialize)]
struct VerifiedSegment {
    file: String,
    number: u64,
    start: u64,
    continues_frame: u64,
    bytes_used: u64,
}

pub(super) fn verify(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let source = Source::open(place)?;
    let (scan, live) = source.live.read(|| Ok(replay(&source.disk(), &source.keystore)?.scan))?;
    let disk = source.disk();
    let segment = |segment: &crate::journal::recovery::Segment| VerifiedSegment {
        file: disk.name(segment.file),
        number: segment.header.number,
        start: segment.header.epoch,
        continues_frame: segment.header.continues,
        bytes_used: segment.end,
    };
    let verified = Verified {
        segments: scan.segments.iter().map(segment).collect(),
        frames: scan.frames,
        entries: scan.records,
        bytes: scan.bytes,
        spare_segments: scan.spares.len(),
        tail: Tail::of(&scan, live),
    };
    if json {
        return json_line(out, &verified);
    }
    for VerifiedSegment { file, number, start, continues_frame, bytes_used } in &verified.segments {
        writeln!(
            out,
            "{file}: segment {number}, start {start}, continues frame {continues_frame}, {bytes_used} bytes used"
        )?;
    }
    let Verified { frames, entries, bytes, spare_segments, tail, .. } = &verified;
    writeln!(out, "{frames} frames, {entries} entries, {bytes} bytes, {spare_segments} spare segments")?;
    writeln!(out, "{}", tail.text())?;
    Ok(writeln!(
        out,
        "every seal opens, every frame continues the one before it, and every entry fits: the journal is good"
    )?)
}

/// What `yika journal stats` counts.
#[derive(Default)]
struct Counted {
    kinds: BTreeMap<&'static str, Volume>,
    /// Wall milliseconds of the first and the last entry.
    span: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Volume {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Stats<'a> {
    entries: &'a BTreeMap<&'static str, Volume>,
    frames: u64,
    segments: usize,
    bytes: u64,
    starts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    open_transactions: usize,
    open_obligations: usize,
    dedupe_keys: usize,
    kept_payments: u64,
    business_date: u32,
    #[serde(flatten)]
    tail: Tail,
}

pub(super) fn stats(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let source = Source::open(place)?;
    let ((counted, durable, read), live) = source.live.read(|| {
        let (mut counted, mut durable) = (Counted::default(), Durable::new(source.keystore.hash_seed()));
        let read = scan(&source.disk(), &source.keystore, |seq, record| {
            let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
            let volume = counted.kinds.entry(words::entry(&entry)).or_default();
            volume.count += 1;
            volume.bytes += record.entry.len() as u64;
            let first_ms = counted.span.map_or(record.wall_ms, |(first_ms, _)| first_ms);
            counted.span = Some((first_ms, record.wall_ms));
            durable.absorb(Seq(seq), record.wall_ms, entry).map_err(|e| e.to_string())
        })?;
        Ok((counted, durable, read))
    })?;
    let stats = Stats {
        entries: &counted.kinds,
        frames: read.frames,
        segments: read.segments.len(),
        bytes: read.bytes,
        starts: read.epoch,
        from: counted.span.map(|(first_ms, _)| rfc3339(first_ms)),
        to: counted.span.map(|(_, last_ms)| rfc3339(last_ms)),
        open_transactions: durable.open.len(),
        open_obligations: durable.obligations.len(),
        dedupe_keys: durable.dedupe.len(),
        kept_payments: durable.originals.len(),
        business_date: durable.dates.current.0,
        tail: Tail::of(&read, live),
    };
    if json { json_line(out, &stats) } else { print_stats(out, &stats, read.records) }
}

fn print_stats(out: &mut impl Write, stats: &Stats<'_>, entries: u64) -> Result<(), CliError> {
    writeln!(out, "{:<16}{:>12}{:>16}{:>10}", "entry", "count", "bytes", "each")?;
    for (name, Volume { count, bytes }) in stats.entries {
        writeln!(out, "{name:<16}{count:>12}{bytes:>16}{:>10}", bytes / (*count).max(1))?;
    }
    let (frames, segments, bytes) = (stats.frames, stats.segments, stats.bytes);
    let per_frame = entries as f64 / frames.max(1) as f64;
    writeln!(
        out,
        "{entries} entries in {frames} frames, {per_frame:.1} each, {segments} segments, {bytes} bytes"
    )?;
    if let (Some(from), Some(to)) = (&stats.from, &stats.to) {
        writeln!(out, "from {from} to {to}, {} starts", stats.starts)?;
    }
    writeln!(
        out,
        "open transactions {}, open obligations {}, keys in the dedupe window {}, kept payments {}, business date {}",
        stats.open_transactions,
        stats.open_obligations,
        stats.dedupe_keys,
        stats.kept_payments,
        stats.business_date
    )?;
    Ok(writeln!(out, "{}", stats.tail.text())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_running_journal_is_being_written_and_not_torn() {
        let torn = Some(Torn { file: "segment-1".into(), offset: 8192 });
        let scan = Scan { torn, ..Scan::default() };
        let (running, ended) = (Tail::of(&scan, true), Tail::of(&scan, false));
        assert!(running.text().contains("is being written now") && !running.text().contains("torn"));
        assert!(ended.text().contains("is torn at offset 8192"));
        assert_eq!(
            serde_json::to_string(&running).unwrap(),
            r#"{"tail":"being-written","tail_file":"segment-1","tail_offset":8192}"#
        );
    }
}
