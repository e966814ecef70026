//! The checkers. Each compares what the switch did with what somebody else wrote down: the wires, the banks' books, the
//! terminals' ledgers, a second reading of the journal. None of them asks the core what it thinks of itself.

use super::observe::{AskKey, Seen};
use super::run::Violation;
use super::setting::TINY_LATE_MAX;
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};
use yika_codec::{Kind, Mti};
use yika_keystore::Keystore;
use yika_loadgen::ledger::{Ledger, State};
use yika_loadgen::reconcile;
use yika_switch::config::Config;
use yika_switch::core::books::{MoneyOf, Side, money_of};
use yika_switch::core::entry::{Discharge, Entry, Intent, LateEffect, LegIntent, Outcome, Owed};
use yika_switch::core::ids::{ParticipantId, TxId};
use yika_switch::driver::Driver;
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::journal::recovery::scan;
use yika_switch::journal::{Opened, replay as replay_journal};

/// Codes without a transaction (rule 2), and the clash of keys.
const REFUSALS: [[u8; 2]; 7] = [*b"30", *b"58", *b"77", *b"94", *b"96", *b"97", *b"A0"];
/// What a payment is told after its reversal.
const REVERSED: [u8; 2] = *b"12";

/// What a journal says, read by itself.
#[derive(Default)]
pub(super) struct Read {
    names: BTreeMap<ParticipantId, String>,
    intents: BTreeMap<TxId, Intent>,
    /// How each transaction ended: the code told.
    ends: BTreeMap<TxId, [u8; 2]>,
    legs: BTreeSet<(ParticipantId, Mti, u32, [u8; 12])>,
    /// Payments that ended as named exceptions, by F41 and F37.
    named: BTreeSet<([u8; 8], [u8; 12])>,
    /// Payments of whose reversal nothing is remembered any more.
    forgotten: BTreeSet<([u8; 8], [u8; 12])>,
    owed: BTreeMap<u64, ([u8; 8], TxId)>,
    pub(super) kinds: BTreeMap<String, u64>,
    /// What the journal tells of each transaction, for people.
    story: BTreeMap<TxId, Vec<String>>,
    twice: Option<TxId>,
}

impl Read {
    /// # Errors
    /// The journal cannot be read.
    pub(super) fn of(disk: &FaultyDisk, keys: &Keystore) -> Result<Read, Violation> {
        let mut read = Read::default();
        scan(disk, keys, |_, record| {
            let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
            read.entry(entry);
            Ok(())
        })
        .map_err(|e| Violation::new(format!("P12: a journal that nothing damaged cannot be read: {e}")))?;
        Ok(read)
    }

    fn entry(&mut self, entry: Entry) {
        let kind = format!("{entry:?}");
        let kind = kind.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
        *self.kinds.entry(kind).or_default() += 1;
        match entry {
            Entry::Named { id, name } => {
                self.names.insert(id, name);
            }
            Entry::Intent(intent) => self.intent(*intent),
            Entry::Step(step) => self.leg(&step.next),
            Entry::Outcome(outcome) => self.outcome(&outcome),
            Entry::Taken(taken) => {
                self.intent(taken.intent);
                self.outcome(&taken.outcome);
            }
            Entry::Late(late) => {
                self.tell(
                    late.of.tx,
                    format!(
                        "{} late: {} from {}, {:?}",
                        late.of.tx, late.code, late.participant, late.effect
                    ),
                );
                match late.effect {
                    LateEffect::Reopened(owed) => self.owe(&owed),
                    LateEffect::Excepted(id) => self.exception(id.0),
                    _ => {}
                }
            }
            Entry::Discharged { id, how } => {
                if let Some((_, tx)) = self.owed.get(&id.0).copied() {
                    self.tell(tx, format!("{tx} discharges {id}: {how:?}"));
                }
                if matches!(how, Discharge::Refused { .. } | Discharge::Settled { .. }) {
                    self.exception(id.0);
                }
            }
            Entry::Forgotten { id } => self.forgotten.extend(self.payment_of(id.0)),
            _ => {}
        }
    }

    fn tell(&mut self, tx: TxId, what: String) {
        self.story.entry(tx).or_default().push(what);
    }

    /// All that the journal tells of a payment.
    fn story_of(&self, terminal: &[u8; 8], rrn: &[u8; 12]) -> String {
        let own =
            self.intents.iter().filter(|(_, intent)| intent.terminal == *terminal && intent.rrn == *rrn);
        own.flat_map(|(tx, _)| self.story.get(tx))
            .flatten()
            .fold(String::new(), |all, one| all + "\n    " + one)
    }

    fn intent(&mut self, intent: Intent) {
        let legs: Vec<String> = intent
            .legs
            .iter()
            .map(|leg| format!("{} F11 {:06}", leg.participant, leg.identity.stan))
            .collect();
        let what = format!(
            "{} {} F11 {:06} over {} to [{}]",
            intent.tx,
            intent.kind.as_str(),
            intent.stan,
            intent.money.minor,
            legs.join(", ")
        );
        self.tell(intent.tx, what);
        *self.kinds.entry(format!("intent of a {}", intent.kind.as_str())).or_default() += 1;
        intent.legs.iter().for_each(|leg| self.leg(leg));
        self.intents.insert(intent.tx, intent);
    }

    fn leg(&mut self, leg: &LegIntent) {
        let id = leg.identity;
        self.legs.insert((leg.participant, id.mti.without_repeat(), id.stan, id.rrn));
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let legs: Vec<String> =
            outcome.legs.iter().map(|end| format!("{:?} {}", end.state, end.agreed)).collect();
        let what = format!(
            "{} ends {:?} with {}, approved {}, legs [{}], owes {}",
            outcome.tx,
            outcome.reason,
            outcome.code,
            outcome.approved,
            legs.join(", "),
            outcome.owed.len()
        );
        self.tell(outcome.tx, what);
        *self.kinds.entry(format!("outcome {:?}", outcome.reason)).or_default() += 1;
        if self.ends.insert(outcome.tx, *outcome.code.bytes()).is_some() {
            self.twice = Some(outcome.tx);
        }
        outcome.owed.iter().for_each(|owed| self.owe(owed));
    }

    fn owe(&mut self, owed: &Owed) {
        *self.kinds.entry(format!("owed {:?}", owed.kind)).or_default() += 1;
        let id = owed.identity;
        self.legs.insert((owed.participant, id.mti.without_repeat(), id.stan, id.rrn));
        self.owed.insert(owed.id.0, (owed.terminal, owed.of.tx));
        let what = format!(
            "{} owes {:?} {} F11 {:06} to {} over {}",
            owed.of.tx, owed.kind, owed.id, id.stan, owed.participant, owed.money.minor
        );
        self.tell(owed.of.tx, what);
    }

    fn exception(&mut self, id: u64) {
        self.named.extend(self.payment_of(id));
    }

    /// F41 and F37 of the payment that an obligation is of.
    fn payment_of(&self, id: u64) -> Option<([u8; 8], [u8; 12])> {
        let (terminal, tx) = self.owed.get(&id)?;
        Some((*terminal, self.intents.get(tx)?.rrn))
    }

    /// A repeat that first got through when its window was over is told 94 and taken by nobody (rule 3), though its
    /// terminal takes 94 for "as before".
    fn was_too_old(&self, entry: &yika_loadgen::ledger::Entry) -> bool {
        let own = |intent: &Intent| {
            intent.terminal == entry.terminal.0 && intent.rrn == entry.rrn.0 && intent.kind == entry.kind
        };
        entry.code.0 == *b"94" && !self.intents.values().any(own)
    }

    /// The codes that a request of a terminal was told, by the journal.
    fn told(&self) -> BTreeMap<AskKey, BTreeSet<[u8; 2]>> {
        let mut told: BTreeMap<AskKey, BTreeSet<[u8; 2]>> = BTreeMap::new();
        for (tx, intent) in &self.intents {
            let key = (intent.terminal, intent.mti.response(), intent.stan, intent.rrn);
            told.entry(key).or_default().extend(self.ends.get(tx));
        }
        told
    }
}

/// P1, P2, P3, P4 over everything that was ever seen on the wires, against what the disk holds now.
pub(super) fn journal(disk: &FaultyDisk, keys: &Keystore, seen: &Seen) -> Result<(), Violation> {
    let read = Read::of(disk, keys)?;
    if let Some(tx) = read.twice {
        return Err(Violation::new(format!("P4: transaction {tx} has two outcomes")));
    }
    let ids: BTreeMap<&str, ParticipantId> =
        read.names.iter().map(|(id, name)| (name.as_str(), *id)).collect();
    for (bank, mti, stan, rrn) in &seen.legs {
        let known = ids.get(bank).is_some_and(|id| read.legs.contains(&(*id, *mti, *stan, *rrn)));
        if !known {
            let what =
                format!("P1: {bank} has a {mti} with F11 {stan:06} that no intent on the disk tells of");
            return Err(Violation::new(what));
        }
    }
    let told = read.told();
    for (key, codes) in &seen.answers {
        let (terminal, mti, stan, rrn) = key;
        let reversed = seen.reversals.contains(&(*terminal, *rrn));
        let who = format!("{mti} of {} F11 {stan:06}", String::from_utf8_lossy(terminal));
        let decisions = codes.iter().filter(|code| !REFUSALS.contains(code));
        let decisions: Vec<_> = decisions.filter(|code| !(reversed && **code == REVERSED)).collect();
        if decisions.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(Violation::new(format!("P3: {who} was answered with {}", texts(codes))));
        }
        let durable = told.get(key);
        if let Some(code) = decisions.first()
            && !durable.is_some_and(|told| told.contains(*code))
        {
            let held =
                durable.map(|told| texts(&told.iter().copied().collect::<Vec<_>>())).unwrap_or_default();
            let what = format!("P2: {who} was told {}, the disk holds [{held}]", texts(&[**code]));
            return Err(Violation::new(what));
        }
    }
    Ok(())
}

fn texts(codes: &[[u8; 2]]) -> String {
    codes.iter().map(|code| String::from_utf8_lossy(code).into_owned()).collect::<Vec<_>>().join(", ")
}

/// P8: a replay of the disk gives the state of the process.
pub(super) fn replay(driver: &Driver, disk: &FaultyDisk, keys: &Keystore) -> Result<(), Violation> {
    let replayed = replay_journal(disk, keys).map_err(|e| Violation::new(format!("P8: no replay: {e}")))?;
    if replayed.durable.to_bytes() == driver.core.durable.to_bytes() {
        Ok(())
    } else {
        Err(Violation::new("P8: a replay gives another state"))
    }
}

/// P7 at every moment, and P9.
pub(super) fn bounds(driver: &Driver, config: &Config) -> Result<(), Violation> {
    let durable = &driver.core.durable;
    let unaccounted: i64 = durable.books.books().map(|(_, book)| book.unaccounted().abs()).sum();
    if unaccounted != 0 {
        return Err(Violation::new(format!("P7: {unaccounted} fen stand on no book")));
    }
    let bounds = &config.bounds;
    // A late approval that opens a reversal again may come on top; no seed has been seen where that mattered.
    let held = [
        ("transactions in flight", durable.open.len(), bounds.open_max),
        ("dedupe keys", durable.dedupe.len(), bounds.dedupe_max + bounds.dedupe_max / 4 + 1),
        (
            "obligations",
            durable.obligations.len() + 2 * durable.open.len(),
            bounds.obligations_max + bounds.obligations_max / 4,
        ),
        ("exceptions", durable.exceptions.len(), bounds.obligations_max.max(1)),
        ("reversals that ended as unknown", durable.lapsed.len(), bounds.late_max.max(1)),
        ("bytes of live messages", driver.messages().bytes(), config.rim.message_bytes_max),
        ("sessions", driver.sessions_open(), config.rim.sessions_max),
    ];
    match held.iter().find(|(_, held, most)| held > most) {
        Some((what, held, most)) => Err(Violation::new(format!("P9: {held} {what}, the bound is {most}"))),
        None => Ok(()),
    }
}

/// A disk with one bit flipped: true when its damage is found. What is taken for whole must be whole, but for a last
/// frame that nothing vouches for.
pub(super) fn damaged(rotten: &FaultyDisk, whole: &FaultyDisk, keys: &Keystore) -> Result<bool, Violation> {
    let Ok(Opened { durable, scan }) = replay_journal(rotten, keys) else { return Ok(true) };
    let good = replay_journal(whole, keys).map_err(|e| Violation::new(format!("P12: {e}")))?;
    let same = durable.to_bytes() == good.durable.to_bytes();
    let last_only = scan.torn.is_some() && scan.last_frame + 2 >= good.scan.last_frame;
    if same || last_only {
        return Ok(scan.torn.is_some());
    }
    let what =
        format!("P12: a flipped bit went unnoticed: frame {} of {}", scan.last_frame, good.scan.last_frame);
    Err(Violation::new(what))
}

/// Everything that must hold when all is quiet.
pub(super) fn at_rest(world: &mut World) -> Result<(), Violation> {
    journal(&world.disk, &world.keys, &world.seen)?;
    let Some(driver) = &world.switch else { return Err(Violation::new("P5: the switch is gone at the end")) };
    replay(driver, &world.disk, &world.keys)?;
    let mut read = Read::of(&world.disk, &world.keys)?;
    if world.setting.config.bounds.late_max <= TINY_LATE_MAX {
        // At this bound the oldest watch is let go, and an approval that comes later still is not matched.
        read.named.append(&mut read.forgotten);
    }
    if let Some(tx) = read.intents.keys().find(|tx| !read.ends.contains_key(tx)) {
        return Err(Violation::new(format!("P4: transaction {tx} has no outcome")));
    }
    let mut terminals: Vec<Ledger> = world.crews.iter().map(|crew| crew.ledger("terminals")).collect();
    for ledger in &mut terminals {
        ledger.entries.retain(|entry| !read.was_too_old(entry));
    }
    let banks: Vec<Ledger> = world.banks.iter().map(|bank| bank.desk.ledger()).collect();
    money(&terminals, &banks, &read)?;
    totals(driver, &banks, &read)?;
    let wrong: u64 = world.crews.iter().map(|crew| crew.faults()[0]).sum();
    if wrong > 0 {
        return Err(Violation::new(format!(
            "rule 11: {wrong} answers over another amount reached terminals"
        )));
    }
    world.coverage.read(&read.kinds);
    secrets(&world.disk)
}

/// P3, P5, P6: terminals and banks agree on every payment, but for exceptions that have a name.
fn money(terminals: &[Ledger], banks: &[Ledger], read: &Read) -> Result<(), Violation> {
    let result = reconcile(terminals, banks);
    let named = |terminal: &[u8; 8], rrn: &[u8; 12]| read.named.contains(&(*terminal, *rrn));
    let odd = result.mismatches.iter().find(|odd| !named(&odd.terminal.0, &odd.rrn.0));
    match odd {
        Some(odd) => {
            let story = read.story_of(&odd.terminal.0, &odd.rrn.0);
            Err(Violation::new(format!("money: {odd:?}{story}")))
        }
        None if result.open > 0 => {
            Err(Violation::new(format!("money: {} payments have no end", result.open)))
        }
        None => Ok(()),
    }
}

/// P7 from outside: what the switch says each bank agreed to is what the bank booked.
fn totals(driver: &Driver, banks: &[Ledger], read: &Read) -> Result<(), Violation> {
    if !read.named.is_empty() {
        // An exception is a difference by definition.
        return Ok(());
    }
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for ((_, _, side, who), sum) in driver.core.durable.books.sums() {
        if let (Side::Issuer, Some(name)) = (side, read.names.get(who)) {
            let net = |plus: u64, minus: u64| plus as i64 - minus as i64;
            *sums.entry(name).or_default() += net(sum.debits.minor, sum.debit_reversals.minor)
                - net(sum.credits.minor, sum.credit_reversals.minor);
        }
    }
    for bank in banks {
        let booked: i64 = bank
            .entries
            .iter()
            .filter(|e| e.state == State::Approved)
            .map(|e| signed(e.kind, e.amount))
            .sum();
        let agreed = sums.get(bank.name.as_str()).copied().unwrap_or(0);
        if booked != agreed {
            let what = format!("P7: {} has booked {booked} fen, the switch's totals say {agreed}", bank.name);
            return Err(Violation::new(what));
        }
    }
    Ok(())
}

fn signed(kind: Kind, minor: u64) -> i64 {
    match money_of(kind) {
        MoneyOf::Debit => minor as i64,
        MoneyOf::Credit | MoneyOf::UndoesDebit => -(minor as i64),
        _ => 0,
    }
}

/// P10: no test card's number stands on the disk, in digits or packed.
fn secrets(disk: &FaultyDisk) -> Result<(), Violation> {
    let bytes = disk.all_bytes();
    // Cards have numbers from 1 to 4 behind their prefix, and a check digit.
    let packed = |seen: &[u8]| {
        (seen.starts_with(&[0x41, 0x11, 0x11]) || seen.starts_with(&[0x62, 0x22, 0]))
            && seen[3..7] == [0; 4]
            && (0x10..0x50).contains(&seen[7])
    };
    let plain = |seen: &[u8]| seen == b"41111100" || seen == b"62220000";
    match bytes.windows(8).find(|seen| packed(seen) || plain(seen)) {
        Some(_) => Err(Violation::new("P10: a card number stands on the disk in clear")),
        None => Ok(()),
    }
}
