//! A second reading of the journal, by itself: who was asked what, how it ended, what is owed, and the story of each
//! payment for people.

use super::kinds;
use super::observe::{AskKey, LegKey};
use super::run::Violation;
use super::setting::BEGINNING_MS;
use std::collections::{BTreeMap, BTreeSet};
use yika_codec::Mti;
use yika_keystore::Keystore;
use yika_switch::core::entry::{Discharge, Entry, Intent, LateEffect, LegIntent, Outcome, Owed};
use yika_switch::core::ids::{KeyedHash, ParticipantId, TxId};
use yika_switch::core::taps::TapsTaken;
use yika_switch::journal::faulty::FaultyDisk;
use yika_switch::journal::recovery::scan;

/// F41 and F37 of a payment.
pub(super) type Payment = ([u8; 8], [u8; 12]);

/// What a journal says, read by itself.
#[derive(Default)]
pub(super) struct Told {
    pub(super) names: BTreeMap<ParticipantId, String>,
    pub(super) intents: BTreeMap<TxId, Intent>,
    /// How each transaction ended: the code told.
    pub(super) ends: BTreeMap<TxId, [u8; 2]>,
    pub(super) legs: BTreeSet<(ParticipantId, Mti, u32, [u8; 12])>,
    /// Payments that ended as named exceptions, by F41 and F37.
    pub(super) named: BTreeSet<Payment>,
    /// Payments of whose reversal nothing is remembered any more.
    pub(super) forgotten: BTreeSet<Payment>,
    /// Reversals that ended as "unknown": the leg that they were of, and its payment.
    pub(super) unknown: BTreeMap<LegKey, Payment>,
    owed: BTreeMap<u64, Owed>,
    /// Kinds of what was met, counted.
    pub(super) kinds: BTreeMap<String, u64>,
    /// What the journal tells of each transaction, for people.
    story: BTreeMap<TxId, Vec<String>>,
    /// Wall time of the entry that is read, since the beginning, milliseconds.
    at_ms: u64,
    pub(super) twice: Option<TxId>,
    /// Records of taps, and how often each stands there.
    pub(super) taps: BTreeMap<Vec<u8>, u32>,
    /// Keys of taps that are posted.
    pub(super) tap_keys: BTreeMap<KeyedHash, u32>,
}

impl Told {
    /// # Errors
    /// The journal cannot be read.
    pub(super) fn by(disk: &FaultyDisk, keys: &Keystore) -> Result<Told, Violation> {
        let mut told = Told::default();
        scan(disk, keys, |_, record| {
            let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
            told.at_ms = record.wall_ms.saturating_sub(BEGINNING_MS);
            told.entry(entry);
            Ok(())
        })
        .map_err(|e| Violation::new(format!("P12: a journal that nothing damaged cannot be read: {e}")))?;
        Ok(told)
    }

    fn entry(&mut self, entry: Entry) {
        self.met(kinds::entry(&entry));
        match entry {
            Entry::Named { id, name } => {
                self.names.insert(id, name);
            }
            Entry::Intent(intent) => self.intent(*intent),
            Entry::Step(step) => {
                let next = &step.next;
                let what = format!(
                    "the first leg stands over {}; next {} F11 {:06} over {}",
                    step.agreed,
                    self.name(next.participant),
                    next.identity.stan,
                    next.amount
                );
                self.tell(step.tx, what);
                self.leg(&step.next);
            }
            Entry::Outcome(outcome) => self.outcome(&outcome),
            Entry::Taken(taken) => {
                if let Some(found) = &taken.reversal {
                    self.met(kinds::reversal(found));
                }
                self.intent(taken.intent);
                self.outcome(&taken.outcome);
            }
            Entry::Late(late) => {
                self.met(kinds::late(&late.effect));
                let effect = kinds::late(&late.effect);
                self.tell(
                    late.of.tx,
                    format!("{effect}: {} from {}", late.code, self.name(late.participant)),
                );
                match late.effect {
                    LateEffect::Reopened(owed) => self.owe(&owed),
                    LateEffect::Excepted(id) => self.exception(id.0),
                    _ => {}
                }
            }
            Entry::Discharged { id, how } => self.discharged(id.0, &how),
            Entry::Parked { id, code } => {
                self.tell_of(id.0, |id| format!("obligation {id} waits for an operator: {code}"));
            }
            Entry::Forgotten { id } => {
                self.tell_of(id.0, |id| format!("obligation {id} is forgotten"));
                self.forgotten.extend(self.payment_of(id.0));
            }
            Entry::Taps(taken) => self.taps_taken(&taken),
            Entry::CutOver { trigger, .. } => self.met(kinds::cut_over(&trigger)),
            _ => {}
        }
    }

    fn taps_taken(&mut self, taken: &TapsTaken) {
        let mut rest = &taken.records[..];
        for tap in &taken.taps {
            let (record, behind) = rest.split_at(tap.bytes as usize);
            rest = behind;
            *self.taps.entry(record.to_vec()).or_default() += 1;
            if !tap.apart {
                *self.tap_keys.entry(tap.key).or_default() += 1;
            }
        }
    }

    fn met(&mut self, kind: &str) {
        match self.kinds.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.kinds.insert(kind.to_owned(), 1)),
        }
    }

    fn name(&self, id: ParticipantId) -> &str {
        self.names.get(&id).map_or("?", String::as_str)
    }

    fn discharged(&mut self, id: u64, how: &Discharge) {
        self.met(kinds::discharge(how));
        self.tell_of(id, |id| format!("obligation {id} ends: {how:?}"));
        match how {
            Discharge::Refused { .. } | Discharge::Settled { .. } => self.exception(id),
            Discharge::Unknown => {
                let known = self.owed.get(&id).and_then(|owed| Some((owed, owed.original?)));
                if let (Some((owed, leg)), Some(payment)) = (known, self.payment_of(id)) {
                    let Some(bank) = super::setting::bank_named(self.name(owed.participant)) else { return };
                    self.unknown.insert((bank, leg.mti.without_repeat(), leg.stan, leg.rrn), payment);
                }
            }
            Discharge::Acknowledged { .. } | Discharge::NeverSent => {}
        }
    }

    fn tell_of(&mut self, id: u64, what: impl FnOnce(u64) -> String) {
        if let Some(tx) = self.owed.get(&id).map(|owed| owed.of.tx) {
            self.tell(tx, what(id));
        }
    }

    fn tell(&mut self, tx: TxId, what: String) {
        let line = format!("{:>11.3} s  transaction {tx}: {what}", self.at_ms as f64 / 1e3);
        self.story.entry(tx).or_default().push(line);
    }

    /// All that the journal tells of a payment.
    pub(super) fn story_of(&self, (terminal, rrn): &Payment) -> String {
        let own =
            self.intents.iter().filter(|(_, intent)| intent.terminal == *terminal && intent.rrn == *rrn);
        let lines = own.flat_map(|(tx, _)| self.story.get(tx)).flatten();
        let head = "\nthe journal, by the switch's own clock:".to_owned();
        lines.fold(head, |all, one| all + "\n" + one)
    }

    /// F37 of a transaction.
    pub(super) fn rrn_of(&self, tx: TxId) -> Option<[u8; 12]> {
        self.intents.get(&tx).map(|intent| intent.rrn)
    }

    fn intent(&mut self, intent: Intent) {
        let legs: Vec<String> = intent
            .legs
            .iter()
            .map(|leg| {
                format!("{} F11 {:06} over {}", self.name(leg.participant), leg.identity.stan, leg.amount)
            })
            .collect();
        let kind = intent.kind.as_str();
        let what =
            format!("{kind} F11 {:06} over {}, to [{}]", intent.stan, intent.money.minor, legs.join(", "));
        self.tell(intent.tx, what);
        self.met(&format!("intent of a {kind}"));
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
            "ends {:?}, told {} over {}, legs [{}]",
            outcome.reason,
            outcome.code,
            outcome.approved,
            legs.join(", ")
        );
        self.tell(outcome.tx, what);
        self.met(kinds::outcome(&outcome.reason));
        outcome.legs.iter().for_each(|end| self.met(kinds::leg(&end.state)));
        if self.ends.insert(outcome.tx, *outcome.code.bytes()).is_some() {
            self.twice = Some(outcome.tx);
        }
        outcome.owed.iter().for_each(|owed| self.owe(owed));
    }

    fn owe(&mut self, owed: &Owed) {
        self.met(kinds::owed(&owed.kind));
        let id = owed.identity;
        self.legs.insert((owed.participant, id.mti.without_repeat(), id.stan, id.rrn));
        let what = format!(
            "owes {} {:?} F11 {:06} over {}, obligation {}",
            self.name(owed.participant),
            owed.kind,
            id.stan,
            owed.money.minor,
            owed.id
        );
        self.tell(owed.of.tx, what);
        self.owed.insert(owed.id.0, owed.clone());
    }

    fn exception(&mut self, id: u64) {
        self.named.extend(self.payment_of(id));
    }

    /// F41 and F37 of the payment that an obligation is of.
    fn payment_of(&self, id: u64) -> Option<Payment> {
        let owed = self.owed.get(&id)?;
        Some((owed.terminal, self.rrn_of(owed.of.tx)?))
    }

    /// A repeat that first got through when its window was over is told 94 and taken by nobody (rule 3), though its
    /// terminal takes 94 for "as before".
    pub(super) fn was_too_old(&self, entry: &yika_loadgen::ledger::Entry) -> bool {
        let own = |intent: &Intent| {
            intent.terminal == entry.terminal.0 && intent.rrn == entry.rrn.0 && intent.kind == entry.kind
        };
        entry.code.0 == *b"94" && !self.intents.values().any(own)
    }

    /// The codes that a request of a terminal was told, by the journal.
    pub(super) fn codes(&self) -> BTreeMap<AskKey, BTreeSet<[u8; 2]>> {
        let mut told: BTreeMap<AskKey, BTreeSet<[u8; 2]>> = BTreeMap::new();
        for (tx, intent) in &self.intents {
            let key = (intent.terminal, intent.mti.response(), intent.stan, intent.rrn);
            told.entry(key).or_default().extend(self.ends.get(tx));
        }
        told
    }
}
