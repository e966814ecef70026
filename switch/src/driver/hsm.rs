//! PINs whose keys an HSM holds: they go there and come back before their request is written. Meanwhile the request is
//! neither written nor not: the core hears of it when it is one of the two (rules 8 and 9). No clear PIN is ever here.

use super::{Driver, Output};
use crate::core::effect::{Body, Event, Send, Unsent};
use crate::core::ids::Now;
use std::collections::BTreeMap;
use std::fmt;
use yika_codec::Message;
use yika_keystore::{EncryptedPin, KeyRef, PinFormat};
use zeroize::Zeroizing;

/// Requests that wait for their PIN: each a leg in flight.
#[derive(Default)]
pub(super) struct AtHsm {
    waiting: BTreeMap<u64, Box<Send>>,
    next: u64,
}

/// A PIN to be moved from one key of the HSM to another.
pub struct PinJob {
    pub ticket: u64,
    pub from: KeyRef,
    pub to: KeyRef,
    pub format: PinFormat,
    pub pan: Zeroizing<Vec<u8>>,
    pub block: EncryptedPin,
}

impl fmt::Debug for PinJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinJob({}, {:?})", self.ticket, self.format)
    }
}

/// Why a PIN did not come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinLost {
    /// The HSM will not move it: no PIN block, or not these keys.
    Refused,
    /// The HSM did not answer, or too many wait for it.
    NoHsm,
}

/// Counts of what the HSM was asked.
#[derive(Clone, Copy, Default, Debug)]
pub struct HsmCounts {
    pub asked: u64,
    pub refused: u64,
    pub lost: u64,
}

impl Driver {
    /// Sends the PIN of a request to the HSM where both of its keys are there; gives the request back where not.
    pub(super) fn ask_hsm(&mut self, send: Box<Send>) -> Option<Box<Send>> {
        let Some(mut job) = self.job_of(&send) else { return Some(send) };
        self.at_hsm.next += 1;
        job.ticket = self.at_hsm.next;
        self.at_hsm.waiting.insert(job.ticket, send);
        self.counts.hsm.asked += 1;
        self.outputs.push(Output::TranslatePin(Box::new(job)));
        None
    }

    fn job_of(&self, send: &Send) -> Option<PinJob> {
        let Body::Live(msg) = send.body else { return None };
        let to = self.keys.of(send.participant)?.pin_at_hsm.clone()?;
        let message = self.messages.view(msg).filter(|message| message.has(52))?;
        let listener = self.rim.listener(self.messages.listener(msg)?)?;
        let from = self.keys.at(listener, &message)?.pin_at_hsm.clone()?;
        let (block, pan) = pin_of(&message)?;
        let format = if block.as_bytes().len() == 16 { PinFormat::Iso4 } else { PinFormat::Iso0 };
        Some(PinJob { ticket: 0, from, to, format, pan, block })
    }

    /// A PIN came back, or will not.
    pub fn pin_translated(&mut self, ticket: u64, pin: Result<EncryptedPin, PinLost>, now: Now) {
        let Some(send) = self.at_hsm.waiting.remove(&ticket) else { return };
        let done = match pin {
            Ok(pin) => self.try_send(now, &send, Some(pin)),
            Err(PinLost::Refused) => {
                self.counts.hsm.refused += 1;
                Err(Unsent::Pin)
            }
            Err(PinLost::NoHsm) => {
                self.counts.hsm.lost += 1;
                Err(Unsent::NoHsm)
            }
        };
        if let Err(why) = done {
            self.answers.push_back(Event::NotSent(send.of, why));
        }
    }
}

/// F52 and the card number that it belongs to.
fn pin_of(message: &Message<'_>) -> Option<(EncryptedPin, Zeroizing<Vec<u8>>)> {
    let mut block = Zeroizing::new([0; 16]);
    let len = message.text(52, block.as_mut_slice())?;
    let pin = EncryptedPin::from_bytes(&block[..len]).ok()?;
    Some((pin, Zeroizing::new(message.pan()?.digits().to_vec())))
}
