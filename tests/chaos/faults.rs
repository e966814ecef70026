//! What is done to the switch, one kind a round; each says afterwards whether it had an effect, because a fault that
//! never happened proves nothing.

use crate::namespace;
use crate::traffic::{Flowed, SESSIONS, Traffic};
use crate::world::World;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use yika_tests::process::passes;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// SIGKILL at seeded moments; each third new process is killed while it starts.
    Kill,
    /// SIGSTOP for longer than a bank may take, then SIGCONT.
    Pause,
    /// No byte is left on the disk of the journal, for a third of the round.
    FullDisk,
    /// Others write and sync on that disk as fast as it goes.
    SlowDisk,
    /// A bank, or the coupon platform, is away for a third of the round.
    BankDown,
    /// Every terminal's connection is reset.
    Cut,
    /// Packets are lost, and some are answered with a reset, on every connection there is.
    Loss,
}

/// What striking did.
#[derive(Default)]
pub(crate) struct Struck {
    pub(crate) restarts: u64,
    /// The longest.
    pub(crate) recovery_ms: f64,
    times: u64,
    packets: u64,
    /// How much longer a commit took than just before, in hundredths.
    slower: u64,
}

/// Twice the time-out of the banks.
const PAUSE: Duration = Duration::from_millis(1500);
/// Between two strikes of one round, to get going again.
const BREATH: Duration = Duration::from_millis(1500);
const EARLY_KILL_EVERY: u64 = 3;
const HOGS: usize = 8;
/// What each of these writes between two syncs, and how far its file may grow.
const HOG_BYTES: usize = 4 << 20;
const HOG_WRITES_MAX: u64 = 32;

/// A disk that makes commits less than half as long again is not slow.
const SLOWER_MIN: u64 = 150;

impl Fault {
    pub(crate) const ALL: [Fault; 7] = [
        Fault::Kill,
        Fault::Pause,
        Fault::FullDisk,
        Fault::SlowDisk,
        Fault::BankDown,
        Fault::Cut,
        Fault::Loss,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::FullDisk => "full-disk",
            Fault::SlowDisk => "slow-disk",
            Fault::BankDown => "bank-down",
            Fault::Cut => "cut",
            Fault::Loss => "loss",
        }
    }

    /// Whether it can be done here; else why not.
    pub(crate) fn possible(self, world: &World, own_network: &Result<(), String>) -> Result<(), String> {
        match self {
            Fault::FullDisk => {
                world.disk.as_ref().map(|_| ()).map_err(|why| format!("no small disk ({why})"))
            }
            Fault::Loss => own_network.clone().and_then(|()| namespace::can_lose()),
            _ => Ok(()),
        }
    }

    /// Does it, within `time`, and waits for the recovery.
    pub(crate) fn strike(
        self,
        world: &mut World,
        traffic: &Traffic,
        time: Duration,
        random: &mut Random,
    ) -> Result<Struck, String> {
        let mut struck = Struck::default();
        let part = time / 3;
        let began = Instant::now();
        match self {
            Fault::Kill => kills(world, traffic, time, random, &mut struck)?,
            Fault::Pause => {
                while struck.times == 0 || began.elapsed() + PAUSE + BREATH < time {
                    world.yika().signal("STOP");
                    passes(PAUSE);
                    world.yika().signal("CONT");
                    struck.recovered(world, traffic)?;
                    passes(BREATH);
                }
            }
            Fault::Cut => {
                while struck.times == 0 || began.elapsed() + BREATH < time {
                    traffic.cut();
                    struck.recovered(world, traffic)?;
                    passes(BREATH);
                }
            }
            Fault::FullDisk => {
                let disk = world.disk.as_ref().map_err(Clone::clone)?;
                let ballast = disk.fill();
                passes(part);
                std::fs::remove_file(&ballast).map_err(|e| format!("the ballast: {e}"))?;
                struck.recovered(world, traffic)?;
            }
            Fault::SlowDisk => {
                let first = world.commit_time()?;
                passes(time / 6);
                let quiet = world.commit_time()?;
                hog(&world.data(), time / 2)?;
                struck.slower = slower(first, quiet, world.commit_time()?);
                struck.recovered(world, traffic)?;
            }
            Fault::BankDown => {
                let bank = &world.city.banks[random.below(world.city.banks.len() as u64) as usize];
                bank.go_down().map_err(|e| e.to_string())?;
                passes(part);
                bank.come_up().map_err(|e| e.to_string())?;
                struck.recovered(world, traffic)?;
            }
            Fault::Loss => {
                namespace::lose()?;
                passes(time / 2);
                struck.packets = namespace::heal()?;
                struck.recovered(world, traffic)?;
            }
        }
        Ok(struck)
    }

    /// Whether it had an effect on the traffic; else what is missing.
    pub(crate) fn was_felt(self, struck: &Struck, flowed: &Flowed) -> Result<(), String> {
        // A connection may be down by itself in the moment when all are cut: half of them is proof enough.
        let connections = SESSIONS as u64 / 2;
        let (found, least, what) = match self {
            Fault::Kill => (flowed.disconnects(), connections * struck.restarts, "connections lost"),
            Fault::Cut => (flowed.disconnects(), connections * struck.times, "connections lost"),
            Fault::Pause => (flowed.repeats(), 1, "messages repeated"),
            Fault::FullDisk => (flowed.answered("96"), 1, "payments refused with 96"),
            Fault::BankDown => (flowed.answered("91"), 1, "payments declined with 91"),
            Fault::Loss => (struck.packets, 1, "packets lost"),
            Fault::SlowDisk => (struck.slower, SLOWER_MIN, "hundredths of the time of a quiet commit"),
        };
        if found >= least {
            return Ok(());
        }
        Err(format!("the fault {} was not felt: {found} {what}, expected {least} or more", self.name()))
    }
}

impl Struck {
    fn recovered(&mut self, world: &World, traffic: &Traffic) -> Result<(), String> {
        self.times += 1;
        self.recovery_ms = self.recovery_ms.max(world.recovers(traffic, Instant::now())?);
        Ok(())
    }
}

/// Banks must approve in each life; then it lives on for up to half a second more.
fn kills(
    world: &mut World,
    traffic: &Traffic,
    time: Duration,
    random: &mut Random,
    struck: &mut Struck,
) -> Result<(), String> {
    let began = Instant::now();
    while struck.restarts == 0 || began.elapsed() + BREATH < time {
        traffic.flows(50)?;
        passes(Duration::from_millis(random.below(500)));
        world.kill();
        if struck.times % EARLY_KILL_EVERY == EARLY_KILL_EVERY - 1 {
            world.start_and_kill(Duration::from_millis(random.below(40)));
        }
        let since = Instant::now();
        world.restart()?;
        struck.restarts += 1;
        struck.times += 1;
        struck.recovery_ms = struck.recovery_ms.max(world.recovers(traffic, since)?);
    }
    Ok(())
}

/// The mean commit from the second to the third reading, in hundredths of that from the first to the second.
fn slower(first: (f64, f64), quiet: (f64, f64), after: (f64, f64)) -> u64 {
    let mean = |from: (f64, f64), to: (f64, f64)| (to.0 - from.0) / (to.1 - from.1).max(1.0);
    (100.0 * mean(quiet, after) / mean(first, quiet).max(1e-9)) as u64
}

/// Writes and syncs on the disk of this folder, on several threads, for so long.
fn hog(folder: &Path, time: Duration) -> Result<(), String> {
    let over = AtomicBool::new(false);
    let write = |number: usize| -> std::io::Result<()> {
        let path = folder.join(format!("hog-{number}"));
        let part = vec![0x55; HOG_BYTES];
        let mut written = Ok(());
        while written.is_ok() && !over.load(Ordering::Relaxed) {
            written = File::create(&path).and_then(|mut file| {
                (0..HOG_WRITES_MAX).take_while(|_| !over.load(Ordering::Relaxed)).try_for_each(|_| {
                    file.write_all(&part)?;
                    file.sync_all()
                })
            });
        }
        std::fs::remove_file(&path)?;
        written
    };
    std::thread::scope(|scope| {
        let hogs: Vec<_> = (0..HOGS).map(|number| scope.spawn(move || write(number))).collect();
        passes(time);
        over.store(true, Ordering::Relaxed);
        hogs.into_iter().try_for_each(|hog| match hog.join() {
            Ok(ended) => ended.map_err(|e| format!("the writers beside it: {e}")),
            Err(_) => Err("a writer beside it panicked".to_owned()),
        })
    })
}

/// Seeded choices, the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 0 to below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
