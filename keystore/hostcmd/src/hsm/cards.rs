//! Cards: CW and CY, KQ and KW. Transaction data comes padded as its scheme says; what is no whole block gets zeros.

use yika_keystore::{
    Arpc, ArpcKey, ArqcAnswer, CardKeyOption, CvvCard, EmvCard, EmvPadding, EmvScheme, EmvSession,
    EmvTransaction, Operation, Outcome,
};

use super::{Key, Simulator};
use crate::code::Code;
use crate::fields::Fields;

const VISA: EmvScheme = EmvScheme::new(EmvSession::None, EmvPadding::Zeros, ArpcKey::Card);
const MASTERCARD: EmvScheme = EmvScheme::new(EmvSession::Mastercard, EmvPadding::Zeros, ArpcKey::Card);
const COMMON: EmvScheme = EmvScheme::new(EmvSession::Common, EmvPadding::Zeros, ArpcKey::Session);

impl Simulator {
    /// CVK, PAN and `;`, expiry 4N, service code 3N.
    pub(super) fn make_cvv(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let key = Key::read(fields)?;
        let card = cvv_card(fields)?;
        match self.one_with(&Operation::GenerateCvv { key: &key.reference, card }, &[(&key, &["C0"])])? {
            Outcome::Cvv(value) => Ok(value.to_vec()),
            _ => Err(Code::INTERNAL),
        }
    }

    /// CVK, CVV 3N, PAN and `;`, expiry 4N, service code 3N.
    pub(super) fn check_cvv(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let key = Key::read(fields)?;
        let value: [u8; 3] = fields.array()?;
        let card = cvv_card(fields)?;
        let asked = Operation::VerifyCvv { key: &key.reference, card, value: &value };
        self.verified(&asked, &[(&key, &["C0"])])
    }

    /// Mode 1N (0 verifies, 1 answers, too), scheme 1N (0 Visa, 1 MasterCard), MK-AC, PAN and sequence number 8B, ATC 2B,
    /// UN 4B, length 2H, data, `;`, ARQC 8B, with mode 1 the response code 2B.
    pub(super) fn arqc_static(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let mode = fields.letter()?;
        if !matches!(mode, b'0' | b'1') {
            return Err(Code::INVALID_MODE);
        }
        let scheme = match fields.letter()? {
            b'0' => VISA,
            b'1' => MASTERCARD,
            _ => return Err(Code::INVALID_SCHEME),
        };
        let key = Key::read(fields)?;
        let digits = unpacked(fields.take(8)?)?;
        let (counter, unpredictable) = (fields.array()?, fields.array()?);
        let (data, arqc) = cryptogram(fields)?;
        let answer = if mode == b'1' { Some(ArqcAnswer::Method1(fields.array()?)) } else { None };
        let of = EmvTransaction { counter, unpredictable, data };
        self.arqc(&key, &digits, CardKeyOption::A, scheme, of, arqc, answer)
    }

    /// Mode 1N (0 verifies, 1 answers by method 1, 3 by method 2), scheme 1N (2 common session keys with option A, 3 with
    /// option B), MK-AC, PAN and sequence number: 8B, or with option B their length 2N, the bytes and `;`. ATC 2B,
    /// length 2H, data, `;`, ARQC 8B; with mode 1 the response code 2B, with mode 3 the status update 4B, length 1N and
    /// proprietary data.
    pub(super) fn arqc_common(&self, fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        let mode = fields.letter()?;
        if !matches!(mode, b'0' | b'1' | b'3') {
            return Err(Code::INVALID_MODE);
        }
        let option = match fields.letter()? {
            b'2' => CardKeyOption::A,
            b'3' => CardKeyOption::B,
            _ => return Err(Code::INVALID_SCHEME),
        };
        let key = Key::read(fields)?;
        let digits = if option == CardKeyOption::A {
            unpacked(fields.take(8)?)?
        } else {
            let bytes = fields.number(2)?;
            let digits = unpacked(fields.take(bytes)?)?;
            fields.expect(b';')?;
            digits
        };
        let counter = fields.array()?;
        let (data, arqc) = cryptogram(fields)?;
        let answer = match mode {
            b'1' => Some(ArqcAnswer::Method1(fields.array()?)),
            b'3' => {
                let status = fields.array()?;
                let bytes = fields.number(1)?;
                Some(ArqcAnswer::Method2(status, fields.take(bytes)?))
            }
            _ => None,
        };
        let of = EmvTransaction { counter, unpredictable: [0; 4], data };
        self.arqc(&key, &digits, option, COMMON, of, arqc, answer)
    }

    #[expect(clippy::too_many_arguments, reason = "what both commands have read, each in its order")]
    fn arqc(
        &self,
        key: &Key,
        digits: &[u8],
        option: CardKeyOption,
        scheme: EmvScheme,
        of: EmvTransaction<'_>,
        arqc: [u8; 8],
        answer: Option<ArqcAnswer<'_>>,
    ) -> Result<Vec<u8>, Code> {
        let (pan, sequence) = digits.split_last_chunk::<2>().ok_or(Code::INPUT)?;
        // A PAN of 19 digits was packed with a zero before it.
        let pan = if pan.len() > 19 { pan.strip_prefix(b"0").ok_or(Code::INPUT)? } else { pan };
        let sequence = (sequence[0] - b'0') * 10 + (sequence[1] - b'0');
        let card = EmvCard { pan, sequence, option };
        let asked = Operation::VerifyArqc { key: &key.reference, card, scheme, of, arqc, answer };
        match self.one_with(&asked, &[(key, &["E0"])])? {
            Outcome::Verified(true) => Ok(Vec::new()),
            Outcome::Verified(false) => Err(Code::NOT_VERIFIED),
            Outcome::Answered(Arpc::Method1(arpc)) => Ok(arpc.to_vec()),
            Outcome::Answered(Arpc::Method2(arpc)) => Ok(arpc.to_vec()),
            _ => Err(Code::INTERNAL),
        }
    }
}

fn cvv_card<'a>(fields: &mut Fields<'a>) -> Result<CvvCard<'a>, Code> {
    let pan = fields.until(b';', 19)?;
    Ok(CvvCard { pan, expiry: fields.array()?, service: fields.array()? })
}

fn cryptogram<'a>(fields: &mut Fields<'a>) -> Result<(&'a [u8], [u8; 8]), Code> {
    let bytes = fields.hex_number(2)?;
    if bytes == 0 {
        return Err(Code(*b"81"));
    }
    let data = fields.take(bytes)?;
    fields.expect(b';')?;
    Ok((data, fields.array()?))
}

/// Nibbles as ASCII digits.
fn unpacked(packed: &[u8]) -> Result<Vec<u8>, Code> {
    let digits: Vec<u8> = packed.iter().flat_map(|byte| [b'0' + (byte >> 4), b'0' + (byte & 0x0F)]).collect();
    if digits.iter().all(u8::is_ascii_digit) { Ok(digits) } else { Err(Code::INPUT) }
}
