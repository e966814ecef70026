//! Those beside terminals and books: operators and banks that insist on what they want, because a crash may take a
//! command before it is durable; and an outsider who asks for what cannot be had.

use super::world::World;
use crate::wire::{Wire, purchase};
use yika_codec::Mti;
use yika_switch::core::clock::month_to_second;
use yika_switch::core::ids::LineId;

/// A ticket; nobody waits for what becomes of it.
const TICKET: u64 = 1;
/// The switch's zone, minutes.
const ZONE: i32 = 480;
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
                self.bank_tells(at, if self.banks[at].signed_off { "002" } else { "001" });
            }
        }
    }

    /// A bank sends a network message with this F70 on the first of its lines that is up.
    pub(super) fn bank_tells(&mut self, at: usize, code: &str) {
        let own = |pipe: &super::world::Pipe| pipe.up && pipe.bank == at;
        let line = self.lines.iter().find(|(_, pipe)| own(pipe)).map(|(line, pipe)| (*line, pipe.epoch));
        let Some((line, epoch)) = line else { return };
        let wire = Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, code);
        let bytes = wire.encode_under(self.setting.mac.as_ref(), &self.banks[at].dialect, &[]);
        self.bank_says(line, epoch, bytes);
    }

    /// Requests that are declined on the spot, or by a bank that knows nothing of what they name.
    pub(super) fn outsider_asks(&mut self, connection: usize) {
        // Of the first crew, which speaks iso87-ascii.
        let at = connection % self.setting.connections() as usize;
        let listener = &self.setting.config.listeners[self.terminals[at].crew];
        let zone = listener.dialect.f7_offset_minutes();
        let sent = month_to_second(self.now.wall_ms, i32::from(zone));
        let local = format!("{:010}", month_to_second(self.now.wall_ms, ZONE));
        let asked = |n: u64| {
            purchase(100 + n)
                .with(7, format!("{sent:010}"))
                .with(11, format!("{:06}", self.now.mono_us / 1000 % 99_999 * 10 + n))
                .with(12, &local[4..])
                .with(13, &local[..4])
                .with(37, format!("{:012}", self.now.mono_us + n))
                .with(41, "OUTSIDER")
        };
        let refund = Wire { mti: Mti::new(0x0220), ..asked(4) };
        let wires = [
            asked(1).with(2, "9999990000000000"),
            asked(2).with(4, "000000000000"),
            asked(3).with(49, "840"),
            refund.with(3, "200000"),
            asked(5).with(3, "010000").with(2, "6222000000000015"),
        ];
        let (mac, dialect) = (self.setting.mac.as_ref(), &listener.dialect);
        let frames = wires.iter().flat_map(|wire| wire.encode_under(mac, dialect, dialect.default_header()));
        let bytes: Vec<u8> = frames.collect();
        self.send_from(at, bytes);
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
