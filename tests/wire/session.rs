//! The session of `docs/wire.md`: written here, and read again from the page by someone who knows only the page.

use crate::render::hex_lines;
use crate::samples;
use std::fmt::Write as _;
use yika_codec::gate::{self, Message, Record};
use yika_keystore::{Algorithm, Export, GateKey, GateSession, GateSide, Keystore, Lmk, Mode, Usage};

/// Who sends, with which correlation, what.
fn steps() -> Vec<(GateSide, u32, Message<'static>)> {
    use GateSide::{Client, Server};
    let mut steps = vec![(Client, 1, samples::hello()), (Server, 1, samples::hello_answer())];
    let mut asked = |correlation, [question, answer]: [Message<'static>; 2]| {
        steps.extend([(Client, correlation, question), (Server, correlation, answer)]);
    };
    asked(2, samples::tap());
    asked(3, samples::batch_open());
    let [first, second] = samples::batch_parts();
    asked(4, first);
    asked(5, second);
    let [closed, safe] = samples::batch_closed();
    steps.extend([(Server, 3, closed), (Server, 0, safe)]);
    let mut asked = |correlation, [question, answer]: [Message<'static>; 2]| {
        steps.extend([(Client, correlation, question), (Server, correlation, answer)]);
    };
    asked(6, samples::heartbeat());
    asked(7, samples::transaction());
    asked(8, samples::totals());
    steps.extend([(Client, 0, samples::goodbye()), (Server, 0, samples::goodbye())]);
    steps
}

/// A zone key of known value in a keystore of its own.
pub(crate) fn gate_key(zone: &[u8]) -> GateKey {
    let store = Keystore::in_memory(Lmk::test());
    let mask = vec![0x5D; zone.len()];
    let rest = zone.iter().zip(&mask).map(|(a, b)| a ^ b).collect();
    let parts = [mask, rest];
    store
        .import_components("zone", Usage::Derivation, Algorithm::Aes, Mode::Both, Export::N, &parts)
        .unwrap();
    store.gate_key("zone").unwrap()
}

fn body(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

fn keys_of(zone: &[u8], hello: &[u8], answer: &[u8]) -> [GateSession; 2] {
    let key = gate_key(zone);
    [GateSide::Client, GateSide::Server].map(|side| key.session(side, hello, answer))
}

/// All frames, as the page has them.
pub(crate) fn rendered() -> String {
    let steps = steps();
    let [client, server] = keys_of(&samples::ZONE_KEY, &body(&steps[0].2), &body(&steps[1].2));
    let mut out = String::from("```hex keys\n");
    hex_lines(&samples::ZONE_KEY, "zone key", &mut out);
    hex_lines(&samples::KEY_CHECK, "its check value", &mut out);
    hex_lines(&samples::CLIENT_RANDOM, "the client's random bytes", &mut out);
    hex_lines(&samples::SERVER_RANDOM, "the server's random bytes", &mut out);
    out.push_str("```\n\n");
    let mut sequences = [gate::Sequence::default(); 2];
    for (at, (side, correlation, message)) in steps.iter().enumerate() {
        let (own, mark, keys) = match side {
            GateSide::Client => (&mut sequences[0], '>', &client),
            GateSide::Server => (&mut sequences[1], '<', &server),
        };
        let sequence = own.give().unwrap();
        let mut frame = Vec::new();
        if at == 0 {
            gate::write_open(&mut frame, sequence, *correlation, message);
        } else {
            gate::write(&mut frame, sequence, *correlation, message, |signed| keys.make.generate(signed));
        }
        let name =
            Message::described().into_iter().find(|(_, one)| one.number == message.kind()).unwrap().1.name;
        writeln!(out, "```hex {mark} {name}").unwrap();
        let mac = if at == 0 { frame.len() } else { frame.len() - gate::MAC_BYTES };
        hex_lines(
            &frame[..gate::HEAD_BYTES],
            "length, type, flags, reserved, sequence, correlation",
            &mut out,
        );
        hex_lines(&frame[gate::HEAD_BYTES..mac], "body", &mut out);
        hex_lines(&frame[mac..], "MAC", &mut out);
        out.push_str("```\n\n");
    }
    out
}

/// Reads the session as a peer would, from bytes alone: each frame, its sequence, its MAC, what belongs together.
pub(crate) fn replay(zone: &[u8], frames: &[(GateSide, Vec<u8>)]) {
    let cut = |at: usize| gate::next(&frames[at].1, gate::FRAME_BYTES_BEFORE_ANSWER).unwrap().unwrap();
    let (hello, answer) = (cut(0), cut(1));
    assert_eq!(hello.mac, None, "there is no key yet");
    let [client, server] = keys_of(zone, hello.body, answer.body);
    let mut sequences = [gate::Sequence::default(); 2];
    let mut world = World::default();
    for (at, (side, bytes)) in frames.iter().enumerate() {
        let frame = gate::next(bytes, gate::FRAME_BYTES_MAX).unwrap().unwrap();
        assert_eq!(frame.bytes, bytes.len());
        let own = usize::from(*side == GateSide::Server);
        sequences[own].take(frame.head.sequence).unwrap();
        if at > 0 {
            // What one side made the other checks.
            let other = if own == 0 { &server } else { &client };
            other.check.verify(frame.signed, frame.mac.unwrap(), ()).unwrap();
        }
        let message = frame.message().unwrap();
        let mut again = Vec::new();
        let mac = |_: &[u8]| *frame.mac.unwrap();
        let (sequence, correlation) = (frame.head.sequence, frame.head.correlation);
        match frame.mac {
            Some(_) => gate::write(&mut again, sequence, correlation, &message, mac),
            None => gate::write_open(&mut again, sequence, correlation, &message),
        }
        assert_eq!(&again, bytes, "frame {at} is written as it was read");
        world.see(&message);
    }
    world.end();
}

/// What both sides know at the end: that count, sums, hashes and credits belong together.
#[derive(Default)]
struct World {
    sent: u64,
    granted: u64,
    batch: Vec<u8>,
    announced: Option<(u32, [u8; 32])>,
    closed: bool,
    taps: u64,
    taps_fen: u64,
    taps_hash: [u8; 32],
    compared: bool,
}

impl World {
    fn see(&mut self, message: &Message<'_>) {
        match message {
            Message::HelloAnswer(answer) => self.granted = answer.credits,
            Message::Tap(tap) => {
                self.sent += 1;
                self.stored(tap.record);
            }
            Message::TapVerdict(verdict) => self.granted = verdict.credits,
            Message::BatchOpen(open) => self.announced = Some((open.records, open.hash)),
            Message::BatchPart(part) => {
                part.records.iter().for_each(|raw| self.stored(raw));
                self.batch.extend_from_slice(part.records.bytes());
                self.sent += u64::from(part.records.count());
            }
            Message::BatchVerdicts(verdicts) => self.granted = verdicts.credits,
            Message::BatchClosed(closed) => {
                let (records, hash) = self.announced.unwrap();
                assert_eq!(hash, samples::sha256(&self.batch));
                assert_eq!((closed.hash, closed.differs), (hash, 0));
                assert_eq!(closed.stored + closed.unreadable + closed.suspended, records);
                self.closed = true;
            }
            Message::Transaction(_) => self.sent += 1,
            Message::TransactionAnswer(answer) => self.granted = answer.credits,
            Message::Totals(totals) => {
                assert_eq!((totals.count, totals.amount_fen), (self.taps, self.taps_fen));
                assert_eq!(totals.hash, self.taps_hash);
                self.compared = true;
            }
            _ => {}
        }
        assert!(self.sent <= self.granted || self.granted == 0, "nobody sends beyond the grant");
    }

    /// A closed-loop tap counts for the totals.
    fn stored(&mut self, raw: gate::RawRecord<'_>) {
        if let Ok(Record::ClosedTap(tap)) = Record::decode(raw) {
            self.taps += 1;
            self.taps_fen += u64::from(tap.head.amount_fen);
            let one = samples::sha256(raw.bytes());
            self.taps_hash.iter_mut().zip(one).for_each(|(sum, byte)| *sum ^= byte);
        }
    }

    fn end(&self) {
        assert!(self.closed && self.compared, "the session shows a batch and totals");
    }
}
