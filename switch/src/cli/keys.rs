//! Opens the keys that a configuration names: test keys in memory under the test master key, or a key file
//! whose master key comes in components from a file that only custodians can read. Production never runs on the
//! TEST master key, wherever it came from. Components are wiped as soon as they are joined, and never shown.

use super::{CliError, unlock};
use crate::config::{Config, Environment, Unlock};
use crate::net::wall_ms;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use yika_keystore::{Export, Keystore, Lmk, Share};
use zeroize::Zeroizing;

/// Names the file with the master key's components, one per line, 64 hexadecimal digits each.
pub(super) const LMK_FILE: &str = "YIKA_LMK_FILE";
/// Some sixty components with their comments; a longer file is another one.
const LMK_FILE_BYTES_MAX: usize = 4096;

pub(super) fn open(config: &Config) -> Result<Keystore, CliError> {
    let store = match &config.key_file {
        Some(path) => open_file(path, master_key()?)?,
        None => Keystore::in_memory(Lmk::test()),
    };
    fit(config, store)
}

/// As `open`, for the switch itself, which may have to wait for its custodians.
pub(super) fn open_to_serve(config: &Config) -> Result<Keystore, CliError> {
    match &config.key_file {
        Some(path) if config.unlock == Unlock::Custodians => fit(config, unlock::wait(config, path)?),
        _ => open(config),
    }
}

/// Refuses keys that are not for this configuration, and adds its test keys.
fn fit(config: &Config, store: Keystore) -> Result<Keystore, CliError> {
    if let Some(path) = &config.key_file {
        check_world(config.environment, path, &store)?;
    }
    if store.is_test() && config.environment == Environment::Production {
        let what = format!(
            "the master key is the public TEST master key, which protects nothing, and environment is \"production\": let each \
             custodian draw a component (`openssl rand -hex 32`), name the file with them in {LMK_FILE}, and make a key_file \
             under that master key (`yika keys init FILE`); or set environment = \"test\""
        );
        return Err(CliError::Key(what));
    }
    for key in &config.test_keys {
        store
            .import_components(&key.name, key.usage, key.algorithm, key.mode, Export::N, &key.components)
            .map_err(|e| CliError::Key(format!("test_key \"{}\": {e}", key.name)))?;
    }
    Ok(store)
}

/// The key file of a switch, which must belong to its world: production and test keys never mix.
fn check_world(environment: Environment, path: &Path, store: &Keystore) -> Result<(), CliError> {
    store.acts(&["yika"]);
    store.tell_time(wall_ms());
    let wanted = match environment {
        Environment::Production => yika_keystore::Environment::Production,
        Environment::Test => yika_keystore::Environment::Test,
    };
    // The TEST master key has a message of its own, and a file of version 1 does not say whose it is.
    let says = store.audit_head().is_some() && !store.is_test();
    if says && store.environment() != wanted {
        let what = format!(
            "the keys of {} are for {}, and environment is \"{wanted}\": the two never mix; name another key_file, or make one by \
             `yika keys init FILE --environment {wanted}`",
            path.display(),
            store.environment()
        );
        return Err(CliError::Key(what));
    }
    Ok(())
}

/// # Errors
/// Why it cannot be opened, and how one is made where there is none.
pub(super) fn open_file(path: &Path, lmk: Lmk) -> Result<Keystore, CliError> {
    check_owner(path)?;
    Keystore::open(path, lmk).map_err(|error| {
        let missing = if path.exists() { "" } else { " (`yika keys init FILE` makes a key file)" };
        CliError::Key(format!("{error}{missing}"))
    })
}

/// As `open`, when the environment has all that is needed for it; None when the master key is not at hand.
pub(super) fn open_if_at_hand(config: &Config) -> Result<Option<Keystore>, CliError> {
    let at_hand = config.key_file.is_none() || std::env::var_os(LMK_FILE).is_some();
    at_hand.then(|| open(config)).transpose()
}

/// What is in a key file is sealed, but whoever may write it may take keys away.
pub(super) fn check_owner(path: &Path) -> Result<(), CliError> {
    match std::fs::metadata(path) {
        Ok(held) => refuse_others(&held, path, 0o022, "change")
            .map_err(|e| CliError::Key(format!("the key file {}: {e}", path.display()))),
        // Opening it says why.
        Err(_) => Ok(()),
    }
}

/// For a journal without a configuration: the master key of the environment, else the test master key.
pub(super) fn open_plain() -> Result<Keystore, CliError> {
    let lmk = if std::env::var_os(LMK_FILE).is_some() { master_key()? } else { Lmk::test() };
    Ok(Keystore::in_memory(lmk))
}

pub(super) fn master_key() -> Result<Lmk, CliError> {
    let Some(path) = std::env::var_os(LMK_FILE) else {
        let what = format!(
            "the master key is missing: set {LMK_FILE} to a file with its components, one of 64 hexadecimal digits per line, or with its shares"
        );
        return Err(CliError::Key(what));
    };
    master_key_of(Path::new(&path))
}

/// The master key of a file of components, or of shares.
pub(super) fn master_key_of(path: &Path) -> Result<Lmk, CliError> {
    let text = read_secret(path).map_err(|e| {
        CliError::Key(format!("cannot read the master key's components from {}: {e}", path.display()))
    })?;
    joined(&text).map_err(|what| CliError::Key(format!("{}: {what}", path.display())))
}

fn joined(text: &[u8]) -> Result<Lmk, String> {
    if !text.trim_ascii_start().starts_with(b"yika-share-") {
        return Lmk::from_components(&Components::parse(text)?.0).map_err(|e| e.to_string());
    }
    let mut shares = Vec::new();
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let at = shares.len() + 1;
        shares.push(Share::parse(line).map_err(|e| format!("share {at}: {e}"))?);
    }
    Lmk::from_shares(&shares).map_err(|e| e.to_string())
}

/// Reads into one buffer that never moves, so that wiping it leaves no copy behind.
pub(super) fn read_secret(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(vec![0; LMK_FILE_BYTES_MAX]);
    let mut file = std::fs::File::open(path)?;
    refuse_others(&file.metadata()?, path, 0o077, "read or change")?;
    let mut filled = 0;
    while filled < text.len() {
        match file.read(&mut text[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    if filled == LMK_FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {LMK_FILE_BYTES_MAX} bytes")));
    }
    text.truncate(filled);
    Ok(text)
}

/// Refuses a file that others than its owner may use in this way. A terminal or a pipe is nobody else's.
fn refuse_others(held: &Metadata, path: &Path, bits: u32, verb: &str) -> std::io::Result<()> {
    let mode = held.permissions().mode() & 0o7777;
    if !held.is_file() || mode & bits == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(std::io::Error::other(format!(
        "others than its owner may {verb} it (mode {mode:04o}): run `chmod 600 {path}`, and find out who did"
    )))
}

/// The custodians' components; wiped when dropped.
struct Components(Zeroizing<Vec<[u8; 32]>>);

impl Components {
    /// One component a line; empty lines are passed over. Errors say which one is wrong and never what it is.
    fn parse(text: &[u8]) -> Result<Components, String> {
        let lines =
            || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        // Of its full size from the start: a vector that grows leaves its old place unwiped.
        let mut components = Zeroizing::new(vec![[0; 32]; lines().count()]);
        for (at, (line, component)) in lines().zip(components.iter_mut()).enumerate() {
            unhex(component, line)
                .ok_or_else(|| format!("component {} is not 64 hexadecimal digits", at + 1))?;
        }
        Ok(Components(components))
    }
}

/// Fills `bytes` from hexadecimal digits; None unless there are exactly two for each.
pub(super) fn unhex(bytes: &mut [u8], text: &[u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::marker::PhantomData;

    const ONE: &str = "00112233445566778899aAbBcCdDeEfF00112233445566778899AABBCCDDEEFF";

    #[test]
    fn components_are_read_from_lines_and_a_wrong_one_is_named_by_its_place_alone() {
        let both = Components::parse(format!("{ONE}\r\n\n  {ONE} ").as_bytes()).unwrap();
        assert_eq!(both.0.len(), 2);
        assert_eq!((both.0[0], both.0[0][0], both.0[0][10]), (both.0[1], 0x00, 0xAA));
        for wrong in [&ONE[1..], &ONE.replace('2', "g"), &format!("{ONE}0"), "+f", &ONE.replace("00", "é")] {
            let what = Components::parse(format!("{ONE}\n{wrong}").as_bytes()).err().unwrap();
            assert_eq!(what, "component 2 is not 64 hexadecimal digits");
        }
    }

    #[test]
    fn a_file_that_is_no_list_of_components_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'0'; LMK_FILE_BYTES_MAX]).unwrap();
        assert!(read_secret(file.path()).unwrap_err().to_string().contains("longer than 4096 bytes"));
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_and_how_to_mend_it_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ONE).unwrap();
        assert!(read_secret(file.path()).is_ok());
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let why = read_secret(file.path()).unwrap_err().to_string();
            assert!(why.contains("chmod 600") && why.contains(&format!("{mode:04o}")), "{why}");
        }
    }

    #[test]
    fn a_key_file_that_others_may_write_is_refused_and_one_that_they_may_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        drop(Keystore::create(&path, Lmk::test()).unwrap());
        for (mode, fits) in [(0o600, true), (0o644, true), (0o664, false), (0o606, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(open_file(&path, Lmk::test()).is_ok(), fits, "{mode:o}");
        }
    }

    struct Shown<T>(PhantomData<T>);

    trait NotShown {
        const HAS_DEBUG: bool = false;
    }

    impl<T> NotShown for Shown<T> {}

    impl<T: Debug> Shown<T> {
        const HAS_DEBUG: bool = true;
    }

    /// That they are wiped is in their type: `Zeroizing` does so when it is dropped.
    #[test]
    fn components_are_wiped_and_cannot_be_printed() {
        let Components(wiped) = Components::parse(ONE.as_bytes()).unwrap();
        let _: Zeroizing<Vec<[u8; 32]>> = wiped;
        let debug = [<Shown<Components>>::HAS_DEBUG, <Shown<Lmk>>::HAS_DEBUG, <Shown<String>>::HAS_DEBUG];
        assert_eq!(debug, [false, false, true], "the last shows that this can fail");
    }
}
