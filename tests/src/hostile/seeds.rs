//! Good messages to begin with: the golden ones of the codec, and some that are made from what each dialect says it takes.

use std::sync::Arc;
use yika_codec::{Dialect, Draft, EncodeError, Layout, Mti};

/// The codec's golden messages stand in code, field by field; they are read from where they are.
#[path = "../../../codec/tests/common/mod.rs"]
mod golden;

/// Fields of one made message: as many as a request has, so that a mutation more often strikes structure than values.
const FIELDS_AT_ONCE: usize = 12;
/// Longer than any field may be, so that a dialect says how long it may.
const TOO_LONG: usize = 32_768;

/// Field numbers, ascending, and canonical values.
pub(super) type Values = Vec<(u8, Vec<u8>)>;

/// Every dialect that ships with the switch.
pub(super) fn dialects() -> Vec<Arc<Dialect>> {
    Dialect::builtin_names().filter_map(Dialect::builtin).collect()
}

/// Messages in the dialects that ship with the switch.
pub(super) fn messages() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = golden::all().iter().map(|golden| golden.wire()).collect();
    for dialect in dialects() {
        let values = [values(&dialect, false), values(&dialect, true)];
        all.extend(written(&dialect, 0x0800, &[]));
        all.extend(written(&dialect, 0x0200, &values[0]));
        let some = values.iter().flat_map(|values| values.chunks(FIELDS_AT_ONCE));
        all.extend(some.filter_map(|values| written(&dialect, 0x0210, values)));
    }
    all
}

/// A message of these values, which one by one can be written, if together they can.
pub(super) fn written(dialect: &Dialect, mti: u16, values: &[(u8, Vec<u8>)]) -> Option<Vec<u8>> {
    write(dialect, mti, values).ok()
}

/// A message of these values, or why there is none.
pub(super) fn write(dialect: &Dialect, mti: u16, values: &[(u8, Vec<u8>)]) -> Result<Vec<u8>, EncodeError> {
    let mut draft = Draft::new(Mti::new(mti));
    values.iter().for_each(|(n, value)| draft.set(*n, value));
    let mut out = Vec::new();
    dialect.encode(&draft, &mut out)?;
    Ok(out)
}

/// A value that may be sent for each field of the dialect, as long as it may be or short.
pub(super) fn values(dialect: &Dialect, longest: bool) -> Values {
    let known = (2..=u8::MAX).filter(|n| dialect.knows(*n));
    known.filter_map(|n| Some((n, value(dialect, n, longest)?))).collect()
}

/// Found by asking: how long the dialect says when it is given too much, then the first kind of character it takes.
fn value(dialect: &Dialect, n: u8, longest: bool) -> Option<Vec<u8>> {
    let try_one = |value: &[u8]| {
        let mut draft = Draft::new(Mti::new(0x0200));
        draft.set(n, value);
        dialect.encode(&draft, &mut Vec::new())
    };
    let Err(EncodeError::Length { found, max, fixed, .. }) = try_one(&[b'1'; TOO_LONG]) else {
        return None;
    };
    let canonical_max = max * TOO_LONG / found.max(1);
    let len = if fixed || longest { canonical_max } else { canonical_max.min(3) };
    [(b'1', b'2'), (b'C', b'0'), (b'A', b'b')].into_iter().find_map(|(first, other)| {
        let mut value = vec![other; len];
        value.iter_mut().take(1).for_each(|byte| *byte = first);
        try_one(&value).is_ok().then_some(value)
    })
}

/// What decodes of `payload`; `None` if it is no message.
pub(super) fn read(dialect: &Dialect, payload: &[u8]) -> Option<Values> {
    let mut layout = Layout::default();
    dialect.decode(payload, &mut layout).ok()?;
    let message = dialect.message(payload, &layout);
    let fields = message.fields().map(|n| {
        let mut value = Vec::new();
        message.copy(n, &mut value);
        (n, value)
    });
    Some(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_field_of_every_dialect_has_a_value() {
        for dialect in dialects() {
            let known = (2..=u8::MAX).filter(|n| dialect.knows(*n)).count();
            for longest in [false, true] {
                let values = values(&dialect, longest);
                assert!(values.len() * 10 >= known * 9, "{dialect:?}: {} of {known}", values.len());
            }
        }
    }

    #[test]
    fn every_made_message_decodes_in_a_dialect() {
        for payload in messages() {
            assert!(dialects().iter().any(|dialect| read(dialect, &payload).is_some()), "{payload:02x?}");
        }
    }
}
