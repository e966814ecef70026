//! The journal on disk, byte by byte. All integers are little-endian. What is assumed of the medium: a
//! 4 KiB block that was synced stays as it is; anything not synced may be old, new, or torn anywhere.
//!
//! ```text
//! segment file = segment header (block 0), then frames, each on a 4 KiB boundary, then zeros
//!
//! segment header, one 4096-byte block            frame header, 96 bytes
//!   0  8  magic "YIKASEG1"                          0  4  magic "YKFR"
//!   8  2  version (2)                               4  2  version (1)
//!  10  2  length of the wrapped data key            6  2  header length (96)
//!  12  4  length of the file, in blocks             8  4  body length, sealed, with its 16-byte tag
//!  16  8  segment number                           12  4  count of records
//!  24  8  salt, random                             16  8  salt of its segment
//!  32  8  epoch: how many starts this journal saw  24  8  epoch
//!  40  8  frame it continues from                  32  8  frame number
//!  48 16  digest of that frame                     40  8  sequence of its first record
//!  64  n  data key, wrapped by the keystore        48  8  wall milliseconds
//!  ..     zeros                                    56  8  watermark: highest frame known durable when this was built
//! 4092 4  CRC32C of bytes 0..4092                  64 16  digest of the previous frame
//!                                                  80 12  zero
//! spare file = "YIKASPR1", CRC32C at 4092,         92  4  CRC32C of bytes 0..92 and of the body
//!   all else zeros: safe to use as a segment       96     body: records (see core::batch), AES-256-GCM under the
//!                                                         segment's data key, nonce = frame number, associated data =
//!                                                         header bytes 0..92; its last 16 bytes, the tag, are the
//!                                                         frame's digest
//! ```
//!
//! A segment of version 1 is the same, but was made when no anchor stood beside it (`anchor`).
//!
//! Is a bad frame torn or damaged? (`recovery::scan` decides.)
//!
//! | found at the expected place | a valid frame of this journal found later | verdict |
//! |---|---|---|
//! | valid, next number, right chain | - | accepted |
//! | nothing valid | none, or only with a watermark below it | torn: cut here, reported |
//! | nothing valid | one whose watermark vouches for it | damage: the start stops (P12) |
//! | anything, past the frame that the next segment continues from | - | void: that start had cut it |
//! | nothing valid, at or before the frame that the next segment continues from | - | damage |
//! | valid CRC, seal does not open | - | damage, or a wrong key: the start stops |
//! | the end of a file that is shorter than its header says | - | damage: files are whole and synced before use |
//! | no segment at the end of the journal, where the anchor names one | - | damage: see the table in `anchor` |

/// Everything starts on a multiple of this.
pub const BLOCK: u64 = 4096;
/// A frame's body closes at this size, so that bulk delays an online commit by one frame at most.
pub const FRAME_BODY_MAX: usize = 256 * 1024;
pub const FRAME_HEADER: usize = 96;
pub const TAG: usize = 16;
/// Bytes of a frame header that are sealed as associated data; the CRC stands behind them.
pub const SEALED_HEADER: usize = 92;
const SEGMENT_MAGIC: &[u8; 8] = b"YIKASEG1";
const SPARE_MAGIC: &[u8; 8] = b"YIKASPR1";
const FRAME_MAGIC: &[u8; 4] = b"YKFR";
/// Of a frame.
const VERSION: u16 = 1;
/// Of a segment that an anchor names.
const SEGMENT_VERSION: u16 = 2;
/// Of a segment from before there were anchors.
const SEGMENT_VERSION_BARE: u16 = 1;
const CRC_AT: usize = BLOCK as usize - 4;
/// Room for the wrapped data key in a segment header.
pub const WRAPPED_MAX: usize = CRC_AT - 64;

/// The last 16 bytes of a frame's sealed body: authenticates header and body, and chains the next frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest(pub [u8; 16]);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Whether an anchor stood beside it when it was made: its version.
    pub anchored: bool,
    /// Length of its file, in blocks of 4 KiB: a file that is shorter was cut after it was in use.
    pub blocks: u32,
    pub number: u64,
    pub salt: u64,
    pub epoch: u64,
    pub continues: u64,
    pub digest: Digest,
    pub wrapped: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    pub body_len: u32,
    pub count: u32,
    pub salt: u64,
    pub epoch: u64,
    pub number: u64,
    pub first_seq: u64,
    pub wall_ms: u64,
    pub watermark: u64,
    pub previous: Digest,
}

/// What block 0 of a file says it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileKind {
    Segment(SegmentHeader),
    Spare,
    /// All zeros: a spare whose making was cut off.
    Blank,
    Unreadable(&'static str),
}

impl SegmentHeader {
    /// The whole block. A wrapped key longer than `WRAPPED_MAX` is cut and will not unwrap; the keystore's
    /// are under 200 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        let wrapped = &self.wrapped[..self.wrapped.len().min(WRAPPED_MAX)];
        block[..8].copy_from_slice(SEGMENT_MAGIC);
        let version = if self.anchored { SEGMENT_VERSION } else { SEGMENT_VERSION_BARE };
        block[8..10].copy_from_slice(&version.to_le_bytes());
        block[10..12].copy_from_slice(&(wrapped.len() as u16).to_le_bytes());
        block[12..16].copy_from_slice(&self.blocks.to_le_bytes());
        block[16..24].copy_from_slice(&self.number.to_le_bytes());
        block[24..32].copy_from_slice(&self.salt.to_le_bytes());
        block[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        block[40..48].copy_from_slice(&self.continues.to_le_bytes());
        block[48..64].copy_from_slice(&self.digest.0);
        block[64..64 + wrapped.len()].copy_from_slice(wrapped);
        close_block(&mut block);
        block
    }
}

/// Block 0 of a file that is ready to become a segment.
pub fn spare_block() -> Vec<u8> {
    let mut block = vec![0; BLOCK as usize];
    block[..8].copy_from_slice(SPARE_MAGIC);
    close_block(&mut block);
    block
}

pub fn file_kind(block: &[u8]) -> FileKind {
    let Some(block) = block.get(..BLOCK as usize) else {
        return FileKind::Unreadable("shorter than one block");
    };
    if block.iter().all(|byte| *byte == 0) {
        return FileKind::Blank;
    }
    if !block_crc_holds(block) {
        return FileKind::Unreadable("its header's checksum is wrong");
    }
    if block.starts_with(SPARE_MAGIC) {
        return FileKind::Spare;
    }
    if !block.starts_with(SEGMENT_MAGIC) {
        return FileKind::Unreadable("it is no journal segment");
    }
    let version = u16_at(block, 8);
    if ![SEGMENT_VERSION, SEGMENT_VERSION_BARE].contains(&version) {
        return FileKind::Unreadable("its format version is not one this build reads");
    }
    let wrapped = usize::from(u16_at(block, 10)).min(WRAPPED_MAX);
    FileKind::Segment(SegmentHeader {
        anchored: version == SEGMENT_VERSION,
        blocks: u32_at(block, 12),
        number: u64_at(block, 16),
        salt: u64_at(block, 24),
        epoch: u64_at(block, 32),
        continues: u64_at(block, 40),
        digest: digest_at(block, 48),
        wrapped: block[64..64 + wrapped].to_vec(),
    })
}

impl FrameHeader {
    /// The first 92 bytes; `seal_crc` adds the CRC once the body is sealed.
    pub fn encode(&self) -> [u8; FRAME_HEADER] {
        let mut out = [0; FRAME_HEADER];
        out[..4].copy_from_slice(FRAME_MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&(FRAME_HEADER as u16).to_le_bytes());
        out[8..12].copy_from_slice(&self.body_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.count.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.first_seq.to_le_bytes());
        out[48..56].copy_from_slice(&self.wall_ms.to_le_bytes());
        out[56..64].copy_from_slice(&self.watermark.to_le_bytes());
        out[64..80].copy_from_slice(&self.previous.0);
        out
    }

    /// Decodes what looks like a header of this segment; the CRC is checked by `frame_crc_holds`.
    pub fn decode(bytes: &[u8], salt: u64) -> Option<FrameHeader> {
        let bytes = bytes.get(..FRAME_HEADER)?;
        let header = FrameHeader {
            body_len: u32_at(bytes, 8),
            count: u32_at(bytes, 12),
            salt: u64_at(bytes, 16),
            epoch: u64_at(bytes, 24),
            number: u64_at(bytes, 32),
            first_seq: u64_at(bytes, 40),
            wall_ms: u64_at(bytes, 48),
            watermark: u64_at(bytes, 56),
            previous: digest_at(bytes, 64),
        };
        let fits = (TAG..=FRAME_BODY_MAX * 2 + TAG).contains(&(header.body_len as usize));
        let known = bytes.starts_with(FRAME_MAGIC) && u16_at(bytes, 4) == VERSION;
        (known && fits && header.salt == salt && usize::from(u16_at(bytes, 6)) == FRAME_HEADER)
            .then_some(header)
    }

    /// Bytes the frame takes in its segment, padding included.
    pub fn span(&self) -> u64 {
        span(self.body_len as usize)
    }
}

/// Bytes that a frame with a sealed body of this length takes.
pub fn span(body_len: usize) -> u64 {
    ((FRAME_HEADER + body_len) as u64).div_ceil(BLOCK) * BLOCK
}

/// Writes the CRC of a frame whose body stands behind its header in `frame`.
pub fn seal_crc(frame: &mut [u8]) {
    let crc = frame_crc(frame);
    frame[SEALED_HEADER..FRAME_HEADER].copy_from_slice(&crc.to_le_bytes());
}

/// Whether the CRC of a frame (header and sealed body, without padding) holds.
pub fn frame_crc_holds(frame: &[u8]) -> bool {
    frame.len() >= FRAME_HEADER + TAG && frame_crc(frame) == u32_at(frame, SEALED_HEADER)
}

/// The digest of a frame: the tag at the end of its sealed body.
pub fn digest_of(frame: &[u8]) -> Digest {
    frame.len().checked_sub(TAG).map_or(Digest::default(), |at| digest_at(frame, at))
}

fn frame_crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..SEALED_HEADER]), &frame[FRAME_HEADER..])
}

/// Whether the checksum at the end of a whole block holds.
pub(super) fn block_crc_holds(block: &[u8]) -> bool {
    crc32c::crc32c(&block[..CRC_AT]) == u32_at(block, CRC_AT)
}

pub(super) fn close_block(block: &mut [u8]) {
    let crc = crc32c::crc32c(&block[..CRC_AT]);
    block[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn digest_at(bytes: &[u8], at: usize) -> Digest {
    Digest(array_at(bytes, at))
}

/// Callers have checked the length of what they pass.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn segment_header_has_golden_bytes() {
        let header = SegmentHeader {
            anchored: true,
            blocks: 16_384,
            number: 7,
            salt: 0x1122_3344_5566_7788,
            epoch: 3,
            continues: 99,
            digest: Digest([0xab; 16]),
            wrapped: vec![1, 2, 3],
        };
        let block = header.encode();
        assert_eq!(block.len(), 4096);
        assert_eq!(
            hex(&block[..68]),
            "59494b41534547310200030000400000070000000000000088776655443322110300000000000000\
             6300000000000000abababababababababababababababab01020300"
        );
        assert_eq!(file_kind(&block), FileKind::Segment(header.clone()));
        let bare = SegmentHeader { anchored: false, ..header };
        assert_eq!(
            hex(&bare.encode()[..12]),
            "59494b415345473101000300",
            "a segment of version 1 still opens"
        );
        assert_eq!(file_kind(&bare.encode()), FileKind::Segment(bare));
        assert_eq!(file_kind(&spare_block()), FileKind::Spare);
        assert_eq!(file_kind(&[0; 4096]), FileKind::Blank);
    }

    #[test]
    fn frame_header_has_golden_bytes() {
        let header = FrameHeader {
            body_len: 20,
            count: 1,
            salt: 5,
            epoch: 2,
            number: 41,
            first_seq: 1000,
            wall_ms: 1_795_476_615_250,
            watermark: 40,
            previous: Digest([0xcd; 16]),
        };
        let mut frame = header.encode().to_vec();
        frame.extend_from_slice(&[9; 20]);
        seal_crc(&mut frame);
        assert_eq!(
            hex(&frame[..FRAME_HEADER]),
            "594b4652010060001400000001000000050000000000000002000000000000002900000000000000e803000000000000\
             52f0be0aa20100002800000000000000cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd000000000000000000000000b39be1cd"
        );
        assert_eq!(FrameHeader::decode(&frame, 5), Some(header));
        assert_eq!(FrameHeader::decode(&frame, 6), None);
        assert!(frame_crc_holds(&frame));
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!frame_crc_holds(&bad), "bit {bit} was not noticed");
        }
    }
}
