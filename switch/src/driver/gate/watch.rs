//! What becomes of gateways by time, and at the end: heartbeats, silence, credits that nobody told of, goodbye.

use super::{Driver, End, PROOF_TIME_MAX_US, SILENCES_MAX, State};
use crate::core::ids::{Now, SessionId};
use crate::driver::session::Closed;
use yika_codec::gate::{Heartbeat, Message, Reason};

impl Driver {
    /// Gateways that are connected and proven.
    pub fn gateways_open(&self) -> usize {
        let gates = self.sessions.iter().flatten().filter_map(|session| session.gate.as_ref());
        gates.filter(|gate| gate.state == State::Up).count()
    }

    /// The switch drains: gateways that wait for nothing are told so and let go.
    pub(in crate::driver) fn let_gates_go(&mut self, now: Now) {
        let idle = self.sessions.iter().flatten().filter(|session| !session.closing && session.inflight == 0);
        let idle = idle.filter(|session| session.gate.as_ref().is_some_and(|gate| gate.state == State::Up));
        let ids: Vec<SessionId> = idle.map(|session| session.id).collect();
        ids.into_iter().for_each(|id| self.gate_leave(id, Reason::Draining, now));
    }

    /// Says goodbye to a gateway and closes.
    pub(super) fn gate_leave(&mut self, id: SessionId, reason: Reason, now: Now) {
        let Some(mut gate) = self.take_gate(id) else { return };
        self.gate_end(id, &mut gate, &End::Goodbye(reason), now);
        self.put_gate(id, gate);
        self.close_session(id, Closed::Gate);
    }

    /// Heartbeats where we were silent, and an end where the gateway was, each second.
    pub(in crate::driver) fn look_at_gates(&mut self, now: Now) {
        let taps = &self.core.durable.taps;
        if self.gate_batches.len() as u64 > taps.batches_open() {
            self.gate_batches.sweep(|gateway, batch| taps.is_open(gateway, batch));
        }
        let mut silent = Vec::new();
        let mut granted = Vec::new();
        let mut gone = Vec::new();
        for session in self.sessions.iter().flatten().filter(|session| !session.closing) {
            let Some(gate) = session.gate.as_ref() else { continue };
            let beat_us = u64::try_from(gate.config.heartbeat.as_micros()).unwrap_or(u64::MAX);
            let late =
                gate.state != State::Up && now.mono_us.saturating_sub(gate.began_us) > PROOF_TIME_MAX_US;
            if late
                || now.mono_us.saturating_sub(session.last_heard_us) > beat_us.saturating_mul(SILENCES_MAX)
            {
                gone.push(session.id);
            } else if gate.has_untold_credits() {
                granted.push(session.id);
            } else if gate.state == State::Up && now.mono_us.saturating_sub(gate.last_said_us) >= beat_us {
                silent.push(session.id);
            }
        }
        for id in gone {
            self.gate_leave(id, Reason::Idle, now);
        }
        for id in granted {
            let Some(mut gate) = self.take_gate(id) else { continue };
            self.say_credits(id, &mut gate, now);
            self.put_gate(id, gate);
        }
        for id in silent {
            let Some(mut gate) = self.take_gate(id) else { continue };
            let (question, beat) = (gate.next_question(), Heartbeat { time_ms: now.wall_ms });
            self.gate_say(id, &mut gate, question, &Message::Heartbeat(beat), now);
            self.put_gate(id, gate);
        }
    }
}
