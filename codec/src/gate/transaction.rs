//! Transactions that are asked and answered online, one record each, and the lines of a disbursement.
//!
//! Payments carry values by field number; so may the others, for the leg that a bank answers.

use super::layout::layout;
use super::record::RawRecord;
use super::values::{Account, Date, Fields, Id, LocalTime, Name, Secret, Text};

layout! {
    /// What all transactions begin with. The reference is the key: a repeat has the same and gets the same answer.
    TransactionHead = "transaction head" {
        /// chosen at random by whoever asks
        reference: [u8; 16],
        /// when it was asked for, at the terminal
        time: LocalTime,
    }
}

layout! {
    /// A payment: purchase, pre-authorization, completion, void, refund, balance, reversal.
    Payment<'a> = "payment" {
        /// the head of all transactions
        head: TransactionHead,
        /// message type of ISO 8583, 4 digits BCD
        message_kind: [u8; 2],
        /// its fields
        fields: Fields<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// 1 physical card, 2 electronic
        0x0103 carrier: u8,
    }
}

layout! {
    /// A step of a medical settlement.
    Medical<'a> = "medical" {
        /// the head of all transactions
        head: TransactionHead,
        /// 1 quote, 2 settle, 3 cancel, 4 reverse, 5 query
        step: u8,
        /// function of the national interface (infno), 4 digits BCD
        function: [u8; 2],
        /// institution (fixmedins_code)
        institution: [u8; 12],
        /// message id (msgid)
        message: [u8; 30],
        /// area of insurance (insuplc_admdvs), 6 digits as a number
        area: u32,
        /// whole cost, in fen
        total_fen: u64,
        /// what the patient pays in cash or by bank card, in fen; 0 in a quote
        cash_fen: u64,
        /// fields of the bank's leg
        fields: Fields<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// 1 physical card, 2 electronic
        0x0103 carrier: u8,
        /// visit (mdtrt_id)
        0x0301 visit: Id<'a>,
        /// settlement (setl_id)
        0x0302 settlement: Id<'a>,
        /// batch of charges (chrg_bchno)
        0x0303 charges: Id<'a>,
        /// insured person (psn_no)
        0x0304 person: Secret<'a>,
        /// kind of credential: 1 e-voucher, 2 ID number, 3 card number
        0x0305 credential_kind: u8,
        /// the credential
        0x0306 credential: Secret<'a>,
        /// kind of insurance (insutype)
        0x0307 insurance: Id<'a>,
        /// kind of visit (med_type)
        0x0308 visit_kind: Id<'a>,
        /// 1 if the personal account may be used
        0x0309 account_used: u8,
        /// message id of the message that is reversed (omsgid)
        0x030A original: [u8; 30],
        /// function of that message (oinfno), 4 digits BCD
        0x030B original_function: [u8; 2],
        /// invoice
        0x030C invoice: Id<'a>,
        /// parts of the cost, in fen
        0x030D parts: CostParts,
        /// sign-in number (sign_no)
        0x030E sign_in: Id<'a>,
        /// operator
        0x030F operator: Id<'a>,
        /// way of settling (psn_setlway)
        0x0310 way: Id<'a>,
    }
}

layout! {
    /// Parts of a medical cost, in fen.
    CostParts = "cost parts" {
        /// fully self-paid (fulamt_ownpay_amt)
        own_fen: u64,
        /// over the limit (overlmt_selfpay)
        over_fen: u64,
        /// self-paid first (preselfpay_amt)
        first_fen: u64,
        /// in scope (inscp_scp_amt)
        scope_fen: u64,
    }
}

layout! {
    /// Verification of an identity; no money.
    Identity<'a> = "identity" {
        /// the head of all transactions
        head: TransactionHead,
        /// why it is asked, as agreed
        purpose: u16,
        /// 1 card number, 2 ID number, 3 code that is shown once
        means: u8,
        /// who asks: hall, hotel, library, gate
        acceptor: Name<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// 1 physical card, 2 electronic
        0x0103 carrier: u8,
        /// operator
        0x030F operator: Id<'a>,
        /// card number
        0x0320 card: Account<'a>,
        /// kind of ID
        0x0321 id_kind: u8,
        /// ID number
        0x0322 id_number: Secret<'a>,
        /// the code
        0x0323 code: Secret<'a>,
    }
}

layout! {
    /// One line of a disbursement. Never sent to a bank twice without a query.
    DisbursementLine<'a> = "disbursement line" {
        /// the head of all transactions
        head: TransactionHead,
        /// number of the line in its batch
        line: u32,
        /// SHA-256 over person, policy, period and household: who claims what
        claim: [u8; 32],
        /// amount, in fen
        amount_fen: u64,
        /// account or card that is paid to
        account: Account<'a>,
        /// 1 if the person is new, else 0
        new_person: u8,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// ID number of the person
        0x0322 id_number: Secret<'a>,
        /// policy, of a line outside a batch
        0x0330 policy: Id<'a>,
        /// period, YYYYMM as a number, of a line outside a batch
        0x0331 period: u32,
        /// who pays, of a line outside a batch
        0x0332 payer: Id<'a>,
        /// name of the person
        0x0333 name: Secret<'a>,
        /// text on the statement
        0x0334 memo: Text<'a>,
        /// household
        0x0335 household: Secret<'a>,
        /// kind of account
        0x0336 account_kind: u8,
    }
}

layout! {
    /// A card is reported lost, released, replaced, activated.
    CardStatus<'a> = "card status" {
        /// the head of all transactions
        head: TransactionHead,
        /// 1 temporary loss, 2 formal loss, 3 release, 4 cancel, 5 replace, 6 activate
        action: u8,
        /// bit 0 social, bit 1 financial, bit 2 transit
        domains: u8,
        /// from when on
        effective: LocalTime,
        /// why, as agreed
        reason: u8,
        /// card number
        card: Account<'a>,
        /// who reports it
        origin: Name<'a>,
        ;
        /// scenario of the catalogue
        0x0101 scenario: u16,
        /// district, 6 digits as a number
        0x0102 district: u32,
        /// until when
        0x0340 expires: LocalTime,
        /// sequence number of the card
        0x0341 card_sequence: u8,
        /// the card that replaces it
        0x0342 replacement: Account<'a>,
        /// application serial number of its transit purse, 20 digits BCD
        0x0343 serial: [u8; 10],
    }
}

layout! {
    /// Asks for one transaction. Costs one credit.
    Transaction<'a> = "transaction" {
        /// how long whoever asks will wait, in milliseconds
        wait_ms: u32,
        /// a payment, medical, identity, disbursement or card status record
        record: RawRecord<'a>,
        ;
    }
}

impl Transaction<'_> {
    /// The byte of the body that its record begins at.
    pub const RECORD_AT: usize = 4;
}

layout! {
    /// The answer to a transaction.
    TransactionAnswer<'a> = "transaction answer" {
        /// 0 final, 1 in doubt: repeat the transaction to ask again
        state: u8,
        /// response code, two characters, as in field 39
        code: [u8; 2],
        /// date that it counts for
        business_date: Date,
        /// records that may have been sent in all since the hello
        credits: u64,
        /// fields of the answer
        fields: Fields<'a>,
        ;
        /// settlement (setl_id)
        0x0302 settlement: Id<'a>,
        /// who pays what of a medical cost
        0x0401 shares: Shares,
        /// what may be told of a person
        0x0402 person: Person,
        /// card status: domains where it is in force, domains that are still to be told
        0x0403 domains: [u8; 2],
        /// disbursement: 1 received, 2 sent, 3 paid, 4 failed, 5 unknown and being asked about
        0x0404 line_state: u8,
        /// for people
        0x0405 text: Text<'a>,
    }
}

layout! {
    /// Who pays what of a medical cost, in fen.
    Shares = "shares" {
        /// funds (fund_pay_sumamt)
        fund_fen: u64,
        /// personal account (acct_pay)
        account_fen: u64,
        /// family account (acct_mulaid_pay)
        family_fen: u64,
        /// cash (psn_cash_pay)
        cash_fen: u64,
    }
}

layout! {
    /// What may be told of a person.
    Person = "person" {
        /// 1 if it is the person, else 0
        matches: u8,
        /// age band, as agreed; 0 if the scenario may not know it
        age_band: u8,
        /// 1 if entitled to a concession; 0 if not, or not to be known
        concession: u8,
    }
}

impl Payment<'_> {
    /// Its field 4 as a number, 0 without one that can be read.
    pub fn amount_fen(&self) -> u64 {
        let text = self.fields.get(4).and_then(|digits| std::str::from_utf8(digits).ok());
        text.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}
