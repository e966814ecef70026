//! What an entry says, in order: one value, two forms. As text each value stands behind its name on one line, to be
//! found with grep; as JSON the same names hold the same values.

use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt::Write;

/// A value of an entry.
#[derive(Clone)]
pub(super) enum Told {
    Number(u64),
    Text(String),
    Flag(bool),
    List(Vec<Told>),
    Group(Group),
}

/// Names and values, in the order in which they are told.
#[derive(Clone, Default)]
pub(super) struct Group(Vec<(&'static str, Told)>);

impl Group {
    pub(super) fn number(mut self, name: &'static str, value: impl Into<u64>) -> Group {
        self.0.push((name, Told::Number(value.into())));
        self
    }

    pub(super) fn text(mut self, name: &'static str, value: impl ToString) -> Group {
        self.0.push((name, Told::Text(value.to_string())));
        self
    }

    pub(super) fn flag(mut self, name: &'static str, value: bool) -> Group {
        self.0.push((name, Told::Flag(value)));
        self
    }

    pub(super) fn list(mut self, name: &'static str, values: impl Iterator<Item = Told>) -> Group {
        self.0.push((name, Told::List(values.collect())));
        self
    }

    pub(super) fn group(mut self, name: &'static str, value: Group) -> Group {
        self.0.push((name, Told::Group(value)));
        self
    }

    pub(super) fn and(mut self, other: Group) -> Group {
        self.0.extend(other.0);
        self
    }

    /// ` name=value name=value`: a list of groups is told as `name.0.inner=value`, other lists as `name=1,2`, an empty
    /// one not at all.
    pub(super) fn line(&self) -> String {
        let mut line = String::new();
        self.write("", &mut line);
        line
    }

    fn write(&self, before: &str, line: &mut String) {
        for (name, value) in &self.0 {
            write_value(&format!("{before}{name}"), value, line);
        }
    }
}

fn write_value(name: &str, value: &Told, line: &mut String) {
    match value {
        Told::Group(group) => group.write(&format!("{name}."), line),
        Told::List(values) if values.is_empty() => {}
        Told::List(values) if values.iter().any(|value| matches!(value, Told::Group(_))) => {
            for (at, value) in values.iter().enumerate() {
                write_value(&format!("{name}.{at}"), value, line);
            }
        }
        Told::List(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            // Writing to a String cannot fail, here and below.
            let _ = write!(line, " {name}={}", values.join(","));
        }
        single => {
            let _ = write!(line, " {name}={}", plain(single));
        }
    }
}

/// A value without blanks as it is, any other as a JSON string: an entry stays on its line whatever it holds.
fn plain(value: &Told) -> String {
    match value {
        Told::Number(number) => number.to_string(),
        Told::Flag(flag) => flag.to_string(),
        Told::Text(text) => {
            let simple = |c: char| c.is_ascii_alphanumeric() || "-_.:*+/".contains(c);
            if !text.is_empty() && text.chars().all(simple) {
                text.clone()
            } else {
                serde_json::Value::from(text.as_str()).to_string()
            }
        }
        Told::List(_) | Told::Group(_) => String::new(),
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Told::Number(number) => to.serialize_u64(*number),
            Told::Text(text) => to.serialize_str(text),
            Told::Flag(flag) => to.serialize_bool(*flag),
            Told::List(values) => to.collect_seq(values),
            Told::Group(group) => group.serialize(to),
        }
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_on_one_line_and_says_the_same_in_both_forms() {
        let leg = |stan: u64| Told::Group(Group::default().number("stan", stan));
        let told = Group::default()
            .number("tx", 7_u64)
            .text("reason", "two\nlines, \"quoted\"")
            .text("card", "411111******1111")
            .text("none", "")
            .list("legs", [leg(1), leg(2)].into_iter())
            .list("custody", [3, 4].map(Told::Number).into_iter())
            .list("empty", std::iter::empty())
            .group("next", Group::default().flag("off", true));
        assert_eq!(
            told.line(),
            " tx=7 reason=\"two\\nlines, \\\"quoted\\\"\" card=411111******1111 none=\"\" legs.0.stan=1 legs.1.stan=2 \
             custody=3,4 next.off=true"
        );
        assert_eq!(
            serde_json::to_string(&told).unwrap(),
            r#"{"tx":7,"reason":"two\nlines, \"quoted\"","card":"411111******1111","none":"","legs":[{"stan":1},{"stan":2}],"custody":[3,4],"empty":[],"next":{"off":true}}"#
        );
    }
}
