//! PIN blocks, PVVs and IBM 3624 once more, told with text and on other engines. For comparison in tests only.
//!
//! SM4 stands here whole, its S-box computed from its definition, because the crate's own SM4 is that of RustCrypto.

use des::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};

use super::PinFormat;
use crate::secret::hex;
use crate::testing::unhex;

/// One block under the cipher of the format.
pub(crate) fn cipher(format: PinFormat, key: &[u8], block: &[u8], encrypt: bool) -> Vec<u8> {
    match format {
        PinFormat::Iso0 | PinFormat::Iso1 | PinFormat::Iso3 => tdes(key, block, encrypt),
        PinFormat::Iso4 => aes(key, block, encrypt),
        PinFormat::Sm4 => sm4(key, block, encrypt).to_vec(),
    }
}

/// Two- or three-key TDES.
pub(crate) fn tdes(key: &[u8], block: &[u8], encrypt: bool) -> Vec<u8> {
    let mut block = des::cipher::Block::<des::TdesEde2>::try_from(block).unwrap();
    match (key.len(), encrypt) {
        (16, true) => des::TdesEde2::new_from_slice(key).unwrap().encrypt_block(&mut block),
        (16, false) => des::TdesEde2::new_from_slice(key).unwrap().decrypt_block(&mut block),
        (_, true) => des::TdesEde3::new_from_slice(key).unwrap().encrypt_block(&mut block),
        (_, false) => des::TdesEde3::new_from_slice(key).unwrap().decrypt_block(&mut block),
    }
    block.to_vec()
}

/// AES of three lengths.
pub(crate) fn aes(key: &[u8], block: &[u8], encrypt: bool) -> Vec<u8> {
    let mut block = aes::Block::try_from(block).unwrap();
    match (key.len(), encrypt) {
        (16, true) => aes::Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
        (16, false) => aes::Aes128::new_from_slice(key).unwrap().decrypt_block(&mut block),
        (24, true) => aes::Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
        (24, false) => aes::Aes192::new_from_slice(key).unwrap().decrypt_block(&mut block),
        (_, true) => aes::Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
        (_, false) => aes::Aes256::new_from_slice(key).unwrap().decrypt_block(&mut block),
    }
    block.to_vec()
}

/// An encrypted block; `fill` gives 14 hex digits for formats 1 and 3 (letters only) and 16 for format 4.
pub(crate) fn seal(format: PinFormat, key: &[u8], pin: &str, pan: &str, fill: &str) -> Vec<u8> {
    let long = |control: char| format!("{control}{:X}{pin}", pin.len());
    let encrypt = |clear: u128| {
        let bytes = clear.to_be_bytes();
        cipher(format, key, &bytes[16 - format.block_bytes()..], true)
    };
    match format {
        PinFormat::Iso0 => encrypt(number(&format!("{:F<16}", long('0'))) ^ account_0(pan)),
        PinFormat::Iso1 => encrypt(number(&format!("{}{fill}", long('1'))[..16])),
        PinFormat::Iso3 => encrypt(number(&format!("{}{fill}", long('3'))[..16]) ^ account_0(pan)),
        PinFormat::Iso4 => {
            let inner = encrypt(number(&format!("{:A<16}{fill}", long('4'))[..32]));
            encrypt(number(&hex(&inner)) ^ account_4(pan))
        }
        PinFormat::Sm4 => encrypt(number(&format!("{:F<32}", long('0'))) ^ account_0(pan)),
    }
}

/// The PIN in an encrypted block, when it is one.
pub(crate) fn open(format: PinFormat, key: &[u8], pan: &str, block: &[u8]) -> Option<String> {
    let decrypt = |block: &[u8]| number(&hex(&cipher(format, key, block, false)));
    let digits = format.block_bytes() * 2;
    let clear = match format {
        PinFormat::Iso1 => decrypt(block),
        PinFormat::Iso4 => {
            let middle = decrypt(block) ^ account_4(pan);
            decrypt(&middle.to_be_bytes())
        }
        _ => decrypt(block) ^ account_0(pan),
    };
    let text = format!("{clear:0digits$X}");
    let (control, filler): (char, fn(char) -> bool) = match format {
        PinFormat::Iso0 | PinFormat::Sm4 => ('0', |c| c == 'F'),
        PinFormat::Iso1 => ('1', |_| true),
        PinFormat::Iso3 => ('3', |c| c >= 'A'),
        PinFormat::Iso4 => ('4', |c| c == 'A'),
    };
    // Behind the first half of format 4 stands chance.
    let text = if format == PinFormat::Iso4 { &text[..16] } else { &text[..] };
    let len = usize::from_str_radix(text.get(1..2)?, 16).ok()?;
    let (pin, fill) = text[2..].split_at_checked(len)?;
    let fits = text.starts_with(control)
        && (4..=12).contains(&len)
        && pin.chars().all(|c| c.is_ascii_digit())
        && fill.chars().all(filler);
    fits.then(|| pin.to_owned())
}

/// The PVV by the steps of the issuers' handbooks.
pub(crate) fn pvv(key: &[u8], pan: &str, index: u8, pin: &str) -> String {
    let account = &pan[pan.len() - 12..pan.len() - 1];
    let cipher = hex(&tdes(key, &unhex(&format!("{account}{index}{}", &pin[..4])), true));
    let mut pvv: String = cipher.chars().filter(char::is_ascii_digit).take(4).collect();
    for letter in cipher.chars().filter(char::is_ascii_uppercase) {
        if pvv.len() < 4 {
            pvv.push(char::from(b'0' + (letter as u8 - b'A')));
        }
    }
    pvv
}

/// The IBM 3624 PIN of a card: natural PIN plus offset.
pub(crate) fn ibm_pin(key: &[u8], data: &[u8], table: &str, offset: &str) -> String {
    let cipher = hex(&tdes(key, data, true));
    let digit = |c: char| u32::from_str_radix(&c.to_string(), 16).unwrap();
    let natural = cipher.chars().map(|c| digit(table.chars().nth(digit(c) as usize).unwrap()));
    natural.zip(offset.chars()).map(|(n, o)| ((n + digit(o)) % 10).to_string()).collect()
}

fn number(text: &str) -> u128 {
    u128::from_str_radix(text, 16).unwrap()
}

fn account_0(pan: &str) -> u128 {
    let account = &pan[..pan.len() - 1];
    number(&account[account.len().saturating_sub(12)..])
}

fn account_4(pan: &str) -> u128 {
    let padded = format!("{pan:0>12}");
    number(&format!("{:0<32}", format!("{}{padded}", padded.len() - 12)))
}

/// SM4 (GB/T 32907-2016).
pub(crate) fn sm4(key: &[u8], block: &[u8], encrypt: bool) -> [u8; 16] {
    static TABLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| (0..=255).map(s_box).collect());
    let table = &*TABLE;
    let substitute = |word: u32| u32::from_be_bytes(word.to_be_bytes().map(|byte| table[usize::from(byte)]));
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect()
    };
    let family = [0xA3B1_BAC6_u32, 0x56AA_3350, 0x677D_9197, 0xB270_22DC];
    let mut keys: Vec<u32> = words(key).into_iter().zip(family).map(|(key, mask)| key ^ mask).collect();
    for round in 0..32_u32 {
        let constant = u32::from_be_bytes([0, 1, 2, 3].map(|n| ((4 * round + n) * 7 % 256) as u8));
        let n = keys.len();
        let mixed = substitute(keys[n - 3] ^ keys[n - 2] ^ keys[n - 1] ^ constant);
        keys.push(keys[n - 4] ^ mixed ^ mixed.rotate_left(13) ^ mixed.rotate_left(23));
    }
    let mut rounds = keys.split_off(4);
    if !encrypt {
        rounds.reverse();
    }
    let mut state = words(block);
    for key in rounds {
        let n = state.len();
        let mixed = substitute(state[n - 3] ^ state[n - 2] ^ state[n - 1] ^ key);
        let spread = [2, 10, 18, 24].map(|by| mixed.rotate_left(by)).iter().fold(mixed, |all, one| all ^ one);
        state.push(state[n - 4] ^ spread);
    }
    let mut out = [0; 16];
    for (four, word) in out.chunks_mut(4).zip(state.iter().rev()) {
        four.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// An affine map, the inverse in GF(2^8) modulo x^8+x^7+x^6+x^5+x^4+x^2+1, and the map again.
fn s_box(byte: u8) -> u8 {
    let affine = |x: u8| {
        let bits = (0..8).map(|n| ((0xA7_u8.rotate_left(n) & x).count_ones() as u8 & 1) << n);
        bits.fold(0xD3, |all, bit| all ^ bit)
    };
    let times = |mut a: u16, mut b: u16| {
        let mut product = 0;
        while b != 0 {
            product ^= if b & 1 == 1 { a } else { 0 };
            a <<= 1;
            a ^= if a & 0x100 == 0 { 0 } else { 0x1F5 };
            b >>= 1;
        }
        product
    };
    let x = u16::from(affine(byte));
    // x to the 254th is the inverse, and zero of zero.
    let inverse = (0..253).fold(x, |power, _| times(power, x));
    affine(inverse as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Algorithm;
    use crate::cipher::{Decipher, Encipher};
    use crate::testing::Seeded;

    /// GB/T 32907-2016 annex A.1, in both implementations.
    #[test]
    fn sm4_vector_and_agreement() {
        let key = unhex("0123456789ABCDEFFEDCBA9876543210");
        assert_eq!(sm4(&key, &key, true)[..], unhex("681EDF34D206965E86B3E94F536E4246"));
        let mut seeded = Seeded::new(32_907);
        for _ in 0..20 {
            let (key, clear): ([u8; 16], [u8; 16]) = (seeded.array(), seeded.array());
            let mut ours = clear;
            Encipher::new(Algorithm::Sm4, &key).unwrap().block(&mut ours);
            assert_eq!(ours, sm4(&key, &clear, true));
            Decipher::new(Algorithm::Sm4, &key).unwrap().block(&mut ours);
            assert_eq!((ours, clear), (clear, sm4(&key, &sm4(&key, &clear, true), false)));
        }
    }
}
