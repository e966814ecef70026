//! The ledger: what one side believes became of each payment, to be compared with the other side's.
//!
//! One JSON object per line: a head with format, version, side and count, then one line per message that could
//! move money. A card stands in it as first six, last four and a keyed digest; never as a number.

use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use yika_codec::{Kind, Pan};
use yika_keystore::{Keystore, Lmk, Tokenizer};

const FORMAT: &str = "yika-ledger";
const VERSION: u32 = 1;

/// Whose view it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The terminals: what they were told.
    Terminal,
    /// An issuer: what it booked.
    Issuer,
    /// The coupon platform: what it granted.
    CouponPlatform,
}

/// How one message ended, as this side knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It stands: told as approved, or booked.
    Approved,
    /// Refused.
    Declined,
    /// Undone by a reversal, or (at an issuer) refused because its reversal came first.
    Reversed,
    /// Never answered, and nothing is owed for it (a balance).
    Unanswered,
    /// Not ended when the ledger was written: the other side may have booked it or not.
    Open,
}

/// One message that could move money, as one side knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// F41.
    pub terminal: Text<8>,
    /// F37: shared by a payment and all that is later done to it.
    pub rrn: Text<12>,
    /// What kind of message it was.
    #[serde(with = "kind_name")]
    pub kind: Kind,
    /// F11 on this side of the switch.
    pub stan: u32,
    /// F7 (or F13 and F12) as a number.
    pub at: u32,
    /// What was told or booked, minor units; what was asked if it does not stand.
    pub amount: u64,
    /// The part of it that a coupon paid; terminals only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub coupon: u64,
    /// F49 as a number.
    pub currency: u16,
    /// The card, not its number.
    pub card: Card,
    /// How it ended.
    pub state: State,
    /// F39 of the last answer; blank without one.
    pub code: Text<2>,
}

/// A card without its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Card {
    /// First six digits.
    pub first: u32,
    /// Last four digits.
    pub last: u16,
    /// A keyed digest of all digits, to tell cards apart.
    pub digest: u64,
}

/// What one side believes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ledger {
    /// Whose view it is.
    pub side: Side,
    /// Who that is, for people.
    pub name: String,
    /// One for each message that could move money.
    pub entries: Vec<Entry>,
}

/// Why a ledger could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened, read or written.
    #[error("ledger {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is not what the format says.
    #[error("ledger {}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    side: Side,
    name: String,
    /// Entries that follow: a file that was cut short is not taken for a whole one.
    entries: usize,
}

impl Ledger {
    /// Adds what another ledger of the same side knows, for a run in several parts.
    pub fn merge(&mut self, other: Ledger) {
        self.entries.extend(other.entries);
    }

    /// Writes the ledger, replacing the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LedgerError> {
        let fail = |source| LedgerError::Io { path: path.to_owned(), source };
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path).map_err(fail)?);
        let head = Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            side: self.side,
            name: self.name.clone(),
            entries: self.entries.len(),
        };
        write_line(&mut out, &head).map_err(fail)?;
        for entry in &self.entries {
            write_line(&mut out, entry).map_err(fail)?;
        }
        out.flush().map_err(fail)
    }

    /// Reads what [`Ledger::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is of another format or version, is damaged, or was cut short.
    pub fn load(path: &Path) -> Result<Ledger, LedgerError> {
        let io_fail = |source| LedgerError::Io { path: path.to_owned(), source };
        let fail = |line, reason| LedgerError::Line { path: path.to_owned(), line, reason };
        let mut lines = BufReader::with_capacity(1 << 16, File::open(path).map_err(io_fail)?).lines();
        let first = lines.next().ok_or_else(|| fail(1, "the file is empty".to_owned()))?.map_err(io_fail)?;
        let head: Head =
            serde_json::from_str(&first).map_err(|error| fail(1, format!("no head: {error}")))?;
        if head.format != FORMAT || head.version != VERSION {
            let found = format!("{} version {}", head.format, head.version);
            return Err(fail(1, format!("expected {FORMAT} version {VERSION}, found {found}")));
        }
        let mut entries = Vec::new();
        for (at, line) in lines.enumerate() {
            let line = line.map_err(io_fail)?;
            let entry = serde_json::from_str(&line).map_err(|error| fail(at + 2, error.to_string()))?;
            entries.push(entry);
        }
        if entries.len() != head.entries {
            let reason =
                format!("the head announces {} entries, the file has {}", head.entries, entries.len());
            return Err(fail(entries.len() + 1, format!("{reason}; it was cut short: write it again")));
        }
        Ok(Ledger { side: head.side, name: head.name, entries })
    }
}

/// Makes [`Card`]s of card numbers; remembers those it has made.
pub(crate) struct CardBook {
    tokenizer: Tokenizer,
    known: HashMap<Box<[u8]>, Card>,
}

impl CardBook {
    /// All ledgers use the test master key, so that both sides make the same digest of the same test card.
    pub(crate) fn new() -> CardBook {
        CardBook { tokenizer: Keystore::in_memory(Lmk::test()).tokenizer(), known: HashMap::new() }
    }

    pub(crate) fn card(&mut self, pan: &Pan) -> Card {
        if let Some(card) = self.known.get(pan.digits()) {
            return *card;
        }
        let token = self.tokenizer.token(pan.digits());
        let [a, b, c, d, e, f, g, h, ..] = token;
        let last = pan.digits().iter().rev().take(4).rev();
        let card = Card {
            first: u32::try_from(pan.iin(6)).unwrap_or_default(),
            last: last.fold(0, |sum, digit| sum * 10 + u16::from(digit & 0xF)),
            digest: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        };
        self.known.insert(pan.digits().into(), card);
        card
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}...{:04}", self.first, self.last)
    }
}

fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

mod kind_name {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use yika_codec::Kind;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
    pub(super) fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let name = String::deserialize(deserializer)?;
        Kind::parse(&name).ok_or_else(|| de::Error::custom(format!("no kind of transaction is named {name}")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(rrn: &str, kind: Kind, amount: u64, state: State) -> Entry {
        Entry {
            terminal: Text::new("LG000001"),
            rrn: Text::new(rrn),
            kind,
            stan: 1,
            at: 1_123_000_000,
            amount,
            coupon: 0,
            currency: 156,
            card: Card { first: 411_111, last: 18, digest: 7 },
            state,
            code: Text::new("00"),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ledger");
        let entries = vec![
            entry("R1", Kind::Purchase, 100, State::Approved),
            entry("R2", Kind::PreAuthorization, 5, State::Open),
        ];
        let ledger = Ledger { side: Side::Issuer, name: "bank a".to_owned(), entries };
        ledger.save(&path).unwrap();
        assert_eq!(Ledger::load(&path).unwrap(), ledger);
        let text = std::fs::read_to_string(&path).unwrap();
        let golden = r#"{"terminal":"LG000001","rrn":"R1","kind":"purchase","stan":1,"at":1123000000,"amount":100,"currency":156,"card":{"first":411111,"last":18,"digest":7},"state":"approved","code":"00"}"#;
        assert_eq!(text.lines().nth(1), Some(golden));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ledger");
        let entries = vec![
            entry("R1", Kind::Purchase, 1, State::Approved),
            entry("R2", Kind::Refund, 1, State::Approved),
        ];
        Ledger { side: Side::Terminal, name: String::new(), entries }.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Ledger::load(&path).unwrap_err().to_string()
        };
        let first_two: Vec<&str> = text.lines().take(2).collect();
        assert!(load(&first_two.join("\n")).contains("announces 2 entries, the file has 1"));
        assert!(load(&text.replace("\"version\":1", "\"version\":2")).contains("version 2"));
        assert!(load(&text.replace("refund", "refuse")).contains("line 3"));
        assert!(load("").contains("empty"));
        assert!(Ledger::load(Path::new("/nowhere/x")).unwrap_err().to_string().contains("/nowhere/x"));
    }

    #[test]
    fn a_card_number_never_stands_in_a_ledger() {
        let pan = Pan::new(b"4111110000000018").unwrap();
        let card = CardBook::new().card(&pan);
        assert_eq!((card.first, card.last), (411_111, 18));
        assert_eq!(card, CardBook::new().card(&pan));
        assert_ne!(card.digest, CardBook::new().card(&Pan::new(b"4111110000000026").unwrap()).digest);
        let json = serde_json::to_string(&card).unwrap();
        assert!(!json.contains("4111110000000018"), "{json}");
        assert_eq!(card.to_string(), "411111...0018");
    }
}
