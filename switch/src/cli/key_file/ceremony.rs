//! Custodians and ceremonies. Each step is one command by one person, who types a passphrase; nothing stays open between.

use super::components::{bytes_of, one_secret};
use super::{CliError, KeyArgs, Which, hex, key_error, open, said};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use yika_keystore::{Keystore, Present};

#[derive(Subcommand)]
pub(in crate::cli) enum CustodianCommand {
    /// Make a custodian known, or give one another passphrase; two others stand by, but for the first two of a file
    Add {
        #[command(flatten)]
        which: Which,
        /// The name
        name: String,
        /// Who stands by, twice
        #[arg(long)]
        by: Vec<String>,
        /// The new passphrase, then those of who stands by, each in a file of its own, in this order
        #[arg(long)]
        passphrase_file: Vec<PathBuf>,
    },
    /// The custodians of a key file
    List {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Subcommand)]
pub(in crate::cli) enum CeremonyCommand {
    /// As an officer, say what key it will be
    Begin {
        #[command(flatten)]
        step: Step,
        #[command(flatten)]
        attributes: KeyArgs,
        /// How many custodians bring a component
        #[arg(long)]
        components: u8,
    },
    /// As a custodian, enter one component; it is not shown
    Enter {
        #[command(flatten)]
        step: Step,
        /// Read the component from here, in hex, instead of the terminal
        #[arg(long)]
        component_file: Option<PathBuf>,
    },
    /// As another officer, make the key when its check value is that of the sender
    Commit {
        #[command(flatten)]
        step: Step,
        /// The check value that the sender of the components gave for the whole key
        #[arg(long)]
        check_value: String,
    },
    /// End it without a key
    Abandon {
        #[command(flatten)]
        step: Step,
    },
    /// Who entered what so far
    Status {
        #[command(flatten)]
        which: Which,
    },
}

/// One step of one person.
#[derive(Args)]
pub(in crate::cli) struct Step {
    #[command(flatten)]
    which: Which,
    /// What the key will be called
    name: String,
    /// Who you are
    #[arg(long = "as")]
    who: String,
    /// Read your passphrase from here instead of the terminal
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
}

pub(super) fn custodian(out: &mut impl Write, command: CustodianCommand) -> Result<(), CliError> {
    match command {
        CustodianCommand::Add { which, name, by, passphrase_file } => {
            let store = open(&which)?;
            let mut files = passphrase_file.iter().map(PathBuf::as_path);
            let passphrase = new_passphrase(&name, files.next())?;
            let mut present = Vec::new();
            for who in &by {
                present.push(prove(&store, who, files.next())?);
            }
            let present: Vec<&Present> = present.iter().collect();
            store.add_custodian(&name, &passphrase, &present).map_err(key_error)?;
            Ok(writeln!(out, "{name}: a custodian of {}", which.file.display())?)
        }
        CustodianCommand::List { which } => {
            for name in open(&which)?.custodians() {
                writeln!(out, "{name}")?;
            }
            Ok(())
        }
    }
}

/// Typed twice: a slip would lock its owner out.
fn new_passphrase(name: &str, file: Option<&Path>) -> Result<zeroize::Zeroizing<Vec<u8>>, CliError> {
    let first = one_secret(file, &format!("new passphrase of {name}, not shown: "))?;
    if file.is_none() && *one_secret(None, "once more: ")? != *first {
        return Err(CliError::Key("the two are not the same: nothing was changed".to_owned()));
    }
    Ok(first)
}

fn prove(store: &Keystore, who: &str, file: Option<&Path>) -> Result<Present, CliError> {
    let passphrase = one_secret(file, &format!("passphrase of {who}, not shown: "))?;
    store.present(who, &passphrase).map_err(key_error)
}

impl Step {
    fn begin(&self) -> Result<(Keystore, Present), CliError> {
        let store = open(&self.which)?;
        let present = prove(&store, &self.who, self.passphrase_file.as_deref())?;
        Ok((store, present))
    }
}

pub(super) fn ceremony(out: &mut impl Write, command: CeremonyCommand) -> Result<(), CliError> {
    match command {
        CeremonyCommand::Begin { step, attributes, components } => {
            let (store, officer) = step.begin()?;
            store
                .begin_ceremony(&step.name, attributes.attributes(), components, &officer)
                .map_err(key_error)?;
            let name = &step.name;
            Ok(writeln!(out, "{name}: begun; {components} custodians enter their components, each alone")?)
        }
        CeremonyCommand::Enter { step, component_file } => enter(out, &step, component_file.as_deref()),
        CeremonyCommand::Commit { step, check_value } => commit(out, &step, &check_value),
        CeremonyCommand::Abandon { step } => {
            let (store, who) = step.begin()?;
            store.abandon_ceremony(&step.name, &who).map_err(key_error)?;
            Ok(writeln!(out, "{}: abandoned", step.name)?)
        }
        CeremonyCommand::Status { which } => status(out, &open(&which)?),
    }
}

fn enter(out: &mut impl Write, step: &Step, file: Option<&Path>) -> Result<(), CliError> {
    let (store, custodian) = step.begin()?;
    let text = one_secret(file, &format!("your component of {}, in hex, not shown: ", step.name))?;
    let component = bytes_of(text.trim_ascii()).ok_or_else(|| {
        CliError::Key("the component is not an even number of hexadecimal digits".to_owned())
    })?;
    let value = store.enter_component(&step.name, &component, &custodian).map_err(key_error)?;
    Ok(writeln!(out, "{}: taken from {}; check value {}", step.name, step.who, hex(&value))?)
}

fn commit(out: &mut impl Write, step: &Step, check_value: &str) -> Result<(), CliError> {
    let (store, officer) = step.begin()?;
    let value = hex(&store.ceremony_check_value(&step.name).map_err(key_error)?);
    if !value.eq_ignore_ascii_case(check_value) {
        // Whoever says a wrong one does not learn the right one here: it comes from the sender of the components.
        let detail =
            format!("ceremony {:?}: the whole has another check value than the one that was said", step.name);
        store.note("refused", None, &detail).map_err(key_error)?;
        let what = format!(
            "together the components make a key with another check value than {check_value}: one was entered wrongly, or is of another \
             key, or the sender's value was misread. Nothing was made; `yika keys ceremony abandon` ends it"
        );
        return Err(CliError::Key(what));
    }
    said(out, &store.commit_ceremony(&step.name, &officer).map_err(key_error)?)
}

fn status(out: &mut impl Write, store: &Keystore) -> Result<(), CliError> {
    for ceremony in store.ceremonies() {
        let (entered, of) = (ceremony.entered.len(), ceremony.components);
        writeln!(
            out,
            "{}: {}, begun by {}, {entered} of {of} components",
            ceremony.name, ceremony.letters, ceremony.officer
        )?;
        for (who, value) in &ceremony.entered {
            writeln!(out, "  {who}: check value {value}")?;
        }
    }
    Ok(())
}
