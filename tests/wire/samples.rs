//! One example of every message and record of the gateway protocol: those that `docs/wire.md` shows.
//!
//! The page's session is made of the same values, so its taps, batch and totals belong together.

use ring::digest::{SHA256, digest};
use yika_codec::gate::*;

/// The zone key of the examples.
pub(crate) const ZONE_KEY: [u8; 16] = *b"yika zone key 01";
/// Its check value: the left 3 bytes of the AES-CMAC of 16 zeros.
pub(crate) const KEY_CHECK: [u8; 3] = [0xD2, 0xE2, 0x3C];
pub(crate) const CLIENT_RANDOM: [u8; 16] = counted(0xC0);
pub(crate) const SERVER_RANDOM: [u8; 16] = counted(0x50);
const SESSION: [u8; 16] = counted(0x20);
const BATCH: u64 = 2_026_112_600_000_001;
const NOW_MS: u64 = 1_795_652_120_000;

/// Sixteen bytes that count up.
const fn counted(from: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < 16 {
        bytes[at] = from + at as u8;
        at += 1;
    }
    bytes
}

/// Examples live as long as the test.
fn kept(bytes: Vec<u8>) -> &'static [u8] {
    Vec::leak(bytes)
}

fn time(hour: u8, minute: u8) -> LocalTime {
    LocalTime::new([0x20, 0x26, 0x11, 0x26, hour, minute, 0x30]).unwrap()
}

fn today() -> Date {
    Date::new(20_261_126).unwrap()
}

fn name(text: &'static str) -> Name<'static> {
    Name::new(text.as_bytes()).unwrap()
}

fn id(text: &'static str) -> Option<Id<'static>> {
    Id::new(text.as_bytes())
}

fn text(words: &'static str) -> Option<Text<'static>> {
    Text::new(words.as_bytes())
}

fn fields(list: &[(u8, &[u8])]) -> Fields<'static> {
    let mut bytes = Vec::new();
    for (number, value) in list {
        Fields::push(*number, value, &mut bytes);
    }
    Fields::new(kept(bytes)).unwrap()
}

fn tap_head(sequence: u32, event: u8, amount_fen: u32) -> TapHead {
    TapHead {
        source: [0, 0, 0x40, 0x00, 0x01, 0x00, 0x12, 0x34],
        sequence,
        time: time(0x08, 0x15),
        event,
        amount_fen,
        city: [0x65, 0x30],
        line: 3,
        station: 17,
        device_kind: 2,
        device: 1042,
        list_version: 811,
    }
}

fn closed_tap(sequence: u32) -> ClosedTap<'static> {
    ClosedTap {
        transaction_kind: 9,
        card_kind: 1,
        card_subkind: 0,
        logical_id: [0x03, 0x10, 0x48, 0, 0, 0, 0, 0, 0, 0x17],
        physical_id: [0, 0, 0, 0, 0, 0, 0x1A, 0x2B, 0x3C, 0x4D],
        balance_fen: 8600,
        load_counter: 12,
        purchase_counter: 340,
        tac: [0xA1, 0xB2, 0xC3, 0xD4],
        tac_kind: 1,
        tac_terminal: [0x40, 0x00, 0x01, 0x00, 0x12, 0x34],
        algorithm: 1,
        key_version: 1,
        key_index: 1,
        random: [0x0A, 0x0B, 0x0C, 0x0D],
        issuer: [0x01, 0x06, 0x53, 0, 0, 0, 0, 0],
        scenario: Some(41),
        district: Some(500_103),
        carrier: Some(1),
        ..yika_tests::gateway::closed_tap(tap_head(sequence, 3, 400))
    }
}

/// An exit with much that is optional.
fn whole_tap() -> ClosedTap<'static> {
    ClosedTap {
        entry: Some(Place {
            city: [0x65, 0x30],
            institution: [0, 0, 0, 0, 0, 0, 0x05, 0x01],
            line: 3,
            station: 4,
            source: [0, 0, 0x40, 0, 0x01, 0, 0x09, 0x87],
            time: time(0x07, 0x52),
        }),
        last_use: Some(LastUse { source: [0, 0, 0x40, 0, 0x01, 0, 0x09, 0x87], time: time(0x07, 0x52) }),
        undiscounted_fen: Some(500),
        discount: Some(Discount { month: 202_611, rides: 21, spent_fen: 8400 }),
        staff: Some(Staff { operator: 7, shift: 2 }),
        ..closed_tap(100_004)
    }
}

fn qr_ride() -> QrRide<'static> {
    QrRide {
        head: TapHead { source: [0, 0, 0, 0, 0, 0, 0x04, 0x12], ..tap_head(77, 1, 200) },
        scheme: 4,
        checked: 1,
        code: Block::new(b"a code of another scheme").unwrap(),
        scenario: None,
        district: Some(500_103),
        entry: None,
        institution: None,
        undiscounted_fen: None,
        discount: None,
        staff: None,
        account: id("ride-account-5"),
        made_s: Some(1_795_652_100),
    }
}

fn open_tap() -> OpenTap<'static> {
    OpenTap {
        head: TapHead { source: [0, 0, 0, 0, 0, 0, 0x04, 0x13], ..tap_head(78, 1, 200) },
        approval: 4,
        account: account(),
        expiry: [0x30, 0x12],
        card_sequence: 1,
        trace: 5501,
        terminal: *b"BUS00042",
        acceptor: *b"TRANSIT00000001",
        chip: Chip::new(b"\x9F\x26\x08\x01\x02\x03\x04\x05\x06\x07\x08\x9F\x27\x01\x40").unwrap(),
        scenario: None,
        district: None,
        carrier: Some(1),
        entry: None,
        vehicle: id("YU-A00042"),
        driver: None,
        route: id("303"),
        code: None,
        authorization: None,
        reference: None,
    }
}

fn account() -> Account<'static> {
    Account::new(b"6210000000000001").unwrap()
}

fn transaction_head(from: u8) -> TransactionHead {
    TransactionHead { reference: counted(from), time: time(0x08, 0x20) }
}

fn payment() -> Payment<'static> {
    Payment {
        head: transaction_head(0x60),
        message_kind: [0x02, 0x00],
        fields: fields(&[
            (2, b"6210000000000001"),
            (3, b"000000"),
            (4, b"000000001250"),
            (11, b"000815"),
            (12, b"082030"),
            (13, b"1126"),
            (22, b"071"),
            (41, b"KIOSK001"),
            (42, b"TRANSIT00000001"),
            (49, b"156"),
        ]),
        scenario: Some(120),
        district: None,
        carrier: Some(1),
    }
}

fn medical() -> Medical<'static> {
    Medical {
        head: transaction_head(0x70),
        step: 2,
        function: [0x22, 0x07],
        institution: *b"H50010300001",
        message: *b"H50010300001202611260820300001",
        area: 500_103,
        total_fen: 12_600,
        cash_fen: 2600,
        fields: Fields::EMPTY,
        scenario: None,
        district: None,
        carrier: None,
        visit: id("V1"),
        settlement: None,
        charges: id("C1"),
        person: Secret::new(b"person-1"),
        credential_kind: Some(3),
        credential: None,
        insurance: id("310"),
        visit_kind: id("11"),
        account_used: Some(1),
        original: None,
        original_function: None,
        invoice: None,
        parts: Some(CostParts { own_fen: 1000, over_fen: 0, first_fen: 600, scope_fen: 11_000 }),
        sign_in: id("S1"),
        operator: None,
        way: None,
    }
}

fn identity() -> Identity<'static> {
    Identity {
        head: transaction_head(0x80),
        purpose: 3,
        means: 3,
        acceptor: name("library-1"),
        scenario: Some(12),
        district: None,
        carrier: Some(2),
        operator: None,
        card: None,
        id_kind: None,
        id_number: None,
        code: Secret::new(b"a code shown once"),
    }
}

fn line() -> DisbursementLine<'static> {
    DisbursementLine {
        head: transaction_head(0x90),
        line: 1,
        claim: [0x5C; 32],
        amount_fen: 180_000,
        account: account(),
        new_person: 1,
        scenario: Some(93),
        district: None,
        id_number: None,
        policy: id("GRAIN-2026"),
        period: Some(202_611),
        payer: id("FIN-500103"),
        name: None,
        memo: text("grain subsidy"),
        household: None,
        account_kind: None,
    }
}

fn card_status() -> CardStatus<'static> {
    CardStatus {
        head: transaction_head(0xA0),
        action: 1,
        domains: 7,
        effective: time(0x08, 0x20),
        reason: 1,
        card: account(),
        origin: name("hotline"),
        scenario: Some(71),
        district: None,
        expires: Some(LocalTime::new([0x20, 0x26, 0x12, 0x03, 0x08, 0x20, 0x30]).unwrap()),
        card_sequence: None,
        replacement: None,
        serial: None,
    }
}

/// One of each kind of record, by kind.
pub(crate) fn records() -> Vec<Record<'static>> {
    vec![
        Record::ClosedTap(whole_tap()),
        Record::QrRide(qr_ride()),
        Record::OpenTap(open_tap()),
        Record::Payment(payment()),
        Record::Medical(medical()),
        Record::Identity(identity()),
        Record::DisbursementLine(line()),
        Record::CardStatus(card_status()),
    ]
}

/// The records of the example batch. The last has a mandatory tag that nobody knows.
fn batch_records() -> [Vec<u8>; 3] {
    let mut last = bytes_of(&[Record::QrRide(qr_ride())]);
    last.extend_from_slice(&[0x8F, 0xFF, 0, 1, 7]);
    let length = u16::try_from(last.len() - 2).unwrap();
    last[..2].copy_from_slice(&length.to_be_bytes());
    let tap = |sequence| bytes_of(&[Record::ClosedTap(closed_tap(sequence))]);
    [tap(100_002), tap(100_003), last]
}

fn bytes_of(records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        record.encode(&mut bytes);
    }
    bytes
}

fn raw(record: &Record<'_>) -> RawRecord<'static> {
    RawRecord::new(kept(bytes_of(&[*record]))).unwrap()
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

pub(crate) fn hello() -> Message<'static> {
    Message::Hello(Hello {
        version_min: 1,
        version_max: VERSION,
        features: feature::TAPS | feature::BATCHES | feature::TRANSACTIONS | feature::LISTS | feature::TOTALS,
        features_needed: feature::TAPS | feature::BATCHES,
        key_check: KEY_CHECK,
        random: CLIENT_RANDOM,
        session: SESSION,
        participant: name("bus-company"),
        gateway: name("depot-7"),
        software: text("gate 2.3"),
    })
}

pub(crate) fn hello_answer() -> Message<'static> {
    Message::HelloAnswer(HelloAnswer {
        version: VERSION,
        features: feature::TAPS | feature::BATCHES | feature::TRANSACTIONS | feature::LISTS | feature::TOTALS,
        random: SERVER_RANDOM,
        resumed: 0,
        frame_bytes_max: 65_536,
        batch_records_max: 10_000,
        part_records_max: 256,
        heartbeat_seconds: 30,
        server_time_ms: NOW_MS,
        levels: level::STORED | level::SAFE,
        credits: 1000,
        batches_open: 0,
        batches: None,
        software: None,
    })
}

pub(crate) fn heartbeat() -> [Message<'static>; 2] {
    [
        Message::Heartbeat(Heartbeat { time_ms: NOW_MS + 30_250 }),
        Message::HeartbeatAnswer(HeartbeatAnswer { asked_ms: NOW_MS + 30_250, time_ms: NOW_MS + 30_000 }),
    ]
}

pub(crate) fn credit() -> Message<'static> {
    Message::Credit(Credit { credits: 3000 })
}

pub(crate) fn goodbye() -> Message<'static> {
    Message::Goodbye(Goodbye::of(Reason::Done))
}

/// What a server says to a client of a version that it does not speak.
pub(crate) fn fault() -> Message<'static> {
    Message::Fault(Fault {
        versions: Some([VERSION, VERSION]),
        features: Some(0x1F),
        text: text("version 1 only"),
        ..Fault::of(ErrorCode::Version, true)
    })
}

pub(crate) fn tap() -> [Message<'static>; 2] {
    [
        Message::Tap(Tap { record: raw(&Record::ClosedTap(closed_tap(100_001))) }),
        Message::TapVerdict(TapVerdict {
            verdict: Verdict::Stored.number(),
            level: level::STORED,
            business_date: today(),
            credits: 1001,
            reason: None,
        }),
    ]
}

pub(crate) fn batch_open() -> [Message<'static>; 2] {
    [
        Message::BatchOpen(BatchOpen {
            batch: BATCH,
            content: 1,
            records: 3,
            amount_fen: 1000,
            hash: sha256(&batch_records().concat()),
            date: today(),
            payer: None,
            policy: None,
            period: None,
            signature: None,
        }),
        Message::BatchState(BatchState { batch: BATCH, state: 0, stored: 0, next: 0, credits: 1001 }),
    ]
}

/// The two parts, and what is said of each.
pub(crate) fn batch_parts() -> [[Message<'static>; 2]; 2] {
    let records = batch_records();
    let error = Record::decode(RawRecord::new(&records[2]).unwrap()).unwrap_err();
    let mut reasons = Vec::new();
    Reasons::push(0, &Unreadable::of(&error), &mut reasons);
    let part = |first: u32, records: &[Vec<u8>], verdicts, reasons, credits| {
        let count = u16::try_from(records.len()).unwrap();
        let records = Records::new(count, kept(records.concat())).unwrap();
        let verdicts = Verdicts::new(verdicts).unwrap();
        let (batch, level, business_date) = (BATCH, level::STORED, today());
        [
            Message::BatchPart(BatchPart { batch, first, records }),
            Message::BatchVerdicts(BatchVerdicts {
                batch,
                first,
                level,
                business_date,
                credits,
                verdicts,
                reasons,
                earlier: None,
            }),
        ]
    };
    let first = part(0, &records[..2], &[0, 6], None, 1003);
    [first, part(2, &records[2..], &[2], Reasons::new(kept(reasons)), 1004)]
}

pub(crate) fn batch_closed() -> [Message<'static>; 2] {
    [
        Message::BatchClosed(BatchClosed {
            batch: BATCH,
            differs: 0,
            business_date: today(),
            amount_fen: 800,
            hash: sha256(&batch_records().concat()),
            stored: 1,
            stored_earlier: 0,
            unreadable: 1,
            outside_window: 0,
            not_accepted: 0,
            conflict: 0,
            suspended: 1,
        }),
        Message::Safe(Safe { batch: BATCH, records: 3 }),
    ]
}

pub(crate) fn transaction() -> [Message<'static>; 2] {
    [
        Message::Transaction(Transaction { wait_ms: 20_000, record: raw(&Record::Payment(payment())) }),
        Message::TransactionAnswer(TransactionAnswer {
            state: 0,
            code: *b"00",
            business_date: today(),
            credits: 1005,
            fields: fields(&[(37, b"633008000815"), (38, b"A1B2C3"), (39, b"00")]),
            settlement: None,
            shares: None,
            person: None,
            domains: None,
            line_state: None,
            text: None,
        }),
    ]
}

pub(crate) fn list() -> [Message<'static>; 3] {
    let (mut adds, mut removes, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let entry = |last: u8| [0x03, 0x10, 0x48, 0, 0, 0, 0, 0, 0, last];
    for last in [0x21, 0x35] {
        Entries::push(&entry(last), &mut adds);
        Entries::push(&entry(last), &mut whole);
    }
    Entries::push(&entry(0x17), &mut removes);
    let hash = sha256(&whole);
    [
        Message::ListPoll(ListPoll { list: 1, version: 811 }),
        Message::ListDelta(ListDelta {
            list: 1,
            from: 811,
            to: 812,
            latest: 812,
            part: 1,
            parts: 1,
            effective_ms: NOW_MS + 600_000,
            hash,
            adds: Entries::new(2, kept(adds)).unwrap(),
            removes: Entries::new(1, kept(removes)).unwrap(),
            name: text("deny list"),
        }),
        Message::ListAck(ListAck {
            list: 1,
            version: 812,
            hash,
            since_ms: NOW_MS + 600_500,
            devices: 40,
            devices_current: 38,
            oldest: 809,
        }),
    ]
}

/// Of the closed-loop taps of the session: the single one and the two of the batch that are stored.
pub(crate) fn totals() -> [Message<'static>; 2] {
    let mut hash = [0; 32];
    for sequence in 100_001..=100_003 {
        let one = sha256(&bytes_of(&[Record::ClosedTap(closed_tap(sequence))]));
        hash.iter_mut().zip(one).for_each(|(sum, byte)| *sum ^= byte);
    }
    let (date, kind, count, amount_fen) = (today(), 1, 3, 1200);
    [
        Message::Totals(Totals { date, kind, count, amount_fen, hash }),
        Message::TotalsAnswer(TotalsAnswer {
            date,
            kind,
            result: 0,
            closed: 0,
            count,
            amount_fen,
            hash,
            text: None,
        }),
    ]
}

/// One of each type of message, by type.
pub(crate) fn messages() -> Vec<Message<'static>> {
    let mut all = vec![hello(), hello_answer(), credit(), goodbye(), fault()];
    all.extend(heartbeat());
    all.extend(tap());
    all.extend(batch_open());
    all.extend(batch_parts()[1]);
    all.extend(batch_closed());
    all.extend(transaction());
    all.extend(list());
    all.extend(totals());
    all.sort_by_key(Message::kind);
    all
}
