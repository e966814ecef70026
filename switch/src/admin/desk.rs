//! Answers operators on the switch's own thread, between turns: looking is done at once, changing goes
//! through the core and is answered when it is durable.

use super::books::{exceptions, totals};
use super::metrics::Snapshot;
use super::{Command, ObligationView, ParticipantStatus, Status};
use crate::core::durable::{Durable, PartyCounts};
use crate::core::ids::ParticipantId;
use crate::driver::Driver;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

type Waiting = oneshot::Sender<Result<(), String>>;

#[derive(Default)]
pub struct Desk {
    waiting: BTreeMap<u64, Waiting>,
    last_ticket: u64,
}

/// Obligations listed at most; the count is always exact.
const LISTED_MAX: usize = 10_000;

impl Desk {
    /// A caller that went away is no concern of the switch: failed sends are dropped.
    pub fn take(&mut self, command: Command, driver: &mut Driver) {
        match command {
            Command::Ping(reply) => {
                let _ = reply.send(());
            }
            Command::Ready(reply) => {
                let _ = reply.send(ready(driver));
            }
            Command::Status(reply) => {
                let _ = reply.send(status(driver));
            }
            Command::Obligations(reply) => {
                let _ = reply.send(obligations(&driver.core.durable));
            }
            Command::Exceptions(reply) => {
                let _ = reply.send(exceptions(&driver.core.durable));
            }
            Command::Totals(date, reply) => {
                let _ = reply.send(totals(&driver.core.durable, date));
            }
            Command::Snapshot(reply) => {
                let _ = reply.send(Box::new(Snapshot::of(driver)));
            }
            Command::Settle { id, reason, reply } => {
                let ticket = self.ticket(reply);
                driver.settle(id, reason, ticket);
            }
            Command::CutOver(reply) => {
                let ticket = self.ticket(reply);
                driver.cut_over(ticket);
            }
            Command::KeyChange { name, usage, reply } => {
                let ticket = self.ticket(reply);
                if let Err(why) = driver.change_key(&name, usage, ticket) {
                    self.done(ticket, Some(why));
                }
            }
            Command::SignOff { whom, reply } => {
                let ticket = self.ticket(reply);
                if let Err(why) = driver.sign_off(whom.as_ref(), ticket) {
                    self.done(ticket, Some(why));
                }
            }
            Command::Drain { name, on, reply } => {
                let ticket = self.ticket(reply);
                if let Err(why) = driver.drain_participant(&name, on, ticket) {
                    self.done(ticket, Some(why));
                }
            }
        }
    }

    pub fn done(&mut self, ticket: u64, refused: Option<String>) {
        if let Some(reply) = self.waiting.remove(&ticket) {
            let _ = reply.send(refused.map_or(Ok(()), Err));
        }
    }

    fn ticket(&mut self, reply: Waiting) -> u64 {
        self.last_ticket += 1;
        self.waiting.insert(self.last_ticket, reply);
        self.last_ticket
    }
}

/// # Errors
/// Why no traffic should come.
fn ready(driver: &Driver) -> Result<(), String> {
    if driver.is_draining() {
        return Err("draining: no new work is taken".into());
    }
    driver.journal().spare_trouble().map_or(Ok(()), |why| {
        Err(format!("no spare segment can be made, and new payments are refused when none is left: {why}"))
    })
}

/// Lines and obligations of one participant.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) name: String,
    pub(super) lines_open: usize,
    pub(super) lines: usize,
    pub(super) counts: PartyCounts,
    pub(super) dates_differing: u64,
    pub(super) signed_off: bool,
    pub(super) drained: bool,
}

/// Everybody whom we connect to: each line is looked at once, and nothing else is counted here.
pub(super) fn tallies(driver: &Driver) -> BTreeMap<ParticipantId, Tally> {
    let mut tallies: BTreeMap<ParticipantId, Tally> = BTreeMap::new();
    for (rim, line) in driver.lines() {
        let tally = tallies.entry(rim.participant).or_default();
        if tally.lines == 0 {
            tally.name.clone_from(&rim.name);
            tally.dates_differing =
                driver.core.dates_differing.get(&rim.participant).copied().unwrap_or_default();
            let held = driver.core.durable.participants.get(&rim.participant);
            (tally.signed_off, tally.drained) =
                held.map_or((false, false), |held| (held.signed_off, held.drained));
            tally.counts = driver.core.durable.counts.get(&rim.participant).copied().unwrap_or_default();
        }
        tally.lines += 1;
        tally.lines_open += usize::from(line.carries());
    }
    tallies
}

fn status(driver: &Driver) -> Status {
    let durable = &driver.core.durable;
    let participant = |tally: Tally| ParticipantStatus {
        name: tally.name,
        lines_open: tally.lines_open,
        lines: tally.lines,
        obligations: tally.counts.obligations,
        signed_off: tally.signed_off,
        drained: tally.drained,
    };
    Status {
        pid: std::process::id(),
        draining: driver.is_draining(),
        business_date: durable.dates.current.0,
        sessions: driver.sessions_open(),
        open_transactions: durable.open.len(),
        open_obligations: durable.obligations.len() as u64,
        dedupe_keys: durable.dedupe.len(),
        journal_entries: durable.next_seq.0 - 1,
        gateways: driver.gateways_open(),
        taps: durable.taps.len(),
        batches_open: durable.taps.batches_open(),
        unaccounted: durable.books.unaccounted(),
        participants: tallies(driver).into_values().map(participant).collect(),
    }
}

/// Open obligations, oldest first; also used on a journal that no switch runs on.
pub fn obligations(durable: &Durable) -> Vec<ObligationView> {
    let name = |id| durable.participants.get(&id).map_or(String::new(), |p| p.name.clone());
    let view =
        |(id, held): (&crate::core::ids::ObligationId, &crate::core::durable::Obligation)| ObligationView {
            id: id.0,
            kind: format!("{:?}", held.owed.kind).to_lowercase(),
            participant: name(held.owed.participant),
            transaction: held.owed.of.tx.0,
            card: held.owed.card.map_or(String::new(), |card| card.to_string()),
            amount: held.owed.money.minor,
            currency: held.owed.money.currency.0,
            stan: held.owed.identity.stan,
            date: held.owed.date.0,
            parked: held.parked.map(|code| code.to_string()),
        };
    durable.obligations.iter().take(LISTED_MAX).map(view).collect()
}
