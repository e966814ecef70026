//! The layout of entries on disk.

use super::*;
use crate::core::ids::Currency;
use crate::core::taps::{Announced, Closed, Gateway, TapTaken};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gateway() -> Gateway {
    Gateway { participant: ParticipantId(1), name: "depot-3".into() }
}

fn identity() -> Identity {
    Identity { mti: Mti::new(0x0200), stan: 123_456, sent_at: 1_123_233_015, rrn: *b"000000000042" }
}

fn custody() -> FieldSet {
    let mut fields = FieldSet::new();
    fields.set(3, b"000000");
    fields
}

fn intent() -> Intent {
    Intent {
        tx: TxId(42),
        key: KeyedHash(7),
        fingerprint: 9,
        kind: Kind::Purchase,
        mti: Mti::new(0x0200),
        acquirer: ParticipantId(1),
        terminal: *b"TERM0001",
        stan: 5,
        sent_at: 1_123_233_015,
        rrn: *b"000000000042",
        rrn_given: true,
        card: Some(CardToken([3; 16])),
        money: Money { minor: 1000, currency: Currency(156) },
        date: BusinessDate(20_261_124),
        silence_code: Code::new(*b"68"),
        target: None,
        legs: smallvec::smallvec![LegIntent {
            role: LegRole::Issuer,
            participant: ParticipantId(2),
            identity: identity(),
            amount: 1000,
            silence: Silence::Reverse,
            original: None,
        }],
        later: Vec::new(),
        custody: custody(),
        origin: 77,
    }
}

fn outcome() -> Outcome {
    Outcome {
        tx: TxId(42),
        reason: Reason::TimedOut,
        code: Code::new(*b"68"),
        approved: 0,
        stand_in: false,
        legs: smallvec::smallvec![LegEnd { state: LegState::Unknown, agreed: 0 }],
        answer: FieldSet::new(),
        owed: vec![Owed {
            id: ObligationId(3),
            kind: OwedKind::Reverse,
            participant: ParticipantId(2),
            of: LegRef { tx: TxId(42), leg: 0 },
            tx_kind: Kind::Purchase,
            card: None,
            identity: identity(),
            original: Some(identity()),
            terminal: *b"TERM0001",
            money: Money { minor: 1000, currency: Currency(156) },
            date: BusinessDate(20_261_124),
            stood: None,
            original_ms: 1_795_476_615_250,
            custody: custody(),
        }],
    }
}

fn samples() -> Vec<Entry> {
    let limits = Limits { dedupe_window_ms: 600_000, original_window_ms: 1, originals_max: 2 };
    vec![
        Entry::Limits(limits),
        Entry::Named { id: ParticipantId(2), name: "bank-a".into() },
        Entry::Intent(Box::new(intent())),
        Entry::Outcome(Box::new(outcome())),
        Entry::Taken(Box::new(Taken {
            intent: intent(),
            outcome: outcome(),
            reversal: Some(ReversalOf::Unknown { handle: KeyedHash(1), sent_at: 2 }),
        })),
        Entry::Discharged { id: ObligationId(3), how: Discharge::Acknowledged { code: Code::APPROVED } },
        Entry::Parked { id: ObligationId(3), code: Code::new(*b"30") },
        Entry::CutOver { to: BusinessDate(20_261_125), trigger: CutOverTrigger::Clock },
        Entry::TimePassed,
        Entry::Late(Late {
            of: LegRef { tx: TxId(42), leg: 0 },
            participant: ParticipantId(2),
            code: Code::APPROVED,
            late_ms: 7,
            kind: Kind::Purchase,
            money: Money { minor: 1000, currency: Currency(156) },
            date: BusinessDate(20_261_124),
            effect: LateEffect::Excepted(ObligationId(3)),
        }),
        Entry::Reached {
            participant: ParticipantId(2),
            way: Way {
                role: LegRole::Issuer,
                dialect: "pos-bcd".into(),
                digest: 1,
                addresses: vec!["127.0.0.1:7201".into()],
            },
        },
        Entry::Drained { participant: ParticipantId(2), on: true },
        Entry::TerminalSigned {
            acquirer: ParticipantId(1),
            terminal: *b"TERM0001",
            merchant: *b"MERCHANT0000001",
            on: true,
        },
        Entry::TerminalsSignedOff,
        Entry::Step(Box::new(Step {
            tx: TxId(42),
            leg: 0,
            agreed: 300,
            next: LegIntent {
                role: LegRole::Issuer,
                participant: ParticipantId(2),
                identity: identity(),
                amount: 700,
                silence: Silence::Reverse,
                original: Some(identity()),
            },
        })),
        Entry::DateClosed { date: BusinessDate(20_261_124) },
        Entry::KeyEpoch {
            participant: ParticipantId(2),
            usage: KeyUse::Mac,
            epoch: 3,
            block: "D0144M6AN00N0000".into(),
        },
        Entry::SignedOff { participant: ParticipantId(2), off: true },
        Entry::Forgotten { id: ObligationId(3) },
    ]
}

fn all_samples() -> Vec<Entry> {
    let mut all = samples();
    all.extend(samples_of_gateways());
    all.extend(samples_of_working_keys());
    all
}

fn samples_of_gateways() -> Vec<Entry> {
    vec![
        Entry::Taps(Box::new(TapsTaken {
            gateway: gateway(),
            batch: Some(7),
            date: BusinessDate(20_261_124),
            keep_until_ms: 1_795_000_000_000,
            taps: vec![TapTaken {
                key: KeyedHash(8),
                print: 9,
                hash: [5; 32],
                kind: 1,
                amount_fen: 200,
                apart: false,
                bytes: 3,
            }],
            records: vec![1, 2, 3],
        })),
        Entry::BatchOpened(Box::new(BatchOpened {
            gateway: gateway(),
            batch: 7,
            announced: Announced {
                content: 1,
                records: 10,
                amount_fen: 2000,
                hash: [6; 32],
                date: BusinessDate(20_261_124),
            },
            keep_until_ms: 1_795_000_000_000,
        })),
        Entry::BatchEnded(Box::new(BatchEnded {
            gateway: gateway(),
            batch: 7,
            closed: Closed {
                differs: 2,
                amount_fen: 1999,
                hash: [7; 32],
                counts: [9, 1, 0, 0, 0, 0, 0],
                date: BusinessDate(20_261_124),
            },
        })),
        Entry::Referenced { reference: Reference { key: KeyedHash(10), print: 11 }, payment: KeyedHash(7) },
        Entry::TapWindow { length_ms: 60_000 },
    ]
}

fn samples_of_working_keys() -> Vec<Entry> {
    let (participant, usage, block) = (ParticipantId(2), KeyUse::Pin, "D0144P0TN00N0000".to_owned());
    let sent = KeySent { sent_at: 1_123_233_015, stan: 7 };
    let (acquirer, terminal) = (ParticipantId(1), *b"TERM0001");
    let keys = vec![(usage, block.clone())];
    [
        WorkingKey::Sent { participant, usage, at: sent },
        WorkingKey::Offered { participant, usage, block },
        WorkingKey::Withdrawn { participant, usage },
        WorkingKey::SignedIn(SignedIn { acquirer, terminal, keys, sent, field: vec![1, 2, 3] }),
        WorkingKey::Served(ServedBy { participant, terminal: Some(terminal), usage, epoch: 3, stan: 7 }),
        WorkingKey::Served(ServedBy { participant, terminal: None, usage: KeyUse::Mac, epoch: 3, stan: 7 }),
        WorkingKey::Uses { acquirer, terminal },
    ]
    .map(|one| Entry::Working(Box::new(one)))
    .to_vec()
}

/// The layout of version 2, byte by byte: a change here makes old journals unreadable.
#[test]
fn entries_have_golden_bytes() {
    let golden = include_str!("../golden/entries-v2.hex");
    let written: Vec<String> = all_samples()
        .iter()
        .map(|entry| {
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            hex(&bytes)
        })
        .collect();
    assert_eq!(written, golden.lines().collect::<Vec<_>>());
}

#[test]
fn entries_come_back_as_they_were_and_cut_ones_are_refused() {
    for entry in all_samples() {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(Entry::decode(&bytes).unwrap(), entry);
        for cut in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..cut]).is_err());
        }
        bytes.push(0);
        assert!(matches!(Entry::decode(&bytes), Err(EntryError::Trailing(1))));
        bytes[0] = 1;
        assert!(matches!(Entry::decode(&bytes), Err(EntryError::Version(1))));
    }
}
