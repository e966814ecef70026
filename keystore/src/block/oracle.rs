//! A second key block implementation for tests, written from X9.143 on other libraries and in another shape:
//! text and bytes in, nothing expanded or kept. It shares no code with the product.

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::mac;

/// What differs between the versions.
struct Kind {
    block: usize,
    mac: usize,
    binds_by_variant: bool,
}

fn kind(version: char) -> Kind {
    match version {
        'A' | 'C' => Kind { block: 8, mac: 4, binds_by_variant: true },
        'B' => Kind { block: 8, mac: 8, binds_by_variant: false },
        'D' | '4' => Kind { block: 16, mac: 16, binds_by_variant: false },
        other => panic!("no version {other}"),
    }
}

/// Makes a block. `middle` is usage, algorithm, mode, key version and exportability; `fill` pads the payload.
pub(super) fn wrap(
    version: char,
    kbpk: &[u8],
    middle: &str,
    optional: &[(&str, &str)],
    key: &[u8],
    fill: &[u8],
) -> String {
    let kind = kind(version);
    let mut tail: String =
        optional.iter().map(|(id, data)| format!("{id}{:02X}{data}", data.len() + 4)).collect();
    let mut count = optional.len();
    if !tail.len().is_multiple_of(kind.block) {
        let mut length = 4;
        while !(tail.len() + length).is_multiple_of(kind.block) {
            length += 1;
        }
        tail += &format!("PB{length:02X}{}", "P".repeat(length - 4));
        count += 1;
    }
    let mut payload = ((key.len() * 8) as u16).to_be_bytes().to_vec();
    payload.extend_from_slice(key);
    payload.extend_from_slice(fill);
    assert!(payload.len().is_multiple_of(kind.block), "the test chooses the padding");
    let total = 16 + tail.len() + 2 * (payload.len() + kind.mac);
    let head = format!("{version}{total:04}{middle}{count:02}00{tail}");
    let (encryption, authentication) = keys(version, kbpk);
    let (cipher, mac) = if kind.binds_by_variant {
        let cipher = encrypt(version, &encryption, &head.as_bytes()[..8], &payload);
        let chain = encrypt(version, &authentication, &[0; 8], &[head.as_bytes(), &cipher].concat());
        (cipher, chain[chain.len() - 8..][..4].to_vec())
    } else {
        let mac = cmac_of(version, &authentication, &[head.as_bytes(), &payload].concat());
        (encrypt(version, &encryption, &mac, &payload), mac)
    };
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    format!("{head}{}{}", digits(&cipher), digits(&mac))
}

/// Takes the key out of a block, or nothing when the MAC does not hold. Trusts the form of the block.
pub(super) fn unwrap(kbpk: &[u8], block: &str) -> Option<Vec<u8>> {
    let version = block.chars().next()?;
    let kind = kind(version);
    let mut at = 16;
    for _ in 0..block[12..14].parse::<usize>().ok()? {
        at += usize::from_str_radix(&block[at + 2..at + 4], 16).ok()?;
    }
    let bytes = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
    };
    let (cipher, mac) = block[at..].split_at(block.len() - at - 2 * kind.mac);
    let (cipher, mac) = (bytes(cipher), bytes(mac));
    let (encryption, authentication) = keys(version, kbpk);
    let iv = if kind.binds_by_variant { &block.as_bytes()[..8] } else { &mac };
    let clear = decrypt(version, &encryption, iv, &cipher);
    let expected = if kind.binds_by_variant {
        let chain = encrypt(version, &authentication, &[0; 8], &[&block.as_bytes()[..at], &cipher].concat());
        chain[chain.len() - 8..][..4].to_vec()
    } else {
        cmac_of(version, &authentication, &[&block.as_bytes()[..at], &clear].concat())
    };
    let bits = usize::from(u16::from_be_bytes([clear[0], clear[1]]));
    (expected == mac).then(|| clear[2..2 + bits / 8].to_vec())
}

/// Encryption and authentication key.
fn keys(version: char, kbpk: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if kind(version).binds_by_variant {
        let masked = |mask: u8| kbpk.iter().map(|byte| byte ^ mask).collect();
        return (masked(0x45), masked(0x4D));
    }
    let derived = |purpose: u8| {
        let algorithm: [u8; 2] = match (version, kbpk.len()) {
            ('B', 16) => [0, 0],
            ('B', _) => [0, 1],
            ('4', _) => [0x80, 2],
            (_, bytes) => [0, (bytes / 8) as u8],
        };
        let bits = ((kbpk.len() * 8) as u16).to_be_bytes();
        let mut key: Vec<u8> = (1..=4)
            .flat_map(|n| cmac_of(version, kbpk, &[&[n, 0, purpose, 0], &algorithm[..], &bits].concat()))
            .collect();
        key.truncate(kbpk.len());
        key
    };
    (derived(0), derived(1))
}

fn cmac_of(version: char, key: &[u8], data: &[u8]) -> Vec<u8> {
    let cipher = match version {
        'D' => 'A',
        '4' => '4',
        _ => 'T',
    };
    mac::oracle::cmac(cipher, key, data)
}

fn encrypt(version: char, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    fn run<C: KeyInit + BlockCipherEncrypt>(key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(key).unwrap();
        let mut out: Vec<u8> = iv.to_vec();
        for block in data.chunks(iv.len()) {
            let mut next: Block<C> = Block::<C>::default();
            for (n, byte) in next.iter_mut().enumerate() {
                *byte = block[n] ^ out[out.len() - iv.len() + n];
            }
            cipher.encrypt_block(&mut next);
            out.extend_from_slice(&next);
        }
        out.split_off(iv.len())
    }
    match (version, key.len()) {
        ('4', _) => run::<sm4::Sm4>(key, iv, data),
        ('D', 16) => run::<aes::Aes128>(key, iv, data),
        ('D', 24) => run::<aes::Aes192>(key, iv, data),
        ('D', _) => run::<aes::Aes256>(key, iv, data),
        (_, 16) => run::<des::TdesEde2>(key, iv, data),
        _ => run::<des::TdesEde3>(key, iv, data),
    }
}

fn decrypt(version: char, key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    fn run<C: KeyInit + BlockCipherDecrypt>(key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
        let cipher = C::new_from_slice(key).unwrap();
        let mut out = Vec::new();
        for (n, block) in data.chunks(iv.len()).enumerate() {
            let before = if n == 0 { iv } else { &data[(n - 1) * iv.len()..n * iv.len()] };
            let mut clear: Block<C> = Block::<C>::try_from(block).unwrap();
            cipher.decrypt_block(&mut clear);
            out.extend(clear.iter().zip(before).map(|(a, b)| a ^ b));
        }
        out
    }
    match (version, key.len()) {
        ('4', _) => run::<sm4::Sm4>(key, iv, data),
        ('D', 16) => run::<aes::Aes128>(key, iv, data),
        ('D', 24) => run::<aes::Aes192>(key, iv, data),
        ('D', _) => run::<aes::Aes256>(key, iv, data),
        (_, 16) => run::<des::TdesEde2>(key, iv, data),
        _ => run::<des::TdesEde3>(key, iv, data),
    }
}
