//! Gateways (`docs/wire.md`): a tap is stored once whatever comes again, a verdict leaves only when it is durable, batches
//! are closed by what they announced.

use crate::balanced;
use crate::town::{Batch, Line, SESSION, Town, payment};
use yika_codec::gate::{
    BatchOpen, BatchPart, ErrorCode, Message, RawRecord, Reason, Record, Records, Tap, Verdict, feature,
};
use yika_switch::core::Bound;
use yika_switch::core::window::AHEAD_MAX_MS;
use yika_tests::gateway::{Gateway, Said, Sums, date, tap};
use yika_tests::setup::ACQUIRER;

#[test]
fn a_tap_is_stored_once_whatever_comes_again() {
    let mut town = Town::new();
    let mut line = town.connects();
    let (first, other) = (tap(1, 1, 200, town.now()), tap(1, 1, 300, town.now()));
    assert_eq!(town.taps(&mut line, &first).unwrap().0, Verdict::Stored);
    assert_eq!(town.taps(&mut line, &first).unwrap().0, Verdict::StoredEarlier);
    // The same key with other contents is kept apart, once, and counts nowhere.
    for _ in 0..2 {
        assert_eq!(town.taps(&mut line, &other).unwrap().0, Verdict::Conflict);
    }
    assert_eq!(town.world.driver.core.durable.taps.len(), 2);
    let mut sums = Sums::default();
    sums.add(&first, 200);
    assert_eq!(town.totals(&mut line, sums), (0, 1));
    sums.add(&other, 300);
    assert_eq!(town.totals(&mut line, sums), (1, 1), "they differ");
    balanced(&town.world);
}

#[test]
fn p2_no_verdict_leaves_before_its_tap_is_durable_and_none_is_lost_or_doubled_by_a_crash() {
    let mut town = Town::new();
    let mut line = town.connects();
    let record = tap(1, 1, 200, town.now());
    town.world.commits = false;
    assert_eq!(town.taps(&mut line, &record), None);
    town.world.commits = true;
    // Nothing was durable: after the crash it is new.
    town.world.crash();
    let mut line = town.connects();
    let told = town.taps(&mut line, &record).unwrap();
    assert_eq!(told.0, Verdict::Stored);
    town.world.crash();
    let mut line = town.connects();
    assert_eq!(town.taps(&mut line, &record), Some((Verdict::StoredEarlier, told.1)));
    assert_eq!(town.world.driver.core.durable.taps.len(), 1);
    balanced(&town.world);
}

#[test]
fn what_cannot_be_read_or_lies_outside_the_window_gets_its_own_verdict_and_the_others_theirs() {
    let mut town = Town::new();
    let mut line = town.connects();
    let day = 86_400_000;
    let (now, window) = (town.now(), 3 * day);
    let mut batch = Batch::of(1, 1, 5, &town);
    batch.records[1] = tap(1, 2, 2, now - window - 60_000);
    batch.records[2] = tap(1, 3, 3, now + 6 * 60_000);
    // The last byte of its length says that it goes on: the record cannot be read, but told from the next.
    batch.records[3] = [&[0, 3, 1, 1], &[9][..]].concat();
    let line_record = Record::Payment(payment(b"anything at all!", now, b""));
    batch.records[4] = Vec::new();
    line_record.encode(&mut batch.records[4]);
    assert_eq!(batch.opens(&mut town, &mut line).next, 0);
    let (verdicts, closed) = batch.sends(&mut town, &mut line, 0, 5);
    assert_eq!(verdicts, [0, 3, 3, 2, 4]);
    let closed = closed.unwrap();
    assert_eq!(closed.differs, 0b100, "the hash differs; a sum is compared only when all could be read");
    assert_eq!((closed.stored, closed.outside_window, closed.unreadable, closed.not_accepted), (1, 2, 1, 1));
    balanced(&town.world);
}

#[test]
fn a_batch_is_closed_when_it_is_what_was_announced_and_sent_again_posts_nothing() {
    let mut town = Town::new();
    let mut line = town.connects();
    let batch = Batch::of(7, 1, 600, &town);
    assert_eq!((batch.opens(&mut town, &mut line).state, batch.opens(&mut town, &mut line).next), (0, 0));
    for (from, to) in [(0, 256), (256, 512)] {
        let (verdicts, closed) = batch.sends(&mut town, &mut line, from, to);
        assert!(verdicts.iter().all(|verdict| *verdict == 0) && closed.is_none());
    }
    let closed = batch.sends(&mut town, &mut line, 512, 600).1.unwrap();
    assert_eq!((closed.differs, closed.stored, closed.hash), (0, 600, batch.open.hash));
    assert_eq!(town.totals(&mut line, batch.sums), (0, 600));
    // On a new connection, whole.
    let mut line = town.connects();
    let state = batch.opens(&mut town, &mut line);
    assert_eq!((state.state, state.stored, state.next), (1, 600, 600));
    let (verdicts, closed) = batch.sends(&mut town, &mut line, 0, 256);
    assert!(verdicts.iter().all(|verdict| *verdict == 1) && closed.is_none());
    assert_eq!(town.totals(&mut line, batch.sums), (0, 600));
    let other = BatchOpen { amount_fen: 1, ..batch.open };
    let all = town.asks(&mut line, &Message::BatchOpen(other));
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 49), "{all:?}");
    balanced(&town.world);
}

#[test]
fn a_batch_goes_on_where_its_connection_broke_and_anew_after_a_crash() {
    let mut town = Town::new();
    let mut line = town.connects();
    let batch = Batch::of(7, 1, 500, &town);
    batch.opens(&mut town, &mut line);
    batch.sends(&mut town, &mut line, 0, 256);
    let all = {
        let bytes = batch.records[300..310].concat();
        let records = Records::new(10, &bytes).unwrap();
        town.asks(&mut line, &Message::BatchPart(BatchPart { batch: 7, first: 300, records }))
    };
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 50), "a gap: {all:?}");
    town.world.closes(line.end);
    let mut line = town.connects();
    assert_eq!(line.peer.open, [(7, 256)], "the hello answer names it");
    assert_eq!(batch.opens(&mut town, &mut line).next, 256);
    batch.sends(&mut town, &mut line, 256, 400);
    town.world.crash();
    let mut line = town.connects();
    let state = batch.opens(&mut town, &mut line);
    assert_eq!((state.stored, state.next), (400, 0), "what hashes it is gone, what it brought is not");
    let (first, _) = batch.sends(&mut town, &mut line, 0, 256);
    let (second, closed) = batch.sends(&mut town, &mut line, 256, 500);
    assert!(first.iter().chain(&second[..144]).all(|verdict| *verdict == 1));
    assert!(second[144..].iter().all(|verdict| *verdict == 0));
    let closed = closed.unwrap();
    assert_eq!((closed.differs, closed.stored, closed.stored_earlier), (0, 100, 400));
    assert_eq!(town.totals(&mut line, batch.sums), (0, 500));
    balanced(&town.world);
}

#[test]
fn p3_a_crash_at_every_commit_of_a_batch_loses_and_doubles_nothing() {
    for stop in 0..5 {
        let mut town = Town::new();
        let batch = Batch::of(7, 1, 300, &town);
        let mut line = town.connects();
        let parts = [(0, 100), (100, 200), (200, 300)];
        // As many of its steps are durable as `stop` says; the next is not, and dies.
        let steps = |town: &mut Town, line: &mut Line, step: usize| {
            let message = match step {
                0 => Message::BatchOpen(batch.open),
                _ => {
                    return line
                        .peer
                        .says(&Message::BatchPart(part(&batch, parts[step - 1], &mut Vec::new(), town)))
                        .0;
                }
            };
            line.peer.says(&message).0
        };
        for step in 0..=stop.min(3) {
            town.world.commits = step < stop;
            let bytes = steps(&mut town, &mut line, step);
            town.world.sends_bytes(line.end, &bytes);
        }
        town.world.commits = true;
        town.world.crash();
        let mut line = town.connects();
        batch.opens(&mut town, &mut line);
        let mut closed = None;
        for (from, to) in parts {
            closed = batch.sends(&mut town, &mut line, from, to).1.or(closed);
        }
        assert_eq!(town.totals(&mut line, batch.sums), (0, 300), "stop {stop}");
        let counted = closed.map(|closed| (closed.differs, closed.stored + closed.stored_earlier));
        assert!(counted.is_none_or(|counted| counted == (0, 300)), "{counted:?}");
        assert_eq!(batch.opens(&mut town, &mut line).state, 1, "stop {stop}");
        balanced(&town.world);
    }
}

/// A part whose bytes live as long as the process: tests are short.
fn part(batch: &Batch, (from, to): (usize, usize), _: &mut Vec<u8>, _: &Town) -> BatchPart<'static> {
    let bytes: &'static [u8] = batch.records[from..to].concat().leak();
    BatchPart {
        batch: batch.id,
        first: from as u32,
        records: Records::new((to - from) as u16, bytes).unwrap(),
    }
}

#[test]
fn p11_whatever_is_wrong_ends_or_refuses_as_the_page_says() {
    let mut town = Town::new();
    let good = tap(2, 1, 200, town.now());
    let frame =
        |line: &mut Line| line.peer.says(&Message::Tap(Tap { record: RawRecord::new(&good).unwrap() })).0;
    let mut line = town.connects();
    let mut bytes = frame(&mut line);
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(town.ends(&mut line, &bytes), ErrorCode::Mac);
    let mut line = town.connects();
    let (_, bytes) = (frame(&mut line), frame(&mut line));
    assert_eq!(town.ends(&mut line, &bytes), ErrorCode::Sequence);
    let mut line = town.connects();
    assert_eq!(town.ends(&mut line, &[0xFF; 16]), ErrorCode::Frame);
    let mut line = town.connects();
    let again = line.peer.hello(&town.key, ACQUIRER, "depot-3");
    let bytes = line.peer.says(&Message::Hello(again)).0;
    assert_eq!(town.ends(&mut line, &bytes), ErrorCode::Turn);
    let mut line = town.connects();
    let bytes = line.peer.says_raw_under(0, 0x03, &5u64.to_be_bytes());
    assert_eq!(town.ends(&mut line, &bytes), ErrorCode::Frame, "a question that no answer could name");
    let mut line = town.connects();
    let batch = Batch::of(1, 1, 900, &town);
    batch.opens(&mut town, &mut line);
    let mut bytes = Vec::new();
    for at in 0..5 {
        bytes.extend(
            line.peer
                .says(&Message::BatchPart(part(
                    &batch,
                    (at * 256 % 512, at * 256 % 512 + 256),
                    &mut Vec::new(),
                    &town,
                )))
                .0,
        );
    }
    town.world.commits = false;
    assert_eq!(town.ends(&mut line, &bytes), ErrorCode::Credit, "1,000 were granted, none was answered");
    town.world.commits = true;
    // These refuse the question alone.
    let mut line = town.connects();
    let beat = [&5u64.to_be_bytes()[..], &[0x80, 0x77, 0, 1, 9]].concat();
    let skipped = [&5u64.to_be_bytes()[..], &[0x00, 0x77, 0, 1, 9]].concat();
    for (kind, body, expected) in [(0x03, &beat, 20), (0x7E, &beat, 16), (0x03, &skipped, 0)] {
        let bytes = line.peer.says_raw(kind, body);
        town.world.sends_bytes(line.end, &bytes);
        let all = line.peer.hears(&town.world.bytes_at(line.end));
        match all[0].message() {
            Message::Fault(fault) => assert_eq!((fault.code, fault.fatal), (expected, 0)),
            Message::HeartbeatAnswer(_) => assert_eq!(expected, 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(town.taps(&mut line, &good).unwrap().0, Verdict::Stored, "it is still connected");
    balanced(&town.world);
}

#[test]
fn a_hello_is_refused_with_what_would_be_right() {
    let mut town = Town::new();
    let mut refused = |change: &dyn Fn(&mut yika_codec::gate::Hello<'_>)| {
        let (end, mut peer) = (town.world.terminal(), Gateway::new(SESSION));
        let mut hello = peer.hello(&town.key, ACQUIRER, "depot-3");
        change(&mut hello);
        let bytes = peer.greets(hello);
        town.world.sends_bytes(end, &bytes);
        let error = peer.agrees(&town.key, &town.world.bytes_at(end)).unwrap_err();
        assert!(town.world.was_closed(end));
        let Message::Fault(fault) = error.message() else { panic!("{error:?}") };
        (ErrorCode::of(fault.code).unwrap(), fault.versions, fault.features.is_some())
    };
    let version = refused(&|hello| (hello.version_min, hello.version_max) = (2, 3));
    assert_eq!(version, (ErrorCode::Version, Some([1, 1]), false));
    assert_eq!(refused(&|hello| hello.features_needed = feature::LISTS), (ErrorCode::Feature, None, true));
    assert_eq!(refused(&|hello| hello.key_check = [0; 3]).0, ErrorCode::Key);
    let stranger = yika_codec::gate::Name::new(b"somebody").unwrap();
    assert_eq!(refused(&|hello| hello.participant = stranger).0, ErrorCode::Unknown);
}

#[test]
fn a_gateway_that_connects_anew_takes_over_and_one_that_is_silent_is_let_go() {
    let mut town = Town::new();
    let mut old = town.connects();
    let mut new = town.connects();
    let all = old.peer.hears(&town.world.bytes_at(old.end));
    let taken_over = Reason::TakenOver.number();
    assert!(
        matches!(all[..], [ref one] if matches!(one.message(), Message::Goodbye(bye) if bye.reason == taken_over))
    );
    assert!(town.world.was_closed(old.end) && !town.world.was_closed(new.end));
    town.world.advance(31_000);
    let all = new.peer.hears(&town.world.bytes_at(new.end));
    assert!(matches!(all[0].message(), Message::Heartbeat(_)), "{all:?}");
    assert_eq!(all[0].correlation, 1, "a question of the server");
    town.world.advance(62_000);
    let all = new.peer.hears(&town.world.bytes_at(new.end));
    let idle = Reason::Idle.number();
    assert!(matches!(all.last().unwrap().message(), Message::Goodbye(bye) if bye.reason == idle), "{all:?}");
    assert!(town.world.was_closed(new.end));
}

#[test]
fn a_goodbye_is_answered_when_what_was_under_way_is_told() {
    let mut town = Town::new();
    let mut line = town.connects();
    let record = tap(1, 1, 200, town.now());
    town.world.commits = false;
    assert_eq!(town.taps(&mut line, &record), None);
    let bye = Message::Goodbye(yika_codec::gate::Goodbye::of(Reason::Done));
    assert!(town.asks(&mut line, &bye).is_empty() && !town.world.was_closed(line.end));
    town.world.commits = true;
    town.world.step();
    let all = line.peer.hears(&town.world.bytes_at(line.end));
    assert!(matches!(all[0].message(), Message::TapVerdict(_)), "{all:?}");
    assert!(matches!(all[1].message(), Message::Goodbye(bye) if bye.reason == 0), "{all:?}");
    assert!(town.world.was_closed(line.end));
    // With nothing under way, at once.
    let mut line = town.connects();
    let all = town.asks(&mut line, &bye);
    assert!(matches!(all[..], [ref one] if matches!(one.message(), Message::Goodbye(_))), "{all:?}");
    assert!(town.world.was_closed(line.end));
}

#[test]
fn p9_taps_and_batches_beyond_their_bounds_are_told_to_come_again() {
    for (bound, taps_max, batches_max, tap_sums_max) in
        [(Bound::Taps, 1, 10, 10), (Bound::Batches, 10, 0, 10), (Bound::TapSums, 10, 10, 1)]
    {
        let mut town = Town::with(|settings| {
            settings.bounds.taps_max = taps_max;
            settings.bounds.batches_max = batches_max;
            settings.bounds.tap_sums_max = tap_sums_max;
        });
        let mut line = town.connects();
        assert_eq!(town.taps(&mut line, &tap(1, 1, 1, town.now())).unwrap().0, Verdict::Stored);
        let record = tap(1, 2, 1, town.now());
        let message = match bound {
            Bound::Batches => Message::BatchOpen(Batch::of(1, 1, 5, &town).open),
            // A further tap, or the first of a gateway of another name.
            _ => Message::Tap(Tap { record: RawRecord::new(&record).unwrap() }),
        };
        let name = if bound == Bound::TapSums { "depot-4" } else { "depot-3" };
        let mut line = town.connects_as(name);
        let all = town.asks(&mut line, &message);
        let Message::Fault(fault) = all[0].message() else { panic!("{all:?}") };
        assert_eq!((fault.code, fault.fatal, fault.retry_after_ms), (32, 0, Some(1000)));
        assert_eq!(town.world.driver.core.counters.reached.of(bound), 1);
        // What is stored is still known.
        assert_eq!(town.taps(&mut line, &tap(1, 1, 1, town.now())).unwrap().0, Verdict::StoredEarlier);
        balanced(&town.world);
    }
}

#[test]
fn what_was_held_is_forgotten_after_its_window() {
    let mut town = Town::with(|settings| settings.bounds.tap_window_ms = 60_000);
    let mut line = town.connects();
    let batch = Batch::of(1, 1, 5, &town);
    batch.opens(&mut town, &mut line);
    batch.sends(&mut town, &mut line, 0, 5);
    assert_eq!(town.world.driver.core.durable.taps.len(), 5);
    // A tap of a clock that goes five minutes ahead is inside the window for as much longer, and known for as long.
    town.world.advance(62_000);
    assert_eq!(town.world.driver.core.durable.taps.len(), 5);
    town.world.advance(300_000);
    assert!(town.world.driver.core.durable.taps.is_empty());
    balanced(&town.world);
}

#[test]
fn a_tap_from_a_clock_that_is_ahead_is_not_stored_twice_at_the_edge_of_its_window() {
    let mut town = Town::with(|settings| settings.bounds.tap_window_ms = 60_000);
    let mut line = town.connects();
    let record = tap(1, 1, 200, town.now() + 290_000);
    assert_eq!(town.taps(&mut line, &record).unwrap().0, Verdict::Stored);
    let mut after = Vec::new();
    for _ in 0..16 {
        town.world.advance(25_000);
        let mut line = town.connects();
        after.push(town.taps(&mut line, &record).unwrap().0);
    }
    let edge = after.iter().position(|verdict| *verdict == Verdict::OutsideWindow).unwrap();
    assert!(edge > 11 && after[..edge].iter().all(|verdict| *verdict == Verdict::StoredEarlier), "{after:?}");
    balanced(&town.world);
}

#[test]
fn p3_a_longer_window_takes_nothing_that_a_shorter_one_has_let_go() {
    let mut town = Town::with(|settings| settings.bounds.tap_window_ms = 60_000);
    let mut line = town.connects();
    let (never_came, let_go) = (tap(1, 1, 200, town.now()), tap(1, 2, 200, town.now()));
    assert_eq!(town.taps(&mut line, &let_go).unwrap().0, Verdict::Stored);
    town.world.advance(500_000);
    assert_eq!(town.world.driver.core.durable.taps.len(), 0);
    let mut line = town.connects();
    let held = tap(1, 3, 200, town.now());
    assert_eq!(town.taps(&mut line, &held).unwrap().0, Verdict::Stored);
    town.world.config.bounds.tap_window_ms = 3_600_000;
    town.world.restart().unwrap();
    let mut line = town.connects();
    for old in [&let_go, &never_came] {
        assert_eq!(town.taps(&mut line, old).unwrap().0, Verdict::OutsideWindow, "nobody knows which came");
    }
    // What is made from now on, by a clock that is ahead, too, is known for an hour.
    town.world.advance(AHEAD_MAX_MS);
    let mut line = town.connects();
    let new = tap(1, 4, 200, town.now());
    assert_eq!(town.taps(&mut line, &new).unwrap().0, Verdict::Stored);
    town.world.advance(600_000);
    let mut line = town.connects();
    assert_eq!(town.taps(&mut line, &new).unwrap().0, Verdict::StoredEarlier);
    assert_eq!(town.taps(&mut line, &tap(1, 5, 200, town.now() - 590_000)).unwrap().0, Verdict::Stored);
    balanced(&town.world);
}

#[test]
fn the_end_of_a_batch_is_told_to_the_connection_that_has_taken_over() {
    let mut town = Town::new();
    let mut line = town.connects();
    let batch = Batch::of(1, 1, 5, &town);
    batch.opens(&mut town, &mut line);
    town.world.commits = false;
    let last = Message::BatchPart(part(&batch, (0, 5), &mut Vec::new(), &town));
    assert!(town.asks(&mut line, &last).is_empty());
    town.world.closes(line.end);
    let mut line = town.connects();
    assert!(town.asks(&mut line, &Message::BatchOpen(batch.open)).is_empty());
    town.world.commits = true;
    town.world.step();
    let all = line.peer.hears(&town.world.bytes_at(line.end));
    assert!(matches!(all[0].message(), Message::BatchState(said) if said.next == 5), "{all:?}");
    assert!(matches!(all[1].message(), Message::BatchClosed(said) if said.differs == 0), "{all:?}");
    assert_eq!(all[0].correlation, all[1].correlation);
    balanced(&town.world);
}

#[test]
fn a_record_that_is_stored_is_told_so_also_when_it_is_older_than_the_window() {
    let mut town = Town::with(|settings| settings.bounds.tap_window_ms = 600_000);
    let mut line = town.connects();
    let old = tap(1, 1, 200, town.now() - 599_000);
    assert_eq!(town.taps(&mut line, &old).unwrap().0, Verdict::Stored);
    town.world.advance(5_000);
    assert_eq!(town.taps(&mut line, &old).unwrap().0, Verdict::StoredEarlier, "it is known, and posted");
    let never_came = tap(1, 2, 200, town.now() - 601_000);
    assert_eq!(town.taps(&mut line, &never_came).unwrap().0, Verdict::OutsideWindow);
    balanced(&town.world);
}

#[test]
fn a_batch_is_the_same_on_another_day_and_takes_nothing_that_was_not_announced() {
    let mut town = Town::new();
    let mut line = town.connects();
    let batch = Batch::of(1, 1, 10, &town);
    batch.opens(&mut town, &mut line);
    assert_eq!(batch.sends(&mut town, &mut line, 0, 5).0, [0; 5]);
    // The gateway's day is recorded and not compared.
    let next_day = BatchOpen { date: date(20_261_125), ..batch.open };
    let all = town.asks(&mut line, &Message::BatchOpen(next_day));
    assert!(matches!(all[0].message(), Message::BatchState(state) if state.next == 5), "{all:?}");
    // Other records at an index that others had: the batch is not what was announced.
    let other = Batch { id: 1, ..Batch::of(1, 7, 2, &town) };
    assert_eq!(other.sends(&mut town, &mut line, 0, 2).0, [0, 0]);
    let (verdicts, closed) = batch.sends(&mut town, &mut line, 5, 10);
    assert_eq!((&verdicts[..], closed.unwrap().differs), (&[0; 5][..], 1));
    // A complete batch takes no more.
    batch.opens(&mut town, &mut line);
    let late = Batch { id: 1, ..Batch::of(1, 8, 2, &town) };
    assert_eq!(late.sends(&mut town, &mut line, 0, 2).0, [4, 4]);
    assert_eq!(batch.sends(&mut town, &mut line, 0, 10).0, [1; 10]);
    let none = BatchOpen { batch: 0, ..batch.open };
    let all = town.asks(&mut line, &Message::BatchOpen(none));
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 18), "{all:?}");
    balanced(&town.world);
}

#[test]
fn what_cannot_be_read_at_all_gives_its_credits_back() {
    let mut town = Town::new();
    let mut line = town.connects();
    // A part of seven records whose lengths do not add up; a tap that ends in its head.
    let part = [&1u64.to_be_bytes()[..], &[0; 4], &[0, 7], &[0, 0, 0, 9], &[0xFF; 9]].concat();
    for (kind, body, credits) in [(0x14, &part[..], 1007), (0x10, &[0, 9, 1][..], 1008)] {
        let bytes = line.peer.says_raw(kind, body);
        town.world.sends_bytes(line.end, &bytes);
        let all = line.peer.hears(&town.world.bytes_at(line.end));
        assert!(matches!(all[0].message(), Message::Fault(fault) if fault.fatal == 0), "{all:?}");
        assert_eq!(granted(&all), credits);
    }
    balanced(&town.world);
}

/// The credits that the last of these frames tells.
fn granted(all: &[Said]) -> u64 {
    match all.last().unwrap().message() {
        Message::Credit(said) => said.credits,
        other => panic!("{other:?}"),
    }
}

#[test]
fn credits_that_a_refusal_gives_back_are_told() {
    let mut town = Town::with(|settings| settings.bounds.taps_max = 0);
    let mut line = town.connects();
    let batch = Batch::of(1, 1, 300, &town);
    batch.opens(&mut town, &mut line);
    let beyond = Message::BatchPart(part(&batch, (0, 256), &mut Vec::new(), &town));
    let all = town.asks(&mut line, &beyond);
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 32), "{all:?}");
    assert_eq!((all.len(), granted(&all)), (2, 1256));
    // A part of a batch that nobody opened here, and one that goes beyond its batch.
    let stranger = Batch { id: 9, ..Batch::of(9, 1, 10, &town) };
    let all = town.asks(&mut line, &Message::BatchPart(part(&stranger, (0, 10), &mut Vec::new(), &town)));
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 48), "{all:?}");
    assert_eq!(granted(&all), 1266);
    let small = Batch::of(2, 2, 5, &town);
    small.opens(&mut town, &mut line);
    let long = Batch { id: 2, ..Batch::of(2, 2, 6, &town) };
    let all = town.asks(&mut line, &Message::BatchPart(part(&long, (0, 6), &mut Vec::new(), &town)));
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 50), "{all:?}");
    assert_eq!(granted(&all), 1272);
    balanced(&town.world);
}

#[test]
fn another_announcement_under_the_id_of_an_open_batch_changes_nothing() {
    let mut town = Town::new();
    let mut line = town.connects();
    let mut batch = Batch::of(7, 1, 20, &town);
    batch.open.date = date(20_261_120);
    batch.opens(&mut town, &mut line);
    let other = BatchOpen { records: 5, ..batch.open };
    let all = town.asks(&mut line, &Message::BatchOpen(other));
    assert!(matches!(all[0].message(), Message::Fault(fault) if fault.code == 49), "{all:?}");
    let (verdicts, closed) = batch.sends(&mut town, &mut line, 0, 20);
    assert!(verdicts.iter().all(|verdict| *verdict == 0));
    let closed = closed.unwrap();
    let current = town.world.driver.core.durable.dates.current.0;
    assert_eq!((closed.differs, closed.business_date.number()), (0, current), "not the gateway's day");
    balanced(&town.world);
}

#[test]
fn who_does_not_prove_itself_in_time_is_let_go() {
    let mut town = Town::new();
    let ends = [town.world.terminal(), town.world.terminal(), town.world.terminal()];
    let mut peer = Gateway::new(SESSION);
    let hello = peer.greets(peer.hello(&town.key, ACQUIRER, "depot-3"));
    town.world.sends_bytes(ends[1], &hello[..7]);
    town.world.sends_bytes(ends[2], &hello);
    peer.agrees(&town.key, &town.world.bytes_at(ends[2])).unwrap();
    let proven = town.connects();
    town.world.advance(9_000);
    assert!(ends.iter().all(|end| !town.world.was_closed(*end)));
    // Words that say nothing do not help.
    town.world.sends_bytes(ends[1], &hello[7..9]);
    town.world.advance(3_000);
    assert!(ends.iter().all(|end| town.world.was_closed(*end)));
    assert!(!town.world.was_closed(proven.end));
}
