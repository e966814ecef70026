//! What a dialect says of its fields, for people: off the hot path, nothing here decides anything.

use crate::dialect::Dialect;
use crate::ebcdic::Page;
use crate::mask::FieldMask;
use crate::spec::{Content, Numeral, Prefix, Spec, Wire};
use crate::structure::{PartSpec, Shape, StructureNo};

/// What the canonical value of a field is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueForm {
    /// ASCII characters.
    Ascii,
    /// GBK text.
    Gbk,
    /// Bytes.
    Binary,
}

/// One part of a field, as [`Dialect::parts`] tells of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartForm {
    /// Position or tag.
    pub id: String,
    /// What the dialect calls it.
    pub name: String,
    /// Kind, length and encoding in words.
    pub form: String,
    /// What its canonical value is.
    pub value: ValueForm,
    /// Its own parts.
    pub parts: Vec<PartForm>,
}

impl Dialect {
    /// The numbers of all fields that the dialect has.
    pub fn fields(&self) -> FieldMask {
        self.known
    }

    /// What the canonical value of field `n` is; `None` if the dialect has no such field.
    pub fn value_form(&self, n: u8) -> Option<ValueForm> {
        self.spec(n).map(value_form)
    }

    /// Kind, length and encoding of field `n` in words, such as `n ..19, length ll in BCD, BCD`.
    pub fn form(&self, n: u8) -> Option<String> {
        self.spec(n).map(|spec| form(spec, false))
    }

    /// How the parts of field `n` follow each other, in words, and which are known; `None` if the dialect does not say.
    pub fn parts(&self, n: u8) -> Option<(&'static str, Vec<PartForm>)> {
        let (_, no) = self.structures.of_field.iter().find(|row| row.0 == n)?;
        let structure = self.structures.list.get(usize::from(*no))?;
        let shape = match structure.shape {
            Shape::Positional => "parts in fixed order",
            Shape::Ber => "BER-TLV",
            Shape::Tagged { length_first: true, .. } => "length, tag, value",
            Shape::Tagged { .. } => "tag, length, value",
            Shape::Usage { .. } => "a usage, which says what the rest is",
            Shape::DataSets => "data sets",
        };
        Some((shape, self.part_forms(*no, 0)))
    }

    fn part_forms(&self, no: StructureNo, depth: usize) -> Vec<PartForm> {
        // A structure may stand inside itself; what is told ends at some depth.
        let structure = self.structures.list.get(usize::from(no)).filter(|_| depth < 4);
        let one = |part: &PartSpec| PartForm {
            id: part.id.clone(),
            name: part.name.clone(),
            form: form(&part.spec, part.open_ended),
            value: value_form(&part.spec),
            parts: part.inside.map_or_else(Vec::new, |no| self.part_forms(no, depth + 1)),
        };
        structure.map_or_else(Vec::new, |structure| structure.parts.iter().map(one).collect())
    }
}

fn value_form(spec: &Spec) -> ValueForm {
    match spec.content {
        Content::Binary => ValueForm::Binary,
        Content::Text => ValueForm::Gbk,
        _ => ValueForm::Ascii,
    }
}

fn form(spec: &Spec, open_ended: bool) -> String {
    let kind = match spec.content {
        Content::Digits => "n",
        Content::Signed => "x+n",
        Content::Track => "z",
        Content::Letters => "a",
        Content::Alnum => "an",
        Content::Printable | Content::Text => "ans",
        Content::Binary => "b",
    };
    let hex = matches!(spec.wire, Wire::Hex | Wire::EbcdicHex);
    let length = usize::from(spec.units_max) / if hex { 2 } else { 1 };
    let wire = match spec.wire {
        Wire::Plain if spec.content == Content::Text => "GBK",
        Wire::Plain if spec.content == Content::Binary => "binary",
        Wire::Plain => "ASCII",
        Wire::BcdPadRight if spec.counts_bytes => "BCD, odd padded right with F",
        Wire::BcdPadLeft if spec.counts_bytes => "BCD, odd padded left with F",
        Wire::BcdPadRight => "BCD, odd padded right",
        Wire::BcdPadLeft => "BCD, odd padded left",
        Wire::BcdSigned => "sign and BCD",
        Wire::Hex => "hex",
        Wire::Ebcdic(Page::Cp037) => "EBCDIC 037",
        Wire::Ebcdic(Page::Cp1047) => "EBCDIC 1047",
        Wire::EbcdicHex => "hex in EBCDIC",
    };
    let prefix = match spec.prefix {
        Prefix::Fixed => return format!("{kind} {}{length}, {wire}", if open_ended { ".." } else { "" }),
        Prefix::Ascii2 => "ll in ASCII".to_owned(),
        Prefix::Ascii3 => "lll in ASCII".to_owned(),
        Prefix::Bcd1 => "ll in BCD".to_owned(),
        Prefix::Bcd2 => "lll in BCD".to_owned(),
        Prefix::Other(numeral, _, digits) => {
            let numeral = match numeral {
                Numeral::Ascii => "ASCII",
                Numeral::Bcd => "BCD",
                Numeral::Binary => "binary",
                Numeral::Hex => "hex",
                Numeral::Ebcdic => "EBCDIC",
            };
            format!("{} in {numeral}", "l".repeat(usize::from(digits)))
        }
    };
    let counts = if spec.counts_bytes { " of bytes" } else { "" };
    format!("{kind} ..{length}, length {prefix}{counts}, {wire}")
}
