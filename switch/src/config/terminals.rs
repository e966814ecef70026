//! The terminals that a listener knows, by F41 or its beginning; another one is refused (rule 12).

use super::doc::Table;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Half a million terminals of a line each.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Beginnings are tried one after another.
const BEGINNINGS_MAX: usize = 64;
const F41_CHARS: usize = 8;

#[derive(Default, Debug)]
pub struct Terminals {
    whole: HashSet<[u8; F41_CHARS]>,
    beginnings: Vec<Vec<u8>>,
}

impl Terminals {
    /// Whether this F41 is one of them.
    pub fn knows(&self, terminal: &[u8; F41_CHARS]) -> bool {
        self.whole.contains(terminal) || self.beginnings.iter().any(|start| terminal.starts_with(start))
    }

    /// How many are named, and how many beginnings.
    pub fn counts(&self) -> (usize, usize) {
        (self.whole.len(), self.beginnings.len())
    }

    /// # Errors
    /// What is wrong with it, in words.
    fn add(&mut self, text: &str) -> Result<(), String> {
        let (name, begins) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        let fits = (1..=F41_CHARS).contains(&name.len())
            && name.bytes().all(|c| c.is_ascii_graphic() && c != b'*' || c == b' ');
        if !fits {
            return Err(format!(
                "\"{text}\" is no F41 of 1 to 8 characters, and no beginning of one with * behind it"
            ));
        }
        if begins {
            if self.beginnings.len() == BEGINNINGS_MAX {
                return Err(format!("there can be {BEGINNINGS_MAX} beginnings (with *)"));
            }
            self.beginnings.push(name.as_bytes().to_vec());
        } else {
            let mut whole = [b' '; F41_CHARS];
            whole[..name.len()].copy_from_slice(name.as_bytes());
            self.whole.insert(whole);
        }
        Ok(())
    }
}

/// `terminals` and `terminals_file` of a listener together; None where neither stands.
pub(super) fn terminals(table: &Table<'_>, base: &Path) -> Option<Arc<Terminals>> {
    let (listed, file) = (table.texts("terminals"), table.text("terminals_file"));
    if listed.is_none() && file.is_none() {
        return None;
    }
    let mut terminals = Terminals::default();
    for (text, place) in listed.unwrap_or_default() {
        if let Err(why) = terminals.add(text) {
            table.fault(&place, why);
        }
    }
    if let Some(file) = file
        && let Err(why) = read(&base.join(file), &mut terminals)
    {
        table.fault(&table.place_of("terminals_file"), why);
    }
    if terminals.counts() == (0, 0) {
        let key = if file.is_some() { "terminals_file" } else { "terminals" };
        table.fault(&table.place_of(key), "it names no terminal: nobody could pay here");
    }
    Some(Arc::new(terminals))
}

/// One a line; what follows a # is for people.
fn read(path: &Path, into: &mut Terminals) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let len = std::fs::metadata(path).map_err(failed)?.len();
    if len > FILE_BYTES_MAX {
        return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", path.display()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    for (at, line) in text.lines().enumerate() {
        let name = line.split('#').next().unwrap_or_default().trim();
        if !name.is_empty() {
            into.add(name).map_err(|why| format!("{}, line {}: {why}", path.display(), at + 1))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_their_whole_f41_or_its_beginning() {
        let mut terminals = Terminals::default();
        for name in ["TERM0001", "T2", "GATE*"] {
            terminals.add(name).unwrap();
        }
        for (known, name) in [
            (true, b"TERM0001"),
            (true, b"T2      "),
            (true, b"GATE    "),
            (true, b"GATE9999"),
            (false, b"TERM0002"),
            (false, b"T2     X"),
            (false, b"gate0001"),
            (false, b"        "),
        ] {
            assert_eq!(terminals.knows(name), known, "{}", name.escape_ascii());
        }
        for wrong in ["", "*", "123456789", "A*B", "MÜNCHEN"] {
            assert!(terminals.add(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_of_terminals_is_read_and_its_faults_are_told_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terminals.txt");
        let read_it = || {
            let text = "[switch]\ndata_dir = \"x\"\n[[participant]]\nname = \"city\"\nrole = \"acquirer\"\n[[listener]]\n\
                        address = \"127.0.0.1:7100\"\nparticipant = \"city\"\ndialect = \"iso87-ascii\"\nterminals_file = \"terminals.txt\"\n";
            crate::config::parse("test", text, folder.path()).map_err(|e| e.to_string())
        };
        assert!(read_it().err().unwrap().contains("cannot read"));
        std::fs::write(&path, "# gates\nGATE* # all of them\n\nTERM0001\n").unwrap();
        assert_eq!(read_it().ok().unwrap().listeners[0].terminals.as_ref().unwrap().counts(), (1, 1));
        std::fs::write(&path, "GATE*\nTERM00011\n").unwrap();
        let said = read_it().err().unwrap();
        assert!(said.contains("line 2") && said.contains("TERM00011"), "{said}");
        std::fs::write(&path, "# none\n").unwrap();
        assert!(read_it().err().unwrap().contains("nobody could pay here"));
    }
}
