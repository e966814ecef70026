//! Key files of version 1: read here, and written anew as version 2 when they are first changed. They held active keys
//! and nothing else, and had no audit log.
//!
//! ```text
//! line 1   {"yika_keys":1,"lmk":"5C9405","records":    3,"bytes":     1904,"seal":"<32 hex>"}
//! line 2.. {"name":"zmk.bank-a","check_value":"A1B2C3","block":"D0208K0A..","seal":"<32 hex>"}
//! ```

use serde::Deserialize;

use super::{HEADER_BYTES_MAX, KeyFile, RESTORE};
use crate::error::KeyError;
use crate::info::{Origin, Validity};
use crate::lmk::{Lmk, LmkBlock};
use crate::state::KeyState;
use crate::store::record::{Held, KeyRecord, Record};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    yika_keys: u32,
    lmk: String,
    records: usize,
    bytes: usize,
    seal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    name: String,
    check_value: String,
    block: LmkBlock,
    seal: String,
}

fn header(content: &[u8]) -> Option<(HeaderLine, usize)> {
    let head = &content[..content.len().min(HEADER_BYTES_MAX)];
    let end = head.iter().position(|&byte| byte == b'\n')?;
    let header: HeaderLine = serde_json::from_slice(&head[..end]).ok()?;
    (header.yika_keys == 1).then_some((header, end + 1))
}

/// Whether a file says that it is one of version 1.
pub(super) fn is(content: &[u8]) -> bool {
    header(content).is_some()
}

/// Proves header and lines. What an interrupted write left behind the counted lines is not looked at: the file is
/// written anew before anything is added.
pub(super) fn read(file: &mut KeyFile, content: &[u8], lmk: &Lmk) -> Result<Held, KeyError> {
    let Some((header, start)) = header(content) else {
        return Err(file.damaged(1, "no header of a key file".to_owned(), RESTORE));
    };
    file.refuse_other_lmk(&header.lmk, lmk)?;
    let Some(mut rest) = content.get(start..header.bytes) else {
        return Err(file.damaged(1, "the file is shorter than its header says".to_owned(), RESTORE));
    };
    let (mut held, mut last_seal) = (Held::default(), String::new());
    for line in 2..header.records.saturating_add(2) {
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(file.damaged(line, "the file was cut short".to_owned(), RESTORE));
        };
        let record: RecordLine = serde_json::from_slice(&rest[..end])
            .map_err(|error| file.damaged(line, format!("not a key record ({error})"), RESTORE))?;
        let RecordLine { name, check_value, block, seal } = record;
        if seal != file.seals.seal(&["record", &last_seal, &name, &check_value, block.as_str()]) {
            let reason = "the seal does not hold: the line, or one before it, was changed or moved";
            return Err(file.damaged(line, reason.to_owned(), RESTORE));
        }
        let record = KeyRecord {
            name,
            check_value,
            block: Some(block),
            state: KeyState::Active,
            origin: Origin::Unknown,
            validity: Validity::default(),
            was: None,
        };
        held.apply(Record::Key(record), lmk).map_err(|reason| file.damaged(line, reason, RESTORE))?;
        (last_seal, rest) = (seal, &rest[end + 1..]);
    }
    let (records, bytes) = (header.records.to_string(), header.bytes.to_string());
    if header.seal != file.seals.seal(&["header", &header.lmk, &records, &bytes, &last_seal]) {
        return Err(file.damaged(1, "the header's seal does not hold".to_owned(), RESTORE));
    }
    if !rest.is_empty() {
        return Err(file.damaged(
            header.records + 2,
            "more lines than the header counts".to_owned(),
            RESTORE,
        ));
    }
    file.header = String::from_utf8_lossy(&content[..start]).into_owned();
    (file.records, file.bytes, file.last_seal) = (header.records, header.bytes as u64, last_seal);
    Ok(held)
}
