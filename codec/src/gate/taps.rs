//! Taps: the records that a gate, a bus or a code reader makes.
//!
//! Nobody's name and no ID number stands in a tap, and never track 2. Times are those of the device, as the card has them.

use super::layout::layout;
use super::values::{Account, Block, Chip, Id, LocalTime};

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
        /// chip data as in field 55, without tracks
        chip: Chip<'a>,
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
