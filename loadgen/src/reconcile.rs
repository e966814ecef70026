//! Reconciliation: do terminals and issuers agree, to the fen?
//!
//! A payment is known by F41 and F37. Under it, sales, completions, voids, refunds, holds and releases are compared
//! class by class, so that a missing sale and a missing void cannot hide each other. Pure; never corrects anything.

use crate::ledger::{Card, Entry, Ledger, Side, State};
use crate::text::Text;
use serde::Serialize;
use std::fmt;
use yika_codec::Kind;

/// Mismatches kept one by one; above that they are only counted.
const LISTED_MAX: usize = 1000;

/// What kind of movement a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Money from the card.
    Sale,
    /// Money from the card that was held before.
    Completion,
    /// A sale or completion undone.
    Void,
    /// Money back to the card.
    Refund,
    /// An amount held; no money.
    Hold,
    /// A held amount given free; no money.
    Release,
}

/// What is wrong with a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The terminal was told it stands, no issuer has booked it.
    MissingAtIssuer,
    /// An issuer has booked it, the terminal was told it does not stand.
    NotAgreedByTerminal,
    /// An issuer has booked a payment that no terminal knows.
    UnknownToTerminals,
    /// One issuer has booked it more often than the terminal sent it.
    BookedTwice,
    /// Both say it stands, over different amounts.
    AmountDiffers,
    /// Both say it stands, on different cards.
    CardDiffers,
}

/// One disagreement, with both views.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mismatch {
    /// F41.
    pub terminal: Text<8>,
    /// F37.
    pub rrn: Text<12>,
    /// Which movement.
    pub class: Class,
    /// What is wrong.
    pub reason: Reason,
    /// What the terminals were told.
    pub terminals: View,
    /// What issuers and coupon platform booked.
    pub issuers: View,
}

/// One side's view of one movement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct View {
    /// Messages that stand.
    pub standing: u32,
    /// Their sum, minor units.
    pub amount: u64,
    /// Messages declined or reversed.
    pub fallen: u32,
    /// Messages without an end.
    pub open: u32,
}

/// The result.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Reconciliation {
    /// True if every payment agrees and none is open.
    pub balanced: bool,
    /// Payments compared.
    pub payments: u64,
    /// What terminals were told: sales and completions, less voids and refunds, minor units.
    pub terminal_net_fen: i64,
    /// The same as booked by issuers and coupon platform.
    pub issuer_net_fen: i64,
    /// The part of it that the coupon platform paid.
    pub coupon_net_fen: i64,
    /// The sum of all differences of money, whatever their sign.
    pub unaccounted_fen: u64,
    /// The same for held amounts, which are no money.
    pub unaccounted_holds_fen: u64,
    /// Movements booked more often than they were sent.
    pub duplicates: u64,
    /// Movements whose end the terminal does not know; the issuers may have booked them or not.
    pub open: u64,
    /// Disagreements, those not listed included.
    pub mismatch_count: u64,
    /// The first thousand of them.
    pub mismatches: Vec<Mismatch>,
}

/// Compares what all terminals believe with what all issuers and coupon platforms believe.
///
/// Takes about 80 bytes per entry, and the time to sort them.
pub fn reconcile(terminals: &[Ledger], issuers: &[Ledger]) -> Reconciliation {
    let mut rows: Vec<Row> = terminals
        .iter()
        .chain(issuers)
        .enumerate()
        .flat_map(|(source, ledger)| {
            let source = u32::try_from(source).unwrap_or(u32::MAX);
            ledger.entries.iter().filter_map(move |entry| Row::new(source, ledger.side, entry))
        })
        .collect();
    rows.sort_unstable_by_key(|row| (row.rrn, row.terminal, row.class, row.side as u8, row.source));
    let mut result = Reconciliation::default();
    for payment in rows.chunk_by(|a, b| (a.rrn, a.terminal) == (b.rrn, b.terminal)) {
        result.payments += 1;
        for movement in payment.chunk_by(|a, b| a.class == b.class) {
            result.compare(movement, payment.iter().any(|row| row.side == Side::Terminal));
        }
    }
    result.balanced = result.mismatch_count == 0 && result.open == 0;
    result
}

struct Row {
    rrn: Text<12>,
    terminal: Text<8>,
    class: Class,
    side: Side,
    source: u32,
    state: State,
    amount: u64,
    card: Card,
}

impl Row {
    fn new(source: u32, side: Side, entry: &Entry) -> Option<Row> {
        let class = class_of(entry.kind)?;
        let Entry { rrn, terminal, state, amount, card, .. } = *entry;
        Some(Row { rrn, terminal, class, side, source, state, amount, card })
    }
}

impl Reconciliation {
    /// Compares one movement of one payment; all rows have the same key and class.
    fn compare(&mut self, movement: &[Row], known_to_terminals: bool) {
        let Some(first) = movement.first() else { return };
        let told = View::of(movement.iter().filter(|row| row.side == Side::Terminal));
        let booked = View::of(movement.iter().filter(|row| row.side != Side::Terminal));
        let coupon = View::of(movement.iter().filter(|row| row.side == Side::CouponPlatform));
        let sign = first.class.sign();
        self.terminal_net_fen += sign * signed(told.amount);
        self.issuer_net_fen += sign * signed(booked.amount);
        self.coupon_net_fen += sign * signed(coupon.amount);
        if told.open > 0 {
            self.open += u64::from(told.open);
            return;
        }
        let attempts = told.standing + told.fallen;
        let Some(reason) = judge(movement, told, booked, attempts, known_to_terminals) else { return };
        let difference = told.amount.abs_diff(booked.amount);
        match first.class {
            Class::Hold | Class::Release => self.unaccounted_holds_fen += difference,
            _ => self.unaccounted_fen += difference,
        }
        self.duplicates += u64::from(reason == Reason::BookedTwice);
        self.mismatch_count += 1;
        if self.mismatches.len() < LISTED_MAX {
            let (terminal, rrn, class) = (first.terminal, first.rrn, first.class);
            self.mismatches.push(Mismatch { terminal, rrn, class, reason, terminals: told, issuers: booked });
        }
    }
}

fn judge(movement: &[Row], told: View, booked: View, attempts: u32, known: bool) -> Option<Reason> {
    let standing = || movement.iter().filter(|row| row.state == State::Approved);
    let at_issuers = || standing().filter(|row| row.side != Side::Terminal);
    // One ledger, one participant: a split payment stands once at the bank and once at the coupon platform.
    let most_at_one = movement
        .chunk_by(|a, b| a.source == b.source)
        .filter(|rows| rows.iter().all(|row| row.side != Side::Terminal))
        .map(|rows| rows.iter().filter(|row| row.state == State::Approved).count())
        .max()
        .unwrap_or(0);
    let allowed = usize::try_from(attempts).unwrap_or(usize::MAX).max(1);
    if !known && booked.standing > 0 {
        Some(Reason::UnknownToTerminals)
    } else if most_at_one > allowed || told.standing > 0 && most_at_one > told.standing as usize {
        Some(Reason::BookedTwice)
    } else if told.amount == booked.amount && (told.standing == 0) == (booked.standing == 0) {
        let card = at_issuers().next().map(|row| row.card);
        standing().any(|row| card.is_some_and(|card| card != row.card)).then_some(Reason::CardDiffers)
    } else if booked.standing == 0 {
        Some(Reason::MissingAtIssuer)
    } else if told.standing == 0 {
        Some(Reason::NotAgreedByTerminal)
    } else {
        Some(Reason::AmountDiffers)
    }
}

impl View {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> View {
        rows.fold(View::default(), |mut view, row| {
            match row.state {
                State::Approved => {
                    view.standing += 1;
                    view.amount = view.amount.saturating_add(row.amount);
                }
                State::Declined | State::Reversed | State::Unanswered => view.fallen += 1,
                State::Open => view.open += 1,
            }
            view
        })
    }
}

impl Class {
    fn sign(self) -> i64 {
        match self {
            Class::Sale | Class::Completion => 1,
            Class::Void | Class::Refund => -1,
            Class::Hold | Class::Release => 0,
        }
    }
}

/// The movement a kind of message makes; `None` if it moves nothing.
pub(crate) fn class_of(kind: Kind) -> Option<Class> {
    match kind {
        Kind::Purchase | Kind::PurchaseAdvice | Kind::Cash => Some(Class::Sale),
        Kind::Completion | Kind::CompletionAdvice => Some(Class::Completion),
        Kind::Void | Kind::CompletionCancel => Some(Class::Void),
        Kind::Refund => Some(Class::Refund),
        Kind::Authorization | Kind::PreAuthorization | Kind::AuthorizationAdvice => Some(Class::Hold),
        Kind::PreAuthCancel => Some(Class::Release),
        _ => None,
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Fen as yuan.
fn yuan(fen: i64) -> String {
    let (sign, fen) = (if fen < 0 { "-" } else { "" }, fen.unsigned_abs());
    format!("{sign}{}.{:02}", fen / 100, fen % 100)
}

impl fmt::Display for Reconciliation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "payments compared     {:>16}", self.payments)?;
        writeln!(f, "terminals were told   {:>16}", yuan(self.terminal_net_fen))?;
        writeln!(f, "issuers booked        {:>16}", yuan(self.issuer_net_fen))?;
        writeln!(f, "  of which coupons    {:>16}", yuan(self.coupon_net_fen))?;
        writeln!(f, "unaccounted           {:>13} fen", self.unaccounted_fen)?;
        writeln!(f, "unaccounted holds     {:>13} fen", self.unaccounted_holds_fen)?;
        writeln!(f, "booked twice          {:>16}", self.duplicates)?;
        writeln!(f, "open                  {:>16}", self.open)?;
        for found in self.mismatches.iter().take(20) {
            let Mismatch { terminal, rrn, class, reason, terminals, issuers } = found;
            writeln!(f, "  {rrn} at {terminal}: {class:?} {reason:?}: {terminals} / {issuers}")?;
        }
        if self.mismatch_count > 20 {
            writeln!(f, "  and {} more", self.mismatch_count - 20)?;
        }
        f.write_str(if self.balanced { "BALANCED" } else { "NOT BALANCED" })
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} standing over {} fen, {} fallen", self.standing, self.amount, self.fallen)
    }
}

#[cfg(test)]
mod tests;
