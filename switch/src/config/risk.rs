//! What a checked configuration still has to say about its keys: which PIN keys fit, and who is believed without
//! a MAC.

use super::{Config, ListenerConfig, ParticipantConfig};
use yika_codec::{Dialect, Draft, Mti};
use yika_keystore::Algorithm;

impl Config {
    /// What this participant's PIN key must be instead, when F52 cannot hold what the key makes: an AES key makes
    /// blocks of 16 bytes (ISO 9564-1, format 4), and banks get blocks of 8 (format 0).
    pub fn pin_key_misfit(
        &self,
        participant: &ParticipantConfig,
        algorithm: Algorithm,
    ) -> Option<&'static str> {
        const TDES: &str = "a TDES key: its blocks have 8 bytes (ISO format 0)";
        let tdes = algorithm == Algorithm::Tdes;
        let mut theirs = self.listeners.iter().filter(|listener| listener.participant == participant.name);
        let too_long =
            participant.link.is_some() || theirs.any(|listener| !holds_long_blocks(&listener.dialect));
        (!tdes && too_long).then_some(TDES)
    }

    /// Who is believed without a MAC although other machines reach the address; production refuses all of these.
    pub fn unprotected(&self) -> Vec<String> {
        let mut said = Vec::new();
        let keyless =
            |name: &str| self.participants.iter().any(|one| one.name == name && one.mac_key.is_none());
        let believing =
            |listener: &&ListenerConfig| listener.gate.is_none() && keyless(&listener.participant);
        for listener in self.listeners.iter().filter(believing) {
            if !listener.address.ip().is_loopback() {
                let (address, name) = (listener.address, &listener.participant);
                said.push(format!("{address} takes payments for \"{name}\" from anybody: no mac_key"));
            }
        }
        for participant in self.participants.iter().filter(|one| one.mac_key.is_none()) {
            let hosts = participant.link.iter().flat_map(|link| &link.connect);
            for address in hosts.filter(|address| !address.ip().is_loopback()) {
                said.push(format!(
                    "answers of \"{}\" at {address} may be anybody's: no mac_key",
                    participant.name
                ));
            }
        }
        said
    }
}

fn holds_long_blocks(dialect: &Dialect) -> bool {
    let mut draft = Draft::new(Mti::new(0x0200));
    draft.set(52, &[0; 16]);
    dialect.encode(&draft, &mut Vec::new()).is_ok()
}
