//! Reads a journal back: finds its segments, follows the chain of frames, opens each seal, and decides by
//! the table in `format` whether a bad frame is a torn tail or damage. It never writes, never skips, and
//! never guesses: damage ends with the file, the offset and what to do (P12).

use super::disk::{Disk, FileNo};
use super::format::{
    BLOCK, Digest, FRAME_HEADER, FileKind, FrameHeader, SEALED_HEADER, SegmentHeader, digest_of, file_kind,
    frame_crc_holds,
};
use super::reader::Places;
use crate::core::batch::{CutRecord, Record, Records};
use crate::planted::{Planted, planted};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use yika_keystore::{Keystore, SealKey};

/// One segment of the journal, in order.
pub struct Segment {
    pub file: FileNo,
    pub header: SegmentHeader,
    pub key: Arc<SealKey>,
    /// Where its valid frames end.
    pub end: u64,
}

/// Where a frame that holds records stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FramePlace {
    pub first_seq: u64,
    pub file: FileNo,
    pub offset: u64,
}

/// What a journal holds, once every frame was read.
#[derive(Default)]
pub struct Scan {
    pub segments: Vec<Segment>,
    pub places: Places,
    pub spares: Vec<FileNo>,
    /// Files that hold nothing: a spare or segment whose making was cut off.
    pub blanks: Vec<FileNo>,
    /// The last frame accepted.
    pub last_frame: u64,
    pub last_digest: Digest,
    pub next_seq: u64,
    pub epoch: u64,
    pub frames: u64,
    pub records: u64,
    pub bytes: u64,
    /// The highest frame known durable.
    pub watermark: u64,
    pub torn: Option<Torn>,
    /// Offset in the last segment from which on no frame is vouched for by a later one.
    pub unvouched: u64,
}

/// A tail that was cut: nothing in it was acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Torn {
    pub file: String,
    pub offset: u64,
}

/// Why a journal cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("cannot {doing} {file}: {source}")]
    Io { doing: &'static str, file: String, source: io::Error },
    #[error(
        "journal damaged: {file}, offset {offset}: {what}. Nothing was skipped and nothing was changed. Restore what is \
         damaged or missing from a copy, or keep the folder and call for help; do not delete it: it holds acknowledged transactions"
    )]
    Damaged { file: String, offset: u64, what: String },
    #[error(
        "the data key of {file} does not open under this master key (check value {check_value}): start with the master \
         key that wrote the journal, or point data_dir at another folder"
    )]
    WrongKey { file: String, check_value: String },
    #[error("journal {file}, entry {seq}: {what}")]
    Entry { file: String, seq: u64, what: String },
}

/// Reads the whole journal and hands every record to `each` with its sequence.
///
/// # Errors
/// See `RecoveryError`; whatever `each` refuses ends the scan too.
pub fn scan(
    disk: &dyn Disk,
    keys: &Keystore,
    each: impl FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<Scan, RecoveryError> {
    scan_as(End::Anchored, disk, keys, each)
}

/// What tells which segment is the newest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Anchored,
    /// Nothing does: for a journal whose anchor is lost, while nobody writes it.
    AsFound,
}

/// # Errors
/// As `scan`.
pub fn scan_as(
    end: End,
    disk: &dyn Disk,
    keys: &Keystore,
    mut each: impl FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<Scan, RecoveryError> {
    let mut scan = Scan { next_seq: 1, ..Scan::default() };
    // Before the segments are looked for: a running switch makes the segment first, and then names it.
    let anchor = super::anchor::read(disk).map_err(|e| io_error("read", disk.name(FileNo::ANCHOR), e))?;
    let found = find_segments(disk, &mut scan)?;
    let segments: Vec<_> = found.into_values().collect();
    check_order(disk, &segments, &scan.blanks)?;
    if end == End::Anchored {
        anchor.check(disk, &segments)?;
    }
    for (at, (file, header)) in segments.iter().enumerate() {
        let key = open_key(disk, keys, *file, header)?;
        let until = segments.get(at + 1).map(|(_, next)| (next.continues, next.digest));
        scan.epoch = scan.epoch.max(header.epoch);
        let ends_at = scan_segment(disk, *file, header, &key, until, &mut scan, &mut each)?;
        scan.segments.push(Segment { file: *file, header: header.clone(), key: Arc::new(key), end: ends_at });
    }
    if end == End::Anchored {
        anchor.check_end(disk, &scan)?;
    }
    Ok(scan)
}

/// Every segment from the first on is there.
fn check_order(
    disk: &dyn Disk,
    segments: &[(FileNo, SegmentHeader)],
    blanks: &[FileNo],
) -> Result<(), RecoveryError> {
    let empty: Vec<String> = blanks.iter().map(|blank| disk.name(*blank)).collect();
    let empty = if empty.is_empty() { String::new() } else { format!("; empty are: {}", empty.join(", ")) };
    if let Some((file, first)) = segments.first()
        && (first.continues != 0 || first.digest != Digest::default())
    {
        let what =
            format!("it is whole, but the segments before it, number {}, are missing{empty}", first.number);
        return Err(damaged(disk, *file, 0, what));
    }
    for pair in segments.windows(2) {
        let ((_, before), (file, header)) = (&pair[0], &pair[1]);
        if header.number != before.number + 1 {
            let what = format!("it is whole, but segment {} is missing before it{empty}", header.number - 1);
            return Err(damaged(disk, *file, 0, what));
        }
    }
    Ok(())
}

/// Segments by number, spares and blanks.
fn find_segments(
    disk: &dyn Disk,
    scan: &mut Scan,
) -> Result<BTreeMap<u64, (FileNo, SegmentHeader)>, RecoveryError> {
    let mut found = BTreeMap::new();
    let files = disk.list().map_err(|e| io_error("list", "the journal's folder".into(), e))?;
    for file in files {
        let mut block = vec![0; BLOCK as usize];
        let got = disk.read(file, 0, &mut block).map_err(|e| io_error("read", disk.name(file), e))?;
        block.truncate(got);
        match file_kind(&block) {
            FileKind::Segment(header) => {
                check_length(disk, file, &header)?;
                if let Some((other, _)) = found.insert(header.number, (file, header)) {
                    let what = format!(
                        "it says that it is the same segment as {}: one of them is a stranger to this folder",
                        disk.name(other)
                    );
                    return Err(damaged(disk, file, 0, what));
                }
            }
            FileKind::Spare => scan.spares.push(file),
            FileKind::Blank => scan.blanks.push(file),
            FileKind::Unreadable(_) if was_cut_in_its_header(&block) => {
                return Err(damaged(
                    disk,
                    file,
                    block.len() as u64,
                    "the file ends within its header".into(),
                ));
            }
            // The making of a file, or of a segment header that no frame followed, was cut off.
            FileKind::Unreadable(_) if is_blank_behind(disk, file)? => scan.blanks.push(file),
            FileKind::Unreadable(what) => return Err(damaged(disk, file, 0, what.into())),
        }
    }
    Ok(found)
}

/// A file that is being made is all zeros until it has its full length: anything else in less than a block was there
/// before the file lost its end.
fn was_cut_in_its_header(block: &[u8]) -> bool {
    block.len() < BLOCK as usize && block.iter().any(|byte| *byte != 0)
}

/// A torn tail is zeros or old bytes in a file of full length; a file that lost its end has lost what stood there.
fn check_length(disk: &dyn Disk, file: FileNo, header: &SegmentHeader) -> Result<(), RecoveryError> {
    let len = disk.len(file).map_err(|e| io_error("read", disk.name(file), e))?;
    let made = u64::from(header.blocks) * BLOCK;
    if len < made {
        return Err(damaged(disk, file, len, format!("the file ends here and was made {made} bytes long")));
    }
    Ok(())
}

fn is_blank_behind(disk: &dyn Disk, file: FileNo) -> Result<bool, RecoveryError> {
    let mut at = BLOCK;
    let mut part = vec![0; 1 << 16];
    loop {
        let got = disk.read(file, at, &mut part).map_err(|e| io_error("read", disk.name(file), e))?;
        if part[..got].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if got < part.len() {
            return Ok(true);
        }
        at += got as u64;
    }
}

fn open_key(
    disk: &dyn Disk,
    keys: &Keystore,
    file: FileNo,
    header: &SegmentHeader,
) -> Result<SealKey, RecoveryError> {
    keys.open_data_key(&header.wrapped).map_err(|_| RecoveryError::WrongKey {
        file: disk.name(file),
        check_value: keys.lmk_check_value().iter().map(|byte| format!("{byte:02X}")).collect(),
    })
}

/// Follows the frames of one segment; returns where they end.
fn scan_segment(
    disk: &dyn Disk,
    file: FileNo,
    header: &SegmentHeader,
    key: &SealKey,
    until: Option<(u64, Digest)>,
    scan: &mut Scan,
    each: &mut impl FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<u64, RecoveryError> {
    if (header.continues, header.digest) != (scan.last_frame, scan.last_digest) {
        let what = format!(
            "it continues frame {}, the journal before it ends at {}",
            header.continues, scan.last_frame
        );
        return Err(damaged(disk, file, 0, what));
    }
    let bytes = read_all(disk, file)?;
    let mut at = BLOCK;
    // Frames that no watermark has reached yet: one, or the few that were written before a sync.
    let mut young: VecDeque<(u64, u64)> = VecDeque::new();
    let cut_reached = |scan: &Scan| until.is_some_and(|(frame, _)| scan.last_frame >= frame);
    while !cut_reached(scan) {
        scan.unvouched = young.front().map_or(at, |(_, offset)| *offset);
        let Some((frame, frame_header)) = valid_frame(&bytes, at, header.salt) else {
            return end_of_segment(disk, file, &bytes, at, header.salt, until, scan);
        };
        if frame_header.number != scan.last_frame + 1 || frame_header.previous != scan.last_digest {
            let what = format!("frame {} stands where {} belongs", frame_header.number, scan.last_frame + 1);
            return Err(damaged(disk, file, at, what));
        }
        accept(disk, file, at, frame, &frame_header, key, scan, each)?;
        young.push_back((frame_header.number, at));
        while young.front().is_some_and(|(number, _)| *number <= scan.watermark) {
            young.pop_front();
        }
        at += frame_header.span();
    }
    if let Some((frame, digest)) = until
        && (scan.last_frame, scan.last_digest) != (frame, digest)
    {
        let what = format!("the next segment continues frame {frame} with another digest");
        return Err(damaged(disk, file, at, what));
    }
    Ok(at)
}

/// No valid frame at the expected place: torn, or damage? See the table in `format`.
fn end_of_segment(
    disk: &dyn Disk,
    file: FileNo,
    bytes: &[u8],
    at: u64,
    salt: u64,
    until: Option<(u64, Digest)>,
    scan: &mut Scan,
) -> Result<u64, RecoveryError> {
    let missing = scan.last_frame + 1;
    if let Some((frame, _)) = until {
        let what =
            format!("frame {missing} is unreadable, and the next segment continues from frame {frame}");
        return Err(damaged(disk, file, at, what));
    }
    let mut later = at + BLOCK;
    let mut any =
        bytes.get(at as usize..).is_some_and(|rest| rest.iter().take(FRAME_HEADER).any(|byte| *byte != 0));
    while (later as usize) < bytes.len() {
        if let Some((_, header)) = valid_frame(bytes, later, salt) {
            any = true;
            let vouches = header.watermark >= missing && !planted(Planted::WatermarkIgnored);
            if header.number >= missing && vouches {
                let what = format!(
                    "frame {missing} is unreadable, and frame {} at offset {later} vouches that it was durable",
                    header.number
                );
                return Err(damaged(disk, file, at, what));
            }
        }
        later += BLOCK;
    }
    if any {
        scan.torn = Some(Torn { file: disk.name(file), offset: at });
    }
    Ok(at)
}

#[expect(clippy::too_many_arguments, reason = "one frame's place, bytes, key and the two things it changes")]
fn accept(
    disk: &dyn Disk,
    file: FileNo,
    at: u64,
    frame: &[u8],
    header: &FrameHeader,
    key: &SealKey,
    scan: &mut Scan,
    each: &mut impl FnMut(u64, Record<'_>) -> Result<(), String>,
) -> Result<(), RecoveryError> {
    let mut sealed = frame[FRAME_HEADER..].to_vec();
    let body = key
        .open(header.number, &frame[..SEALED_HEADER], &mut sealed)
        .map_err(|_| damaged(disk, file, at, format!("the seal of frame {} does not open", header.number)))?;
    if header.count > 0 && header.first_seq != scan.next_seq {
        let what = format!("entry {} stands where {} belongs", header.first_seq, scan.next_seq);
        return Err(damaged(disk, file, at, what));
    }
    for record in Records::new(body) {
        let record = record.map_err(|e: CutRecord| damaged(disk, file, at, e.to_string()))?;
        let seq = scan.next_seq;
        each(seq, record).map_err(|what| RecoveryError::Entry { file: disk.name(file), seq, what })?;
        scan.next_seq += 1;
        scan.records += 1;
    }
    if header.count > 0 {
        scan.places.note(FramePlace { first_seq: header.first_seq, file, offset: at });
    }
    scan.last_frame = header.number;
    scan.last_digest = digest_of(frame);
    scan.watermark = scan.watermark.max(header.watermark);
    scan.frames += 1;
    scan.bytes += header.span();
    Ok(())
}

/// A structurally valid frame at this place: header, length and CRC.
fn valid_frame(bytes: &[u8], at: u64, salt: u64) -> Option<(&[u8], FrameHeader)> {
    let rest = bytes.get(at as usize..)?;
    let header = FrameHeader::decode(rest, salt)?;
    let frame = rest.get(..FRAME_HEADER + header.body_len as usize)?;
    frame_crc_holds(frame).then_some((frame, header))
}

fn read_all(disk: &dyn Disk, file: FileNo) -> Result<Vec<u8>, RecoveryError> {
    let failed = |e| io_error("read", disk.name(file), e);
    let len = disk.len(file).map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let got = disk.read(file, 0, &mut bytes).map_err(failed)?;
    bytes.truncate(got);
    Ok(bytes)
}

fn damaged(disk: &dyn Disk, file: FileNo, offset: u64, what: String) -> RecoveryError {
    RecoveryError::Damaged { file: disk.name(file), offset, what }
}

fn io_error(doing: &'static str, file: String, source: io::Error) -> RecoveryError {
    RecoveryError::Io { doing, file, source }
}
