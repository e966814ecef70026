//! The chaos program itself, for a few seconds: the code that runs for hours elsewhere is exercised here.

use yika_tests::process::run;

#[test]
fn a_round_of_chaos_with_kills_agrees_to_the_fen_and_tells_its_figures() {
    let round =
        ["chaos", "--rounds", "1", "--round-seconds", "3", "--faults", "kill", "--rate", "300", "--json"];
    let (code, out, err) = run("yika-chaos", &round);
    assert_eq!(code, 0, "{out}{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = &told["rounds"][0];
    assert_eq!((row["fault"].as_str(), row["unaccounted_fen"].as_u64()), (Some("kill"), Some(0)), "{out}");
    assert!(row["restarts"].as_u64() > Some(0) && row["payments"].as_u64() > Some(100), "{out}");
    assert!(row["recovery_ms"].as_f64() > Some(0.0) && row["descriptors"].as_u64() > Some(0), "{out}");
}

#[test]
fn words_that_chaos_does_not_know_are_refused() {
    for wrong in [
        &["chaos", "--faults", "flood"][..],
        &["soak", "--faults", "kill"],
        &["soak", "--minutes", "0"],
        &["x"],
    ] {
        let (code, _, err) = run("yika-chaos", wrong);
        assert!(code == 2 && err.contains("yika-chaos chaos"), "{wrong:?}: {err}");
    }
}
