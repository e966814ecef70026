//! The pure core: one owner of all state. `Core::apply` takes one event and puts entries and effects
//! into a batch; it has no socket, file, clock or random number, so the same journal always gives the
//! same state. Effects leave only through `journal`, after the batch is durable.

mod absorb;
mod admit;
mod answer;
pub mod batch;
pub mod books;
pub mod clock;
mod counters;
mod currency;
pub mod dedupe;
pub mod durable;
pub mod effect;
pub mod ended;
pub mod entry;
pub mod facts;
mod finish;
pub mod handles;
pub mod ids;
pub mod kept;
mod life;
mod lookup;
mod network;
pub mod original;
mod places;
pub mod plan;
mod recover;
pub mod reference;
mod reversal;
pub mod ring;
mod saf;
pub mod settings;
mod stand_in;
pub mod table;
pub mod taps;
mod volatile;
mod ways;
pub mod window;
pub mod working_keys;

pub use absorb::Misfit;
pub use counters::{Bound, Counters, Reached};
pub use recover::name_participants;
pub use volatile::Room;
pub use ways::{Debt, keep_ways};

use crate::planted::{Planted, planted};
use batch::Batch;
use durable::{Durable, Participant};
use effect::{Effect, Event, SendOf, Unsent};
use entry::{Entry, Identity};
use ids::{LegRef, Now, ParticipantId};
use plan::LegResult;
use saf::SafQueue;
use settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use table::AnswerKey;
use volatile::{Awaiting, LateWatch, Volatile};
use yika_codec::{FieldSet, Kind, Mti, ReversalStyle};

/// The state machine of the whole switch.
pub struct Core {
    pub durable: Durable,
    live: Volatile,
    settings: Arc<Settings>,
    pub counters: Counters,
    /// Answers whose F15 was another date than ours; as many as there are configured participants at most.
    pub dates_differing: BTreeMap<ParticipantId, u64>,
}

impl Core {
    pub fn new(durable: Durable, settings: Arc<Settings>) -> Self {
        Core {
            durable,
            live: Volatile::default(),
            settings,
            counters: Counters::default(),
            dates_differing: BTreeMap::new(),
        }
    }

    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Answers that may still come, each of which may be an entry of its own: of transactions in flight, and of
    /// obligations that are out.
    pub fn answers_to_come(&self) -> usize {
        self.durable.open.len() + self.live.saf.values().map(SafQueue::out).sum::<usize>()
    }

    /// Whether copies wait for the outcome of theirs to be read back.
    pub fn waits_for_reads(&self) -> bool {
        !self.live.fetching.is_empty()
    }

    /// What the journal can take now; the rest is refused (rule 2).
    pub fn set_room(&mut self, room: Room) {
        self.live.room = room;
    }

    /// Decides on one event. Never blocks; what it decided takes effect when `batch` is durable.
    pub fn apply(&mut self, now: Now, event: Event, batch: &mut Batch) {
        let now = Now { wall_ms: batch.wall_ms, ..now };
        match event {
            Event::Request(request) => self.request(now, batch, request.into_inner()),
            Event::Answer(answer) => self.answer(now, batch, answer.into_inner()),
            Event::Written(of) => self.written(now, batch, of),
            Event::NotSent(of, why) => self.not_sent(now, batch, of, why),
            Event::Reachable { participant, lines } => {
                if self.live.lines.insert(participant, lines).unwrap_or(0) == 0 {
                    self.hasten(now, participant);
                }
                self.pump(now, batch, participant);
            }
            Event::Fetched { seq, entry } => self.fetched(batch, seq, entry),
            Event::KeyChange { peer, msg, came } => {
                self.key_change(now, batch, volatile::Waiter { peer, msg }, came);
            }
            Event::OfferKey { participant, usage, block, ticket } => {
                self.offer_key(batch, participant, usage, block, ticket);
            }
            Event::TerminalUses { acquirer, terminal } => self.terminal_uses(batch, acquirer, terminal),
            Event::ServedBy(served) => self.note_served(batch, served),
            Event::OfferAnswered { participant, usage, code } => {
                self.offer_answered(now, batch, participant, usage, code);
            }
            Event::Settle { id, reason, ticket } => self.settle(now, batch, id, reason, ticket),
            Event::CutOver { ticket } => {
                let refused = self.cut_over(batch, entry::CutOverTrigger::Operator).err();
                batch.effect(Effect::Done { ticket, refused });
            }
            Event::Drain { participant, on, ticket } => self.drain(batch, participant, on, ticket),
            Event::SignOff { whom, ticket } => self.sign_off(batch, whom, ticket),
            Event::Gate(asked) => {
                let (asked, event) = *asked.into_inner();
                self.gate(now, batch, asked, event);
            }
            Event::Tick => self.tick(now, batch),
        }
    }

    fn tick(&mut self, now: Now, batch: &mut Batch) {
        self.time_out_legs(now, batch);
        self.time_out_obligations(now, batch);
        self.forget_late(now, batch);
        self.cut_over_by_clock(now, batch);
        self.close_dates(batch);
        self.let_time_pass(now, batch);
        self.pump_all(now, batch);
    }

    /// Expiry happens when an entry is absorbed; a quiet or full switch must forget too. It can wait until the journal
    /// has room: on a full disk, what is left is for outcomes.
    fn let_time_pass(&mut self, now: Now, batch: &mut Batch) {
        if self.no_room().is_some() {
            return;
        }
        let durable = &self.durable;
        let oldest = [
            durable.dedupe_ring.oldest().map(|oldest| oldest.at_ms),
            durable.handle_ring.oldest().map(|oldest| oldest.at_ms),
            durable.lapsed.oldest().map(|(at_ms, _)| at_ms),
            durable.exceptions.oldest().map(|(ms, _)| ms.saturating_add(durable.limits.original_window_ms)),
            durable.taps.oldest_ms(),
            durable.references.oldest_ms(),
        ];
        if oldest.into_iter().flatten().any(|at_ms| at_ms.saturating_add(1000) <= now.wall_ms) {
            batch.record(&mut self.durable, Entry::TimePassed);
        }
    }

    fn time_out_legs(&mut self, now: Now, batch: &mut Batch) {
        while !planted(Planted::NoTimeOut) {
            let due = self.live.deadlines.iter().find_map(|(participant, queue)| {
                queue.front().filter(|front| front.0 <= now.mono_us).map(|_| *participant)
            });
            let Some(participant) = due else { return };
            let front = self.live.deadlines.get_mut(&participant).and_then(|queue| queue.pop_front());
            let Some((_, leg)) = front else { return };
            if self.under_way(leg) {
                let emitted =
                    self.live.live.get(&leg.tx).is_some_and(|live| live.emitted & 1 << leg.leg != 0);
                let result = if emitted { LegResult::Silent } else { LegResult::Unsent(Unsent::TooOld) };
                self.counters.timed_out += u64::from(emitted);
                self.leg_ended(now, batch, leg, result, FieldSet::new());
            }
        }
    }

    /// Whether this is the leg that its transaction waits for.
    pub(super) fn under_way(&self, leg: LegRef) -> bool {
        self.durable.open.get(&leg.tx).is_some_and(|tx| tx.intent.legs.len() == usize::from(leg.leg) + 1)
    }

    /// Whether a send that still stands in a queue is of use: its leg is under way, or its obligation was not sent again
    /// or discharged since.
    pub fn waits_for(&self, of: SendOf, not_after_us: u64) -> bool {
        match of {
            SendOf::Leg(leg) => self.under_way(leg),
            SendOf::Obligation(id) => self.is_out(id, not_after_us),
        }
    }

    fn written(&mut self, now: Now, batch: &mut Batch, of: SendOf) {
        let SendOf::Leg(leg) = of else { return };
        if let Some(live) = self.live.live.get_mut(&leg.tx) {
            live.written |= 1 << leg.leg;
        }
        if let Some(id) = self.live.unwritten.remove(&leg) {
            self.release_obligation(now, batch, id);
        }
    }

    fn not_sent(&mut self, now: Now, batch: &mut Batch, of: SendOf, why: Unsent) {
        self.counters.not_sent += 1;
        match of {
            SendOf::Obligation(id) => self.obligation_not_sent(now, batch, id, why),
            SendOf::Leg(leg) if self.under_way(leg) => {
                // Nothing was sent: no obligation of this leg has anything to wait for.
                if let Some(live) = self.live.live.get_mut(&leg.tx) {
                    live.emitted &= !(1 << leg.leg);
                }
                self.leg_ended(now, batch, leg, LegResult::Unsent(why), FieldSet::new());
            }
            SendOf::Leg(leg) => {
                let Some(id) = self.live.unwritten.remove(&leg) else { return };
                let undoes = |held: &durable::Obligation| held.owed.kind == entry::OwedKind::Reverse;
                if self.durable.obligations.get(&id).is_some_and(undoes) {
                    self.discharge(now, batch, id, entry::Discharge::NeverSent);
                } else {
                    // A refund that was told is still owed: it goes out for the first time.
                    self.release_obligation(now, batch, id);
                }
            }
        }
    }

    /// What an answer to a message with this identity is looked up by (rule 1).
    fn answer_key(&self, participant: ParticipantId, identity: &Identity) -> AnswerKey {
        let by_time = self.settings.participant(participant).is_none_or(|p| p.answer_match.sent_at);
        AnswerKey::of(participant, identity, by_time)
    }

    /// The identity of a new request of `kind`; None when its participant's dialect has no such message
    /// or every F11 is in use.
    fn identity(&self, now: Now, participant: ParticipantId, kind: Kind, rrn: [u8; 12]) -> Option<Identity> {
        let dialect = &self.settings.participant(participant)?.dialect;
        let mti = match kind {
            Kind::Reversal => reversal_mti(dialect.reversal()),
            _ => dialect.kind_row(kind)?.mti,
        };
        self.fresh_identity(now, participant, mti, rrn)
    }

    /// Takes the F11 after the last one, stepping over those that an answer may still come for.
    fn fresh_identity(
        &self,
        now: Now,
        participant: ParticipantId,
        mti: Mti,
        rrn: [u8; 12],
    ) -> Option<Identity> {
        let minutes = self.settings.participant(participant)?.f7_minutes;
        let sent_at = clock::month_to_second(now.wall_ms, minutes);
        let mut stan = finish::next_stan(self.durable.participants.get(&participant)?.last_stan);
        for _ in 0..999_999 {
            let identity = Identity { mti, stan, sent_at, rrn };
            if !self.live.awaiting.has(&self.answer_key(participant, &identity)) {
                return Some(identity);
            }
            stan = finish::next_stan(stan);
        }
        None
    }

    /// Lines up, not signed off, not drained: requests can go there now.
    fn reachable(&self, participant: ParticipantId) -> bool {
        let lines = self.live.lines.get(&participant).copied().unwrap_or(0);
        let halted = self.durable.participants.get(&participant).is_none_or(Participant::is_halted);
        lines > 0 && !halted
    }

    /// Legs that wait until what is owed from their original is discharged (rule 8).
    pub fn waiting_behind(&self) -> usize {
        self.live.behind.values().map(Vec::len).sum()
    }

    fn leave_flight(&mut self, participant: ParticipantId) {
        if let Some(count) = self.live.inflight.get_mut(&participant) {
            *count = count.saturating_sub(1);
        }
    }

    fn watch_late(&mut self, now: Now, batch: &mut Batch, (key, watch): (AnswerKey, LateWatch)) {
        if self.live.late_order.len() >= self.settings.bounds.late_max {
            self.counters.reached.note(Bound::Late);
            let spare = self.spare_late();
            self.drop_late(batch, spare);
        }
        let until = now.mono_us + self.settings.limits.dedupe_window_ms.saturating_mul(1000);
        self.live.awaiting.put(key, Awaiting::Late(Box::new(watch)));
        self.live.late_order.push_back((until, key));
    }

    fn forget_late(&mut self, now: Now, batch: &mut Batch) {
        while self.live.late_order.front().is_some_and(|(until, _)| *until <= now.mono_us) {
            self.drop_late(batch, 0);
        }
    }

    /// The place of one among the oldest from which nothing can come any more; where there is none, the oldest.
    fn spare_late(&self) -> usize {
        let oldest = self.live.late_order.iter().take(LATE_LOOKED_AT_MAX);
        oldest.map(|(_, key)| key).position(|key| !self.is_needed_late(key)).unwrap_or(0)
    }

    /// Whether a late approval would still change what is owed or on the books: its reversal is open, or ended as "unknown"
    /// or as a named exception.
    fn is_needed_late(&self, key: &AnswerKey) -> bool {
        let Some(Awaiting::Late(watch)) = self.live.awaiting.get(key) else { return false };
        let remembered = |id| self.durable.lapsed.has(id) || self.durable.exceptions.has(id);
        watch.owed.is_some_and(|id| self.is_owed(id) || remembered(id))
    }

    fn drop_late(&mut self, batch: &mut Batch, at: usize) {
        let Some((_, key)) = self.live.late_order.remove(at) else { return };
        if let Some(Awaiting::Late(watch)) = self.live.awaiting.get(&key) {
            let owed = watch.owed;
            self.live.awaiting.take(&key);
            self.let_lapsed_go(batch, owed);
        }
    }

    /// A reversal that ended as "unknown" is kept for a late approval: not when nothing watches for one any more.
    fn let_lapsed_go(&mut self, batch: &mut Batch, owed: Option<ids::ObligationId>) {
        if let Some(id) = owed.filter(|id| self.durable.lapsed.has(*id)) {
            batch.record(&mut self.durable, Entry::Forgotten { id });
        }
    }

    /// Journals how long things are remembered, when the configuration changed it.
    fn note_limits(&mut self, batch: &mut Batch) {
        if self.durable.limits != self.settings.limits {
            batch.record(&mut self.durable, Entry::Limits(self.settings.limits));
        }
        let length_ms = self.settings.bounds.tap_window_ms;
        if self.durable.tap_window.length_ms() != length_ms {
            batch.record(&mut self.durable, Entry::TapWindow { length_ms });
        }
    }
}

/// Watches for late answers that are looked at for one to let go, when there are as many as there may be: nearly all
/// are settled within seconds, and a look is a few look-ups.
const LATE_LOOKED_AT_MAX: usize = 64;

/// How a reversal of ours is sent (rule 14).
fn reversal_mti(style: ReversalStyle) -> Mti {
    match style {
        ReversalStyle::F90Advice => Mti::new(0x0420),
        ReversalStyle::F61Request => Mti::new(0x0400),
    }
}
