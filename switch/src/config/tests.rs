//! What an operator sees when a configuration is wrong: file, line, caret, rule, and the nearest right word.

use super::doc::Doc;
use super::read::read_doc;
use super::{ConfigErrors, parse};
use std::path::Path;

const GOOD: &str = r#"
[switch]
data_dir = "data"
[[participant]]
name = "city"
role = "acquirer"
[[participant]]
name = "bank-a"
role = "issuer"
dialect = "iso87-ascii"
connect = ["127.0.0.1:7200"]
timeout = "3s"
[[listener]]
address = "127.0.0.1:7100"
participant = "city"
dialect = "iso87-ascii"
[[route]]
prefix = "411111"
to = "bank-a"
"#;

/// The message for `GOOD` with one line changed.
fn wrong(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from));
    let text = GOOD.replacen(from, to, 1);
    match parse("test.toml", &text, Path::new(".")) {
        Err(error @ ConfigErrors::Wrong { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted: {to}"),
    }
}

#[test]
fn a_good_one_is_understood_with_its_defaults() {
    let config = parse("test.toml", GOOD, Path::new("/base")).unwrap();
    assert_eq!(config.data_dir, Path::new("/base/data"));
    assert_eq!((config.participants.len(), config.listeners.len(), config.routes.len()), (2, 1, 1));
    let link = config.participants[1].link.as_ref().unwrap();
    assert_eq!(link.timeout.as_secs(), 3);
    assert!(link.answer_match.sent_at && link.answer_match.terminal && link.answer_match.rrn);
    assert_eq!(config.limits.dedupe_window_ms, 86_400_000);
}

#[test]
fn a_key_in_a_faulty_line_is_not_shown() {
    let component = "2B7E151628AED2A6ABF7158809CF4F3C";
    for (line, says) in [
        (format!("components = [\"{component}\", \"{component}F\"]"), "even number"),
        (format!("component = [\"{component}\"]"), "unknown key"),
        (format!("usage = \"{component}\""), "usage"),
        (format!("components = [\"{component}\""), "TOML"),
    ] {
        let text = format!("{GOOD}[[test_key]]\nname = \"k\"\nalgorithm = \"aes\"\n{line}\n");
        let said = parse("test.toml", &text, Path::new(".")).err().unwrap().to_string();
        assert!(!said.contains(&component[..16]), "{said}");
        assert!(said.contains(says) || says == "TOML", "{said}");
    }
}

#[test]
fn an_unknown_key_is_shown_with_its_line_and_the_nearest_key() {
    assert_eq!(
        wrong("timeout = \"3s\"", "time_out = \"3s\""),
        "test.toml:12:1: participant[2].time_out: unknown key; did you mean `timeout`?\n\
         12 | time_out = \"3s\"\n   | ^^^^^^^^\n\
         test.toml: 1 error"
    );
}

#[test]
fn each_kind_of_fault_says_what_was_expected() {
    for (from, to, says) in [
        ("timeout = \"3s\"", "timeout = \"3 seconds\"", "is not a duration"),
        ("timeout = \"3s\"", "timeout = 3", "expected a string"),
        ("timeout = \"3s\"", "timeout = \"60s\"", "not above the longest participant timeout (1min)"),
        ("role = \"issuer\"", "role = \"isuer\"", "did you mean `issuer`?"),
        ("to = \"bank-a\"", "to = \"bank-b\"", "no participant is named \"bank-b\"; did you mean `bank-a`?"),
        ("to = \"bank-a\"", "to = \"city\"", "is no issuer"),
        ("prefix = \"411111\"", "prefix = \"4111x\"", "is not up to eight digits"),
        ("127.0.0.1:7100", "0.0.0.0:7100", "allow_plaintext = true"),
        ("127.0.0.1:7200", "somewhere", "is not an address and port"),
        ("data_dir = \"data\"", "", "needs `data_dir`"),
        ("dialect = \"iso87-ascii\"", "dialect = \"iso87-asci\"", "did you mean `iso87-ascii`?"),
        ("role = \"issuer\"", "role = \"issuer\"\nmac_key = \"zak\"", "which no [[test_key]] gives"),
        ("[switch]", "[switch]\nenvironment = \"production\"", "production needs key_file"),
        ("name = \"bank-a\"", "name = \"city\"", "is already there"),
        ("[switch]", "[switch", "test.toml:"),
    ] {
        let message = wrong(from, to);
        assert!(message.contains(says), "for {to:?}:\n{message}");
    }
}

#[test]
fn all_faults_come_in_one_run_in_the_order_of_the_file() {
    let text =
        GOOD.replace("timeout = \"3s\"", "timeuot = \"3s\"").replace("to = \"bank-a\"", "to = \"nobody\"");
    let message = parse("test.toml", &text, Path::new(".")).err().unwrap().to_string();
    let (first, second) = (message.find("timeuot").unwrap(), message.find("nobody").unwrap());
    assert!(first < second && message.ends_with("2 errors"), "{message}");
}

#[test]
fn the_shipped_lab_configuration_is_what_it_promises() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/lab.toml");
    let config = super::load(&path).map_err(|e| e.to_string()).unwrap();
    let ports: Vec<u16> = config.listeners.iter().map(|listener| listener.address.port()).collect();
    assert_eq!(ports, [7100, 7101]);
    let links: Vec<_> = config.participants.iter().filter_map(|p| p.link.as_ref()).collect();
    assert!(links.iter().all(|link| link.timeout.as_secs() == 3 && link.stand_in.is_none()));
    assert_eq!(config.limits.dedupe_window_ms, 600_000);
    let routes: Vec<_> =
        config.routes.iter().map(|route| (route.prefix.as_str(), route.to.as_str())).collect();
    assert_eq!(routes, [("411111", "bank-a"), ("6210", "bank-a"), ("6222", "bank-b")]);
}

/// The reference names every key that the reader knows, and nothing that it does not.
#[test]
fn the_reference_file_is_complete_and_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/reference.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let doc = Doc::new("reference.toml", &text);
    assert!(read_doc(&doc, Path::new(".")).is_some());
    let known = doc.known_keys();
    let faults: Vec<String> = doc.take_faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults, Vec::<String>::new());
    assert!(known.len() > 70, "only {} keys", known.len());
    for (table, key) in known {
        let named = text.lines().any(|line| {
            let line = line.trim_start_matches(['#', ' ', '[']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']']))
        }) || text.contains(&format!("{key} = "));
        assert!(named, "{table}.{key} is not in the reference");
    }
}
