//! Many idle terminals, some that never read, one that speaks garbage (P9, P11).

use crate::city::{City, Settings, Town};
use crate::peer::{Peer, purchase};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use yika_loadgen::{IssuerConfig, issuer};
use yika_switch::admin::control::status;
use yika_tests::Wire;
use yika_tests::process::{Yika, get, wait_for};
use yika_tests::setup::dialect;

const CARD: &str = "4111111111111111";
/// What an idle terminal may cost the switch: its machine and its task, and no buffer.
const IDLE_BYTES_MAX: u64 = 6 * 1024;
/// What one that never reads may cost: `session_out_max` is 4 MiB, buffers grow by doubling, and the allocator gives
/// memory back in large parts and late. Far below what was sent.
const SLOW_KIB_MAX: u64 = 48 * 1024;

#[test]
fn p9_ten_thousand_idle_terminals_cost_little() {
    // Each takes a descriptor here and one in the switch, which raises its own limit.
    let limit = usize::try_from(yika_switch::net::raise_open_files()).unwrap_or(usize::MAX);
    let crowd_size = limit.saturating_sub(1000).min(10_000);
    if crowd_size < 10_000 {
        // Past the harness, which keeps what a test prints to itself unless it fails.
        let told = format!("only {crowd_size} idle terminals instead of 10000: ulimit -Hn is {limit}\n");
        std::io::stdout().write_all(told.as_bytes()).unwrap();
    }
    assert!(crowd_size >= 1000, "this test needs more open files than the {limit} that ulimit -Hn allows");
    let folder = tempfile::tempdir().unwrap();
    let wire = yika_loadgen::Wire::named("iso87-ascii", None, None).unwrap();
    let bank = issuer::start(IssuerConfig::new("bank-a", ([127, 0, 0, 1], 0).into(), wire)).unwrap();
    let host = ("bank-a", "issuer", "iso87-ascii", bank.addr());
    let town = Town::with_hosts(folder.path(), &[host], &Settings::default());
    let yika = Yika::start(folder.path());
    let before = yika.memory_kib();
    let mut crowd: Vec<TcpStream> =
        (0..crowd_size).map(|_| TcpStream::connect(town.listener).unwrap()).collect();
    wait_for("all to be accepted", Duration::from_secs(60), || {
        status(&yika.data()).unwrap().sessions >= crowd_size
    });
    let each = (yika.memory_kib().saturating_sub(before)) * 1024 / crowd_size as u64;
    assert!(each < IDLE_BYTES_MAX, "an idle terminal takes {each} bytes");
    for (stan, at) in [0, crowd_size / 2, crowd_size - 1].into_iter().enumerate() {
        let mut one = Peer::over(crowd[at].try_clone().unwrap(), dialect("iso87-ascii"));
        assert_eq!(one.asks(&purchase("iso87-ascii", CARD, stan as u32, 100)).code(), "00");
    }
    crowd.truncate(1);
    wait_for("the others to be forgotten", Duration::from_secs(60), || {
        status(&yika.data()).unwrap().sessions == 1
    });
    assert!(yika.stop().success());
}

#[test]
fn p9_p11_slow_readers_hold_no_memory_and_garbage_closes_its_own_socket() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "delay=1ms");
    let yika = Yika::start(folder.path());
    let before = yika.memory_kib();
    let encoded = |wire: Wire| wire.encode(&dialect("iso87-ascii"), &[]);
    let echo = encoded(Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, "301"));
    // What the core answers, and what the session refuses by itself: this one has no MAC.
    let refused = encoded(purchase("iso87-ascii", CARD, 1, 100));
    for frame in [&echo, &refused] {
        floods(city.listener, frame);
        let grown = yika.memory_kib().saturating_sub(before);
        assert!(grown < SLOW_KIB_MAX, "slow readers hold {grown} KiB");
    }
    let metrics = get(yika.addresses().unwrap().admin.unwrap(), "/metrics");
    assert!(metrics.contains("yika_sessions_closed_total{why=\"slow-reader\"} 2"), "{metrics}");
    let mut rude = TcpStream::connect(city.listener).unwrap();
    rude.write_all(&[0xff; 4096]).unwrap();
    rude.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let closed = rude.read(&mut [0; 16]);
    assert!(matches!(closed, Ok(0)) || closed.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    let mut polite = TcpStream::connect(city.listener).unwrap();
    polite.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    polite.write_all(&echo).unwrap();
    let mut answer = [0; 6];
    polite.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], b"0810");
    assert!(yika.stop().success());
}

/// Writes and never reads, until the switch has enough of it and closes the connection.
fn floods(listener: SocketAddr, frame: &[u8]) {
    let block = frame.repeat(1000);
    let mut slow = TcpStream::connect(listener).unwrap();
    slow.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let stopped = (0..20_000).find_map(|_| slow.write_all(&block).err().map(|e| e.kind()));
    let stopped = stopped.expect("a gigabyte of requests was taken from one that never reads");
    assert!(matches!(stopped, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{stopped}");
}

/// A bank that asks without end and never reads: its questions are let go, and nothing piles up between two turns.
#[test]
fn p9_a_bank_that_floods_a_real_line_with_questions_costs_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bank = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = ("bank-a", "issuer", "iso87-ascii", bank.local_addr().unwrap());
    Town::with_hosts(folder.path(), &[host], &Settings::default());
    let mut yika = Yika::start(folder.path());
    let before = yika.memory_kib();
    let dialect = dialect("iso87-ascii");
    let echo = Wire::new(0x0800).with(7, "1124000000").with(11, "000001").with(70, "301");
    let questions = echo.encode(&dialect, dialect.default_header()).repeat(1_000);
    for _ in 0..2 {
        let (mut line, _) = bank.accept().unwrap();
        line.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // Until the switch takes no more, or has closed the line.
        let sent = (0..400).take_while(|_| line.write_all(&questions).is_ok()).count();
        assert!(sent > 0, "the line took nothing");
    }
    assert!(yika.is_alive(), "{}", yika.log());
    let grew = yika.memory_kib().saturating_sub(before);
    assert!(grew < SLOW_KIB_MAX, "{grew} KiB for questions that nobody reads the answers to");
}
