//! Keys: A0 makes one, A4 forms one from components, A6 and A8 bring one in and out under a ZMK, BU tells a check value.
//! A payShield does the first four in authorised state only; this one asks for none.

use yika_keystore::{Attributes, Operation, Outcome, WrapForm, Wrapped};

use super::{Key, Simulator};
use crate::code::Code;
use crate::command::KEY_TYPE;
use crate::fields::{Fields, hex};

impl Simulator {
    /// Mode 1H (0 makes, 1 sends out, too), key type `FFF`, scheme `S`; with mode 1 `;`, flag 1N, ZMK, scheme `R`; then
    /// attributes. Answer: key, with mode 1 the key under the ZMK, check value 6H.
    pub(super) fn generate(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let mode = fields.letter()?;
        if !matches!(mode, b'0' | b'1') {
            return Err(Code::INVALID_MODE);
        }
        under_lmk(fields)?;
        let zmk = if mode == b'1' {
            fields.expect(b';')?;
            fields.digits(1)?;
            let zmk = Key::read(fields)?;
            scheme(fields, b'R')?;
            Some(zmk)
        } else {
            None
        };
        let (attributes, bytes) = attributes(fields)?;
        let block = self.store.generate_working(attributes, bytes).map_err(|_| Code::INPUT)?;
        let key = Key::read(&mut Fields::new(format!("S{}", block.as_str()).as_bytes()))?;
        let sent = zmk.map(|zmk| self.sent(&key, &zmk)).transpose()?.unwrap_or_default();
        Ok(format!("S{}{sent}{}", key.block, self.check_digits(&key)?).into_bytes())
    }

    /// Number of components 1N, key type, scheme, the components as keys, attributes. Answer: key, check value 6H.
    pub(super) fn form(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let count = fields.number(1)?;
        if !(2..=9).contains(&count) {
            return Err(Code(*b"03"));
        }
        under_lmk(fields)?;
        let mut components = Vec::with_capacity(count);
        for _ in 0..count {
            components.push(Key::read(fields)?.lmk_block()?);
        }
        let (attributes, _) = attributes(fields)?;
        let block = self.store.working_from_blocks(attributes, &components).map_err(|_| Code::KEY_BLOCK)?;
        let key = Key::read(&mut Fields::new(format!("S{}", block.as_str()).as_bytes()))?;
        Ok(format!("S{}{}", key.block, self.check_digits(&key)?).into_bytes())
    }

    /// Key type, ZMK, `R` and the key block under it, scheme `S`. Answer: key, check value 6H.
    pub(super) fn import(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        key_type(fields)?;
        let zmk = Key::read(fields)?;
        scheme(fields, b'R')?;
        let sent = fields.key_block()?;
        scheme(fields, b'S')?;
        let taken = yika_keystore::Backend::import(&self.backend, sent, &zmk.reference);
        let taken = taken.map_err(|error| match super::code_of(&error) {
            Code::KEY_MODE if !matches!(zmk.usage(), "K0" | "K1") => Code::KEY_USE,
            code => code,
        })?;
        let key = Key::read(&mut Fields::new(format!("S{}", taken.as_str()).as_bytes()))?;
        Ok(format!("S{}{}", key.block, self.check_digits(&key)?).into_bytes())
    }

    /// Key type, ZMK, key, scheme `R`. Answer: `R` and the key block under the ZMK, check value 6H.
    pub(super) fn export(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        key_type(fields)?;
        let (zmk, key) = (Key::read(fields)?, Key::read(fields)?);
        scheme(fields, b'R')?;
        Ok(format!("{}{}", self.sent(&key, &zmk)?, self.check_digits(&key)?).into_bytes())
    }

    /// `FF`, `F`, key; perhaps `;FFF`, and `;00` with `1` for a check value of 6 digits. Without it there are 16, of which
    /// six are shown.
    pub(super) fn check_value(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        key_type(fields)?;
        let key = Key::read(fields)?;
        let mut six = false;
        if fields.accept(b';') {
            if fields.rest().starts_with(KEY_TYPE) {
                key_type(fields)?;
                fields.expect(b';')?;
            }
            fields.digits(2)?;
            six = fields.letter()? == b'1';
        }
        let digits = self.check_digits(&key)?;
        Ok(if six { digits } else { format!("{digits}0000000000") }.into_bytes())
    }

    fn check_digits(&self, key: &Key) -> Result<String, Code> {
        match self.one(&Operation::CheckValue { key: &key.reference })? {
            Outcome::CheckValue(value) => Ok(hex(&value)),
            _ => Err(Code::INTERNAL),
        }
    }

    fn sent(&self, key: &Key, zmk: &Key) -> Result<String, Code> {
        let (block, zmk_block) = (key.lmk_block()?, zmk.lmk_block()?);
        match self.store.export_working(&block, zmk_block.as_str(), WrapForm::KeyBlock) {
            Ok(Wrapped::KeyBlock(sent)) => Ok(format!("R{sent}")),
            Ok(_) => Err(Code::INTERNAL),
            Err(error) => Err(match super::code_of(&error.into()) {
                Code::KEY_MODE if !matches!(zmk.usage(), "K0" | "K1") => Code::KEY_USE,
                Code::KEY_MODE => Code::NOT_PERMITTED,
                code => code,
            }),
        }
    }
}

fn key_type(fields: &mut Fields<'_>) -> Result<(), Code> {
    if fields.take(3)? == KEY_TYPE { Ok(()) } else { Err(Code::INPUT) }
}

fn scheme(fields: &mut Fields<'_>, letter: u8) -> Result<(), Code> {
    if fields.letter()? == letter { Ok(()) } else { Err(Code::KEY_SCHEME) }
}

fn under_lmk(fields: &mut Fields<'_>) -> Result<(), Code> {
    key_type(fields)?;
    scheme(fields, b'S')
}

/// `#`, use 2A, algorithm 1A and its length 1N, mode 1A, version 2N, exportability 1A, number of optional blocks `00`.
fn attributes(fields: &mut Fields<'_>) -> Result<(Attributes, usize), Code> {
    fields.expect(b'#')?;
    let usage = std::str::from_utf8(fields.take(2)?).map_err(|_| Code::INPUT)?;
    let (algorithm, parts) = (fields.letter()?, fields.number(1)?);
    let mode = fields.letter()?;
    fields.digits(2)?;
    let export = fields.letter()?;
    if fields.digits(2)? != b"00" {
        return Err(Code::INPUT);
    }
    let [algorithm, mode, export] = [algorithm, mode, export].map(char::from);
    let attributes = Attributes::of_letters(usage, algorithm, mode, export).ok_or(Code::KEY_USE)?;
    let parts = u8::try_from(parts).map_err(|_| Code::INPUT)?;
    let bytes = attributes.algorithm.bytes_of_parts(parts).ok_or(Code::KEY_ALGORITHM)?;
    Ok((attributes, bytes))
}
