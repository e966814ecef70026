//! The MAC methods a second time, for tests: written from the standards on other libraries, with the padded message
//! in one piece and text where the manuals speak of text. Shares no code with the product.

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use cmac::Mac as _;

/// ISO 9797-1:2011, 6.3: the message padded by method 1, 2 or 3.
fn padded(method: u8, block: usize, data: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    if method == 3 {
        message.resize(block - 8, 0);
        message.extend_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    }
    let start = message.len();
    message.extend_from_slice(data);
    if method == 2 {
        message.push(0x80);
    }
    while message.len() == start || !message.len().is_multiple_of(block) {
        message.push(0);
    }
    message
}

fn cbc_of<C: KeyInit + BlockCipherEncrypt>(method: u8, key: &[u8], data: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).unwrap();
    let mut state = Block::<C>::default();
    for block in padded(method, state.len(), data).chunks(state.len()) {
        for (byte, next) in state.iter_mut().zip(block) {
            *byte ^= next;
        }
        cipher.encrypt_block(&mut state);
    }
    state.to_vec()
}

fn retail_of<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt>(
    method: u8,
    key: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let (left, right) = key.split_at(key.len() / 2);
    let mut last = Block::<C>::try_from(&cbc_of::<C>(method, left, data)[..]).unwrap();
    C::new_from_slice(right).unwrap().decrypt_block(&mut last);
    C::new_from_slice(left).unwrap().encrypt_block(&mut last);
    last.to_vec()
}

/// Algorithm 1: `D` DES, `T` TDES, `4` SM4.
pub(super) fn cbc(cipher: char, method: u8, key: &[u8], data: &[u8]) -> Vec<u8> {
    match (cipher, key.len()) {
        ('D', _) => cbc_of::<des::Des>(method, key, data),
        ('T', 16) => cbc_of::<des::TdesEde2>(method, key, data),
        ('T', _) => cbc_of::<des::TdesEde3>(method, key, data),
        _ => cbc_of::<sm4::Sm4>(method, key, data),
    }
}

/// Algorithm 3.
pub(super) fn retail(cipher: char, method: u8, key: &[u8], data: &[u8]) -> Vec<u8> {
    match cipher {
        'T' => retail_of::<des::Des>(method, key, data),
        _ => retail_of::<sm4::Sm4>(method, key, data),
    }
}

/// Algorithm 5.
pub(crate) fn cmac(cipher: char, key: &[u8], data: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($cipher:ty) => {
            cmac::Cmac::<$cipher>::new_from_slice(key)
                .unwrap()
                .chain_update(data)
                .finalize()
                .into_bytes()
                .to_vec()
        };
    }
    match (cipher, key.len()) {
        ('A', 16) => with!(aes::Aes128),
        ('A', 24) => with!(aes::Aes192),
        ('A', _) => with!(aes::Aes256),
        ('T', 16) => with!(des::TdesEde2),
        ('T', _) => with!(des::TdesEde3),
        _ => with!(sm4::Sm4),
    }
}

/// RFC 2104, told with the hash alone.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let masked =
        |mask: u8| -> Vec<u8> { (0..64).map(|n| key.get(n).copied().unwrap_or_default() ^ mask).collect() };
    let hash = |parts: &[&[u8]]| ring::digest::digest(&ring::digest::SHA256, &parts.concat());
    hash(&[&masked(0x5C), hash(&[&masked(0x36), data]).as_ref()]).as_ref().to_vec()
}

/// UnionPay's method, told with text as terminal manuals tell it.
pub(super) fn unionpay(cipher: char, key: &[u8], data: &[u8]) -> String {
    let encrypt = |text: &[u8]| match (cipher, key.len()) {
        // Method 1 over one whole block is the bare cipher.
        ('D' | 'T', _) | ('4', _) => cbc(cipher, 1, key, text),
        _ => panic!("no such cipher"),
    };
    let block = if cipher == '4' { 16 } else { 8 };
    let mut sum = vec![0; block];
    for (n, byte) in data.iter().enumerate() {
        sum[n % block] ^= byte;
    }
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let text = digits(&sum);
    let (first, second) = text.split_at(block);
    let mixed: Vec<u8> = encrypt(first.as_bytes()).iter().zip(second.bytes()).map(|(a, b)| a ^ b).collect();
    digits(&encrypt(&mixed))[..8].to_owned()
}
