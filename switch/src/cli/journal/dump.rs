//! `yika journal dump`: an entry a line, in stable words: ids, amounts and codes; cards masked, other kept fields by
//! number only. It never shows a PIN, a track or a key, not even a wrapped one.

use super::told::{Group, Told};
use super::{CliError, Place, Source, words};
use crate::cli::out::json_line;
use crate::core::clock::rfc3339;
use crate::core::entry::{
    Discharge, Entry, Intent, KeyUse, Late, LateEffect, LegIntent, Outcome, Owed, OwedKind, ReversalOf,
    ServedBy, SignedIn, Step, Taken, WorkingKey,
};
use crate::core::ids::{Money, ObligationId, ParticipantId};
use crate::core::taps::Gateway;
use crate::journal::recovery::scan;
use std::collections::BTreeMap;
use std::io::Write;
use yika_codec::{FieldSet, Pan};
use yika_keystore::LmkBlock;

pub(in super::super) fn dump(out: &mut impl Write, place: &Place, json: bool) -> Result<(), CliError> {
    let source = Source::open(place)?;
    let mut failed = None;
    // A second reading goes on where the first one stopped.
    let mut next_seq = 1;
    let read = source.live.read(|| {
        let mut names = Names::default();
        scan(&source.disk(), &source.keystore, |seq, record| {
            let entry = Entry::decode(record.entry).map_err(|e| e.to_string())?;
            names.note(&entry);
            let printed = if seq < next_seq {
                Ok(())
            } else {
                next_seq = seq + 1;
                print(out, seq, record.wall_ms, &entry, &names, json)
            };
            names.let_go(&entry);
            printed.map_err(|error| {
                failed = Some(error);
                "cannot be printed".to_owned()
            })
        })
    });
    match failed {
        Some(error) => Err(error),
        None => read.map(|_| ()),
    }
}

fn print(
    out: &mut impl Write,
    seq: u64,
    wall_ms: u64,
    entry: &Entry,
    names: &Names,
    json: bool,
) -> Result<(), CliError> {
    let (time, word, told) = (rfc3339(wall_ms), words::entry(entry), tell(entry, names));
    if json {
        let head = Group::default().number("seq", seq).text("time", time).text("entry", word);
        return json_line(out, &head.and(told));
    }
    Ok(writeln!(out, "{seq} {time} {word}{}", told.line())?)
}

/// What earlier entries said: participants by the names that the journal gave them, and what is owed.
#[derive(Default)]
struct Names {
    participants: BTreeMap<ParticipantId, String>,
    owed: BTreeMap<ObligationId, (OwedKind, ParticipantId, Money)>,
    /// Number of the MAC key in force of each participant whose key changed; else it is 0, the configured one.
    mac_epochs: BTreeMap<ParticipantId, u32>,
}

impl Names {
    fn note(&mut self, entry: &Entry) {
        if let Entry::KeyEpoch { participant, usage: KeyUse::Mac, epoch, .. } = entry {
            self.mac_epochs.insert(*participant, *epoch);
        }
        let owed = match entry {
            Entry::Named { id, name } => {
                self.participants.insert(*id, name.clone());
                [].as_slice()
            }
            Entry::Outcome(one) => &one.owed,
            Entry::Taken(one) => &one.outcome.owed,
            Entry::Late(Late { effect: LateEffect::Reopened(one), .. }) => std::slice::from_ref(&**one),
            _ => &[],
        };
        self.owed.extend(owed.iter().map(|one| (one.id, (one.kind, one.participant, one.money))));
    }

    /// What no later entry will speak of.
    fn let_go(&mut self, entry: &Entry) {
        if let Entry::Discharged { id, .. } | Entry::Late(Late { effect: LateEffect::Settles(id), .. }) =
            entry
        {
            self.owed.remove(id);
        }
    }

    fn mac_epoch(&self, id: ParticipantId) -> u32 {
        self.mac_epochs.get(&id).copied().unwrap_or(0)
    }

    fn of(&self, id: ParticipantId) -> String {
        self.participants.get(&id).cloned().unwrap_or_else(|| format!("participant-{id}"))
    }
}

fn tell(entry: &Entry, names: &Names) -> Group {
    let group = Group::default();
    match entry {
        Entry::Limits(limits) => group
            .number("dedupe_window_ms", limits.dedupe_window_ms)
            .number("original_window_ms", limits.original_window_ms)
            .number("originals_max", limits.originals_max),
        Entry::Named { id, name } => group.number("id", id.0).text("name", name),
        Entry::Intent(one) => intent(one, names),
        Entry::Step(one) => step(one, names),
        Entry::Outcome(one) => group.number("tx", one.tx.0).and(outcome(one, names)),
        Entry::Taken(one) => taken(one, names),
        Entry::Late(one) => late(one, names),
        Entry::Discharged { id, how } => {
            let told = discharged(group.number("obligation", id.0), how);
            let Some((kind, participant, money)) = names.owed.get(id) else { return told };
            told.text("kind", words::owed(*kind))
                .text("participant", names.of(*participant))
                .number("amount", money.minor)
                .number("currency", money.currency.0)
                .text("decimal", money.decimal())
        }
        Entry::Forgotten { id } => group.number("obligation", id.0),
        Entry::Parked { id, code } => group.number("obligation", id.0).text("code", code),
        Entry::CutOver { to, trigger } => group.number("to", to.0).text("trigger", words::trigger(*trigger)),
        Entry::DateClosed { date } => group.number("date", date.0),
        // The block is sealed under the master key, and still no business of a dump.
        Entry::KeyEpoch { participant, usage, epoch, block } => {
            let told = group
                .text("participant", names.of(*participant))
                .text("use", words::key_use(*usage))
                .number("epoch", *epoch);
            let block = LmkBlock::try_from(block.clone()).ok();
            match block.and_then(|block| block.stated_check_value()) {
                Some(value) => told.text("check_value", value),
                None => told,
            }
        }
        Entry::Working(one) => working(one, names),
        Entry::SignedOff { participant, off } => {
            group.text("participant", names.of(*participant)).flag("off", *off)
        }
        Entry::TerminalSigned { acquirer, terminal, merchant, on } => {
            let told = group.text("acquirer", names.of(*acquirer)).text("terminal", terminal.escape_ascii());
            let told = match merchant {
                [b' ', ..] => told,
                _ => told.text("merchant", merchant.escape_ascii()),
            };
            told.flag("on", *on)
        }
        Entry::TapWindow { length_ms } => group.number("length_ms", *length_ms),
        // Hashes say nothing to a reader.
        Entry::TerminalsSignedOff | Entry::Referenced { .. } => group,
        Entry::Taps(_) | Entry::BatchOpened(_) | Entry::BatchEnded(_) => of_gateway(group, entry, names),
        Entry::Drained { participant, on } => {
            group.text("participant", names.of(*participant)).flag("on", *on)
        }
        Entry::TimePassed => group,
        Entry::Reached { participant, way } => group
            .text("participant", names.of(*participant))
            .text("role", way.role.as_str())
            .text("dialect", &way.dialect)
            .text("digest", format!("{:016x}", way.digest))
            .text("addresses", way.addresses.join(" ")),
    }
}

/// What the records say stays sealed: an operator counts them.
fn of_gateway(group: Group, entry: &Entry, names: &Names) -> Group {
    match entry {
        Entry::Taps(taken) => {
            let told = gateway(group, &taken.gateway, names);
            let told = taken.batch.map_or(told.clone(), |batch| told.number("batch", batch));
            let apart = taken.taps.iter().filter(|tap| tap.apart).count();
            told.number("date", taken.date.0)
                .number("taps", taken.taps.len() as u64)
                .number("apart", apart as u64)
                .number("amount", taken.taps.iter().map(|tap| tap.amount_fen).sum::<u64>())
        }
        Entry::BatchOpened(opened) => gateway(group, &opened.gateway, names)
            .number("batch", opened.batch)
            .number("records", opened.announced.records)
            .number("amount", opened.announced.amount_fen)
            .number("date", opened.announced.date.0),
        Entry::BatchEnded(ended) => gateway(group, &ended.gateway, names)
            .number("batch", ended.batch)
            .number("records", ended.closed.counts.iter().sum::<u32>())
            .number("amount", ended.closed.amount_fen)
            .number("differs", ended.closed.differs),
        _ => group,
    }
}

fn gateway(group: Group, gateway: &Gateway, names: &Names) -> Group {
    group.text("participant", names.of(gateway.participant)).text("gateway", &gateway.name)
}

fn intent(one: &Intent, names: &Names) -> Group {
    let told = Group::default()
        .number("tx", one.tx.0)
        .text("kind", one.kind.as_str())
        .text("acquirer", names.of(one.acquirer))
        .number("mac_epoch", names.mac_epoch(one.acquirer))
        .text("terminal", one.terminal.escape_ascii())
        .text("stan", stan(one.stan))
        .text("rrn", one.rrn.escape_ascii())
        .number("amount", one.money.minor)
        .number("currency", one.money.currency.0)
        .text("decimal", one.money.decimal())
        .number("date", one.date.0)
        .text("card", masked(&one.custody));
    let told = match one.target {
        Some(target) => told.number("target", target.0),
        None => told,
    };
    told.list("legs", one.legs.iter().map(|one| Told::Group(leg(one, names))))
        .list("custody", numbers(&one.custody))
}

fn leg(one: &LegIntent, names: &Names) -> Group {
    Group::default()
        .text("role", one.role.as_str())
        .text("participant", names.of(one.participant))
        .number("mac_epoch", names.mac_epoch(one.participant))
        .text("stan", stan(one.identity.stan))
        .number("amount", one.amount)
        .text("silence", words::silence(one.silence))
}

fn step(one: &Step, names: &Names) -> Group {
    let told = Group::default().number("tx", one.tx.0).number("leg", one.leg);
    told.number("agreed", one.agreed).group("next", leg(&one.next, names))
}

fn outcome(one: &Outcome, names: &Names) -> Group {
    let ends = one
        .legs
        .iter()
        .map(|end| Group::default().text("state", words::state(end.state)).number("agreed", end.agreed));
    Group::default()
        .text("reason", words::reason(one.reason))
        .text("code", one.code)
        .number("approved", one.approved)
        .flag("stand_in", one.stand_in)
        .list("ends", ends.map(Told::Group))
        .list("owed", one.owed.iter().map(|one| Told::Group(owed(one, names))))
        .list("answer", numbers(&one.answer))
}

fn owed(one: &Owed, names: &Names) -> Group {
    Group::default()
        .number("obligation", one.id.0)
        .text("kind", words::owed(one.kind))
        .text("participant", names.of(one.participant))
        .text("stan", stan(one.identity.stan))
        .number("amount", one.money.minor)
        .text("decimal", one.money.decimal())
}

fn taken(one: &Taken, names: &Names) -> Group {
    let told = intent(&one.intent, names).and(outcome(&one.outcome, names));
    let Some(found) = one.reversal else { return told };
    let told = told.text("reversal_of", words::reversal(found));
    match found {
        ReversalOf::InFlight(tx) => told.number("original_tx", tx.0),
        ReversalOf::Kept(original) | ReversalOf::Undone(original) => told.number("target_kept", original.0),
        ReversalOf::Unknown { .. } | ReversalOf::WithoutEffect => told,
    }
}

fn working(one: &WorkingKey, names: &Names) -> Group {
    let told = |participant: &ParticipantId, usage: &KeyUse| {
        Group::default().text("participant", names.of(*participant)).text("use", words::key_use(*usage))
    };
    match one {
        WorkingKey::Sent { participant, usage, at } => {
            told(participant, usage).number("sent_at", at.sent_at).number("stan", at.stan)
        }
        WorkingKey::Offered { participant, usage, .. } | WorkingKey::Withdrawn { participant, usage } => {
            told(participant, usage)
        }
        WorkingKey::Served(ServedBy { participant, terminal, usage, epoch, stan: number }) => {
            let told = told(participant, usage).number("epoch", *epoch).text("stan", stan(*number));
            match terminal {
                Some(terminal) => told.text("terminal", terminal.escape_ascii()),
                None => told,
            }
        }
        // Neither the keys nor what the terminal is told of them is any business of a dump.
        WorkingKey::SignedIn(SignedIn { acquirer, terminal, sent, .. }) => Group::default()
            .text("acquirer", names.of(*acquirer))
            .text("terminal", terminal.escape_ascii())
            .number("stan", sent.stan),
        WorkingKey::Uses { acquirer, terminal } => {
            Group::default().text("acquirer", names.of(*acquirer)).text("terminal", terminal.escape_ascii())
        }
    }
}

fn late(one: &Late, names: &Names) -> Group {
    let told = Group::default()
        .number("tx", one.of.tx.0)
        .number("leg", one.of.leg)
        .text("participant", names.of(one.participant))
        .text("kind", one.kind.as_str())
        .text("code", one.code)
        .number("late_ms", one.late_ms)
        .number("amount", one.money.minor)
        .text("decimal", one.money.decimal())
        .text("effect", words::late(&one.effect));
    match &one.effect {
        LateEffect::ReversalPending(id) | LateEffect::Settles(id) | LateEffect::Excepted(id) => {
            told.number("obligation", id.0)
        }
        LateEffect::Reopened(one) => told.number("obligation", one.id.0),
        LateEffect::None | LateEffect::AlreadyReversed => told,
    }
}

fn discharged(told: Group, how: &Discharge) -> Group {
    let told = told.text("how", words::discharge(how));
    match how {
        Discharge::Acknowledged { code } | Discharge::Refused { code } => told.text("code", code),
        Discharge::Settled { reason } => told.text("reason", reason),
        Discharge::Unknown | Discharge::NeverSent => told,
    }
}

/// F11 as it stands in messages, so that it is found by what the other side calls it.
fn stan(stan: u32) -> String {
    format!("{stan:06}")
}

/// First six and last four digits, as everywhere.
fn masked(fields: &FieldSet) -> String {
    fields.get(2).and_then(Pan::new).map_or("none".into(), |pan| pan.to_string())
}

fn numbers(fields: &FieldSet) -> impl Iterator<Item = Told> {
    fields.iter().map(|(n, _)| Told::Number(n.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::entry::Few;
    use crate::core::ids::{BusinessDate, Currency, KeyedHash, LegRef, TxId};
    use yika_codec::{Code, Kind};

    const PAN: &[u8] = b"4111111111111111";
    const MONEY: Money = Money { minor: 10, currency: Currency(156) };

    fn sample() -> Taken {
        let mut custody = FieldSet::new();
        for (n, value) in [(2, PAN), (14, b"2912"), (45, b"track"), (52, b"pinblock")] {
            custody.set(n, value);
        }
        let intent = Intent {
            tx: TxId(42),
            key: KeyedHash(7),
            fingerprint: 9,
            kind: Kind::Purchase,
            mti: yika_codec::Mti::new(0x0200),
            acquirer: ParticipantId(1),
            terminal: *b"TERM 001",
            stan: 5,
            sent_at: 0,
            rrn: *b"000000000042",
            rrn_given: true,
            card: None,
            money: Money { minor: 1000, currency: Currency(156) },
            date: BusinessDate(20_261_124),
            silence_code: Code::new(*b"68"),
            target: None,
            legs: Few::new(),
            later: Vec::new(),
            custody,
            origin: 0,
        };
        let outcome = Outcome {
            tx: TxId(42),
            reason: crate::core::entry::Reason::TimedOut,
            code: Code::new(*b"68"),
            approved: 0,
            stand_in: false,
            legs: Few::new(),
            answer: FieldSet::new(),
            owed: Vec::new(),
        };
        Taken { intent, outcome, reversal: Some(ReversalOf::InFlight(TxId(41))) }
    }

    fn lines(entries: &[Entry], json: bool) -> Vec<String> {
        let (mut names, mut out) = (Names::default(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            names.note(entry);
            print(&mut out, at as u64 + 1, 1_709_210_096_007, entry, &names, json).unwrap();
        }
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_entry_is_one_line_of_stable_words_without_secrets() {
        let of = LegRef { tx: TxId(42), leg: 0 };
        let late = Late {
            of,
            participant: ParticipantId(1),
            code: Code::new(*b"00"),
            late_ms: 12,
            kind: Kind::Purchase,
            money: MONEY,
            date: BusinessDate(20_261_124),
            effect: LateEffect::ReversalPending(ObligationId(3)),
        };
        let settled = Discharge::Settled { reason: "by phone,\nbank A".into() };
        let block = "D0112...".to_owned();
        let usage = KeyUse::Mac;
        let entries = [
            Entry::Named { id: ParticipantId(1), name: "city".into() },
            Entry::Taken(Box::new(sample())),
            Entry::Late(late),
            Entry::Discharged { id: ObligationId(3), how: settled },
            Entry::KeyEpoch { participant: ParticipantId(2), usage, epoch: 4, block },
        ];
        let time = "2024-02-29T12:34:56.007Z";
        assert_eq!(
            lines(&entries, false),
            [
                format!("1 {time} named id=1 name=city"),
                format!(
                    "2 {time} taken tx=42 kind=purchase acquirer=city mac_epoch=0 terminal=\"TERM 001\" stan=000005 rrn=000000000042 \
                     amount=1000 currency=156 decimal=10.00 date=20261124 card=411111******1111 custody=2,14,45,52 \
                     reason=timed-out code=68 approved=0 stand_in=false reversal_of=in-flight \
                     original_tx=41"
                ),
                format!(
                    "3 {time} late tx=42 leg=0 participant=city kind=purchase code=00 late_ms=12 amount=10 decimal=0.10 \
                     effect=reversal-pending obligation=3"
                ),
                format!("4 {time} discharged obligation=3 how=settled reason=\"by phone,\\nbank A\""),
                format!("5 {time} key-epoch participant=participant-2 use=mac epoch=4"),
            ]
        );
        for line in lines(&entries, true) {
            let told: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(told["time"], time);
            assert!(told["seq"].is_number() && told["entry"].is_string());
        }
        let said = lines(&entries, false).concat() + &lines(&entries, true).concat();
        for secret in ["4111111111111111", "2912", "pinblock", "=track", "D0112"] {
            assert!(!said.contains(secret), "{secret}");
        }
    }

    #[test]
    fn what_a_discharge_or_a_late_approval_ends_is_let_go() {
        let owed = |id| (ObligationId(id), (OwedKind::Repeat, ParticipantId(1), MONEY));
        let mut names = Names { owed: [owed(1), owed(2), owed(3)].into(), ..Names::default() };
        names.let_go(&Entry::Discharged { id: ObligationId(1), how: Discharge::NeverSent });
        let late = |effect| {
            Entry::Late(Late {
                of: LegRef { tx: TxId(42), leg: 0 },
                participant: ParticipantId(1),
                code: Code::APPROVED,
                late_ms: 12,
                kind: Kind::Purchase,
                money: MONEY,
                date: BusinessDate(20_261_124),
                effect,
            })
        };
        names.let_go(&late(LateEffect::Settles(ObligationId(2))));
        names.let_go(&late(LateEffect::ReversalPending(ObligationId(3))));
        assert_eq!(names.owed.into_keys().collect::<Vec<_>>(), [ObligationId(3)]);
    }
}
