//! The error codes of host commands, and what each means to whoever asked.

use yika_keystore::BackendError;

/// Two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) [u8; 2]);

impl Code {
    pub(crate) const OK: Code = Code(*b"00");
    /// The value does not hold. Where a key comes in: its parity is not odd, advice only.
    pub(crate) const NOT_VERIFIED: Code = Code(*b"01");
    /// Advice: the PIN verification key is not of single length.
    pub(crate) const PVK_LENGTH: Code = Code(*b"02");
    pub(crate) const INVALID_MODE: Code = Code(*b"04");
    pub(crate) const INVALID_SCHEME: Code = Code(*b"05");
    /// None in user storage.
    pub(crate) const NO_KEYS: Code = Code(*b"12");
    /// The master key is damaged or erased.
    pub(crate) const MASTER_KEY: Code = Code(*b"13");
    pub(crate) const INPUT: Code = Code(*b"15");
    pub(crate) const PIN_BLOCK: Code = Code(*b"20");
    pub(crate) const PIN_FORMAT: Code = Code(*b"23");
    pub(crate) const PIN_LENGTH: Code = Code(*b"24");
    pub(crate) const DECIMAL_TABLE: Code = Code(*b"25");
    pub(crate) const KEY_SCHEME: Code = Code(*b"26");
    pub(crate) const NOT_PERMITTED: Code = Code(*b"29");
    pub(crate) const INTERNAL: Code = Code(*b"41");
    pub(crate) const DISABLED: Code = Code(*b"68");
    pub(crate) const PIN_FORMAT_DISABLED: Code = Code(*b"69");
    pub(crate) const LENGTH: Code = Code(*b"80");
    pub(crate) const KEY_BLOCK: Code = Code(*b"A4");
    pub(crate) const KEY_USE: Code = Code(*b"A6");
    pub(crate) const KEY_ALGORITHM: Code = Code(*b"A7");
    pub(crate) const KEY_MODE: Code = Code(*b"A8");

    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// What a code other than [`Code::OK`] asks of the caller. 01 and 02 mean what the command says they mean and are
    /// looked at before.
    pub(crate) fn error(self, operation: &'static str) -> BackendError {
        let text = self.text();
        let said = |words: &str| format!("the HSM answered {text}: {words}");
        match &self.0 {
            b"10" => BackendError::Key { reason: said("the first key has no odd parity") },
            b"11" => BackendError::Key { reason: said("the second key has no odd parity") },
            b"26" | b"27" | b"28" | b"A5" | b"A9" => {
                BackendError::Key { reason: said("scheme, length or version of a key") }
            }
            b"75" => BackendError::Key { reason: said("a single-length key passes for a double one") },
            b"A4" => BackendError::Key { reason: said("a key block is not authentic under its master key") },
            b"15" => BackendError::Input { field: "input", reason: said("a field is not of its kind") },
            b"20" => BackendError::Input { field: "PIN block", reason: said("no valid values") },
            b"23" => BackendError::Input { field: "PIN format", reason: said("no such format") },
            b"24" => BackendError::Input { field: "PIN length", reason: said("not 4 to 12 digits") },
            b"25" => BackendError::Input { field: "decimalisation table", reason: said("too few digits") },
            b"80" | b"81" => BackendError::Input { field: "length", reason: said("of the data") },
            b"17" => BackendError::Refused { reason: said("it is not in authorised state") },
            b"29" => BackendError::Refused { reason: said("the function is not permitted") },
            b"39" => BackendError::Refused { reason: said("its fraud detection has tripped") },
            b"69" => BackendError::Refused { reason: said("the PIN format, or the pair, is disabled") },
            b"A6" => BackendError::Refused { reason: said("a key of another use") },
            b"A7" => BackendError::Refused { reason: said("a key of another algorithm") },
            b"A8" => BackendError::Refused { reason: said("a key of another mode of use") },
            b"67" => BackendError::NotServed { operation, reason: said("not licensed") },
            b"68" => BackendError::NotServed { operation, reason: said("disabled or unknown") },
            b"12" | b"13" | b"14" | b"40" | b"41" | b"42" | b"47" => {
                BackendError::Unavailable { reason: said("it cannot work, look at its console") }
            }
            _ => BackendError::Protocol { reason: said("a code that this command does not have") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_an_answer_and_none_is_taken_for_success() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let error = Code([first, second]).error("doing");
                assert!(error.to_string().contains("the HSM answered"));
            }
        }
        let kind = |code: &[u8; 2]| std::mem::discriminant(&Code(*code).error("doing"));
        assert_eq!(kind(b"13"), kind(b"41"));
        assert_ne!(kind(b"A4"), kind(b"A6"), "a key that does not open, and one that may not");
        assert!(matches!(Code::DISABLED.error("x"), BackendError::NotServed { .. }));
        assert!(matches!(Code(*b"??").error("x"), BackendError::Protocol { .. }));
    }
}
