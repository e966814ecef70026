//! The world of some rounds: two banks, the coupon platform, the switch, its folder, and what terminals were told so
//! far. After each round it comes to rest, and both sides are compared to the fen.

use crate::traffic::{Flowed, SESSIONS, Traffic};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use yika_keystore::{Keystore, Lmk};
use yika_loadgen::{IssuerHandle, Ledger, Reconciliation, reconcile};
use yika_switch::admin::Status;
use yika_switch::admin::control::status;
use yika_switch::core::entry::{Entry, OwedKind};
use yika_switch::data_dir::journal_in;
use yika_switch::journal::disk::FileDisk;
use yika_switch::journal::recovery::scan;
use yika_tests::city::{City, Settings};
use yika_tests::process::{Yika, comes_true, get, passes, program, run_within};
use yika_tests::small_disk::{self, SmallDisk};

/// What is owed is sent again every half second at most.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// A start replays at most the journal of one world.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// At rest it holds so many descriptors more than at its beginning, segments aside.
const DESCRIPTORS_MORE_MAX: u64 = 4;
/// Holds the journal of a world and of one round more, sparsely.
const DISK_MIB: u32 = 4096;

/// Fields are dropped in this order: the process before its banks, the disk last.
pub(crate) struct World {
    yika: Option<Yika>,
    pub(crate) city: City,
    /// Or why there is none.
    pub(crate) disk: Result<SmallDisk, String>,
    folder: PathBuf,
    told: Vec<Ledger>,
    descriptors: Option<u64>,
    reversals: u64,
}

/// What was found at rest.
pub(crate) struct AtRest {
    /// Reversals that the switch itself made since the last rest.
    pub(crate) reversals: u64,
    pub(crate) unaccounted_fen: u64,
    pub(crate) memory_kib: u64,
    /// None where they cannot be counted.
    pub(crate) descriptors: Option<u64>,
    pub(crate) journal_bytes: u64,
}

impl World {
    /// Starts everything in this folder; on a disk of its own where that can be mounted and is wanted.
    pub(crate) fn open(
        folder: &Path,
        script: &str,
        settings: &Settings,
        own_disk: bool,
    ) -> Result<World, String> {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let disk = match own_disk {
            true => SmallDisk::mount(&folder.join("data"), DISK_MIB),
            false => Err("none is needed".to_owned()),
        };
        let city = City::build_with(folder, script, settings);
        let mut world = World {
            yika: None,
            city,
            disk,
            folder: folder.to_owned(),
            told: Vec::new(),
            descriptors: None,
            reversals: 0,
        };
        world.restart()?;
        if !comes_true(RECOVERED_WITHIN, || world.status().is_ok_and(|status| all_lines_open(&status))) {
            return Err(format!("the lines to the banks do not come up: {}", world.yika().log()));
        }
        world.descriptors = world.yika().descriptors();
        Ok(world)
    }

    pub(crate) fn yika(&self) -> &Yika {
        self.yika.as_ref().expect("whoever kills it starts it again in the same step")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(yika) = self.yika.take() {
            yika.kill();
        }
    }

    /// Starts it, and kills it before it can be ready.
    pub(crate) fn start_and_kill(&mut self, after: Duration) {
        let early = Yika::begin(&self.folder, Command::new(program("yika")));
        passes(after);
        early.kill();
    }

    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let started = Yika::try_start(&self.folder, Command::new(program("yika")));
        let yika = started.map_err(|status| {
            let log = std::fs::read_to_string(self.folder.join("yika.log")).unwrap_or_default();
            format!("the switch does not start, it ended with {status}: {log}")
        })?;
        self.yika = Some(yika);
        Ok(())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn status(&self) -> Result<Status, String> {
        status(&self.data())
    }

    /// Milliseconds from `since` until every terminal and every line is connected and payments are approved again.
    pub(crate) fn recovers(&self, traffic: &Traffic, since: Instant) -> Result<f64, String> {
        let before = traffic.approved();
        let recovered = || {
            traffic.approved() > before + 20
                && self.status().is_ok_and(|status| status.sessions >= SESSIONS && all_lines_open(&status))
        };
        if comes_true(RECOVERED_WITHIN, recovered) {
            return Ok(since.elapsed().as_secs_f64() * 1e3);
        }
        let own = self.status();
        Err(format!("not recovered within {RECOVERED_WITHIN:?}: {own:?}; its log: {}", self.yika().log()))
    }

    /// Everything has come to an end, and both sides agree; else what does not.
    pub(crate) fn rests(&mut self, flowed: &Flowed) -> Result<AtRest, String> {
        self.told.extend(flowed.reports.iter().map(|report| report.ledger.clone()));
        if !self.yika.as_mut().is_some_and(Yika::is_alive) {
            return Err(format!("the switch has ended by itself: {}", self.log()));
        }
        let idle = |status: &Status| status.open_obligations == 0 && status.open_transactions == 0;
        if !comes_true(SETTLED_WITHIN, || self.status().is_ok_and(|status| idle(&status))) {
            return Err(format!("not at rest within {SETTLED_WITHIN:?}: {:?}", self.status()));
        }
        let result = self.reconciled()?;
        let status = self.status()?;
        let unaccounted_fen = status.unaccounted + result.unaccounted_fen + result.unaccounted_holds_fen;
        if !result.balanced || unaccounted_fen > 0 || result.duplicates > 0 {
            self.save_ledgers()?;
            return Err(format!(
                "the books of the switch leave {} fen open (P7); {result}",
                status.unaccounted
            ));
        }
        self.journal_is_good()?;
        let all = self.reversals_of_its_own()?;
        let reversals = all - std::mem::replace(&mut self.reversals, all);
        let (memory_kib, descriptors) = (self.yika().memory_kib(), self.descriptors_at_rest()?);
        let journal_bytes = self.journal_bytes();
        Ok(AtRest { reversals, unaccounted_fen, memory_kib, descriptors, journal_bytes })
    }

    /// SIGTERM, which has to end it well.
    pub(crate) fn close(mut self) -> Result<(), String> {
        let ended = self.yika.take().map(Yika::stop);
        match ended {
            Some(ended) if !ended.success() => Err(format!("SIGTERM: it ended with {ended}: {}", self.log())),
            _ => Ok(()),
        }
    }

    /// Takes the journal off a disk of its own, which goes with this program.
    pub(crate) fn keep(&mut self) {
        self.kill();
        if self.disk.is_ok() {
            let kept = self.folder.join("data-kept");
            // A file that cannot be copied is missed by whoever looks; the failure itself has been told.
            let _ = small_disk::run(Command::new("cp").arg("-a").arg(self.data()).arg(kept));
        }
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        let files = std::fs::read_dir(journal_in(&self.data())).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Entry bytes and commits of this life of the switch, as its metrics tell.
    pub(crate) fn journal_counts(&self) -> Result<(u64, u64), String> {
        Ok((
            self.metric("yika_journal_bytes_total ")? as u64,
            self.metric("yika_journal_commits_total ")? as u64,
        ))
    }

    /// Seconds spent in commits in this life of the switch, and how many they were.
    pub(crate) fn commit_time(&self) -> Result<(f64, f64), String> {
        Ok((self.metric("yika_journal_commit_seconds_sum ")?, self.metric("yika_journal_commits_total ")?))
    }

    fn metric(&self, name: &str) -> Result<f64, String> {
        let admin =
            self.yika().addresses().and_then(|addresses| addresses.admin).ok_or("no admin address")?;
        let metrics = get(admin, "/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.ok_or_else(|| format!("no metric {name}"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("yika.log")).unwrap_or_default()
    }

    fn booked(&self) -> Result<Vec<Ledger>, String> {
        let ledgers = self.city.banks.iter().map(IssuerHandle::ledger);
        ledgers.collect::<Result<_, _>>().map_err(|e| e.to_string())
    }

    fn reconciled(&self) -> Result<Reconciliation, String> {
        Ok(reconcile(&self.told, &self.booked()?))
    }

    fn save_ledgers(&self) -> Result<(), String> {
        let mut all = self.booked()?;
        all.extend(self.told.iter().cloned());
        for (number, ledger) in all.iter().enumerate() {
            let path = self.folder.join(format!("{number:03}-{}.ledger", ledger.name));
            ledger.save(&path).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn journal_is_good(&self) -> Result<(), String> {
        let data = self.data();
        let arguments = ["journal", "verify", "--data", &data.to_string_lossy()];
        // An hour's journal takes minutes to read through on a busy machine.
        let limit = Duration::from_secs(120 + 60 * (self.journal_bytes() >> 30));
        let (code, out, err) = run_within("yika", &arguments, limit);
        match code {
            0 => Ok(()),
            _ => Err(format!("journal verify: exit {code}: {out}{err}")),
        }
    }

    /// Reversals that no terminal asked for, in the whole journal: after silence, a crash or half an approval.
    fn reversals_of_its_own(&self) -> Result<u64, String> {
        let (mut reversals, keys) = (0, Keystore::in_memory(Lmk::test()));
        let read = scan(&FileDisk::read_only(&journal_in(&self.data())), &keys, |_, record| {
            if let Entry::Outcome(outcome) = Entry::decode(record.entry).map_err(|e| e.to_string())? {
                reversals += outcome.owed.iter().filter(|owed| owed.kind == OwedKind::Reverse).count() as u64;
            }
            Ok(())
        });
        read.map(|_| reversals).map_err(|e| e.to_string())
    }

    fn descriptors_at_rest(&self) -> Result<Option<u64>, String> {
        let Some(at_first) = self.descriptors else { return Ok(None) };
        let most = at_first + DESCRIPTORS_MORE_MAX;
        let few = || self.yika().descriptors().is_some_and(|now| now <= most);
        if comes_true(SETTLED_WITHIN, few) {
            return Ok(self.yika().descriptors());
        }
        let now = self.yika().descriptors();
        Err(format!("{now:?} descriptors at rest, {at_first} at the beginning; {most} are allowed"))
    }
}

fn all_lines_open(status: &Status) -> bool {
    status.participants.iter().all(|one| one.lines_open == one.lines)
}
