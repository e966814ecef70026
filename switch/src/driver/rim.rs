//! The running configuration as sessions, lines and codec need it, with ids in the place of names, and
//! the keys in use. Built from a checked `Config` when the journal has given every name its id.

use crate::config::{Config, GateConfig, LinkConfig, ParticipantConfig, RimBounds, SignInConfig, Terminals};
use crate::core::durable::Durable;
use crate::core::entry::{KeyUse, SignedIn};
use crate::core::ids::{Currency, ListenerNo, Now, ParticipantId};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use yika_codec::{Dialect, Framing, Message};
use yika_keystore::{Algorithm, GateKey, KeyError, KeyRef, Keystore, LmkBlock, MacKey, PinKey, Usage};

pub struct Rim {
    pub listeners: Vec<ListenerRim>,
    pub lines: Vec<LineRim>,
    pub bounds: RimBounds,
    /// F32 of what we send.
    pub institution: String,
    pub zone_minutes: i32,
}

/// One listener; its `ListenerNo` is its place.
pub struct ListenerRim {
    pub address: SocketAddr,
    pub participant: ParticipantId,
    pub dialect: Arc<Dialect>,
    pub framing: Framing,
    pub currency: Currency,
    pub sign_on_required: bool,
    /// Those that may pay here; None: all.
    pub terminals: Option<Arc<Terminals>>,
    /// Sign-ins give terminals their working keys.
    pub sign_in: Option<SignInConfig>,
    /// The gateway protocol is spoken here.
    pub gate: Option<GateConfig>,
}

/// One connection that we hold to a participant; its `LineId` is its place.
#[derive(Clone)]
pub struct LineRim {
    pub participant: ParticipantId,
    pub name: String,
    pub address: SocketAddr,
    pub link: LinkConfig,
    /// A pseudo-listener: the codes and dialect for requests that arrive on the line.
    pub listener: ListenerNo,
}

impl Rim {
    pub fn new(config: &Config, ids: &BTreeMap<String, ParticipantId>) -> Rim {
        let id = |name: &str| ids.get(name).copied().unwrap_or_default();
        let listeners: Vec<ListenerRim> = config
            .listeners
            .iter()
            .map(|listener| ListenerRim {
                address: listener.address,
                participant: id(&listener.participant),
                dialect: listener.dialect.clone(),
                framing: listener.framing,
                currency: Currency(listener.currency),
                sign_on_required: listener.sign_on_required,
                terminals: listener.terminals.clone(),
                sign_in: listener.sign_in.clone(),
                gate: listener.gate,
            })
            .collect();
        let mut lines = Vec::new();
        for participant in &config.participants {
            let Some(link) = &participant.link else { continue };
            for address in &link.connect {
                for _ in 0..link.lines {
                    lines.push(LineRim {
                        participant: id(&participant.name),
                        name: participant.name.clone(),
                        address: *address,
                        link: link.clone(),
                        listener: ListenerNo(u16::MAX),
                    });
                }
            }
        }
        Rim {
            listeners,
            lines,
            bounds: config.rim,
            institution: config.institution.clone(),
            zone_minutes: config.zone_minutes,
        }
    }

    pub fn listener(&self, no: ListenerNo) -> Option<&ListenerRim> {
        self.listeners.get(usize::from(no.0))
    }
}

/// A key in use and the one before it, while the two overlap (rule 15).
pub struct Epochs<K> {
    pub current: K,
    /// Number of the current key: 0 for the configured one, then as journalled.
    pub epoch: u32,
    pub previous: Option<Previous<K>>,
    /// Offered to the participant, which has not said yet whether it took it.
    pub offered: Option<K>,
}

/// The key before the current one.
pub struct Previous<K> {
    pub key: K,
    pub epoch: u32,
    /// Good until this moment of the monotonic clock.
    pub until_us: u64,
}

impl<K> Epochs<K> {
    /// The key before the current one, while it is good.
    pub fn before(&self, now_us: u64) -> Option<&Previous<K>> {
        self.previous.as_ref().filter(|previous| now_us < previous.until_us)
    }

    fn close_previous(&mut self, until_us: u64) {
        if let Some(previous) = &mut self.previous {
            previous.until_us = previous.until_us.min(until_us);
        }
    }

    /// The key for an answer: that of the epoch its request verified under, while the two overlap.
    pub fn for_answer(&self, epoch: Option<u32>, now_us: u64) -> &K {
        if let Some(offered) = self.offered.as_ref().filter(|_| epoch == Some(self.epoch + 1)) {
            return offered;
        }
        let before = self.before(now_us).filter(|previous| Some(previous.epoch) == epoch);
        before.map_or(&self.current, |previous| &previous.key)
    }
}

#[derive(Default)]
pub struct ParticipantKeys {
    pub mac: Option<Epochs<MacKey>>,
    pub pin: Option<Epochs<PinKey>>,
    /// Its PIN key, where an HSM holds that.
    pub pin_at_hsm: Option<KeyRef>,
    /// Of a terminal: nothing has come yet under the keys of its last sign-in.
    pub unused: bool,
    /// Zone keys of its gateways.
    pub gates: Vec<GateKey>,
    /// Name of the key under which its new working keys come.
    pub kek: Option<String>,
    /// How old its keys become before it is offered others.
    pub change_every: Option<Duration>,
    /// What its configured keys are; a new one must be the same.
    mac_as: Option<(Usage, Algorithm)>,
    pin_as: Option<(Usage, Algorithm)>,
}

impl ParticipantKeys {
    /// What the key in use is; None where there is none.
    pub fn in_use(&self, usage: KeyUse) -> Option<(Usage, Algorithm)> {
        match usage {
            KeyUse::Mac => self.mac_as.filter(|_| self.mac.is_some()),
            KeyUse::Pin => self.pin_as.filter(|_| self.pin.is_some()),
        }
    }

    /// What a new working key must be. Without a configured one, the form it travels in decides: a bare
    /// cryptogram can only be TDES.
    pub fn expected(&self, usage: KeyUse, as_block: bool) -> (Usage, Algorithm) {
        match (usage, as_block) {
            (KeyUse::Pin, _) => self.pin_as.unwrap_or((Usage::Pin, Algorithm::Tdes)),
            (KeyUse::Mac, true) => self.mac_as.unwrap_or((Usage::MacCmac, Algorithm::Aes)),
            (KeyUse::Mac, false) => self.mac_as.unwrap_or((Usage::MacRetail, Algorithm::Tdes)),
        }
    }
}

/// Refuses a PIN key whose blocks no F52 of the participant could hold: every PIN would be declined.
///
/// # Errors
/// What the key is, and what it should be.
pub fn check_pin_key(
    store: &Keystore,
    config: &Config,
    participant: &ParticipantConfig,
    name: &str,
) -> Result<(), KeyError> {
    let Some(info) = store.info(name) else { return Ok(()) };
    let Some(needs) = config.pin_key_misfit(participant, info.algorithm) else { return Ok(()) };
    let has = format!("an {} key, and pin_key of \"{}\"", info.algorithm, participant.name);
    Err(KeyError::NotAllowed { name: name.to_owned(), operation: "make PIN blocks for F52", has, needs })
}

/// How long the key before the current one is still accepted.
const OVERLAP_MS: u64 = 60_000;

/// Keys by `ParticipantId`.
pub struct Keys {
    store: Arc<Keystore>,
    held: BTreeMap<ParticipantId, ParticipantKeys>,
    /// Of terminals that signed in where that gives keys.
    terminals: HashMap<(ParticipantId, [u8; 8]), ParticipantKeys>,
}

impl Keys {
    /// Opens what the configuration names; working keys that the journal holds take their place, and the one
    /// that each replaced stays good for what is left of their overlap.
    ///
    /// # Errors
    /// When a named key is missing, or may not be used so.
    pub fn open(
        store: Arc<Keystore>,
        config: &Config,
        ids: &BTreeMap<String, ParticipantId>,
        durable: &Durable,
        now: Now,
    ) -> Result<Keys, KeyError> {
        let mut keys = Keys { store: store.clone(), held: BTreeMap::new(), terminals: HashMap::new() };
        for (at, held) in &durable.terminal_keys {
            for (usage, block) in held.before.iter().chain(&held.keys) {
                keys.turn_terminal(*at, *usage, block)?;
            }
            if let Some(terminal) = keys.terminals.get_mut(at) {
                terminal.unused = !held.used;
            }
        }
        for participant in &config.participants {
            let Some(id) = ids.get(&participant.name) else { continue };
            let (kek, change_every) = (participant.kek.clone(), participant.key_change);
            let mut held = ParticipantKeys { kek, change_every, ..ParticipantKeys::default() };
            let kind = |name: &str| store.info(name).map(|info| (info.usage, info.algorithm));
            if let Some(name) = &participant.mac_key {
                held.mac =
                    Some(Epochs { current: store.mac_key(name)?, epoch: 0, previous: None, offered: None });
                held.mac_as = kind(name);
            }
            let at_hsm = |name: &str| config.hsm_keys.iter().find(|key| key.name == name);
            if let Some(key) = participant.pin_key.as_deref().and_then(at_hsm) {
                held.pin_at_hsm = KeyRef::new(&key.block).ok();
            } else if let Some(name) = &participant.pin_key {
                held.pin =
                    Some(Epochs { current: store.pin_key(name)?, epoch: 0, previous: None, offered: None });
                held.pin_as = kind(name);
                check_pin_key(&store, config, participant, name)?;
            }
            for name in &participant.gate_keys {
                held.gates.push(store.gate_key(name)?);
            }
            keys.held.insert(*id, held);
            let Some(state) = durable.participants.get(id) else { continue };
            for (usage, held) in &state.keys {
                let left_ms = held.since_ms.saturating_add(OVERLAP_MS).saturating_sub(now.wall_ms);
                let until_us = now.mono_us + left_ms.min(OVERLAP_MS) * 1000;
                if let Some(before) = &held.before {
                    keys.turn(*id, *usage, held.epoch.saturating_sub(1), before, 0)?;
                }
                keys.turn(*id, *usage, held.epoch, &held.block, until_us)?;
            }
        }
        Ok(keys)
    }

    pub fn of(&self, participant: ParticipantId) -> Option<&ParticipantKeys> {
        self.held.get(&participant)
    }

    /// The keys of whoever sent this message: the terminal's own where sign-ins give some, else the acquirer's.
    pub fn at(&self, listener: &ListenerRim, message: &Message<'_>) -> Option<&ParticipantKeys> {
        if listener.sign_in.is_none() {
            return self.of(listener.participant);
        }
        self.terminals.get(&(listener.participant, terminal_of(message)?))
    }

    /// The keys of a sign-in. Those before stay good until the terminal uses these.
    ///
    /// # Errors
    /// When a block is not one of ours.
    pub fn signed_in(&mut self, signed_in: &SignedIn) -> Result<(), KeyError> {
        let at = (signed_in.acquirer, signed_in.terminal);
        signed_in.keys.iter().try_for_each(|(usage, block)| self.turn_terminal(at, *usage, block))
    }

    /// A terminal uses its newest keys: those before are good for a while more.
    pub fn terminal_uses(&mut self, acquirer: ParticipantId, terminal: [u8; 8], now_us: u64) {
        let Some(held) = self.terminals.get_mut(&(acquirer, terminal)) else { return };
        let until_us = now_us + OVERLAP_MS * 1000;
        held.unused = false;
        held.mac.iter_mut().for_each(|epochs| epochs.close_previous(until_us));
        held.pin.iter_mut().for_each(|epochs| epochs.close_previous(until_us));
    }

    fn turn_terminal(
        &mut self,
        at: (ParticipantId, [u8; 8]),
        usage: KeyUse,
        block: &str,
    ) -> Result<(), KeyError> {
        let block = LmkBlock::try_from(block.to_owned())
            .map_err(|source| KeyError::Block { what: "working key of a terminal".to_owned(), source })?;
        let held = self.terminals.entry(at).or_default();
        held.unused = true;
        match usage {
            KeyUse::Mac => turn_unused(&mut held.mac, self.store.mac_key_from_block(&block)?),
            KeyUse::Pin => turn_unused(&mut held.pin, self.store.pin_key_from_block(&block)?),
        }
        Ok(())
    }

    pub fn all(&self) -> impl Iterator<Item = (&ParticipantId, &ParticipantKeys)> {
        self.held.iter()
    }

    pub fn store(&self) -> &Arc<Keystore> {
        &self.store
    }

    /// A key that is offered: what comes under it counts, and says that it was taken.
    ///
    /// # Errors
    /// When the block is not one of ours, or there is no key that it could follow.
    pub fn offer(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        block: &LmkBlock,
    ) -> Result<(), KeyError> {
        let held = self.held.entry(participant).or_default();
        match usage {
            KeyUse::Mac => {
                let fresh = self.store.mac_key_from_block(block)?;
                if let Some(epochs) = &mut held.mac {
                    epochs.offered = Some(fresh);
                }
            }
            KeyUse::Pin => {
                let fresh = self.store.pin_key_from_block(block)?;
                if let Some(epochs) = &mut held.pin {
                    epochs.offered = Some(fresh);
                }
            }
        }
        Ok(())
    }

    /// The offer of a key is over.
    pub fn withdraw(&mut self, participant: ParticipantId, usage: KeyUse) {
        let Some(held) = self.held.get_mut(&participant) else { return };
        match usage {
            KeyUse::Mac => held.mac.iter_mut().for_each(|epochs| epochs.offered = None),
            KeyUse::Pin => held.pin.iter_mut().for_each(|epochs| epochs.offered = None),
        }
    }

    /// Puts a working key into use; the old one stays good for answers for a while.
    ///
    /// # Errors
    /// When the block is not one of ours.
    pub fn change(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: &str,
        now_us: u64,
    ) -> Result<(), KeyError> {
        self.turn(participant, usage, epoch, block, now_us + OVERLAP_MS * 1000)
    }

    fn turn(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: &str,
        until_us: u64,
    ) -> Result<(), KeyError> {
        let block = LmkBlock::try_from(block.to_owned()).map_err(|source| KeyError::Block {
            what: format!("working key of participant {participant}"),
            source,
        })?;
        let held = self.held.entry(participant).or_default();
        match usage {
            KeyUse::Mac => {
                let fresh = self.store.mac_key_from_block(&block)?;
                turn(&mut held.mac, fresh, epoch, until_us, MacKey::check_value);
            }
            KeyUse::Pin => {
                let fresh = self.store.pin_key_from_block(&block)?;
                turn(&mut held.pin, fresh, epoch, until_us, PinKey::check_value);
            }
        }
        Ok(())
    }
}

/// A key that its terminal may never come to use: the one that it used last stays, for as long as it takes.
fn turn_unused<K>(slot: &mut Option<Epochs<K>>, fresh: K) {
    let epoch = slot.as_ref().map_or(0, |held| held.epoch + 1);
    let previous = slot.take().map(|held| match held.previous {
        Some(used) if used.until_us == u64::MAX => used,
        _ => Previous { key: held.current, epoch: held.epoch, until_us: u64::MAX },
    });
    *slot = Some(Epochs { current: fresh, epoch, previous, offered: None });
}

/// F41 of a message, space padded.
pub fn terminal_of(message: &Message<'_>) -> Option<[u8; 8]> {
    message.digits::<8>(41)
}

/// The same key under another number pushes nothing out.
fn turn<K>(
    slot: &mut Option<Epochs<K>>,
    fresh: K,
    epoch: u32,
    until_us: u64,
    check_value: fn(&K) -> [u8; 3],
) {
    let (previous, offered) = match slot.take() {
        Some(held) if check_value(&held.current) == check_value(&fresh) => (held.previous, held.offered),
        Some(held) => (Some(Previous { key: held.current, epoch: held.epoch, until_us }), held.offered),
        None => (None, None),
    };
    *slot = Some(Epochs { current: fresh, epoch, previous, offered });
}
