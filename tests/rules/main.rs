//! One test at least for each numbered rule of money (ARCHITECTURE.md, "Rules"), named after it, and for
//! each promise that needs no process. All on the real driver, core and journal, in virtual time.

#![allow(clippy::unwrap_used, reason = "tests say what they expect by unwrapping it")]

mod backlog;
mod bounds;
mod chip;
mod clock;
mod coupon_plan;
mod coupons;
mod crash;
mod crash_life;
mod cut_over;
mod dedupe;
mod dialects;
mod full_disk;
mod gate_payments;
mod halts;
mod hsm;
mod identity;
mod key_offers;
mod keys;
mod kinds;
mod life;
mod lines;
mod obligations;
mod pins;
mod refusals;
mod reversals;
mod rim;
mod settlement;
mod sign_in;
mod silence;
mod stand_in;
mod taps;
mod town;
mod ways;

use yika_tests::setup::BANK_A;
use yika_tests::{Terminal, Wire, World};

/// A purchase that bank A approves; the request as the terminal sent it, and its answer.
fn approved(world: &mut World, terminal: Terminal, wire: &Wire) -> (Wire, Wire) {
    let sent = world.sends(terminal, wire);
    let request = world.at_bank(BANK_A).unwrap();
    world.bank_answers(&request, "00");
    let answer = world.answer(terminal).unwrap();
    assert_eq!(answer.code(), "00");
    (sent, answer)
}

/// What must hold at the end of every test: the books balance, and a replay gives the same state.
fn balanced(world: &World) {
    assert_eq!(world.unaccounted(), 0, "P7: the books do not balance");
    let (live, replayed) = world.live_and_replayed();
    assert_eq!(live, replayed, "P8: a replay gives another state");
}
