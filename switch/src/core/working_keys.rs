//! Working keys change in both directions (rule 15): a participant sends us one, or we offer it one of ours. Either is
//! durable, then in use, then acknowledged; the key before stays good for a while at the rim. What a sender sent
//! earlier and what comes twice change nothing: keys never go back.
//!
//! ```text
//! theirs   0800 --> checked by the keystore --> KeyEpoch --> in use --> 0810
//! ours     operator or clock --> Offered --> 0800 .. again until answered .. --0810/00, or a MAC under it--> KeyEpoch
//!                                                                           `--0810/other--> Withdrawn, alarm
//! ```
//! A terminal gets its keys by signing in. Its answer may be lost: the keys that it used before stay good until it uses
//! the new ones.

use super::Core;
use super::batch::Batch;
use super::clock::nearest_moment;
use super::counters::{Bound, Refusal};
use super::durable::{Durable, KeyEpoch, Offer, TerminalKeys};
use super::effect::{Alarm, Effect, KeyOffer};
use super::entry::{Entry, KeySent, KeyUse, ServedBy, SignedIn, WorkingKey};
use super::ids::{Now, ParticipantId};
use super::volatile::Waiter;
use std::collections::BTreeMap;
use yika_codec::{Code, FieldSet, Kind};
use yika_keystore::LmkBlock;

/// A working key that a participant sent, unwrapped and checked by the keystore.
pub struct KeyCame {
    pub participant: ParticipantId,
    pub usage: KeyUse,
    /// Under the master key.
    pub block: String,
    /// When it was sent; None where the message has no F7.
    pub sent: Option<KeySent>,
    /// The answer to one that was sent before the key in use, or was in use before.
    pub stale: Code,
    /// The answer to one that cannot be taken now.
    pub later: Code,
}

impl Core {
    /// What waits for keys goes at once. The same key again changes nothing.
    pub(super) fn key_change(&mut self, now: Now, batch: &mut Batch, waiter: Waiter, came: KeyCame) {
        let KeyCame { participant, usage, block, sent, stale, later } = came;
        let Some(held) = self.durable.participants.get(&participant) else { return };
        let same = held.keys.get(&usage).is_some_and(|key| same_key(&key.block, &block));
        let last = held.keys_sent.get(&usage).copied();
        let late = match (sent, last) {
            (Some(sent), Some(last)) => is_before(sent, last, batch.wall_ms),
            // One that says no time, where they had one, may be any of them.
            (None, last) => last.is_some(),
            (Some(_), None) => false,
        };
        let past = held
            .keys_past
            .get(&usage)
            .is_some_and(|past| stated(&block).is_some_and(|value| past.contains(&value)));
        // Ours is on its way: took both sides each other's, they would end with two.
        let crossing = held
            .offers
            .get(&usage)
            .is_some_and(|offer| batch.wall_ms.saturating_sub(offer.since_ms) < OFFER_ALONE_MS);
        let code = match (same, late || past) {
            (true, _) => Code::APPROVED,
            (false, true) => stale,
            (false, false) if crossing || self.no_room().is_some() => later,
            (false, false) => {
                self.withdraw(batch, participant, usage);
                if let Some(at) = sent {
                    let working = WorkingKey::Sent { participant, usage, at };
                    batch.record(&mut self.durable, Entry::Working(Box::new(working)));
                }
                self.use_key(now, batch, participant, usage, block);
                Code::APPROVED
            }
        };
        self.reply(batch, waiter, Kind::KeyChange, code);
    }

    /// A key of ours, drawn by the keystore, for a participant. One that still waits for its answer is not replaced:
    /// nobody could tell which of the two was taken.
    pub(super) fn offer_key(
        &mut self,
        batch: &mut Batch,
        participant: ParticipantId,
        usage: KeyUse,
        block: String,
        ticket: Option<u64>,
    ) {
        let waits = self.durable.participants.get(&participant).map(|held| held.offers.contains_key(&usage));
        let refused = match waits {
            Some(false) if self.no_room().is_some() => Some("the journal has no room for it".into()),
            Some(false) => {
                let working = WorkingKey::Offered { participant, usage, block: block.clone() };
                batch.record(&mut self.durable, Entry::Working(Box::new(working)));
                batch.effect(Effect::OfferKey(KeyOffer { participant, usage, block: Some(block) }));
                None
            }
            Some(true) => {
                Some("an earlier key still waits for its answer; it is sent again until it comes".into())
            }
            None => Some("no such participant".into()),
        };
        if let Some(ticket) = ticket {
            batch.effect(Effect::Done { ticket, refused });
        }
    }

    /// The participant answered our offer, or used the key (`code` is then 00).
    pub(super) fn offer_answered(
        &mut self,
        now: Now,
        batch: &mut Batch,
        participant: ParticipantId,
        usage: KeyUse,
        code: Code,
    ) {
        let held = self.durable.participants.get(&participant);
        let Some(Offer { block, .. }) = held.and_then(|held| held.offers.get(&usage)).cloned() else {
            return;
        };
        if code == Code::APPROVED {
            return self.use_key(now, batch, participant, usage, block);
        }
        self.withdraw(batch, participant, usage);
        let why = format!("it refused the {} key that was offered, with code {code}", usage.word());
        batch.effect(Effect::Alarm(Alarm::KeyClash { participant, why, held_back: 0 }));
    }

    /// Ends an offer without a key.
    fn withdraw(&mut self, batch: &mut Batch, participant: ParticipantId, usage: KeyUse) {
        let held = self.durable.participants.get(&participant);
        if held.is_some_and(|held| held.offers.contains_key(&usage)) {
            let working = WorkingKey::Withdrawn { participant, usage };
            batch.record(&mut self.durable, Entry::Working(Box::new(working)));
            batch.effect(Effect::OfferKey(KeyOffer { participant, usage, block: None }));
        }
    }

    /// A message was served by another key than the one in force. Where there is no room, payments come first.
    pub(super) fn note_served(&mut self, batch: &mut Batch, served: ServedBy) {
        if self.no_room().is_none() {
            batch.record(&mut self.durable, Entry::Working(Box::new(WorkingKey::Served(served))));
        }
    }

    /// A terminal signs in where that gives it keys. Within a minute the same sign-in gets the same keys, and so does any
    /// other while nobody has used them: the terminal may have either answer, and a stranger takes nothing from it. Err:
    /// there is no room.
    pub(super) fn sign_in(&mut self, batch: &mut Batch, signed_in: SignedIn) -> Result<FieldSet, Refusal> {
        let at = (signed_in.acquirer, signed_in.terminal);
        let held = self.durable.terminal_keys.get(&at);
        let mut record = FieldSet::new();
        let again = held.filter(|held| {
            let fresh = batch.wall_ms.saturating_sub(held.since_ms) < REPEATED_WITHIN_MS;
            fresh && (held.sent == signed_in.sent || !held.used)
        });
        if let Some(held) = again {
            record.set(62, &held.field);
            return Ok(record);
        }
        if let Some(why) = self.no_room() {
            return Err(why);
        }
        if held.is_none() && self.durable.terminal_keys.len() >= self.settings.bounds.terminals_max {
            return Err(Refusal::Full(Bound::Terminals));
        }
        record.set(62, &signed_in.field);
        let entry = Entry::Working(Box::new(WorkingKey::SignedIn(signed_in.clone())));
        batch.record(&mut self.durable, entry);
        batch.effect(Effect::UseTerminalKeys(Box::new(signed_in)));
        Ok(record)
    }

    /// A terminal proved itself by the keys of its last sign-in.
    pub(super) fn terminal_uses(&mut self, batch: &mut Batch, acquirer: ParticipantId, terminal: [u8; 8]) {
        let held = self.durable.terminal_keys.get(&(acquirer, terminal));
        if held.is_some_and(|held| !held.used) && self.no_room().is_none() {
            let entry = Entry::Working(Box::new(WorkingKey::Uses { acquirer, terminal }));
            batch.record(&mut self.durable, entry);
            batch.effect(Effect::TerminalUses { acquirer, terminal });
        }
    }

    fn use_key(
        &mut self,
        now: Now,
        batch: &mut Batch,
        participant: ParticipantId,
        usage: KeyUse,
        block: String,
    ) {
        let current = self.durable.participants.get(&participant).and_then(|held| held.keys.get(&usage));
        let epoch = current.map_or(1, |key| key.epoch + 1);
        batch.record(&mut self.durable, Entry::KeyEpoch { participant, usage, epoch, block: block.clone() });
        batch.effect(Effect::UseKey { participant, usage, epoch, block });
        self.hasten(now, participant);
        self.pump(now, batch, participant);
    }
}

impl Durable {
    pub(super) fn absorb_key(
        &mut self,
        participant: ParticipantId,
        usage: KeyUse,
        epoch: u32,
        block: String,
    ) -> Result<(), &'static str> {
        let since_ms = self.wall_ms;
        let held = self.known(participant).ok_or(STRANGER)?;
        let before = held.keys.remove(&usage).map(|old| old.block);
        if let Some(value) = before.as_deref().and_then(stated) {
            let past = held.keys_past.entry(usage).or_default();
            past.push_back(value);
            if past.len() > KEYS_PAST_MAX {
                past.pop_front();
            }
        }
        // An offer ends by coming into use.
        if held.offers.get(&usage).is_some_and(|offer| offer.block == block) {
            held.offers.remove(&usage);
        }
        held.keys.insert(usage, KeyEpoch { epoch, block, since_ms, before });
        Ok(())
    }

    pub(super) fn absorb_working(&mut self, working: WorkingKey) -> Result<(), &'static str> {
        match working {
            WorkingKey::Sent { participant, usage, at } => {
                self.known(participant).ok_or(STRANGER)?.keys_sent.insert(usage, at);
            }
            WorkingKey::Offered { participant, usage, block } => {
                let since_ms = self.wall_ms;
                let offer = Offer { block, since_ms };
                self.known(participant).ok_or(STRANGER)?.offers.insert(usage, offer);
            }
            WorkingKey::Withdrawn { participant, usage } => {
                self.known(participant).ok_or(STRANGER)?.offers.remove(&usage);
            }
            WorkingKey::Served(_) => {}
            WorkingKey::SignedIn(signed_in) => self.absorb_signed_in(signed_in),
            WorkingKey::Uses { acquirer, terminal } => {
                let held = self.terminal_keys.get_mut(&(acquirer, terminal));
                let held = held.ok_or("a terminal without keys uses some")?;
                held.before.clear();
                held.used = true;
            }
        }
        Ok(())
    }
}

impl Durable {
    fn absorb_signed_in(&mut self, signed_in: SignedIn) {
        let SignedIn { acquirer, terminal, keys, sent, field } = signed_in;
        // Keys that it never used are nobody's: those that it used last stay good.
        let before = match self.terminal_keys.remove(&(acquirer, terminal)) {
            Some(held) if held.used || held.before.is_empty() => held.keys,
            Some(held) => held.before,
            None => BTreeMap::new(),
        };
        let since_ms = self.wall_ms;
        let fresh =
            TerminalKeys { keys: keys.into_iter().collect(), before, sent, since_ms, field, used: false };
        self.terminal_keys.insert((acquirer, terminal), fresh);
    }
}

/// As many as a busy zone has in two months; each is three bytes that nobody may bring back.
const KEYS_PAST_MAX: usize = 128;

/// While a key of ours is so young on its way, the participant's own has to wait: four tries.
const OFFER_ALONE_MS: u64 = 20_000;

/// The check value that a block states.
fn stated(block: &str) -> Option<String> {
    LmkBlock::try_from(block.to_owned()).ok()?.stated_check_value()
}

/// As long as a terminal waits for an answer.
const REPEATED_WITHIN_MS: u64 = 60_000;

const STRANGER: &str = "it keys a stranger";

impl KeyUse {
    /// What people call it.
    pub fn word(self) -> &'static str {
        match self {
            KeyUse::Mac => "MAC",
            KeyUse::Pin => "PIN",
        }
    }
}

/// A key wrapped twice gives two texts: what both say of it is compared, its check value above all.
fn same_key(held: &str, fresh: &str) -> bool {
    let block = |text: &str| LmkBlock::try_from(text.to_owned()).ok();
    held == fresh || block(held).zip(block(fresh)).is_some_and(|(held, fresh)| held.says_as(&fresh))
}

/// Whether `sent` is the older message, or that message itself, come late. F7 has no year: the nearest one counts, and
/// what is no date has no place in the order.
fn is_before(sent: KeySent, last: KeySent, wall_ms: u64) -> bool {
    let moment = |stamp| nearest_moment(stamp, 0, wall_ms);
    match (moment(sent.sent_at), moment(last.sent_at)) {
        // F11 counts from 1 again after 999999: within a second, what is less than half of that ahead came after.
        (Some(sent_ms), Some(last_ms)) if sent_ms == last_ms => {
            (sent.stan + STANS - last.stan) % STANS >= STANS / 2 || sent.stan == last.stan
        }
        (Some(sent_ms), Some(last_ms)) => sent_ms < last_ms,
        _ => false,
    }
}

/// F11 has six digits.
const STANS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_before_is_told_by_second_and_trace_number() {
        // 2026-11-24, and the turn of the year.
        let wall_ms = 1_795_000_000_000;
        let at = |sent_at, stan| KeySent { sent_at, stan };
        for (sent, last, before) in [
            (at(1123233015, 1), at(1123233016, 1), true),
            (at(1123233016, 1), at(1123233015, 9), false),
            (at(1123233015, 1), at(1123233015, 2), true),
            (at(1123233015, 2), at(1123233015, 2), true),
            (at(1123233015, 3), at(1123233015, 2), false),
            (at(1123233015, 1), at(1123233015, 999_999), false),
            (at(1123233015, 999_999), at(1123233015, 1), true),
            (at(1399000000, 1), at(1123233015, 1), false),
        ] {
            assert_eq!(is_before(sent, last, wall_ms), before, "{sent:?} {last:?}");
        }
        let new_year = 1_798_762_000_000;
        assert!(is_before(at(1231235959, 5), at(101000001, 1), new_year), "December before January");
        assert!(!is_before(at(101000001, 1), at(1231235959, 5), new_year));
    }
}
