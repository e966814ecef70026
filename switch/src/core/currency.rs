//! How many digits of an amount stand behind the point (rule 16). Amounts are minor units everywhere and are never
//! converted: this is for people who read them.

use super::ids::{Currency, Money};

/// Numeric codes of the currencies that do not have two such digits, and how many they have (ISO 4217, table A.1).
const NOT_TWO: [(u16, u32); 26] = [
    (48, 3),
    (108, 0),
    (152, 0),
    (174, 0),
    (262, 0),
    (324, 0),
    (352, 0),
    (368, 3),
    (392, 0),
    (400, 3),
    (410, 0),
    (414, 3),
    (434, 3),
    (512, 3),
    (548, 0),
    (600, 0),
    (646, 0),
    (704, 0),
    (788, 3),
    (800, 0),
    (927, 4),
    (940, 0),
    (950, 0),
    (952, 0),
    (953, 0),
    (990, 4),
];

impl Currency {
    /// Digits behind the point; two where the table says nothing else.
    pub fn exponent(self) -> u32 {
        NOT_TWO.iter().find(|row| row.0 == self.0).map_or(2, |row| row.1)
    }

    /// `Money::decimal` of a sum that may be negative.
    pub fn decimal(self, minor: i64) -> String {
        let sign = if minor < 0 { "-" } else { "" };
        format!("{sign}{}", Money { minor: minor.unsigned_abs(), currency: self }.decimal())
    }
}

impl Money {
    /// As people write it, without the currency: `10.00` of 1000 yuan fen, `1000` of 1000 yen.
    pub fn decimal(self) -> String {
        match self.currency.exponent() {
            0 => self.minor.to_string(),
            digits => {
                let one = 10u64.pow(digits);
                format!("{}.{:0width$}", self.minor / one, self.minor % one, width = digits as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_16_an_amount_is_shown_with_the_exponent_of_its_currency() {
        let shown = |minor, currency| Money { minor, currency: Currency(currency) }.decimal();
        assert_eq!([shown(1000, 156), shown(5, 840), shown(0, 978)], ["10.00", "0.05", "0.00"]);
        // Yen, won, dong, Chilean peso; the rupiah has two.
        for code in [392, 410, 704, 152] {
            assert_eq!(shown(1000, code), "1000", "{code}");
        }
        assert_eq!(shown(1000, 360), "10.00");
        // The dinars and the rial.
        for code in [414, 48, 400, 788, 512, 368] {
            assert_eq!((shown(1000, code), shown(7, code)), ("1.000".into(), "0.007".into()), "{code}");
        }
        assert_eq!(shown(u64::MAX, 990), "1844674407370955.1615");
        assert!(NOT_TWO.is_sorted(), "each once, to be found by eye");
    }

    #[test]
    fn rule_16_a_sum_is_shown_with_its_sign() {
        let shown = |minor, currency| Currency(currency).decimal(minor);
        assert_eq!(
            (shown(-5, 156), shown(1700, 156), shown(0, 156)),
            ("-0.05".into(), "17.00".into(), "0.00".into())
        );
        assert_eq!(
            (shown(-1000, 392), shown(i64::MIN, 414)),
            ("-1000".into(), "-9223372036854775.808".into())
        );
    }
}
