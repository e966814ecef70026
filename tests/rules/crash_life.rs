//! Promises P3, P5, P6, P7 over the life of payments: voids, holds, completions, refunds and reversals, with a crash
//! after every commit and a bank that keeps silent on one of them. In the end both sides have the same sum.

use crate::balanced;
use std::collections::{BTreeMap, BTreeSet};
use yika_tests::setup::{BANK_A, TIMEOUT_MS};
use yika_tests::world::mti;
use yika_tests::{BankRequest, Terminal, Wire, World, purchase};

/// What a terminal sends in its day, in order, over amounts that differ.
fn day(world: &mut World) -> Vec<Wire> {
    let template = world.stamped(&purchase(1));
    let fresh = |stan: u32, minor: u64| {
        template.clone().with(11, format!("{stan:06}")).with(4, format!("{minor:012}"))
    };
    let naming =
        |wire: Wire, of: &Wire| wire.with(90, format!("{}{}{}{:022}", of.mti, of.stan(), of.text(7), 0));
    let bought = fresh(1, 100);
    let voided = naming(fresh(2, 100).with(3, "200000"), &bought);
    let held = Wire { mti: mti(0x0100), ..fresh(3, 200).with(3, "030000").with(25, "06") };
    let completed = naming(fresh(4, 180).with(25, "06"), &held);
    let bought_too = fresh(6, 300);
    let refunded = Wire { mti: mti(0x0220), ..naming(fresh(7, 120).with(3, "200000"), &bought_too) };
    let given_up = fresh(8, 400);
    let undone = [completed.reversal("000005"), held.reversal("000009"), given_up.reversal("000010")];
    let [completion_undone, hold_undone, undone] = undone;
    vec![
        bought,
        voided,
        held,
        completed,
        completion_undone,
        hold_undone,
        bought_too,
        refunded,
        given_up,
        undone,
    ]
}

/// A bank's own book, by F11 and F7 as it knows them: what each moved, until it is reversed.
#[derive(Default)]
struct Bank {
    moved: BTreeMap<String, i64>,
    reversed: BTreeSet<String>,
}

/// What a message moves when it is approved; a hold is told from money by its size.
fn moves(wire: &Wire) -> i64 {
    let minor = i64::try_from(wire.amount()).unwrap();
    match (wire.mti.class(), wire.text(3).as_str()) {
        (0x01, _) => minor * 1_000_000,
        (_, "200000") => -minor,
        _ => minor,
    }
}

impl Bank {
    fn serve(&mut self, world: &World, request: &BankRequest) -> Wire {
        let wire = &request.wire;
        let own = format!("{:04x}{}{}", wire.mti.bcd() & 0xff00, wire.stan(), wire.text(7));
        if wire.mti.class() == 0x04 {
            let named = wire.text(90);
            let named = format!("{}00{}", &named[..2], &named[4..20]);
            self.moved.remove(&named);
            self.reversed.insert(named);
        } else if self.reversed.contains(&own) {
            return world.answer_to(request, "12");
        } else {
            self.moved.insert(own, moves(wire));
        }
        world.answer_to(request, "00")
    }
}

/// Lets the bank serve and answer all that comes until it is quiet.
fn settle(world: &mut World, bank: &mut Bank) {
    for _ in 0..20 {
        while let Some(request) = world.at_bank(BANK_A) {
            let answer = bank.serve(world, &request);
            world.bank_sends(&request, &answer);
        }
        world.advance(500);
    }
}

/// Sends the day, the bank `silent` on one message of it, until `crash_at` commits were made; what the terminal was
/// told by then, by F11.
fn live(
    world: &mut World,
    bank: &mut Bank,
    day: &[Wire],
    silent: usize,
    crash_at: usize,
) -> BTreeMap<String, String> {
    let (mut told, mut commits) = (BTreeMap::new(), 0);
    let terminal = world.terminal();
    world.commits = false;
    'day: for (at, wire) in day.iter().enumerate() {
        world.sends_raw(terminal, wire);
        for _ in 0..6 {
            if commits == crash_at {
                break 'day;
            }
            commits += usize::from(world.driver.journal_mut().step().unwrap());
            world.step();
            while let Some(request) = world.at_bank(BANK_A) {
                let answer = bank.serve(world, &request);
                if at != silent {
                    world.bank_sends(&request, &answer);
                }
            }
        }
        told.extend(
            std::iter::from_fn(|| world.answer(terminal)).map(|answer| (answer.stan(), answer.code())),
        );
    }
    world.commits = true;
    told
}

/// The last word on a message: it is sent again until it is answered.
fn ask(world: &mut World, bank: &mut Bank, terminal: Terminal, wire: &Wire) -> String {
    world.sends_raw(terminal, &wire.repeated());
    settle(world, bank);
    world.advance(TIMEOUT_MS + 10);
    settle(world, bank);
    std::iter::from_fn(|| world.answer(terminal)).last().expect("each is answered in time").code()
}

#[test]
fn p3_p5_a_crash_at_every_commit_of_a_day_of_voids_holds_refunds_and_reversals_leaves_both_sides_agreeing() {
    for silent in 0..11 {
        for crash_at in 0..32 {
            let mut world = World::new();
            let mut bank = Bank::default();
            let day = day(&mut world);
            let told = live(&mut world, &mut bank, &day, silent, crash_at);
            world.crash();
            settle(&mut world, &mut bank);
            let terminal = world.terminal();
            let mut sum = BTreeMap::new();
            let case = format!("silent on {silent}, crash after commit {crash_at}");
            for wire in &day {
                let code = ask(&mut world, &mut bank, terminal, wire);
                let reversal = wire.mti.class() == 0x04;
                match told.get(&wire.stan()) {
                    Some(before) if reversal => assert_eq!(*before, code, "{case}: F11 {}", wire.stan()),
                    // Afterwards it may have been reversed: then a repeat gets the decline.
                    Some(before) => assert!(*before == code || code == "12", "{case}: {before} then {code}"),
                    None => {}
                }
                if code != "00" {
                    continue;
                }
                if reversal {
                    sum.insert(wire.text(90)[4..10].to_owned(), 0);
                } else {
                    sum.insert(wire.stan(), moves(wire));
                }
            }
            assert_eq!(world.open_obligations(), 0, "{case}");
            let (told, booked): (i64, i64) = (sum.values().sum(), bank.moved.values().sum());
            assert_eq!(told, booked, "{case}: told and booked differ");
            balanced(&world);
        }
    }
}
