//! `yika dialect convert`: the file and the report around [`super::convert`].

use super::convert::{Converted, FILE_BYTES_MAX, Source, convert as converted};
use super::{CliError, unread};
use crate::cli::out::{Out, complain, json_line};
use serde_json::{Value, json};
use std::io::{Read, Write as _};
use std::path::Path;

pub(super) fn convert(
    out: &mut Out,
    file: &Path,
    from: Option<&str>,
    name: Option<&str>,
    as_json: bool,
) -> Result<(), CliError> {
    let bytes = read(file).map_err(|error| unread(file, &error))?;
    let source = from.map(|from| if from == "jpos" { Source::Jpos } else { Source::Moov });
    let shown = if file.as_os_str() == "-" { "stdin".to_owned() } else { file.display().to_string() };
    let Converted { toml, notes } = converted(&bytes, source, name, &shown)
        .map_err(|fault| CliError::Dialect(format!("{shown}:{}{fault}", gap(fault.place))))?;
    if as_json {
        let report: Vec<Value> = notes
            .iter()
            .map(|note| json!({ "field": note.field, "found": note.found, "what": note.what }))
            .collect();
        return json_line(out, &json!({ "toml": toml, "report": report }));
    }
    out.write_all(toml.as_bytes())?;
    out.flush()?;
    notes.iter().for_each(|note| complain(&note.to_string()));
    Ok(())
}

/// A place follows the colon at once, a sentence after a blank.
fn gap(place: Option<(u64, u64)>) -> &'static str {
    if place.is_some() { "" } else { " " }
}

/// One byte more than is converted, so that what is too long shows.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX as u64 + 1;
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
