//! The checkers. Each compares what the switch did with what somebody else wrote down: the wires, the banks' books, the
//! terminals' ledgers, a second reading of the journal. None of them asks the core what it thinks of itself.
//!
//! A new family adds its checker in a file of its own beside `payments`, and one line in `CHECKERS`.

mod payments;
mod promises;
mod state;
mod taps;

pub(super) use state::damaged;

use super::gateways;
use super::journal::Told;
use super::observe::Seen;
use super::run::Violation;
use super::world::World;
use yika_keystore::Keystore;
use yika_loadgen::ledger::Ledger;
use yika_switch::config::Config;
use yika_switch::driver::Driver;
use yika_switch::journal::faulty::FaultyDisk;

/// What one concern says of a switch. Whatever it does not look at holds.
pub(super) trait Checker: Sync {
    /// At every tick of a living switch.
    fn living(&self, _: &Driver, _: &Config) -> Result<(), Violation> {
        Ok(())
    }

    /// Of a switch that has just started, was started after a crash, or has come to rest.
    fn started(&self, _: &Driver, _: &FaultyDisk, _: &Keystore) -> Result<(), Violation> {
        Ok(())
    }

    /// After each death, and at the end: what the disk tells against what was seen on the wires.
    fn left_behind(&self, _: &Told, _: &Seen) -> Result<(), Violation> {
        Ok(())
    }

    /// When all is quiet.
    fn at_rest(&self, _: &Rest<'_>) -> Result<(), Violation> {
        Ok(())
    }
}

/// All of them.
const CHECKERS: &[&dyn Checker] = &[&promises::Promises, &state::State, &payments::Payments, &taps::Taps];

/// A world in which nothing is under way and nothing is owed.
pub(super) struct Rest<'a> {
    pub(super) driver: &'a Driver,
    pub(super) config: &'a Config,
    pub(super) disk: &'a FaultyDisk,
    pub(super) told: &'a Told,
    pub(super) seen: &'a Seen,
    pub(super) terminals: &'a [Ledger],
    pub(super) banks: &'a [Ledger],
    pub(super) gateways: &'a [&'a gateways::Ledger],
    /// Answers over another amount than asked for that reached terminals.
    pub(super) wrong_amounts: u64,
}

pub(super) fn living(driver: &Driver, config: &Config) -> Result<(), Violation> {
    CHECKERS.iter().try_for_each(|one| one.living(driver, config))
}

pub(super) fn started(driver: &Driver, disk: &FaultyDisk, keys: &Keystore) -> Result<(), Violation> {
    CHECKERS.iter().try_for_each(|one| one.started(driver, disk, keys))
}

pub(super) fn left_behind(disk: &FaultyDisk, keys: &Keystore, seen: &Seen) -> Result<(), Violation> {
    let told = Told::by(disk, keys)?;
    CHECKERS.iter().try_for_each(|one| one.left_behind(&told, seen))
}

/// Everything that must hold when all is quiet.
pub(super) fn at_rest(world: &mut World) -> Result<(), Violation> {
    left_behind(&world.disk, &world.keys, &world.seen)?;
    let Some(driver) = &world.switch else { return Err(Violation::new("P5: the switch is gone at the end")) };
    started(driver, &world.disk, &world.keys)?;
    let told = Told::by(&world.disk, &world.keys)?;
    let terminals: Vec<Ledger> = world.crews.iter().map(|crew| crew.ledger("terminals")).collect();
    let banks: Vec<Ledger> = world.banks.iter().map(|bank| bank.desk.ledger()).collect();
    let gateways: Vec<&gateways::Ledger> = world.depots.iter().map(|depot| &depot.ledger).collect();
    let rest = Rest {
        driver,
        config: &world.setting.config,
        disk: &world.disk,
        told: &told,
        seen: &world.seen,
        terminals: &terminals,
        banks: &banks,
        gateways: &gateways,
        wrong_amounts: world.crews.iter().map(|crew| crew.faults()[0]).sum(),
    };
    CHECKERS.iter().try_for_each(|one| one.at_rest(&rest))?;
    world.coverage.read(&told.kinds);
    Ok(())
}
