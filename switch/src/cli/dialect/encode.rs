//! `yika dialect encode`: from JSON to bytes in hex.

use super::{CliError, dialect, framing, text_of};
use crate::cli::out::Out;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use yika_codec::{Dialect, Draft, Inner, Mti, Node, PartForm, Sensitivity, ValueForm, hex, unhex};

pub(super) fn encode(
    out: &mut Out,
    file: Option<&Path>,
    named: Option<&str>,
    framed: Option<&str>,
) -> Result<(), CliError> {
    let text = text_of(file.unwrap_or(Path::new("-")))?;
    let mut seen = 0;
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        seen += 1;
        let fault = |why: String| CliError::Dialect(format!("message {seen}: {why}"));
        let object = value.map_err(|error| fault(format!("is no JSON: {error}")))?;
        let object = object.as_object().ok_or_else(|| fault("is no JSON object".into()))?;
        let name = named.or_else(|| object.get("dialect")?.as_str());
        let name =
            name.ok_or_else(|| fault("names no dialect: give --dialect, or a key \"dialect\"".into()))?;
        let dialect = dialect(name)?;
        let mut bytes = Vec::new();
        let framing = framed.map(|name| framing(name, &dialect)).transpose()?;
        let mark = framing.map(|framing| framing.begin(&mut bytes));
        write(&dialect, object, &mut bytes).map_err(fault)?;
        if let (Some(framing), Some(mark)) = (framing, mark) {
            framing.finish(&mut bytes, mark).map_err(|error| fault(error.to_string()))?;
        }
        writeln!(out, "{}", hex(&bytes))?;
    }
    if seen == 0 {
        return Err(CliError::Dialect("there is no message to encode: expected a JSON object".into()));
    }
    Ok(())
}

/// The keys that `decode --json` writes and that say nothing here.
const TOLD: [&str; 5] = ["dialect", "kind", "notes", "unknown_parts", "repeated_parts"];

fn write(dialect: &Dialect, object: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), String> {
    if object.get("masked").is_some_and(|masked| *masked != Value::Bool(false)) {
        return Err("its values are masked: decode it with --clear".into());
    }
    let known = [&TOLD[..], &["masked", "mti", "header", "fields"]].concat();
    if let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("unknown key \"{key}\"; there are mti, header, fields, dialect"));
    }
    let mti = object.get("mti").and_then(Value::as_str).and_then(|mti| mti.as_bytes().try_into().ok());
    let mti = mti.and_then(Mti::from_digits).ok_or("\"mti\" is not four digits in quotes")?;
    let header = match object.get("header") {
        None => Vec::new(),
        Some(header) => header.as_str().and_then(unhex).ok_or("\"header\" is not hex in quotes")?,
    };
    let fields = object.get("fields").and_then(Value::as_object);
    let fields = fields.ok_or("\"fields\" is missing, or no object of values by field number")?;
    let mut values = BTreeMap::new();
    for (key, value) in fields {
        let n = key.parse::<u8>().ok().filter(|n| dialect.knows(*n));
        let n = n.ok_or_else(|| format!("{}: the dialect has no field \"{key}\"", dialect.name()))?;
        values.insert(n, field(dialect, n, value)?);
    }
    let mut draft = Draft::new(mti);
    draft.header(&header);
    for (n, value) in &values {
        draft.set(*n, value);
    }
    dialect.encode(&draft, out).map(|_| ()).map_err(|error| error.to_string())
}

fn field(dialect: &Dialect, n: u8, value: &Value) -> Result<Vec<u8>, String> {
    if let Some(text) = value.as_str() {
        return bytes(dialect.value_form(n).unwrap_or(ValueForm::Binary), text)
            .map_err(|why| format!("field {n}: {why}"));
    }
    let Some((_, parts)) = dialect.parts(n) else {
        return Err(format!("field {n}: expected text in quotes; the dialect knows no parts of it"));
    };
    let nodes = nodes(value, &parts, &n.to_string())?;
    match dialect.close(n, &nodes) {
        Some(Ok(value)) => Ok(value.to_vec()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("field {n}: the dialect knows no parts of it")),
    }
}

/// Parts as an object by id, or as a list of objects with id and value.
fn nodes(value: &Value, parts: &[PartForm], path: &str) -> Result<Vec<Node>, String> {
    match value {
        Value::Object(map) => map.iter().map(|(id, value)| node(id, value, 0, parts, path)).collect(),
        Value::Array(list) => list
            .iter()
            .map(|item| {
                let id = item.get("id").and_then(Value::as_str);
                let (Some(id), Some(value)) = (id, item.get("value")) else {
                    return Err(format!("{path}: a part in a list is {{\"id\": ..., \"value\": ...}}"));
                };
                let length_bytes = item.get("length_bytes").and_then(Value::as_u64).unwrap_or(0);
                node(id, value, length_bytes as u8, parts, path)
            })
            .collect(),
        _ => Err(format!("{path}: expected text in quotes, or parts")),
    }
}

fn node(id: &str, value: &Value, length_bytes: u8, parts: &[PartForm], path: &str) -> Result<Node, String> {
    let path = format!("{path}.{id}");
    let part = parts.iter().find(|part| part.id == id);
    let form = part.map_or(ValueForm::Binary, |part| part.value);
    let inner = match value.as_str() {
        Some(text) => Inner::Value(bytes(form, text).map_err(|why| format!("{path}: {why}"))?.into()),
        None => {
            // Constructed tags hold the tags of the structure they stand in.
            let below = part.map(|part| &part.parts[..]).filter(|below| !below.is_empty()).unwrap_or(parts);
            Inner::Parts(nodes(value, below, &path)?)
        }
    };
    let (id, name) = (id.to_owned(), String::new());
    Ok(Node {
        id,
        name,
        sensitivity: Sensitivity::None,
        is_text: form != ValueForm::Binary,
        length_bytes,
        inner,
    })
}

fn bytes(form: ValueForm, text: &str) -> Result<Vec<u8>, String> {
    match form {
        ValueForm::Binary => unhex(text).ok_or_else(|| "expected hex, pairs of 0-9 and A-F".to_owned()),
        ValueForm::Ascii => Ok(text.as_bytes().to_vec()),
        ValueForm::Gbk => match encoding_rs::GBK.encode(text) {
            (bytes, _, false) => Ok(bytes.into_owned()),
            (_, _, true) => Err("holds characters that GBK has not".to_owned()),
        },
    }
}
