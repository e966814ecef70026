//! The terminals of a run without sockets, threads and clocks: for simulators, which bring their own time and network.

use crate::ledger::Ledger;
use crate::run::{RunConfig, RunError};
use crate::terminals::Terminals;
use crate::wire::FRAME_BYTES_MAX;
use std::time::Duration;
use yika_codec::Framing;

/// Terminals on numbered connections. Times are measured from the beginning of the run.
pub struct Crew {
    terminals: Terminals,
    framing: Framing,
    /// What was received on each connection and is no whole frame yet.
    inboxes: Vec<Vec<u8>>,
}

/// The other side's stream cannot be cut into frames: close the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadFraming;

impl Crew {
    /// The terminals of this configuration; its targets and its limits have no meaning here.
    ///
    /// # Errors
    /// When the configuration cannot be run.
    pub fn new(config: &RunConfig) -> Result<Crew, RunError> {
        let terminals = Terminals::new(config.plan()?);
        let framing = terminals.framing();
        Ok(Crew { terminals, framing, inboxes: vec![Vec::new(); config.connections as usize] })
    }

    /// Tells the wall time, seconds since 1970.
    pub fn handle_wall(&mut self, wall_s: u32) {
        self.terminals.set_wall(wall_s);
    }

    /// An operation is due; false when no terminal is idle.
    pub fn handle_due(&mut self, now: Duration) -> bool {
        self.terminals.handle_due(ns(now), ns(now))
    }

    /// A connection is made.
    pub fn handle_connected(&mut self, connection: u32, now: Duration) {
        if let Some(inbox) = self.inboxes.get_mut(connection as usize) {
            inbox.clear();
        }
        self.terminals.handle_connected(connection, ns(now));
    }

    /// A connection is gone.
    pub fn handle_disconnected(&mut self, connection: u32) {
        self.terminals.handle_disconnected(connection);
    }

    /// Takes what was received; `each` is shown every whole message before.
    ///
    /// # Errors
    /// [`BadFraming`].
    pub fn handle_bytes(
        &mut self,
        connection: u32,
        bytes: &[u8],
        now: Duration,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), BadFraming> {
        let Some(inbox) = self.inboxes.get_mut(connection as usize) else { return Ok(()) };
        inbox.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            let rest = &inbox[taken..];
            let Some(frame) = self.framing.next(rest, FRAME_BYTES_MAX).map_err(|_| BadFraming)? else {
                break;
            };
            let payload = &rest[frame.start..frame.end];
            if !payload.is_empty() {
                each(payload);
                self.terminals.handle_message(connection, payload, ns(now));
            }
            taken += frame.next;
        }
        inbox.drain(..taken);
        Ok(())
    }

    /// Repeats, reverses or gives up what has waited too long.
    pub fn handle_time(&mut self, now: Duration) {
        self.terminals.handle_time(ns(now));
    }

    /// The next connection that has something to send, and that.
    pub fn poll_output(&mut self) -> Option<(u32, Vec<u8>)> {
        let connection = self.terminals.poll_dirty()?;
        Some((connection, std::mem::take(self.terminals.outbox(connection))))
    }

    /// From now on nothing new begins; what is under way goes on.
    pub fn stop_new(&mut self) {
        self.terminals.stop_new();
    }

    /// Operations that have not ended.
    pub fn under_way(&self) -> u32 {
        self.terminals.under_way()
    }

    /// Answers over another amount than told; answers that cannot be read.
    pub fn faults(&self) -> [u64; 2] {
        let metrics = &self.terminals.metrics;
        [metrics.wrong_amounts, metrics.parse_errors]
    }

    /// What the terminals believe.
    pub fn ledger(&self, name: &str) -> Ledger {
        self.terminals.ledger(name)
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
