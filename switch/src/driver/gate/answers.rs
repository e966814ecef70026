//! What a gateway is told, once it is durable.

use super::batches::OpenHere;
use super::{Driver, Gate, RETRY_MS};
use crate::core::effect::Event;
use crate::core::ids::{BusinessDate, Now, SessionId};
use crate::core::taps::{Asked, Closed, GateEvent, GateSaid, Gateway, Part, TapSums};
use yika_codec::gate::{
    BatchClosed, BatchState, BatchVerdicts, Date, Earlier, ErrorCode, Fault, Message, Reasons, Record,
    Records, TapVerdict, Totals, TotalsAnswer, Unreadable, Verdict, Verdicts, level,
};
use yika_keystore::{Waiver, waive};

/// What a gateway counts of a date, until ours is known.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    count: u64,
    amount_fen: u64,
    hash: [u8; 32],
}

impl Gate {
    pub(super) fn compare(&mut self, correlation: u32, totals: &Totals) {
        let Totals { count, amount_fen, hash, .. } = *totals;
        self.counted.insert(correlation, Counted { count, amount_fen, hash });
    }
}

impl Driver {
    pub(in crate::driver) fn gate_said(&mut self, (asked, said): (Asked, GateSaid), now: Now) {
        // Whether anybody still listens or not, a batch goes on.
        let whole = match &said {
            GateSaid::Verdicts { part, verdicts } => part.batch.and_then(|batch| {
                let closed = self.gate_batches.decided(&asked.gateway, batch, part, verdicts)?;
                Some((batch, closed))
            }),
            GateSaid::Closed { batch, .. } | GateSaid::Unannounced { batch, .. } => {
                self.gate_batches.ended(&asked.gateway, *batch);
                None
            }
            _ => None,
        };
        if let GateSaid::Closed { batch, closed } = &said {
            self.tell_closed(&asked.gateway, *batch, closed, now);
        }
        let id = asked.session;
        let gate = self.take_gate(id);
        if let Some(mut gate) = gate {
            if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) {
                session.inflight = session.inflight.saturating_sub(1);
            }
            self.gate_answer(&asked, &mut gate, said, now);
            if let Some((batch, closed)) = whole {
                if let Some(Some(session)) = self.sessions.get_mut(id.slot as usize) {
                    session.inflight += 1;
                }
                self.close_batch(asked, batch, closed);
            }
            self.put_gate_after(id, gate, now);
        } else if let Some((batch, closed)) = whole {
            self.close_batch(asked, batch, closed);
        }
    }

    /// A batch is complete: whoever has it open hears it, under the correlation of its own opening. The connection that sent
    /// the last part may be gone, and another have taken over.
    fn tell_closed(&mut self, gateway: &Gateway, batch: u64, closed: &Closed, now: Now) {
        let has = |gate: &Gate| *gate.gateway == *gateway && gate.open.contains_key(&batch);
        let sessions = self.sessions.iter().flatten().filter(|session| !session.closing);
        let ids: Vec<SessionId> = sessions
            .filter(|session| session.gate.as_deref().is_some_and(has))
            .map(|session| session.id)
            .collect();
        for id in ids {
            let Some(mut gate) = self.take_gate(id) else { continue };
            if let Some(open) = gate.open.remove(&batch) {
                let said = self.batch_closed(batch, closed);
                self.gate_say(id, &mut gate, open.correlation, &Message::BatchClosed(said), now);
            }
            self.put_gate(id, gate);
        }
    }

    fn close_batch(&mut self, asked: Asked, batch: u64, closed: Closed) {
        self.counts.gates.batches_differ += u64::from(closed.differs != 0);
        // It follows from parts that were proven, each by its MAC.
        let event = waive(Waiver::OwnCustody, Box::new((asked, GateEvent::Close { batch, closed })));
        self.requests.push_back(Event::Gate(event));
    }

    fn gate_answer(&mut self, asked: &Asked, gate: &mut Gate, said: GateSaid, now: Now) {
        let (id, correlation) = (asked.session, asked.correlation);
        match said {
            GateSaid::State { batch, announced, stored, closed } => {
                let next = match closed {
                    Some(_) => announced.records,
                    None => self.gate_batches.next(&asked.gateway, batch, announced),
                };
                gate.note(batch, OpenHere { records: announced.records, reach: next, correlation });
                let state = u8::from(closed.is_some());
                let said = BatchState { batch, state, stored, next, credits: gate.grant() };
                self.gate_say(id, gate, correlation, &Message::BatchState(said), now);
                if let Some(closed) = closed {
                    let said = self.batch_closed(batch, &closed);
                    self.gate_say(id, gate, correlation, &Message::BatchClosed(said), now);
                }
            }
            // Told already, to whoever speaks of the batch now.
            GateSaid::Closed { .. } => {}
            GateSaid::Conflict => {
                self.gate_fault(id, gate, correlation, Fault::of(ErrorCode::BatchConflict, false), now);
            }
            GateSaid::Unannounced { batch, records } => {
                gate.records_answered += u64::from(records);
                gate.open.remove(&batch);
                self.gate_fault(id, gate, correlation, Fault::of(ErrorCode::BatchUnknown, false), now);
            }
            GateSaid::TooMany => {
                let fault =
                    Fault { retry_after_ms: Some(RETRY_MS), ..Fault::of(ErrorCode::BatchMany, false) };
                self.gate_fault(id, gate, correlation, fault, now);
            }
            GateSaid::Busy { part, draining } => {
                if let Some(part) = part {
                    gate.records_answered += part.taps.len() as u64;
                    let next = part.batch.and_then(|batch| self.gate_batches.reached(&asked.gateway, batch));
                    let open = part.batch.and_then(|batch| gate.open.get_mut(&batch));
                    if let (Some(open), Some(next)) = (open, next) {
                        open.reach = next;
                    }
                }
                let code = if draining { ErrorCode::NotReady } else { ErrorCode::Overload };
                let fault = Fault { retry_after_ms: Some(RETRY_MS), ..Fault::of(code, false) };
                self.gate_fault(id, gate, correlation, fault, now);
            }
            GateSaid::Verdicts { part, verdicts } => {
                gate.records_answered += verdicts.len() as u64;
                self.say_verdicts(asked, gate, &part, &verdicts, now);
            }
            GateSaid::Totals { date, kind, sums, known, open } => {
                let counted = gate.counted.remove(&correlation);
                if !known {
                    let fault = Fault::of(ErrorCode::DateUnknown, false);
                    return self.gate_fault(id, gate, correlation, fault, now);
                }
                let said = totals_answer(self.date(date), kind, &sums, counted, open);
                self.gate_say(id, gate, correlation, &Message::TotalsAnswer(said), now);
            }
        }
    }

    fn say_verdicts(
        &mut self,
        asked: &Asked,
        gate: &mut Gate,
        part: &Part,
        verdicts: &[(Verdict, BusinessDate)],
        now: Now,
    ) {
        let (id, correlation) = (asked.session, asked.correlation);
        let new = verdicts.iter().find(|(verdict, _)| *verdict == Verdict::Stored);
        let base = new.map_or(self.core.durable.dates.current, |(_, date)| *date);
        let stored = |verdict: Verdict| {
            matches!(
                verdict,
                Verdict::Stored | Verdict::StoredEarlier | Verdict::Conflict | Verdict::Suspended
            )
        };
        let reasons = reasons(part, verdicts);
        let Some(batch) = part.batch else {
            let Some((verdict, date)) = verdicts.first().copied() else { return };
            let said = TapVerdict {
                verdict: verdict.number(),
                level: if stored(verdict) { level::STORED } else { 0 },
                business_date: self.date(date),
                credits: gate.grant(),
                reason: reasons.first().map(|(_, reason)| *reason),
            };
            return self.gate_say(id, gate, correlation, &Message::TapVerdict(said), now);
        };
        let numbers: Vec<u8> = verdicts.iter().map(|(verdict, _)| verdict.number()).collect();
        let (mut reason_bytes, mut earlier_bytes) = (Vec::new(), Vec::new());
        for (index, reason) in &reasons {
            Reasons::push(*index, reason, &mut reason_bytes);
        }
        let mut at = 0;
        while let Some((verdict, date)) = verdicts.get(at).copied() {
            let run = verdicts[at..].iter().take_while(|one| one.1 == date && stored(one.0)).count().max(1);
            if date != base && stored(verdict) {
                Earlier::push(at as u16, run as u16, self.date(date), &mut earlier_bytes);
            }
            at += run;
        }
        let Some(verdicts) = Verdicts::new(&numbers) else { return };
        let said = BatchVerdicts {
            batch,
            first: part.first,
            level: level::STORED,
            business_date: self.date(base),
            credits: gate.grant(),
            verdicts,
            reasons: Reasons::new(&reason_bytes).filter(|_| !reason_bytes.is_empty()),
            earlier: Earlier::new(&earlier_bytes).filter(|_| !earlier_bytes.is_empty()),
        };
        self.gate_say(id, gate, correlation, &Message::BatchVerdicts(said), now);
    }

    fn batch_closed(&self, batch: u64, closed: &Closed) -> BatchClosed {
        let of = |verdict: Verdict| closed.counts[usize::from(verdict.number())];
        BatchClosed {
            batch,
            differs: closed.differs,
            business_date: self.date(closed.date),
            amount_fen: closed.amount_fen,
            hash: closed.hash,
            stored: of(Verdict::Stored),
            stored_earlier: of(Verdict::StoredEarlier),
            unreadable: of(Verdict::Unreadable),
            outside_window: of(Verdict::OutsideWindow),
            not_accepted: of(Verdict::NotAccepted),
            conflict: of(Verdict::Conflict),
            suspended: of(Verdict::Suspended),
        }
    }

    /// A business date as the protocol writes it; before the first cut-over there is none, and the day of the epoch
    /// stands for it.
    pub(super) fn date(&self, date: BusinessDate) -> Date {
        let epoch = || Date::new(19_700_101).expect("a day that exists");
        Date::new(date.0).or_else(|| Date::new(self.core.durable.dates.current.0)).unwrap_or_else(epoch)
    }
}

/// Why records cannot be read, by their index.
fn reasons(part: &Part, verdicts: &[(Verdict, BusinessDate)]) -> Vec<(u16, Unreadable)> {
    if verdicts.iter().all(|(verdict, _)| *verdict != Verdict::Unreadable) {
        return Vec::new();
    }
    let Ok(records) = Records::new(part.taps.len() as u16, &part.records) else { return Vec::new() };
    let unread = records.iter().zip(0u16..).filter_map(|(raw, index)| {
        let error = Record::decode(raw).err()?;
        Some((index, Unreadable::of(&error)))
    });
    unread.collect()
}

fn totals_answer(
    date: Date,
    kind: u8,
    sums: &TapSums,
    theirs: Option<Counted>,
    open: bool,
) -> TotalsAnswer<'static> {
    let ours = (sums.count, sums.amount_fen, sums.hash);
    let agrees = theirs.is_some_and(|theirs| (theirs.count, theirs.amount_fen, theirs.hash) == ours);
    let (count, amount_fen, hash) = ours;
    TotalsAnswer {
        date,
        kind,
        result: u8::from(!agrees),
        closed: u8::from(!open),
        count,
        amount_fen,
        hash,
        text: None,
    }
}
