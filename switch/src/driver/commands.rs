//! What operators ask for, on its way to the core: names become ids here, and what nobody has is refused at once.

use super::Driver;
use crate::core::effect::{Event, TerminalName};
use crate::core::entry::KeyUse;
use crate::core::ids::{ObligationId, ParticipantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A terminal as an operator names it; `merchant` is empty where its sign-on said no F42.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terminal {
    pub acquirer: String,
    pub terminal: String,
    pub merchant: String,
}

impl Driver {
    /// Takes no new session and no new transaction from now on.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Nothing in flight, no copy waits for its cold read, and everything decided is durable and sent on.
    pub fn is_drained(&self) -> bool {
        self.core.durable.open.is_empty()
            && !self.core.waits_for_reads()
            && !self.has_work()
            && self.journal.is_idle()
    }

    pub fn settle(&mut self, id: ObligationId, reason: String, ticket: u64) {
        self.answers.push_back(Event::Settle { id, reason, ticket });
    }

    pub fn cut_over(&mut self, ticket: u64) {
        self.answers.push_back(Event::CutOver { ticket });
    }

    /// Nothing new goes to a participant, or does again.
    ///
    /// # Errors
    /// Nobody of this name, or one that we do not connect to.
    pub fn drain_participant(&mut self, name: &str, on: bool, ticket: u64) -> Result<(), String> {
        let participant = self.with_line_named(name)?;
        self.answers.push_back(Event::Drain { participant, on, ticket });
        Ok(())
    }

    fn with_line_named(&self, name: &str) -> Result<ParticipantId, String> {
        let line = self.rim.lines.iter().find(|line| line.name == name);
        line.map(|line| line.participant).ok_or_else(|| {
            let known: BTreeSet<&str> = self.rim.lines.iter().map(|line| line.name.as_str()).collect();
            let known = Vec::from_iter(known).join(", ");
            format!("\"{name}\" is no participant that the switch connects to; those are {known}")
        })
    }

    /// Offers a participant a new working key, in place of the one in use.
    ///
    /// # Errors
    /// Nobody of this name, or one without a line, a key-encryption key, or a key of this use.
    pub fn change_key(&mut self, name: &str, usage: KeyUse, ticket: u64) -> Result<(), String> {
        let participant = self.with_line_named(name)?;
        self.draw_key(participant, usage, Some(ticket)).map_err(|why| format!("{name}: {why}"))
    }

    /// A terminal is signed off by an operator, or all are.
    ///
    /// # Errors
    /// No participant has this name.
    pub fn sign_off(&mut self, whom: Option<&Terminal>, ticket: u64) -> Result<(), String> {
        let name = |whom: &Terminal| {
            let known = self.core.durable.participant_by_name(&whom.acquirer);
            let acquirer = known.ok_or_else(|| format!("\"{}\" is no participant", whom.acquirer))?;
            Ok::<_, String>(TerminalName {
                acquirer,
                terminal: padded(&whom.terminal),
                merchant: padded(&whom.merchant),
            })
        };
        let whom = whom.map(name).transpose()?;
        self.answers.push_back(Event::SignOff { whom, ticket });
        Ok(())
    }
}

/// As F41 and F42 are kept: space padded; what is longer is cut.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    bytes
}
