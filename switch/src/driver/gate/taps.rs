//! Records as they came, judged as far as no state is needed: readable, and of a kind that is taken here.

use super::{Driver, Gate};
use crate::core::ids::KeyedHash;
use crate::core::taps::Tap;
use yika_codec::gate::{LocalTime, RawRecord, Record, Verdict};
use yika_keystore::Sha256;

/// A time of a record as milliseconds of wall time.
pub(super) fn made_ms(time: LocalTime) -> u64 {
    u64::try_from(time.seconds_utc()).unwrap_or(0).saturating_mul(1000)
}

impl Driver {
    pub(super) fn tap_of(&self, gate: &Gate, raw: RawRecord<'_>) -> Tap {
        let bytes = raw.bytes().len() as u32;
        let refused = |verdict| Tap {
            key: KeyedHash(0),
            print: 0,
            hash: [0; 32],
            kind: raw.kind,
            amount_fen: 0,
            bytes,
            made_ms: 0,
            refused: Some(verdict),
        };
        let record = match Record::decode(raw) {
            Ok(record) => record,
            Err(_) => return refused(Verdict::Unreadable),
        };
        let amount_fen = record.amount_fen();
        let Some(head) = record.tap_head() else {
            return Tap { amount_fen, ..refused(Verdict::NotAccepted) };
        };
        let made_ms = made_ms(head.time);
        let hash = Sha256::of(raw.bytes());
        let (durable, participant) = (&self.core.durable, gate.gateway.participant);
        let key = durable.keyed(b'P', participant, &[&head.source, &head.sequence.to_be_bytes()]);
        let print = durable.keyed(b'N', participant, &[&hash]).0;
        Tap { key, print, hash, kind: raw.kind, amount_fen, bytes, made_ms, refused: None }
    }
}
