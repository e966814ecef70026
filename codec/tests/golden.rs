//! Golden bytes of both built-in dialects, both ways: what is on the wire, and what each value means.

use std::sync::Arc;
use yika_codec::{Dialect, Kind, Layout, Mti};

fn dialect(name: &str) -> Arc<Dialect> {
    Dialect::builtin(name).expect("a built-in dialect")
}

#[test]
fn reference_message() {
    const WIRE: &[u8] = b"02007238000008C0800016411111111111111100000000000001000006151230451234561230450615412345678901TERM0001MERCHANT0000001840";
    let dialect = dialect("iso87-ascii");
    let mut layout = Layout::default();
    dialect.decode(WIRE, &mut layout).unwrap();
    let message = dialect.message(WIRE, &layout);
    assert_eq!(message.mti(), Mti::new(0x0200));
    assert_eq!(message.kind(), Some(Kind::Purchase));
    assert_eq!(message.number(4), Some(10_000));
}
