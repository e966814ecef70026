//! What an operator reconciles by: named exceptions and the sums of a date, of a running switch and of its journal.

use crate::city::in_service;
use crate::peer::{Peer, purchase};
use serde_json::{Value, json};
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_tests::Wire;
use yika_tests::process::{Yika, get, run as command, wait_for};
use yika_tests::world::mti;

const CARD: &str = "4111111111111111";

#[test]
fn exceptions_and_totals_are_told_by_a_running_switch_and_by_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let data = yika.data();
    let place = data.display().to_string();
    let says = |arguments: &[&str]| command("yika", &[arguments, &["--data", &place]].concat());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 1000));
    let request = bank.hears();
    bank.answers(&request, "00");
    assert_eq!(terminal.hears().code(), "00");
    assert_eq!(says(&["saf", "list", "--exceptions"]).1, "there is no exception\n");
    let advice = Wire { mti: mti(0x0220), ..purchase("iso87-ascii", CARD, 2, 700) };
    assert_eq!(terminal.asks(&advice).code(), "00");
    let owed = bank.hears();
    bank.answers(&owed, "51");
    wait_for("the advice to end", Duration::from_secs(20), || {
        status(&data).is_ok_and(|status| status.open_obligations == 0)
    });
    let (_, text, _) = says(&["saf", "list", "--exceptions"]);
    let row = text.lines().nth(1).unwrap();
    for word in ["advice", "bank-a", "TERM0001", "+7.00", " 7.00 ", " 156 ", "refused with 51"] {
        assert!(row.contains(word), "{word}: {text}");
    }
    let (_, listed, _) = says(&["saf", "list", "--exceptions", "--json"]);
    assert!(text.ends_with("\n1 in all\n"), "{text}");
    let told = serde_json::from_str::<Value>(&listed).unwrap();
    let one = &told["exceptions"][0];
    assert_eq!(told["count"], 1);
    assert_eq!(
        (&one["amount"], &one["asked"], &one["why"]),
        (&json!(700), &json!(700), &json!("refused with 51"))
    );
    assert!(one["at"].as_str().unwrap().ends_with('Z') && one["transaction"].is_u64(), "{one}");
    let (_, totals, _) = says(&["totals", "--json"]);
    let sums = &serde_json::from_str::<Value>(&totals).unwrap()[0];
    for (name, minor) in
        [("told", 1700), ("agreed", 1000), ("exceptions", 700), ("owed", 0), ("unaccounted", 0)]
    {
        assert_eq!(sums[name], minor, "{name}: {sums}");
    }
    let debits = |at: usize| {
        let party = &sums["participants"][at];
        (party["side"].clone(), party["participant"].clone(), party["debits"].clone())
    };
    assert_eq!(debits(0), (json!("acquirer"), json!("city"), json!({"count": 2, "minor": 1700})));
    assert_eq!(debits(1), (json!("issuer"), json!("bank-a"), json!({"count": 1, "minor": 1000})));
    let (_, page, _) = says(&["totals"]);
    assert!(
        page.contains("in currency 156") && page.contains("told 17.00, agreed 10.00, owed 0.00"),
        "{page}"
    );
    let date = sums["date"].to_string();
    assert_eq!(says(&["totals", "--date", &date]).1, page);
    assert_eq!(says(&["totals", "--date", "19990101"]).1, "no sums are kept of 19990101\n");
    metrics_tell_the_exception(&yika);
    let (_, dump, _) = says(&["journal", "dump"]);
    let told = "how=refused code=51 kind=advice participant=bank-a amount=700 currency=156 decimal=7.00";
    assert!(dump.contains(told), "{dump}");
    drop(terminal);
    assert!(yika.stop().success());
    let (code, stopped, err) = says(&["saf", "list", "--exceptions", "--json"]);
    assert!(code == 0 && stopped == listed && err.contains("no switch runs on"), "{stopped}{err}");
    assert_eq!(says(&["totals", "--json"]).1, totals, "the journal says what the switch said");
}

fn metrics_tell_the_exception(yika: &Yika) {
    let metrics = get(yika.addresses().unwrap().admin.unwrap(), "/metrics");
    for line in [
        "yika_participant_exceptions{participant=\"bank-a\"} 1",
        "yika_participant_exceptions_minor{participant=\"bank-a\"} 700",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}
