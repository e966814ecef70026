//! A simulator of a payShield: the same commands and layouts, with the keystore of this process behind them.
//!
//! It holds no production keys and protects none: whoever reaches its socket can use every key that a command brings. It
//! answers whatever it is sent, never with a panic and never by closing; what it does not serve is answered by code 68,
//! what it cannot read by code 15. Keys are key blocks (`S`); those under a variant master key (`U`, `T`) get code 26.

mod cards;
mod keys;
mod macs;
mod pins;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use yika_keystore::{
    Backend as _, BackendError, KeyRef, Keystore, LmkBlock, Operation, Outcome, SoftBackend,
};

pub use server::{Server, ServerError, serve};

use crate::code::Code;
use crate::command::pin_block_bytes;
use crate::fields::{Fields, Malformed, hex};
use crate::frame::{self, FRAME_BYTES_MAX, Message};

/// As shaped by Thales, four and four.
const FIRMWARE: &[u8; 9] = b"YIKA-0001";

/// How the simulator behaves.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Bytes of the header, 0 to 255.
    pub header_bytes: usize,
    /// Each answer comes so much later.
    pub delay: Duration,
    /// Every so manieth command is answered by code 41; 0 for none.
    pub fail_every: u64,
    /// Every so manieth command gets no answer; 0 for none.
    pub drop_every: u64,
    /// Longer frames are answered by code 80.
    pub frame_bytes_max: usize,
    /// More connections are closed at once.
    pub connections_max: usize,
}

impl Default for SimulatorConfig {
    fn default() -> SimulatorConfig {
        SimulatorConfig {
            header_bytes: 4,
            delay: Duration::ZERO,
            fail_every: 0,
            drop_every: 0,
            frame_bytes_max: FRAME_BYTES_MAX,
            connections_max: 64,
        }
    }
}

/// Answers commands. Shared by its connections.
pub struct Simulator {
    store: Arc<Keystore>,
    backend: SoftBackend,
    config: SimulatorConfig,
}

impl Simulator {
    /// Over the master key of `store`; nothing is stored there.
    #[must_use]
    pub fn new(store: Arc<Keystore>, config: SimulatorConfig) -> Simulator {
        Simulator { backend: SoftBackend::new(store.clone()), store, config }
    }

    /// The reply to a frame, both without their lengths. One that has no room for a header and a code is answered by `ZZ`
    /// and code 15 behind a header of zeros.
    #[must_use]
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        let header_bytes = self.config.header_bytes;
        let Ok(message) = Message::parse(request, header_bytes) else {
            let mut header = vec![b'0'; header_bytes];
            header.iter_mut().zip(request).for_each(|(byte, sent)| *byte = *sent);
            return reply(&header, *b"ZZ", Code::INPUT, &[], &[]);
        };
        let mut fields = Fields::new(message.body);
        let code = frame::reply_code(message.code);
        match self.work(message.code, &mut fields) {
            Ok(body) => match fields.end() {
                Ok(trailer) => reply(message.header, code, Code::OK, &body, trailer),
                Err(Malformed) => reply(message.header, code, Code::INPUT, &[], &[]),
            },
            Err(refused) => reply(message.header, code, refused, &[], fields.end().unwrap_or_default()),
        }
    }

    /// The reply to the `number`th command, as the configured faults let it be; nothing when it is to get none.
    pub(crate) fn reply_to(&self, request: &[u8], number: u64) -> Option<Vec<u8>> {
        let falls = |every: u64| every > 0 && number.is_multiple_of(every);
        if falls(self.config.drop_every) {
            return None;
        }
        match Message::parse(request, self.config.header_bytes) {
            Ok(message) if falls(self.config.fail_every) => {
                Some(reply(message.header, frame::reply_code(message.code), Code::INTERNAL, &[], &[]))
            }
            _ => Some(self.answer(request)),
        }
    }

    /// The reply to a frame that was too long to be taken, of which this is the beginning.
    pub(crate) fn answer_long(&self, beginning: &[u8]) -> Vec<u8> {
        match Message::parse(beginning, self.config.header_bytes) {
            Ok(message) => reply(message.header, frame::reply_code(message.code), Code::LENGTH, &[], &[]),
            Err(_) => self.answer(beginning),
        }
    }

    fn work(&self, code: [u8; 2], fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
        match &code {
            b"NC" => Ok(self.diagnostics()),
            b"NO" => status(fields),
            b"B2" => {
                let bytes = fields.hex_number(4)?;
                Ok(fields.take(bytes)?.to_vec())
            }
            b"N0" => {
                let bytes = fields.number(3)?;
                match self.one(&Operation::Random { bytes })? {
                    Outcome::Random(random) => Ok(random.to_vec()),
                    _ => Err(Code::INTERNAL),
                }
            }
            b"A0" => self.generate(fields),
            b"A4" => self.form(fields),
            b"A6" => self.import(fields),
            b"A8" => self.export(fields),
            b"BU" => self.check_value(fields),
            b"CA" | b"CC" => self.translate_zone(fields),
            b"CI" | b"G0" => self.translate_terminal(fields),
            b"DA" | b"EA" => self.verify_ibm(fields, false),
            b"GO" => self.verify_ibm(fields, true),
            b"DC" | b"EC" => self.verify_pvv(fields, false),
            b"GQ" => self.verify_pvv(fields, true),
            b"M6" => self.make_mac(fields),
            b"M8" => self.check_mac(fields),
            b"GW" => self.check_terminal_mac(fields),
            b"CW" => self.make_cvv(fields),
            b"CY" => self.check_cvv(fields),
            b"KQ" => self.arqc_static(fields),
            b"KW" => self.arqc_common(fields),
            _ => Err(Code::DISABLED),
        }
    }

    /// Check value of the master key, of which six digits are shown, and the firmware.
    fn diagnostics(&self) -> Vec<u8> {
        format!("{}0000000000", hex(&self.store.lmk_check_value()))
            .into_bytes()
            .into_iter()
            .chain(*FIRMWARE)
            .collect()
    }

    fn one(&self, operation: &Operation<'_>) -> Result<Outcome, Code> {
        let mut answers = self.backend.submit(std::slice::from_ref(operation));
        answers
            .pop()
            .unwrap_or(Err(BackendError::Unavailable { reason: String::new() }))
            .map_err(|e| code_of(&e))
    }

    /// As [`Simulator::one`], with a finer word for a key that may not do this: its use, its mode or its algorithm.
    fn one_with(&self, operation: &Operation<'_>, keys: &[(&Key, &[&str])]) -> Result<Outcome, Code> {
        self.one(operation).map_err(|code| {
            let other_use = keys.iter().any(|(key, uses)| !uses.contains(&key.usage()));
            if code == Code::KEY_MODE && other_use { Code::KEY_USE } else { code }
        })
    }

    /// An operation that verifies.
    fn verified(&self, operation: &Operation<'_>, keys: &[(&Key, &[&str])]) -> Result<Vec<u8>, Code> {
        match self.one_with(operation, keys)? {
            Outcome::Verified(true) => Ok(Vec::new()),
            Outcome::Verified(false) => Err(Code::NOT_VERIFIED),
            _ => Err(Code::INTERNAL),
        }
    }
}

/// A key that a command brought: a block under the master key.
struct Key {
    block: String,
    reference: KeyRef,
}

impl Key {
    /// `S` and a key block. `U` and `T`, keys under a variant master key, are another scheme.
    fn read(fields: &mut Fields<'_>) -> Result<Key, Code> {
        match fields.letter()? {
            b'S' => {
                let block = fields.key_block()?.to_owned();
                let reference = KeyRef::new(&block).map_err(|_| Code::INPUT)?;
                Ok(Key { block, reference })
            }
            _ => Err(Code::KEY_SCHEME),
        }
    }

    fn usage(&self) -> &str {
        self.block.get(5..7).unwrap_or_default()
    }

    fn algorithm(&self) -> u8 {
        self.block.as_bytes().get(7).copied().unwrap_or_default()
    }

    fn pin_block_bytes(&self) -> usize {
        pin_block_bytes(self.algorithm())
    }

    fn lmk_block(&self) -> Result<LmkBlock, Code> {
        LmkBlock::try_from(self.block.clone()).map_err(|_| Code::KEY_BLOCK)
    }
}

impl From<Malformed> for Code {
    fn from(_: Malformed) -> Code {
        Code::INPUT
    }
}

/// `00`: buffers of 32 KiB, TCP, 64 sockets, firmware.
fn status(fields: &mut Fields<'_>) -> Result<Vec<u8>, Code> {
    match &fields.array()? {
        b"00" => Ok([&b"3164"[..], FIRMWARE, b"00000"].concat()),
        _ => Err(Code::NOT_PERMITTED),
    }
}

/// What the keystore said, as a payShield says it.
fn code_of(error: &BackendError) -> Code {
    match error {
        BackendError::Key { .. } => Code::KEY_BLOCK,
        BackendError::Refused { reason } if reason.contains("3-3") => Code::PIN_FORMAT_DISABLED,
        BackendError::Refused { reason } if reason.contains("format") => Code::KEY_ALGORITHM,
        BackendError::Refused { .. } => Code::KEY_MODE,
        BackendError::Input { field: "PIN block", .. } => Code::PIN_BLOCK,
        BackendError::Input { field: "PIN length", .. } => Code::PIN_LENGTH,
        BackendError::Input { field: "decimalisation table", .. } => Code::DECIMAL_TABLE,
        BackendError::Input { .. } => Code::INPUT,
        BackendError::NotServed { .. } => Code::DISABLED,
        BackendError::Unavailable { .. }
        | BackendError::Overloaded { .. }
        | BackendError::Protocol { .. } => Code::INTERNAL,
    }
}

fn reply(header: &[u8], code: [u8; 2], error: Code, body: &[u8], trailer: &[u8]) -> Vec<u8> {
    [header, &code, &error.0, body, trailer].concat()
}
