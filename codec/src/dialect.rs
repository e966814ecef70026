//! A dialect: how messages look on one kind of link, compiled from its TOML table.
//!
//! Immutable after loading and shared by all sessions and links that speak it. What it says is data: header,
//! message type, bitmap, fields, kinds of transaction, response codes, mandatory fields, and a few habits of
//! the network (matching of answers, time zone of F7, form of a reversal).

use crate::codes::Codes;
use crate::framing::Framing;
use crate::kind::{Kind, KindRow};
use crate::load::{DialectErrors, load};
use crate::mask::FieldMask;
use crate::mti::Mti;
use crate::spec::{Sensitivity, Spec, Wire};
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
    /// By field number; 0 and 1 are never fields.
    pub(crate) specs: Box<[Option<Spec>; 129]>,
    /// The fields that have a spec.
    pub(crate) known: FieldMask,
    pub(crate) field_names: Vec<(u8, String)>,
    pub(crate) answer_match: Vec<u8>,
    pub(crate) f7_offset_minutes: i16,
    pub(crate) reversal: ReversalStyle,
    pub(crate) codes: Codes,
    pub(crate) kinds: Vec<KindRow>,
    pub(crate) required: Vec<(Mti, FieldMask)>,
    pub(crate) digest: u64,
}

/// What stands in front of the message type.
#[derive(Clone, Default)]
pub(crate) struct Header {
    /// What we put there when we begin a conversation; its length is the header's length.
    pub(crate) default: Vec<u8>,
    /// True if the first five bytes are a TPDU: id, destination, source.
    pub(crate) tpdu: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MtiWire {
    Ascii,
    Bcd,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BitmapWire {
    Hex,
    Binary,
}

/// The form a network gives to a reversal and to its repeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReversalStyle {
    /// 0420 with the original in F90, repeated as 0421.
    F90Advice,
    /// 0400 with the original in F61 and the reason in F39, repeated unchanged.
    F61Request,
}

const BUILTIN: [(&str, &str); 2] = [
    ("iso87-ascii", include_str!("../../configs/dialects/iso87-ascii.toml")),
    ("pos-bcd", include_str!("../../configs/dialects/pos-bcd.toml")),
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

    /// Appends the header of the answer to a request with this header: TPDU destination and source change
    /// places, the rest is kept. A header of another length gives the default one.
    pub fn reply_header(&self, request_header: &[u8], out: &mut Vec<u8>) {
        if request_header.len() != self.header.default.len() {
            out.extend_from_slice(&self.header.default);
            return;
        }
        match *request_header {
            [id, to0, to1, from0, from1, ref rest @ ..] if self.header.tpdu => {
                out.extend_from_slice(&[id, from0, from1, to0, to1]);
                out.extend_from_slice(rest);
            }
            _ => out.extend_from_slice(request_header),
        }
    }

    /// True if the dialect has field `n`.
    pub fn knows(&self, n: u8) -> bool {
        self.spec(n).is_some()
    }

    /// The highest field number: 64 or 128.
    pub fn field_max(&self) -> u8 {
        self.field_max
    }

    /// The field of the MAC, 64 or 128. Encode moves a MAC set in 64 to 128 when fields above 64 are present, as
    /// the MAC is the last field of a message (ISO 8583:1987, fields 64 and 128); look for one with
    /// `Message::mac`.
    pub fn mac_field(&self) -> u8 {
        self.mac_field
    }

    /// True if the eight bytes of a MAC stand as sixteen hex characters on the wire.
    pub fn mac_is_hex_text(&self) -> bool {
        self.spec(self.mac_field).is_some_and(|spec| spec.wire == Wire::Hex)
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
