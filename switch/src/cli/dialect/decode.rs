//! `yika dialect decode`: from bytes to fields.

use super::bytes::{Given, read};
use super::values::{Row, json, rows};
use super::{CliError, DATA_ERROR, Reading, Source, dialect, framing};
use crate::cli::out::{Out, complain, json_line};
use std::io::Write as _;
use std::process::ExitCode;
use yika_codec::{Dialect, Framing, Layout, Message, hex};

pub(super) fn decode(
    out: &mut Out,
    source: &Source,
    reading: &Reading,
    as_json: bool,
    clear: bool,
) -> Result<ExitCode, CliError> {
    let dialect = dialect(&reading.dialect)?;
    let framed = reading.framing.as_deref().map(|name| framing(name, &dialect)).transpose()?;
    let mut reader = Reader { out, dialect: &dialect, as_json, clear, read: 0, failed: 0 };
    let mut meant = None;
    match read(source.input.as_deref())? {
        Given::Bytes(bytes, guess) => {
            meant = guess;
            match framed {
                Some(framing) => reader.stream(&bytes, framing, "")?,
                None => reader.message(&bytes, "")?,
            }
        }
        Given::Capture(capture) => {
            if let Some(missing) = capture.missing() {
                reader.fail(&missing)?;
            }
            let usual = framed.unwrap_or(dialect.framing());
            let asked = |port: u16| reading.port.is_none_or(|asked| asked == port);
            for stream in
                capture.streams.iter().filter(|stream| asked(stream.from.port()) || asked(stream.to.port()))
            {
                for run in &stream.runs {
                    reader.stream(run, usual, &format!("{} -> {}, ", stream.from, stream.to))?;
                }
            }
        }
    }
    let (read, failed) = (reader.read, reader.failed);
    if read == 0 {
        let usual = "`yika dialect doctor` says what the bytes might be";
        complain(&format!("yika: no message was found; {}", meant.unwrap_or(usual)));
    }
    Ok(if failed > 0 || read == 0 { ExitCode::from(DATA_ERROR) } else { ExitCode::SUCCESS })
}

struct Reader<'a> {
    out: &'a mut Out,
    dialect: &'a Dialect,
    as_json: bool,
    clear: bool,
    read: usize,
    failed: usize,
}

impl Reader<'_> {
    /// Frames one after the other; what cannot be cut into frames ends the stream.
    fn stream(&mut self, bytes: &[u8], framing: Framing, whence: &str) -> Result<(), CliError> {
        let mut at = 0;
        while at < bytes.len() {
            match framing.next(&bytes[at..], usize::from(u16::MAX)) {
                Ok(Some(span)) => {
                    let payload = &bytes[at + span.start..at + span.end];
                    let whence = format!("{whence}byte {at}");
                    at += span.next;
                    if payload.is_empty() {
                        continue;
                    }
                    self.message(payload, &whence)?;
                }
                Ok(None) => {
                    let left = bytes.len() - at;
                    self.fail(&format!("{whence}byte {at}: the last {left} bytes are no whole frame"))?;
                    break;
                }
                Err(error) => {
                    self.fail(&format!("{whence}byte {at}: {error}"))?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, payload: &[u8], whence: &str) -> Result<(), CliError> {
        let mut layout = Layout::default();
        let colon = if whence.is_empty() { "" } else { ": " };
        if let Err(error) = self.dialect.decode(payload, &mut layout) {
            return self.fail(&format!("{whence}{colon}{error}"));
        }
        let message = self.dialect.message(payload, &layout);
        self.read += 1;
        if self.as_json {
            return json_line(self.out, &json(&message, self.clear));
        }
        if !whence.is_empty() {
            writeln!(self.out, "# {whence}, {} bytes", payload.len())?;
        }
        print(self.out, &message, self.clear)
    }

    fn fail(&mut self, what: &str) -> Result<(), CliError> {
        self.failed += 1;
        // In its place among what is printed.
        self.out.flush()?;
        complain(&format!("yika: {what}"));
        Ok(())
    }
}

fn print(out: &mut Out, message: &Message<'_>, clear: bool) -> Result<(), CliError> {
    let dialect = message.dialect();
    writeln!(out, "dialect  {}", dialect.name())?;
    if !message.header().is_empty() {
        writeln!(out, "header   {}", hex(message.header()))?;
    }
    let kind = message.kind().map_or(String::new(), |kind| format!("  {}", kind.as_str()));
    writeln!(out, "mti      {}{kind}", message.mti())?;
    let rows = rows(message, clear);
    let label = |row: &Row| format!("{}{}", "  ".repeat(row.depth), row.path);
    let labels: Vec<String> = rows.iter().map(label).collect();
    let wide = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let label_wide = wide(&mut labels.iter().map(String::len));
    let name_wide = wide(&mut rows.iter().map(|row| row.name.chars().count())).min(40);
    for (label, row) in labels.iter().zip(&rows) {
        let line = format!("{label:<label_wide$}  {:<name_wide$}  {}", row.name, row.shown);
        writeln!(out, "{}", line.trim_end())?;
    }
    if let Some(n) = message.missing() {
        writeln!(out, "note     field {n} is mandatory in {} and missing", message.mti())?;
    }
    if let Some(n) = message.forbidden() {
        writeln!(out, "note     field {n} is forbidden in {} and there", message.mti())?;
    }
    if let Some(code) = message.reject_code() {
        writeln!(
            out,
            "note     the network gave it back with reject code {}",
            String::from_utf8_lossy(code)
        )?;
    }
    Ok(())
}
