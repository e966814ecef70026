//! A disk that is full, and a disk that refuses a write in the middle of a segment: new payments are refused or the
//! switch stops with the reason, and whatever a terminal was told stands after the next start.

use crate::city::{Settings, Town};
use crate::peer::{Peer, purchase};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use yika_loadgen::{IssuerConfig, IssuerHandle, issuer};
use yika_switch::admin::control::status;
use yika_tests::Wire;
use yika_tests::process::{Yika, comes_true, program, run as command, wait_for};
use yika_tests::small_disk::SmallDisk;

const CARD: &str = "4111111111111111";
const SEGMENT_BYTES: u64 = 1 << 20;
/// A start takes a segment of its own and prepares four spares; the rest is filled by the test.
const DISK_MIB: u32 = 24;
/// More payments than fit on the disk one by one, three blocks each.
const PAYMENTS_MAX: u32 = 20_000;

/// A bank that approves everything, a terminal, and what it was told.
struct Shop {
    bank: IssuerHandle,
    town: Town,
    told: Vec<(Wire, Wire)>,
    last_stan: u32,
}

#[test]
fn a_full_disk_refuses_new_payments_and_loses_nothing_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let small = match SmallDisk::mount(&data, DISK_MIB) {
        Ok(small) => small,
        // The test below needs no rights and shows what matters most: nothing told is lost.
        Err(why) => {
            return println!("no small disk can be mounted here ({why}): run as root with loop devices");
        }
    };
    let mut shop = Shop::open(folder.path());
    let yika = Yika::start(folder.path());
    let ballast = small.fill();
    assert_eq!(shop.pays_until_refused(&yika).as_deref(), Some("96"), "{}", yika.log());
    assert!(shop.told.len() > 50, "only {} payments fitted", shop.told.len());
    assert!(status(&yika.data()).is_ok(), "it still answers its operator");
    shop.hears_the_same_again();
    yika.kill();
    let yika = match Yika::try_start(folder.path(), Command::new(program("yika"))) {
        Ok(yika) => {
            assert_eq!(
                shop.pays_until_refused(&yika).as_deref(),
                Some("96"),
                "the disk is as full as before"
            );
            std::fs::remove_file(&ballast).unwrap();
            yika
        }
        Err(ended) => {
            assert_eq!(ended.code(), Some(74));
            let log = std::fs::read_to_string(folder.path().join("yika.log")).unwrap();
            assert!(log.contains("No space left") || log.contains("no spare segment left"), "{log}");
            std::fs::remove_file(&ballast).unwrap();
            Yika::start(folder.path())
        }
    };
    wait_for("payments to go on by themselves", Duration::from_secs(20), || shop.pays(&yika).is_ok());
    shop.closes(yika);
}

#[test]
fn a_write_that_fails_stops_the_switch_with_its_reason_and_loses_nothing_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::open(folder.path());
    assert!(Yika::start(folder.path()).stop().success(), "it leaves spare segments of full length");
    // The last block of a segment lies beyond the largest file this process may write (getrlimit(2),
    // RLIMIT_FSIZE): the write itself fails, as on a broken disk.
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={}", SEGMENT_BYTES - 4096)).arg(program("yika"));
    let mut yika = Yika::try_start(folder.path(), limited).unwrap();
    assert_eq!(shop.pays_until_refused(&yika), None, "a payment that is not durable gets no answer");
    assert!(shop.told.len() > 20, "only {} payments fitted", shop.told.len());
    assert_eq!(yika.wait().code(), Some(74));
    let log = yika.log();
    assert!(log.contains("the journal cannot write") && log.contains("segment-"), "{log}");
    let yika = Yika::start(folder.path());
    wait_for("payments to go on", Duration::from_secs(20), || shop.pays(&yika).is_ok());
    shop.closes(yika);
}

#[test]
fn a_file_size_limit_set_before_the_start_ends_it_with_a_reason_and_not_by_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let _shop = Shop::open(folder.path());
    let limited = |program: PathBuf| {
        let mut command = Command::new("prlimit");
        command.arg("--fsize=16384").arg(program);
        command
    };
    let ended = Yika::try_start(folder.path(), limited(program("yika"))).err().unwrap();
    let log = std::fs::read_to_string(folder.path().join("yika.log")).unwrap();
    assert_eq!(ended.code(), Some(74), "{log}");
    assert!(log.contains("File too large"), "{log}");
    let at = folder.path().join("demo");
    std::fs::create_dir(&at).unwrap();
    let mut demo = limited(program("yika"));
    demo.args(["demo", "--seconds", "3", "--calm", "--allow-tmpfs", "--dir"]).arg(&at);
    let ended = demo.output().unwrap();
    assert_eq!(ended.status.code(), Some(74), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_data_folder_removed_under_a_running_switch_stops_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::open(folder.path());
    let mut yika = Yika::start(folder.path());
    wait_for("a payment", Duration::from_secs(20), || shop.pays(&yika).is_ok());
    // A spare that is being made meanwhile may be in the way of the first attempt.
    wait_for("the folder's end", Duration::from_secs(20), || std::fs::remove_dir_all(yika.data()).is_ok());
    assert_eq!(yika.wait().code(), Some(74));
    let log = yika.log();
    assert!(log.contains("stopped answering") && log.contains("is no longer in its place"), "{log}");
}

#[test]
fn an_anchor_removed_or_replaced_under_a_running_switch_stops_it() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut shop = Shop::open(folder.path());
        let mut yika = Yika::start(folder.path());
        wait_for("a payment", Duration::from_secs(20), || shop.pays(&yika).is_ok());
        let (anchor, copy) = (yika.data().join("journal/anchor.yj"), folder.path().join("copy"));
        std::fs::copy(&anchor, &copy).unwrap();
        if replaced {
            std::fs::rename(&copy, &anchor).unwrap();
        } else {
            std::fs::remove_file(&anchor).unwrap();
        }
        assert_eq!(yika.wait().code(), Some(74));
        let log = yika.log();
        assert!(log.contains("anchor.yj is no longer in its place"), "{log}");
        if !replaced {
            std::fs::rename(&copy, &anchor).unwrap();
        }
        let yika = Yika::start(folder.path());
        shop.closes(yika);
    }
}

#[test]
fn a_lost_anchor_is_made_anew_when_the_operator_says_that_this_is_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::open(folder.path());
    let yika = Yika::start(folder.path());
    wait_for("a payment", Duration::from_secs(20), || shop.pays(&yika).is_ok());
    let data = yika.data();
    let place = data.display().to_string();
    let anchor = |more: &[&str]| command("yika", &[&["journal", "anchor", "--data", &place], more].concat());
    let (code, _, err) = anchor(&["--yes"]);
    assert!(code == 74 && err.contains("another yika runs on"), "{err}");
    assert!(yika.stop().success());
    let (code, out, _) = anchor(&["--yes"]);
    assert!(code == 0 && out.contains("nothing was written"), "{out}");
    // An end that was zeroed after the clean stop is told as a start tells it.
    let (newest, away) = (data.join("journal/segment-00000000.yj"), folder.path().join("away"));
    std::fs::copy(&newest, &away).unwrap();
    let whole = std::fs::metadata(&newest).unwrap().len();
    let segment = OpenOptions::new().write(true).open(&newest).unwrap();
    segment.set_len(4096).and_then(|()| segment.set_len(whole)).unwrap();
    let (code, out, err) = anchor(&["--yes"]);
    assert!(code == 74 && err.contains("stopped cleanly after frame"), "{out}{err}");
    assert!(Yika::try_start(folder.path(), Command::new(program("yika"))).is_err());
    std::fs::copy(&away, &newest).unwrap();
    let file = data.join("journal/anchor.yj");
    std::fs::remove_file(&file).unwrap();
    assert!(Yika::try_start(folder.path(), Command::new(program("yika"))).is_err());
    let log = std::fs::read_to_string(folder.path().join("yika.log")).unwrap();
    assert!(log.contains("anchor.yj") && log.contains("`yika journal anchor`"), "{log}");
    let (code, out, err) = anchor(&[]);
    assert!(code == 2 && err.contains("--yes") && !file.exists(), "{out}{err}");
    assert!(out.contains("the newest segment is 1:") && out.contains("the last entry is of 20"), "{out}");
    // One that can be read says what is missing, and is not replaced.
    let (code, _, err) = anchor(&["--yes"]);
    assert_eq!(code, 0, "{err}");
    std::fs::rename(&newest, &away).unwrap();
    let (code, _, err) = anchor(&["--yes"]);
    assert!(code == 74 && err.contains("the anchor names it as segment 1"), "{err}");
    std::fs::rename(&away, &newest).unwrap();
    let yika = Yika::start(folder.path());
    shop.closes(yika);
}

impl Shop {
    fn open(folder: &Path) -> Shop {
        let wire = yika_loadgen::Wire::named("iso87-ascii", None, None).unwrap();
        let bank = issuer::start(IssuerConfig::new("bank-a", ([127, 0, 0, 1], 0).into(), wire)).unwrap();
        let host = ("bank-a", "issuer", "iso87-ascii", bank.addr());
        let settings = Settings { segment: "1MiB", ..Settings::default() };
        let town = Town::with_hosts(folder, &[host], &settings);
        Shop { bank, town, told: Vec::new(), last_stan: 0 }
    }

    /// Pays until something else than an approval comes: its code, or None when the switch closed the connection.
    fn pays_until_refused(&mut self, yika: &Yika) -> Option<String> {
        // The line to the bank comes up a moment after the listener.
        wait_for("the line to the bank", Duration::from_secs(20), || {
            status(&yika.data()).is_ok_and(|status| status.participants.iter().all(|one| one.lines_open == 1))
        });
        let mut terminal = Peer::connect(self.town.listener, "iso87-ascii");
        for _ in 0..PAYMENTS_MAX {
            let sent = self.next();
            terminal.sends(&sent);
            let answer = terminal.hears_or_ends()?.wire;
            if answer.code() != "00" {
                return Some(answer.code());
            }
            self.told.push((sent, answer));
        }
        panic!("{PAYMENTS_MAX} payments fitted on the disk");
    }

    /// One more payment.
    fn pays(&mut self, yika: &Yika) -> Result<(), String> {
        let _up = status(&yika.data())?;
        let sent = self.next();
        let answer = Peer::connect(self.town.listener, "iso87-ascii").asks(&sent);
        if answer.code() != "00" {
            return Err(answer.code());
        }
        self.told.push((sent, answer));
        Ok(())
    }

    fn next(&mut self) -> Wire {
        self.last_stan += 1;
        purchase("iso87-ascii", CARD, self.last_stan, 100 + u64::from(self.last_stan))
    }

    fn hears_the_same_again(&self) {
        let mut terminal = Peer::connect(self.town.listener, "iso87-ascii");
        for (sent, told) in &self.told {
            assert_eq!(&terminal.asks(&sent.repeated()), told, "what a terminal was told stands");
        }
    }

    /// Everything told is told again, and the bank has booked exactly that.
    fn closes(self, yika: Yika) {
        self.hears_the_same_again();
        let settled = comes_true(Duration::from_secs(20), || {
            status(&yika.data()).is_ok_and(|status| status.open_obligations == 0)
        });
        assert!(settled && status(&yika.data()).unwrap().unaccounted == 0, "{}", yika.log());
        assert!(yika.stop().success());
        let told: u64 = self.told.iter().map(|(_, answer)| answer.amount()).sum();
        let books = self.bank.stop().unwrap();
        let standing =
            |entry: &&yika_loadgen::ledger::Entry| entry.state == yika_loadgen::ledger::State::Approved;
        let booked: u64 = books.entries.iter().filter(standing).map(|entry| entry.amount).sum();
        assert_eq!(told, booked, "the terminal and the bank agree to the fen");
    }
}
