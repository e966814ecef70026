//! P1 to P4, over everything that was ever seen on the wires, against what the disk holds now.

use super::{Checker, Rest};
use crate::sim::journal::Told;
use crate::sim::observe::Seen;
use crate::sim::run::Violation;
use std::collections::BTreeMap;
use yika_switch::core::ids::ParticipantId;

pub(super) struct Promises;

/// Codes without a transaction (rule 2), and the clash of keys.
const REFUSALS: [[u8; 2]; 7] = [*b"30", *b"58", *b"77", *b"94", *b"96", *b"97", *b"A0"];
/// What a payment is told after its reversal.
const REVERSED: [u8; 2] = *b"12";

impl Checker for Promises {
    fn left_behind(&self, told: &Told, seen: &Seen) -> Result<(), Violation> {
        if let Some(tx) = told.twice {
            return Err(Violation::new(format!("P4: transaction {tx} has two outcomes")).of(told.rrn_of(tx)));
        }
        requests(told, seen)?;
        replies(told, seen)
    }

    fn at_rest(&self, rest: &Rest<'_>) -> Result<(), Violation> {
        match rest.told.intents.keys().find(|tx| !rest.told.ends.contains_key(tx)) {
            Some(tx) => {
                Err(Violation::new(format!("P4: transaction {tx} has no outcome")).of(rest.told.rrn_of(*tx)))
            }
            None => Ok(()),
        }
    }
}

/// P1: what reached a bank stands in an intent.
fn requests(told: &Told, seen: &Seen) -> Result<(), Violation> {
    let ids: BTreeMap<&str, ParticipantId> =
        told.names.iter().map(|(id, name)| (name.as_str(), *id)).collect();
    for (bank, mti, stan, rrn) in seen.legs.keys() {
        let known = ids.get(bank).is_some_and(|id| told.legs.contains(&(*id, *mti, *stan, *rrn)));
        if !known {
            let what =
                format!("P1: {bank} has a {mti} with F11 {stan:06} that no intent on the disk tells of");
            return Err(Violation::new(what).of(Some(*rrn)));
        }
    }
    Ok(())
}

/// P3: all copies were told the same. P2: and it stands on the disk.
fn replies(told: &Told, seen: &Seen) -> Result<(), Violation> {
    let on_disk = told.codes();
    for (key, codes) in &seen.answers {
        let (terminal, mti, stan, rrn) = key;
        let reversed = seen.reversals.contains(&(*terminal, *rrn));
        let who = format!("{mti} of {} F11 {stan:06}", String::from_utf8_lossy(terminal));
        let decisions = codes.iter().filter(|code| !REFUSALS.contains(code));
        let decisions: Vec<_> = decisions.filter(|code| !(reversed && **code == REVERSED)).collect();
        if decisions.windows(2).any(|pair| pair[0] != pair[1]) {
            let what = format!("P3: {who} was answered with {}", texts(codes));
            return Err(Violation::new(what).of(Some(*rrn)));
        }
        let durable = on_disk.get(key);
        if let Some(code) = decisions.first()
            && !durable.is_some_and(|told| told.contains(*code))
        {
            let held =
                durable.map(|told| texts(&told.iter().copied().collect::<Vec<_>>())).unwrap_or_default();
            let what = format!("P2: {who} was told {}, the disk holds [{held}]", texts(&[**code]));
            return Err(Violation::new(what).of(Some(*rrn)));
        }
    }
    Ok(())
}

fn texts(codes: &[[u8; 2]]) -> String {
    codes.iter().map(|code| String::from_utf8_lossy(code).into_owned()).collect::<Vec<_>>().join(", ")
}
