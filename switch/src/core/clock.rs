//! Calendar arithmetic on wall milliseconds: F7 as each participant wants it, business dates, and the
//! moment a message without a year was made. Pure; the proleptic Gregorian calendar.

use super::ids::BusinessDate;

pub const DAY_MS: u64 = 86_400_000;

/// A moment split in a zone `offset_minutes` from UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    pub year: u32,
    pub month: u32,
    pub day: u32,
    /// Milliseconds since local midnight.
    pub day_ms: u64,
}

pub fn local(wall_ms: u64, offset_minutes: i32) -> Local {
    let shifted = wall_ms.saturating_add_signed(i64::from(offset_minutes) * 60_000);
    let (year, month, day) = civil(shifted / DAY_MS);
    Local { year, month, day, day_ms: shifted % DAY_MS }
}

/// F7 (or F13 with F12) as the number MMDDhhmmss.
pub fn month_to_second(wall_ms: u64, offset_minutes: i32) -> u32 {
    let at = local(wall_ms, offset_minutes);
    let seconds = (at.day_ms / 1000) as u32;
    let clock = seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60;
    (at.month * 100 + at.day) * 1_000_000 + clock
}

/// The moment of MMDDhhmmss whose year puts it nearest to `wall_ms` (rule 16); None when it is no date.
pub fn nearest_moment(stamp: u32, offset_minutes: i32, wall_ms: u64) -> Option<u64> {
    let (date, clock) = (stamp / 1_000_000, stamp % 1_000_000);
    let (month, day) = (date / 100, date % 100);
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let this_year = local(wall_ms, offset_minutes).year;
    let in_day = u64::from((hour * 60 + minute) * 60 + second) * 1000;
    let moment = |year: u32| {
        let days = days_from_civil(year, month, day)?;
        (days * DAY_MS + in_day).checked_add_signed(-i64::from(offset_minutes) * 60_000)
    };
    // The moment of this year is the nearest when it lies within less than half a year.
    if let Some(near) = moment(this_year).filter(|at| at.abs_diff(wall_ms) < 180 * DAY_MS) {
        return Some(near);
    }
    let years = [this_year.checked_sub(1)?, this_year, this_year + 1];
    years.into_iter().filter_map(moment).min_by_key(|at| at.abs_diff(wall_ms))
}

/// A moment in UTC with milliseconds (RFC 3339).
pub fn rfc3339(wall_ms: u64) -> String {
    let at = local(wall_ms, 0);
    let (second, ms) = (at.day_ms / 1000, at.day_ms % 1000);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        at.year,
        at.month,
        at.day,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

pub fn business_date(wall_ms: u64, offset_minutes: i32) -> BusinessDate {
    let at = local(wall_ms, offset_minutes);
    BusinessDate(at.year * 10_000 + at.month * 100 + at.day)
}

/// When a date begins in UTC; None for a day that its month does not have.
pub fn date_begins_ms(date: BusinessDate) -> Option<u64> {
    days_from_civil(date.0 / 10_000, date.0 / 100 % 100, date.0 % 100).map(|days| days * DAY_MS)
}

/// The day after.
pub fn next_date(date: BusinessDate) -> BusinessDate {
    let (year, month, day) = (date.0 / 10_000, date.0 / 100 % 100, date.0 % 100);
    match days_from_civil(year, month, day) {
        Some(days) => {
            let (year, month, day) = civil(days + 1);
            BusinessDate(year * 10_000 + month * 100 + day)
        }
        None => date,
    }
}

/// Days since 1970-01-01 to a date: 400-year eras of 146,097 days, counted from 1 March 0000 so that the leap
/// day ends a year.
fn civil(days: u64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

fn days_from_civil(year: u32, month: u32, day: u32) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
        return None;
    }
    let from_march = u64::from((month + 9) % 12);
    let year = u64::from(year) - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * from_march + 2) / 5 + u64::from(day) - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

fn month_days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-11-23 23:30:15.250 UTC
    const NOW: u64 = 1_795_476_615_250;

    #[test]
    fn moments_are_told_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
    }

    #[test]
    fn splits_a_moment_in_any_zone() {
        assert_eq!(month_to_second(NOW, 0), 1_123_233_015);
        assert_eq!(month_to_second(NOW, 480), 1_124_073_015);
        assert_eq!(business_date(NOW, 480), BusinessDate(20_261_124));
        assert_eq!(business_date(951_782_400_000, 0), BusinessDate(20_000_229));
    }

    #[test]
    fn the_year_is_the_nearest() {
        let back = |stamp, zone| nearest_moment(stamp, zone, NOW).map(|at| month_to_second(at, zone));
        assert_eq!(nearest_moment(1_123_233_015, 0, NOW), Some(NOW - 250));
        assert_eq!(back(101_000_000, 480), Some(101_000_000));
        assert!(nearest_moment(101_000_000, 0, NOW).unwrap() > NOW);
        assert!(nearest_moment(801_000_000, 0, NOW).unwrap() < NOW);
        assert_eq!(nearest_moment(1_301_000_000, 0, NOW), None);
        assert_eq!(nearest_moment(230_000_000, 0, NOW), None);
        assert_eq!(nearest_moment(1_123_250_000, 0, NOW), None);
    }

    #[test]
    fn dates_follow_each_other() {
        assert_eq!(next_date(BusinessDate(20_261_231)), BusinessDate(20_270_101));
        assert_eq!(next_date(BusinessDate(20_280_228)), BusinessDate(20_280_229));
        let mut date = BusinessDate(20_240_101);
        for days in 0..3000u64 {
            let ms = (19_723 + days) * DAY_MS;
            assert_eq!(business_date(ms, 0), date);
            date = next_date(date);
        }
    }
}
