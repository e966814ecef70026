//! `yika journal anchor`: a new anchor for a journal that has lost its own. Nothing but the anchor vouches for the newest
//! segment, so this shows what is there and leaves it to the operator to say that this is all there ever was. An anchor
//! that can be read is never replaced: it says what is missing.

use super::{CliError, Place, Source};
use crate::core::clock::rfc3339;
use crate::core::durable::Durable;
use crate::core::entry::Entry;
use crate::core::ids::Seq;
use crate::data_dir::{DataDir, Guard};
use crate::journal::anchor::{Anchor, AnchorKeeper, Found, read};
use crate::journal::disk::{Disk, FileDisk, FileNo};
use crate::journal::recovery::{End, RecoveryError, Scan, scan_as};
use crate::net::ServeError;
use std::io::Write;

pub(in super::super) fn anchor(out: &mut impl Write, place: &Place, yes: bool) -> Result<(), CliError> {
    let source = Source::open(place)?;
    // Held to the end: no switch may start meanwhile.
    let _held = DataDir::lock(&place.data()?, Guard::Warn).map_err(ServeError::from)?;
    let disk = source.disk();
    let found = read(&disk).map_err(|e| failed(&disk, "read", e))?;
    let (scan, durable) = whole(&source, &disk)?;
    if !is_missed(&found, &disk, &scan)? {
        return Ok(writeln!(out, "the anchor is as a start wants it: nothing was written")?);
    }
    let Some(last) = scan.segments.last() else { return Ok(()) };
    let (number, file) = (last.header.number, disk.name(last.file));
    writeln!(
        out,
        "{} segments, every frame and seal good, {} entries; the newest segment is {number}: {file}",
        scan.segments.len(),
        scan.records
    )?;
    writeln!(
        out,
        "the last entry is of {}, business date {}: whatever was acknowledged later is not here",
        rfc3339(durable.wall_ms),
        durable.dates.current
    )?;
    if !yes {
        let what = "nothing was written: where this is the end of the journal, say it again with --yes";
        return Err(CliError::Usage(what.into()));
    }
    let disk = FileDisk::create_in(&source.folder).map_err(|e| failed(&disk, "open", e))?;
    AnchorKeeper::open(&disk, Anchor::of(last.file, &last.header)).map_err(|e| failed(&disk, "write", e))?;
    Ok(writeln!(out, "{} is written and names segment {number}", disk.name(FileNo::ANCHOR))?)
}

/// Reads every frame and replays every entry.
fn whole(source: &Source, disk: &FileDisk) -> Result<(Scan, Durable), CliError> {
    let mut durable = Durable::new(source.keystore.hash_seed());
    let scan = scan_as(End::AsFound, disk, &source.keystore, |seq, record| {
        let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
        durable.absorb(Seq(seq), record.wall_ms, entry).map_err(|e| e.to_string())
    })?;
    Ok((scan, durable))
}

/// Whether a start refuses the journal for want of an anchor.
///
/// # Errors
/// What the anchor says is missing.
fn is_missed(found: &Found, disk: &FileDisk, scan: &Scan) -> Result<bool, CliError> {
    let segments: Vec<_> = scan.segments.iter().map(|one| (one.file, one.header.clone())).collect();
    match found.check(disk, &segments).and_then(|()| found.check_end(disk, scan)) {
        Ok(()) => Ok(false),
        Err(_) if found.is_lost() => Ok(true),
        Err(missing) => Err(missing.into()),
    }
}

fn failed(disk: &FileDisk, doing: &'static str, source: std::io::Error) -> CliError {
    RecoveryError::Io { doing, file: disk.name(FileNo::ANCHOR), source }.into()
}
