//! A dialect: how messages look on one kind of link, compiled from its TOML table.
//!
//! Immutable after loading and shared by all sessions and links that speak it. What it says is data: header,
//! message type, bitmap, fields, kinds of transaction, response codes, mandatory fields, and a few habits of
//! the network (matching of answers, time zone of F7, form of a reversal).

use crate::codes::Codes;
use crate::framing::Framing;
use crate::kind::{Kind, KindRow};
use crate::load::{DialectErrors, load};
use crate::mask::{FIELD_MAX, FieldMask};
use crate::mti::Mti;
use crate::spec::{Sensitivity, Spec, Wire};
use crate::structure::Structures;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// How messages look on one kind of link.
pub struct Dialect {
    pub(crate) name: Arc<str>,
    pub(crate) framing: Framing,
    pub(crate) header: Header,
    pub(crate) mti: MtiWire,
    pub(crate) bitmap: BitmapWire,
    pub(crate) field_max: u8,
    pub(crate) mac_field: u8,
    pub(crate) third: ThirdBitmap,
    /// By field number; 0 and 1 are never fields.
    pub(crate) specs: Box<[Option<Spec>; SPECS]>,
    /// The fields that have a spec.
    pub(crate) known: FieldMask,
    pub(crate) field_names: Vec<(u8, String)>,
    pub(crate) answer_match: Vec<u8>,
    pub(crate) f7_offset_minutes: i16,
    pub(crate) reversal: ReversalStyle,
    pub(crate) codes: Codes,
    pub(crate) kinds: Vec<KindRow>,
    pub(crate) demands: Vec<Demand>,
    /// True if the file says what a switch has to know beyond the fields.
    pub(crate) routes: bool,
    pub(crate) structures: Structures,
    pub(crate) digest: u64,
}

/// What stands in front of the message type.
#[derive(Clone, Default)]
pub(crate) struct Header {
    /// What we put there when we begin a conversation; its length is the header's length.
    pub(crate) default: Vec<u8>,
    /// Where two addresses of the same length begin, and their length: they change places in an answer.
    pub(crate) addresses: Option<[usize; 3]>,
    /// Where four ASCII digits begin that count header and message.
    pub(crate) total_at: Option<usize>,
    /// Where a reject code begins, and its length: a message that comes back with one other than zeros was refused.
    pub(crate) reject: Option<[usize; 2]>,
}

/// Digits of the length in a header.
pub(crate) const TOTAL_DIGITS: usize = 4;

impl Header {
    /// A header with addresses says by its first byte what it is: a TPDU by its id, another by its length.
    pub(crate) fn has_mark(&self) -> bool {
        self.addresses.is_some()
    }
}

/// One row of what a message type demands.
pub(crate) struct Demand {
    pub(crate) mti: Mti,
    pub(crate) mandatory: FieldMask,
    pub(crate) forbidden: FieldMask,
}

/// Field numbers 0 to 192.
pub(crate) const SPECS: usize = FIELD_MAX as usize + 1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MtiWire {
    Ascii,
    Bcd,
    Ebcdic,
}

impl MtiWire {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            MtiWire::Ascii | MtiWire::Ebcdic => 4,
            MtiWire::Bcd => 2,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitmapWire {
    Hex,
    Binary,
    EbcdicHex,
}

impl BitmapWire {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            BitmapWire::Hex | BitmapWire::EbcdicHex => 16,
            BitmapWire::Binary => 8,
        }
    }
}

/// Where the bitmap of fields 129 to 192 stands; bit 65 says that there is one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThirdBitmap {
    /// The dialect has none: field 65 is a field, or unknown.
    None,
    /// Behind the second.
    Contiguous,
    /// In the place of field 65.
    Field65,
}

/// The form a network gives to a reversal and to its repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversalStyle {
    /// 0420 with the original in F90, repeated as 0421.
    F90Advice,
    /// 0400 with the original in F61 and the reason in F39, repeated unchanged.
    F61Request,
}

const BUILTIN: [(&str, &str); 8] = [
    ("iso87-ascii", include_str!("../../configs/dialects/iso87-ascii.toml")),
    ("iso87-binary", include_str!("../../configs/dialects/iso87-binary.toml")),
    ("iso87-ebcdic", include_str!("../../configs/dialects/iso87-ebcdic.toml")),
    ("iso93-ascii", include_str!("../../configs/dialects/iso93-ascii.toml")),
    ("iso93-binary", include_str!("../../configs/dialects/iso93-binary.toml")),
    ("iso2003-binary", include_str!("../../configs/dialects/iso2003-binary.toml")),
    ("pos-bcd", include_str!("../../configs/dialects/pos-bcd.toml")),
    ("cups-ascii", include_str!("../../configs/dialects/cups-ascii.toml")),
];

impl Dialect {
    /// Compiles a dialect from the text of its file. `origin` names the file in errors; `resolve` gives the text
    /// of another dialect by name, for `extends`.
    ///
    /// # Errors
    /// All that is wrong with the text, each with line, column, key and rule.
    pub fn from_toml(
        origin: &str,
        text: &str,
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Dialect, DialectErrors> {
        load(origin, text, resolve)
    }

    /// A dialect that ships with the switch, compiled on first use.
    pub fn builtin(name: &str) -> Option<Arc<Dialect>> {
        static COMPILED: [OnceLock<Arc<Dialect>>; BUILTIN.len()] = [const { OnceLock::new() }; BUILTIN.len()];
        let at = BUILTIN.iter().position(|row| row.0 == name)?;
        let (origin, text) = BUILTIN[at];
        let compiled = COMPILED[at].get_or_init(|| {
            match load(origin, text, &|name| Dialect::builtin_text(name).map(str::to_owned)) {
                Ok(dialect) => Arc::new(dialect),
                // The text is part of the program, and a test compiles each of them.
                Err(errors) => panic!("built-in dialect does not compile: {errors}"),
            }
        });
        Some(Arc::clone(compiled))
    }

    /// Names of the dialects that ship with the switch.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|row| row.0)
    }

    /// The text of a dialect that ships with the switch, for files that extend it.
    pub fn builtin_text(name: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// What its file says, as a number: two files with the same number say the same, line by line, comments and
    /// indentation apart. 0 for a dialect that ships with the switch; what a file extends counts unless that does.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The dialect's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The usual framing of links that speak it; a listener or link may choose another.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// TPDU and header of a conversation that we begin; empty if the dialect has none.
    pub fn default_header(&self) -> &[u8] {
        &self.header.default
    }

    /// Appends the header of the answer to a request with this header: destination and source change
    /// places, the rest is kept. A header of another length gives the default one.
    pub fn reply_header(&self, request_header: &[u8], out: &mut Vec<u8>) {
        if request_header.len() != self.header.default.len() {
            out.extend_from_slice(&self.header.default);
            return;
        }
        let at = out.len();
        out.extend_from_slice(request_header);
        let Some([to, from, len]) = self.header.addresses else { return };
        // Both lie in the default header, which is as long.
        for i in 0..len {
            out.swap(at + to + i, at + from + i);
        }
    }

    /// What a switch has to know of a dialect beyond its fields is there: kinds of transaction, response codes, how answers
    /// are matched. A dialect without them is for reading and writing messages only.
    pub fn routes(&self) -> bool {
        self.routes
    }

    /// True if the dialect has field `n`.
    pub fn knows(&self, n: u8) -> bool {
        self.spec(n).is_some()
    }

    /// The highest field number: 64, 128 or 192.
    pub fn field_max(&self) -> u8 {
        self.field_max
    }

    /// The field of the MAC, 64 or 128; 0 in a dialect that [`Dialect::routes`] nothing and names none. Encode moves a MAC set in 64 to 128 when fields above 64 are present, as
    /// the MAC is the last field of a message (ISO 8583:1987, fields 64 and 128); look for one with
    /// `Message::mac`.
    pub fn mac_field(&self) -> u8 {
        self.mac_field
    }

    /// True if the eight bytes of a MAC stand as sixteen hex characters on the wire.
    pub fn mac_is_hex_text(&self) -> bool {
        self.spec(self.mac_field).is_some_and(|spec| matches!(spec.wire, Wire::Hex | Wire::EbcdicHex))
    }

    /// What the dialect's table calls field `n`; empty if it gives no name.
    pub fn field_name(&self, n: u8) -> &str {
        self.field_names.iter().find(|row| row.0 == n).map_or("", |row| &row.1)
    }

    /// Why the value of field `n` must not be shown.
    pub fn sensitivity(&self, n: u8) -> Sensitivity {
        self.spec(n).map_or(Sensitivity::None, |spec| spec.sensitivity)
    }

    /// The fields that an answer repeats from its request, and by which the two are matched.
    pub fn answer_match(&self) -> &[u8] {
        &self.answer_match
    }

    /// Minutes that F7 is ahead of UTC.
    pub fn f7_offset_minutes(&self) -> i16 {
        self.f7_offset_minutes
    }

    /// The form of a reversal.
    pub fn reversal(&self) -> ReversalStyle {
        self.reversal
    }

    /// The response codes told to a terminal or acquirer.
    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// The first row for this kind, from which an outgoing message is built; `None` if the dialect has no such
    /// kind of transaction.
    pub fn kind_row(&self, kind: Kind) -> Option<&KindRow> {
        self.kinds.iter().find(|row| row.kind == kind)
    }

    /// The message types that a later message may name as its original, each once, in the order of the table.
    pub fn original_mtis(&self) -> Vec<Mti> {
        let mut found = Vec::new();
        for row in self.kinds.iter().filter(|row| row.may_be_original()) {
            if !found.contains(&row.mti) {
                found.push(row.mti);
            }
        }
        found
    }

    #[inline]
    pub(crate) fn spec(&self, n: u8) -> Option<&Spec> {
        self.specs.get(usize::from(n))?.as_ref()
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialect").field(&self.name).finish()
    }
}
