//! The control socket of a real process, and readers that go away before the end.

use crate::city::{Settings, Town, in_service};
use crate::peer::{Bank, Peer, purchase};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use yika_switch::admin::control::status;
use yika_switch::data_dir::{Addresses, addresses_in, control_socket_in};
use yika_tests::process::{Held, Yika, get, program, run as command, wait_for};

const CARD: &str = "4111111111111111";

/// One connection to a control socket, for several requests.
struct Operator(BufReader<UnixStream>);

impl Operator {
    fn connect(data: &Path) -> Operator {
        let stream = UnixStream::connect(control_socket_in(data)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Operator(BufReader::new(stream))
    }

    fn asks(&mut self, request: &Value) -> Value {
        writeln!(self.0.get_mut(), "{request}").unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn a_conversation_on_the_control_socket_lists_settles_and_cuts_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 4321));
    bank.hears();
    assert_eq!(terminal.hears().code(), "68");
    let mut operator = Operator::connect(&yika.data());
    let told = operator.asks(&json!("status"));
    assert_eq!(told["status"]["pid"], yika.pid());
    assert_eq!(told["status"]["open_obligations"], 1);
    let owed = |told: &Value| -> Vec<(String, u64)> {
        let all = told["status"]["participants"].as_array().unwrap().iter();
        all.map(|one| (one["name"].as_str().unwrap().to_owned(), one["obligations"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(owed(&told), [("bank-a".to_owned(), 1), ("bank-b".to_owned(), 0)]);
    let listed = operator.asks(&json!("saf-list"));
    let one = &listed["obligations"][0];
    assert_eq!(
        (&one["kind"], &one["participant"], &one["amount"]),
        (&json!("reverse"), &json!("bank-a"), &json!(4321))
    );
    assert_eq!(one["card"].as_str().unwrap().len(), 12, "a token, no card number: {one}");
    let settle = |id: &Value, reason: &str| json!({"saf-settle": {"id": id, "reason": reason}});
    let blank = operator.asks(&settle(&one["id"], "  "));
    assert!(blank["refused"].as_str().unwrap().contains("say why"), "{blank}");
    assert_eq!(
        operator.asks(&json!("status"))["status"]["open_obligations"],
        1,
        "a blank reason settles nothing"
    );
    assert_eq!(operator.asks(&settle(&one["id"], "by telephone")), json!("done"));
    let again = operator.asks(&settle(&one["id"], "by telephone"));
    assert!(again["refused"].as_str().unwrap().contains("no open obligation has the id"), "{again}");
    assert_eq!(operator.asks(&json!("saf-list")), json!({"obligations": []}));
    let date = told["status"]["business_date"].as_u64().unwrap();
    assert_eq!(operator.asks(&json!("cut-over")), json!("done"));
    assert!(operator.asks(&json!("status"))["status"]["business_date"].as_u64().unwrap() > date);
    let unknown = operator.asks(&json!({"erase": true}));
    assert!(unknown["refused"].as_str().unwrap().contains("not a request this switch knows"), "{unknown}");
    assert!(yika.stop().success());
}

/// Runs a command whose standard output has no reader any more: exit code and standard error.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended =
        Command::new(program("yika")).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_command_whose_reader_went_away_ends_quietly_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let (bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    Town::build(folder.path(), &bank, &other, &Settings::default());
    let config = folder.path().join("yika.toml").display().to_string();
    let yika = Yika::start(folder.path());
    for arguments in [
        ["--help"].as_slice(),
        &["check", "--config", &config],
        &["status", "--config", &config],
        &["status", "--json", "--config", &config],
        &["saf", "list", "--config", &config],
        &["journal", "verify", "--config", &config],
        &["journal", "stats", "--json", "--config", &config],
        &["journal", "dump", "--config", &config],
        &["cut-over", "--config", &config],
    ] {
        assert_eq!(unread(arguments), (Some(0), String::new()), "{arguments:?}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended =
        Command::new(program("yika")).args(["check", "--config", &config]).stdout(full).output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(74) && err.contains("cannot write to standard output"), "{err}");
    let ended = Command::new(program("yika"))
        .args(["check", "--config", &config])
        .env("YIKA_LOG", "x=loud")
        .output()
        .unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && err.contains("YIKA_LOG=\"x=loud\" is no level"), "{err}");
    assert!(yika.stop().success());
}

/// A switch whose log goes into a pipe.
fn piped(folder: &Path, level: &str) -> Held {
    let mut serve = Command::new(program("yika"));
    serve.args(["serve", "--config"]).arg(folder.join("yika.toml")).env("YIKA_LOG", level);
    Held(serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_switch_whose_log_has_no_reader_any_more_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder.path(), &bank, &other, &Settings::default());
    let data = folder.path().join("data");
    let mut yika = piped(folder.path(), "info");
    drop(yika.0.stderr.take());
    wait_for("the switch to serve", Duration::from_secs(20), || status(&data).is_ok());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 100));
    let request = bank.hears();
    bank.answers(&request, "00");
    assert_eq!(terminal.hears().code(), "00");
    let place = data.display().to_string();
    let (code, _, err) = command("yika", &["cut-over", "--data", &place]);
    assert_eq!((code, err.as_str()), (0, ""), "its date is logged to nobody");
    drop(terminal);
    assert!(Command::new("kill").arg(yika.0.id().to_string()).status().unwrap().success());
    assert!(yika.ends_within(Duration::from_secs(20)).success());
}

/// The value of a metric, named with its labels.
fn metric(admin: SocketAddr, name: &str) -> u64 {
    let text = get(admin, "/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    value.parse().unwrap()
}

#[test]
fn p9_a_log_that_is_not_read_loses_lines_by_count_and_stops_no_payment() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, other) = (Bank::open("bank-a", "iso87-ascii"), Bank::open("bank-b", "pos-bcd"));
    let town = Town::build(folder.path(), &bank, &other, &Settings::default());
    let data = folder.path().join("data");
    let mut yika = piped(folder.path(), "debug");
    wait_for("the switch to serve", Duration::from_secs(20), || status(&data).is_ok());
    let addresses: Addresses =
        serde_json::from_str(&std::fs::read_to_string(addresses_in(&data)).unwrap()).unwrap();
    let admin = addresses.admin.unwrap();
    wait_for("the switch to be ready", Duration::from_secs(20), || {
        get(admin, "/readyz").starts_with("HTTP/1.1 200")
            && status(&data).is_ok_and(|status| status.participants.iter().all(|one| one.lines_open == 1))
    });
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    // Each is refused, with a line of the log that nobody reads.
    let wrong = purchase("iso87-ascii", CARD, 1, 100).with(7, "1332250000");
    while metric(admin, "yika_log_lines_lost_total") == 0 {
        for _ in 0..500 {
            assert_eq!(terminal.asks(&wrong).code(), "30");
        }
    }
    terminal.sends(&purchase("iso87-ascii", CARD, 2, 100));
    let request = bank.hears();
    bank.answers(&request, "00");
    assert_eq!(terminal.hears().code(), "00");
    let mut log = BufReader::new(yika.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = log.find(|line| line.contains("lines of the log were lost"));
    assert!(told.is_some_and(|line| line.contains("WARN") && line.contains("lines=")), "it is told");
    drop(terminal);
    assert!(Command::new("kill").arg(yika.0.id().to_string()).status().unwrap().success());
    assert!(log.any(|line| line.contains("drained and stopped")), "the end is written too");
    assert!(yika.ends_within(Duration::from_secs(20)).success());
}

#[test]
fn alarms_call_a_participant_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, yika) = in_service(folder.path());
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    terminal.sends(&purchase("iso87-ascii", CARD, 1, 100));
    let request = bank.hears();
    assert_eq!(terminal.hears().code(), "68");
    bank.answers(&request, "00");
    let told = || yika.log().lines().find(|line| line.contains("an approval came after")).map(str::to_owned);
    wait_for("the alarm", Duration::from_secs(20), || told().is_some());
    let line = told().unwrap();
    assert!(line.contains("participant=\"bank-a\"") && line.contains("held_back=0"), "{line}");
    assert!(yika.stop().success());
}

#[test]
fn a_participant_is_drained_by_command_until_the_command_that_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bank, _other, town, mut yika) = in_service(folder.path());
    let data = yika.data().display().to_string();
    let says = |arguments: &[&str]| command("yika", &[arguments, &["--data", &data]].concat());
    let (code, _, err) = says(&["drain", "city"]);
    assert!(code == 74 && err.contains("\"city\" is no participant that the switch connects to"), "{err}");
    let drained = |yika: &Yika| {
        let admin = yika.addresses().unwrap().admin.unwrap();
        metric(admin, "yika_participant_drained{participant=\"bank-a\"}")
    };
    assert_eq!(drained(&yika), 0);
    let (code, out, err) = says(&["drain", "bank-a"]);
    assert!(code == 0 && out.contains("bank-a is drained"), "{out}{err}");
    yika.kill();
    yika = Yika::start(folder.path());
    assert_eq!(drained(&yika), 1, "also after a kill");
    let (_, out, _) = says(&["status"]);
    assert!(out.contains("drained by an operator"), "{out}");
    let mut terminal = Peer::connect(town.listener, "iso87-ascii");
    assert_eq!(terminal.asks(&purchase("iso87-ascii", CARD, 1, 100)).code(), "91");
    let (code, out, _) = says(&["drain", "bank-a", "--end"]);
    assert!(code == 0 && out.contains("no longer"), "{out}");
    let (_, out, _) = says(&["status", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["participants"][0]["drained"], false);
    wait_for("a line to carry requests", Duration::from_secs(20), || {
        says(&["status"]).1.contains("1 of 1 lines open")
    });
    terminal.sends(&purchase("iso87-ascii", CARD, 2, 100));
    let request = bank.hears();
    bank.answers(&request, "00");
    assert_eq!(terminal.hears().code(), "00");
    let (_, out, _) = says(&["journal", "dump"]);
    assert!(out.contains(" drained participant=bank-a on=true"), "{out}");
    drop(terminal);
    assert!(yika.stop().success());
}
