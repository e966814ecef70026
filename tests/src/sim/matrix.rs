//! The crash matrix: one calm seed, stopped at each of its writes and syncs in turn; from there every disk that a crash
//! may leave. What was not synced may be there or not, sector by sector. Each is read, checked against what was seen on
//! the wires until then, and started from.

use super::check;
use super::run::Violation;
use super::start::start;
use super::world::World;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use yika_switch::journal::faulty::{Faults, FaultyDisk};

/// What was tried.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Writes and syncs that the machine died in.
    pub places: u64,
    /// Disks that it may have left.
    pub images: u64,
    /// The most sectors that were under way at once.
    pub sectors_max: usize,
}

/// So many sectors under way have every subset tried; more have all prefixes, each alone, each missing, and as many
/// others by chance.
const SUBSETS_OF: usize = 8;
const BY_CHANCE: usize = 48;

/// Tries every `step`th place of the first `places` from `first` on.
///
/// # Errors
/// The first disk that was not recovered as it must be.
pub fn crash_matrix(seed: u64, first: u64, step: u64, places: u64) -> Result<Tried, Violation> {
    let mut tried = Tried::default();
    for place in (first..places).step_by(step as usize) {
        let mut world = World::new(seed, Vec::new(), false);
        world.disk.set_faults(Faults { dies_at: Some(place + 1), ..Faults::default() });
        while !world.disk.is_dead() && world.now.mono_us < world.setting.run_us {
            world.step()?;
        }
        if !world.disk.is_dead() {
            return Ok(tried);
        }
        tried.places += 1;
        let sectors = world.disk.pending_sectors();
        tried.sectors_max = tried.sectors_max.max(sectors);
        for kept in subsets(sectors, place) {
            tried.images += 1;
            let disk = world.disk.image();
            disk.crash_keeping(|sector| kept.get(sector).is_some_and(|kept| *kept));
            examine(&world, &disk).map_err(|violation| {
                let kept: String = kept.iter().map(|kept| if *kept { '1' } else { '0' }).collect();
                Violation::new(format!("at place {place} with sectors {kept} kept: {}", violation.what))
            })?;
        }
    }
    Ok(tried)
}

fn examine(world: &World, disk: &FaultyDisk) -> Result<(), Violation> {
    check::left_behind(disk, &world.keys, &world.seen)?;
    let driver = start(&world.setting.config, disk, &world.keys, world.now, None)
        .map_err(|why| Violation::new(format!("P12: the start refuses what a crash may leave: {why}")))?;
    let driver = driver.ok_or_else(|| Violation::new("the start has no limit and does not end"))?;
    check::living(&driver, &world.setting.config)?;
    check::started(&driver, disk, &world.keys)
}

fn subsets(sectors: usize, salt: u64) -> Vec<Vec<bool>> {
    if sectors <= SUBSETS_OF {
        return (0..1u32 << sectors).map(|set| (0..sectors).map(|at| set >> at & 1 == 1).collect()).collect();
    }
    let mut random = StdRng::seed_from_u64(salt);
    let prefixes = (0..=sectors).map(|until| (0..sectors).map(|at| at < until).collect());
    let alone = (0..sectors).map(|only| (0..sectors).map(|at| at == only).collect());
    let missing = (0..sectors).map(|gap| (0..sectors).map(|at| at != gap).collect());
    let mut all: Vec<Vec<bool>> = prefixes.chain(alone).chain(missing).collect();
    all.extend((0..BY_CHANCE).map(|_| (0..sectors).map(|_| random.random_bool(0.5)).collect()));
    all
}
