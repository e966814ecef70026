//! MACs: M6 and M8 over a message of one block, GW for DUKPT terminals.

use yika_keystore::{DukptWay, MacMethod, MacPadding, MacRule, Operation, Outcome};

use super::pins::serial_number;
use super::{Key, Simulator};
use crate::code::Code;
use crate::command::KEY_TYPE;
use crate::fields::{Fields, hex};

impl Simulator {
    /// Mode 1N, input format 1N, size 1N, algorithm 1N, padding 1N, key type 3H, key, length 4H, message.
    pub(super) fn make_mac(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let (rule, key, data) = message(fields)?;
        let asked = Operation::GenerateMac { key: &key.reference, rule, data: &data };
        match self.one_with(&asked, &[(&key, uses(rule.method))])? {
            Outcome::Mac(mac) => Ok(hex(mac.as_bytes()).into_bytes()),
            _ => Err(Code::INTERNAL),
        }
    }

    /// As M6, and the MAC behind the message.
    pub(super) fn check_mac(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let (rule, key, data) = message(fields)?;
        let mac = fields.hex(rule.bytes)?;
        let asked = Operation::VerifyMac { key: &key.reference, rule, data: &data, mac: &mac };
        self.verified(&asked, &[(&key, uses(rule.method))])
    }

    /// Mode 1N, method 1N, base key, KSN descriptor 3H, KSN, MAC, length 4N, message. Modes 1 (8 bytes) and 2 (4 bytes)
    /// verify. Method 1 is X9.19 under TDES; 2 and 3 are ours: CMAC under AES, with keys of one way and of both ways.
    pub(super) fn check_terminal_mac(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let bytes = match fields.letter()? {
            b'1' => 8,
            b'2' => 4,
            _ => return Err(Code::INVALID_MODE),
        };
        let (aes, way) = match fields.letter()? {
            b'1' => (false, DukptWay::OneWay),
            b'2' => (true, DukptWay::OneWay),
            b'3' => (true, DukptWay::BothWays),
            _ => return Err(Code::INVALID_SCHEME),
        };
        let base = Key::read(fields)?;
        let ksn = serial_number(fields)?;
        let mac = fields.hex(bytes)?;
        let length = fields.number(4)?;
        let data = fields.take(length)?;
        if (base.algorithm() == b'A') != aes {
            return Err(if base.usage() == "B0" { Code::KEY_ALGORITHM } else { Code::KEY_USE });
        }
        let asked = Operation::VerifyDukptMac { base: &base.reference, ksn: &ksn, way, data, mac: &mac };
        self.verified(&asked, &[(&base, &["B0"])])
    }
}

fn message(fields: &mut Fields<'_>) -> Result<(MacRule, Key, Vec<u8>), Code> {
    // The only block of its message.
    if fields.letter()? != b'0' {
        return Err(Code(*b"02"));
    }
    let in_hex = match fields.letter()? {
        b'0' => false,
        b'1' => true,
        _ => return Err(Code(*b"03")),
    };
    let bytes = match fields.letter()? {
        b'0' => 4,
        b'1' => 8,
        _ => return Err(Code::INPUT),
    };
    let method = match fields.letter()? {
        b'1' => MacMethod::Cbc,
        b'3' => MacMethod::Retail,
        b'6' => MacMethod::Cmac,
        _ => return Err(Code(*b"04")),
    };
    let padding = match (fields.letter()?, method) {
        (b'0', MacMethod::Cmac) | (b'1', _) => MacPadding::Zeros,
        (b'2', _) => MacPadding::OneThenZeros,
        (b'3', _) => MacPadding::LengthFirst,
        _ => return Err(Code(*b"09")),
    };
    if fields.take(3)? != KEY_TYPE {
        return Err(Code(*b"05"));
    }
    let key = Key::read(fields)?;
    let length = fields.hex_number(4)?;
    let data = if in_hex {
        if length % 2 == 1 {
            return Err(Code(*b"06"));
        }
        fields.hex(length / 2)?
    } else {
        fields.take(length)?.to_vec()
    };
    Ok((MacRule { method, padding, bytes }, key, data))
}

fn uses(method: MacMethod) -> &'static [&'static str] {
    match method {
        MacMethod::Cbc => &["M0", "M1"],
        MacMethod::Retail => &["M3"],
        _ => &["M6"],
    }
}
