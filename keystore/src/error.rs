//! What can go wrong with a key, said so that the reader knows what to do next.
//! Messages name keys, files, lines and header fields; they never hold key or PIN bytes.

use std::io;
use std::path::PathBuf;

use yika_arena::ArenaError;

use crate::attributes::{Algorithm, Mode, Usage};
use crate::info::Validity;
use crate::state::KeyState;

/// Why a key could not be made, imported, exported, opened or stored.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key of this name is in the store.
    #[error("no key named {name:?} in the keystore: generate or import it first")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// A key of this name exists; keys are never overwritten.
    #[error("a key named {name:?} exists: keys are never overwritten, choose a new name")]
    NameTaken {
        /// The name that is in use.
        name: String,
    },
    /// The name cannot label a key.
    #[error("key name {name:?} is not usable: 1 to 64 characters from A-Z a-z 0-9 . _ : / -")]
    NameInvalid {
        /// The name as given.
        name: String,
    },
    /// Use, algorithm and mode do not fit together.
    #[error("a {usage} key cannot have algorithm {algorithm} with mode {mode}: {hint}")]
    Attributes {
        /// The use asked for.
        usage: Usage,
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// The mode asked for.
        mode: Mode,
        /// What would fit.
        hint: &'static str,
    },
    /// The components do not make a key.
    #[error("the key components are refused: {reason}")]
    Components {
        /// What is wrong with them, without their values.
        reason: &'static str,
    },
    /// A key of this length is not defined for its algorithm and use.
    #[error("{bytes} bytes are no {algorithm} key: expected {expected}")]
    Length {
        /// The algorithm asked for.
        algorithm: Algorithm,
        /// The length found.
        bytes: usize,
        /// The lengths that are allowed.
        expected: &'static str,
    },
    /// The cipher refuses the key itself (weak DES part, equal halves).
    #[error("the {algorithm} key is weak (a weak DES part, or equal parts): make another one")]
    Weak {
        /// The algorithm of the key.
        algorithm: Algorithm,
    },
    /// The key may not do this; the binding of X9.143 is enforced here.
    #[error("key {name:?} may not {operation}: it is {has}, and this needs {needs}")]
    NotAllowed {
        /// The key's name, or its check value for a working key.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// What the key is.
        has: String,
        /// What would be allowed to do it.
        needs: &'static str,
    },
    /// The key is not, or no longer, in a state that allows this.
    #[error("key {name:?} is {state} and may not {operation}: {}", state_remedy(*state))]
    State {
        /// The key's name, or its check value for a working key.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// Its state.
        state: KeyState,
    },
    /// The key is in use from another day on, or no longer.
    #[error("key {name:?} may not {operation} now: it is for use {}", validity.words())]
    NotValid {
        /// The key's name.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// When it may be used.
        validity: Validity,
    },
    /// The key cannot go from its state to that one.
    #[error("key {name:?} is {from} and cannot become {to}")]
    Transition {
        /// The key's name.
        name: String,
        /// Its state.
        from: KeyState,
        /// The state asked for.
        to: KeyState,
    },
    /// A custodian, or the passphrase of one, is not accepted.
    #[error("custodian {name:?}: {reason}")]
    Custodian {
        /// The name as given.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// No ceremony of this name is under way.
    #[error("no ceremony for {name:?} is under way: begin it first, or look at the list")]
    NoCeremony {
        /// The name asked for.
        name: String,
    },
    /// The method of a MAC key cannot follow the zone's rules.
    #[error("key {name:?} for {usage} cannot work with {rule}: expected {expected}")]
    MacRule {
        /// The key's name, or its check value for a working key.
        name: String,
        /// Its use, which is its method.
        usage: Usage,
        /// The rule asked for.
        rule: String,
        /// What the method has.
        expected: String,
    },
    /// The key-encryption key is weaker than the key it should carry.
    #[error(
        "key-encryption key {kek:?} ({kek_bits} bits) is weaker than the key it should carry ({key_bits} bits)"
    )]
    KekTooWeak {
        /// The key-encryption key.
        kek: String,
        /// Its effective strength.
        kek_bits: u32,
        /// The strength of the carried key.
        key_bits: u32,
    },
    /// The unwrapped key is not what the caller announced.
    #[error(
        "the key block says {field} {found}, but {expected} was announced: ask the sender which is right"
    )]
    Mismatch {
        /// The attribute.
        field: &'static str,
        /// What the block says.
        found: String,
        /// What the caller expects.
        expected: String,
    },
    /// The check value does not belong to the key: wrong key-encryption key, or damage on the way.
    #[error(
        "check value {given} was sent, the key under {kek:?} gives {computed}: wrong key-encryption key or a damaged cryptogram"
    )]
    CheckValue {
        /// The key-encryption key used.
        kek: String,
        /// The check value as sent, hex.
        given: String,
        /// The computed one, hex, of the same length.
        computed: String,
    },
    /// A key came without a check value, and the message that brought it was not made with it.
    #[error(
        "the MAC of the message that brought a key under {kek:?} does not hold under that key: wrong key-encryption key, or damage on the way"
    )]
    NotProven {
        /// The key-encryption key used.
        kek: String,
    },
    /// A key block is malformed or was changed.
    #[error("{what}: {source}")]
    Block {
        /// Which block, and under what key.
        what: String,
        /// The precise reason.
        source: BlockError,
    },
    /// The key file belongs to another master key.
    #[error("{} belongs to the master key with check value {file}, the given one has {given}: load the right components", path.display())]
    WrongLmk {
        /// The key file.
        path: PathBuf,
        /// The check value in the file.
        file: String,
        /// The check value of the master key given.
        given: String,
    },
    /// The key file is damaged; nothing was loaded.
    #[error("{} line {line}: {reason}: {remedy}", path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Another process changed the key file since it was opened, or an earlier write failed.
    #[error("{} is not as this process left it ({reason}): open it again", path.display())]
    Stale {
        /// The key file.
        path: PathBuf,
        /// What differs.
        reason: &'static str,
    },
    /// The file or the store is full.
    #[error("the keystore is full: at most {max} keys")]
    Full {
        /// The limit.
        max: usize,
    },
    /// There is no locked memory left for another key; those that are open go on working.
    #[error(transparent)]
    Memory(#[from] ArenaError),
    /// The operating system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

fn state_remedy(state: KeyState) -> &'static str {
    match state {
        KeyState::PreActive => "activate it first",
        KeyState::Active => "open it again",
        KeyState::Retiring => "it only opens and checks what was made before; use the key that replaced it",
        KeyState::Suspended => "find out why it was stopped, then activate it",
        KeyState::Compromised | KeyState::Destroyed => "use another key",
    }
}

/// Why a key block (ANSI X9.143) is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A field of the block is not what the standard allows.
    #[error("key block field {field} at offset {offset}: expected {expected}, found {found:?}")]
    Malformed {
        /// The field, by its name in X9.143.
        field: &'static str,
        /// Its first character, counted from 0.
        offset: usize,
        /// What the standard allows there.
        expected: String,
        /// What was there (at most 16 characters; empty when the block ends before).
        found: String,
    },
    /// The MAC does not hold: changed on the way, or wrapped under another key.
    #[error("key block MAC at offset {offset} does not hold: changed, or wrapped under another key")]
    NotAuthentic {
        /// Where the MAC begins.
        offset: usize,
    },
    /// The MAC holds, but a check value in the block is not that of the key it speaks of.
    #[error(
        "key block says check value {stated} in optional block {field}, the key has {computed}: ask the sender which key was meant"
    )]
    CheckValue {
        /// `KC` (the key inside) or `KP` (the protection key).
        field: &'static str,
        /// The value in the block, hex.
        stated: String,
        /// That of the key, hex, of the same length.
        computed: String,
    },
    /// The MAC holds, but the protected length fits neither the payload nor the algorithm.
    #[error(
        "key block holds {bits} bits, which is no key of its algorithm: ask the sender for a correct block"
    )]
    KeyLength {
        /// The length field inside the encrypted part.
        bits: usize,
    },
}
