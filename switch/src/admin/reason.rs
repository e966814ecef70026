//! Why an obligation was settled by hand: text that stays in the journal for good and is a line of its dump. It must
//! hold no card number, however somebody wrote it (P10).

use yika_codec::Pan;

const REASON_CHARS_MAX: usize = 500;

/// What an operator gives as the reason of a settlement, without blanks around it.
///
/// # Errors
/// What is wrong with it.
pub fn check_reason(text: &str) -> Result<&str, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("say why, and with whom it was agreed: the reason stays in the journal".into());
    }
    if text.chars().count() > REASON_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "one line of at most {REASON_CHARS_MAX} characters: the reason stays in the journal"
        ));
    }
    if holds_card_number(text) {
        return Err(
            "it holds what looks like a card number, which may stand nowhere in clear: name the obligation. \
                    Where other numbers look like one, put a word between them"
                .into(),
        );
    }
    Ok(text)
}

/// ISO/IEC 7812-1: an account number has up to 19 digits; in use are 12 and more.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// What may stand between the groups of one number: a blank, a dash or dot of any script, a letter, a few of them. A
/// word with its blanks is longer.
const GAP_CHARS_MAX: usize = 3;

/// Whether a row of whole groups, or the beginning or end of one long group, may be a card number.
fn holds_card_number(text: &str) -> bool {
    let groups = groups(text);
    (0..groups.len()).any(|from| {
        let mut digits = Vec::new();
        groups[from..].iter().enumerate().any(|(at, group)| {
            let joins = at == 0 || group.gap <= GAP_CHARS_MAX;
            if !joins || digits.len() > *CARD_DIGITS.end() {
                // Ends the row: too long for a number already.
                digits.resize(CARD_DIGITS.end() + 1, 0);
                return false;
            }
            digits.extend_from_slice(&group.digits);
            may_be_card(&digits) || may_hold_card(&group.digits)
        })
    })
}

/// Digits that stand together, and how many other characters stand before them.
#[derive(Default)]
struct Group {
    gap: usize,
    digits: Vec<u32>,
}

fn groups(text: &str) -> Vec<Group> {
    let mut groups = vec![Group::default()];
    let mut gap = 0;
    for c in text.chars() {
        match digit(c) {
            Some(digit) => {
                if gap > 0 {
                    groups.push(Group { gap, digits: Vec::new() });
                }
                gap = 0;
                groups.last_mut().expect("there is always one").digits.push(digit);
            }
            None => gap += 1,
        }
    }
    groups
}

/// A decimal digit, also in the full width of East Asian text.
fn digit(c: char) -> Option<u32> {
    let wide = u32::from(c).checked_sub(u32::from('\u{FF10}')).filter(|digit| *digit < 10);
    c.to_digit(10).or(wide)
}

/// No issuer's number begins with 0 (ISO/IEC 7812-1, major industry identifier).
fn may_be_card(digits: &[u32]) -> bool {
    let ascii: Option<Vec<u8>> = digits.iter().map(|digit| Some(b'0' + u8::try_from(*digit).ok()?)).collect();
    digits.first() != Some(&0)
        && CARD_DIGITS.contains(&digits.len())
        && ascii.and_then(|ascii| Pan::new(&ascii)).is_some_and(|pan| pan.luhn_ok())
}

/// A card number with more digits glued to it, such as its expiry.
fn may_hold_card(group: &[u32]) -> bool {
    group.len() > *CARD_DIGITS.end()
        && CARD_DIGITS
            .skip(1)
            .any(|len| may_be_card(&group[..len]) || may_be_card(&group[group.len() - len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_on_one_line() {
        assert_eq!(check_reason(" ticket 88 ").unwrap(), "ticket 88");
        for blank in ["", "  ", "\t\n"] {
            assert!(check_reason(blank).unwrap_err().contains("say why"), "{blank:?}");
        }
        for wrong in ["two\nlines".to_owned(), "x".repeat(REASON_CHARS_MAX + 1)] {
            assert!(check_reason(&wrong).unwrap_err().contains("one line of at most"));
        }
        assert!(check_reason(&"一".repeat(REASON_CHARS_MAX)).is_ok());
    }

    #[test]
    fn p10_a_card_number_is_found_in_a_reason_however_it_is_written() {
        let between = [
            "", " ", "-", ".", "/", "_", ",", ":", "*", "|", "  ", " - ", "x", "and", "\u{a0}", "\u{2009}",
            "\u{3000}", "\u{2010}", "\u{2013}", "\u{2212}", "\u{200b}", "\u{b7}", "年",
        ];
        for gap in between {
            for groups in [
                ["4111", "1111", "1111", "1111"].as_slice(),
                &["411111", "1111111111"],
                &["4", "111111111111111"],
            ] {
                let card = groups.join(gap);
                for reason in
                    [card.clone(), format!("card{card}paid"), format!("ticket 88 about {card} by phone")]
                {
                    assert!(check_reason(&reason).unwrap_err().contains("card number"), "{reason:?}");
                }
            }
        }
        let digit_by_digit: String = "4111111111111111".chars().flat_map(|c| [c, '.']).collect();
        for card in [
            digit_by_digit.as_str(),
            "４１１１１１１１１１１１１１１１",
            "4111111111111111/2912",
            "41111111111111112912",
            "291200004111111111111111",
            "6222000000000000004",
            "630490017740",
        ] {
            assert!(check_reason(card).unwrap_err().contains("card number"), "{card}");
        }
    }

    #[test]
    fn numbers_that_are_none_of_a_card_may_stand_in_a_reason() {
        for reason in [
            "ticket 4111111111111112, of 2026-11-24",
            "booked by hand, agreed with bank A, ticket 88",
            "obligation 4711 about 100.00 CNY, told on 2026-11-24 by Wang at 10:15",
            "telephone 0591-87654321 extension 12",
        ] {
            assert_eq!(check_reason(reason), Ok(reason));
        }
    }
}
