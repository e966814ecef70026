//! What operators and banks want for a while and insist on: a crash may take a command before it is durable, so that it
//! is given again until the switch has it.

use super::world::World;
use crate::wire::Wire;
use yika_switch::core::ids::LineId;

/// A ticket; nobody waits for what becomes of it.
const TICKET: u64 = 1;
/// A bank says it again after so long, so that the switch may hear it first.
const AGAIN_US: u64 = 200_000;

impl World {
    /// Drains and sign-offs are made true that are not.
    pub(super) fn operator_and_banks_insist(&mut self) {
        for at in 0..self.banks.len() {
            let Some(driver) = &mut self.switch else { return };
            let bank = &self.banks[at];
            let durable = &driver.core.durable;
            let held = durable.participant_by_name(bank.name).and_then(|id| durable.participants.get(&id));
            let Some((drained, signed_off)) = held.map(|held| (held.drained, held.signed_off)) else {
                continue;
            };
            if drained != bank.drained && driver.drain_participant(bank.name, bank.drained, TICKET).is_err() {
                continue;
            }
            if signed_off != bank.signed_off && self.now.mono_us % AGAIN_US < super::world::TICK_US {
                self.bank_signs(at);
            }
        }
    }

    /// A bank says that it signs off, or on again, on the first of its lines that is up.
    fn bank_signs(&mut self, at: usize) {
        let own = |pipe: &super::world::Pipe| pipe.up && pipe.bank == at;
        let line = self.lines.iter().find(|(_, pipe)| own(pipe)).map(|(line, pipe)| (*line, pipe.epoch));
        let Some((line, epoch)) = line else { return };
        let code = if self.banks[at].signed_off { "002" } else { "001" };
        let wire = Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code);
        let bytes = wire.encode_under(self.setting.mac.as_ref(), &self.banks[at].dialect, &[]);
        self.bank_says(line, epoch, bytes);
    }

    /// An operator settles an open obligation by name; false when there is none.
    pub(super) fn settle_one(&mut self, pick: u64) -> bool {
        let Some(driver) = &mut self.switch else { return false };
        let count = driver.core.durable.obligations.len() as u64;
        let id = driver.core.durable.obligations.keys().nth((pick % count.max(1)) as usize).copied();
        id.inspect(|id| driver.settle(*id, "the bank was asked".into(), TICKET)).is_some()
    }

    /// At the end an operator settles what waits for one.
    pub(super) fn settle_parked(&mut self) {
        let Some(driver) = &mut self.switch else { return };
        let parked: Vec<_> = driver
            .core
            .durable
            .obligations
            .iter()
            .filter(|(_, held)| held.parked.is_some())
            .map(|(id, _)| *id)
            .collect();
        parked.into_iter().for_each(|id| driver.settle(id, "the bank was asked".into(), TICKET));
    }

    /// An operator signs all terminals off; false when none can be.
    pub(super) fn sign_terminals_off(&mut self) -> bool {
        let wanted = self.setting.config.listeners.iter().any(|listener| listener.sign_on_required);
        let Some(driver) = self.switch.as_mut().filter(|_| wanted) else { return false };
        driver.sign_off(None, TICKET).is_ok()
    }

    /// Lines of a bank that are up.
    pub(super) fn lines_of(&self, bank: usize) -> Vec<LineId> {
        self.lines.iter().filter(|(_, pipe)| pipe.up && pipe.bank == bank).map(|(id, _)| *id).collect()
    }
}
