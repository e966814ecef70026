//! A world with gateways, and what one of them sends: taps, batches, payments.

use yika_codec::Code;
use yika_codec::gate::{
    BatchClosed, BatchOpen, BatchPart, BatchState, ErrorCode, Fields, Heartbeat, Message, Payment, RawRecord,
    Record, Records, Tap, Totals, Transaction, TransactionHead, Verdict,
};
use yika_keystore::{GateKey, Sha256};
use yika_switch::config::{Config, GateConfig};
use yika_tests::gateway::{Gateway, Said, Sums, date, local, tap};
use yika_tests::setup::{ACQUIRER, config};
use yika_tests::{KeyRing, Terminal, World};

pub(super) const ZONE: &str = "zone-1";
pub(super) const SESSION: [u8; 16] = *b"a session of one";

/// A gateway and its connection to a world.
pub(super) struct Line {
    pub(super) end: Terminal,
    pub(super) peer: Gateway,
}

pub(super) struct Town {
    pub(super) world: World,
    pub(super) key: GateKey,
    pub(super) ring: KeyRing,
}

impl Town {
    pub(super) fn new() -> Town {
        Town::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Town {
        let (ring, keys) = KeyRing::agreed(&[ZONE, "pin-0", "pin-a"]);
        let mut settings = config();
        settings.participants[0].gate_keys = vec![ZONE.into()];
        settings.listeners[0].gate =
            Some(GateConfig { heartbeat: std::time::Duration::from_secs(30), credits: 1000 });
        change(&mut settings);
        Town { world: World::with_keys(settings, keys), key: ring.gate(ZONE), ring }
    }

    pub(super) fn connects(&mut self) -> Line {
        self.connects_as("depot-3")
    }

    pub(super) fn connects_as(&mut self, gateway: &str) -> Line {
        let (end, mut peer) = (self.world.terminal(), Gateway::new(SESSION));
        let bytes = peer.greets(peer.hello(&self.key, ACQUIRER, gateway));
        self.world.sends_bytes(end, &bytes);
        let answer = peer.agrees(&self.key, &self.world.bytes_at(end)).unwrap();
        assert_eq!((answer.levels, answer.credits), (1, 1000));
        let mut line = Line { end, peer };
        // The first frame with a good MAC proves it.
        let beat = self.asks(&mut line, &Message::Heartbeat(Heartbeat { time_ms: 5 }));
        assert!(matches!(beat[..], [ref one] if matches!(one.message(), Message::HeartbeatAnswer(_))));
        line
    }

    pub(super) fn asks(&mut self, line: &mut Line, message: &Message<'_>) -> Vec<Said> {
        let (bytes, _) = line.peer.says(message);
        self.world.sends_bytes(line.end, &bytes);
        line.peer.hears(&self.world.bytes_at(line.end))
    }

    /// The verdict on a single tap, and the business date with it.
    pub(super) fn taps(&mut self, line: &mut Line, record: &[u8]) -> Option<(Verdict, u32)> {
        let tap = Message::Tap(Tap { record: RawRecord::new(record).unwrap() });
        let all = self.asks(line, &tap);
        let Message::TapVerdict(said) = all.first()?.message() else { panic!("{all:?}") };
        Some((Verdict::of(said.verdict).unwrap(), said.business_date.number()))
    }

    /// The code of the error frame that ends the connection.
    pub(super) fn ends(&mut self, line: &mut Line, bytes: &[u8]) -> ErrorCode {
        self.world.sends_bytes(line.end, bytes);
        let all = line.peer.hears(&self.world.bytes_at(line.end));
        let Message::Fault(fault) = all.last().unwrap().message() else { panic!("{all:?}") };
        assert_eq!(fault.fatal, 1);
        assert!(self.world.was_closed(line.end));
        ErrorCode::of(fault.code).unwrap()
    }

    pub(super) fn now(&self) -> u64 {
        self.world.now.wall_ms
    }

    pub(super) fn totals(&mut self, line: &mut Line, sums: Sums) -> (u8, u64) {
        let date = date(self.world.driver.core.durable.dates.current.0);
        let (count, amount_fen, hash) = (sums.count, sums.fen, sums.hash);
        let all = self.asks(line, &Message::Totals(Totals { date, kind: 1, count, amount_fen, hash }));
        let Message::TotalsAnswer(said) = all[0].message() else { panic!("{all:?}") };
        (said.result, said.count)
    }
}

/// A batch: its records, and what is announced of it.
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) records: Vec<Vec<u8>>,
    pub(super) open: BatchOpen<'static>,
    pub(super) sums: Sums,
}

impl Batch {
    pub(super) fn of(id: u64, source: u8, count: u32, town: &Town) -> Batch {
        let records: Vec<Vec<u8>> = (1..=count).map(|n| tap(source, n, n, town.now())).collect();
        let mut sums = Sums::default();
        records.iter().zip(1..).for_each(|(record, fen)| sums.add(record, fen));
        let open = BatchOpen {
            batch: id,
            content: 1,
            records: count,
            amount_fen: sums.fen,
            hash: Sha256::of(&records.concat()),
            date: date(20_261_124),
            payer: None,
            policy: None,
            period: None,
            signature: None,
        };
        Batch { id, records, open, sums }
    }

    pub(super) fn opens(&self, town: &mut Town, line: &mut Line) -> BatchState {
        let all = town.asks(line, &Message::BatchOpen(self.open));
        let Message::BatchState(state) = all[0].message() else { panic!("{all:?}") };
        state
    }

    /// The verdicts on a part, and the end of the batch when that came with them.
    pub(super) fn sends(
        &self,
        town: &mut Town,
        line: &mut Line,
        from: usize,
        to: usize,
    ) -> (Vec<u8>, Option<BatchClosed>) {
        let bytes = self.records[from..to].concat();
        let records = Records::new((to - from) as u16, &bytes).unwrap();
        let all =
            town.asks(line, &Message::BatchPart(BatchPart { batch: self.id, first: from as u32, records }));
        let Message::BatchVerdicts(said) = all[0].message() else { panic!("{all:?}") };
        assert_eq!((said.batch, said.first), (self.id, from as u32));
        let closed = all.get(1).map(|one| match one.message() {
            Message::BatchClosed(closed) => closed,
            other => panic!("{other:?}"),
        });
        (said.verdicts.numbers().to_vec(), closed)
    }
}

pub(super) fn payment<'a>(reference: &[u8; 16], wall_ms: u64, fields: &'a [u8]) -> Payment<'a> {
    Payment {
        head: TransactionHead { reference: *reference, time: local(wall_ms) },
        message_kind: [0x02, 0x00],
        fields: Fields::new(fields).unwrap(),
        scenario: None,
        district: None,
        carrier: None,
    }
}

/// A record of these fields, under a reference.
pub(super) fn record_of(reference: &[u8; 16], town: &Town, wire: &yika_tests::Wire) -> Vec<u8> {
    let (mut fields, mut bytes) = (Vec::new(), Vec::new());
    for (n, value) in wire.fields.iter() {
        Fields::push(n, value, &mut fields);
    }
    let message_kind = wire.mti.bcd().to_be_bytes();
    Record::Payment(Payment { message_kind, ..payment(reference, town.now(), &fields) }).encode(&mut bytes);
    bytes
}

pub(super) fn transaction(record: &[u8]) -> Message<'_> {
    Message::Transaction(Transaction { wait_ms: 20_000, record: RawRecord::new(record).unwrap() })
}

/// State, code, F38 and F37 of the answer to a transaction.
pub(super) fn answered(all: &[Said]) -> (u8, String, Option<Vec<u8>>, Option<Vec<u8>>) {
    let Message::TransactionAnswer(said) = all[0].message() else { panic!("{all:?}") };
    let field = |n| said.fields.get(n).map(<[u8]>::to_vec);
    (said.state, Code::new(said.code).to_string(), field(38), field(37))
}
