//! Rules between tables: names that must exist, roles that must fit, times that must nest, and what
//! production refuses.

use super::doc::{Place, Table, nearest};
use super::rows::Places;
use super::units::show_duration;
use super::{Config, Environment, LinkConfig, ListenerConfig, Unlock, addresses};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) fn cross_check(top: &Table<'_>, config: &Config, places: &Places) {
    switch(top, config, places);
    participants(top, config, places);
    listeners(top, config, places);
    deadlines(top, config, places);
    routes(top, config, places);
    keys(top, config, places);
    macs(top, config, places);
    gates(top, config, places);
    pin_keys(top, config, places);
    trace_numbers(top, config, places);
}

fn switch(top: &Table<'_>, config: &Config, places: &Places) {
    if let (Some(admin), Some(place)) = (config.admin, &places.switch)
        && !admin.ip().is_loopback()
    {
        let rule = "the admin port asks nobody who they are: give it a loopback address, and a proxy in front of it where others must see it";
        top.fault(&place.admin, rule);
    }
    if let (Some(admin), Some(place)) = (config.admin, &places.switch) {
        usable(top, &place.admin, admin);
        if config.listeners.iter().any(|listener| addresses::clash(listener.address, admin)) {
            top.fault(&place.admin, format!("{admin} is taken by a listener"));
        }
    }
}

fn usable(top: &Table<'_>, place: &Place, address: SocketAddr) {
    if let Some(why) = addresses::unusable(address) {
        top.fault(place, format!("{address} {why}"));
    }
}

fn participants(top: &Table<'_>, config: &Config, places: &Places) {
    let mut names = BTreeSet::new();
    let mut platform = false;
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        if !names.insert(participant.name.as_str()) {
            top.fault(&place.name, format!("a participant named \"{}\" is already there", participant.name));
        }
        if participant.coupon_platform && platform {
            top.fault(&place.name, "there can be one coupon platform");
        }
        platform |= participant.coupon_platform;
        let Some(link) = &participant.link else { continue };
        if link.connect.is_empty() {
            top.fault(&place.connect, format!("\"{}\" has no address to connect to", participant.name));
        }
        for address in &link.connect {
            if let Some(why) = addresses::unreachable(*address) {
                top.fault(&place.connect, format!("{address} {why}"));
            }
        }
        let own = |listener: &&ListenerConfig| {
            link.connect.iter().any(|address| addresses::reaches(*address, listener.address))
        };
        if let Some(own) = config.listeners.iter().find(own) {
            let rule = format!("{} is a listener of this switch: it would talk to itself", own.address);
            top.fault(&place.connect, rule);
        }
        grows(top, &place.reconnect_first, "reconnect_max", link.reconnect_first, link.reconnect_max);
        grows(top, &place.backoff_first, "backoff_max", link.backoff_first, link.backoff_max);
    }
}

/// A wait that is doubled each time begins below its end.
fn grows(top: &Table<'_>, place: &Place, end: &str, first: Duration, last: Duration) {
    if first > last {
        let (first, last) = (show_duration(first), show_duration(last));
        top.fault(place, format!("the first wait ({first}) is longer than the longest, {end} ({last})"));
    }
}

fn listeners(top: &Table<'_>, config: &Config, places: &Places) {
    let mut taken = addresses::Taken::default();
    for (listener, place) in config.listeners.iter().zip(&places.listeners) {
        match config.participants.iter().find(|participant| participant.name == listener.participant) {
            None => unknown(top, &place.participant, config, &listener.participant),
            Some(found) if found.link.is_some() => {
                let rule = format!("\"{}\" is no acquirer: terminals connect for an acquirer", found.name);
                top.fault(&place.participant, rule);
            }
            Some(_) => {}
        }
        if !listener.address.ip().is_loopback() && !place.plain {
            let rule = "is reachable from other machines in plain TCP; say allow_plaintext = true if a protected network is meant";
            top.fault(&place.address, rule);
        }
        usable(top, &place.address, listener.address);
        if let Some(other) = taken.take(listener.address) {
            top.fault(
                &place.address,
                format!("{} is listened on twice: {other} is there already", listener.address),
            );
        }
    }
}

/// A participant's time-out ends before the terminal gives up; two legs of a coupon purchase do so together
/// (rule 17).
fn deadlines(top: &Table<'_>, config: &Config, places: &Places) {
    let longest = |coupons: bool| {
        let of_part = config.participants.iter().filter(|participant| participant.coupon_platform == coupons);
        of_part
            .filter_map(|participant| participant.link.as_ref())
            .map(|link: &LinkConfig| link.timeout)
            .max()
    };
    let (bank, coupons) = (longest(false), longest(true));
    for (listener, place) in config.listeners.iter().zip(&places.listeners) {
        let deadline = show_duration(listener.deadline);
        let one = bank.max(coupons).unwrap_or_default();
        let both = bank.zip(coupons).map_or(one, |(bank, coupons)| bank + coupons);
        if one >= listener.deadline {
            let rule = format!(
                "its deadline ({deadline}) is not above the longest participant timeout ({}): the terminal would always wait in vain",
                show_duration(one)
            );
            top.fault(&place.deadline, rule);
        } else if both >= listener.deadline {
            let rule = format!(
                "its deadline ({deadline}) is not above the timeouts of coupon platform and bank together ({}): no coupon purchase could be finished",
                show_duration(both)
            );
            top.fault(&place.deadline, rule);
        }
    }
}

fn routes(top: &Table<'_>, config: &Config, places: &Places) {
    let mut prefixes = BTreeSet::new();
    for (route, place) in config.routes.iter().zip(&places.routes) {
        match config.participants.iter().find(|participant| participant.name == route.to) {
            None => unknown(top, &place.to, config, &route.to),
            // Its own table says what is wrong with it.
            Some(found) if places.faulty.contains(&found.name) => {}
            Some(found) if found.link.is_none() || found.coupon_platform => {
                top.fault(&place.to, format!("\"{}\" is no issuer: cards are routed to issuers", found.name));
            }
            Some(_) => {}
        }
        if !prefixes.insert(route.prefix.as_str()) {
            top.fault(&place.prefix, format!("prefix \"{}\" is routed twice", route.prefix));
        }
    }
}

fn keys(top: &Table<'_>, config: &Config, places: &Places) {
    let production = config.environment == Environment::Production;
    if let (true, Some(place)) = (production, places.test_keys.first()) {
        top.fault(place, "production refuses test keys: put live keys into key_file (`yika keys import`)");
    }
    if let (true, None, Some(place)) = (production, &config.key_file, &places.switch) {
        top.fault(&place.data_dir, "production needs key_file: `yika keys init FILE` makes one");
    }
    for (listener, place) in config.listeners.iter().zip(&places.listeners) {
        let layout = listener.sign_in.as_ref().map(|sign_in| sign_in.layout);
        let keyed =
            config.participants.iter().any(|one| one.name == listener.participant && one.mac_key.is_some());
        if layout.is_some() && keyed {
            top.fault(
                &place.participant,
                "its acquirer has a mac_key, and sign_in gives each terminal keys of its own: one of the two",
            );
        }
        if layout.is_some() && listener.gate.is_some() {
            top.fault(&place.address, "gateways have no sign-in: sign_in belongs to a listener of terminals");
        }
    }
    if let (Unlock::Custodians, None, Some(place)) = (config.unlock, &config.key_file, &places.switch) {
        top.fault(
            &place.data_dir,
            "unlock = \"custodians\" needs key_file: there is no master key to unlock without one",
        );
    }
    hsm_keys(top, config, places);
    let mut names = BTreeSet::new();
    for (key, place) in config.test_keys.iter().zip(&places.test_keys) {
        if !names.insert(key.name.as_str()) {
            top.fault(place, format!("a test key named \"{}\" is already there", key.name));
        }
    }
    if config.key_file.is_some() {
        return;
    }
    names.extend(config.hsm_keys.iter().map(|key| key.name.as_str()));
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        let (gate_key, next) =
            (participant.gate_keys.first().cloned(), participant.gate_keys.get(1).cloned());
        let wanted = [&participant.mac_key, &participant.pin_key, &participant.kek, &gate_key, &next];
        for (name, place) in wanted.into_iter().zip(&place.keys) {
            let Some(name) = name.as_ref().filter(|name| !names.contains(name.as_str())) else { continue };
            let known: Vec<&str> = names.iter().copied().collect();
            let rule =
                format!("\"{}\" wants the key \"{name}\", which no [[test_key]] gives", participant.name);
            top.doc().fault_like(place, rule, nearest(name, &known));
        }
    }
}

/// PIN keys are all in the HSM or all in the key file; in production they are in the HSM (PCI PIN requirement 1: a PIN is
/// clear in a secure cryptographic device alone).
fn hsm_keys(top: &Table<'_>, config: &Config, places: &Places) {
    let production = config.environment == Environment::Production;
    if let (None, Some(place)) = (&config.hsm, places.hsm_keys.first()) {
        top.fault(place, "a key of an HSM needs a table [hsm] that says where that is");
    }
    let at_hsm = |name: &String| config.hsm_keys.iter().any(|key| key.name == *name);
    let mut seen = BTreeSet::new();
    for (key, place) in config.hsm_keys.iter().zip(&places.hsm_keys) {
        if !seen.insert(&key.name) || config.test_keys.iter().any(|other| other.name == key.name) {
            top.fault(place, format!("a key named \"{}\" is already there", key.name));
        }
    }
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        let [mac, pin, ..] = &place.keys;
        if participant.mac_key.as_ref().is_some_and(at_hsm) {
            top.fault(mac, "an HSM holds PIN keys here: MAC keys belong into key_file, where they change while payments run");
        }
        let Some(name) = &participant.pin_key else { continue };
        if production && !at_hsm(name) {
            top.fault(
                pin,
                "production keeps PIN keys in an HSM: name an [[hsm_key]], and where it is in [hsm]",
            );
        } else if !config.hsm_keys.is_empty() && !at_hsm(name) {
            top.fault(pin, "other PIN keys are in the HSM, and a PIN moves between two of its keys only: put this one there too");
        }
    }
    for (listener, place) in config.listeners.iter().zip(&places.listeners) {
        if listener.sign_in.is_some() && (production || config.hsm.is_some()) {
            let rule = "sign_in draws PIN keys here, and they belong into the HSM: production, and whoever has an HSM, gives terminals none this way";
            top.fault(&place.address, rule);
        }
    }
}

/// Production believes nobody without a MAC: a terminal's payment and a bank's approval are both money.
fn macs(top: &Table<'_>, config: &Config, places: &Places) {
    if config.environment != Environment::Production {
        return;
    }
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        let what = if participant.link.is_some() {
            "would believe answers that anybody may have made"
        } else if terminals_of(config, &participant.name).next().is_some() {
            "would take payments from anybody who reaches its listener"
        } else {
            continue;
        };
        if participant.mac_key.is_none() {
            let rule = format!("\"{}\" needs a mac_key: without one, production {what}", participant.name);
            top.fault(&place.keys[0], rule);
        }
    }
}

/// Listeners where what comes is proven by the MAC of its message; a gateway's frames are by their own.
pub(super) fn terminals_of<'c>(config: &'c Config, name: &str) -> impl Iterator<Item = &'c ListenerConfig> {
    config.listeners.iter().filter(move |listener| listener.participant == name && listener.gate.is_none())
}

/// A gateway is nobody without a zone key.
fn gates(top: &Table<'_>, config: &Config, places: &Places) {
    for (listener, place) in config.listeners.iter().zip(&places.listeners).filter(|row| row.0.gate.is_some())
    {
        let named = config.participants.iter().find(|one| one.name == listener.participant);
        if named.is_some_and(|participant| participant.gate_keys.is_empty()) {
            let rule = format!(
                "\"{}\" needs a gate_key: without one, every gateway is refused",
                listener.participant
            );
            top.fault(&place.participant, rule);
        }
    }
}

/// Of the keys that stand here; those of a key file are checked when they are opened.
fn pin_keys(top: &Table<'_>, config: &Config, places: &Places) {
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        let Some(name) = &participant.pin_key else { continue };
        let Some(key) = config.test_keys.iter().find(|key| key.name == *name) else { continue };
        if let Some(needs) = config.pin_key_misfit(participant, key.algorithm) {
            top.fault(&place.keys[1], format!("\"{name}\" is an {} key; F52 needs {needs}", key.algorithm));
        }
    }
}

/// F11 counts to 999999 for each participant. Where answers do not tell by F7 which round they mean, a number must
/// not come again while a request or a late answer may still hold it; the rest is room for what is asked next.
const TRACE_NUMBERS_MAX: usize = 900_000;

fn trace_numbers(top: &Table<'_>, config: &Config, places: &Places) {
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        let Some(link) = participant.link.as_ref().filter(|link| !link.answer_match.sent_at) else {
            continue;
        };
        let (late, live, owed) = (config.bounds.late_max, link.inflight_max, link.saf_window);
        let held = late.saturating_add(live).saturating_add(owed);
        if held > TRACE_NUMBERS_MAX {
            let rule = format!(
                "answers of \"{}\" are matched without F7, and late_max ({late}), inflight_max ({live}) and saf_window ({owed}) \
                 together hold {held} trace numbers (F11) at a time: at most {TRACE_NUMBERS_MAX}, or put 7 into answer_match",
                participant.name
            );
            top.fault(&place.inflight_max, rule);
        }
    }
}

fn unknown(top: &Table<'_>, place: &Place, config: &Config, name: &str) {
    if top.doc().is_full() {
        return top.fault(place, "no participant has this name");
    }
    let known: Vec<&str> = config.participants.iter().map(|participant| participant.name.as_str()).collect();
    top.doc().fault_like(place, format!("no participant is named \"{name}\""), nearest(name, &known));
}
