//! The script of a simulated issuer: how often it declines, is late, stays silent, repeats or garbles.
//!
//! The fate of a message is a keyed hash of its identity, so that a run with the same seed and messages ends the
//! same way on every machine. Shares are in parts per ten thousand. The default approves everything at once.

use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::time::Duration;

/// Parts per ten thousand that are the whole.
const WHOLE: u32 = 10_000;

/// A share in parts per ten thousand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Share(u32);

/// How long an answer takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Delay {
    /// Not at all.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Evenly spread between two limits.
    Uniform(Duration, Duration),
    /// Exponential with this mean, cut off at ten times the mean.
    Exponential(Duration),
}

/// What a simulated issuer does with messages that it could simply approve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// Declined with 51. Advices, refunds and reversals never are.
    pub decline: Share,
    /// Approved for half of the amount (code 10); a coupon platform grants half of what is asked.
    pub partial: Share,
    /// Every answer waits this long.
    pub delay: Delay,
    /// Booked, and never answered; a repeat is.
    pub silence: Share,
    /// Not booked and not answered, as if lost on the way; a repeat is taken.
    pub lost: Share,
    /// Answered after `late_after`.
    pub late: Share,
    /// How late that is.
    pub late_after: Duration,
    /// Answered twice.
    pub duplicate: Share,
    /// Booked, and answered with bytes that are no message.
    pub garble: Share,
    /// Booked, and answered with another amount.
    pub wrong_amount: Share,
    /// Booked, and answered under a MAC that does not hold.
    pub bad_mac: Share,
    /// A reversal is answered 96 when it first comes.
    pub busy: Share,
    /// A reversal of what is not known is not remembered either: an original that comes later is booked.
    pub forgets: Share,
}

/// What becomes of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fate {
    pub(crate) decision: Decision,
    pub(crate) delivery: Delivery,
    pub(crate) twice: bool,
    pub(crate) delay: Duration,
    pub(crate) busy: bool,
    pub(crate) forgets: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    Approve,
    Half,
    Decline,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    Answer,
    Silence,
    Lost,
    Garble,
    WrongAmount,
    BadMac,
}

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A word that no script has.
    #[error(
        "script: `{key}` is unknown; there are decline, partial, delay, silence, lost, late, duplicate, garble, wrong-amount, bad-mac, \
         busy, forgets"
    )]
    Key {
        /// The word.
        key: String,
    },
    /// A value that cannot be read.
    #[error("script: {key}={value}: {expected}")]
    Value {
        /// The word.
        key: String,
        /// Its value.
        value: String,
        /// What is expected there.
        expected: &'static str,
    },
    /// Shares of one choice that are more than the whole.
    #[error("script: {what} add up to more than 100 %")]
    Sum {
        /// Which.
        what: &'static str,
    },
}

impl Share {
    /// No message at all.
    pub const NONE: Share = Share(0);

    /// That many of ten thousand; more count as all.
    pub const fn per_ten_thousand(parts: u32) -> Share {
        Share(if parts > WHOLE { WHOLE } else { parts })
    }

    /// That many of a hundred; more count as all.
    pub const fn percent(parts: u32) -> Share {
        Share::per_ten_thousand(parts.saturating_mul(100))
    }

    /// Parts per ten thousand.
    pub const fn parts(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = &'static str;

    /// Reads `2%`, `0.5%`, or plain parts per ten thousand.
    fn from_str(text: &str) -> Result<Share, &'static str> {
        const EXPECTED: &str = "expected a share such as 2%, 0.5%, or parts per ten thousand";
        let parts = match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| EXPECTED)?;
                (percent * 100.0).round()
            }
            None => f64::from(text.parse::<u32>().map_err(|_| EXPECTED)?),
        };
        // A NaN is in no range.
        if (0.0..=f64::from(WHOLE)).contains(&parts) { Ok(Share(parts as u32)) } else { Err(EXPECTED) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

impl Script {
    /// Approves everything at once.
    pub fn approve_all() -> Script {
        Script::default()
    }

    /// The fate of the message with this identity.
    pub(crate) fn fate(&self, seed: u64, identity: &[u8], stan: u32) -> Fate {
        if *self == Script::default() {
            return Fate::PLAIN;
        }
        let draw = |what: u64| {
            let mut hash = SipHasher13::new_with_keys(seed, what);
            hash.write(identity);
            hash.write_u32(stan);
            hash.finish()
        };
        let pick = |what: u64| (draw(what) % u64::from(WHOLE)) as u32;
        let decision = choose(
            pick(1),
            &[(self.decline, Decision::Decline), (self.partial, Decision::Half)],
            Decision::Approve,
        );
        let delivery = pick(2);
        let late = delivery < self.late.0;
        let delivery = choose(
            delivery,
            &[
                (self.late, Delivery::Answer),
                (self.silence, Delivery::Silence),
                (self.lost, Delivery::Lost),
                (self.garble, Delivery::Garble),
                (self.wrong_amount, Delivery::WrongAmount),
                (self.bad_mac, Delivery::BadMac),
            ],
            Delivery::Answer,
        );
        let delay = if late { self.late_after } else { self.delay.of(draw(4)) };
        let (busy, forgets) = (pick(5) < self.busy.0, pick(6) < self.forgets.0);
        Fate { decision, delivery, twice: pick(3) < self.duplicate.0, delay, busy, forgets }
    }

    fn check(&self) -> Result<(), ScriptError> {
        let over = |shares: &[Share]| shares.iter().map(|share| share.0).sum::<u32>() > WHOLE;
        if over(&[self.decline, self.partial]) {
            return Err(ScriptError::Sum { what: "decline and partial" });
        }
        if over(&[self.late, self.silence, self.lost, self.garble, self.wrong_amount, self.bad_mac]) {
            return Err(ScriptError::Sum { what: "late, silence, lost, garble, wrong-amount and bad-mac" });
        }
        Ok(())
    }
}

impl Fate {
    pub(crate) const PLAIN: Fate = Fate {
        decision: Decision::Approve,
        delivery: Delivery::Answer,
        twice: false,
        delay: Duration::ZERO,
        busy: false,
        forgets: false,
    };
}

impl Delay {
    fn of(self, draw: u64) -> Duration {
        // 53 bits are what an f64 holds exactly; the result lies in 0..1.
        let unit = (draw >> 11) as f64 / (1u64 << 53) as f64;
        match self {
            Delay::None => Duration::ZERO,
            Delay::Fixed(delay) => delay,
            Delay::Uniform(from, to) => from + to.saturating_sub(from).mul_f64(unit),
            Delay::Exponential(mean) => mean.mul_f64((-(1.0 - unit).ln()).min(10.0)),
        }
    }
}

fn choose<T: Copy>(pick: u32, choices: &[(Share, T)], otherwise: T) -> T {
    let mut end = 0;
    for &(share, choice) in choices {
        end += share.0;
        if pick < end {
            return choice;
        }
    }
    otherwise
}

impl FromStr for Script {
    type Err = ScriptError;

    /// Reads `decline=2%,silence=0.5%,late=0.2%:3500ms,delay=1ms-5ms`; the empty text approves everything.
    fn from_str(text: &str) -> Result<Script, ScriptError> {
        let mut script = Script::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let fail =
                |expected| ScriptError::Value { key: key.to_owned(), value: value.to_owned(), expected };
            let place = match key {
                "decline" => &mut script.decline,
                "partial" => &mut script.partial,
                "busy" => &mut script.busy,
                "forgets" => &mut script.forgets,
                "silence" => &mut script.silence,
                "lost" => &mut script.lost,
                "duplicate" => &mut script.duplicate,
                "garble" => &mut script.garble,
                "wrong-amount" => &mut script.wrong_amount,
                "bad-mac" => &mut script.bad_mac,
                "delay" => {
                    script.delay = parse_delay(value).map_err(fail)?;
                    continue;
                }
                "late" => {
                    const EXPECTED: &str = "expected a share and how late, such as 0.2%:3500ms";
                    let (share, after) = value.split_once(':').ok_or_else(|| fail(EXPECTED))?;
                    script.late_after = parse_duration(after).map_err(fail)?;
                    script.late = share.parse().map_err(fail)?;
                    continue;
                }
                _ => return Err(ScriptError::Key { key: key.to_owned() }),
            };
            *place = value.parse().map_err(fail)?;
        }
        script.check()?;
        Ok(script)
    }
}

fn parse_delay(text: &str) -> Result<Delay, &'static str> {
    if let Some(mean) = text.strip_prefix("exp:") {
        return parse_duration(mean).map(Delay::Exponential);
    }
    match text.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (parse_duration(from)?, parse_duration(to)?);
            if from <= to { Ok(Delay::Uniform(from, to)) } else { Err("expected the shorter delay first") }
        }
        None => parse_duration(text).map(Delay::Fixed),
    }
}

/// The longest duration taken; ten times it is still far from what a `Duration` can hold.
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Reads `250us`, `3500ms`, `10s`, `2m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a duration such as 250us, 3500ms, 10s, 2m or 1h";
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(unit_at);
    let scale_s = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(EXPECTED),
    };
    let number: f64 = number.parse().map_err(|_| EXPECTED)?;
    let duration = Duration::try_from_secs_f64(number * scale_s).map_err(|_| EXPECTED)?;
    if duration > DURATION_MAX { Err("expected at most a week") } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read() {
        let script: Script =
            "decline=2%, silence=0.5%,late=0.2%:3500ms,duplicate=7,delay=1ms-5ms".parse().unwrap();
        let expected = Script {
            decline: Share(200),
            silence: Share(50),
            late: Share(20),
            late_after: Duration::from_millis(3500),
            duplicate: Share(7),
            delay: Delay::Uniform(Duration::from_millis(1), Duration::from_millis(5)),
            ..Script::default()
        };
        assert_eq!(script, expected);
        assert_eq!("".parse(), Ok(Script::approve_all()));
        assert_eq!(
            "delay=exp:2ms".parse::<Script>().unwrap().delay,
            Delay::Exponential(Duration::from_millis(2))
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |text: &str| text.parse::<Script>().unwrap_err().to_string();
        assert!(error("declines=2%").contains("`declines` is unknown"));
        assert!(error("decline=101%").contains("decline=101%"));
        assert!(error("decline=NaN%").contains("expected a share"));
        assert!(error("late=1%").contains("how late"));
        assert!(error("late=1%:5").contains("duration"));
        assert!(error("delay=5ms-1ms").contains("shorter"));
        assert!(error("silence=60%,garble=50%").contains("more than 100 %"));
    }

    #[test]
    fn fates_are_the_same_again_and_come_in_the_shares_asked_for() {
        let script: Script = "decline=10%,silence=5%,duplicate=1%,late=2%:4s".parse().unwrap();
        let fates = |seed| (0..20_000).map(move |stan| script.fate(seed, b"LG000001", stan));
        assert!(fates(1).eq(fates(1)));
        assert!(fates(1).ne(fates(2)));
        let share = |of: &dyn Fn(Fate) -> bool| fates(1).filter(|fate| of(*fate)).count();
        assert!((1800..2200).contains(&share(&|fate| fate.decision == Decision::Decline)));
        assert!((850..1150).contains(&share(&|fate| fate.delivery == Delivery::Silence)));
        assert!((130..270).contains(&share(&|fate| fate.twice)));
        let late = |fate: Fate| fate.delay == Duration::from_secs(4) && fate.delivery == Delivery::Answer;
        assert!((300..500).contains(&share(&late)));
    }

    #[test]
    fn delays_stay_in_their_limits() {
        let (low, high) = (Duration::from_millis(1), Duration::from_millis(5));
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!((low..=high).contains(&Delay::Uniform(low, high).of(draw)));
            assert!(Delay::Exponential(low).of(draw) <= low * 10);
        }
        assert_eq!(Delay::None.of(7), Duration::ZERO);
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert!(
            parse_duration("10").is_err() && parse_duration("s").is_err() && parse_duration("1d").is_err()
        );
        assert!(parse_duration("99999999999999999999h").is_err());
    }
}
