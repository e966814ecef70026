//! Taps: the records that a gate, a bus or a code reader makes, and the messages that bring them in.
//!
//! Nobody's name and no ID number stands in a tap, and never track 2. Times are those of the device, as the card has them.

use super::codes::Verdict;
use super::layout::{ReadError, Reader, Wire, counted, layout};
use super::record::{RawRecord, Records};
#[cfg(test)]
use super::tests::Maker;
use super::values::{Account, Block, Date, Id, LocalTime, Raw};

layout! {
    /// What all taps begin with. `source` and `sequence` are the key: the same key with the same bytes is a repeat.
    TapHead = "tap head" {
        /// SAM id as 16 hex digits, right-aligned; of a device without a SAM its own id
        source: [u8; 8],
        /// offline sequence number of that SAM or device
        sequence: u32,
        /// when it was tapped
        time: LocalTime,
        /// 1 single ride, 2 entry, 3 exit, 4 entry mended, 5 exit mended, 6 card locked by the deny list
        event: u8,
        /// what was taken, in fen; 0 for an entry
        amount_fen: u32,
        /// city code, 4 digits BCD
        city: [u8; 2],
        /// line
        line: u16,
        /// station or stop
        station: u16,
        /// kind of device, as the operator counts them
        device_kind: u8,
        /// number of the device
        device: u32,
        /// version of the deny list in use at the tap; 0 for none
        list_version: u32,
    }
}

layout! {
    /// A tap with the card's transit purse, decided and debited at the gate.
    ClosedTap<'a> = "closed-loop tap" {
        /// the head of all taps
        head: TapHead,
        /// transaction type, as under the TAC
        transaction_kind: u8,
        /// main type of the card
        card_kind: u8,
        /// subtype of the card
        card_subkind: u8,
        /// application serial number, 20 digits BCD
        logical_id: [u8; 10],
        /// number of the chip, 20 hex digits, right-aligned
        physical_id: [u8; 10],
        /// status of the card after the tap
        status: u8,
        /// purse after the tap, in fen
        balance_fen: u32,
        /// load counter of the purse
        load_counter: u32,
        /// purchase counter of the purse
        purchase_counter: u32,
        /// the TAC
        tac: [u8; 4],
        /// kind of the TAC
        tac_kind: u8,
        /// terminal id under the TAC, 12 digits BCD
        tac_terminal: [u8; 6],
        /// algorithm of the TAC: 0 3DES, 1 SM4
        algorithm: u8,
        /// version of the consumption key
        key_version: u16,
        /// index of the consumption key
        key_index: u8,
        /// random number of the card or SAM
        random: [u8; 4],
        /// issuer, 16 digits BCD
        issuer: [u8; 8],
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// 1 physical card, 2 electronic
        0x0103 carrier: u8,
        /// where the ride began, on an exit
        0x0201 entry: Place,
        /// operator's institution of this tap
        0x0202 institution: [u8; 8],
        /// the use before this one
        0x0203 last_use: LastUse,
        /// fare before discounts, in fen
        0x0204 undiscounted_fen: u32,
        /// what the discount was computed from
        0x0205 discount: Discount,
        /// change from bus to metro or back
        0x0206 transfer: Transfer,
        /// mode and channel of payment
        0x0207 payment: [u8; 2],
        /// number of the receipt
        0x0208 receipt: Id<'a>,
        /// who was on duty
        0x0209 staff: Staff,
        /// limit mode, work mode, application mode, 1 if in a phone
        0x020A modes: [u8; 4],
        /// industry code, 4 digits BCD
        0x020B industry: [u8; 2],
        /// the card's interoperable flag
        0x020C interoperable: [u8; 2],
        /// lowest and highest fare that was labelled at entry
        0x020D label: Label,
        /// MAC2 of a torn transaction whose proof was fetched
        0x020E proof: [u8; 4],
        /// version of the operator's own record
        0x020F source_version: u16,
    }
}

layout! {
    /// A place that a card came through.
    Place = "place" {
        /// city code, 4 digits BCD
        city: [u8; 2],
        /// institution
        institution: [u8; 8],
        /// line
        line: u16,
        /// station
        station: u16,
        /// SAM id
        source: [u8; 8],
        /// when
        time: LocalTime,
    }
}

layout! {
    /// The use of a card before this one.
    LastUse = "last use" {
        /// SAM id
        source: [u8; 8],
        /// when
        time: LocalTime,
    }
}

layout! {
    /// What a discount was computed from.
    Discount = "discount" {
        /// month, YYYYMM as a number
        month: u32,
        /// rides in it
        rides: u32,
        /// spent in it, in fen
        spent_fen: u32,
    }
}

layout! {
    /// A change between bus and metro.
    Transfer = "transfer" {
        /// seconds since the ride before
        interval_s: u32,
        /// last ride on a bus
        bus_time: LocalTime,
    }
}

layout! {
    /// Who was on duty.
    Staff = "staff" {
        /// operator or driver
        operator: u32,
        /// shift
        shift: u16,
    }
}

layout! {
    /// The fares that were labelled at entry.
    Label = "label" {
        /// lowest, in fen
        lowest_fen: u32,
        /// highest, in fen
        highest_fen: u32,
    }
}

layout! {
    /// A ride by a code that a phone showed; the switch verifies its signatures again.
    QrRide<'a> = "QR ride" {
        /// the head of all taps
        head: TapHead,
        /// scheme of the code: 1 T-Union, 2 city card, 3 unified platform, 4 other
        scheme: u8,
        /// how it was checked at the gate: 0 not, 1 signatures, 2 online
        checked: u8,
        /// the code as it was read, decoded from its base64
        code: Block<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// where the ride began, on an exit
        0x0201 entry: Place,
        /// operator's institution of this ride
        0x0202 institution: [u8; 8],
        /// fare before discounts, in fen
        0x0204 undiscounted_fen: u32,
        /// what the discount was computed from
        0x0205 discount: Discount,
        /// who was on duty
        0x0209 staff: Staff,
        /// the account, where the code itself does not say it
        0x0221 account: Id<'a>,
        /// when the code was made, seconds since 1970-01-01 UTC, where the code does not say it
        0x0222 made_s: u32,
    }
}

layout! {
    /// A tap with the card's bank account: data authenticated at the gate, charged later.
    OpenTap<'a> = "open-loop tap" {
        /// the head of all taps
        head: TapHead,
        /// 3 authorized online at the gate, 4 authenticated offline (ODA)
        approval: u8,
        /// card number
        account: Account<'a>,
        /// expiry of the card, YYMM in BCD
        expiry: [u8; 2],
        /// sequence number of the card
        card_sequence: u8,
        /// the terminal's trace number
        trace: u32,
        /// terminal, as in field 41
        terminal: [u8; 8],
        /// acceptor, as in field 42
        acceptor: [u8; 15],
        /// chip data as in field 55, without tag 57
        chip: Block<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// 1 physical card, 2 electronic
        0x0103 carrier: u8,
        /// where the ride began, on an exit
        0x0201 entry: Place,
        /// number of the vehicle
        0x0211 vehicle: Id<'a>,
        /// driver
        0x0212 driver: Id<'a>,
        /// route
        0x0213 route: Id<'a>,
        /// response code when it was asked online
        0x0214 code: [u8; 2],
        /// authorization code
        0x0215 authorization: [u8; 6],
        /// retrieval reference number
        0x0216 reference: [u8; 12],
    }
}

layout! {
    /// One tap. Costs one credit.
    Tap<'a> = "tap" {
        /// a tap, a QR ride or an open-loop tap
        record: RawRecord<'a>,
        ;
    }
}

layout! {
    /// What became of one tap.
    TapVerdict = "tap verdict" {
        /// one of the verdicts below
        verdict: u8,
        /// level that is reached: 1 stored, 2 safe; 0 for a record that is not stored
        level: u8,
        /// date that it counts for; of a record that is not stored, the date that is open
        business_date: Date,
        /// records that may have been sent in all since the hello
        credits: u64,
        ;
        /// why it cannot be read
        0x0001 reason: Unreadable,
    }
}

layout! {
    /// Why a record cannot be read.
    Unreadable = "reason" {
        /// one of the error codes
        code: u16,
        /// the tag that is at fault, or 0
        tag: u16,
        /// the byte of the record that is at fault, counted from its length on
        offset: u16,
    }
}

layout! {
    /// Announces a batch, or asks how far one is.
    BatchOpen<'a> = "batch open" {
        /// chosen by the gateway, never used again for another batch
        batch: u64,
        /// 1 taps, 2 disbursement lines
        content: u8,
        /// records in it
        records: u32,
        /// their amounts, summed up, in fen
        amount_fen: u64,
        /// SHA-256 over the bytes of all its records, in order
        hash: [u8; 32],
        /// the gateway's day; recorded, not adopted
        date: Date,
        ;
        /// who pays, of disbursement lines
        0x0001 payer: Id<'a>,
        /// the policy they are paid under
        0x0002 policy: Id<'a>,
        /// the period they are paid for, YYYYMM as a number
        0x0003 period: u32,
        /// the payer's signature over the hash
        0x0004 signature: Raw<'a>,
    }
}

layout! {
    /// How far a batch is.
    BatchState = "batch state" {
        /// the batch
        batch: u64,
        /// 0 open, 1 closed
        state: u8,
        /// records stored so far
        stored: u32,
        /// index of the next record to send, counted from 0
        next: u32,
        /// records that may have been sent in all since the hello
        credits: u64,
        ;
    }
}

layout! {
    /// Some of the records of a batch, in order. Costs a credit each.
    BatchPart<'a> = "batch part" {
        /// the batch
        batch: u64,
        /// index of the first of them, counted from 0
        first: u32,
        /// the records
        records: Records<'a>,
        ;
    }
}

layout! {
    /// What became of the records of a part.
    BatchVerdicts<'a> = "batch verdicts" {
        /// the batch
        batch: u64,
        /// index of the first of them
        first: u32,
        /// level that is reached by those that are stored: 1 stored, 2 safe
        level: u8,
        /// date that they count for
        business_date: Date,
        /// records that may have been sent in all since the hello
        credits: u64,
        /// one verdict for each record of the part, in order
        verdicts: Verdicts<'a>,
        ;
        /// why the unreadable ones are: index within the part, code, tag, offset
        0x0001 reasons: Reasons<'a>,
    }
}

layout! {
    /// All records of a batch have their verdict, and count, sum and hash were compared.
    BatchClosed = "batch closed" {
        /// the batch
        batch: u64,
        /// 0 all agrees; else bit 0 count, bit 1 sum, bit 2 hash differ
        differs: u8,
        /// date that the batch counts for
        business_date: Date,
        /// amount as the server counts it, in fen
        amount_fen: u64,
        /// hash as the server makes it
        hash: [u8; 32],
        /// records with verdict 0
        stored: u32,
        /// with verdict 1
        stored_earlier: u32,
        /// with verdict 2
        unreadable: u32,
        /// with verdict 3
        outside_window: u32,
        /// with verdict 4
        not_accepted: u32,
        /// with verdict 5
        conflict: u32,
        /// with verdict 6
        suspended: u32,
        ;
    }
}

layout! {
    /// Records are safe: durable on a second copy as well.
    Safe = "safe" {
        /// the batch; 0 for the single taps of this connection
        batch: u64,
        /// so many are, from the first on; never fewer than was told before
        records: u64,
        ;
    }
}

/// One verdict for each record, as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdicts<'a>(&'a [u8]);

impl<'a> Verdicts<'a> {
    /// The verdicts with these numbers; `None` if there are more than a part can have records.
    pub fn new(numbers: &'a [u8]) -> Option<Verdicts<'a>> {
        u16::try_from(numbers.len()).is_ok().then_some(Verdicts(numbers))
    }

    /// The numbers; [`Verdict::of`] knows what they mean.
    pub const fn numbers(&self) -> &'a [u8] {
        self.0
    }

    /// The verdicts, in order; `None` for a number that is not known here.
    pub fn iter(&self) -> impl Iterator<Item = Option<Verdict>> + use<'a> {
        self.0.iter().map(|number| Verdict::of(*number))
    }
}

impl<'a> Wire<'a> for Verdicts<'a> {
    const SHAPE: &'static str = "count u16, u8 each";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let count = u16::read(reader, field)?;
        Ok(Verdicts(reader.take(usize::from(count), field)?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        counted::<u16>(out, |out| out.extend_from_slice(self.0));
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        Verdicts(maker.some(0, 40))
    }
}

/// Why records of a part cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reasons<'a>(&'a [[u8; 8]]);

impl<'a> Reasons<'a> {
    /// Those that [`Reasons::push`] wrote; `None` when it is no whole number of them.
    pub fn new(bytes: &'a [u8]) -> Option<Reasons<'a>> {
        let (rows, rest) = bytes.as_chunks();
        rest.is_empty().then_some(Reasons(rows))
    }

    /// Appends the reason for the record at `index` of the part to bytes for [`Reasons::new`].
    pub fn push(index: u16, reason: &Unreadable, out: &mut Vec<u8>) {
        index.write(out);
        reason.write(out);
    }

    /// Index within the part, and the reason.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Unreadable)> + use<'a> {
        self.0.iter().map(|&[a, b, c, d, e, f, g, h]| {
            let [index, code, tag, offset] = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
            (index, Unreadable { code, tag, offset })
        })
    }
}

impl<'a> Wire<'a> for Reasons<'a> {
    const SHAPE: &'static str = "n times 4 u16";
    const BYTES: Option<usize> = None;

    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, ReadError> {
        let offset = reader.at();
        let bytes = reader.rest();
        Reasons::new(bytes).ok_or_else(|| reader.wrong(field, offset, "8 bytes for each reason"))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_flattened());
    }

    #[cfg(test)]
    fn made(maker: &mut Maker<'a>) -> Self {
        Reasons(maker.some(0, 40).as_chunks().0)
    }
}

impl Unreadable {
    /// The reason that tells of this error.
    pub fn of(error: &ReadError) -> Unreadable {
        let offset = u16::try_from(error.offset()).unwrap_or(u16::MAX);
        Unreadable { code: error.code().number(), tag: error.tag(), offset }
    }
}
