//! `yika-loadgen reconcile`: reads ledgers, tells terminals from issuers by what the files say, and compares.

use super::{CliError, Exit, option};
use clap::Args;
use std::path::PathBuf;
use yika_loadgen::ledger::{Ledger, Side};
use yika_loadgen::reconcile;

#[derive(Args)]
pub(crate) struct ReconcileArgs {
    /// Ledgers of terminals, issuers and coupon platforms, in any order
    #[arg(required = true, value_name = "LEDGER")]
    ledgers: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ReconcileArgs) -> Result<Exit, CliError> {
    let ledgers: Vec<Ledger> =
        args.ledgers.iter().map(|path| Ledger::load(path)).collect::<Result<_, _>>()?;
    let (terminals, issuers): (Vec<_>, Vec<_>) =
        ledgers.into_iter().partition(|ledger| ledger.side == Side::Terminal);
    if terminals.is_empty() || issuers.is_empty() {
        let missing = if terminals.is_empty() { "terminals" } else { "an issuer" };
        return option("reconcile", Err(format!("none of the ledgers is of {missing}; give both sides")));
    }
    let result = reconcile(&terminals, &issuers);
    if args.json {
        let json = serde_json::to_string_pretty(&result);
        println!(
            "{}",
            json.map_err(|error| CliError::System { what: "result as JSON", source: error.into() })?
        );
    } else {
        println!("{result}");
    }
    Ok(if result.balanced { Exit::Pass } else { Exit::NotBalanced })
}
