//! The files of the workspace as text, and what a rule says about one of them.
//!
//! Reads every file that is text; skips what builds leave behind. Needs no git, so that the rules also hold
//! in an unpacked archive.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// Hidden folders that are ours; others belong to tools.
const HIDDEN_FOLDERS_OF_OURS: [&str; 2] = [".cargo", ".ci"];

/// Paths relative to the workspace, with `/`, and their text.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

/// What a rule does not like, where, and what to do.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Tree {
    pub(crate) fn of_workspace() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut files = BTreeMap::new();
        read_folder(root, "", &mut files);
        Tree { files }
    }

    /// A tree made up by a test.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The text of a file; empty when there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether a file or a folder with files stands at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

fn read_folder(folder: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            let foreign = name.starts_with('.') && !HIDDEN_FOLDERS_OF_OURS.contains(&name.as_str());
            let built = prefix.is_empty() && (name == "target" || name.starts_with("target-"));
            if !foreign && !built && name != "__pycache__" {
                read_folder(&entry.path(), &format!("{path}/"), into);
            }
        } else if kind.is_file()
            && name != ".git"
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            into.insert(path, text);
        }
    }
}

#[test]
fn a_tree_knows_its_files_and_folders() {
    let tree = Tree::of(&[("codec/src/lib.rs", "//! Bytes.\n"), ("README.md", "Yika\n")]);
    assert!(tree.has("codec/src/lib.rs") && tree.has("codec/src") && tree.has("codec/"));
    assert!(!tree.has("codec/sr") && !tree.has("switch"));
    assert_eq!(tree.rust_files().count(), 1);
    assert_eq!((tree.text("README.md"), tree.text("LICENSE")), ("Yika\n", ""));
}
