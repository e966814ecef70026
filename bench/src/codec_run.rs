//! The codec, one operation at a time: the reference message in each dialect, beside the fastest public crate doing the
//! same; a message of all fields; a forward. Each in nanoseconds and in instructions, which neighbours do not change.
//!
//! An operation is made once and found by its name, so that `bench/src/instructions.rs` can run it alone.

use crate::alloc;
use crate::error::BenchError;
use crate::instructions;
use crate::measure::cost;
use crate::report::{Budget, Report, Row};
use iso_8583_rs::specfile::{FieldDescription, Spec};
use iso_8583_rs::{Builder, CompiledSpec};
use std::hint::black_box;
use std::sync::Arc;
use yika_codec::{Dialect, Draft, EncodeError, FieldSet, Layout, Mti};

/// The reference message: a purchase of eleven fields, iso87-ascii with a hexadecimal bitmap.
pub(crate) const REFERENCE: &[u8] = b"02007238000008C08000\
    164111111111111111000000000000010000061512304512345612304506154123\
    45678901TERM0001MERCHANT0000001840";

/// What the reference message may take in a dialect, both ways.
const AIMS_NS: [(&str, f64); 2] = [("iso87-ascii", 100.0), ("pos-bcd", 150.0)];
const ALL_FIELDS_AIM_NS: f64 = 1_200.0;

/// All fields of ISO 8583:1987, packed.
const PACKED: &str = "name = \"packed\"\nextends = \"iso87-ascii\"\n[wire]\nmti = \"bcd\"\nbitmap = \"binary\"\n\
                      lengths = \"bcd\"\ndigits = \"bcd\"\nbinary = \"binary\"\n";
/// Bytes of a value whose length is free: what counts is the number of fields, and some 600 bytes are a long message.
const FREE_BYTES: usize = 1;
const TOO_LONG: usize = 4096;

/// A forward changes these: the trace number and the retrieval reference are the line's own.
const FORWARDED: [(u8, &[u8]); 2] = [(11, b"654321"), (37, b"999999999999")];

const ALLOCATIONS_OF: usize = 1000;

/// Something that is measured.
pub(crate) struct Operation {
    pub(crate) name: String,
    aim_ns: Option<f64>,
    about: String,
    pub(crate) once: Box<dyn FnMut()>,
}

/// Rows of all operations; with their instructions, which takes half a minute, where `counted` asks for them.
pub(crate) fn run(quick: bool, counted: bool, report: &mut Report) -> Result<(), BenchError> {
    let mut decoded_allocations = 0;
    for mut operation in operations()? {
        let cost = cost(quick, &mut operation.once);
        let allocations = alloc::count(|| (0..ALLOCATIONS_OF).for_each(|_| (operation.once)()));
        let about = match allocations {
            0 => operation.about,
            count => format!("{}; {} allocations", operation.about, count as f64 / ALLOCATIONS_OF as f64),
        };
        let mut row = Row::cost("codec", &operation.name, cost);
        if let Some(aim_ns) = operation.aim_ns {
            row = row.budget(Budget::AtMost(aim_ns));
        }
        report.add(match counted.then(|| instructions::of(&operation.name)) {
            None => row.beside(about),
            Some(Ok(count)) => row.instructions(count).beside(about),
            Some(Err(why)) => row.beside(format!("{about}; instructions not counted: {why}")),
        });
        if operation.name.starts_with("decode") {
            decoded_allocations += allocations;
        }
    }
    let what = format!("allocations in {ALLOCATIONS_OF} decodes of each kind");
    report.add(Row::new("codec", what, decoded_allocations as f64, "").budget(Budget::AtMost(0.0)));
    Ok(())
}

/// Every operation, in the order of the table.
pub(crate) fn operations() -> Result<Vec<Operation>, BenchError> {
    let setup = BenchError::setup("the codec");
    let iso = Dialect::builtin("iso87-ascii").ok_or_else(|| setup(&"there is no iso87-ascii"))?;
    let (mti, values) = read(&iso, REFERENCE)?;
    let mut operations = Vec::new();
    for dialect in Dialect::builtin_names().filter_map(Dialect::builtin) {
        let aim_ns = AIMS_NS.iter().find(|aim| aim.0 == dialect.name()).map(|aim| aim.1);
        let values = spoken(&dialect, &values, mti).map_err(|e| setup(&e))?;
        let name = dialect.name().to_owned();
        operations.extend(both_ways(&dialect, &name, mti, &values, aim_ns)?);
        operations.push(forward(&dialect, &name, mti, &values)?);
        if dialect.name() == iso.name() {
            operations.extend(rival(&iso)?);
        }
    }
    let packed = all_fields_dialect()?;
    let values = all_fields(&packed);
    operations.extend(both_ways(&packed, "all fields, packed", mti, &values, Some(ALL_FIELDS_AIM_NS))?);
    Ok(operations)
}

/// Decode, and encode from canonical values.
fn both_ways(
    dialect: &Arc<Dialect>,
    name: &str,
    mti: Mti,
    values: &FieldSet,
    aim_ns: Option<f64>,
) -> Result<[Operation; 2], BenchError> {
    let wire = written(dialect, mti, values).map_err(|e| BenchError::setup("the codec")(&e))?;
    read(dialect, &wire)?;
    let about = format!("{} bytes, {} fields", wire.len(), values.iter().count());
    let mut out = Vec::with_capacity(2 * wire.len());
    let (dialect, values) = (Arc::clone(dialect), values.clone());
    let encode = {
        let dialect = Arc::clone(&dialect);
        move || {
            out.clear();
            let mut draft = Draft::new(mti);
            draft.set_all(black_box(&values));
            let _ = black_box(dialect.encode(&draft, &mut out));
        }
    };
    let mut layout = Layout::default();
    let decode = move || {
        let _ = black_box(dialect.decode(black_box(&wire), &mut layout));
    };
    Ok([
        operation(format!("decode, {name}"), aim_ns, about.clone(), decode),
        operation(format!("encode, {name}"), aim_ns, format!("{about}, from canonical values"), encode),
    ])
}

/// A request that goes on in its own dialect: two fields are changed, the others copied as they stand.
fn forward(dialect: &Arc<Dialect>, name: &str, mti: Mti, values: &FieldSet) -> Result<Operation, BenchError> {
    let wire = written(dialect, mti, values).map_err(|e| BenchError::setup("the codec")(&e))?;
    let (dialect, mut layout) = (Arc::clone(dialect), Layout::default());
    let mut out = Vec::with_capacity(2 * wire.len());
    let about = format!("decode, {} fields changed, the rest spliced, encode", FORWARDED.len());
    let once = move || {
        out.clear();
        let _ = black_box(dialect.decode(black_box(&wire), &mut layout));
        let message = dialect.message(&wire, &layout);
        let mut draft = Draft::new(message.mti());
        draft.header(message.header());
        message.fields().for_each(|n| draft.splice(&message, n));
        FORWARDED.iter().for_each(|(n, value)| draft.set(*n, value));
        let _ = black_box(dialect.encode(&draft, &mut out));
    };
    Ok(operation(format!("forward, {name}"), None, about, once))
}

/// The same message, both ways and forwarded, by iso_8583_rs, which is given a layout of just its eleven fields.
fn rival(iso: &Dialect) -> Result<[Operation; 3], BenchError> {
    let setup = BenchError::setup("iso_8583_rs");
    let spec = Arc::new(CompiledSpec::compile(&rival_layout()).map_err(|e| setup(&e))?);
    let (mti, values) = read(iso, REFERENCE)?;
    let (decoding, encoding) = (Arc::clone(&spec), Arc::clone(&spec));
    let message = iso_8583_rs::Message::parse(&spec, REFERENCE).map_err(|e| setup(&e))?;
    if !message.fields().eq(values.iter().map(|(n, value)| (usize::from(n), value))) {
        return Err(setup(&"it reads the reference message otherwise"));
    }
    let about = "the same message, checked as ours is";
    let decode = move || {
        let _ = black_box(iso_8583_rs::Message::parse(&decoding, black_box(REFERENCE)));
    };
    let (mti, mut out) = (mti.digits(), Vec::with_capacity(2 * REFERENCE.len()));
    let encode = move || {
        out.clear();
        if let Ok(mut builder) = Builder::new(&encoding, &mti) {
            for (n, value) in black_box(&values).iter() {
                let _ = black_box(builder.set(usize::from(n), value).map(|_| ()));
            }
            builder.pack_into(&mut out);
        }
        black_box(&out);
    };
    let mut out = Vec::with_capacity(2 * REFERENCE.len());
    let forward = move || {
        out.clear();
        if let Ok(message) = iso_8583_rs::Message::parse(&spec, black_box(REFERENCE))
            && let Ok(mut builder) = Builder::new(&spec, &message.mti)
        {
            let changed = FORWARDED.iter().map(|(n, value)| (usize::from(*n), *value));
            for (n, value) in message.fields().chain(changed) {
                let _ = black_box(builder.set(n, value).map(|_| ()));
            }
            builder.pack_into(&mut out);
        }
        black_box(&out);
    };
    Ok([
        operation("decode, iso_8583_rs".into(), None, about.into(), decode),
        operation("encode, iso_8583_rs".into(), None, about.into(), encode),
        operation(
            "forward, iso_8583_rs".into(),
            None,
            "decode, all fields set again, encode".into(),
            forward,
        ),
    ])
}

fn rival_layout() -> Spec {
    let rows = [
        (2, "n", "llvar", 19),
        (3, "n", "fixed", 6),
        (4, "n", "fixed", 12),
        (7, "n", "fixed", 10),
        (11, "n", "fixed", 6),
        (12, "n", "fixed", 6),
        (13, "n", "fixed", 4),
        (37, "an", "fixed", 12),
        (41, "ans", "fixed", 8),
        (42, "ans", "fixed", 15),
        (49, "an", "fixed", 3),
    ];
    let field = |(n, content, len, max_len): (i64, &str, &str, usize)| {
        let (content_type, len_type) = (content.to_owned(), len.to_owned());
        (n, FieldDescription { content_type, max_len, min_len: 0, len_type, label: String::new() })
    };
    Spec { fields: rows.into_iter().map(field).collect() }
}

fn all_fields_dialect() -> Result<Arc<Dialect>, BenchError> {
    let resolve = |name: &str| Dialect::builtin_text(name).map(str::to_owned);
    let compiled = Dialect::from_toml("packed", PACKED, &resolve);
    compiled.map(Arc::new).map_err(|e| BenchError::setup("a packed dialect")(&e))
}

/// A value for each field of the dialect, found by asking: how long, when it is given too much, then of what.
fn all_fields(dialect: &Dialect) -> FieldSet {
    let mut values = FieldSet::new();
    for n in (2..=128).filter(|n| dialect.knows(*n)) {
        let encode = |value: &[u8]| {
            let mut one = FieldSet::new();
            one.set(n, value);
            written(dialect, Mti::new(0x0200), &one)
        };
        let Err(EncodeError::Length { found, max, fixed, .. }) = encode(&[b'1'; TOO_LONG]) else {
            continue;
        };
        let max_bytes = max * TOO_LONG / found.max(1);
        let mut value = vec![b'1'; if fixed { max_bytes } else { max_bytes.min(FREE_BYTES) }];
        if encode(&value).is_err() {
            // An amount with its sign.
            value.iter_mut().take(1).for_each(|byte| *byte = b'C');
        }
        if encode(&value).is_ok() {
            values.set(n, &value);
        }
    }
    values
}

fn operation(name: String, aim_ns: Option<f64>, about: String, once: impl FnMut() + 'static) -> Operation {
    Operation { name, aim_ns, about, once: Box::new(once) }
}

fn read(dialect: &Dialect, wire: &[u8]) -> Result<(Mti, FieldSet), BenchError> {
    let (mut layout, mut values) = (Layout::default(), FieldSet::new());
    dialect.decode(wire, &mut layout).map_err(|e| BenchError::setup("the codec")(&e))?;
    let message = dialect.message(wire, &layout);
    message.collect(&message.present(), &mut values);
    Ok((message.mti(), values))
}

fn written(dialect: &Dialect, mti: Mti, values: &FieldSet) -> Result<Vec<u8>, EncodeError> {
    let (mut draft, mut out) = (Draft::new(mti), Vec::new());
    draft.set_all(values);
    dialect.encode(&draft, &mut out)?;
    Ok(out)
}

/// The values that `dialect` has a field for.
fn spoken(dialect: &Dialect, values: &FieldSet, mti: Mti) -> Result<FieldSet, EncodeError> {
    let mut kept = values.clone();
    loop {
        match written(dialect, mti, &kept) {
            Ok(_) => return Ok(kept),
            Err(
                EncodeError::UnknownField { field, .. }
                | EncodeError::Length { field, .. }
                | EncodeError::Content { field, .. },
            ) => {
                kept.remove(field);
            }
            Err(other) => return Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_dialects_speak_most_of_the_reference_message() {
        assert_eq!(REFERENCE.len(), 120);
        let iso = Dialect::builtin("iso87-ascii").unwrap();
        let (mti, values) = read(&iso, REFERENCE).unwrap();
        assert_eq!(spoken(&iso, &values, mti).unwrap().iter().count(), 11);
        let pos = Dialect::builtin("pos-bcd").unwrap();
        assert!(spoken(&pos, &values, mti).unwrap().iter().count() >= 8);
    }

    #[test]
    fn the_message_of_all_fields_has_more_than_a_hundred() {
        let packed = all_fields_dialect().unwrap();
        let values = all_fields(&packed);
        let wire = written(&packed, Mti::new(0x0200), &values).unwrap();
        assert!(values.iter().count() > 100, "{} fields", values.iter().count());
        assert!((525..650).contains(&wire.len()), "{} bytes", wire.len());
    }

    #[test]
    fn each_operation_has_a_name_of_its_own_and_can_be_done() {
        let mut names: Vec<_> = operations()
            .unwrap()
            .into_iter()
            .map(|mut one| {
                (one.once)();
                one.name
            })
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert!(names.len() == count && count >= 11, "{names:?}");
    }
}
