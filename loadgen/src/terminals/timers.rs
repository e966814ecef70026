//! Time-outs of terminals: two queues, each in order because all its waits are equally long.
//! Setting and stopping one costs a counter; a stopped one is skipped when its time comes.

use super::Policy;
use std::collections::VecDeque;
use std::time::Duration;

pub(super) struct Timers {
    answers: Queue,
    pauses: Queue,
}

struct Queue {
    wait_ns: u64,
    waiting: VecDeque<(u64, u32, u32)>,
}

impl Timers {
    pub(super) fn new(policy: Policy) -> Timers {
        let queue = |wait: Duration| Queue {
            wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX),
            waiting: VecDeque::new(),
        };
        Timers { answers: queue(policy.answer_timeout), pauses: queue(policy.retry_pause) }
    }

    /// Makes `timer` the number of a wait for an answer.
    pub(super) fn wait_for_answer(&mut self, terminal: u32, now_ns: u64, timer: &mut u32) {
        self.answers.push(terminal, now_ns, timer);
    }

    /// Makes `timer` the number of a pause before the next copy.
    pub(super) fn pause(&mut self, terminal: u32, now_ns: u64, timer: &mut u32) {
        self.pauses.push(terminal, now_ns, timer);
    }

    /// Makes every earlier timer of this terminal void.
    pub(super) fn stop(&mut self, timer: &mut u32) {
        *timer = timer.wrapping_add(1);
    }

    /// A terminal and timer whose time has come; the caller knows whether it still counts.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<(u32, u32)> {
        self.answers.due(now_ns).or_else(|| self.pauses.due(now_ns))
    }
}

impl Queue {
    fn push(&mut self, terminal: u32, now_ns: u64, timer: &mut u32) {
        *timer = timer.wrapping_add(1);
        self.waiting.push_back((now_ns.saturating_add(self.wait_ns), terminal, *timer));
    }

    fn due(&mut self, now_ns: u64) -> Option<(u32, u32)> {
        let &(due_ns, terminal, timer) = self.waiting.front()?;
        if due_ns > now_ns {
            return None;
        }
        self.waiting.pop_front();
        Some((terminal, timer))
    }
}
