//! The pure core at work: whole payments through `Core::apply`, a request, the news that it was written, and
//! the answer. Makes the entries that the journal's figures use as well, so that these are of real size.

use crate::alloc;
use crate::city::{Mac, configuration};
use crate::codec_run::REFERENCE;
use crate::error::BenchError;
use crate::measure::Cost;
use crate::report::{Budget, Report, Row};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use yika_codec::{Code, FieldSet, Layout, digits};
use yika_keystore::{Keystore, Waiver, waive};
use yika_switch::config::{Config, core_settings, parse, participant_names};
use yika_switch::core::batch::Batch;
use yika_switch::core::durable::Durable;
use yika_switch::core::effect::{Answer, Body, Effect, Event, Request, SendOf};
use yika_switch::core::facts::Facts;
use yika_switch::core::ids::{LineId, ListenerNo, MsgHandle, Now, Peer, SessionId};
use yika_switch::core::{Core, name_participants};
use yika_switch::driver::facts::facts;
use yika_switch::driver::rim::Rim;

/// A core with two reachable banks, and the payments that go through it.
pub(crate) struct Till {
    core: Core,
    now: Now,
    facts: Facts,
    custody: FieldSet,
    record: FieldSet,
    made: u64,
}

/// 2026-11-23 23:30:15 UTC.
pub(crate) const BEGINNING_MS: u64 = 1_795_476_615_000;
/// A terminal's trace numbers.
const STANS: u64 = 999_999;

impl Till {
    /// The first batch names the participants; a journal must have it before all others.
    pub(crate) fn open(keys: &Keystore, dedupe_window_ms: u64) -> Result<(Till, Batch), BenchError> {
        let mut config = config()?;
        config.limits.dedupe_window_ms = dedupe_window_ms;
        // Kept payments are forgotten at the same rate, so that the state neither grows nor shrinks.
        config.limits.original_window_ms = dedupe_window_ms;
        let now = Now { mono_us: 1, wall_ms: BEGINNING_MS };
        let mut durable = Durable::new(keys.hash_seed());
        let mut batch = Batch::new(now.wall_ms);
        let ids = name_participants(&mut durable, &mut batch, participant_names(&config));
        let mut core = Core::new(durable, Arc::new(core_settings(&config, &ids)));
        core.recover(now, &mut batch);
        for (name, participant) in &ids {
            if name.starts_with("bank") {
                core.apply(now, Event::Reachable { participant: *participant, lines: 4 }, &mut batch);
            }
        }
        let setup = BenchError::setup("the core");
        let rim = Rim::new(&config, &ids);
        let listener = rim.listener(ListenerNo(0)).ok_or_else(|| setup(&"it has no listener"))?;
        let mut layout = Layout::default();
        listener.dialect.decode(REFERENCE, &mut layout).map_err(|e| setup(&e))?;
        let message = listener.dialect.message(REFERENCE, &layout);
        let (facts, custody) =
            facts(&message, listener, ListenerNo(0), now.wall_ms, config.zone_minutes, &keys.tokenizer())
                .map_err(|unfit| setup(&unfit.what))?;
        let mut record = FieldSet::new();
        record.set(38, b"A12345");
        Ok((Till { core, now, facts, custody, record, made: 0 }, batch))
    }

    /// `count` new payments.
    pub(crate) fn requests(&mut self, count: usize) -> Vec<Event> {
        self.now.mono_us += 1000;
        self.now.wall_ms += 1;
        (0..count).map(|at| self.request(at as u32)).collect()
    }

    /// What follows the requests whose batch this is: each was written, and each was approved.
    pub(crate) fn answers(&self, requested: &Batch) -> Vec<Event> {
        let mut events = Vec::new();
        for effect in &requested.effects {
            let Effect::Send(send) = effect else { continue };
            let (SendOf::Leg(_), Body::Live(_)) = (send.of, &send.body) else { continue };
            events.push(Event::Written(send.of));
            let answer = Answer {
                participant: send.participant,
                line: LineId(0),
                mti: send.identity.mti.response(),
                stan: send.identity.stan,
                sent_at: Some(send.identity.sent_at),
                terminal: Some(self.facts.terminal),
                rrn: Some(send.identity.rrn),
                code: Some(Code::new(*b"00")),
                amount: Some(send.money.minor),
                currency: Some(send.money.currency),
                card: self.facts.card.map(|card| card.token),
                settled: None,
                record: self.record.clone(),
            };
            events.push(Event::Answer(waive(Waiver::NoMacKey, answer)));
        }
        events
    }

    pub(crate) fn apply(&mut self, events: Vec<Event>) -> Batch {
        let mut batch = Batch::default();
        self.apply_to(&mut batch, events);
        batch
    }

    /// The same with a batch that is used again, as the driver does.
    pub(crate) fn apply_to(&mut self, batch: &mut Batch, events: Vec<Event>) {
        batch.clear();
        batch.wall_ms = self.now.wall_ms;
        for event in events {
            self.core.apply(self.now, event, batch);
        }
    }

    pub(crate) fn approved(&self) -> u64 {
        self.core.counters.approved
    }

    pub(crate) fn dedupe_keys(&self) -> usize {
        self.core.durable.dedupe.len()
    }

    fn request(&mut self, slot: u32) -> Event {
        self.made += 1;
        let mut facts = self.facts.clone();
        facts.stan = (self.made % STANS) as u32 + 1;
        // A terminal counts to its last trace number, then the reference's minute is another one.
        facts.local_at = facts.local_at.map(|at| at + (self.made / STANS) as u32);
        facts.rrn = Some(digits(self.made));
        let peer = Peer::Session(SessionId { slot: slot % 64, generation: 0 });
        let msg = MsgHandle { slot, generation: self.made as u32 };
        let request = Request {
            peer,
            msg,
            facts,
            custody: self.custody.clone(),
            signed_on: false,
            proven: true,
            reference: None,
            sign_in: None,
        };
        Event::Request(waive(Waiver::NoMacKey, request))
    }
}

pub(crate) fn config() -> Result<Config, BenchError> {
    let nobody = ([127, 0, 0, 1], 1).into();
    Ok(parse("bench", &configuration(Path::new("data"), Mac::Cmac, nobody, nobody), Path::new("."))?)
}

/// Events of one turn under load.
const BATCH: usize = 64;
/// Short, so that forgetting is part of the figure: with a batch each millisecond some 128,000 keys are held.
const WINDOW_MS: u64 = 2_000;

pub(crate) fn run(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let keys = Keystore::in_memory(yika_keystore::Lmk::test());
    let (mut till, _) = Till::open(&keys, WINDOW_MS)?;
    let batches_a_repeat = 500;
    let repeats = if quick { 5 } else { 15 };
    let (mut whole, mut asked, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    // The first repeats fill the window.
    let filling = (WINDOW_MS as usize).div_ceil(batches_a_repeat);
    let (mut requested, mut ended) = (Batch::default(), Batch::default());
    for repeat in 0..filling + repeats {
        let (mut request_ns, mut answer_ns) = (0u64, 0u64);
        for _ in 0..batches_a_repeat {
            let requests = till.requests(BATCH);
            let began = Instant::now();
            till.apply_to(&mut requested, requests);
            request_ns += began.elapsed().as_nanos() as u64;
            let answers = till.answers(&requested);
            let began = Instant::now();
            till.apply_to(&mut ended, answers);
            answer_ns += began.elapsed().as_nanos() as u64;
        }
        if repeat >= filling {
            let payments = (batches_a_repeat * BATCH) as f64;
            asked.push(request_ns as f64 / payments);
            answered.push(answer_ns as f64 / payments);
            whole.push((request_ns + answer_ns) as f64 / payments);
        }
    }
    let made = ((filling + repeats) * batches_a_repeat * BATCH) as u64;
    if till.approved() != made {
        let why = format!("{} of {made} payments were approved", till.approved());
        return Err(BenchError::Setup { part: "the core", why });
    }
    let held = format!("batches of {BATCH}, {} keys in the dedupe window", till.dedupe_keys());
    report.add(
        Row::cost("core", "apply, a whole payment", Cost::of(whole))
            .budget(Budget::AtMost(1500.0))
            .beside(held),
    );
    let requests = till.requests(BATCH);
    let mut allocations = alloc::count(|| till.apply_to(&mut requested, requests));
    let answers = till.answers(&requested);
    allocations += alloc::count(|| till.apply_to(&mut ended, answers));
    report.add(
        Row::new("core", "allocations of it", allocations as f64 / BATCH as f64, "").beside("a payment"),
    );
    report.add(Row::cost("core", "of that: request", Cost::of(asked)));
    report.add(Row::cost("core", "of that: written and answer", Cost::of(answered)));
    Ok(())
}

/// How many payments the budget of memory speaks of.
const KEPT: usize = 1_000_000;

/// What a core holds when that many payments lie in the dedupe window and are kept for voids and refunds.
pub(crate) fn memory(quick: bool, report: &mut Report) -> Result<(), BenchError> {
    let keys = Keystore::in_memory(yika_keystore::Lmk::test());
    let before = resident_mb()?;
    let (mut till, _) = Till::open(&keys, 3_600_000)?;
    let wanted = if quick { KEPT / 10 } else { KEPT };
    let (mut requested, mut ended) = (Batch::default(), Batch::default());
    for _ in 0..wanted / BATCH {
        let requests = till.requests(BATCH);
        till.apply_to(&mut requested, requests);
        let answers = till.answers(&requested);
        till.apply_to(&mut ended, answers);
    }
    let held = till.dedupe_keys();
    let row = Row::new("core", format!("memory with {held} payments kept"), resident_mb()? - before, "MB");
    let row = if quick { row } else { row.budget(Budget::AtMost(300.0)) };
    report.add(row.beside("all in the dedupe window, one leg each; without journal and connections"));
    Ok(())
}

/// What this process holds in memory, in megabytes: the second number of `/proc/self/statm`, in pages of 4 KiB.
fn resident_mb() -> Result<f64, BenchError> {
    let path = "/proc/self/statm";
    let text = std::fs::read_to_string(path).map_err(BenchError::io("read", path))?;
    let pages: f64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    Ok(pages * 4096.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_payment_is_asked_for_and_approved() {
        let keys = Keystore::in_memory(yika_keystore::Lmk::test());
        let (mut till, first) = Till::open(&keys, 60_000).unwrap();
        assert!(first.count > 0);
        for _ in 0..3 {
            let requests = till.requests(10);
            let requested = till.apply(requests);
            assert_eq!(requested.count, 10);
            let answers = till.answers(&requested);
            assert_eq!(answers.len(), 20);
            assert_eq!(till.apply(answers).count, 10);
        }
        assert_eq!((till.approved(), till.dedupe_keys()), (30, 30));
    }
}
