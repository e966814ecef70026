//! The journal on a disk that misbehaves: every cut, every bit, every failing call. What was acknowledged is
//! there or the start stops with a reason; never wrong, never a panic.

use super::disk::{Disk, FileDisk, FileNo};
use super::faulty::{Faults, FaultyDisk};
use super::format::{BLOCK, FRAME_HEADER, TAG};
use super::recovery::{RecoveryError, Scan, scan};
use super::writer::SPARES_WANTED;
use super::{Journal, JournalSize};
use crate::core::Room;
use crate::core::batch::Batch;
use crate::core::durable::Durable;
use crate::core::effect::{Alarm, Effect};
use crate::core::entry::{CutOverTrigger, Entry};
use crate::core::ids::{BusinessDate, ParticipantId, Seq};
use proptest::prelude::*;
use std::sync::Arc;
use yika_keystore::{Keystore, Lmk};

const SIZE: JournalSize = JournalSize { segment_bytes: 64 * 1024, pending_bytes_max: 1 << 20 };

pub(super) fn keys() -> Arc<Keystore> {
    Arc::new(Keystore::in_memory(Lmk::test()))
}

/// A journal and the state it carries, driven by hand.
pub(super) struct Rig {
    pub(super) disk: FaultyDisk,
    pub(super) keys: Arc<Keystore>,
    pub(super) journal: Journal,
    pub(super) durable: Durable,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::on(FaultyDisk::default(), keys()).unwrap()
    }

    pub(super) fn on(disk: FaultyDisk, keys: Arc<Keystore>) -> Result<Rig, String> {
        let opened = super::replay(&disk, &keys).map_err(|e| e.to_string())?;
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let journal =
            Journal::start_stepped(shared, keys.clone(), &opened.scan, SIZE).map_err(|e| e.to_string())?;
        Ok(Rig { disk, keys, journal, durable: opened.durable })
    }

    /// One batch with one entry of about `bytes`, and one effect that tells its number.
    pub(super) fn submit(&mut self, bytes: usize) -> u32 {
        let mut batch = Batch::new(1_000);
        let id = ParticipantId(self.durable.participants.len() as u16);
        batch.record(&mut self.durable, Entry::Named { id, name: "n".repeat(bytes) });
        batch.effect(Effect::Alarm(Alarm::DateOpened { date: BusinessDate(u32::from(id.0)) }));
        self.journal.submit(batch);
        u32::from(id.0)
    }

    fn released(&mut self) -> Vec<u32> {
        let mut out = Vec::new();
        self.journal.released(&mut out);
        let number = |effect: &super::Released<Effect>| match effect.get() {
            Effect::Alarm(Alarm::DateOpened { date }) => date.0,
            _ => panic!("no other effect was submitted"),
        };
        out.iter().map(number).collect()
    }

    /// Commits batches one frame each.
    pub(super) fn commit(&mut self, count: usize, bytes: usize) {
        for _ in 0..count {
            self.submit(bytes);
            assert!(self.journal.step().unwrap());
        }
    }
}

pub(super) fn read(disk: &FaultyDisk, keys: &Keystore) -> Result<Scan, RecoveryError> {
    scan(disk, keys, |_, _| Ok(()))
}

pub(super) fn segment(disk: &FaultyDisk, keys: &Keystore) -> (FileNo, u64) {
    let scan = read(disk, keys).unwrap();
    let last = scan.segments.last().unwrap();
    (last.file, last.end)
}

#[test]
fn effects_come_out_in_order_and_only_after_the_sync() {
    let mut rig = Rig::new();
    let first = rig.submit(10);
    let second = rig.submit(10);
    assert!(rig.released().is_empty());
    assert!(rig.journal.step().unwrap());
    assert_eq!(rig.released(), [first, second], "one frame carries both");
    let mut batch = Batch::new(1);
    batch.effect(Effect::Alarm(Alarm::DateOpened { date: BusinessDate(99) }));
    let third = rig.submit(10);
    rig.journal.submit(batch);
    assert!(rig.released().is_empty(), "a batch without entries waits for those before it");
    rig.journal.step().unwrap();
    assert_eq!(rig.released(), [third, 99]);
    let mut batch = Batch::new(1);
    batch.effect(Effect::Alarm(Alarm::DateOpened { date: BusinessDate(7) }));
    rig.journal.submit(batch);
    assert_eq!(rig.released(), [7], "with nothing before it, it writes no frame and waits for nothing");
}

#[test]
fn a_crash_keeps_what_was_released_and_cuts_the_rest() {
    let mut rig = Rig::new();
    rig.commit(5, 100);
    rig.submit(100);
    rig.disk.crash();
    let again = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
    assert_eq!(again.durable.participants.len(), 5);
    assert_eq!(again.durable.next_seq, Seq(6));
}

#[test]
fn segments_rotate_and_the_chain_goes_over_all_of_them() {
    let mut rig = Rig::new();
    rig.commit(60, 3000);
    let scan = read(&rig.disk, &rig.keys).unwrap();
    assert!(scan.segments.len() >= 4, "only {} segments", scan.segments.len());
    assert_eq!(scan.records, 60);
    for seq in 1..=60 {
        let entry = rig.journal.reader().entry(Seq(seq)).unwrap();
        assert!(matches!(entry, Entry::Named { id, .. } if u64::from(id.0) == seq - 1));
    }
    assert!(rig.journal.reader().entry(Seq(61)).is_none());
    let again = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
    assert_eq!(again.durable.to_bytes(), rig.durable.to_bytes(), "P8");
    assert!(again.journal.reader().entry(Seq(17)).is_some(), "cold reads reach earlier lives");
}

#[test]
fn a_start_never_appends_and_what_it_cut_stays_cut() {
    let mut rig = Rig::new();
    rig.commit(3, 100);
    // A frame that reaches the disk only after the start that cut it: written, not synced, kept by luck.
    rig.disk.set_faults(Faults { lying_sync: true, ..Faults::default() });
    rig.commit(1, 100);
    let with_late_frame = rig.disk.image();
    rig.disk.crash();
    let mut second = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
    assert_eq!(second.durable.participants.len(), 3);
    second.commit(2, 50);
    // The late frame turns up behind the cut: void.
    let (file, _) = (FileNo(0), 0);
    let mut bytes = vec![0; SIZE.segment_bytes as usize];
    with_late_frame.read(file, 0, &mut bytes).unwrap();
    second.disk.write(file, 0, &bytes).unwrap();
    second.disk.sync(file).unwrap();
    let third = Rig::on(second.disk.clone(), rig.keys.clone()).unwrap();
    assert_eq!(third.durable.participants.len(), 5);
    assert_eq!(third.durable.to_bytes(), second.durable.to_bytes());
}

#[test]
fn the_tail_cut_at_every_byte_recovers_what_stands_before_it() {
    let mut rig = Rig::new();
    rig.commit(4, 60);
    let (file, end) = segment(&rig.disk, &rig.keys);
    let frame = BLOCK;
    assert_eq!((end - BLOCK) / frame, 4, "each of the last four frames is cut at each of its bytes");
    // Backwards, so that one image is cut again and again.
    let image = rig.disk.image();
    for cut in (BLOCK..end).rev() {
        image.zero_from(file, cut);
        let whole_frames = (cut - BLOCK) / frame;
        match read(&image, &rig.keys) {
            Ok(scan) => {
                // Cutting inside a frame's zero padding cuts nothing.
                let padding = u64::from((cut - BLOCK) % frame > (FRAME_HEADER + TAG + 60) as u64);
                let most = whole_frames + padding;
                assert!((whole_frames..=most).contains(&scan.records), "cut at {cut}: {}", scan.records);
            }
            // A later frame cannot be there: everything behind the cut is gone.
            Err(e) => panic!("cut at {cut}: {e}"),
        }
    }
}

#[test]
fn every_flipped_bit_is_torn_or_damage_and_never_another_record() {
    let mut rig = Rig::new();
    rig.commit(3, 40);
    rig.journal.step_idle(2_000).unwrap();
    let (file, end) = segment(&rig.disk, &rig.keys);
    let whole = rig.durable.to_bytes();
    let mut refused = 0;
    for bit in 0..end * 8 {
        let image = rig.disk.image();
        image.flip_bit(file, bit);
        match super::replay(&image, &rig.keys) {
            Err(RecoveryError::Damaged { file, what, .. }) => {
                assert!(!file.is_empty() && !what.is_empty());
                refused += 1;
            }
            Err(RecoveryError::WrongKey { .. }) => refused += 1,
            Err(e) => panic!("bit {bit}: {e}"),
            Ok(opened) if opened.durable.to_bytes() == whole => {}
            Ok(opened) => panic!(
                "bit {bit}: acknowledged entries are gone without a word: {} of 3",
                opened.durable.participants.len()
            ),
        }
    }
    assert!(refused > 1000, "only {refused} flips were noticed");
}

#[test]
fn without_a_watermark_the_very_last_frame_reads_as_torn_the_stated_limit() {
    let mut rig = Rig::new();
    rig.commit(3, 40);
    let (file, end) = segment(&rig.disk, &rig.keys);
    rig.disk.flip_bit(file, (end - BLOCK) * 8 + 8 * 120);
    let scan = read(&rig.disk, &rig.keys).unwrap();
    assert_eq!(scan.records, 2);
    assert!(scan.torn.is_some(), "and it is reported");
}

#[test]
fn a_missing_segment_a_foreign_key_and_a_short_file_are_refused_with_a_reason() {
    let mut rig = Rig::new();
    rig.commit(60, 3000);
    let scan = read(&rig.disk, &rig.keys).unwrap();
    for at in 0..scan.segments.len() - 1 {
        let image = rig.disk.image();
        image.remove(scan.segments[at].file).unwrap();
        let refused = read(&image, &rig.keys).err().unwrap().to_string();
        assert!(refused.contains("missing before it") || refused.contains("are missing"), "{refused}");
        assert!(refused.contains("it is whole"), "the one that was found is not to blame: {refused}");
    }
    let image = rig.disk.image();
    image.truncate(scan.segments[1].file, 3 * BLOCK);
    let refused = read(&image, &rig.keys).err().unwrap().to_string();
    assert!(refused.contains("offset 12288: the file ends here and was made 65536 bytes long"), "{refused}");
    let foreign = Keystore::in_memory(Lmk::random());
    let refused = read(&rig.disk, &foreign).err().unwrap().to_string();
    assert!(refused.contains("does not open under this master key"), "{refused}");
}

#[test]
fn every_failing_write_and_sync_stops_the_journal_for_good() {
    let mut stopped = 0;
    for sync in [false, true] {
        for at in 1..12 {
            let mut rig = Rig::new();
            rig.commit(1, 100);
            let fault = Some(at);
            rig.disk.set_faults(Faults {
                fail_write: fault.filter(|_| !sync),
                fail_sync: fault.filter(|_| sync),
                ..Faults::default()
            });
            let mut acknowledged = 1;
            let failed = (0..40).find_map(|_| {
                rig.submit(6000);
                match rig.journal.step() {
                    Ok(_) => {
                        acknowledged += 1;
                        None
                    }
                    Err(e) => Some(e.to_string()),
                }
            });
            // The call that fails may also be one of making a spare, which is met there and not in a commit.
            let Some(failed) = failed else { continue };
            stopped += 1;
            assert!(failed.contains("nothing after this was acknowledged"));
            assert!(rig.journal.failure().is_some());
            let after = rig.released().len();
            assert_eq!(after, acknowledged, "nothing more is released");
            rig.disk.crash();
            let again = Rig::on(rig.disk.clone(), rig.keys.clone()).unwrap();
            assert_eq!(again.durable.participants.len(), acknowledged);
        }
    }
    assert!(stopped >= 10, "only {stopped} faults met a commit");
}

#[test]
fn a_crash_that_keeps_any_sectors_of_the_last_frame_recovers() {
    let mut rig = Rig::new();
    rig.commit(2, 100);
    rig.disk.set_faults(Faults { lying_sync: true, ..Faults::default() });
    rig.commit(1, 9000);
    let sectors = rig.disk.pending_sectors();
    for kept in 0..1usize << sectors.min(10) {
        let image = rig.disk.image();
        image.crash_keeping(|at| kept >> (at % 10) & 1 == 1);
        let scan = read(&image, &rig.keys).unwrap();
        assert!((2..=3).contains(&scan.records), "{kept:b}");
        Rig::on(image, rig.keys.clone()).unwrap();
    }
}

#[test]
fn a_real_folder_keeps_what_a_thread_committed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys();
    let (woken, wakes) = std::sync::mpsc::channel();
    {
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::create_in(folder.path()).unwrap());
        let opened = super::replay(&*disk, &keys).unwrap();
        let mut durable = opened.durable;
        let wake = Box::new(move || {
            let _ = woken.send(());
        });
        let mut journal = Journal::start(disk, keys.clone(), &opened.scan, SIZE, wake).unwrap();
        for n in 0..50u32 {
            let mut batch = Batch::new(1);
            let to = BusinessDate(20_260_101 + n);
            batch.record(&mut durable, Entry::CutOver { to, trigger: CutOverTrigger::Operator });
            batch.effect(Effect::Alarm(Alarm::DateOpened { date: to }));
            journal.submit(batch);
        }
        let mut out = Vec::new();
        while out.len() < 50 {
            wakes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            journal.released(&mut out);
        }
    }
    let disk = FileDisk::read_only(folder.path());
    let opened = super::replay(&disk, &keys).unwrap();
    assert_eq!(opened.scan.records, 50);
    assert_eq!(opened.durable.dates.current, BusinessDate(20_260_150));
}

#[test]
fn a_folder_removed_under_a_running_journal_stops_it_with_the_reason() {
    let spoilers: [fn(&std::path::Path); 3] = [
        |folder| std::fs::remove_dir_all(folder).unwrap(),
        |folder| std::fs::rename(folder, folder.with_extension("away")).unwrap(),
        // Another segment of the same name in its place.
        |folder| {
            let segment = folder.join("segment-00000000.yj");
            std::fs::copy(&segment, folder.join("copy")).unwrap();
            std::fs::rename(folder.join("copy"), segment).unwrap();
        },
    ];
    for spoil in spoilers {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("journal");
        let (woken, wakes) = std::sync::mpsc::channel();
        let wake = Box::new(move || {
            let _ = woken.send(());
        });
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::create_in(&folder).unwrap());
        let keys = keys();
        let opened = super::replay(&*disk, &keys).unwrap();
        let mut durable = opened.durable;
        let mut journal = Journal::start(disk, keys, &opened.scan, SIZE, wake).unwrap();
        // A spare that is being made while its folder goes is another story.
        while journal.spare_count() < SPARES_WANTED {
            std::thread::yield_now();
        }
        spoil(&folder);
        while journal.failure().is_none() {
            wakes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        }
        let why = journal.failure().unwrap();
        assert!(why.contains("segment-00000000.yj is no longer in its place"), "{why}");
        let mut batch = Batch::new(1);
        let to = BusinessDate(20_260_101);
        batch.record(&mut durable, Entry::CutOver { to, trigger: CutOverTrigger::Operator });
        batch.effect(Effect::Alarm(Alarm::DateOpened { date: to }));
        journal.submit(batch);
        while !journal.is_durable() {
            wakes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        }
        let mut out = Vec::new();
        journal.released(&mut out);
        assert!(out.is_empty(), "nothing is acknowledged that the next start will not find");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes in the place of a segment are refused or cut, never a panic.
    #[test]
    fn arbitrary_bytes_in_a_segment_never_panic(
        at in 0u64..20_000, bytes in proptest::collection::vec(any::<u8>(), 1..5000)
    ) {
        let mut rig = Rig::new();
        rig.commit(3, 300);
        let (file, _) = segment(&rig.disk, &rig.keys);
        rig.disk.write(file, at, &bytes).unwrap();
        let _ = super::replay(&rig.disk, &rig.keys);
    }
}

/// What was handed over takes its blocks before it is written: a commit that does not come leaves less and less room.
#[test]
fn what_is_handed_over_and_not_yet_written_takes_room() {
    let size = JournalSize { pending_bytes_max: 1 << 30, ..SIZE };
    let mut rig = Rig::new();
    rig.journal.make_spares();
    assert_eq!(rig.journal.room(&size, 0), Room::All);
    let mut rooms = Vec::new();
    while rig.journal.room(&size, 0) != Room::Outcomes {
        rig.submit(10_000);
        rooms.push(rig.journal.room(&size, 0));
        assert!(rooms.len() < 40, "more than all segments hold: {rooms:?}");
    }
    assert_ne!(rooms[0], Room::Outcomes, "a little leaves room");
    while rig.journal.step().unwrap() {}
    assert_eq!((rig.journal.pending_bytes(), rig.journal.failure()), (0, None), "and all of it was written");
}

/// A spare that was deleted becomes no segment: nothing in it would be found again.
#[test]
fn a_spare_deleted_before_it_is_used_is_passed_over() {
    let mut rig = Rig::new();
    rig.journal.make_spares();
    let (newest, _) = segment(&rig.disk, &rig.keys);
    let next = rig.disk.list().unwrap().into_iter().filter(|file| *file > newest).min().unwrap();
    rig.disk.remove(next).unwrap();
    rig.commit(60, 3000);
    let scan = read(&rig.disk, &rig.keys).unwrap();
    assert!(scan.segments.len() >= 4 && scan.segments.iter().all(|segment| segment.file != next));
    assert_eq!(scan.records, 60);
}

/// A file that somebody put where the next spare would be is his: it may be a segment that he restores.
#[test]
fn a_file_in_the_place_of_the_next_spare_is_not_deleted() {
    let mut rig = Rig::new();
    rig.journal.make_spares();
    let next = FileNo(
        rig.disk.list().unwrap().into_iter().filter(|file| *file != FileNo::ANCHOR).max().unwrap().0 + 1,
    );
    rig.disk.create(next, 4096).unwrap();
    rig.commit(30, 3000);
    assert_eq!(rig.disk.len(next).unwrap(), 4096, "it is still there");
    assert!(rig.journal.spare_trouble().is_none(), "and the one after it was made instead");
}

/// Spares of another length are never used: they go, or they would fill the disk that they were made to keep free.
#[test]
fn spares_of_another_segment_size_are_removed_at_the_start() {
    let (disk, keys) = {
        let mut rig = Rig::new();
        rig.commit(3, 300);
        rig.journal.make_spares();
        (rig.disk, rig.keys)
    };
    let opened = super::replay(&disk, &keys).unwrap();
    assert!(!opened.scan.spares.is_empty());
    let wider = JournalSize { segment_bytes: SIZE.segment_bytes * 2, ..SIZE };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let journal = Journal::start_stepped(shared, keys.clone(), &opened.scan, wider).unwrap();
    assert!(opened.scan.spares.iter().all(|spare| disk.len(*spare).is_err()), "they are gone");
    assert!(journal.spare_count() > 0, "others take their place");
}
