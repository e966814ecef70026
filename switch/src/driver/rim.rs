//! The running configuration as sessions, lines and codec need it, with ids in the place of names, and
//! the keys in use. Built from a checked `Config` when the journal has given every name its id.

use crate::config::{Config, LinkConfig, RimBounds};
use crate::core::durable::Durable;
use crate::core::entry::KeyUse;
use crate::core::ids::{Currency, ListenerNo, ParticipantId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use yika_codec::{Dialect, Framing};
use yika_keystore::{KeyError, Keystore, LmkBlock, MacKey, PinKey};

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
    pub previous: Option<(K, u64)>,
}

#[derive(Default)]
pub struct ParticipantKeys {
    pub mac: Option<Epochs<MacKey>>,
    pub pin: Option<Epochs<PinKey>>,
    /// Name of the key under which its new working keys come.
    pub kek: Option<String>,
}

/// How long the key before the current one is still accepted.
const OVERLAP_US: u64 = 60_000_000;

/// Keys by `ParticipantId`.
pub struct Keys {
    store: Arc<Keystore>,
    held: BTreeMap<ParticipantId, ParticipantKeys>,
}

impl Keys {
    /// Opens what the configuration names; working keys that the journal holds take their place.
    ///
    /// # Errors
    /// When a named key is missing, or may not be used so.
    pub fn open(
        store: Arc<Keystore>,
        config: &Config,
        ids: &BTreeMap<String, ParticipantId>,
        durable: &Durable,
    ) -> Result<Keys, KeyError> {
        let mut keys = Keys { store: store.clone(), held: BTreeMap::new() };
        for participant in &config.participants {
            let Some(id) = ids.get(&participant.name) else { continue };
            let mut held = ParticipantKeys { kek: participant.kek.clone(), ..ParticipantKeys::default() };
            if let Some(name) = &participant.mac_key {
                held.mac = Some(Epochs { current: store.mac_key(name)?, previous: None });
            }
            if let Some(name) = &participant.pin_key {
                held.pin = Some(Epochs { current: store.pin_key(name)?, previous: None });
            }
            keys.held.insert(*id, held);
            let Some(state) = durable.participants.get(id) else { continue };
            for (usage, epoch) in &state.keys {
                keys.change(*id, *usage, &epoch.block, 0)?;
            }
        }
        Ok(keys)
    }

    pub fn of(&self, participant: ParticipantId) -> Option<&ParticipantKeys> {
        self.held.get(&participant)
    }

    pub fn store(&self) -> &Arc<Keystore> {
        &self.store
    }

    /// Puts a working key into use; the old one stays good for answers for a while.
    ///
    /// # Errors
    /// When the block is not one of ours.
    pub fn change(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        block: &str,
        now_us: u64,
    ) -> Result<(), KeyError> {
        let block = LmkBlock::try_from(block.to_owned()).map_err(|source| KeyError::Block {
            what: format!("working key of participant {participant}"),
            source,
        })?;
        let held = self.held.entry(participant).or_default();
        match usage {
            KeyUse::Mac => turn(&mut held.mac, self.store.mac_key_from_block(&block)?, now_us),
            KeyUse::Pin => turn(&mut held.pin, self.store.pin_key_from_block(&block)?, now_us),
        }
        Ok(())
    }
}

fn turn<K>(slot: &mut Option<Epochs<K>>, fresh: K, now_us: u64) {
    let previous = slot.take().map(|epochs| (epochs.current, now_us + OVERLAP_US));
    *slot = Some(Epochs { current: fresh, previous });
}
