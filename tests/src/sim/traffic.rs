//! The wires of a world: terminals' connections and lines to banks, with their latencies, their pieces, and what the
//! faults of the network do to them.

use super::observe::is_reversal;
use super::world::{Connection, Event, Pipe, World};
use rand::RngExt;
use yika_codec::Framing;
use yika_switch::core::ids::{LineId, ListenerNo};

impl World {
    pub(super) fn dial(&mut self, at: usize) {
        let connection = &mut self.terminals[at];
        if connection.session.is_some() {
            return;
        }
        let opened = self
            .switch
            .as_mut()
            .and_then(|driver| driver.session_opened(ListenerNo(connection.crew as u16), self.now));
        if opened.is_none() {
            return self.schedule(150_000, Event::Dial(at));
        }
        let connection = &mut self.terminals[at];
        connection.session = opened;
        connection.pipe.epoch += 1;
        connection.unread.clear();
        connection.said_all = false;
        let (crew, number, now) = (connection.crew, connection.number, self.since());
        self.crews[crew].handle_connected(number, now);
    }

    /// A connection of terminals ends on both sides; they dial again.
    pub(super) fn hang_up(&mut self, at: usize) {
        let connection = &mut self.terminals[at];
        connection.pipe.epoch += 1;
        connection.unread.clear();
        if let Some(id) = connection.session.take() {
            if let Some(driver) = &mut self.switch {
                driver.session_closed(id);
            }
            let (crew, number) = (connection.crew, connection.number);
            self.crews[crew].handle_disconnected(number);
            self.note(|| format!("connection of crew {crew}.{number} ends"));
            self.schedule(60_000, Event::Dial(at));
        }
    }

    /// What terminals have to say goes on its way.
    pub(super) fn crews_speak(&mut self) {
        for crew in 0..self.crews.len() {
            while let Some((number, mut bytes)) = self.crews[crew].poll_output() {
                let own = |one: &Connection| one.crew == crew && one.number == number;
                let Some(at) = self.terminals.iter().position(own).filter(|at| !self.terminals[*at].said_all)
                else {
                    continue;
                };
                self.note_frames(&bytes, crew, || format!("crew {crew}.{number} -> switch"));
                let listener = &self.setting.config.listeners[crew];
                frames(&bytes, listener.framing)
                    .for_each(|frame| self.seen.by_terminal(&listener.dialect, frame));
                if self.terminals[at].doubles {
                    bytes.extend_from_within(..);
                }
                if self.terminals[at].garbles {
                    let framing = listener.framing;
                    self.garble(&mut bytes, framing);
                }
                let bytes = if self.terminals[at].holds { self.hold_back(at, &bytes) } else { bytes };
                self.send_from(at, bytes);
            }
        }
    }

    fn note_frames(&mut self, bytes: &[u8], crew: usize, route: impl Fn() -> String) {
        let Some(trace) = &mut self.trace else { return };
        let listener = &self.setting.config.listeners[crew];
        for frame in frames(bytes, listener.framing) {
            trace.message(self.now.mono_us, &route(), &listener.dialect, frame);
        }
    }

    /// Half of these frames get one byte that is another; frames stay frames.
    fn garble(&mut self, bytes: &mut [u8], framing: Framing) {
        let mut start = 0;
        while let Ok(Some(frame)) = framing.next(&bytes[start..], 65_535) {
            if self.random.random_bool(0.5) {
                let at = start + self.random.random_range(frame.start..frame.end);
                bytes[at] ^= self.random.random_range(1..=255u8);
            }
            start += frame.next;
        }
    }

    pub(super) fn send_from(&mut self, at: usize, bytes: Vec<u8>) {
        self.send_in_pieces(bytes, |piece, world, when| {
            let epoch = world.terminals[at].pipe.epoch;
            let when = after(&mut world.terminals[at].pipe.to_switch_us, when);
            world.schedule_at(when, Event::FromTerminal(at, epoch, piece));
        });
    }

    /// Of these frames the reversals; the others stay behind.
    fn hold_back(&mut self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let listener = &self.setting.config.listeners[self.terminals[at].crew];
        let (mut passes, mut rest) = (Vec::new(), bytes);
        while let Ok(Some(frame)) = listener.framing.next(rest, 65_535) {
            let whole = &rest[..frame.next];
            if is_reversal(&listener.dialect, &rest[frame.start..frame.end]) {
                passes.extend_from_slice(whole);
            } else {
                self.terminals[at].held.push(whole.to_vec());
            }
            rest = &rest[frame.next..];
        }
        passes
    }

    /// Bytes travel in one to three pieces.
    fn send_in_pieces(&mut self, bytes: Vec<u8>, mut send: impl FnMut(Vec<u8>, &mut World, u64)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let cut = if self.random.random_bool(0.8) {
                rest.len()
            } else {
                self.random.random_range(1..=rest.len())
            };
            let tail = rest.split_off(cut);
            let when = self.now.mono_us + self.latency();
            send(std::mem::replace(&mut rest, tail), self, when);
        }
    }

    pub(super) fn read_terminal(&mut self, at: usize) {
        let Some(driver) = &mut self.switch else { return };
        let connection = &mut self.terminals[at];
        let Some(id) = connection.session else { return };
        while driver.session_wants_read(id) {
            let Some(bytes) = connection.unread.pop_front() else { break };
            driver.session_bytes(id, &bytes, self.now);
        }
    }

    pub(super) fn flush_terminal(&mut self, at: usize) {
        let Some(driver) = &mut self.switch else { return };
        let connection = &self.terminals[at];
        let Some(id) = connection.session.filter(|_| !connection.deaf) else { return };
        let bytes = driver.session_pending(id).to_vec();
        driver.session_wrote(id, bytes.len());
        self.send_in_pieces(bytes, |piece, world, when| {
            let epoch = world.terminals[at].pipe.epoch;
            let when = after(&mut world.terminals[at].pipe.from_switch_us, when);
            world.schedule_at(when, Event::ToTerminal(at, epoch, piece));
        });
    }

    pub(super) fn hear_at_terminal(&mut self, at: usize, bytes: &[u8]) {
        let connection = &self.terminals[at];
        if connection.doubles {
            // It has given this connection up, and only not closed it.
            return;
        }
        let (crew, number, now) = (connection.crew, connection.number, self.since());
        let (trace, now_us) = (&mut self.trace, self.now.mono_us);
        let (dialect, seen) = (&self.setting.config.listeners[crew].dialect, &mut self.seen);
        let heard = self.crews[crew].handle_bytes(number, bytes, now, |frame| {
            seen.at_terminal(dialect, frame);
            if let Some(trace) = trace {
                trace.message(now_us, &format!("switch -> crew {crew}.{number}"), dialect, frame);
            }
        });
        if heard.is_err() {
            self.hang_up(at);
        }
    }

    pub(super) fn connect(&mut self, line: LineId, attempt: u32) {
        let Some(driver) = &mut self.switch else { return };
        let name = driver.lines().nth(line.0 as usize).map(|(rim, _)| rim.name.clone()).unwrap_or_default();
        let Some(bank) = self.banks.iter().position(|bank| bank.name == name) else { return };
        if self.banks[bank].down {
            return driver.line_lost(line, attempt, self.now, self.random.random());
        }
        let pipe = self.lines.entry(line).or_default();
        let epoch = pipe.epoch + 1;
        *pipe = Pipe { bank, attempt, epoch, up: true, ..Pipe::default() };
        driver.line_connected(line, attempt, self.now);
    }

    pub(super) fn flush_line(&mut self, line: LineId) {
        let (Some(driver), Some(pipe)) = (&mut self.switch, self.lines.get(&line)) else { return };
        if !pipe.up || self.banks[pipe.bank].deaf {
            return;
        }
        let mut bytes = driver.line_pending(line).to_vec();
        if bytes.is_empty() {
            return;
        }
        if self.random.random_bool(0.1) {
            bytes.truncate(self.random.random_range(1..=bytes.len()));
        }
        driver.line_wrote(line, bytes.len());
        self.send_in_pieces(bytes, |piece, world, when| {
            let Some(pipe) = world.lines.get_mut(&line) else { return };
            let when = when.max(pipe.slow_until_us);
            let (epoch, when) = (pipe.epoch, after(&mut pipe.from_switch_us, when));
            world.schedule_at(when, Event::ToBank(line, epoch, piece));
        });
    }

    pub(super) fn hear_at_bank(&mut self, line: LineId, epoch: u32, bytes: &[u8]) {
        if !self.is_open(line, epoch) {
            return;
        }
        let Some(pipe) = self.lines.get_mut(&line) else { return };
        let bank = &mut self.banks[pipe.bank];
        pipe.inbox.extend_from_slice(bytes);
        let framing = bank.desk.framing();
        let mut said = Vec::new();
        while let Ok(Some(frame)) = framing.next(&pipe.inbox, 65_535) {
            let payload = &pipe.inbox[frame.start..frame.end];
            if let Some(trace) = &mut self.trace {
                trace.message(self.now.mono_us, &format!("switch -> {}", bank.name), &bank.dialect, payload);
            }
            self.seen.at_bank(bank.name, &bank.dialect, payload);
            for _ in 0..if bank.doubles { 2 } else { 1 } {
                let mut out = Vec::new();
                let delay = bank.desk.take_frame(payload, &mut out);
                if !out.is_empty() {
                    said.push((delay, out));
                }
            }
            pipe.inbox.drain(..frame.next);
        }
        for (delay, out) in said {
            self.schedule(delay.as_micros() as u64, Event::Says(line, epoch, out));
        }
    }

    pub(super) fn bank_says(&mut self, line: LineId, epoch: u32, mut bytes: Vec<u8>) {
        if !self.is_open(line, epoch) {
            return;
        }
        let Some(pipe) = self.lines.get(&line) else { return };
        let bank = &mut self.banks[pipe.bank];
        if bank.stalls {
            return bank.held.push((line, epoch, bytes));
        }
        if bank.garbles {
            let framing = bank.desk.framing();
            self.garble(&mut bytes, framing);
        }
        self.send_in_pieces(bytes, |piece, world, when| {
            let Some(pipe) = world.lines.get_mut(&line) else { return };
            let when = after(&mut pipe.to_switch_us, when);
            world.schedule_at(when, Event::FromBank(line, epoch, piece));
        });
    }

    /// Bytes of a bank reach the switch.
    pub(super) fn hear_from_bank(&mut self, line: LineId, bytes: &[u8]) {
        let (Some(driver), Some(pipe)) = (&mut self.switch, self.lines.get_mut(&line)) else { return };
        driver.line_bytes(line, bytes, self.now);
        let bank = &self.banks[pipe.bank];
        pipe.outbox.extend_from_slice(bytes);
        while let Ok(Some(frame)) = bank.desk.framing().next(&pipe.outbox, 65_535) {
            let payload = &pipe.outbox[frame.start..frame.end];
            if let Some(trace) = &mut self.trace {
                trace.message(self.now.mono_us, &format!("{} -> switch", bank.name), &bank.dialect, payload);
            }
            self.seen.by_bank(bank.name, &bank.dialect, self.setting.mac.as_ref(), payload);
            pipe.outbox.drain(..frame.next);
        }
    }

    /// The bank's side of a line is closed, and the switch gives it up; what is on its way still arrives.
    pub(super) fn bank_half_closes(&mut self, line: LineId) {
        let Some(epoch) = self.lines.get(&line).map(|pipe| pipe.epoch) else { return };
        for bytes in self.take_under_way(line, epoch) {
            self.hear_at_bank(line, epoch, &bytes);
        }
        self.cut_line(line);
    }

    /// A gateway says that it has said all: it hears what it is owed, and is let go (`net` does the same).
    pub(super) fn terminals_half_close(&mut self, at: usize) {
        let connection = &mut self.terminals[at];
        connection.said_all = true;
        self.crews[connection.crew].handle_disconnected(connection.number);
    }

    pub(super) fn let_go_who_said_all(&mut self) {
        for at in 0..self.terminals.len() {
            let connection = &self.terminals[at];
            let arrived = connection.pipe.to_switch_us < self.now.mono_us && connection.unread.is_empty();
            let (Some(id), Some(driver)) = (connection.session, &self.switch) else { continue };
            let heard = connection.pipe.from_switch_us < self.now.mono_us;
            if connection.said_all && arrived && heard && !driver.session_is_owed(id) {
                self.hang_up(at);
            }
        }
    }
}

/// Not before what was sent before on the same way.
pub(super) fn after(last_us: &mut u64, when_us: u64) -> u64 {
    *last_us = when_us.max(*last_us + 1);
    *last_us
}

/// The whole frames in these bytes.
fn frames(bytes: &[u8], framing: Framing) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let frame = framing.next(rest, 65_535).ok().flatten()?;
        let payload = &rest[frame.start..frame.end];
        rest = &rest[frame.next..];
        Some(payload)
    })
}
