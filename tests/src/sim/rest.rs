//! The rest of a world: what its faults do, how the switch dies, and how it starts again.

use super::check;
use super::fault::{Fault, FaultKind};
use super::run::Violation;
use super::start::start;
use super::world::{Event, World};
use crate::setup::BANK_B;
use rand::RngExt;
use rand::seq::IndexedRandom;
use yika_switch::core::ids::LineId;
use yika_switch::journal::faulty::Faults;

/// Copies of a disk that lose a bit each.
const FLIPS: usize = 8;

impl World {
    pub(super) fn begin_fault(&mut self, at: usize) -> Result<(), Violation> {
        let fault = self.faults[at];
        let pick = |count: usize| (fault.pick % count.max(1) as u64) as usize;
        let (bank, connection) = (pick(self.banks.len()), pick(self.terminals.len()));
        let whom = self.whom(fault.kind, bank, connection);
        self.note(|| format!("FAULT {at}: {:?}{whom} for {} ms", fault.kind, fault.lasts_us / 1000));
        if self.strike(fault, bank, connection)? {
            self.coverage.fault(fault.kind);
        } else {
            self.note(|| format!("fault {at} had nothing to hit"));
        }
        self.schedule(fault.lasts_us, Event::Over(at));
        Ok(())
    }

    /// What the fault does; false when there was nothing to do it to.
    fn strike(&mut self, fault: Fault, bank: usize, connection: usize) -> Result<bool, Violation> {
        let line = self.some_line(fault.pick);
        if fault.kind.ends_the_process() && self.switch.is_none() {
            return Ok(false);
        }
        match fault.kind {
            FaultKind::PowerCut | FaultKind::PowerCutTwice => self.lose_power(fault.lasts_us)?,
            FaultKind::BitRot => self.lose_power(fault.lasts_us)?,
            FaultKind::Kill => self.die(fault.lasts_us)?,
            FaultKind::Drain => self.switch.iter_mut().for_each(|driver| driver.drain()),
            FaultKind::BankDown => {
                self.banks[bank].down = true;
                self.lines_of(bank).into_iter().for_each(|line| self.cut_line(line));
            }
            FaultKind::BankDeaf => self.banks[bank].deaf = true,
            FaultKind::BankStalls => self.banks[bank].stalls = true,
            FaultKind::BankDoubles => self.banks[bank].doubles = true,
            FaultKind::BankGarbles => self.banks[bank].garbles = self.setting.mac.is_some(),
            FaultKind::BankSignsOff if self.banks[bank].name == BANK_B => return Ok(false),
            FaultKind::BankSignsOff => self.banks[bank].signed_off = true,
            FaultKind::LineCut => line.into_iter().for_each(|line| self.cut_line(line)),
            FaultKind::LineHalfClosed => line.into_iter().for_each(|line| self.bank_half_closes(line)),
            FaultKind::LineSlow => {
                let until_us = self.now.mono_us + fault.lasts_us;
                if let Some(pipe) = line.and_then(|line| self.lines.get_mut(&line)) {
                    pipe.slow_until_us = until_us;
                }
            }
            FaultKind::GatewayHolds => self.terminals[connection].holds = true,
            FaultKind::GatewayDoubles => self.terminals[connection].doubles = true,
            FaultKind::GatewayGarbles => self.terminals[connection].garbles = self.setting.mac.is_some(),
            FaultKind::SessionCut => self.hang_up(connection),
            FaultKind::SessionHalfClosed if self.terminals[connection].session.is_none() => return Ok(false),
            FaultKind::SessionHalfClosed => self.terminals_half_close(connection),
            FaultKind::Outsider => self.outsider_asks(connection),
            FaultKind::TerminalDeaf => self.terminals[connection].deaf = true,
            FaultKind::SessionGarbage => self.session_garbage(connection),
            FaultKind::LineGarbage => line.into_iter().for_each(|line| self.line_garbage(line)),
            FaultKind::SlowDisk => self.slow_disk = true,
            FaultKind::FailedWrite => {
                self.disk.set_faults(Faults { fail_write: Some(1), ..Faults::default() })
            }
            FaultKind::FailedSync => self.disk.set_faults(Faults { fail_sync: Some(1), ..Faults::default() }),
            FaultKind::FullDisk => self.disk.set_faults(Faults { full: true, ..Faults::default() }),
            FaultKind::ClockAhead => self.clock_off_ms += (fault.lasts_us / 400) as i64,
            FaultKind::ClockBack => self.clock_off_ms -= (fault.lasts_us / 400) as i64,
            FaultKind::CutOver if fault.pick.is_multiple_of(2) => self.bank_tells(0, "201"),
            FaultKind::CutOver => self.switch.iter_mut().for_each(|driver| driver.cut_over(1)),
            FaultKind::ParticipantDrained => self.banks[bank].drained = true,
            FaultKind::Settled => return Ok(self.settle_one(fault.pick)),
            FaultKind::TerminalsSignedOff => return Ok(self.sign_terminals_off()),
        }
        Ok(match fault.kind {
            FaultKind::LineCut | FaultKind::LineHalfClosed | FaultKind::LineSlow | FaultKind::LineGarbage => {
                line.is_some()
            }
            FaultKind::BankGarbles | FaultKind::GatewayGarbles => self.setting.mac.is_some(),
            _ => true,
        })
    }

    /// For people: the bank or connection that a fault of this kind hits.
    fn whom(&self, kind: FaultKind, bank: usize, connection: usize) -> String {
        use FaultKind::{
            BankDeaf, BankDoubles, BankDown, BankGarbles, BankSignsOff, BankStalls, GatewayDoubles,
            GatewayGarbles, GatewayHolds, Outsider, ParticipantDrained, SessionCut, SessionGarbage,
            SessionHalfClosed, TerminalDeaf,
        };
        let place = &self.terminals[connection];
        match kind {
            BankDown | BankDeaf | BankStalls | BankDoubles | BankGarbles | BankSignsOff
            | ParticipantDrained => {
                format!(" of {}", self.banks[bank].name)
            }
            SessionCut | SessionHalfClosed | SessionGarbage | GatewayHolds | GatewayDoubles
            | GatewayGarbles | TerminalDeaf | Outsider => format!(" of crew {}.{}", place.crew, place.number),
            _ => String::new(),
        }
    }

    fn some_line(&self, pick: u64) -> Option<LineId> {
        let open: Vec<LineId> = self.lines.iter().filter(|(_, pipe)| pipe.up).map(|(id, _)| *id).collect();
        open.get((pick % open.len().max(1) as u64) as usize).copied()
    }

    pub(super) fn end_fault(&mut self, at: usize) {
        let fault = self.faults[at];
        let pick = |count: usize| (fault.pick % count.max(1) as u64) as usize;
        let (bank, connection) = (pick(self.banks.len()), pick(self.terminals.len()));
        match fault.kind {
            FaultKind::BankDown => self.banks[bank].down = false,
            FaultKind::BankDeaf => self.banks[bank].deaf = false,
            FaultKind::BankStalls => {
                self.banks[bank].stalls = false;
                for (line, epoch, bytes) in std::mem::take(&mut self.banks[bank].held) {
                    self.bank_says(line, epoch, bytes);
                }
            }
            FaultKind::BankDoubles => self.banks[bank].doubles = false,
            FaultKind::BankGarbles => {
                // Its lines may be unkeyed by now (rule 11): an operator has it connect anew.
                self.banks[bank].garbles = false;
                self.lines_of(bank).into_iter().for_each(|line| self.cut_line(line));
            }
            FaultKind::BankSignsOff => self.banks[bank].signed_off = false,
            FaultKind::ParticipantDrained => self.banks[bank].drained = false,
            FaultKind::TerminalsSignedOff => (0..self.terminals.len()).for_each(|at| self.hang_up(at)),
            FaultKind::TerminalDeaf => self.terminals[connection].deaf = false,
            FaultKind::GatewayHolds => {
                self.terminals[connection].holds = false;
                for frame in std::mem::take(&mut self.terminals[connection].held) {
                    self.send_from(connection, frame);
                }
            }
            FaultKind::GatewayGarbles => {
                // What was lost may have been a sign-on, which nobody repeats on the same connection.
                self.terminals[connection].garbles = false;
                self.hang_up(connection);
            }
            FaultKind::GatewayDoubles => {
                self.terminals[connection].doubles = false;
                self.hang_up(connection);
            }
            FaultKind::SlowDisk => self.slow_disk = false,
            FaultKind::FullDisk => {
                self.disk.set_faults(Faults::default());
                // A sign-on that found no room was refused (96), and nobody repeats one on the same connection.
                if self.setting.config.listeners.iter().any(|listener| listener.sign_on_required) {
                    (0..self.terminals.len()).for_each(|at| self.hang_up(at));
                }
            }
            _ => return,
        }
        self.note(|| format!("over {at}: {:?}", fault.kind));
    }

    /// Both sides learn of it at once; what was on its way is lost.
    pub(super) fn cut_line(&mut self, line: LineId) {
        let Some(pipe) = self.lines.get_mut(&line) else { return };
        (pipe.up, pipe.epoch) = (false, pipe.epoch + 1);
        let (attempt, bank) = (pipe.attempt, pipe.bank);
        let name = self.banks[bank].name;
        self.note(|| format!("line {} to {name} is cut", line.0));
        if let Some(driver) = &mut self.switch {
            driver.line_lost(line, attempt, self.now, self.random.random());
        }
    }

    fn session_garbage(&mut self, at: usize) {
        let bytes = self.garbage();
        if let (Some(driver), Some(id)) = (&mut self.switch, self.terminals[at].session) {
            driver.session_bytes(id, &bytes, self.now);
        }
        self.hang_up(at);
    }

    fn line_garbage(&mut self, line: LineId) {
        let bytes = self.garbage();
        if let Some(driver) = &mut self.switch {
            driver.line_bytes(line, &bytes, self.now);
        }
        self.cut_line(line);
    }

    /// Some of it looks like a frame.
    fn garbage(&mut self) -> Vec<u8> {
        let len = self.random.random_range(1..200);
        let mut bytes: Vec<u8> = (0..len).map(|_| self.random.random()).collect();
        if self.random.random_bool(0.5) {
            let length = (len as u16).to_be_bytes();
            bytes.splice(0..0, length);
        }
        bytes
    }

    /// Power is lost, half of the time between a write and its sync. Any sectors of what was not synced may be kept.
    fn lose_power(&mut self, lasts_us: u64) -> Result<(), Violation> {
        if let Some(driver) = &mut self.switch
            && !driver.journal().is_durable()
            && self.random.random_bool(0.5)
        {
            self.disk.set_faults(Faults { dies_in_sync: true, ..Faults::default() });
            if driver.journal_mut().step().is_err() {
                self.coverage.torn_commits += 1;
            }
        }
        self.crash_disk();
        self.die(lasts_us)
    }

    fn crash_disk(&mut self) {
        let kept = [0.0, 0.5, 0.9, 1.0][self.random.random_range(0..4)];
        let random = &mut self.random;
        self.disk.crash_keeping(|_| random.random_bool(kept));
    }

    /// The process is gone, and with it every connection. What it left behind is examined; it starts again.
    pub(super) fn die(&mut self, after_us: u64) -> Result<(), Violation> {
        self.switch = None;
        if self.disk.is_dead() {
            // Whoever let it die looks at the disk himself.
            return Ok(());
        }
        self.life += 1;
        self.forget_commit();
        self.seen.died();
        self.coverage.deaths += 1;
        self.note(|| "the process is gone".into());
        (0..self.terminals.len()).for_each(|at| self.hang_up(at));
        (0..self.depots.len()).for_each(|at| self.depot_hangs_up(at));
        for pipe in self.lines.values_mut() {
            (pipe.up, pipe.epoch) = (false, pipe.epoch + 1);
        }
        let full = self.faults.iter().any(|fault| {
            fault.kind == FaultKind::FullDisk
                && (fault.at_us..fault.at_us + fault.lasts_us).contains(&self.now.mono_us)
        });
        self.disk.set_faults(Faults { full, ..Faults::default() });
        self.note_stored();
        check::left_behind(&self.disk, &self.keys, &self.seen)?;
        self.schedule(after_us.min(2_000_000), Event::Boot(self.life));
        Ok(())
    }

    pub(super) fn boot(&mut self) -> Result<(), Violation> {
        let last = self.faults.iter().filter(|fault| fault.at_us <= self.now.mono_us);
        let last = last.max_by_key(|fault| fault.at_us).map(|fault| fault.kind);
        if last == Some(FaultKind::BitRot) && self.random.random_bool(0.9) {
            self.rot()?;
        }
        let dies_again = last == Some(FaultKind::PowerCutTwice) && self.random.random_bool(0.7);
        let commits = dies_again.then(|| self.random.random_range(0..3));
        match start(&self.setting.config, &self.disk, &self.keys, self.now, commits) {
            Ok(Some(driver)) => {
                self.note(|| {
                    let durable = &driver.core.durable;
                    format!(
                        "started; {} obligations open, entry {}",
                        durable.obligations.len(),
                        durable.next_seq
                    )
                });
                self.switch = Some(driver);
                check::started(self.switch.as_ref().expect("set on the line above"), &self.disk, &self.keys)
            }
            Ok(None) => {
                self.note(|| "power is lost again during the start".into());
                self.crash_disk();
                self.die(300_000)
            }
            Err(_) if self.disk.is_dead() => Ok(()),
            Err(why) if self.is_full() => {
                self.note(|| format!("the start waits for room on the disk: {why}"));
                self.schedule(300_000, Event::Boot(self.life));
                Ok(())
            }
            Err(why) => {
                Err(Violation::new(format!("P12: the start refuses a journal that nothing damaged: {why}")))
            }
        }
    }

    fn is_full(&self) -> bool {
        self.faults.iter().any(|fault| {
            fault.kind == FaultKind::FullDisk
                && (fault.at_us..fault.at_us + fault.lasts_us + 400_000).contains(&self.now.mono_us)
        })
    }

    /// Flips a bit of each of some copies: it is found, or nothing that was acknowledged is missing; the disk itself
    /// stays whole.
    fn rot(&mut self) -> Result<(), Violation> {
        let written = self.disk.written();
        for _ in 0..FLIPS {
            let Some((file, bytes)) = written.choose(&mut self.random) else { return Ok(()) };
            let rotten = self.disk.image();
            rotten.flip_bit(*file, self.random.random_range(0..bytes * 8));
            self.coverage.flips += 1;
            self.coverage.flips_refused += u64::from(check::damaged(&rotten, &self.disk, &self.keys)?);
        }
        Ok(())
    }
}
