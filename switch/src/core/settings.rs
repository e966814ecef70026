//! The running configuration as the core needs it: checked, resolved to ids, and never referred to
//! by an entry. Made once, at the start.

use super::entry::Limits;
use super::facts::CardPrefix;
use super::ids::{Currency, ListenerNo, ParticipantId};
use std::sync::Arc;
use yika_codec::{Codes, Dialect, Mti};

pub struct Settings {
    pub shard: u8,
    pub limits: Limits,
    pub bounds: Bounds,
    /// By `ParticipantId`; None where an id of the journal is no longer configured.
    pub participants: Vec<Option<ParticipantSettings>>,
    /// By `ListenerNo`.
    pub listeners: Vec<ListenerSettings>,
    pub routes: Routes,
    pub coupon_platform: Option<ParticipantId>,
    /// Those that a listener names: each always has a place among the books of a date.
    pub currencies: Vec<Currency>,
    /// Local time of the daily cut-over, minutes after midnight: before noon it opens the date that began, from noon on
    /// the next. None: by message or operator only.
    pub cut_over_minute: Option<u32>,
    /// Offset of the switch's local time from UTC, minutes.
    pub zone_minutes: i32,
    /// A completion may exceed its pre-authorization to this many percent.
    pub completion_percent_max: u64,
    /// F32 of every message we send: our institution.
    pub institution: String,
}

/// Every bound of the core (P9); when one is reached the answer is the one rule 2 states.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Transactions in flight.
    pub open_max: usize,
    /// Keys in the dedupe window, in flight ones included.
    pub dedupe_max: usize,
    /// Open obligations, with the slots reserved for them by legs in flight; reversals from terminals may fill a quarter
    /// more. Beside them as many exceptions are named: then the oldest name is forgotten.
    pub obligations_max: usize,
    /// Copies of one request that wait for its answer.
    pub copies_max: usize,
    /// Cold reads under way.
    pub fetches_max: usize,
    /// Unanswered legs watched for a late answer. As many reversals that ended as unknown are kept for it, and may open
    /// again beyond `obligations_max`: they stand for money that moved.
    pub late_max: usize,
    /// Currencies of one business date that no listener names: each with a book, which has totals for each
    /// participant, or with a transaction in flight.
    pub currencies_max: usize,
    /// Terminals that are signed on.
    pub terminals_max: usize,
    /// Taps of gateways inside their window; about 40 bytes each.
    pub taps_max: usize,
    /// How long a tap that comes again is known, and the oldest that is taken.
    pub tap_window_ms: u64,
    /// Batches inside the same window, open and complete.
    pub batches_max: usize,
    /// Sums of taps: one for each business date, gateway by its name, and kind of record.
    pub tap_sums_max: usize,
}

pub struct ParticipantSettings {
    pub name: String,
    pub dialect: Arc<Dialect>,
    /// Offset of its F7 from UTC, minutes (rule 16).
    pub f7_minutes: i32,
    pub answer_match: AnswerMatch,
    pub timeout_us: u64,
    /// Legs sent and not answered, over all its lines.
    pub inflight_max: usize,
    /// Obligations sent and not answered.
    pub saf_window: usize,
    pub backoff_first_us: u64,
    pub backoff_max_us: u64,
    pub stand_in: Option<StandIn>,
    pub partial_approval: bool,
    /// What to do with a refund whose original is not held (rule 6).
    pub forward_unknown_original: bool,
}

/// Which fields of an answer must agree with what was sent, besides F11 (rule 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerMatch {
    pub sent_at: bool,
    pub terminal: bool,
    pub rrn: bool,
}

/// Limits of deciding for an issuer (rule 10), all in minor units of the transaction's currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandIn {
    pub per_transaction_max: u64,
    pub per_card_count_max: u32,
    pub per_card_sum_max: u64,
    pub issuer_sum_max: u64,
}

pub struct ListenerSettings {
    pub acquirer: ParticipantId,
    pub codes: Codes,
    /// Message types of its dialect that a later message may name.
    pub mtis: Vec<Mti>,
    /// Currencies taken; empty: all.
    pub currencies: Vec<Currency>,
    /// Terminals must sign on before they pay.
    pub sign_on_required: bool,
    /// The whole transaction must end by then; below what the terminal waits (rule 17).
    pub deadline_us: u64,
}

impl Settings {
    pub fn participant(&self, id: ParticipantId) -> Option<&ParticipantSettings> {
        self.participants.get(usize::from(id.0))?.as_ref()
    }

    pub fn listener(&self, no: ListenerNo) -> Option<&ListenerSettings> {
        self.listeners.get(usize::from(no.0))
    }
}

/// Routes by card prefix, compiled to ranges: lookup is one binary search, whatever their number.
#[derive(Clone, Default, Debug)]
pub struct Routes {
    /// Start of each range of eight-digit prefixes, and where cards in it go; sorted.
    ranges: Vec<(u32, Option<ParticipantId>)>,
}

/// One route as configured: all cards whose number starts with `prefix`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// One to eight digits; empty matches every card.
    pub prefix: String,
    pub to: ParticipantId,
}

impl Routes {
    /// The longest prefix wins; within the same prefix the first in order.
    pub fn compile(routes: &[Route]) -> Routes {
        let spans: Vec<(u32, u32, usize, ParticipantId)> = routes
            .iter()
            .filter_map(|route| {
                let width = 10u32.checked_pow(8u32.checked_sub(route.prefix.len() as u32)?)?;
                let start =
                    if route.prefix.is_empty() { 0 } else { route.prefix.parse::<u32>().ok()? * width };
                Some((start, start + width, route.prefix.len(), route.to))
            })
            .collect();
        let mut edges: Vec<u32> = spans.iter().flat_map(|span| [span.0, span.1]).collect();
        edges.push(0);
        edges.sort_unstable();
        edges.dedup();
        let owner = |at: u32| {
            let covers = spans.iter().filter(|span| span.0 <= at && at < span.1);
            covers.fold(None, |best: Option<&(u32, u32, usize, ParticipantId)>, span| match best {
                Some(held) if held.2 >= span.2 => best,
                _ => Some(span),
            })
        };
        let ranges = edges.iter().map(|edge| (*edge, owner(*edge).map(|span| span.3))).collect();
        Routes { ranges }
    }

    pub fn find(&self, card: CardPrefix) -> Option<ParticipantId> {
        let at = self.ranges.partition_point(|range| range.0 <= card.0);
        self.ranges.get(at.checked_sub(1)?)?.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, to: u16) -> Route {
        Route { prefix: prefix.into(), to: ParticipantId(to) }
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_first() {
        let routes =
            Routes::compile(&[route("62", 1), route("6210", 2), route("6210", 3), route("62109999", 4)]);
        assert_eq!(routes.find(CardPrefix(62_220_000)), Some(ParticipantId(1)));
        assert_eq!(routes.find(CardPrefix(62_100_000)), Some(ParticipantId(2)));
        assert_eq!(routes.find(CardPrefix(62_109_999)), Some(ParticipantId(4)));
        assert_eq!(routes.find(CardPrefix(62_110_000)), Some(ParticipantId(1)));
        assert_eq!(routes.find(CardPrefix(63_000_000)), None);
        assert_eq!(routes.find(CardPrefix(0)), None);
        let all = Routes::compile(&[route("", 9), route("4", 1)]);
        assert_eq!(all.find(CardPrefix(99_999_999)), Some(ParticipantId(9)));
        assert_eq!(all.find(CardPrefix(41_111_111)), Some(ParticipantId(1)));
    }
}
