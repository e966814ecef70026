//! `yika dialect list`, `show` and `check`.

use super::{CliError, dialect, from_file};
use crate::cli::out::{Out, json_line};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use yika_codec::{Dialect, PartForm, Sensitivity, hex};

pub(super) fn list(out: &mut Out, as_json: bool) -> Result<(), CliError> {
    let all: Vec<_> = Dialect::builtin_names().filter_map(Dialect::builtin).collect();
    if as_json {
        let one = |dialect: &Dialect| {
            json!({
                "name": dialect.name(), "framing": dialect.framing().to_string(), "fields": dialect.fields().len(),
                "routes": dialect.routes(), "about": about(dialect),
            })
        };
        return json_line(out, &all.iter().map(|dialect| one(dialect)).collect::<Vec<_>>());
    }
    for dialect in all {
        let use_for = if dialect.routes() { "listeners and links" } else { "reading and writing" };
        writeln!(
            out,
            "{:<15}  {:<8}  {:>3} fields  {use_for:<19}  {}",
            dialect.name(),
            dialect.framing().to_string(),
            dialect.fields().len(),
            about(&dialect)
        )?;
    }
    Ok(())
}

/// The first sentence of its file.
fn about(dialect: &Dialect) -> String {
    let text = Dialect::builtin_text(dialect.name()).unwrap_or_default();
    let lines = text.lines().map_while(|line| line.strip_prefix("# "));
    let all = lines.collect::<Vec<_>>().join(" ");
    all.split_once(". ").map_or_else(|| all.trim_end_matches('.').to_owned(), |(first, _)| first.to_owned())
}

pub(super) fn show(out: &mut Out, name: &str, as_json: bool, toml: bool) -> Result<(), CliError> {
    let dialect = dialect(name)?;
    if toml {
        let file = || std::fs::read_to_string(name);
        let text = Dialect::builtin_text(name).map_or_else(file, |text| Ok(text.to_owned()))?;
        return Ok(out.write_all(text.as_bytes())?);
    }
    if as_json {
        let field = |n: u8| {
            let mut field = json!({ "n": n, "name": dialect.field_name(n), "form": dialect.form(n) });
            if let Some(map) = field.as_object_mut() {
                if dialect.sensitivity(n) != Sensitivity::None {
                    map.insert("sensitivity".into(), word(dialect.sensitivity(n)).into());
                }
                if let Some((shape, parts)) = dialect.parts(n) {
                    map.insert("shape".into(), shape.into());
                    map.insert("parts".into(), parts.iter().map(part_json).collect::<Vec<_>>().into());
                }
            }
            field
        };
        let fields: Vec<Value> = dialect.fields().iter().map(field).collect();
        let object = json!({
            "name": dialect.name(), "framing": dialect.framing().to_string(), "header": hex(dialect.default_header()),
            "routes": dialect.routes(), "fields": fields,
        });
        return json_line(out, &object);
    }
    writeln!(out, "{}, frames {}", dialect.name(), dialect.framing())?;
    if !dialect.default_header().is_empty() {
        writeln!(
            out,
            "header of {} bytes, ours {}",
            dialect.default_header().len(),
            hex(dialect.default_header())
        )?;
    }
    let forms: Vec<(u8, String)> =
        dialect.fields().iter().filter_map(|n| Some((n, dialect.form(n)?))).collect();
    let wide = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let name_wide = wide(&mut forms.iter().map(|(n, _)| dialect.field_name(*n).len()));
    let form_wide = wide(&mut forms.iter().map(|(_, form)| form.len()));
    for (n, form) in forms {
        let secret = match dialect.sensitivity(n) {
            Sensitivity::None => String::new(),
            sensitivity => format!("  [{}]", word(sensitivity)),
        };
        let line = format!("{n:>3}  {:<name_wide$}  {form:<form_wide$}{secret}", dialect.field_name(n));
        writeln!(out, "{}", line.trim_end())?;
        if let Some((shape, parts)) = dialect.parts(n) {
            writeln!(out, "       {shape}:")?;
            show_parts(out, &parts, 9)?;
        }
    }
    Ok(())
}

fn show_parts(out: &mut Out, parts: &[PartForm], indent: usize) -> Result<(), CliError> {
    for part in parts {
        writeln!(out, "{:indent$}{:<6}  {}: {}", "", part.id, part.name, part.form)?;
        show_parts(out, &part.parts, indent + 2)?;
    }
    Ok(())
}

fn part_json(part: &PartForm) -> Value {
    let mut object = json!({ "id": part.id, "name": part.name, "form": part.form });
    if let (false, Some(map)) = (part.parts.is_empty(), object.as_object_mut()) {
        map.insert("parts".into(), part.parts.iter().map(part_json).collect::<Vec<_>>().into());
    }
    object
}

fn word(sensitivity: Sensitivity) -> &'static str {
    match sensitivity {
        Sensitivity::Pan => "card number",
        Sensitivity::Track => "track",
        Sensitivity::Pin => "PIN",
        Sensitivity::Emv => "chip data",
        Sensitivity::Cvv => "card code",
        Sensitivity::None => "none",
        _ => "secret",
    }
}

pub(super) fn check(out: &mut Out, file: &Path) -> Result<(), CliError> {
    let dialect = from_file(file)?;
    let routes = if dialect.routes() {
        "for listeners and links"
    } else {
        "for reading and writing only: it has no [codes] and no [[kind]] rows"
    };
    writeln!(
        out,
        "{}: dialect \"{}\", {} fields, framing {}, {routes}",
        file.display(),
        dialect.name(),
        dialect.fields().len(),
        dialect.framing()
    )?;
    Ok(())
}
