//! `yika keys`: makes a key file, takes keys into it from components, and lists it. Components are typed without being
//! shown or read from files, two at least; what is printed of each, and of the whole, is a check value.

use super::keys::{LMK_FILE, master_key, read_secret, unhex};
use super::out::{complain, json_line};
use super::typed::Silent;
use super::{CliError, keys};
use crate::config::{ALGORITHMS, USAGES};
use clap::Subcommand;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use yika_keystore::{Algorithm, Export, KeyInfo, Keystore, Lmk, Mode, Usage};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make a key file under the master key of YIKA_LMK_FILE, or of components that are typed
    Init {
        /// The file to make
        file: PathBuf,
        /// Under the public TEST master key, which production refuses
        #[arg(long)]
        test_master_key: bool,
    },
    /// Take a key into a key file, from two or more components
    Import {
        /// The key file
        file: PathBuf,
        /// What the configuration calls the key
        name: String,
        /// mac-cmac, mac-retail, mac-unionpay, pin, kek, key-block or derivation
        #[arg(long, value_parser = usage)]
        usage: Usage,
        /// aes, tdes or des
        #[arg(long, value_parser = algorithm)]
        algorithm: Algorithm,
        /// Read components from here instead of the terminal, one a line in hex; - is standard input; may be repeated
        #[arg(long)]
        component_file: Vec<PathBuf>,
        /// The file is under the public TEST master key
        #[arg(long)]
        test_master_key: bool,
    },
    /// List a key file: names, uses and check values
    List {
        /// The key file
        file: PathBuf,
        /// One JSON array
        #[arg(long)]
        json: bool,
        /// The file is under the public TEST master key
        #[arg(long)]
        test_master_key: bool,
    },
}

fn usage(text: &str) -> Result<Usage, String> {
    one_of(text, &USAGES)
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    one_of(text, &ALGORITHMS)
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("it is none of {}", words.join(", "))
    })
}

/// A key's component, or several; wiped when dropped.
type Components = Zeroizing<Vec<Vec<u8>>>;

pub(super) fn carry_out(out: &mut impl Write, command: Keys) -> Result<(), CliError> {
    match command {
        Keys::Init { file, test_master_key } => init(out, &file, test_master_key),
        Keys::Import { file, name, usage, algorithm, component_file, test_master_key } => {
            let store = open(&file, test_master_key)?;
            let components = match component_file.is_empty() {
                true => typed(&format!("the key \"{name}\""), algorithm)?,
                false => from_files(out, &component_file, algorithm)?,
            };
            let made = store.import_components(&name, usage, algorithm, Mode::Both, Export::N, &components);
            let info = made.map_err(|e| CliError::Key(e.to_string()))?;
            Ok(writeln!(out, "{name}: {usage}, {algorithm}, check value {}", hex(&info.check_value))?)
        }
        Keys::List { file, json, test_master_key } => list(out, &open(&file, test_master_key)?, json),
    }
}

fn init(out: &mut impl Write, file: &Path, test: bool) -> Result<(), CliError> {
    let lmk = lmk(test)?;
    if lmk.is_test() && !test {
        let what = "these components make the public TEST master key, which protects nothing: draw others";
        return Err(CliError::Key(what.into()));
    }
    let store = Keystore::create(file, lmk).map_err(|e| CliError::Key(e.to_string()))?;
    let value = hex(&store.lmk_check_value());
    writeln!(out, "{} is made, under the master key with check value {value}", file.display())?;
    if !test && std::env::var_os(LMK_FILE).is_none() {
        let hint = "a start reads the same components from the file that this names, one a line";
        writeln!(out, "{LMK_FILE}: {hint}")?;
    }
    Ok(())
}

fn open(file: &Path, test: bool) -> Result<Keystore, CliError> {
    keys::open_file(file, lmk(test)?)
}

fn lmk(test: bool) -> Result<Lmk, CliError> {
    if test {
        complain("yika: TEST MASTER KEY: anybody can read what lies under it, and production refuses it");
        return Ok(Lmk::test());
    }
    if std::env::var_os(LMK_FILE).is_some() {
        return master_key();
    }
    let parts = typed("the master key", Algorithm::Aes)?;
    let mut joined = Zeroizing::new(vec![[0; 32]; parts.len()]);
    for (at, (whole, part)) in joined.iter_mut().zip(parts.iter()).enumerate() {
        let fits = <[u8; 32]>::try_from(part.as_slice());
        *whole = fits.map_err(|_| {
            CliError::Key(format!("component {} of the master key is not 64 hexadecimal digits", at + 1))
        })?;
    }
    Lmk::from_components(&joined).map_err(|e| CliError::Key(e.to_string()))
}

/// Each custodian types a component and sees its check value.
fn typed(what: &str, algorithm: Algorithm) -> Result<Components, CliError> {
    let gone = |e: std::io::Error| {
        CliError::Key(format!(
            "cannot read components of {what} from the terminal: {e} (keys come by --component-file as well, the master key by {LMK_FILE})"
        ))
    };
    let mut terminal = Silent::open().map_err(gone)?;
    let mut components = Components::default();
    loop {
        let at = components.len() + 1;
        let more = if at > 2 { ", or Enter when there is none" } else { "" };
        let line =
            terminal.ask(&format!("component {at} of {what}, in hex, not shown{more}: ")).map_err(gone)?;
        if at > 2 && line.trim_ascii().is_empty() {
            return Ok(components);
        }
        let (part, value) = component(line.trim_ascii(), at, algorithm)?;
        terminal.say(&format!("component {at}: check value {value}\n")).map_err(gone)?;
        components.push(part);
    }
}

fn from_files(out: &mut impl Write, files: &[PathBuf], algorithm: Algorithm) -> Result<Components, CliError> {
    let mut components = Components::default();
    for file in files {
        let from = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
        let text = read_secret(from)
            .map_err(|e| CliError::Key(format!("cannot read components from {}: {e}", file.display())))?;
        for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let at = components.len() + 1;
            let (part, value) = component(line, at, algorithm)?;
            writeln!(out, "component {at}: check value {value}")?;
            components.push(part);
        }
    }
    Ok(components)
}

/// Its bytes and its check value; an error says which one is wrong and never what it is.
fn component(text: &[u8], at: usize, algorithm: Algorithm) -> Result<(Vec<u8>, String), CliError> {
    // Of its full size from the start: a vector that grows leaves its old place unwiped.
    let mut part = Zeroizing::new(vec![0; text.len() / 2]);
    unhex(&mut part, text).ok_or_else(|| {
        CliError::Key(format!("component {at} is not an even number of hexadecimal digits"))
    })?;
    let value = Keystore::component_check_value(algorithm, &part)
        .map_err(|e| CliError::Key(format!("component {at}: {e}")))?;
    Ok((std::mem::take(&mut *part), hex(&value)))
}

#[derive(Serialize)]
struct Listed {
    name: String,
    usage: &'static str,
    algorithm: String,
    check_value: String,
    test: bool,
}

fn list(out: &mut impl Write, store: &Keystore, json: bool) -> Result<(), CliError> {
    let row = |info: KeyInfo| Listed {
        name: info.name,
        usage: USAGES.iter().find(|(_, usage)| *usage == info.usage).map_or("other", |(word, _)| word),
        algorithm: info.algorithm.to_string().to_lowercase(),
        check_value: hex(&info.check_value),
        test: info.test,
    };
    let listed: Vec<Listed> = store.list().into_iter().map(row).collect();
    if json {
        return json_line(out, &listed);
    }
    writeln!(out, "master key with check value {}", hex(&store.lmk_check_value()))?;
    for Listed { name, usage, algorithm, check_value, .. } in &listed {
        writeln!(out, "  {name:<24} {usage:<12} {algorithm:<5} check value {check_value}")?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
