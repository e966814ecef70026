//! Finds the earlier message that a void, completion, refund or reversal names: by F90 or F61, by F37, or by its own
//! F11 (rule 5). A message type that is named is the only one looked at. Where none is, all that the terminal may
//! have sent are, and the one that fits best is taken: its card and amount, then what the message says of itself,
//! then the newest. Whether that one may be changed is not decided here.

use super::Core;
use super::absorb::apart;
use super::facts::Facts;
use super::handles::Handle;
use super::ids::{CardToken, Currency, Now, ParticipantId};
use super::life::builds_on;
use crate::planted::{Planted, planted};
use yika_codec::{Kind, Mti};

/// What holds a place, as far as it tells one candidate from another.
struct Seen {
    acquirer: ParticipantId,
    terminal: [u8; 8],
    kind: Kind,
    mti: Mti,
    stan: u32,
    /// F7 as its terminal sent it, 0 when it sent none.
    sent_at: u32,
    rrn: [u8; 12],
    card: Option<CardToken>,
    /// What was asked and what was approved.
    minor: [u64; 2],
    currency: Currency,
    /// Its transaction's number: the higher, the newer.
    tx: u64,
    /// When it is forgotten; never while it is open.
    expires_ms: u64,
}

impl Core {
    /// The message that this one names: by F90 or F61 (F41 and F11, with F42 and F60.2 where both have them), then
    /// by F37; a reversal without F90 by its own F11, which F37 narrows where it has one (rule 5). Not what is
    /// forgotten by the very entry that would change it: a quiet switch may hold it beyond the window. Nor what only
    /// shares a place by chance: places are hashes of 64 bits.
    pub(super) fn named(&self, now: Now, facts: &Facts) -> Option<Handle> {
        self.found(facts).filter(|held| match held {
            Handle::Kept(_) | Handle::Open(_) => self
                .seen(held)
                .is_some_and(|seen| seen.expires_ms > now.wall_ms && may_be_named(facts, &seen)),
            Handle::Ended { .. } => true,
        })
    }

    fn found(&self, facts: &Facts) -> Option<Handle> {
        if let Some(stan) = facts.original.stan {
            let fits = |held: &Handle| self.same_moment(facts, held) && self.same_type(facts, held);
            // F37 is shared by all messages of a payment: another one than was named is not meant.
            let any = planted(Planted::ReversalByF37);
            let named =
                |held: &Handle| fits(held) && (any || self.seen(held).is_some_and(|seen| seen.stan == stan));
            return self.by_stan(facts, stan, fits).or_else(|| self.by_rrn(facts, named));
        }
        if facts.kind == Kind::Reversal {
            let fits = |held: &Handle| {
                facts.rrn.is_none_or(|rrn| self.seen(held).is_none_or(|seen| seen.rrn == rrn))
            };
            return self.by_stan(facts, facts.stan, fits).or_else(|| self.by_rrn(facts, |_| true));
        }
        self.by_rrn(facts, |_| true)
    }

    /// What this terminal calls by this F11, of the message types that may be meant.
    fn by_stan(&self, facts: &Facts, stan: u32, fits: impl Fn(&Handle) -> bool) -> Option<Handle> {
        let known = self.settings.listener(facts.listener).map_or(&[][..], |listener| &listener.mtis);
        let named = facts.original.mti.as_ref().map_or(known, std::slice::from_ref);
        let held = named.iter().filter_map(|mti| Some((*mti, self.at_stan(facts, *mti, stan, &fits)?)));
        held.max_by_key(|(mti, held)| self.rank(facts, *mti, held)).map(|(_, held)| held)
    }

    /// What this terminal calls by this message type and F11, and `fits`.
    pub(super) fn at_stan(
        &self,
        facts: &Facts,
        mti: Mti,
        stan: u32,
        fits: impl Fn(&Handle) -> bool,
    ) -> Option<Handle> {
        let durable = &self.durable;
        let origin = durable.origin(facts.acquirer, &facts.merchant, facts.original.batch.or(facts.batch));
        let held = |handle| durable.handle(handle).filter(|held| fits(held));
        held(durable.handle_by_stan(facts.acquirer, &facts.terminal, mti, stan))
            .filter(|held| !apart(durable.origin_of(held), origin))
            .or_else(|| held(durable.handle_by_origin(facts.acquirer, &facts.terminal, mti, stan, origin)))
    }

    /// What this message names by F37.
    fn by_rrn(&self, facts: &Facts, fits: impl Fn(&Handle) -> bool) -> Option<Handle> {
        self.at_rrn(facts, facts.original.rrn.or(facts.rrn)?, fits)
    }

    /// What this terminal calls by this F37, its own or one that the switch gave it, and `fits`.
    pub(super) fn at_rrn(
        &self,
        facts: &Facts,
        rrn: [u8; 12],
        fits: impl Fn(&Handle) -> bool,
    ) -> Option<Handle> {
        let (durable, who) = (&self.durable, (facts.acquirer, &facts.terminal));
        let places =
            [durable.handle_by_rrn(who.0, who.1, &rrn), durable.handle_by_given_rrn(who.0, who.1, &rrn)];
        let held = places.into_iter().filter_map(|place| durable.handle(place)).filter(|held| fits(held));
        held.max_by_key(|held| self.rank(facts, self.seen(held).map_or(facts.mti, |seen| seen.mti), held))
    }

    /// How well a candidate fits: it agrees; the message's own fields speak of its type; it is newer.
    fn rank(&self, facts: &Facts, mti: Mti, held: &Handle) -> (bool, bool, u64) {
        let likely = facts.original.likely == Some(mti);
        // What ended without effect has left nothing to compare.
        let Some(seen) = self.seen(held) else { return (true, likely, 0) };
        let card = facts.card.is_none_or(|card| Some(card.token) == seen.card);
        let agrees = match facts.kind {
            Kind::Reversal => {
                let amounts = [0, seen.minor[0], seen.minor[1]];
                amounts.contains(&facts.amount) && facts.currency == seen.currency
            }
            kind => builds_on(kind, seen.kind) && amount_may_fit(kind, facts.amount, seen.minor[1]),
        };
        (card && agrees, likely, seen.tx)
    }

    fn seen(&self, held: &Handle) -> Option<Seen> {
        match held {
            Handle::Open(tx) => self.durable.open.get(tx).map(|open| &open.intent).map(|intent| Seen {
                acquirer: intent.acquirer,
                terminal: intent.terminal,
                kind: intent.kind,
                mti: intent.mti,
                stan: intent.stan,
                sent_at: intent.sent_at,
                rrn: intent.rrn,
                card: intent.card,
                minor: [intent.money.minor; 2],
                currency: intent.money.currency,
                tx: intent.tx.0,
                expires_ms: u64::MAX,
            }),
            Handle::Kept(no) => self.durable.original(*no).map(|original| Seen {
                acquirer: original.acquirer,
                terminal: original.terminal,
                kind: original.kind,
                mti: original.mti,
                stan: original.stan,
                sent_at: original.sent_at,
                rrn: original.rrn,
                card: original.card,
                minor: [original.asked, original.money.minor],
                currency: original.money.currency,
                tx: original.tx.0,
                expires_ms: original.expires_ms,
            }),
            Handle::Ended { .. } => None,
        }
    }

    /// What F37 finds must be of the message type that F90 names, too.
    fn same_type(&self, facts: &Facts, held: &Handle) -> bool {
        let held = self.seen(held).map(|seen| seen.mti);
        facts.original.mti.zip(held).is_none_or(|(named, held)| named == held)
    }

    /// F90 names the original's F7 too: the same F11 of another day is another payment.
    fn same_moment(&self, facts: &Facts, held: &Handle) -> bool {
        let sent_at = match held {
            Handle::Ended { sent_at } => Some(*sent_at),
            Handle::Kept(_) | Handle::Open(_) => self.seen(held).map(|seen| seen.sent_at),
        };
        match (facts.original.sent_at, sent_at) {
            (Some(named), Some(held)) => held == 0 || named == held,
            _ => true,
        }
    }
}

/// Whether a message can mean what its handle found: of its own terminal, and of the F11 or F37 that it names.
fn may_be_named(facts: &Facts, seen: &Seen) -> bool {
    let named = facts.original.stan.or((facts.kind == Kind::Reversal).then_some(facts.stan));
    seen.acquirer == facts.acquirer
        && seen.terminal == facts.terminal
        && (named == Some(seen.stan) || facts.original.rrn.or(facts.rrn) == Some(seen.rrn))
}

/// Cancels and voids are of the whole, refunds of no more than that (rule 6).
fn amount_may_fit(kind: Kind, minor: u64, approved: u64) -> bool {
    match kind {
        Kind::Void | Kind::CompletionCancel | Kind::PreAuthCancel => minor == approved,
        Kind::Refund => minor <= approved,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::OriginalRef;
    use crate::core::ids::ListenerNo;

    fn reversal() -> Facts {
        Facts {
            kind: Kind::Reversal,
            mti: Mti::new(0x0420),
            listener: ListenerNo(0),
            acquirer: ParticipantId(1),
            terminal: *b"TERM0001",
            merchant: [b' '; 15],
            stan: 50,
            sent_at: None,
            local_at: None,
            made_ms: None,
            rrn: None,
            batch: None,
            card: None,
            amount: 100,
            currency: Currency(156),
            processing: [b'0'; 6],
            has_pin: false,
            original: OriginalRef { stan: Some(7), ..OriginalRef::default() },
            coupon: None,
            replacement: false,
        }
    }

    /// Two messages whose handles are equal by chance.
    #[test]
    fn rule_05_what_shares_a_place_by_chance_is_not_what_a_reversal_names() {
        let rrn = *b"000000000042";
        let held = |stan| Seen {
            acquirer: ParticipantId(1),
            terminal: *b"TERM0001",
            kind: Kind::Purchase,
            mti: Mti::new(0x0200),
            stan,
            sent_at: 0,
            rrn,
            card: None,
            minor: [100; 2],
            currency: Currency(156),
            tx: 1,
            expires_ms: 1,
        };
        let facts = reversal();
        assert!(may_be_named(&facts, &held(7)));
        assert!(!may_be_named(&facts, &held(8)), "another F11");
        assert!(!may_be_named(&facts, &held(50)), "its own F11 names nothing beside F90");
        assert!(!may_be_named(&facts, &Seen { terminal: *b"TERM0002", ..held(7) }));
        assert!(!may_be_named(&facts, &Seen { acquirer: ParticipantId(2), ..held(7) }));
        let by_rrn = Facts { rrn: Some(rrn), ..reversal() };
        assert!(may_be_named(&by_rrn, &held(8)));
        assert!(!may_be_named(&by_rrn, &Seen { rrn: *b"000000000043", ..held(8) }));
        let by_own_stan = Facts { original: OriginalRef::default(), ..reversal() };
        assert!(may_be_named(&by_own_stan, &held(50)));
    }
}
