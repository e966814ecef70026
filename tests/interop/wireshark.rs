//! Wireshark beside us: its own dissector of ISO 8583 reads what we read, and ours of the gateway protocol shows every
//! frame. Both scripts say so and pass where tshark is not installed.

use crate::gateways::run;
use yika_tests::process::program;

#[test]
fn wireshark_and_yika_read_every_field_of_one_capture_alike() {
    let (code, out, err) = run(&["iso8583_capture.py", program("yika").to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    println!("{out}");
}

#[test]
fn the_dissector_shows_every_frame_and_record_of_the_page() {
    let (code, out, err) = run(&["dissect.py"]);
    assert_eq!(code, 0, "{out}{err}");
    println!("{out}");
}
