//! Wall time as messages carry it: F7, F12 and F13 from seconds since 1970.
//! Pure arithmetic; the one place that reads the clock is `now_s`. Never used to measure how long something took.

use std::time::{SystemTime, UNIX_EPOCH};
pub(crate) use yika_codec::digits;

/// F12 and F13 are local to the terminal; our terminals stand in China.
const LOCAL_OFFSET_S: u32 = 8 * 3600;

/// The time fields of one message, in ASCII digits.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    /// MMDDhhmmss in the zone of the dialect.
    pub(crate) f7: [u8; 10],
    /// hhmmss, local.
    pub(crate) f12: [u8; 6],
    /// MMDD, local.
    pub(crate) f13: [u8; 4],
}

impl Stamp {
    /// The fields of a message made `unix_s` seconds after 1970; F7 is `f7_offset_minutes` ahead of UTC.
    pub(crate) fn new(unix_s: u32, f7_offset_minutes: i16) -> Stamp {
        let offset_s = i32::from(f7_offset_minutes) * 60;
        let f7 = month_to_second(unix_s.saturating_add_signed(offset_s));
        let local = month_to_second(unix_s.saturating_add(LOCAL_OFFSET_S));
        let [m0, m1, d0, d1, h0, h1, i0, i1, s0, s1] = local;
        Stamp { f7, f12: [h0, h1, i0, i1, s0, s1], f13: [m0, m1, d0, d1] }
    }
}

/// Seconds since 1970. A clock before that year reads as 1970.
pub(crate) fn now_s() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

fn month_to_second(unix_s: u32) -> [u8; 10] {
    let (day, second) = (unix_s / 86_400, unix_s % 86_400);
    let (month, day) = month_and_day(day);
    let number = month * 100_000_000
        + day * 1_000_000
        + u64::from(second / 3600 * 10_000 + second / 60 % 60 * 100 + second % 60);
    digits(number)
}

/// Month and day of a day counted from 1 January 1970. Years are counted from March, so that the leap day is
/// the last of its year; 153 days are five months of 31, 30, 31, 30, 31 days.
fn month_and_day(days: u32) -> (u64, u64) {
    // 719,468 days lie between 1 March of the year 0 and 1 January 1970; 146,097 days are 400 years.
    let day_of_era = (u64::from(days) + 719_468) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    (if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_known_moments() {
        // 29 February 2024, 23:59:58 UTC is the next month in China.
        let stamp = Stamp::new(1_709_251_198, 0);
        assert_eq!(&stamp.f7, b"0229235958");
        assert_eq!((&stamp.f13, &stamp.f12), (b"0301", b"075958"));
        assert_eq!(&Stamp::new(1_709_251_198, 480).f7, b"0301075958");
        assert_eq!(&Stamp::new(0, 0).f7, b"0101000000");
        assert_eq!(&Stamp::new(4_102_444_799, 0).f7, b"1231235959");
    }

    #[test]
    fn each_day_of_four_years_follows_the_last() {
        let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (mut month, mut day) = (1, 1);
        for offset in 0..366 {
            // 2024 began 19,723 days after 1970.
            assert_eq!(month_and_day(19_723 + offset), (month, day));
            day += 1;
            if day > lengths[month as usize - 1] {
                (month, day) = (month + 1, 1);
            }
        }
    }
}
