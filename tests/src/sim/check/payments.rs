//! The family of payments: terminals and banks agree on every payment to the fen, but for exceptions that have a name
//! (P3, P5, P6), what the switch's totals say is what the banks booked (P7), and no terminal is told another amount
//! (rule 11).

use super::{Checker, Rest};
use crate::sim::journal::Payment;
use crate::sim::observe::LegKey;
use crate::sim::run::Violation;
use crate::sim::setting::TINY_LATE_MAX;
use std::collections::{BTreeMap, BTreeSet};
use yika_codec::Kind;
use yika_loadgen::ledger::{Ledger, State};
use yika_loadgen::reconcile;
use yika_switch::core::books::{MoneyOf, Side, money_of};

pub(super) struct Payments;

impl Checker for Payments {
    fn at_rest(&self, rest: &Rest<'_>) -> Result<(), Violation> {
        let named = excused(rest);
        money(rest, &named)?;
        if named.is_empty() {
            // An exception is a difference by definition.
            totals(rest)?;
        }
        match rest.wrong_amounts {
            0 => Ok(()),
            wrong => {
                Err(Violation::new(format!("rule 11: {wrong} answers over another amount reached terminals")))
            }
        }
    }
}

/// Payments over which both sides may differ: each stands by name in the journal, or nobody could know.
fn excused(rest: &Rest<'_>) -> BTreeSet<Payment> {
    let told = rest.told;
    let mut named = told.named.clone();
    if rest.config.bounds.late_max <= TINY_LATE_MAX {
        // More reversals ended as "unknown" than are watched for: the oldest is let go, by an entry, and an approval
        // that comes later still is not matched.
        named.extend(&told.forgotten);
    }
    // A bank that took the original after it had said 25 to its reversal, and whose approval came to nobody.
    let unheard = told.unknown.iter().filter(|(leg, _)| !rest.seen.approved.contains(leg));
    named.extend(unheard.filter(|(leg, _)| is_booked(rest.banks, leg)).map(|(_, payment)| *payment));
    named
}

fn is_booked(banks: &[Ledger], (bank, _, stan, rrn): &LegKey) -> bool {
    let books = banks.iter().filter(|ledger| ledger.name == *bank).flat_map(|ledger| &ledger.entries);
    books.into_iter().any(|row| row.stan == *stan && row.rrn.0 == *rrn && row.state == State::Approved)
}

fn money(rest: &Rest<'_>, named: &BTreeSet<Payment>) -> Result<(), Violation> {
    let mut terminals = rest.terminals.to_vec();
    for ledger in &mut terminals {
        ledger.entries.retain(|entry| !rest.told.was_too_old(entry));
    }
    let result = reconcile(&terminals, rest.banks);
    let odd = result.mismatches.iter().find(|odd| !named.contains(&(odd.terminal.0, odd.rrn.0)));
    match odd {
        Some(odd) => {
            let what = format!(
                "money: {:?} {} of {}: {:?}; its terminal: {}; its banks: {}",
                odd.class, odd.rrn, odd.terminal, odd.reason, odd.terminals, odd.issuers
            );
            let story = rest.told.story_of(&(odd.terminal.0, odd.rrn.0));
            Err(Violation::new(what + &story).of(Some(odd.rrn.0)))
        }
        None if result.open > 0 => {
            Err(Violation::new(format!("money: {} payments have no end", result.open)))
        }
        None => Ok(()),
    }
}

/// P7 from outside: what the switch says each bank agreed to is what the bank booked.
fn totals(rest: &Rest<'_>) -> Result<(), Violation> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for ((_, _, side, who), sum) in rest.driver.core.durable.books.sums() {
        if let (Side::Issuer, Some(name)) = (side, rest.told.names.get(who)) {
            let net = |plus: u64, minus: u64| plus as i64 - minus as i64;
            *sums.entry(name).or_default() += net(sum.debits.minor, sum.debit_reversals.minor)
                - net(sum.credits.minor, sum.credit_reversals.minor);
        }
    }
    for bank in rest.banks {
        let booked = booked_by(bank);
        let agreed = sums.get(bank.name.as_str()).copied().unwrap_or(0);
        if booked != agreed {
            let what = format!("P7: {} has booked {booked} fen, the switch's totals say {agreed}", bank.name);
            return Err(Violation::new(what));
        }
    }
    Ok(())
}

fn booked_by(bank: &Ledger) -> i64 {
    let standing = bank.entries.iter().filter(|entry| entry.state == State::Approved);
    standing.map(|entry| signed(entry.kind, entry.amount)).sum()
}

fn signed(kind: Kind, minor: u64) -> i64 {
    match money_of(kind) {
        MoneyOf::Debit => minor as i64,
        MoneyOf::Credit | MoneyOf::UndoesDebit => -(minor as i64),
        _ => 0,
    }
}
