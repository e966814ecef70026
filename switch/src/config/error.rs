//! What is wrong with a configuration: every fault of one run, each with file, line, column, the line
//! itself with a caret, the rule, and the nearest thing that would have been right.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration to run on.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}", Listed { origin, errors, not_shown: *not_shown })]
    Wrong { origin: String, errors: Vec<ConfigError>, not_shown: usize },
}

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    pub origin: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Characters that the caret marks.
    pub width: usize,
    /// The line as written.
    pub text: String,
    /// The key, with the tables it stands in.
    pub key: String,
    /// The rule that is broken.
    pub rule: String,
    pub did_you_mean: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { origin, line, column, width, text, key, rule, did_you_mean } = self;
        write!(f, "{origin}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(rule)?;
        if let Some(nearest) = did_you_mean {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        let gutter = line.to_string().len();
        // Tabs stay tabs, so that the caret stands under what it marks.
        let lead: String =
            text.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let caret = "^".repeat((*width).max(1));
        write!(f, "\n{line} | {text}\n{:gutter$} | {lead}{caret}", "")
    }
}

struct Listed<'e> {
    origin: &'e str,
    errors: &'e [ConfigError],
    not_shown: usize,
}

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in self.errors {
            writeln!(f, "{error}")?;
        }
        if self.not_shown > 0 {
            writeln!(f, "{}: {} more errors are not shown", self.origin, self.not_shown)?;
        }
        let count = self.errors.len() + self.not_shown;
        write!(f, "{}: {count} error{}", self.origin, if count == 1 { "" } else { "s" })
    }
}
