//! What happened in a run, for people: faults, alarms, deaths and starts, and every message with the payment it is of.
//! Of a violation that names its payment, only that one's messages are told.

use super::observe::describe;
use yika_codec::Dialect;

#[derive(Default)]
pub(super) struct Trace(Vec<Line>);

struct Line {
    at_us: u64,
    /// It is a message, of a payment with this F37 if it has one.
    of: Option<Option<[u8; 12]>>,
    what: String,
}

/// Messages told of a violation that names no payment: the last ones.
const LAST: usize = 40;

impl Trace {
    pub(super) fn note(&mut self, at_us: u64, what: String) {
        self.0.push(Line { at_us, of: None, what });
    }

    /// A message on its way; `route` says from whom to whom.
    pub(super) fn message(&mut self, at_us: u64, route: &str, dialect: &Dialect, payload: &[u8]) {
        let (of, text) = describe(dialect, payload);
        if text.contains(" echo") || of.is_none() && text.starts_with("08") && text.contains("F39") {
            return;
        }
        self.0.push(Line { at_us, of: Some(of), what: format!("{route:<22} {text}") });
    }

    pub(super) fn lines(&self, rrn: Option<[u8; 12]>) -> Vec<String> {
        let messages = self.0.iter().filter(|line| line.of.is_some()).count();
        let mut before = messages.saturating_sub(LAST);
        let wanted = self.0.iter().filter(|line| match (line.of, rrn) {
            (None, _) => true,
            (Some(of), Some(_)) => of == rrn,
            (Some(_), None) => {
                let told = before == 0;
                before = before.saturating_sub(1);
                told
            }
        });
        wanted.map(|line| format!("{:>11.6} s  {}", line.at_us as f64 / 1e6, line.what)).collect()
    }
}
