//! Terminals that get their working keys by signing in (F62 of the 0810, as UnionPay terminals have it): keys are drawn
//! and wrapped under the terminal's own master key here; the core makes them durable before the answer tells them.
//!
//! ```text
//! 24   PIN 8, check 4 | MAC 8, check 4                       single DES
//! 40   PIN 16, check 4 | MAC 8, zeros 8, check 4
//! 57   PIN 16, check 3 | MAC 16, check 3 | track 16, check 3
//! 60   the same with checks of 4
//! 84   the same with keys of 24
//! ```
//! The check value of a key is the beginning of a block of zeros under it.

use super::Driver;
use super::rim::{Keys, ListenerRim};
use crate::config::{SignInConfig, SignInLayout};
use crate::core::effect::Event;
use crate::core::entry::{KeySent, KeyUse, SignedIn};
use crate::core::facts::Facts;
use crate::core::ids::Now;
use yika_keystore::{Algorithm, KeyError, Usage};

/// One key of a layout: bytes of it, bytes that it is filled up to, bytes of its check value.
#[derive(Clone, Copy)]
struct Part {
    key: usize,
    place: usize,
    check: usize,
}

impl SignInLayout {
    /// PIN, MAC, and where there is one the key of tracks.
    fn parts(self) -> &'static [Part] {
        match self {
            SignInLayout::L24 => &[Part { key: 8, place: 8, check: 4 }, Part { key: 8, place: 8, check: 4 }],
            SignInLayout::L40 => {
                &[Part { key: 16, place: 16, check: 4 }, Part { key: 8, place: 16, check: 4 }]
            }
            SignInLayout::L57 => const { &[Part { key: 16, place: 16, check: 3 }; 3] },
            SignInLayout::L60 => const { &[Part { key: 16, place: 16, check: 4 }; 3] },
            SignInLayout::L84 => const { &[Part { key: 24, place: 24, check: 4 }; 3] },
        }
    }
}

/// Draws the keys of a terminal's sign-in.
///
/// # Errors
/// When the terminal has no master key of its own, or that may not carry keys.
pub(super) fn draw(
    keys: &Keys,
    listener: &ListenerRim,
    sign_in: &SignInConfig,
    facts: &Facts,
) -> Result<SignedIn, KeyError> {
    let name = String::from_utf8_lossy(&facts.terminal);
    let kek = format!("{}{}", sign_in.kek_prefix, name.trim_end());
    let mut fresh = SignedIn {
        acquirer: listener.participant,
        terminal: facts.terminal,
        keys: Vec::new(),
        sent: KeySent { sent_at: facts.local_at.unwrap_or(0), stan: facts.stan },
        field: Vec::new(),
    };
    for (part, what) in sign_in.layout.parts().iter().zip([Some(KeyUse::Pin), Some(KeyUse::Mac), None]) {
        let usage = match what {
            Some(KeyUse::Pin) => Usage::Pin,
            Some(KeyUse::Mac) => sign_in.mac,
            None => Usage::Data,
        };
        let algorithm = if part.key == 8 { Algorithm::Des } else { Algorithm::Tdes };
        let (block, cryptogram, check) = keys.store().new_terminal_key(&kek, usage, algorithm, part.key)?;
        fresh.field.extend_from_slice(&cryptogram);
        fresh.field.resize(fresh.field.len() + part.place - part.key, 0);
        fresh.field.extend_from_slice(&check[..part.check]);
        // Tracks pass as they come: their key is the terminal's business with whoever reads them.
        fresh.keys.extend(what.map(|usage| (usage, block.into())));
    }
    Ok(fresh)
}

impl Driver {
    /// Keys of a sign-in that is durable.
    pub(super) fn use_terminal_keys(&mut self, signed_in: &SignedIn, now: Now) {
        if let Err(error) = self.keys.signed_in(signed_in) {
            self.tell_key_refused(signed_in.acquirer, &error.to_string(), now);
        }
    }
}

/// A terminal proved itself by its newest keys for the first time.
pub(super) fn uses(listener: &ListenerRim, terminal: [u8; 8]) -> Event {
    Event::TerminalUses { acquirer: listener.participant, terminal }
}
