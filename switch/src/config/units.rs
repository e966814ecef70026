//! Quantities as an operator writes them: durations, sizes, offsets from UTC, times of day. Each is read
//! by one function and written back by another, so that `yika check` shows what was understood.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 6] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// What a duration looks like, for error messages.
pub(super) const DURATION_RULE: &str =
    "a duration: a whole number and us, ms, s, min, h or d, such as \"250ms\"";
/// What a size looks like.
pub(super) const SIZE_RULE: &str = "a size: a whole number and B, KiB, MiB or GiB, such as \"64MiB\"";

/// `250ms`, `3s`, `10min`, `180d`; None for anything else, or more than an operator can mean.
pub fn parse_duration(text: &str) -> Option<Duration> {
    scaled(text, &DURATION_UNITS).map(Duration::from_micros)
}

/// `256KiB`, `64MiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    scaled(text, &SIZE_UNITS)
}

/// In the largest unit that leaves no fraction.
pub fn show_duration(duration: Duration) -> String {
    shown(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), &DURATION_UNITS, "s")
}

/// In the largest unit that leaves no fraction.
pub fn show_size(bytes: u64) -> String {
    shown(bytes, &SIZE_UNITS, "B")
}

/// Minutes ahead of UTC of `+08:00`, `-03:30` or `utc`.
pub fn parse_zone(text: &str) -> Option<i32> {
    if text == "utc" {
        return Some(0);
    }
    let (sign, rest) = text.split_at_checked(1)?;
    let minutes = i32::try_from(clock(rest)?).ok()?;
    // Zones of the world lie between -12:00 and +14:00.
    match sign {
        "+" if minutes <= 14 * 60 => Some(minutes),
        "-" if minutes <= 12 * 60 => Some(-minutes),
        _ => None,
    }
}

pub fn show_zone(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{}", show_clock(minutes.unsigned_abs()))
}

/// Minutes after midnight of `23:00`.
pub fn parse_clock(text: &str) -> Option<u32> {
    clock(text)
}

pub fn show_clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn clock(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = units.iter().find(|row| row.0 == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn shown(value: u64, units: &[(&str, u64)], of_zero: &str) -> String {
    if value == 0 {
        return format!("0{of_zero}");
    }
    let fitting = units.iter().rev().find(|row| value.is_multiple_of(row.1));
    let (unit, scale) = fitting.copied().unwrap_or(units[0]);
    format!("{}{unit}", value / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["0s", "1us", "250ms", "3s", "90s", "10min", "25h", "180d"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["0B", "100B", "256KiB", "64MiB", "3GiB"] {
            assert_eq!(show_size(parse_size(text).unwrap()), text);
        }
        for text in ["+08:00", "-03:30", "+00:00", "+14:00", "-12:00"] {
            assert_eq!(show_zone(parse_zone(text).unwrap()), text);
        }
        assert_eq!(parse_clock("23:00").map(show_clock).as_deref(), Some("23:00"));
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        for text in ["", "3", "s", "3 seconds", "-1s", "1.5s", "3S", "99999999999999999d", "３s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["64", "64MB", "64mib", "99999999999GiB", "MiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        for text in ["08:00", "+8:00", "+15:00", "-13:00", "+08:60", "é08:00", "+08:0é"] {
            assert_eq!(parse_zone(text), None, "{text}");
        }
        for text in ["24:00", "23:60", "2300", "1:00", "+1:00"] {
            assert_eq!(parse_clock(text), None, "{text}");
        }
    }
}
