//! The table: rows of a figure, its budget and what stands beside it; as aligned text or as JSON.

use crate::error::BenchError;
use crate::machine::Machine;
use crate::measure::Cost;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    quick: bool,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    group: &'static str,
    what: String,
    /// The median where there were repeats.
    value: f64,
    best: Option<f64>,
    unit: &'static str,
    budget: Option<Budget>,
    missed: bool,
    /// Of one operation, as callgrind counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<f64>,
    beside: String,
}

/// A first bar of the design's budget.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Budget {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub(crate) fn new(machine: Machine, quick: bool) -> Report {
        Report { machine, quick, rows: Vec::new() }
    }

    /// The machine and its load, in a line.
    pub(crate) fn machine(&self) -> String {
        self.machine.to_string()
    }

    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {} | {}: {} {}  {}", row.group, row.what, figure(row.value), row.unit, row.beside);
        self.rows.push(row);
    }

    /// # Errors
    /// When stdout is closed.
    pub(crate) fn print(&self, json: bool) -> Result<(), BenchError> {
        use std::io::Write;
        let text = if json {
            serde_json::to_string_pretty(self).map_err(|e| BenchError::setup("the report")(&e))?
        } else {
            self.table()
        };
        writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(BenchError::io("write", "stdout"))
    }

    fn table(&self) -> String {
        let mut text = format!("{}\n", self.machine);
        if self.quick {
            text.push_str("quick: short runs, figures for a look and not for a record\n");
        }
        let widest = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                group = row.group;
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "\n{group:<widest$}  {:>11} {:>11} {:<6} {:>11}",
                    "median", "best", "", "budget"
                );
            }
            let best = row.best.map(figure).unwrap_or_default();
            let budget = row.budget.map(Budget::text).unwrap_or_default();
            let mark = if row.missed { "MISSED" } else { "" };
            let counted = row.instructions.map(|count| format!("{} instructions; ", figure(count)));
            let line = format!(
                "{:<widest$}  {:>11} {best:>11} {:<6} {budget:>11} {mark:<6}  {}{}",
                row.what,
                figure(row.value),
                row.unit,
                counted.unwrap_or_default(),
                row.beside
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

impl Row {
    pub(crate) fn new(group: &'static str, what: impl Into<String>, value: f64, unit: &'static str) -> Row {
        let what = what.into();
        Row {
            group,
            what,
            value,
            best: None,
            unit,
            budget: None,
            missed: false,
            instructions: None,
            beside: String::new(),
        }
    }

    pub(crate) fn cost(group: &'static str, what: impl Into<String>, cost: Cost) -> Row {
        Row { best: Some(cost.best_ns), ..Row::new(group, what, cost.median_ns, "ns") }
    }

    pub(crate) fn budget(mut self, budget: Budget) -> Row {
        self.budget = Some(budget);
        self.missed = !budget.holds(self.value);
        self
    }

    pub(crate) fn instructions(mut self, count: f64) -> Row {
        self.instructions = Some(count);
        self
    }

    pub(crate) fn beside(mut self, beside: impl Into<String>) -> Row {
        self.beside = beside.into();
        self
    }
}

impl Budget {
    fn holds(self, value: f64) -> bool {
        match self {
            Budget::AtMost(bar) => value <= bar,
            Budget::AtLeast(bar) => value >= bar,
        }
    }

    fn text(self) -> String {
        match self {
            Budget::AtMost(bar) => format!("<= {}", figure(bar)),
            Budget::AtLeast(bar) => format!(">= {}", figure(bar)),
        }
    }
}

/// Three digits that matter, and no more where the figure is large.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => grouped(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        0.0 => "0".into(),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_matter() {
        let texts = [1_234_567.0, 999.6, 123.4, 12.34, 1.234, 0.0].map(figure);
        assert_eq!(texts, ["1,234,567", "1000", "123", "12.3", "1.23", "0"]);
    }

    #[test]
    fn a_budget_is_missed_on_its_own_side() {
        let row = |value, budget| Row::new("g", "w", value, "ns").budget(budget).missed;
        assert!(row(2.0, Budget::AtMost(1.0)) && !row(1.0, Budget::AtMost(1.0)));
        assert!(row(0.5, Budget::AtLeast(1.0)) && !row(1.0, Budget::AtLeast(1.0)));
    }
}
