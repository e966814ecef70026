//! The anchor: a small file beside the segments that names the newest one in use. Segments vouch for those before
//! them; nothing but the anchor vouches for the last, which could be deleted, emptied or zeroed by hand without a word
//! while spares stand beside it (P12). It promises that such an end is told, and never stops a start after a crash.
//!
//! ```text
//! anchor file = two slots, one 4096-byte block each: a torn write of one leaves the other
//!
//!   0  8  magic "YIKAANC1"
//!   8  2  version (1)
//!  10  2  zero
//!  12  4  number of the file that holds the segment
//!  16  8  number of the newest segment in use; 0: none yet
//!  24  8  salt of that segment
//!  32  8  after a clean stop: the last frame with records; else 0
//!  ..     zeros
//! 4092 4  CRC32C of bytes 0..4092
//! ```
//!
//! A rotation, in this order; a crash between any two steps recovers:
//! 1. the header of the new segment is written and synced: the segment may be newer than the anchor says;
//! 2. the slot that does not hold the newest valid name is written and synced;
//! 3. the segment's first frame is written.
//!
//! A clean stop names the same segment once more, with its last frame: then even a zeroed end is damage and no torn tail.
//!
//! The first start on a journal without one makes the file, names the newest segment that is there, and only then
//! writes a segment header of version 2. So a segment of version 2 never stands without a good slot.
//!
//! | slots | segments | verdict |
//! |---|---|---|
//! | the higher valid name is a segment that is there, with its salt | the same or newer ones | accepted: the other slot may be older or torn |
//! | it is one that is not there | - | damage: the end of the journal is missing |
//! | it is there with another salt | - | damage: another segment was put in its place |
//! | it is there, and its frames end before the one that is named | - | damage: the end of the journal was overwritten |
//! | none is valid, or no file | one of version 2 | damage: the anchor itself is gone |
//! | none is valid, or no file | none, or all of version 1 | accepted: it never had one, or its making was cut off |

use super::disk::{Disk, FileNo};
use super::format::{BLOCK, SegmentHeader, block_crc_holds, close_block, u16_at, u32_at, u64_at};
use super::recovery::{RecoveryError, Scan};
use std::io;

const MAGIC: &[u8; 8] = b"YIKAANC1";
const VERSION: u16 = 1;
const SLOTS: u64 = 2;

/// A segment, as a slot names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Anchor {
    pub segment: u64,
    pub file: u32,
    pub salt: u64,
    /// The last frame with records, where the switch stopped cleanly; 0: nothing is said.
    pub ends: u64,
}

impl Anchor {
    pub fn of(file: FileNo, header: &SegmentHeader) -> Anchor {
        Anchor { segment: header.number, file: file.0, salt: header.salt, ends: 0 }
    }

    /// The whole slot.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        block[..8].copy_from_slice(MAGIC);
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[12..16].copy_from_slice(&self.file.to_le_bytes());
        block[16..24].copy_from_slice(&self.segment.to_le_bytes());
        block[24..32].copy_from_slice(&self.salt.to_le_bytes());
        block[32..40].copy_from_slice(&self.ends.to_le_bytes());
        close_block(&mut block);
        block
    }

    fn decode(block: &[u8]) -> Option<Anchor> {
        let block = block.get(..BLOCK as usize).filter(|block| block_crc_holds(block))?;
        let known = block.starts_with(MAGIC) && u16_at(block, 8) == VERSION;
        known.then(|| Anchor {
            segment: u64_at(block, 16),
            file: u32_at(block, 12),
            salt: u64_at(block, 24),
            ends: u64_at(block, 32),
        })
    }
}

/// What the anchor's file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The newest valid name, and its slot.
    newest: Option<(Anchor, u64)>,
    is_there: bool,
}

/// Reads both slots. To be called before the folder is listed: what it names is durable by then.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn read(disk: &dyn Disk) -> io::Result<Found> {
    let mut bytes = vec![0; (SLOTS * BLOCK) as usize];
    let got = match disk.read(FileNo::ANCHOR, 0, &mut bytes) {
        Ok(got) => got,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(e) => return Err(e),
    };
    let slots = bytes[..got].chunks(BLOCK as usize).zip(0..);
    let newest = slots.filter_map(|(block, slot)| Some((Anchor::decode(block)?, slot))).max();
    Ok(Found { newest, is_there: true })
}

impl Found {
    /// Whether no name can be read: one that can is never made anew, it says what is missing.
    pub fn is_lost(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether the frames reach as far as the last clean stop said.
    ///
    /// # Errors
    /// Damage, by the table above.
    pub fn check_end(&self, disk: &dyn Disk, scan: &Scan) -> Result<(), RecoveryError> {
        let Some(last) = scan.segments.last() else { return Ok(()) };
        match self.newest {
            Some((named, _)) if named.ends > scan.last_frame => Err(RecoveryError::Damaged {
                file: disk.name(last.file),
                offset: last.end,
                what: format!(
                    "the switch stopped cleanly after frame {}, and frames end here at {}",
                    named.ends, scan.last_frame
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the segments that were found, in order, end where the anchor says.
    ///
    /// # Errors
    /// Damage, by the table above.
    pub fn check(&self, disk: &dyn Disk, segments: &[(FileNo, SegmentHeader)]) -> Result<(), RecoveryError> {
        let damaged = |file, what| Err(RecoveryError::Damaged { file: disk.name(file), offset: 0, what });
        let Some((named, _)) = self.newest else {
            let Some((_, newest)) = segments.iter().rev().find(|(_, header)| header.anchored) else {
                return Ok(());
            };
            let state = if self.is_there { "neither of its slots can be read" } else { "it is missing" };
            let what = format!(
                "{state}: nothing tells whether segment {} is the newest one. Where no copy of it is left, `yika journal anchor` \
                 shows what is there and makes a new one",
                newest.number
            );
            return damaged(FileNo::ANCHOR, what);
        };
        let held = segments.iter().find(|(_, header)| header.number == named.segment);
        match held {
            None if named.segment == 0 => Ok(()),
            Some((_, header)) if header.salt == named.salt => Ok(()),
            Some((file, _)) => {
                let what = format!("it is not the segment {} that the anchor names", named.segment);
                damaged(*file, what)
            }
            None => {
                let what = format!(
                    "the anchor names it as segment {}, which is missing, or was emptied or overwritten; the newest one \
                     found is {}",
                    named.segment,
                    segments.last().map_or(0, |(_, header)| header.number)
                );
                damaged(FileNo(named.file), what)
            }
        }
    }
}

/// The writer's hold on the anchor.
pub struct AnchorKeeper {
    /// The slot for the next name: never the one that holds the newest.
    slot: u64,
}

impl AnchorKeeper {
    /// Makes the file where none can be used, naming `newest`, durable when this returns.
    ///
    /// # Errors
    /// When it cannot be read, made, written or synced.
    pub fn open(disk: &dyn Disk, newest: Anchor) -> io::Result<AnchorKeeper> {
        let found = read(disk)?;
        if let Some((_, slot)) = found.newest {
            return Ok(AnchorKeeper { slot: 1 - slot });
        }
        // Left over from a making that was cut off: made again, so that its name is durable too.
        if found.is_there {
            disk.remove(FileNo::ANCHOR)?;
        }
        disk.create(FileNo::ANCHOR, SLOTS * BLOCK)?;
        let mut keeper = AnchorKeeper { slot: 0 };
        keeper.name(disk, newest)?;
        Ok(keeper)
    }

    /// Names a segment whose header is durable; so is the name when this returns. Blocks for one write and one sync.
    ///
    /// # Errors
    /// When it cannot be written or synced; the journal must not go on.
    pub fn name(&mut self, disk: &dyn Disk, newest: Anchor) -> io::Result<()> {
        disk.write(FileNo::ANCHOR, self.slot * BLOCK, &newest.encode())?;
        disk.sync(FileNo::ANCHOR)?;
        self.slot = 1 - self.slot;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
