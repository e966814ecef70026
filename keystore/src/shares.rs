//! Shares of a master key: any k of n bring it back, and k - 1 say nothing about it (Shamir, 1979; over GF(2^8) as AES has
//! it, one polynomial a byte). For a start-up that needs several custodians, and not always the same ones.
//!
//! ```text
//! yika-share-1 <k> <index> <check value of the master key, 6 hex> <share, 64 hex> <check, 8 hex>
//! ```
//! The check is the beginning of the SHA-256 of the text before it: a slip of the pen is found in the share it is in.

use yika_arena::wiped;
use zeroize::Zeroizing;

use crate::digest::Sha256;
use crate::error::KeyError;
use crate::lmk::Lmk;
use crate::random;
use crate::secret::{COLD_STACK_BYTES, KeyBytes, hex, unhex};

const MARK: &str = "yika-share-1";
const KEY_BYTES: usize = 32;
/// More custodians than any house has.
const SHARES_MAX: u8 = 16;

/// One custodian's share. Wiped on drop; it has no Debug, and leaves as text only by [`Share::text`].
pub struct Share {
    threshold: u8,
    index: u8,
    check_value: String,
    bytes: KeyBytes,
}

impl Share {
    /// Reads a share as it was written down; spaces at its ends do not count.
    ///
    /// # Errors
    /// `Components`, which says what is wrong and nothing of the share.
    pub fn parse(text: &[u8]) -> Result<Share, KeyError> {
        let refuse = |reason| Err(KeyError::Components { reason });
        let Ok(text) = std::str::from_utf8(text.trim_ascii()) else { return refuse("a share is plain text") };
        let Some((body, check)) = text.rsplit_once(' ') else { return refuse(NOT_A_SHARE) };
        let words: Vec<&str> = body.split(' ').collect();
        let [MARK, threshold, index, check_value, share] = words[..] else { return refuse(NOT_A_SHARE) };
        if check != check_of(body) {
            return refuse("a share was not copied as it was written: its check does not hold");
        }
        let (Ok(threshold), Ok(index), Ok(share)) =
            (threshold.parse(), index.parse(), unhex(share.as_bytes()))
        else {
            return refuse(NOT_A_SHARE);
        };
        let Some(bytes) = KeyBytes::new(&share).filter(|_| share.len() == KEY_BYTES) else {
            return refuse(NOT_A_SHARE);
        };
        if !(2..=SHARES_MAX).contains(&threshold) || !(1..=SHARES_MAX).contains(&index) {
            return refuse(NOT_A_SHARE);
        }
        Ok(Share { threshold, index, check_value: check_value.to_owned(), bytes })
    }

    /// The share as one line, to be written down and put into an envelope.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let share = Zeroizing::new(hex(self.bytes.as_slice()));
        let head = format!("{MARK} {} {} {} ", self.threshold, self.index, self.check_value);
        // As long as it gets: text that grows leaves what it was behind.
        let mut text = Zeroizing::new(String::with_capacity(head.len() + share.len() + 9));
        text.push_str(&head);
        text.push_str(&share);
        let check = check_of(&text);
        text.push(' ');
        text.push_str(&check);
        text
    }

    /// How many shares bring the key back.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Its number among the shares, from 1.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The check value of the master key, hex.
    #[must_use]
    pub fn check_value(&self) -> &str {
        &self.check_value
    }
}

const NOT_A_SHARE: &str = "a share begins with \"yika-share-1\" and has six words";

fn check_of(body: &str) -> String {
    hex(&Sha256::of(body.as_bytes())[..4])
}

impl Lmk {
    /// Splits the master key into `count` shares, any `threshold` of which bring it back.
    ///
    /// # Errors
    /// `Components` unless 2 <= threshold <= count <= 16.
    pub fn split(&self, threshold: u8, count: u8) -> Result<Vec<Share>, KeyError> {
        if !(2..=count).contains(&threshold) || count > SHARES_MAX {
            return Err(KeyError::Components {
                reason: "2 to 16 shares, of which at least 2 and at most all are needed",
            });
        }
        // The key is the coefficient of x^0; the others are random, one for each byte.
        let others: Vec<KeyBytes> = (1..threshold).map(|_| KeyBytes::made(KEY_BYTES, random::fill)).collect();
        let check_value = hex(&self.check_value());
        let share = |index: u8| {
            let bytes = KeyBytes::made(KEY_BYTES, |bytes| {
                for coefficient in others.iter().rev().chain([self.key()]) {
                    for (byte, c) in bytes.iter_mut().zip(coefficient.as_slice()) {
                        *byte = times(*byte, index) ^ c;
                    }
                }
            });
            Share { threshold, index, check_value: check_value.clone(), bytes }
        };
        Ok(wiped::<COLD_STACK_BYTES, _>(|| (1..=count).map(share).collect()))
    }

    /// Joins as many shares as their threshold asks for.
    ///
    /// # Errors
    /// `Components` when there are too few, two of one number, of different keys, or when they do not make the key whose
    /// check value they name.
    pub fn from_shares(shares: &[Share]) -> Result<Lmk, KeyError> {
        let refuse = |reason| Err(KeyError::Components { reason });
        let Some(first) = shares.first() else { return refuse("there is no share") };
        if shares.iter().any(|s| (s.threshold, &s.check_value) != (first.threshold, &first.check_value)) {
            return refuse("the shares are not of one master key");
        }
        let used = &shares[..shares.len().min(usize::from(first.threshold))];
        if used.len() < usize::from(first.threshold) {
            return refuse("more shares are needed");
        }
        if (1..used.len()).any(|n| used[..n].iter().any(|earlier| earlier.index == used[n].index)) {
            return refuse("two shares have one number: each custodian gives another one");
        }
        let join = |key: &mut [u8]| {
            for share in used {
                // Lagrange at 0: the product of x_j / (x_j - x_i) over the others.
                let others = used.iter().filter(|other| other.index != share.index);
                let weight = others.fold(1, |product, other| {
                    times(product, times(other.index, inverse(other.index ^ share.index)))
                });
                let parts = key.iter_mut().zip(share.bytes.as_slice());
                parts.for_each(|(byte, part)| *byte ^= times(*part, weight));
            }
        };
        let lmk = Lmk::from_joined(wiped::<COLD_STACK_BYTES, _>(|| KeyBytes::made(KEY_BYTES, join)))?;
        if hex(&lmk.check_value()) != first.check_value {
            return refuse("they do not make the key whose check value they name");
        }
        Ok(lmk)
    }
}

/// Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, without a branch or a table on the secret.
fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & (b >> bit & 1).wrapping_neg();
        a = a << 1 ^ (a >> 7).wrapping_neg() & 0x1B;
    }
    product
}

/// a^254: the inverse of whatever is not zero. Only of numbers of shares, which are no secret.
fn inverse(a: u8) -> u8 {
    (0..254).fold(1, |power, _| times(power, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lmk() -> Lmk {
        Lmk::from_components(&[[0x3C; 32], *b"thirty-two bytes of a master key"]).unwrap()
    }

    fn copy(share: &Share) -> Share {
        Share::parse(share.text().as_bytes()).unwrap()
    }

    #[test]
    fn any_three_of_five_bring_it_back_and_two_do_not() {
        let shares = lmk().split(3, 5).unwrap();
        let mut tried = 0;
        for subset in 0_u8..32 {
            let some: Vec<Share> =
                shares.iter().filter(|s| subset >> (s.index - 1) & 1 == 1).map(copy).collect();
            let joined = Lmk::from_shares(&some);
            match some.len() {
                3.. => assert_eq!(joined.unwrap().check_value(), lmk().check_value(), "{subset:05b}"),
                _ => assert!(matches!(joined, Err(KeyError::Components { .. })), "{subset:05b}"),
            }
            tried += usize::from(some.len() >= 3);
        }
        assert_eq!(tried, 16);
    }

    /// FIPS 197, 4.2: {57} * {83} = {C1}, {57} * {13} = {FE}.
    #[test]
    fn the_field_is_that_of_aes() {
        assert_eq!((times(0x57, 0x83), times(0x57, 0x13)), (0xC1, 0xFE));
        for a in 1..=255 {
            assert_eq!(times(a, inverse(a)), 1, "{a}");
        }
    }

    #[test]
    fn fewer_shares_than_needed_fit_every_key() {
        // With the threshold forged, two shares of three make some key, and not the one they name.
        let shares = lmk().split(3, 3).unwrap();
        let forged = |share: &Share| Share { threshold: 2, ..copy(share) };
        assert!(Lmk::from_shares(&[forged(&shares[0]), forged(&shares[1])]).is_err());
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let (ours, theirs) = (lmk().split(2, 3).unwrap(), Lmk::random().split(2, 3).unwrap());
        for (what, shares) in [
            ("of two keys", [copy(&ours[0]), copy(&theirs[1])]),
            ("one twice", [copy(&ours[0]), copy(&ours[0])]),
        ] {
            assert!(matches!(Lmk::from_shares(&shares), Err(KeyError::Components { .. })), "{what}");
        }
        for (threshold, count) in [(1, 3), (4, 3), (2, 17), (0, 0)] {
            assert!(lmk().split(threshold, count).is_err(), "{threshold} of {count}");
        }
    }

    #[test]
    fn every_slip_of_the_pen_is_found() {
        let text = lmk().split(2, 2).unwrap()[0].text();
        for at in 0..text.len() {
            for wrong in [b'0', b'F', b' ', b'x'] {
                let mut changed = text.as_bytes().to_vec();
                if changed[at] == wrong {
                    continue;
                }
                changed[at] = wrong;
                assert!(
                    Share::parse(&changed).is_err() || text.as_bytes() == changed.trim_ascii(),
                    "{at} {wrong}"
                );
            }
            assert!(Share::parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }
}
