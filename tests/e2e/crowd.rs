//! Many idle terminals, one that never reads, one that speaks garbage (P9, P11).

use crate::city::City;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use yika_loadgen::{Load, run};
use yika_switch::admin::control::status;
use yika_tests::process::{Yika, wait_for};

#[test]
fn p9_ten_thousand_idle_terminals_cost_little() {
    // Each takes a descriptor here and one in the switch, which raises its own limit.
    let limit = usize::try_from(yika_switch::net::raise_open_files()).unwrap_or(usize::MAX);
    let crowd_size = limit.saturating_sub(1000).min(10_000);
    assert!(crowd_size >= 1000, "this test needs more open files than the {limit} that ulimit -Hn allows");
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "delay=1ms");
    let yika = Yika::start(folder.path());
    let before = yika.memory_kib();
    let crowd: Vec<TcpStream> = (0..crowd_size).map(|_| TcpStream::connect(city.listener).unwrap()).collect();
    wait_for("all to be accepted", Duration::from_secs(60), || {
        status(&yika.data()).unwrap().sessions >= crowd_size
    });
    let each = (yika.memory_kib().saturating_sub(before)) * 1024 / crowd_size as u64;
    assert!(each < 8 * 1024, "an idle terminal takes {each} bytes");
    let mut config = city.terminals("iso87-ascii");
    config.load = Load::Closed { outstanding: 1 };
    config.connections = 2;
    config.duration = Duration::from_secs(1);
    let report = run::run(config, Duration::from_secs(20), |_| {}).unwrap();
    assert!(report.totals.approved > 10, "{:?}", report.totals);
    drop(crowd);
    assert!(yika.stop().success());
}

#[test]
fn p9_p11_a_slow_reader_holds_no_memory_and_garbage_closes_its_own_socket() {
    let folder = tempfile::tempdir().unwrap();
    let city = City::build(folder.path(), "delay=1ms");
    let yika = Yika::start(folder.path());
    let before = yika.memory_kib();
    let echo = yika_tests::Wire::new(0x0800).with(7, "1123233015").with(11, "000001").with(70, "301");
    let dialect = yika_tests::setup::dialect("iso87-ascii");
    let frame = echo.encode(&dialect, &[]);
    let block = frame.repeat(1000);
    let mut slow = TcpStream::connect(city.listener).unwrap();
    slow.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    // It writes and never reads: the switch pauses or closes it; either way its memory stays.
    let stopped = (0..20_000).find_map(|_| slow.write_all(&block).err().map(|e| e.kind()));
    let stopped = stopped.expect("two gigabytes of requests were taken from one that never reads");
    assert!(matches!(
        stopped,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    ));
    let grown = yika.memory_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "one slow reader holds {grown} KiB");
    let mut rude = TcpStream::connect(city.listener).unwrap();
    rude.write_all(&[0xff; 4096]).unwrap();
    rude.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let closed = rude.read(&mut [0; 16]);
    assert!(matches!(closed, Ok(0)) || closed.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset));
    let mut polite = TcpStream::connect(city.listener).unwrap();
    polite.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    polite.write_all(&frame).unwrap();
    let mut answer = [0; 6];
    polite.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[2..], b"0810");
    drop(slow);
    assert!(yika.stop().success());
}
