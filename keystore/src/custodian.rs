//! Custodians: people who hold a part of a key, or stand by when others enter theirs. Each has a name and proves it by a
//! passphrase of which only a salted, slow hash is kept (PBKDF2-HMAC-SHA256, RFC 8018; NIST SP 800-132).

use std::num::NonZeroU32;

use ring::pbkdf2;
use serde::{Deserialize, Serialize};

use crate::error::KeyError;
use crate::random;
use crate::secret::{hex, unhex};

/// What guessing one passphrase costs: some tenths of a second here, once per entry.
const ROUNDS: u32 = 600_000;
/// A file that says more would stop us for hours.
const ROUNDS_MAX: u32 = 10_000_000;
/// Shorter ones can be tried out by whoever has a copy of the file.
const PASSPHRASE_BYTES_MIN: usize = 12;
const PASSPHRASE_BYTES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 32;

/// One custodian, as the key file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Custodian {
    pub(crate) name: String,
    rounds: u32,
    salt: String,
    verifier: String,
}

impl Custodian {
    /// # Errors
    /// `Custodian` when the name or the passphrase cannot be used.
    pub(crate) fn new(name: &str, passphrase: &[u8]) -> Result<Custodian, KeyError> {
        let refuse =
            |reason| KeyError::Custodian { name: name.chars().take(NAME_BYTES_MAX).collect(), reason };
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(refuse("a name is 1 to 32 characters from A-Z a-z 0-9 . _ -"));
        }
        if passphrase.len() < PASSPHRASE_BYTES_MIN {
            return Err(refuse(
                "a passphrase has at least 12 characters: four words that do not belong together",
            ));
        }
        if passphrase.len() > PASSPHRASE_BYTES_MAX {
            return Err(refuse("a passphrase has at most 256 bytes"));
        }
        let mut salt = [0; 16];
        random::fill(&mut salt);
        let rounds = if cfg!(test) { 1_000 } else { ROUNDS };
        let verifier = hex(&derive(rounds, &salt, passphrase));
        Ok(Custodian { name: name.to_owned(), rounds, salt: hex(&salt), verifier })
    }

    /// Whether this is the custodian's passphrase; takes some tenths of a second, by design.
    pub(crate) fn is(&self, passphrase: &[u8]) -> bool {
        let rounds = NonZeroU32::new(self.rounds.min(ROUNDS_MAX));
        let (Some(rounds), Ok(salt), Ok(verifier)) =
            (rounds, unhex(self.salt.as_bytes()), unhex(self.verifier.as_bytes()))
        else {
            return false;
        };
        pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, passphrase, &verifier).is_ok()
    }
}

fn derive(rounds: u32, salt: &[u8], passphrase: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    let rounds = NonZeroU32::new(rounds).expect("a constant above zero");
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custodian_is_known_by_the_passphrase_alone() {
        let one = Custodian::new("alice", b"correct horse battery").unwrap();
        assert!(one.is(b"correct horse battery") && !one.is(b"correct horse batterx") && !one.is(b""));
        let again = Custodian::new("alice", b"correct horse battery").unwrap();
        assert_ne!((&one.salt, &one.verifier), (&again.salt, &again.verifier), "each has its own salt");
    }

    #[test]
    fn names_and_passphrases_that_cannot_serve_are_refused() {
        let long = "x".repeat(257);
        for (name, passphrase) in [
            ("", "correct horse battery"),
            ("al ice", "correct horse battery"),
            ("alice\n", "correct horse battery"),
            ("alice", "short"),
            ("alice", &long),
        ] {
            let refused = Custodian::new(name, passphrase.as_bytes());
            assert!(matches!(refused, Err(KeyError::Custodian { .. })), "{name:?} {passphrase:?}");
        }
    }

    #[test]
    fn a_verifier_that_was_damaged_lets_nobody_in() {
        let one = Custodian::new("alice", b"correct horse battery").unwrap();
        for broken in [
            Custodian { rounds: 0, ..one.clone() },
            Custodian { salt: "zz".into(), ..one.clone() },
            Custodian { verifier: String::new(), ..one.clone() },
        ] {
            assert!(!broken.is(b"correct horse battery"));
        }
    }
}
