//! What a terminal makes of a received message: an answer to what it waits for, a late or second one, or nothing.
//! Each message that is no answer is counted by why, so that silence can be explained.

use super::{NONE, Phase, Terminals, until_answered};
use crate::compose::{Copy, Operation};
use crate::ledger::State;
use crate::wire::MacCheck;
use yika_codec::{Kind, Message, Mti};

/// Codes that a terminal takes for "as you said": approved, and duplicate of what was approved.
const APPROVED: [u8; 2] = *b"00";
const PARTIAL: [u8; 2] = *b"10";
const NOT_FOUND: [u8; 2] = *b"25";
const DUPLICATE: [u8; 2] = *b"94";

const SIGN_ON_ANSWER: Mti = Mti::new(0x0810);

/// Codes after which an advice or refund is sent again: nobody has taken it into custody yet.
const TRY_AGAIN: [[u8; 2]; 7] = [*b"58", *b"77", *b"91", *b"96", *b"97", *b"A0", *b"92"];

/// Those of them that are refusals: there was no transaction, so a repeat is a new attempt.
const NO_DECISION: [[u8; 2]; 5] = [*b"58", *b"77", *b"96", *b"97", *b"A0"];

/// Codes that may have come without a transaction, and so tell of one copy alone: those, a message that was not
/// understood, and a repeat that came too late.
const OF_ONE_COPY: [[u8; 2]; 7] = [*b"30", *b"58", *b"77", *b"94", *b"96", *b"97", *b"A0"];

/// What an answer says.
struct Answer {
    mti: Mti,
    terminal: u32,
    stan: u32,
    code: [u8; 2],
    approval: [u8; 6],
    amount: Option<u64>,
    coupon: u64,
    reference: Option<[u8; 12]>,
}

impl Terminals {
    /// Takes one message received on a connection.
    pub(crate) fn handle_message(&mut self, line: u32, payload: &[u8], now_ns: u64) {
        let composer = &self.plan.composer;
        let wire = &composer.wire;
        let mut layout = std::mem::take(&mut self.layout);
        let decoded = wire.dialect.decode(payload, &mut layout);
        let message = wire.dialect.message(payload, &layout);
        let mut signed_on = None;
        let answer = match decoded {
            Err(error) => {
                self.metrics.parse_errors += 1;
                self.metrics.first_parse_error.get_or_insert_with(|| error.to_string());
                None
            }
            // Sign-on travels without a MAC.
            Ok(()) if message.mti() == SIGN_ON_ANSWER => {
                signed_on = Some(message.digits(39) == Some(APPROVED));
                None
            }
            Ok(()) => match wire.check_mac(&message) {
                MacCheck::Holds => {
                    let answer = read(&message, |id| composer.terminal_of(id));
                    self.metrics.unmatched += u64::from(answer.is_none());
                    answer
                }
                MacCheck::Missing => {
                    self.metrics.mac_missing += 1;
                    None
                }
                MacCheck::Wrong => {
                    self.metrics.mac_wrong += 1;
                    None
                }
            },
        };
        self.layout = layout;
        match (signed_on, answer) {
            (Some(true), _) if !self.lines[line as usize].up => self.open_line(line, now_ns),
            (Some(true), _) => self.metrics.unmatched += 1,
            (Some(false), _) => self.metrics.sign_ons_refused += 1,
            (None, Some(answer)) => self.take(&answer, now_ns),
            (None, None) => {}
        }
    }

    fn take(&mut self, answer: &Answer, now_ns: u64) {
        let Some(terminal) = self.terminals.get(answer.terminal as usize).filter(|t| t.operation != NONE)
        else {
            self.metrics.unmatched += 1;
            return;
        };
        let operation = &self.operations[terminal.operation as usize];
        let composer = &self.plan.composer;
        let same_payment = answer.reference.is_none_or(|found| found == composer.reference(operation.number));
        let answers = |stan, copy| {
            let is_answer = composer.mti(operation, copy).is_some_and(|mti| mti.response() == answer.mti);
            same_payment && answer.stan == stan && is_answer
        };
        match terminal.phase {
            Phase::Waiting if answers(operation.stan, Copy::First) => self.take_answer(answer, now_ns),
            Phase::Reversing if answers(terminal.reversal_stan, terminal.reversal()) => {
                self.take_acknowledgement(answer, now_ns);
            }
            _ => self.explain(answer, now_ns),
        }
    }

    /// Counts an answer that nobody waits for: to what has been answered or given up before, or to nothing of ours.
    fn explain(&mut self, answer: &Answer, now_ns: u64) {
        let terminal = &self.terminals[answer.terminal as usize];
        let of_this_run =
            answer.reference.is_none_or(|reference| reference.starts_with(&self.plan.composer.run_tag));
        if !of_this_run || answer.stan == 0 || answer.stan > terminal.last_stan {
            self.metrics.unmatched += 1;
            return;
        }
        self.metrics.late_or_second += 1;
        let operation = &self.operations[terminal.operation as usize];
        if answer.stan == operation.stan {
            let late_ms = now_ns.saturating_sub(terminal.sent_ns) / 1_000_000;
            self.metrics.late_ms_max = self.metrics.late_ms_max.max(late_ms);
        }
    }

    fn take_answer(&mut self, answer: &Answer, now_ns: u64) {
        let terminal = &mut self.terminals[answer.terminal as usize];
        let operation = &mut self.operations[terminal.operation as usize];
        operation.code = answer.code;
        self.metrics.code(answer.code);
        let told_of = until_answered(operation.kind);
        // A refund that was decided on is decided; only a refusal (96) or a bad MAC was no decision.
        let undecided = operation.kind != Kind::Refund || NO_DECISION.contains(&answer.code);
        let of_one_copy = OF_ONE_COPY.contains(&answer.code) && !(told_of && answer.code == DUPLICATE);
        terminal.refused = terminal.refused.saturating_add(u32::from(of_one_copy));
        if told_of && undecided && TRY_AGAIN.contains(&answer.code) {
            self.timers.pause(answer.terminal, now_ns, &mut terminal.timer);
            return;
        }
        if of_one_copy && terminal.refused < terminal.sent {
            // Another copy may have been accepted, also one whose connection ended: its answer or, when none
            // comes, the reversal decides.
            return;
        }
        let agreed = answer.code == APPROVED || answer.code == PARTIAL;
        let taken = agreed || answer.code == DUPLICATE && told_of;
        if taken {
            operation.approval = answer.approval;
            operation.coupon_paid = answer.coupon;
            operation.told = told(operation, answer);
            // Told to pay another sum than asked for, or more: the switch may not let that through.
            let other = answer.amount.is_some_and(|amount| amount != operation.told);
            if operation.kind != Kind::Balance && (other || operation.told > operation.amount) {
                self.metrics.wrong_amounts += 1;
            }
        }
        let state = if taken { State::Approved } else { State::Declined };
        self.end(answer.terminal, state, now_ns);
    }

    /// A reversal is done when the other side has it, whether it knew the original or not.
    fn take_acknowledgement(&mut self, answer: &Answer, now_ns: u64) {
        self.metrics.code(answer.code);
        if [APPROVED, NOT_FOUND, DUPLICATE].contains(&answer.code) {
            self.end(answer.terminal, State::Reversed, now_ns);
        } else {
            self.metrics.reversals_refused += 1;
            let terminal = &mut self.terminals[answer.terminal as usize];
            self.timers.pause(answer.terminal, now_ns, &mut terminal.timer);
        }
    }
}

/// The amount of an approval: a smaller one only with the code of a partial approval.
fn told(operation: &Operation, answer: &Answer) -> u64 {
    if answer.code == PARTIAL { answer.amount.unwrap_or(operation.amount) } else { operation.amount }
}

fn read(message: &Message<'_>, terminal_of: impl Fn([u8; 8]) -> Option<u32>) -> Option<Answer> {
    if !message.mti().is_response() {
        return None;
    }
    Some(Answer {
        mti: message.mti(),
        terminal: terminal_of(message.digits(41)?)?,
        stan: u32::try_from(message.number(11)?).ok()?,
        code: message.digits(39)?,
        approval: message.digits(38).unwrap_or_default(),
        amount: message.number(4),
        coupon: coupon_part(message),
        reference: message.digits(37),
    })
}

/// The coupon's part in F54: 20 characters each of account type, kind, currency, sign and amount.
fn coupon_part(message: &Message<'_>) -> u64 {
    if !message.has(54) {
        return 0;
    }
    let mut text = [0; 120];
    let len = message.text(54, &mut text).unwrap_or(0);
    let coupon = text[..len].chunks_exact(20).find(|part| part.get(2..4) == Some(b"CP"));
    let amount = coupon.and_then(|part| std::str::from_utf8(part.get(8..)?).ok());
    amount.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
