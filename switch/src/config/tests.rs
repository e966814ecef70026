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
        ("data_dir = \"data\"", "data_dir = \"\"", "is not the name of a file or folder"),
        ("dialect = \"iso87-ascii\"", "dialect = \"iso87-asci\"", "did you mean `iso87-ascii`?"),
        ("role = \"issuer\"", "role = \"issuer\"\nmac_key = \"zak\"", "which no [[test_key]] gives"),
        ("[switch]", "[switch]\nenvironment = \"production\"", "production needs key_file"),
        ("[switch]", "[switch]\nunlock = \"custodians\"", "unlock = \"custodians\" needs key_file"),
        (
            "role = \"issuer\"",
            "role = \"issuer\"\nkey_change = \"12h\"",
            "participant[2].key_change: a new key travels under",
        ),
        ("name = \"bank-a\"", "name = \"city\"", "is already there"),
        ("[switch]", "[switch", "test.toml:"),
        (
            "data_dir = \"data\"",
            "data_dir = \"data\"\nadmin = \"0.0.0.0:7190\"",
            "give it a loopback address",
        ),
        ("127.0.0.1:7200", "127.0.0.1:7100", "it would talk to itself"),
        ("timeout = \"3s\"", "reconnect_first = \"9s\"", "longer than the longest, reconnect_max (5s)"),
        ("timeout = \"3s\"", "backoff_first = \"2min\"", "longer than the longest, backoff_max (1min)"),
        ("role = \"acquirer\"", "role = \"acquirer\"\nconnect = [\"127.0.0.1:1\"]", "belongs to an issuer"),
        ("[[route]]", "[[route]]\nprefix = \"411111\"\nto = \"bank-a\"\n[[route]]", "is routed twice"),
        ("participant = \"city\"", "participant = \"bank-a\"", "is no acquirer"),
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
    let faults: Vec<String> = doc.take_faults().0.iter().map(ToString::to_string).collect();
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

/// A participant whose table is wrong is named once, and not again by whatever refers to it.
#[test]
fn one_fault_does_not_cause_others() {
    for (from, to) in [
        ("role = \"issuer\"", "role = \"isuer\""),
        ("dialect = \"iso87-ascii\"\nconnect", "dialect = \"iso87\"\nconnect"),
        ("timeout = \"3s\"", "timout = \"3s\""),
        ("role = \"issuer\"", "role = 7"),
        ("prefix = \"411111\"", "prefix = 411111"),
        ("address = \"127.0.0.1:7100\"", "address = 7100"),
    ] {
        let message = wrong(from, to);
        assert!(message.ends_with("test.toml: 1 error"), "{message}");
    }
}

#[test]
fn a_rule_between_tables_points_at_the_key_that_breaks_it() {
    let coupons = "[[participant]]\nname = \"coupons\"\nrole = \"coupon-platform\"\ndialect = \"iso87-ascii\"\n\
                   connect = [\"127.0.0.1:7202\"]\ntimeout = \"3s\"\n[[listener]]\ndeadline = \"6s\"";
    assert_eq!(
        wrong("[[listener]]", coupons),
        "test.toml:20:12: listener[1].deadline: its deadline (6s) is not above the timeouts of coupon platform and bank \
         together (6s): no coupon purchase could be finished\n\
         20 | deadline = \"6s\"\n   |            ^^^^\n\
         test.toml: 1 error"
    );
    assert_eq!(
        wrong("to = \"bank-a\"", "to = \"bank-z\""),
        "test.toml:19:6: route[1].to: no participant is named \"bank-z\"; did you mean `bank-a`?\n\
         19 | to = \"bank-z\"\n   |      ^^^^^^^^\n\
         test.toml: 1 error"
    );
}

#[test]
fn a_test_key_that_could_not_be_made_is_refused_here() {
    let key = |components: &str| {
        format!(
            "{GOOD}[[test_key]]\nname = \"k\"\nusage = \"mac-cmac\"\nalgorithm = \"aes\"\ncomponents = [{components}]\n"
        )
    };
    let refused = |text: &str| parse("test.toml", text, Path::new(".")).err().unwrap().to_string();
    let one = key("\"00112233445566778899AABBCCDDEEFF\"");
    assert!(
        refused(&one).contains("test_key[1].components: the key components are refused"),
        "{}",
        refused(&one)
    );
    let short = key("\"0011\", \"2233\"");
    assert!(refused(&short).contains("2 bytes are no AES key"), "{}", refused(&short));
    let good = key("\"00112233445566778899AABBCCDDEEFF\", \"0F0E0D0C0B0A09080706050403020100\"");
    assert_eq!(parse("test.toml", &good, Path::new(".")).map(|config| config.test_keys.len()).ok(), Some(1));
    let twice = format!("{good}{}", &good[GOOD.len()..]);
    assert!(refused(&twice).contains("a test key named \"k\" is already there"), "{}", refused(&twice));
}

#[test]
fn a_dialect_of_ones_own_may_extend_a_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = "name = \"bank-own\"\nextends = \"iso87-ascii\"\nanswer_match = [11, 41]\n";
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    let text = GOOD.replacen("dialect = \"iso87-ascii\"", "dialect = \"own.toml\"", 1);
    let config = parse("test.toml", &text, folder.path()).map_err(|e| e.to_string()).unwrap();
    let link = config.participants[1].link.as_ref().unwrap();
    assert_eq!(link.dialect.name(), "bank-own");
    assert!(!link.answer_match.sent_at && link.answer_match.terminal);
    std::fs::write(folder.path().join("own.toml"), "name = \"bank-own\"\nextend = \"iso87-ascii\"\n")
        .unwrap();
    let refused = parse("test.toml", &text, folder.path()).err().unwrap().to_string();
    assert!(refused.contains("own.toml:2:1: extend: unknown key; did you mean \"extends\"?"), "{refused}");
}

/// `GOOD` with both dialects replaced by these, in a folder with two files of the same name and of another.
fn with_dialects(of_bank: &str, of_listener: &str) -> Result<super::Config, String> {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [("a.toml", "own"), ("b.toml", "own"), ("c.toml", "iso87-ascii")] {
        let text = format!("name = \"{name}\"\nextends = \"iso87-ascii\"\n");
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let text = GOOD.replacen("dialect = \"iso87-ascii\"", &format!("dialect = \"{of_bank}\""), 1);
    let text = text.replacen(
        "dialect = \"iso87-ascii\"\n[[route]]",
        &format!("dialect = \"{of_listener}\"\n[[route]]"),
        1,
    );
    parse("test.toml", &text, folder.path()).map_err(|e| e.to_string())
}

#[test]
fn a_dialect_file_is_read_once_and_its_name_is_its_own() {
    let config = with_dialects("a.toml", "./a.toml").unwrap();
    let link = config.participants[1].link.as_ref().unwrap();
    assert!(std::sync::Arc::ptr_eq(&link.dialect, &config.listeners[0].dialect));
    for (one, two, name) in [("a.toml", "b.toml", "own"), ("iso87-ascii", "c.toml", "iso87-ascii")] {
        let refused = with_dialects(one, two).err().unwrap();
        let says = format!("two dialects with the one name \"{name}\": give each a `name` of its own");
        assert!(refused.contains("listener[1].dialect") && refused.contains(&says), "{refused}");
        assert!(refused.ends_with("test.toml: 1 error"), "{refused}");
    }
}

#[test]
fn production_wants_a_mac_key_of_everybody_it_believes() {
    let text = GOOD.replace("[switch]", "[switch]\nenvironment = \"production\"\nkey_file = \"keys\"");
    let refused = parse("test.toml", &text, Path::new(".")).err().unwrap().to_string();
    assert!(
        refused.contains("\"city\" needs a mac_key: without one, production would take payments"),
        "{refused}"
    );
    assert!(
        refused.contains("\"bank-a\" needs a mac_key: without one, production would believe"),
        "{refused}"
    );
    assert!(refused.ends_with("2 errors"), "{refused}");
    let keyed = text.replace("role = ", "mac_key = \"zak\"\nrole = ");
    assert!(parse("test.toml", &keyed, Path::new(".")).is_ok());
}

#[test]
fn who_is_believed_without_a_mac_beyond_this_machine_is_named() {
    let open = GOOD
        .replace("\"127.0.0.1:7100\"", "\"0.0.0.0:7100\"\nallow_plaintext = true")
        .replace("127.0.0.1:7200", "192.0.2.1:7200");
    let said = |text: &str| parse("test.toml", text, Path::new(".")).unwrap().unprotected();
    assert_eq!(
        said(&open),
        [
            "0.0.0.0:7100 takes payments for \"city\" from anybody: no mac_key",
            "answers of \"bank-a\" at 192.0.2.1:7200 may be anybody's: no mac_key"
        ]
    );
    assert!(said(GOOD).is_empty(), "on this machine alone there is nothing to warn of");
}

#[test]
fn a_pin_key_whose_blocks_f52_cannot_hold_is_refused() {
    let key = "[[test_key]]\nname = \"pins\"\nusage = \"pin\"\nalgorithm = \"aes\"\n\
        components = [\"00112233445566778899AABBCCDDEEFF\", \"0F0E0D0C0B0A09080706050403020100\"]\n";
    for role in ["issuer", "acquirer"] {
        let role = format!("role = \"{role}\"");
        let text = format!("{}{key}", GOOD.replace(&role, &format!("{role}\npin_key = \"pins\"")));
        let refused = parse("test.toml", &text, Path::new(".")).err().unwrap().to_string();
        assert!(
            refused.contains("pin_key: \"pins\" is an") && refused.contains("F52 needs a TDES key"),
            "{refused}"
        );
        let tdes = text.replace("\"aes\"", "\"tdes\"");
        assert!(parse("test.toml", &tdes, Path::new(".")).is_ok());
    }
}

#[test]
fn trace_numbers_cannot_run_out_on_a_link_that_is_matched_without_f7() {
    let many = |matching: &str| {
        let link = format!("timeout = \"3s\"\ninflight_max = 700000{matching}");
        let text = GOOD.replace("timeout = \"3s\"", &link);
        parse("test.toml", &text, Path::new(".")).map_err(|e| e.to_string())
    };
    let refused = many("\nanswer_match = [11, 41]").err().unwrap();
    assert!(
        refused.contains("participant[2].inflight_max: answers of \"bank-a\" are matched without F7"),
        "{refused}"
    );
    assert!(refused.contains("together hold 900008 trace numbers (F11)"), "{refused}");
    assert!(many("\nanswer_match = [7, 11, 41]").is_ok() && many("").is_ok());
}

/// What an answer is not matched by is not promised.
#[test]
fn answers_are_not_matched_by_the_merchant() {
    let message = wrong("timeout = \"3s\"", "answer_match = [11, 41, 42]");
    assert!(message.contains("answers are matched by some of 7, 11, 37, 41, not 42"), "{message}");
}

#[test]
fn addresses_that_a_start_would_refuse_are_faults() {
    let listener = "address = \"127.0.0.1:7100\"";
    let plain = |address: &str| format!("address = \"{address}\"\nallow_plaintext = true");
    for (address, says) in [
        ("239.1.1.1:7100", "multicast"),
        ("[ff02::1]:7100", "multicast"),
        ("255.255.255.255:7100", "broadcast"),
        ("[fe80::1]:7100", "needs its interface"),
    ] {
        assert!(wrong(listener, &plain(address)).contains(says), "{address}");
        let told = wrong("connect = [\"127.0.0.1:7200\"]", &format!("connect = [\"{address}\"]"));
        assert!(told.contains(says), "{told}");
    }
    for (address, says) in [
        ("127.0.0.1:0", "port 0"),
        ("0.0.0.0:7200", "names no machine"),
        ("[::]:7200", "names no machine"),
        ("127.0.0.1:7100", "it would talk to itself"),
    ] {
        let told = wrong("connect = [\"127.0.0.1:7200\"]", &format!("connect = [\"{address}\"]"));
        assert!(told.contains(says), "{told}");
    }
    let itself = GOOD.replace(listener, &plain("0.0.0.0:7200"));
    assert!(faults(&itself).contains("it would talk to itself"));
    let second = |first: &str, second: &str| {
        let more =
            format!("[[listener]]\n{}\nparticipant = \"city\"\ndialect = \"iso87-ascii\"\n", plain(second));
        format!("{}{more}", GOOD.replace(listener, &plain(first)))
    };
    for (one, two) in [
        ("127.0.0.1:7100", "127.0.0.1:7100"),
        ("0.0.0.0:7100", "127.0.0.1:7100"),
        ("127.0.0.1:7100", "0.0.0.0:7100"),
        ("[::]:7100", "127.0.0.1:7100"),
        ("[::1]:7100", "[::]:7100"),
        ("[::ffff:127.0.0.1]:7100", "127.0.0.1:7100"),
    ] {
        assert!(faults(&second(one, two)).contains("is listened on twice"), "{one} {two}");
    }
    for (one, two) in [
        ("127.0.0.1:7100", "127.0.0.1:7101"),
        ("127.0.0.1:7100", "127.0.0.2:7100"),
        ("0.0.0.0:7100", "[::1]:7100"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("[fe80::1%1]:7100", "[fe80::1%2]:7100"),
    ] {
        assert!(parse("test.toml", &second(one, two), Path::new(".")).is_ok(), "{one} {two}");
    }
    let told = wrong("data_dir = \"data\"", "data_dir = \"data\"\nadmin = \"127.0.0.1:7100\"");
    assert!(told.contains("is taken by a listener"), "{told}");
}

/// What is wrong with this text.
fn faults(text: &str) -> String {
    parse("test.toml", text, Path::new(".")).err().unwrap().to_string()
}

#[test]
fn a_file_full_of_faults_is_told_of_in_short() {
    let keys: String = (0..50_000).map(|at| format!("unknown_{at} = 1\n")).collect();
    let told = faults(&format!("{GOOD}{keys}"));
    assert!(
        told.contains("49900 more errors are not shown") && told.ends_with("50000 errors"),
        "{}",
        &told[told.len() - 200..]
    );
    assert!(told.len() < 50_000, "{} bytes", told.len());
    let listeners: String = (0..2000)
        .map(|at| format!("[[listener]]\naddress = \"127.0.0.1:{}\"\nparticipant = \"nobody\"\ndialect = \"iso87-ascii\"\n", 10_000 + at))
        .collect();
    assert!(faults(&format!("{GOOD}{listeners}")).ends_with("2000 errors"));
    let inline: Vec<String> = (0..20_000).map(|at| format!("k{at} = 1")).collect();
    let told = faults(&format!("{GOOD}more = {{ {} }}\n", inline.join(", ")));
    assert!(told.len() < 50_000, "{} bytes", told.len());
    let long = "k".repeat(200_000);
    assert!(faults(&format!("{GOOD}{long} = 1\n")).contains("unknown key"));
}

#[test]
fn what_may_be_handed_over_is_at_most_half_of_a_segment() {
    let journal = |rows: &str| format!("{GOOD}[journal]\n{rows}\n");
    let pending = |rows: &str| {
        let config = parse("test.toml", &journal(rows), Path::new(".")).unwrap();
        config.journal.pending_bytes_max
    };
    assert_eq!(pending("segment = \"8MiB\""), 4 << 20, "the default fits the segment");
    assert_eq!(pending("segment = \"256MiB\""), 32 << 20);
    assert_eq!(pending("segment = \"8MiB\"\npending_max = \"4MiB\""), 4 << 20);
    let told = faults(&journal("segment = \"8MiB\"\npending_max = \"5MiB\""));
    assert!(told.contains("pending_max") && told.contains("at most half of a segment"), "{told}");
}
