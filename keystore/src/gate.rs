//! Session keys of the gateway protocol: one zone key and two hellos give a key for each direction.
//!
//! The derivation is that of NIST SP 800-108r1, counter mode, with AES-CMAC. The zone key derives and does nothing
//! else; the session keys make MACs or check them, never both; none of them leaves. `docs/wire.md` has the layout.

use yika_arena::wiped;
use zeroize::Zeroizing;

use crate::attributes::{Algorithm, Mode, Usage};
use crate::cmac::Cmac;
use crate::error::KeyError;
use crate::lmk::Opened;
use crate::mac::{MacGenerateKey, MacVerifyKey};
use crate::policy::Need;
use crate::secret::{COLD_STACK_BYTES, KeyBytes};
use crate::state::Deed;

/// The zone key of a gateway's participant: session keys come of it, nothing else.
pub struct GateKey {
    zone: Cmac,
    check_value: [u8; 3],
}

/// Which end of the connection asks for its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateSide {
    /// The gateway, which sent the hello.
    Client,
    /// The switch, which answered it.
    Server,
}

/// The two keys that one end of a connection uses.
pub struct GateSession {
    /// Makes the MACs of what this end sends.
    pub make: MacGenerateKey,
    /// Checks the MACs of what it receives.
    pub check: MacVerifyKey,
}

const NEED: Need = Need {
    operation: "derive session keys",
    keys: &[(Usage::Derivation, &[Algorithm::Aes])],
    modes: &[Mode::Both],
    deeds: &[Deed::Protect, Deed::Process],
    needs: "a key derivation key (use B3)",
};

const CLIENT_TO_SERVER: &[u8] = b"yika-gate 1 c2s";
const SERVER_TO_CLIENT: &[u8] = b"yika-gate 1 s2c";
/// AES-128, one block of the PRF.
const SESSION_KEY_BITS: u32 = 128;

impl GateKey {
    /// The keys of the connection that began with these two bodies. Both stand whole in the derivation: whoever
    /// changes a byte of either hello leaves both ends with keys that do not agree.
    #[must_use]
    pub fn session(&self, side: GateSide, hello: &[u8], answer: &[u8]) -> GateSession {
        let (own, other) = match side {
            GateSide::Client => (CLIENT_TO_SERVER, SERVER_TO_CLIENT),
            GateSide::Server => (SERVER_TO_CLIENT, CLIENT_TO_SERVER),
        };
        wiped::<COLD_STACK_BYTES, _>(|| GateSession {
            make: MacGenerateKey::of_session(&self.derive(own, hello, answer)),
            check: MacVerifyKey::of_session(&self.derive(other, hello, answer)),
        })
    }

    /// The check value of the zone key, which the hello names.
    #[must_use]
    pub fn check_value(&self) -> [u8; 3] {
        self.check_value
    }

    /// SP 800-108r1, 4.1: PRF(K, [i] | Label | 00 | Context | [L]) with i and L of four bytes; one block is the key.
    /// The length of the hello stands before it, so that no byte can pass from one body to the other.
    fn derive(&self, label: &[u8], hello: &[u8], answer: &[u8]) -> KeyBytes {
        let hello_bytes = u32::try_from(hello.len()).expect("a hello is a frame of at most 4 KiB");
        let mut input = Vec::with_capacity(label.len() + hello.len() + answer.len() + 13);
        input.extend_from_slice(&1_u32.to_be_bytes());
        input.extend_from_slice(label);
        input.push(0);
        input.extend_from_slice(&hello_bytes.to_be_bytes());
        input.extend_from_slice(hello);
        input.extend_from_slice(answer);
        input.extend_from_slice(&SESSION_KEY_BITS.to_be_bytes());
        let block = Zeroizing::new(self.zone.tag(&input));
        KeyBytes::new(block.as_slice()).expect("a block of 16 bytes is no longer than the longest key")
    }

    pub(crate) fn open(name: &str, opened: &Opened) -> Result<GateKey, KeyError> {
        NEED.check(name, &opened.attributes, opened.state)?;
        let zone = Cmac::new(Algorithm::Aes, opened.key.as_slice())?;
        Ok(GateKey { zone, check_value: opened.check_value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Export;
    use crate::lmk::Lmk;
    use crate::store::Keystore;
    use crate::testing::{put, store_with};
    use cmac::{Cmac as OtherCmac, KeyInit as _, Mac as _};

    const ZONE: [u8; 16] = *b"a gate zone key!";

    fn key() -> GateKey {
        store_with(Usage::Derivation, Algorithm::Aes, &ZONE).gate_key("key").unwrap()
    }

    /// The same derivation once more, by another implementation of CMAC and written from SP 800-108r1.
    fn derived(label: &str, hello: &[u8], answer: &[u8]) -> Vec<u8> {
        let mut prf = OtherCmac::<aes::Aes128>::new(&ZONE.into());
        prf.update(b"\0\0\0\x01");
        prf.update(label.as_bytes());
        prf.update(b"\0");
        prf.update(&(hello.len() as u32).to_be_bytes());
        prf.update(hello);
        prf.update(answer);
        prf.update(b"\0\0\0\x80");
        prf.finalize().into_bytes().to_vec()
    }

    fn mac(key: &[u8], data: &[u8]) -> [u8; 8] {
        let mut cmac = OtherCmac::<aes::Aes128>::new_from_slice(key).unwrap();
        cmac.update(data);
        cmac.finalize().into_bytes()[..8].try_into().unwrap()
    }

    #[test]
    fn both_directions_agree_with_a_second_implementation() {
        let (hello, answer, data) =
            (b"hello of a gateway", b"answer of the switch", b"a frame without its MAC");
        let client = key().session(GateSide::Client, hello, answer);
        let server = key().session(GateSide::Server, hello, answer);
        let c2s = mac(&derived("yika-gate 1 c2s", hello, answer), data);
        let s2c = mac(&derived("yika-gate 1 s2c", hello, answer), data);
        assert_eq!(client.make.generate(data), c2s);
        assert_eq!(server.make.generate(data), s2c);
        assert_eq!(server.check.verify(data, &c2s, 1).unwrap().into_inner(), 1);
        assert_eq!(client.check.verify(data, &s2c, 2).unwrap().into_inner(), 2);
        assert!(client.check.verify(data, &c2s, 0).is_err(), "a frame sent back is none of the server's");
    }

    #[test]
    fn a_session_has_golden_bytes() {
        let session = key().session(GateSide::Client, b"hello", b"answer");
        assert_eq!(crate::secret::hex(&session.make.generate(b"frame")), "46E410E939E80761");
    }

    #[test]
    fn a_changed_hello_a_shifted_byte_and_another_key_give_other_keys() {
        let right = key().session(GateSide::Client, b"hello", b"answer").make.generate(b"frame");
        for (hello, answer) in [(&b"hellp"[..], &b"answer"[..]), (b"hello", b"answex"), (b"helloa", b"nswer")]
        {
            assert_ne!(key().session(GateSide::Client, hello, answer).make.generate(b"frame"), right);
        }
        let other =
            store_with(Usage::Derivation, Algorithm::Aes, b"another zone key").gate_key("key").unwrap();
        assert_ne!(other.session(GateSide::Client, b"hello", b"answer").make.generate(b"frame"), right);
    }

    #[test]
    fn a_zone_key_derives_and_does_nothing_else() {
        let store = Keystore::in_memory(Lmk::test());
        put(&store, "gate", Usage::Derivation, Algorithm::Aes, Mode::Both, &ZONE);
        put(&store, "mac", Usage::MacCmac, Algorithm::Aes, Mode::Both, &ZONE);
        assert!(matches!(store.mac_key("gate"), Err(KeyError::NotAllowed { .. })));
        assert!(matches!(store.gate_key("mac"), Err(KeyError::NotAllowed { .. })));
        for (algorithm, mode) in [(Algorithm::Tdes, Mode::Both), (Algorithm::Aes, Mode::Encrypt)] {
            let made = store.generate("other", Usage::Derivation, algorithm, mode, Export::N);
            assert!(matches!(made, Err(KeyError::Attributes { .. })), "{algorithm} {mode}");
        }
    }
}
