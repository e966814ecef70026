//! Working keys on their way over the lines: those that participants send are unwrapped and checked here, once, before the
//! core hears of them; those that we offer are wrapped and sent, and sent again until they are answered. A repeat is
//! the same message, so that whoever got the first one knows it. Clear keys stay in the keystore.

use super::line::LineState;
use super::messages::Proof;
use super::rim::{LineRim, ParticipantKeys};
use super::wire::{KeyChange, Towards, sent_at, write_key_change};
use super::{Driver, Output};
use crate::core::effect::{Alarm, Event, KeyOffer};
use crate::core::entry::{KeySent, KeyUse};
use crate::core::ids::{LineId, Now, ParticipantId};
use crate::core::working_keys::KeyCame;
use std::collections::BTreeMap;
use yika_codec::{Code, Kind, Message, unhex};
use yika_keystore::{Algorithm, LmkBlock, Mode, Usage, WrapForm, Wrapped};

/// Offers that wait for their answer: at most one of each use to each participant.
#[derive(Default)]
pub(super) struct Offers {
    waiting: BTreeMap<(ParticipantId, KeyUse), Offered>,
    /// After one that was refused, or could not be made, the next by age comes not before this moment.
    not_before_us: BTreeMap<(ParticipantId, KeyUse), u64>,
    next_stan: u32,
}

struct Offered {
    /// F48 as it is sent.
    text: String,
    /// None before it was sent for the first time.
    sent: Option<KeySent>,
    tries: u32,
    due_us: u64,
}

/// F11 of offers, beyond those that a line gives to its sign-ons and echo tests.
pub(super) const OFFER_STANS: std::ops::RangeInclusive<u32> = 900_000..=999_999;
const RETRY_US: u64 = 5_000_000;
/// After so many tries an operator hears of it, and it is tried less often.
const TRIES_QUICK: u32 = 3;
const RETRY_SLOW_US: u64 = 60_000_000;
/// Between two keys that are drawn for their age, when the first came to nothing.
const AGAIN_US: u64 = 3_600_000_000;

impl Driver {
    /// A working key comes into use; the offer of it, if it was ours, is over.
    pub(super) fn use_key(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: &str,
        now: Now,
    ) {
        // The block was opened once already, before the core accepted it.
        if let Err(error) = self.keys.change(participant, usage, epoch, block, now.mono_us) {
            self.tell_key_refused(participant, &error.to_string(), now);
        }
        if !self
            .core
            .durable
            .participants
            .get(&participant)
            .is_some_and(|held| held.offers.contains_key(&usage))
        {
            self.offers.waiting.remove(&(participant, usage));
            self.keys.withdraw(participant, usage);
        }
    }

    /// A key is offered from now on, or no longer.
    pub(super) fn offer_key(&mut self, offer: KeyOffer, now: Now) {
        let KeyOffer { participant, usage, block } = offer;
        let Some(block) = block else {
            self.offers.waiting.remove(&(participant, usage));
            self.offers.not_before_us.insert((participant, usage), now.mono_us + AGAIN_US);
            return self.keys.withdraw(participant, usage);
        };
        match self.carried(participant, usage, &block) {
            Ok(text) => {
                let offered = Offered { text, sent: None, tries: 0, due_us: now.mono_us };
                self.offers.waiting.insert((participant, usage), offered);
                self.send_offers(now);
            }
            // Refused as if the participant had done so: it will never be sent.
            Err(why) => {
                self.tell_key_refused(participant, &why, now);
                let code = Code::new(*b"96");
                self.answers.push_back(Event::OfferAnswered { participant, usage, code });
            }
        }
    }

    /// Draws a key of the kind that the one in use is, and offers it.
    ///
    /// # Errors
    /// Why there is none to offer.
    pub(super) fn draw_key(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        ticket: Option<u64>,
    ) -> Result<(), String> {
        let keys = self.keys.of(participant).filter(|keys| keys.kek.is_some());
        let keys = keys.ok_or("it has no kek, under which a key could travel")?;
        let (into, algorithm) =
            keys.in_use(usage).ok_or_else(|| format!("it has no {} key", usage.word()))?;
        let block = self.keys.store().new_working_key(into, algorithm).map_err(|error| error.to_string())?;
        // Before anything is journalled: whether it can travel at all.
        self.wrapped(participant, &block)?;
        self.answers.push_back(Event::OfferKey { participant, usage, block: block.into(), ticket });
        Ok(())
    }

    /// Offers new keys in place of those that are as old as the configuration lets them become.
    pub(super) fn change_old_keys(&mut self, now: Now) {
        // Validity is judged by the time that it is now.
        self.keys.store().tell_time(now.wall_ms);
        let mut old = Vec::new();
        for (participant, keys) in self.keys.all() {
            let (Some(held), Some(every)) =
                (self.core.durable.participants.get(participant), keys.change_every)
            else {
                continue;
            };
            let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
            for usage in [KeyUse::Mac, KeyUse::Pin] {
                let since_ms = held.keys.get(&usage).map_or(0, |key| key.since_ms);
                let due = now.wall_ms.saturating_sub(since_ms) >= every_ms;
                let quiet =
                    self.offers.not_before_us.get(&(*participant, usage)).is_some_and(|at| now.mono_us < *at);
                if due && !quiet && keys.in_use(usage).is_some() && !held.offers.contains_key(&usage) {
                    old.push((*participant, usage));
                }
            }
        }
        for (participant, usage) in old {
            if let Err(why) = self.draw_key(participant, usage, None) {
                self.offers.not_before_us.insert((participant, usage), now.mono_us + AGAIN_US);
                self.tell_key_refused(participant, &why, now);
            }
        }
    }

    /// Ready for F48, with the rim prepared to take MACs under it.
    fn carried(&mut self, participant: ParticipantId, usage: KeyUse, block: &str) -> Result<String, String> {
        let block = LmkBlock::try_from(block.to_owned()).map_err(|error| error.to_string())?;
        let wrapped = self.wrapped(participant, &block)?;
        self.keys.offer(participant, usage, &block).map_err(|error| error.to_string())?;
        let key = match wrapped {
            Wrapped::KeyBlock(block) => block,
            Wrapped::TdesEcb { cryptogram, check_value } => hex(&cryptogram) + &hex(&check_value[..3]),
        };
        Ok(format!("NK{:03}{key}", key.len()))
    }

    fn wrapped(&self, participant: ParticipantId, block: &LmkBlock) -> Result<Wrapped, String> {
        let kek = self.keys.of(participant).and_then(|keys| keys.kek.clone());
        let kek = kek.ok_or("no kek is configured for it")?;
        let form = match self.keys.store().info(&kek).map(|info| (info.usage, info.algorithm)) {
            Some((Usage::Kek, Algorithm::Tdes)) => WrapForm::TdesEcb,
            _ => WrapForm::KeyBlock,
        };
        self.keys.store().export_working(block, &kek, form).map_err(|error| error.to_string())
    }

    /// Sends what is due, each on one open line of its participant; also on one that is unkeyed, which this may mend.
    pub(super) fn send_offers(&mut self, now: Now) {
        let due: Vec<(ParticipantId, KeyUse)> = self
            .offers
            .waiting
            .iter()
            .filter(|(_, offered)| now.mono_us >= offered.due_us)
            .map(|(key, _)| *key)
            .collect();
        for (participant, usage) in due {
            let lines = self.groups.get(&participant).map(|group| group.lines.as_slice()).unwrap_or_default();
            let open =
                lines.iter().find(|line| self.lines[line.0 as usize].state == LineState::Open).copied();
            let Some(line) = open else { continue };
            self.send_offer(participant, usage, line, now);
        }
    }

    fn send_offer(&mut self, participant: ParticipantId, usage: KeyUse, id: LineId, now: Now) {
        let rim = &self.rim.lines[id.0 as usize];
        let Some(offered) = self.offers.waiting.get_mut(&(participant, usage)) else { return };
        let to = Towards::line(rim, &self.rim, &self.keys, now);
        let sent = *offered.sent.get_or_insert_with(|| {
            let next = self.offers.next_stan;
            let stan = if OFFER_STANS.contains(&next) { next } else { *OFFER_STANS.start() };
            self.offers.next_stan = stan + 1;
            KeySent { sent_at: sent_at(&to), stan }
        });
        offered.tries = offered.tries.saturating_add(1);
        let slow = offered.tries > TRIES_QUICK;
        offered.due_us = now.mono_us + if slow { RETRY_SLOW_US } else { RETRY_US };
        let change = KeyChange { usage, key: &offered.text, sent };
        let written = write_key_change(&change, &to, self.lines[id.0 as usize].out.tail());
        self.outputs.push(Output::LineOut(id));
        if !written {
            self.tell_key_refused(participant, "its dialect has no key change", now);
            let code = Code::new(*b"40");
            self.answers.push_back(Event::OfferAnswered { participant, usage, code });
        } else if slow {
            let why = format!("it does not answer the {} key that is offered to it", usage.word());
            self.alarm_key(participant, &why, now);
        }
    }

    /// An answer to a network message that no line asked itself: whether it is one to an offer.
    /// From whoever has a MAC key it counts under its MAC alone: keys are durable.
    pub(super) fn offer_answered(&mut self, line: LineId, stan: u32, code: Code, proof: Proof) {
        let participant = self.rim.lines[line.0 as usize].participant;
        let keyed = self.keys.of(participant).is_some_and(|keys| keys.mac.is_some());
        if keyed && proof.epoch.is_none() {
            self.counts.lines.bad_mac += 1;
            return;
        }
        let asked = |offered: &Offered| offered.sent.is_some_and(|sent| sent.stan == stan);
        let found =
            self.offers.waiting.iter().find(|((of, _), offered)| *of == participant && asked(offered));
        match found {
            Some(((_, usage), _)) => {
                self.answers.push_back(Event::OfferAnswered { participant, usage: *usage, code });
            }
            None => self.counts.lines.unexpected += 1,
        }
    }

    /// Whether a keyed participant asks without a MAC for what would change durable state (rule 15). A key change proves
    /// itself by the key that it comes under: a line whose keys no longer agree mends itself so.
    pub(super) fn needs_mac(&self, kind: Kind, participant: ParticipantId, proof: Proof) -> bool {
        let is_keyed = self.keys.of(participant).is_some_and(|keys| keys.mac.is_some());
        let signed_off =
            || self.core.durable.participants.get(&participant).is_some_and(|held| held.signed_off);
        let changes = match kind {
            Kind::SignOff | Kind::CutOver => true,
            Kind::SignOn => signed_off(),
            _ => false,
        };
        is_keyed && proof.epoch.is_none() && changes
    }

    /// The key of a key change under our master key, opened once. Err: the code to refuse with: unsupported where
    /// no key was agreed to carry others, format where the key cannot be read, MAC or PIN where it is not what its
    /// check value says, or not a key of that use.
    pub(super) fn unwrap_key(&self, rim: &LineRim, message: &Message<'_>) -> Result<KeyCame, (Code, String)> {
        let codes = rim.link.dialect.codes();
        let keys = self.keys.of(rim.participant);
        let (keys, kek) = keys
            .and_then(|keys| Some((keys, keys.kek.as_deref()?)))
            .ok_or_else(|| (codes.unsupported, "no kek is configured for it".to_owned()))?;
        let usage = announced_use(message).ok_or_else(|| (codes.format, "F53 names no key".to_owned()))?;
        if usage == KeyUse::Pin && keys.pin_at_hsm.is_some() {
            return Err((codes.unsupported, "its PIN key is in the HSM: it changes there".to_owned()));
        }
        let block = match (brings_single_key(message), wrapped_key(message)) {
            (true, _) => self.proven_key(keys, kek, usage, message),
            (false, Some(wrapped)) => {
                let (into, algorithm) = keys.expected(usage, matches!(wrapped, Wrapped::KeyBlock(_)));
                self.keys
                    .store()
                    .rewrap(kek, &wrapped, into, algorithm, Mode::Both)
                    .map_err(|e| e.to_string())
            }
            (false, None) => return Err((codes.format, "F48 holds no key".to_owned())),
        };
        let block = block.map_err(|why| match usage {
            KeyUse::Mac => (codes.mac, why),
            KeyUse::Pin => (codes.pin, why),
        })?;
        let small = |n| message.number(n).and_then(|number| u32::try_from(number).ok());
        let sent = small(7).zip(small(11)).map(|(sent_at, stan)| KeySent { sent_at, stan });
        let (participant, block) = (rim.participant, String::from(block));
        Ok(KeyCame { participant, usage, block, sent, stale: codes.duplicate, later: codes.overload })
    }

    /// A MAC key of single length in F96, which has no check value: the MAC of its message is made with it.
    fn proven_key(
        &self,
        keys: &ParticipantKeys,
        kek: &str,
        usage: KeyUse,
        message: &Message<'_>,
    ) -> Result<LmkBlock, String> {
        let keyed = (usage == KeyUse::Mac).then(|| message.mac_input().zip(message.mac())).flatten();
        let (data, mac) =
            keyed.ok_or("a key in F96 is a MAC key, and the MAC of its message is made with it")?;
        let mut key = [0; 8];
        message.text(96, &mut key).filter(|len| *len == 8).ok_or("F96 has 8 bytes")?;
        let (into, algorithm) = keys.in_use(usage).ok_or("it has no MAC key that another could follow")?;
        self.keys.store().rewrap_proven(kek, &key, into, algorithm, data, &mac).map_err(|e| e.to_string())
    }

    /// Counted each time; an alarm once a minute, however often it is sent.
    pub(super) fn tell_key_refused(&mut self, participant: ParticipantId, why: &str, now: Now) {
        self.counts.lines.keys_refused += 1;
        self.alarm_key(participant, why, now);
    }

    fn alarm_key(&mut self, participant: ParticipantId, why: &str, now: Now) {
        if let Some(held_back) = self.keys_refused.may_tell(participant, now.mono_us) {
            self.outputs.push(Output::Alarm(Alarm::KeyClash { participant, why: why.to_owned(), held_back }));
        }
    }
}

/// F53's first digit says which key: 1 PIN, 2 MAC.
fn announced_use(message: &Message<'_>) -> Option<KeyUse> {
    match message.digits::<16>(53)?[0] {
        b'1' => Some(KeyUse::Pin),
        b'2' => Some(KeyUse::Mac),
        _ => None,
    }
}

/// Whether a message is a key change that brings its key in F96, as those of single length come.
pub(super) fn brings_single_key(message: &Message<'_>) -> bool {
    message.kind() == Some(Kind::KeyChange) && message.has(96) && !message.has(48)
}

/// F48 holds the usage-tagged `NK` with its length n3 and the key: an X9.143 block as it is, or cryptogram and the
/// first three bytes of its check value, in hex.
fn wrapped_key(message: &Message<'_>) -> Option<Wrapped> {
    let mut text = [0; 999];
    let len = message.text(48, &mut text)?;
    let (length, key) = std::str::from_utf8(text[..len].strip_prefix(b"NK")?).ok()?.split_at_checked(3)?;
    let key = key.get(..length.parse().ok()?)?;
    if key.starts_with(['B', 'D']) && key.len() > ECB_HEX_MAX {
        return Some(Wrapped::KeyBlock(key.to_owned()));
    }
    let (cryptogram, check_value) = key.split_at_checked(key.len().checked_sub(6)?)?;
    Some(Wrapped::TdesEcb { cryptogram: unhex(cryptogram)?, check_value: unhex(check_value)? })
}

/// A bare cryptogram of the longest key with its check value; a key block is longer.
const ECB_HEX_MAX: usize = 2 * (24 + 3);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
