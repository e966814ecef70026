//! Kept payments in little memory: there may be as many as transactions in the original window. What nearly all
//! of them are (one leg that stands over the whole amount, nothing done to it since) takes 120 bytes; the others are
//! held whole. Both read the same: nobody outside sees which it is.

use super::durable::Handles;
use super::entry::{Identity, LegRole};
use super::ids::{BusinessDate, CardToken, Currency, KeyedHash, Money, OriginalNo, ParticipantId, TxId};
use super::original::{KeptLeg, Life, Original};
use super::ring::Ring;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::smallvec;
use yika_codec::{Kind, Mti};

/// The kept payments, oldest first, by number.
#[derive(Default, Serialize, Deserialize)]
pub struct Originals(Ring<Kept>);

enum Kept {
    Plain(Plain),
    Whole(Box<Original>),
}

/// A payment of one leg, agreed to as it was asked for, that nothing has happened to since.
struct Plain {
    tx: TxId,
    card: CardToken,
    minor: u64,
    expires_ms: u64,
    origin: u64,
    by_stan: KeyedHash,
    by_rrn: KeyedHash,
    rrn: [u8; 12],
    terminal: [u8; 8],
    stan: u32,
    sent_at: u32,
    date: BusinessDate,
    leg_stan: u32,
    leg_sent_at: u32,
    leg_mti: Mti,
    mti: Mti,
    participant: ParticipantId,
    acquirer: ParticipantId,
    currency: Currency,
    kind: Kind,
    life: Life,
}

impl Originals {
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, no: OriginalNo) -> Option<Original> {
        self.0.get(no.0).map(Kept::original)
    }

    pub fn push(&mut self, original: Original) -> OriginalNo {
        OriginalNo(self.0.push(Kept::from(original)))
    }

    /// Changes a kept payment and returns it as it is then.
    pub fn change(&mut self, no: OriginalNo, work: impl FnOnce(&mut Original)) -> Option<Original> {
        let held = self.0.get_mut(no.0)?;
        let mut original = held.original();
        work(&mut original);
        *held = Kept::from(original.clone());
        Some(original)
    }

    /// When the oldest will be forgotten.
    pub fn oldest_expires_ms(&self) -> Option<u64> {
        self.0.oldest().map(|oldest| match oldest {
            Kept::Plain(plain) => plain.expires_ms,
            Kept::Whole(whole) => whole.expires_ms,
        })
    }

    /// Forgets the oldest: its number, and where it was found.
    pub fn drop_oldest(&mut self) -> Option<(OriginalNo, Handles)> {
        let handles = match self.0.oldest()? {
            Kept::Plain(plain) => Handles { by_stan: plain.by_stan, by_rrn: plain.by_rrn },
            Kept::Whole(whole) => whole.handles,
        };
        let no = OriginalNo(self.0.first());
        self.0.drop_oldest();
        Some((no, handles))
    }
}

impl Kept {
    fn original(&self) -> Original {
        match self {
            Kept::Plain(plain) => plain.original(),
            Kept::Whole(whole) => (**whole).clone(),
        }
    }
}

impl From<Original> for Kept {
    fn from(original: Original) -> Kept {
        Plain::of(&original).map_or_else(|| Kept::Whole(Box::new(original)), Kept::Plain)
    }
}

impl Plain {
    /// None when the payment has something that a plain one has no room for.
    fn of(original: &Original) -> Option<Plain> {
        let [leg] = &original.legs[..] else { return None };
        let plain = Plain {
            tx: original.tx,
            card: original.card?,
            minor: original.money.minor,
            expires_ms: original.expires_ms,
            origin: original.origin,
            by_stan: original.handles.by_stan,
            by_rrn: original.handles.by_rrn,
            rrn: original.rrn,
            terminal: original.terminal,
            stan: original.stan,
            sent_at: original.sent_at,
            date: original.date,
            leg_stan: leg.identity.stan,
            leg_sent_at: leg.identity.sent_at,
            leg_mti: leg.identity.mti,
            mti: original.mti,
            participant: leg.participant,
            acquirer: original.acquirer,
            currency: original.money.currency,
            kind: original.kind,
            life: original.life,
        };
        // What it does not hold must be what `original` fills in.
        (plain.original() == *original).then_some(plain)
    }

    fn original(&self) -> Original {
        let leg = KeptLeg {
            role: LegRole::Issuer,
            leg: 0,
            participant: self.participant,
            identity: Identity {
                mti: self.leg_mti,
                stan: self.leg_stan,
                sent_at: self.leg_sent_at,
                rrn: self.rrn,
            },
            amount: self.minor,
            agreed: self.minor,
        };
        Original {
            tx: self.tx,
            mti: self.mti,
            kind: self.kind,
            life: self.life,
            busy: None,
            stand_in: false,
            acquirer: self.acquirer,
            terminal: self.terminal,
            stan: self.stan,
            sent_at: self.sent_at,
            rrn: self.rrn,
            card: Some(self.card),
            money: Money { minor: self.minor, currency: self.currency },
            asked: self.minor,
            used: 0,
            date: self.date,
            expires_ms: self.expires_ms,
            target: None,
            reversed_while_undone: false,
            last_on_it: None,
            origin: self.origin,
            handles: Handles { by_stan: self.by_stan, by_rrn: self.by_rrn },
            legs: smallvec![leg],
        }
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.original().serialize(out)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Kept, D::Error> {
        Original::deserialize(input).map(Kept::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment() -> Original {
        let plain = Plain {
            tx: TxId(7),
            card: CardToken([3; 16]),
            minor: 1000,
            expires_ms: 99,
            origin: 5,
            by_stan: KeyedHash(1),
            by_rrn: KeyedHash(2),
            rrn: *b"000000000042",
            terminal: *b"TERM0001",
            stan: 1,
            sent_at: 1_123_233_015,
            date: BusinessDate(20_261_124),
            leg_stan: 9,
            leg_sent_at: 1_123_233_016,
            leg_mti: Mti::new(0x0200),
            mti: Mti::new(0x0200),
            participant: ParticipantId(2),
            acquirer: ParticipantId(1),
            currency: Currency(156),
            kind: Kind::Purchase,
            life: Life::Approved,
        };
        plain.original()
    }

    #[test]
    fn a_plain_payment_takes_120_bytes_and_any_comes_back_as_it_was() {
        assert_eq!(size_of::<Kept>(), 120);
        let mut kept = Originals::default();
        let no = kept.push(payment());
        assert!(matches!(kept.0.get(no.0), Some(Kept::Plain(_))));
        assert_eq!(kept.get(no), Some(payment()));
        let changes: [fn(&mut Original); 8] = [
            |held| held.busy = Some(TxId(8)),
            |held| held.used = 1,
            |held| held.stand_in = true,
            |held| held.asked += 1,
            |held| held.target = Some(OriginalNo(3)),
            |held| held.legs[0].role = LegRole::CouponPlatform,
            |held| held.legs[0].identity.rrn = *b"000000000043",
            |held| held.legs.clear(),
        ];
        for change in changes {
            let mut wanted = payment();
            change(&mut wanted);
            let no = kept.push(payment());
            assert_eq!(kept.change(no, change), Some(wanted.clone()));
            assert!(matches!(kept.0.get(no.0), Some(Kept::Whole(_))));
            assert_eq!(kept.get(no), Some(wanted));
        }
        kept.change(no, |held| held.life = Life::Voided);
        assert!(matches!(kept.0.get(no.0), Some(Kept::Plain(_))));
        assert_eq!(kept.drop_oldest(), Some((no, payment().handles)));
        assert_eq!(kept.len(), 8);
    }

    #[test]
    fn equal_payments_have_equal_bytes_whatever_became_of_them() {
        let (mut one, mut other) = (Originals::default(), Originals::default());
        one.push(payment());
        let no = other.push(payment());
        other.change(no, |held| held.busy = Some(TxId(8)));
        other.change(no, |held| held.busy = None);
        let bytes = |kept: &Originals| postcard::to_stdvec(kept).unwrap();
        assert_eq!(bytes(&one), bytes(&other));
        let back: Originals = postcard::from_bytes(&bytes(&one)).unwrap();
        assert_eq!(back.get(no), Some(payment()));
    }
}
