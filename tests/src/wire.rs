//! Messages as the scripted peers see them: an MTI and canonical fields.

use yika_codec::{Dialect, Draft, FieldMask, FieldSet, Layout, Mti};
use yika_keystore::MacKey;
use yika_switch::core::clock::month_to_second;

#[derive(Clone, PartialEq, Debug)]
pub struct Wire {
    pub mti: Mti,
    pub fields: FieldSet,
}

impl Wire {
    pub fn new(mti: u16) -> Wire {
        Wire { mti: Mti::new(mti), fields: FieldSet::new() }
    }

    pub fn with(mut self, n: u8, value: impl AsRef<[u8]>) -> Wire {
        self.fields.set(n, value.as_ref());
        self
    }

    pub fn without(mut self, n: u8) -> Wire {
        self.fields.remove(n);
        self
    }

    /// With F7, F12 and F13 of this moment, where they are missing.
    pub fn at(mut self, wall_ms: u64) -> Wire {
        let (local, utc) = (month_to_second(wall_ms, 480), month_to_second(wall_ms, 0));
        for (n, value) in [
            (7, format!("{utc:010}")),
            (12, format!("{:06}", local % 1_000_000)),
            (13, format!("{:04}", local / 1_000_000)),
        ] {
            if !self.fields.has(n) {
                self.fields.set(n, value.as_bytes());
            }
        }
        self
    }

    pub fn text(&self, n: u8) -> String {
        self.fields.get(n).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    pub fn code(&self) -> String {
        self.text(39)
    }

    pub fn amount(&self) -> u64 {
        self.text(4).parse().unwrap_or(0)
    }

    pub fn stan(&self) -> String {
        self.text(11)
    }

    /// The same message with the repeat digit.
    pub fn repeated(&self) -> Wire {
        Wire { mti: self.mti.with_repeat(), fields: self.fields.clone() }
    }

    /// The 0420 that reverses this request, as a terminal sends it.
    pub fn reversal(&self, stan: &str) -> Wire {
        let original = format!("{:0<4}{}{}{:022}", self.mti.to_string(), self.stan(), self.text(7), 0);
        Wire { mti: Mti::new(0x0420), fields: self.fields.clone() }
            .with(11, stan)
            .with(90, original)
            .without(52)
            .without(48)
    }

    pub fn encode(&self, dialect: &Dialect, header: &[u8]) -> Vec<u8> {
        self.encode_under(None, dialect, header)
    }

    /// One frame, with a MAC when there is a key.
    pub fn encode_under(&self, key: Option<&MacKey>, dialect: &Dialect, header: &[u8]) -> Vec<u8> {
        let mut draft = Draft::new(self.mti);
        draft.header(header);
        draft.set_all(&self.fields);
        if key.is_some() {
            draft.set(dialect.mac_field(), &[0; 8]);
        }
        let mut out = Vec::new();
        let mark = dialect.framing().begin(&mut out);
        let encoded = dialect.encode(&draft, &mut out).unwrap();
        if let (Some(key), Some(place)) = (key, &encoded.mac) {
            let mac = key.generate(&out[encoded.message.start..place.start]);
            dialect.set_mac(&mut out, &encoded, &mac);
        }
        dialect.framing().finish(&mut out, mark).unwrap();
        out
    }

    /// All whole frames in `bytes`, which are taken out of it.
    pub fn take_all(dialect: &Dialect, bytes: &mut Vec<u8>) -> Vec<Frame> {
        let mut found = Vec::new();
        while let Some(span) = dialect.framing().next(bytes, 65_535).unwrap() {
            let payload = bytes[span.start..span.end].to_vec();
            bytes.drain(..span.next);
            let mut layout = Layout::default();
            dialect.decode(&payload, &mut layout).unwrap();
            let message = dialect.message(&payload, &layout);
            let every: Vec<u8> = (2..=dialect.field_max()).collect();
            let mut fields = FieldSet::new();
            message.collect(&FieldMask::of(&every), &mut fields);
            let header = message.header().to_vec();
            found.push(Frame { wire: Wire { mti: message.mti(), fields }, header, payload });
        }
        found
    }
}

/// A message as it came, and the bytes that its MAC is over.
#[derive(Clone, Debug)]
pub struct Frame {
    pub wire: Wire,
    pub header: Vec<u8>,
    payload: Vec<u8>,
}

impl Frame {
    /// Whether its MAC was made with this key.
    pub fn is_under(&self, key: &MacKey, dialect: &Dialect) -> bool {
        let mut layout = Layout::default();
        dialect.decode(&self.payload, &mut layout).unwrap();
        let message = dialect.message(&self.payload, &layout);
        let proof = message.mac_input().zip(message.mac()).map(|(input, mac)| key.verify(input, &mac, ()));
        proof.is_some_and(|proof| proof.is_ok())
    }
}

/// A purchase over `minor` at TERM0001 with bank A's card; F11, F7, F12, F13 are set when it is sent.
pub fn purchase(minor: u64) -> Wire {
    Wire::new(0x0200)
        .with(2, "4111111111111111")
        .with(3, "000000")
        .with(4, format!("{minor:012}"))
        .with(22, "021")
        .with(25, "00")
        .with(41, "TERM0001")
        .with(42, "MERCHANT0000001")
        .with(49, "156")
}
