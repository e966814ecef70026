//! The words of the command line, checked once.

use crate::faults::Fault;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
yika-chaos chaos   faults under load, in rounds; both sides are reconciled to the fen after each
  --minutes M        how long (default 10, up to 1440)
  --rounds N         stop after so many rounds
  --round-seconds S  how long traffic flows in a round (default 15, 2 to 600)
  --faults A,B       only these: kill, pause, full-disk, slow-disk, bank-down, cut, loss
  --seed N           when kills come (default 20261126)

yika-chaos soak    calm load; memory, descriptors, p99 and journal growth have to stay flat
  --minutes M        how long (default 60; a nightly run takes 10; up to 1440)

both
  --rate R           payments per second over both dialects (default 1000, soak 2000; 10 to 50000)
  --dir FOLDER       where its folder is made (default: that of temporary files); not one in memory
  --json             one object at the end; what is told meanwhile goes to stderr

Exit codes: 0 everything agrees, 1 something does not (its folder is kept), 2 unknown words.";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Chaos,
    Soak,
    Help,
}

pub(crate) struct Options {
    pub(crate) what: What,
    pub(crate) length: Duration,
    pub(crate) rounds_max: u64,
    pub(crate) round: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) seed: u64,
    pub(crate) rate_per_s: u64,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) json: bool,
}

impl Options {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
        let (what, minutes, rate_per_s) = match words.next().as_deref() {
            Some("chaos") => (What::Chaos, 10, 1000),
            Some("soak") => (What::Soak, 60, 2000),
            None | Some("help" | "--help" | "-h") => (What::Help, 0, 0),
            Some(other) => return Err(format!("unknown command {other}")),
        };
        let mut options = Options {
            what,
            length: Duration::from_secs(minutes * 60),
            rounds_max: u64::MAX,
            round: Duration::from_secs(15),
            faults: Fault::ALL.to_vec(),
            seed: 20_261_126,
            rate_per_s,
            folder: None,
            json: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--help" | "-h" => options.what = What::Help,
                "--json" => options.json = true,
                _ => {
                    let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                    options.set(&word, &value)?;
                }
            }
        }
        Ok(options)
    }

    fn set(&mut self, word: &str, value: &str) -> Result<(), String> {
        let number = |low: u64, high: u64| {
            let number = value.parse::<u64>().ok().filter(|number| (low..=high).contains(number));
            number.ok_or_else(|| format!("{word} {value}: take {low} to {high}"))
        };
        match (self.what, word) {
            (_, "--minutes") => self.length = Duration::from_secs(number(1, 1440)? * 60),
            (_, "--rate") => self.rate_per_s = number(10, 50_000)?,
            (_, "--dir") => self.folder = Some(value.into()),
            (What::Chaos, "--rounds") => self.rounds_max = number(1, 1_000_000)?,
            (What::Chaos, "--round-seconds") => self.round = Duration::from_secs(number(2, 600)?),
            (What::Chaos, "--seed") => self.seed = number(0, u64::MAX)?,
            (What::Chaos, "--faults") => {
                let named = |name: &str| {
                    let found = Fault::ALL.into_iter().find(|fault| fault.name() == name);
                    found.ok_or_else(|| format!("no fault is called {name}"))
                };
                self.faults = value.split(',').map(named).collect::<Result<_, _>>()?;
            }
            _ => return Err(format!("unknown option {word}")),
        }
        Ok(())
    }

    /// Tells what goes on, where it does not stand in the way of JSON.
    pub(crate) fn tell(&self, line: &str) {
        if self.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
    }
}
