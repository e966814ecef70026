//! The anchor: its bytes, and what each end of a journal without its newest segment comes to.

use super::super::faulty::{Faults, FaultyDisk};
use super::super::format::{FileKind, file_kind};
use super::super::recovery::scan;
use super::super::tests::{Rig, read as scanned, segment};
use super::super::{Journal, JournalSize, replay};
use super::*;
use crate::core::batch::Batch;
use crate::core::entry::Entry;
use std::sync::Arc;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_anchor_has_golden_bytes() {
    let anchor = Anchor { segment: 7, file: 6, salt: 0x1122_3344_5566_7788, ends: 0x0a0b };
    let slot = anchor.encode();
    assert_eq!(slot.len(), 4096);
    assert_eq!(
        hex(&slot[..40]),
        "59494b41414e43310100000006000000070000000000000088776655443322110b0a000000000000"
    );
    assert_eq!(hex(&slot[4092..]), "1aebe8a1");
    assert_eq!(Anchor::decode(&slot), Some(anchor));
    for bit in 0..slot.len() * 8 {
        let mut bad = slot.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Anchor::decode(&bad), None, "bit {bit} was not noticed");
    }
}

/// A journal of several segments; the last frame is vouched for.
fn journal() -> Rig {
    let mut rig = Rig::new();
    rig.commit(60, 3000);
    rig
}

#[test]
fn after_a_clean_stop_a_zeroed_end_is_damage_and_after_a_crash_a_torn_tail() {
    let rig = journal();
    let size = JournalSize { segment_bytes: 64 * 1024, pending_bytes_max: 1 << 20 };
    let disk: Arc<dyn Disk> = Arc::new(rig.disk.clone());
    let opened = replay(&rig.disk, &rig.keys).unwrap();
    let mut state = opened.durable;
    let mut running = Journal::start(disk, rig.keys.clone(), &opened.scan, size, Box::new(|| {})).unwrap();
    let mut batch = Batch::new(1_000);
    batch.record(&mut state, Entry::TimePassed);
    running.submit(batch);
    drop(running);
    let (file, end) = segment(&rig.disk, &rig.keys);
    let cut = rig.disk.image();
    cut.zero_from(file, end - BLOCK);
    let why = refused(&cut, &rig);
    assert!(why.contains("stopped cleanly after frame"), "{why}");
    // The next start lets that word go: its own end may be torn.
    let mut again = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
    again.commit(1, 100);
    let (file, end) = segment(&rig.disk, &rig.keys);
    rig.disk.zero_from(file, end - BLOCK);
    assert!(scanned(&rig.disk, &rig.keys).is_ok());
}

/// What the scan of a journal that must be refused says.
fn refused(disk: &FaultyDisk, rig: &Rig) -> String {
    match scanned(disk, &rig.keys) {
        Err(e @ RecoveryError::Damaged { .. }) => e.to_string(),
        Err(e) => panic!("refused for another reason: {e}"),
        Ok(scan) => panic!("it opened with {} records", scan.records),
    }
}

#[test]
fn the_newest_segment_deleted_emptied_or_zeroed_is_damage_with_its_file() {
    let rig = journal();
    let (file, _) = segment(&rig.disk, &rig.keys);
    let spoilers: [fn(&FaultyDisk, FileNo); 4] = [
        |disk, file| disk.remove(file).unwrap(),
        |disk, file| disk.truncate(file, 0),
        |disk, file| disk.zero_from(file, 0),
        |disk, file| {
            disk.write(file, 0, &super::super::format::spare_block()).unwrap();
            disk.sync(file).unwrap();
        },
    ];
    for spoil in spoilers {
        let image = rig.disk.image();
        spoil(&image, file);
        let why = refused(&image, &rig);
        assert!(why.contains(&image.name(file)) && why.contains("the anchor names it as segment"), "{why}");
    }
    let image = rig.disk.image();
    for file in image.list().unwrap() {
        image.remove(file).unwrap();
    }
    assert!(refused(&image, &rig).contains("the newest one found is 0"), "all of them is worse, not better");
}

#[test]
fn another_segment_in_the_place_of_the_newest_is_damage() {
    let rig = journal();
    let (file, _) = segment(&rig.disk, &rig.keys);
    rewrite(&rig.disk, file, |header| header.salt ^= 1);
    assert!(refused(&rig.disk, &rig).contains("it is not the segment"));
}

#[test]
fn every_flip_and_every_cut_of_the_anchor_leaves_the_other_slot_to_count() {
    let rig = journal();
    let whole = scanned(&rig.disk, &rig.keys).unwrap().records;
    let both = Some(SLOTS * BLOCK);
    assert_eq!(rig.disk.len(FileNo::ANCHOR).ok(), both);
    // Of each slot every bit that means something, and some of the zeros behind them.
    let bits = (0..SLOTS).flat_map(|slot| {
        (0..32 * 8).chain((256..4096 * 8).step_by(997)).map(move |bit| slot * BLOCK * 8 + bit)
    });
    for bit in bits {
        let image = rig.disk.image();
        image.flip_bit(FileNo::ANCHOR, bit);
        assert_eq!(scanned(&image, &rig.keys).unwrap().records, whole, "bit {bit}");
        let again = Rig::on(image.clone(), rig.keys.clone()).unwrap();
        assert_eq!(again.durable.participants.len() as u64, whole);
        assert_eq!(image.len(FileNo::ANCHOR).ok(), both);
    }
    for cut in (0..SLOTS * BLOCK).step_by(61) {
        let image = rig.disk.image();
        image.truncate(FileNo::ANCHOR, cut);
        if cut < BLOCK {
            assert!(refused(&image, &rig).contains("neither of its slots can be read"), "cut at {cut}");
            continue;
        }
        let mut again = Rig::on(image.clone(), rig.keys.clone()).unwrap();
        again.commit(60, 3000);
        assert_eq!(scanned(&image, &rig.keys).unwrap().records, whole + 60);
        assert_eq!(image.len(FileNo::ANCHOR).ok(), both, "made whole again");
    }
}

#[test]
fn both_slots_bad_or_no_anchor_stops_the_start() {
    let rig = journal();
    let image = rig.disk.image();
    image.flip_bit(FileNo::ANCHOR, 1);
    image.flip_bit(FileNo::ANCHOR, BLOCK * 8 + 1);
    assert!(refused(&image, &rig).contains("neither of its slots can be read"));
    let image = rig.disk.image();
    image.remove(FileNo::ANCHOR).unwrap();
    let why = refused(&image, &rig);
    assert!(why.contains("memory:anchor") && why.contains("it is missing"), "{why}");
}

/// The format of segments; what entries hold is another matter.
#[test]
fn segments_of_version_1_have_no_anchor_and_get_one() {
    let rig = journal();
    for file in rig.disk.list().unwrap() {
        rewrite(&rig.disk, file, |header| header.anchored = false);
    }
    rig.disk.remove(FileNo::ANCHOR).unwrap();
    let mut again = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
    assert_eq!(again.durable.participants.len(), 60);
    again.commit(3, 100);
    let (file, _) = segment(&rig.disk, &rig.keys);
    rig.disk.remove(file).unwrap();
    assert!(refused(&rig.disk, &rig).contains("the anchor names it"), "from then on it has one");
}

/// Changes the header of a segment; spares stay as they are.
fn rewrite(disk: &FaultyDisk, file: FileNo, change: impl FnOnce(&mut SegmentHeader)) {
    let mut block = vec![0; BLOCK as usize];
    disk.read(file, 0, &mut block).unwrap();
    let FileKind::Segment(mut header) = file_kind(&block) else { return };
    change(&mut header);
    disk.write(file, 0, &header.encode()).unwrap();
    disk.sync(file).unwrap();
}

/// Runs `work` on a fresh image again and again, each time with the machine dying in another of its writes and syncs;
/// any part of what was pending is kept, and it starts.
fn crash_at_every_step(from: &FaultyDisk, rig: &Rig, work: impl Fn(FaultyDisk) -> usize) {
    let mut crashes = 0;
    for at in 1..80 {
        let image = from.image();
        image.set_faults(Faults { dies_at: Some(at), ..Faults::default() });
        let acknowledged = work(image.clone());
        let sectors = image.pending_sectors();
        crashes += usize::from(sectors > 0);
        for kept in 0..4usize {
            let crashed = image.image();
            // None, all, the first half, the second half.
            crashed.crash_keeping(|place| [false, true, place < sectors / 2, place >= sectors / 2][kept]);
            let opened = Rig::on(crashed.clone(), rig.keys.clone());
            let found = opened.unwrap_or_else(|e| panic!("{at} {kept}: {e}")).durable;
            assert!(found.participants.len() >= acknowledged, "{at} {kept}");
            scan(&crashed, &rig.keys, |_, _| Ok(())).unwrap();
        }
    }
    assert!(crashes > 10, "only {crashes} crashes left anything pending");
}

#[test]
fn a_crash_at_every_step_of_a_first_start_and_of_rotations_recovers() {
    let works = |disk: FaultyDisk, keys, floor| {
        let Ok(mut rig) = Rig::on(disk, keys) else { return floor };
        let before = rig.durable.participants.len();
        let done = (0..12).take_while(|_| {
            rig.submit(30_000);
            rig.journal.step().is_ok()
        });
        before + done.count()
    };
    let rig = journal();
    let keys = rig.keys.clone();
    crash_at_every_step(&FaultyDisk::default(), &rig, |disk| works(disk, keys.clone(), 0));
    crash_at_every_step(&rig.disk, &rig, |disk| works(disk, keys.clone(), 60));
}
