//! The other side of the gateway protocol: a gateway that keeps count of its frames and checks what it is told. Bytes
//! go in and out; who carries them is the test's.

use crate::wire::Wire;
use yika_codec::gate::{
    ClosedTap, Date, Fields, Frame, Hello, HelloAnswer, LocalTime, Message, Name, Payment, Record, Sequence,
    TapHead, TransactionHead, feature, next, write, write_open,
};
use yika_keystore::{GateKey, GateSession, GateSide, Sha256};
use yika_switch::core::clock::business_date;

/// One connection of a gateway.
pub struct Gateway {
    keys: Option<GateSession>,
    hello: Vec<u8>,
    pub sent: Sequence,
    came: Sequence,
    bytes: Vec<u8>,
    correlation: u32,
    pub session: [u8; 16],
    /// Open batches that the hello answer named, each with the index from which it goes on.
    pub open: Vec<(u64, u32)>,
}

/// A frame that came: its type, correlation and body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    pub kind: u8,
    pub correlation: u32,
    body: Vec<u8>,
}

impl Said {
    pub fn message(&self) -> Message<'_> {
        Message::decode(self.kind, &self.body).unwrap()
    }
}

pub const ALL_FEATURES: u64 = feature::TAPS | feature::BATCHES | feature::TRANSACTIONS | feature::TOTALS;

impl Gateway {
    /// A connection that has not said anything yet.
    pub fn new(session: [u8; 16]) -> Gateway {
        let (sent, came) = (Sequence::default(), Sequence::default());
        Gateway {
            keys: None,
            hello: Vec::new(),
            sent,
            came,
            bytes: Vec::new(),
            correlation: 0,
            session,
            open: Vec::new(),
        }
    }

    pub fn hello<'a>(&self, key: &GateKey, participant: &'a str, gateway: &'a str) -> Hello<'a> {
        Hello {
            version_min: 1,
            version_max: 1,
            features: ALL_FEATURES,
            features_needed: feature::TAPS,
            key_check: key.check_value(),
            random: [7; 16],
            session: self.session,
            participant: Name::new(participant.as_bytes()).unwrap(),
            gateway: Name::new(gateway.as_bytes()).unwrap(),
            software: None,
        }
    }

    /// The bytes of the hello, which has no MAC.
    pub fn greets(&mut self, hello: Hello<'_>) -> Vec<u8> {
        let message = Message::Hello(hello);
        message.encode(&mut self.hello);
        let mut out = Vec::new();
        write_open(&mut out, self.sent.give().unwrap(), 1, &message);
        out
    }

    /// Takes the answer to the hello out of what came, and makes the keys of the connection; the error frame otherwise.
    pub fn agrees(&mut self, key: &GateKey, bytes: &[u8]) -> Result<HelloAnswer<'static>, Said> {
        let frame = next(bytes, 4096).unwrap().expect("a whole frame");
        self.came.take(frame.head.sequence).unwrap();
        let Message::HelloAnswer(answer) = frame.message().unwrap() else { return Err(said(&frame)) };
        let keys = key.session(GateSide::Client, &self.hello, frame.body);
        assert!(keys.check.verify(frame.signed, frame.mac.unwrap(), ()).is_ok(), "the answer's MAC");
        self.keys = Some(keys);
        self.bytes.extend_from_slice(&bytes[frame.bytes..]);
        self.open = answer.batches.map_or_else(Vec::new, |open| open.iter().collect());
        Ok(HelloAnswer { batches: None, software: None, ..answer })
    }

    /// The bytes of a frame, and its correlation.
    pub fn says(&mut self, message: &Message<'_>) -> (Vec<u8>, u32) {
        self.correlation += 1;
        let (mut out, keys) = (Vec::new(), self.keys.as_ref().expect("after the hello"));
        write(&mut out, self.sent.give().unwrap(), self.correlation, message, |signed| {
            keys.make.generate(signed)
        });
        (out, self.correlation)
    }

    /// The answer to a question of the switch.
    pub fn answers(&mut self, correlation: u32, message: &Message<'_>) -> Vec<u8> {
        let (mut out, keys) = (Vec::new(), self.keys.as_ref().expect("after the hello"));
        write(&mut out, self.sent.give().unwrap(), correlation, message, |signed| keys.make.generate(signed));
        out
    }

    /// The same for a body that the codec would not write.
    pub fn says_raw(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.correlation += 1;
        self.says_raw_under(self.correlation, kind, body)
    }

    /// The same under any correlation.
    pub fn says_raw_under(&mut self, correlation: u32, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = ((20 + body.len()) as u32).to_be_bytes().to_vec();
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&self.sent.give().unwrap().to_be_bytes());
        out.extend_from_slice(&correlation.to_be_bytes());
        out.extend_from_slice(body);
        let mac = self.keys.as_ref().expect("after the hello").make.generate(&out);
        out.extend_from_slice(&mac);
        out
    }

    /// All whole frames, each with a good MAC and the next number.
    pub fn hears(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.bytes.extend_from_slice(bytes);
        let (mut all, mut used) = (Vec::new(), 0);
        while let Some(frame) = next(&self.bytes[used..], 1 << 20).unwrap() {
            let keys = self.keys.as_ref().expect("after the hello");
            assert!(keys.check.verify(frame.signed, frame.mac.unwrap(), ()).is_ok(), "a MAC");
            self.came.take(frame.head.sequence).unwrap();
            all.push(said(&frame));
            used += frame.bytes;
        }
        self.bytes.drain(..used);
        all
    }
}

fn said(frame: &Frame<'_>) -> Said {
    Said { kind: frame.head.kind, correlation: frame.head.correlation, body: frame.body.to_vec() }
}

/// A tap of a transit purse with nothing that is optional.
pub fn closed_tap(head: TapHead) -> ClosedTap<'static> {
    ClosedTap {
        head,
        transaction_kind: 6,
        card_kind: 1,
        card_subkind: 0,
        logical_id: [0x62; 10],
        physical_id: [0x31; 10],
        status: 0,
        balance_fen: 5000,
        load_counter: 1,
        purchase_counter: head.sequence,
        tac: [1, 2, 3, 4],
        tac_kind: 1,
        tac_terminal: [5; 6],
        algorithm: 1,
        key_version: 1,
        key_index: 1,
        random: [9; 4],
        issuer: [8; 8],
        scenario: None,
        district: None,
        carrier: None,
        entry: None,
        institution: None,
        last_use: None,
        undiscounted_fen: None,
        discount: None,
        transfer: None,
        payment: None,
        receipt: None,
        staff: None,
        modes: None,
        industry: None,
        interoperable: None,
        label: None,
        proof: None,
        source_version: None,
    }
}

/// A closed-loop tap as its record: source and counter tell it from others.
pub fn tap(source: u8, sequence: u32, fen: u32, wall_ms: u64) -> Vec<u8> {
    let head = TapHead {
        source: [source; 8],
        sequence,
        time: local(wall_ms),
        event: 1,
        amount_fen: fen,
        city: [0x50, 0x00],
        line: 3,
        station: 17,
        device_kind: 1,
        device: 42,
        list_version: 9,
    };
    let record = Record::ClosedTap(closed_tap(head));
    let mut out = Vec::new();
    record.encode(&mut out);
    out
}

/// The moment as a card writes it, local time of China.
pub fn local(wall_ms: u64) -> LocalTime {
    let day = business_date(wall_ms, 480).0;
    let second = (wall_ms / 1000 + 8 * 3600) % 86_400;
    let bcd = |value: u64| (((value / 10) << 4) | (value % 10)) as u8;
    let day = u64::from(day);
    let parts = [day / 1_000_000, day / 10_000 % 100, day / 100 % 100, day % 100];
    let time = [second / 3600, second / 60 % 60, second % 60];
    let all: Vec<u8> = parts.into_iter().chain(time).map(bcd).collect();
    LocalTime::new(all.try_into().unwrap()).unwrap()
}

/// A payment record of these fields, with the times of this moment.
pub fn payment(reference: &[u8; 16], wire: &Wire, wall_ms: u64) -> Vec<u8> {
    let wire = wire.clone().at(wall_ms);
    let (mut fields, mut bytes) = (Vec::new(), Vec::new());
    for (n, value) in wire.fields.iter() {
        Fields::push(n, value, &mut fields);
    }
    let record = Payment {
        head: TransactionHead { reference: *reference, time: local(wall_ms) },
        message_kind: wire.mti.bcd().to_be_bytes(),
        fields: Fields::new(&fields).unwrap(),
        scenario: None,
        district: None,
        carrier: None,
    };
    Record::Payment(record).encode(&mut bytes);
    bytes
}

/// What a gateway adds up of records that are stored: count, fen, and their hashes joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    pub count: u64,
    pub fen: u64,
    pub hash: [u8; 32],
}

impl Sums {
    pub fn add(&mut self, record: &[u8], fen: u32) {
        self.count += 1;
        self.fen += u64::from(fen);
        self.hash.iter_mut().zip(Sha256::of(record)).for_each(|(sum, byte)| *sum ^= byte);
    }
}

pub fn date(number: u32) -> Date {
    Date::new(number).unwrap()
}
