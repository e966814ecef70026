//! Rules 7 and 8 under a backlog: thousands of obligations go out in order, and live payments wait for none of them.

use crate::balanced;
use std::collections::{BTreeMap, VecDeque};
use yika_tests::setup::BANK_A;
use yika_tests::world::mti;
use yika_tests::{BankRequest, Terminal, Wire, World, purchase};

const CARDS: u32 = 800;
const PER_CARD: u64 = 4;
/// What the bank takes for each message.
const BANK_MS: u64 = 20;
/// A live payment every so often.
const LIVE_EVERY_MS: u64 = 5;
/// The bank's own time, and a timer's grain on the way in and out.
const LATENCY_MS_MAX: u64 = BANK_MS + 5;
const WINDOW: usize = 8;

fn card(number: u32) -> String {
    format!("411111{number:010}")
}

/// A bank that answers everything after `BANK_MS`.
#[derive(Default)]
struct Bank {
    waiting: VecDeque<(u64, BankRequest)>,
    /// Amounts of the advices of each card, in the order they came.
    advised: BTreeMap<String, Vec<u64>>,
    /// The most obligations that it held at once.
    most: usize,
}

impl Bank {
    fn serve(&mut self, world: &mut World, now_ms: u64) {
        while let Some(request) = world.at_bank(BANK_A) {
            if is_advice(&request) {
                assert_eq!(request.wire.mti, mti(0x0220), "answered in time, so never repeated");
                self.advised.entry(request.wire.text(2)).or_default().push(request.wire.amount());
            }
            self.waiting.push_back((now_ms + BANK_MS, request));
        }
        self.most = self.most.max(self.waiting.iter().filter(|(_, request)| is_advice(request)).count());
        while self.waiting.front().is_some_and(|(due, _)| *due <= now_ms) {
            let Some((_, request)) = self.waiting.pop_front() else { return };
            world.bank_answers(&request, "00");
        }
    }
}

fn is_advice(request: &BankRequest) -> bool {
    request.wire.mti.without_repeat() == mti(0x0220)
}

/// Live payments under way: when each was sent, by F11.
struct Live {
    terminal: Terminal,
    sent: BTreeMap<String, u64>,
    slowest_ms: u64,
    answered: u64,
}

impl Live {
    fn pay(&mut self, world: &mut World, now_ms: u64) {
        // Half of them with cards whose advices are still waiting: they may pass (rule 8).
        let number = (now_ms as u32 * 7) % (2 * CARDS);
        let sent = world.sends(self.terminal, &purchase(1).with(2, card(number)));
        self.sent.insert(sent.stan(), now_ms);
    }

    fn hear(&mut self, world: &mut World, now_ms: u64) {
        while let Some(answer) = world.answer(self.terminal) {
            assert_eq!(answer.code(), "00");
            let sent_ms = self.sent.remove(&answer.stan()).unwrap();
            self.slowest_ms = self.slowest_ms.max(now_ms - sent_ms);
            self.answered += 1;
        }
    }
}

/// Thousands of advices while the bank is away.
fn fill(world: &mut World) {
    world.goes_down(BANK_A);
    let terminal = world.terminal();
    for round in 1..=PER_CARD {
        for number in 0..CARDS {
            let advice = Wire { mti: mti(0x0220), ..purchase(round).with(2, card(number)) };
            world.sends(terminal, &advice);
            assert_eq!(world.answer(terminal).unwrap().code(), "00");
        }
    }
    world.advance(10_000);
}

#[test]
fn rule_08_a_backlog_of_thousands_drains_in_order_and_no_live_payment_waits_for_it() {
    let mut world = World::new();
    fill(&mut world);
    let owed = world.open_obligations();
    assert_eq!(owed, (u64::from(CARDS) * PER_CARD) as usize);
    world.comes_up(BANK_A);
    let mut bank = Bank::default();
    let mut live = Live { terminal: world.terminal(), sent: BTreeMap::new(), slowest_ms: 0, answered: 0 };
    let mut now_ms = 0;
    while world.open_obligations() > 0 || !live.sent.is_empty() {
        if now_ms % LIVE_EVERY_MS == 0 && world.open_obligations() > 0 {
            live.pay(&mut world, now_ms);
        }
        world.advance(1);
        now_ms += 1;
        bank.serve(&mut world, now_ms);
        live.hear(&mut world, now_ms);
        assert!(now_ms < 60_000, "{} are still owed", world.open_obligations());
    }
    assert!(live.answered > 1000, "{} live payments while it drained", live.answered);
    assert!(live.slowest_ms <= LATENCY_MS_MAX, "a live payment took {} ms", live.slowest_ms);
    // Eight at a time, each as long as the bank takes, and a grain of the timer.
    let rounds = owed as u64 / WINDOW as u64;
    assert!(now_ms <= rounds * (BANK_MS + 2), "it took {now_ms} ms: live traffic held it up");
    assert!(bank.most <= WINDOW, "{} at once", bank.most);
    assert!(bank.advised.values().all(|seen| *seen == [1, 2, 3, 4]), "each once, in order of its card");
    assert_eq!(bank.advised.len(), CARDS as usize);
    balanced(&world);
}
