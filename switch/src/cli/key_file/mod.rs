//! `yika keys`: makes a key file, takes keys into it and out of it, moves them through their life, holds ceremonies and
//! reads the audit log. Secrets are typed without being shown or read from files of their owner; what is printed of a
//! key is its check value, and of a wrapped key what its receiver needs.

mod audit;
mod ceremony;
mod components;
mod life;
mod master_key;
mod show;
mod travel;

pub(super) use components::one_secret;

use super::keys::{LMK_FILE, master_key};
use super::out::complain;
use super::{CliError, keys};
use crate::config::{ALGORITHMS, USAGES};
use crate::net::wall_ms;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use yika_keystore::{
    Algorithm, Attributes, Environment, Export, KeyError, KeyInfo, Keystore, Lmk, Mode, Usage,
};

#[derive(Subcommand)]
pub(super) enum Keys {
    /// Make a key file under the master key of YIKA_LMK_FILE, of components that are typed, or of one that is drawn
    Init {
        #[command(flatten)]
        which: Which,
        /// Whose keys these will be; the two never mix
        #[arg(long, default_value = "production", value_parser = environment)]
        environment: Environment,
        /// Draw the master key and split it: 2/3 makes three shares, any two of which unlock
        #[arg(long, value_parser = master_key::of, requires = "into", conflicts_with = "test_master_key")]
        shares: Option<(u8, u8)>,
        /// The folder that the shares are written into, one file each
        #[arg(long)]
        into: Option<PathBuf>,
    },
    /// Draw a key
    Generate {
        #[command(flatten)]
        which: Which,
        /// What the configuration calls the key
        name: String,
        #[command(flatten)]
        attributes: KeyArgs,
    },
    /// Take a key in: from two or more components, or wrapped under a key-encryption key
    Import(Box<travel::ImportArgs>),
    /// Send a key out, wrapped under a key-encryption key, if its exportability allows it
    Export(travel::ExportArgs),
    /// List a key file: names, uses, states and check values
    List {
        #[command(flatten)]
        which: Which,
        /// One JSON array
        #[arg(long)]
        json: bool,
    },
    /// Everything that may be told about one key
    Show {
        #[command(flatten)]
        which: Which,
        /// Its name
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Draw a key that takes the place of another, which from then on only opens and checks what was made before
    Rotate {
        #[command(flatten)]
        which: Which,
        /// The key to be replaced
        name: String,
        /// What the new one is called
        next: String,
    },
    /// Let a key be used (again)
    Activate(life::LifeArgs),
    /// Let a key only open and check what was made before
    Retire(life::LifeArgs),
    /// Stop a key for a time
    Suspend(life::LifeArgs),
    /// Stop a key for good: others know it, or may
    Compromise(life::LifeArgs),
    /// End a key: its bytes leave the file, and nobody can bring them back
    Destroy {
        #[command(flatten)]
        life: life::LifeArgs,
        /// It is meant
        #[arg(long)]
        yes: bool,
    },
    /// Say from which day to which a key may be used
    Validity(life::ValidityArgs),
    /// The people who hold components, enter them and commit
    #[command(subcommand)]
    Custodian(ceremony::CustodianCommand),
    /// A key of what several custodians alone know, each coming by when it suits
    #[command(subcommand)]
    Ceremony(ceremony::CeremonyCommand),
    /// Split the master key into shares, or put another in its place
    #[command(subcommand)]
    MasterKey(master_key::MasterKeyCommand),
    /// The log of who did what with which key
    #[command(subcommand)]
    Audit(audit::AuditCommand),
}

/// Which key file, and under which master key.
#[derive(Args)]
pub(super) struct Which {
    /// The key file
    file: PathBuf,
    /// The file is under the public TEST master key, which production refuses
    #[arg(long)]
    test_master_key: bool,
}

/// What a key will be.
#[derive(Args)]
pub(super) struct KeyArgs {
    /// mac-cmac, mac-retail, pin, kek, key-block, ...: a wrong word gets the list
    #[arg(long, value_parser = usage)]
    usage: Usage,
    /// aes, tdes, sm4, des or hmac
    #[arg(long, value_parser = algorithm)]
    algorithm: Algorithm,
    /// both, generate, verify, encrypt or decrypt: in which direction it works
    #[arg(long, default_value = "both", value_parser = mode)]
    mode: Mode,
    /// no: it never leaves; block: in a key block; any: also as a bare cryptogram
    #[arg(long, default_value = "no", value_parser = export)]
    exportable: Export,
}

impl KeyArgs {
    fn attributes(&self) -> Attributes {
        let KeyArgs { usage, algorithm, mode, exportable: export } = *self;
        Attributes { usage, algorithm, mode, export }
    }
}

fn usage(text: &str) -> Result<Usage, String> {
    one_of(text, &USAGES)
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    one_of(text, &ALGORITHMS)
}

fn mode(text: &str) -> Result<Mode, String> {
    let words = [
        ("both", Mode::Both),
        ("generate", Mode::Generate),
        ("verify", Mode::Verify),
        ("encrypt", Mode::Encrypt),
        ("decrypt", Mode::Decrypt),
    ];
    one_of(text, &words)
}

fn export(text: &str) -> Result<Export, String> {
    one_of(text, &[("no", Export::N), ("block", Export::E), ("any", Export::S)])
}

fn environment(text: &str) -> Result<Environment, String> {
    one_of(text, &[("test", Environment::Test), ("production", Environment::Production)])
}

fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("it is none of {}", words.join(", "))
    })
}

pub(super) fn carry_out(out: &mut impl Write, command: Keys) -> Result<(), CliError> {
    match command {
        Keys::Init { which, environment, shares, into } => match (shares, into) {
            (Some(of), Some(into)) => master_key::init_drawn(out, &which, environment, of, &into),
            _ => init(out, &which, environment),
        },
        Keys::Generate { which, name, attributes } => {
            let Attributes { usage, algorithm, mode, export } = attributes.attributes();
            let made = open(&which)?.generate(&name, usage, algorithm, mode, export);
            said(out, &made.map_err(key_error)?)
        }
        Keys::Import(args) => travel::import(out, *args),
        Keys::Export(args) => travel::export(out, &args),
        Keys::List { which, json } => show::list(out, &open(&which)?, json),
        Keys::Show { which, name, json } => show::show(out, &open(&which)?, &name, json),
        Keys::Rotate { which, name, next } => {
            said(out, &open(&which)?.rotate(&name, &next).map_err(key_error)?)?;
            Ok(writeln!(
                out,
                "{name}: retiring; name {next} in the configuration where it stands, and restart"
            )?)
        }
        Keys::Activate(args) => life::set(out, &args, yika_keystore::KeyState::Active),
        Keys::Retire(args) => life::set(out, &args, yika_keystore::KeyState::Retiring),
        Keys::Suspend(args) => life::set(out, &args, yika_keystore::KeyState::Suspended),
        Keys::Compromise(args) => life::set(out, &args, yika_keystore::KeyState::Compromised),
        Keys::Destroy { life, yes } => life::destroy(out, &life, yes),
        Keys::Validity(args) => life::validity(out, &args),
        Keys::Custodian(command) => ceremony::custodian(out, command),
        Keys::Ceremony(command) => ceremony::ceremony(out, command),
        Keys::MasterKey(command) => master_key::carry_out(out, command),
        Keys::Audit(command) => audit::carry_out(out, command),
    }
}

fn init(out: &mut impl Write, which: &Which, environment: Environment) -> Result<(), CliError> {
    let lmk = lmk(which.test_master_key)?;
    if lmk.is_test() && !which.test_master_key {
        let what = "these components make the public TEST master key, which protects nothing: draw others";
        return Err(CliError::Key(what.into()));
    }
    create(out, which, lmk.in_environment(environment))?;
    if !which.test_master_key && std::env::var_os(LMK_FILE).is_none() {
        let hint = "a start reads the same components from the file that this names, one a line";
        writeln!(out, "{LMK_FILE}: {hint}")?;
    }
    Ok(())
}

fn create(out: &mut impl Write, which: &Which, lmk: Lmk) -> Result<Keystore, CliError> {
    let store = acting(Keystore::in_memory(lmk)).into_file(&which.file).map_err(key_error)?;
    let (value, file, environment) =
        (hex(&store.lmk_check_value()), which.file.display(), store.environment());
    writeln!(out, "{file} is made for {environment}, under the master key with check value {value}")?;
    if let Some(key) = store.audit_public_key() {
        writeln!(out, "its audit log is signed; keep the key that checks it elsewhere: {}", hex(&key))?;
    }
    Ok(store)
}

/// Opens a key file for someone who is known by the operating system alone.
fn open(which: &Which) -> Result<Keystore, CliError> {
    Ok(acting(keys::open_file(&which.file, lmk(which.test_master_key)?)?))
}

fn acting(store: Keystore) -> Keystore {
    store.acts(&[&format!("uid {}", rustix::process::getuid().as_raw())]);
    store.tell_time(wall_ms());
    store
}

fn lmk(test: bool) -> Result<Lmk, CliError> {
    if test {
        complain("yika: TEST MASTER KEY: anybody can read what lies under it, and production refuses it");
        return Ok(Lmk::test());
    }
    if std::env::var_os(LMK_FILE).is_some() {
        return master_key();
    }
    components::typed_master_key()
}

/// What is said of a key that was made or changed.
fn said(out: &mut impl Write, info: &KeyInfo) -> Result<(), CliError> {
    let KeyInfo { name, usage, algorithm, check_value, .. } = info;
    Ok(writeln!(out, "{name}: {usage}, {algorithm}, check value {}", hex(check_value))?)
}

fn key_error(error: KeyError) -> CliError {
    CliError::Key(error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
