//! Live messages: the requests whose answer has not left yet. A byte-bounded slab of generation-tagged
//! slots; each is wiped when its answer has left, so that PIN and track live no longer than that (P10).

use crate::core::ids::{ListenerNo, MsgHandle};
use std::sync::Arc;
use yika_codec::{DecodeError, Dialect, Layout, Message};
use zeroize::Zeroize;

pub struct Messages {
    slots: Vec<Slot>,
    free: Vec<u32>,
    bytes: usize,
    bytes_max: usize,
}

struct Slot {
    generation: u32,
    held: bool,
    dialect: Option<Arc<Dialect>>,
    listener: ListenerNo,
    arrived_us: u64,
    proof: Proof,
    bytes: Vec<u8>,
    layout: Layout,
}

/// What the answer to a message must know of its arrival.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Number of the MAC key it verified under; None when it had no MAC.
    pub epoch: Option<u32>,
    /// On a line: which of its connections it came on.
    pub attempt: u32,
}

/// What every slot costs besides its bytes.
const SLOT_BYTES: usize = size_of::<Slot>();
/// A wiped buffer larger than this is given back.
const KEPT_BYTES: usize = 4096;

/// Why a message is not in the slab.
pub enum NotHeld {
    /// The bound is reached: nothing can be remembered of the request, so nothing is said; a repeat is a new attempt.
    Full,
    Undecodable(DecodeError),
}

impl Messages {
    pub fn new(bytes_max: usize) -> Self {
        Messages { slots: Vec::new(), free: Vec::new(), bytes: 0, bytes_max }
    }

    /// Copies a payload in and decodes it in place.
    ///
    /// # Errors
    /// `NotHeld`; nothing stays in the slab then.
    pub fn hold(
        &mut self,
        dialect: &Arc<Dialect>,
        listener: ListenerNo,
        arrived_us: u64,
        payload: &[u8],
    ) -> Result<MsgHandle, NotHeld> {
        if self.bytes + SLOT_BYTES + payload.len() > self.bytes_max {
            return Err(NotHeld::Full);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                held: false,
                dialect: None,
                listener,
                arrived_us: 0,
                proof: Proof::default(),
                bytes: Vec::new(),
                layout: Layout::default(),
            });
            (self.slots.len() - 1) as u32
        });
        let held = &mut self.slots[slot as usize];
        held.bytes.clear();
        held.bytes.extend_from_slice(payload);
        if let Err(error) = dialect.decode(&held.bytes, &mut held.layout) {
            held.bytes.zeroize();
            self.free.push(slot);
            return Err(NotHeld::Undecodable(error));
        }
        held.held = true;
        held.listener = listener;
        held.arrived_us = arrived_us;
        held.proof = Proof::default();
        if held.dialect.as_ref().is_none_or(|own| !Arc::ptr_eq(own, dialect)) {
            held.dialect = Some(dialect.clone());
        }
        self.bytes += SLOT_BYTES + held.bytes.len();
        Ok(MsgHandle { slot, generation: held.generation })
    }

    pub fn view(&self, handle: MsgHandle) -> Option<Message<'_>> {
        let slot = self.slot(handle)?;
        Some(slot.dialect.as_ref()?.message(&slot.bytes, &slot.layout))
    }

    pub fn listener(&self, handle: MsgHandle) -> Option<ListenerNo> {
        Some(self.slot(handle)?.listener)
    }

    pub fn arrived_us(&self, handle: MsgHandle) -> Option<u64> {
        Some(self.slot(handle)?.arrived_us)
    }

    /// Notes how a message proved itself; the answer to it depends on that.
    pub fn note(&mut self, handle: MsgHandle, proof: Proof) {
        if self.slot(handle).is_some() {
            self.slots[handle.slot as usize].proof = proof;
        }
    }

    pub fn proof(&self, handle: MsgHandle) -> Option<Proof> {
        Some(self.slot(handle)?.proof)
    }

    /// Wipes the message; the handle is good for nothing afterwards.
    pub fn forget(&mut self, handle: MsgHandle) {
        if self.slot(handle).is_none() {
            return;
        }
        let slot = &mut self.slots[handle.slot as usize];
        self.bytes -= SLOT_BYTES + slot.bytes.len();
        slot.bytes.zeroize();
        if slot.bytes.capacity() > KEPT_BYTES {
            slot.bytes = Vec::new();
        }
        slot.generation = slot.generation.wrapping_add(1);
        slot.held = false;
        self.free.push(handle.slot);
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn slot(&self, handle: MsgHandle) -> Option<&Slot> {
        self.slots.get(handle.slot as usize).filter(|slot| slot.held && slot.generation == handle.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &[u8] = b"02007238000008C0800016411111111111111100000000000001000006151230451234561230450615412345678901TERM0001MERCHANT0000001840";

    #[test]
    fn a_wiped_slot_is_reused_under_another_generation() {
        let dialect = Dialect::builtin("iso87-ascii").unwrap();
        let mut messages = Messages::new(1 << 20);
        let Ok(first) = messages.hold(&dialect, ListenerNo(0), 1, REFERENCE) else { panic!("held") };
        assert_eq!(messages.view(first).unwrap().number(11), Some(123_456));
        messages.forget(first);
        messages.forget(first);
        let Ok(second) = messages.hold(&dialect, ListenerNo(0), 2, REFERENCE) else { panic!("held") };
        assert_eq!(first.slot, second.slot);
        assert!(messages.view(first).is_none());
        assert!(messages.view(second).is_some());
        assert_eq!(messages.count(), 1);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let dialect = Dialect::builtin("iso87-ascii").unwrap();
        let mut messages = Messages::new(3 * (SLOT_BYTES + REFERENCE.len()));
        let hold = |messages: &mut Messages| messages.hold(&dialect, ListenerNo(0), 0, REFERENCE).ok();
        let held: Vec<_> = (0..5).map(|_| hold(&mut messages)).collect();
        assert_eq!(held.iter().flatten().count(), 3);
        assert!(messages.hold(&dialect, ListenerNo(0), 0, b"garbage").is_err());
        for handle in held.into_iter().flatten() {
            messages.forget(handle);
        }
        assert_eq!(messages.bytes(), 0);
    }
}
