//! Rule 19: what is owed to a participant was made for its dialect and goes to its host. A configuration that
//! drops such a participant, or reaches it another way, is refused; where nothing is owed, a new way is an entry.

use super::batch::Batch;
use super::durable::Durable;
use super::entry::{Entry, Way};
use super::ids::ParticipantId;
use std::collections::BTreeMap;

/// Why a configuration may not be used on this journal.
#[derive(Debug, thiserror::Error)]
pub enum Debt {
    #[error(
        "participant \"{name}\" is owed {owed} reversals or advices and is not in the configuration as an issuer or coupon platform: \
         put it back until they are discharged or settled (`yika saf list`)"
    )]
    Dropped { name: String, owed: usize },
    #[error(
        "participant \"{name}\" is owed {owed} reversals or advices for {held}, and the configuration says {wanted}: \
         put it back until they are discharged or settled (`yika saf list`), then change it"
    )]
    Moved { name: String, owed: usize, held: String, wanted: String },
}

/// Compares the ways of a configuration with those of the journal, and journals those that are new. Recovery comes
/// first: it owes what was in flight as well.
///
/// # Errors
/// `Debt`: nothing is recorded then.
pub fn keep_ways(
    durable: &mut Durable,
    batch: &mut Batch,
    ways: BTreeMap<ParticipantId, Way>,
) -> Result<(), Debt> {
    let mut owed: BTreeMap<ParticipantId, usize> = BTreeMap::new();
    for held in durable.obligations.values() {
        *owed.entry(held.owed.participant).or_default() += 1;
    }
    for (id, owed) in owed {
        let Some(held) = durable.participants.get(&id) else { continue };
        let name = held.name.clone();
        match (&held.way, ways.get(&id)) {
            (_, None) => return Err(Debt::Dropped { name, owed }),
            (Some(held), Some(wanted)) if held != wanted => {
                let (held, wanted) = (held.to_string(), wanted.to_string());
                return Err(Debt::Moved { name, owed, held, wanted });
            }
            // A journal of before there were such entries does not say.
            (_, Some(_)) => {}
        }
    }
    for (participant, way) in ways {
        if durable.participants.get(&participant).is_some_and(|held| held.way.as_ref() != Some(&way)) {
            batch.record(durable, Entry::Reached { participant, way });
        }
    }
    Ok(())
}
