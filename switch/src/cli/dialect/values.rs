//! The values of a message in words and in JSON. Card numbers are masked and other secrets hidden, unless `clear`.

use serde_json::{Map, Value, json};
use yika_codec::{Inner, Message, Node, Pan, Sensitivity, ValueForm, hex, masked, unknown_and_repeated};

/// One line of a message for people.
pub(super) struct Row {
    /// Field number and, below it, positions and tags: `4`, `60.2`, `55.9F26`.
    pub(super) path: String,
    /// How deep it stands.
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) shown: String,
    /// What tells two values apart, for whoever compares; never printed.
    pub(super) raw: Vec<u8>,
}

/// All values, in order, parts below their field.
pub(super) fn rows(message: &Message<'_>, clear: bool) -> Vec<Row> {
    let dialect = message.dialect();
    let mut rows = Vec::new();
    for n in message.fields() {
        let mut raw = Vec::new();
        message.copy(n, &mut raw);
        let nodes = dialect.open(n, &raw);
        let shown = match &nodes {
            Some(Ok(_)) => String::new(),
            Some(Err(why)) => format!("{}  ({why})", field_shown(message, n, &raw, clear)),
            None => field_shown(message, n, &raw, clear),
        };
        let path = n.to_string();
        rows.push(Row { path: path.clone(), depth: 0, name: dialect.field_name(n).to_owned(), shown, raw });
        if let Some(Ok(nodes)) = nodes {
            node_rows(&nodes, &path, 1, clear, &mut rows);
        }
    }
    rows
}

fn node_rows(nodes: &[Node], above: &str, depth: usize, clear: bool, rows: &mut Vec<Row>) {
    for node in nodes {
        let path = format!("{above}.{}", node.id);
        let name = if node.is_known() { node.name.clone() } else { "unknown".to_owned() };
        let (shown, raw) = match &node.inner {
            Inner::Value(value) => (node_shown(node, value, clear), value.to_vec()),
            Inner::Parts(_) => (String::new(), Vec::new()),
        };
        rows.push(Row { path: path.clone(), depth, name, shown, raw });
        if let Inner::Parts(parts) = &node.inner {
            node_rows(parts, &path, depth + 1, clear, rows);
        }
    }
}

fn field_shown(message: &Message<'_>, n: u8, value: &[u8], clear: bool) -> String {
    let form = message.dialect().value_form(n).unwrap_or(ValueForm::Binary);
    if clear || message.dialect().sensitivity(n) == Sensitivity::None {
        return plain(form, value);
    }
    masked(message.dialect(), message, n).to_string()
}

fn node_shown(node: &Node, value: &[u8], clear: bool) -> String {
    let form = if node.is_text { ValueForm::Gbk } else { ValueForm::Binary };
    if clear || node.sensitivity == Sensitivity::None {
        return plain(form, value);
    }
    // A card number in bytes is digits in BCD, an odd one padded with F (EMV book 3, annex A: cn).
    let digits = if node.is_text { value.to_vec() } else { hex(value).trim_end_matches('F').into() };
    match Pan::new(&digits).filter(|_| node.sensitivity == Sensitivity::Pan) {
        Some(pan) => pan.to_string(),
        None => format!("<hidden {} bytes>", value.len()),
    }
}

/// Text as it is, GBK as people read it, bytes in hexadecimal.
fn plain(form: ValueForm, value: &[u8]) -> String {
    match form {
        ValueForm::Binary => hex(value),
        ValueForm::Ascii | ValueForm::Gbk => {
            encoding_rs::GBK.decode_without_bom_handling(value).0.into_owned()
        }
    }
}

/// The message as JSON: what `encode` reads. A structured field is an object of its parts, or a list of them where a part
/// comes twice or has a longer length than it needs.
pub(super) fn json(message: &Message<'_>, clear: bool) -> Value {
    let dialect = message.dialect();
    let (mut fields, mut notes) = (Map::new(), Vec::new());
    let mut counts = (0, 0);
    for n in message.fields() {
        let mut raw = Vec::new();
        message.copy(n, &mut raw);
        let value = match dialect.open(n, &raw) {
            Some(Ok(nodes)) => {
                let (unknown, repeated) = unknown_and_repeated(&nodes);
                counts = (counts.0 + unknown, counts.1 + repeated);
                nodes_json(&nodes, clear)
            }
            Some(Err(why)) => {
                notes.push(why.to_string());
                field_shown(message, n, &raw, clear).into()
            }
            None => field_shown(message, n, &raw, clear).into(),
        };
        fields.insert(n.to_string(), value);
    }
    let mut object = json!({ "dialect": dialect.name(), "mti": message.mti().to_string() });
    let Some(map) = object.as_object_mut() else { return object };
    if let Some(kind) = message.kind() {
        map.insert("kind".into(), kind.as_str().into());
    }
    if !message.header().is_empty() {
        map.insert("header".into(), hex(message.header()).into());
    }
    map.insert("fields".into(), fields.into());
    for (key, count) in [("unknown_parts", counts.0), ("repeated_parts", counts.1)] {
        if count > 0 {
            map.insert(key.into(), count.into());
        }
    }
    if !notes.is_empty() {
        map.insert("notes".into(), notes.into());
    }
    if !clear {
        map.insert("masked".into(), true.into());
    }
    object
}

fn nodes_json(nodes: &[Node], clear: bool) -> Value {
    let value = |node: &Node| match &node.inner {
        Inner::Value(value) => Value::from(node_shown(node, value, clear)),
        Inner::Parts(parts) => nodes_json(parts, clear),
    };
    let repeats = |(at, node): (usize, &Node)| nodes[..at].iter().any(|earlier| earlier.id == node.id);
    let listed = nodes.iter().enumerate().any(repeats) || nodes.iter().any(|node| node.length_bytes > 0);
    if !listed {
        return nodes.iter().map(|node| (node.id.clone(), value(node))).collect::<Map<_, _>>().into();
    }
    let one = |node: &Node| {
        let mut object = json!({ "id": node.id, "value": value(node) });
        if let (true, Some(map)) = (node.length_bytes > 0, object.as_object_mut()) {
            map.insert("length_bytes".into(), node.length_bytes.into());
        }
        object
    };
    nodes.iter().map(one).collect::<Vec<_>>().into()
}
