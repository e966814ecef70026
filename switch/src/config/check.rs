//! Rules between tables: names that must exist, roles that must fit, times that must nest, and what
//! production refuses.

use super::doc::{Table, nearest};
use super::read::Places;
use super::{Config, Environment};
use std::collections::BTreeMap;

pub(super) fn cross_check(top: &Table<'_>, config: &Config, places: &Places) {
    names(top, config, places);
    listeners(top, config, places);
    routes(top, config, places);
    keys(top, config, places);
}

fn names(top: &Table<'_>, config: &Config, places: &Places) {
    let mut seen = BTreeMap::new();
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        if seen.insert(participant.name.as_str(), ()).is_some() {
            top.fault(place, format!("a participant named \"{}\" is already there", participant.name));
        }
        if participant.link.as_ref().is_some_and(|link| link.connect.is_empty()) {
            top.fault(place, format!("\"{}\" has no address to connect to", participant.name));
        }
    }
    let platforms = config.participants.iter().filter(|participant| participant.coupon_platform).count();
    if let (true, Some(place)) = (platforms > 1, places.participants.last()) {
        top.fault(place, "there can be one coupon platform");
    }
}

fn listeners(top: &Table<'_>, config: &Config, places: &Places) {
    let mut addresses = BTreeMap::new();
    for (listener, (place, plain)) in config.listeners.iter().zip(&places.listeners) {
        match config.participants.iter().find(|participant| participant.name == listener.participant) {
            None => unknown(top, place, config, &listener.participant),
            Some(found) if found.link.is_some() => {
                top.fault(
                    place,
                    format!("\"{}\" is no acquirer: terminals connect for an acquirer", found.name),
                );
            }
            Some(_) => {}
        }
        if !listener.address.ip().is_loopback() && !plain {
            let rule = "is reachable from other machines in plain TCP; say allow_plaintext = true if a protected network is meant";
            top.fault(place, rule);
        }
        if listener.address.port() != 0 && addresses.insert(listener.address, ()).is_some() {
            top.fault(place, format!("{} is listened on twice", listener.address));
        }
        let slowest =
            config.participants.iter().filter_map(|p| p.link.as_ref()).map(|link| link.timeout).max();
        if slowest.is_some_and(|slowest| slowest >= listener.deadline) {
            let rule = format!(
                "its deadline ({}) is not above the longest participant timeout ({}): the terminal would always wait in vain",
                super::units::show_duration(listener.deadline),
                super::units::show_duration(slowest.unwrap_or_default())
            );
            top.fault(place, rule);
        }
    }
}

fn routes(top: &Table<'_>, config: &Config, places: &Places) {
    let mut prefixes = BTreeMap::new();
    for (route, place) in config.routes.iter().zip(&places.routes) {
        match config.participants.iter().find(|participant| participant.name == route.to) {
            None => unknown(top, place, config, &route.to),
            Some(found) if found.link.is_none() || found.coupon_platform => {
                top.fault(place, format!("\"{}\" is no issuer: cards are routed to issuers", found.name));
            }
            Some(_) => {}
        }
        if prefixes.insert(route.prefix.as_str(), ()).is_some() {
            top.fault(place, format!("prefix {} is routed twice", route.prefix));
        }
    }
}

fn keys(top: &Table<'_>, config: &Config, places: &Places) {
    let production = config.environment == Environment::Production;
    if let (true, Some(place)) = (production, places.test_keys.first()) {
        top.fault(place, "production refuses test keys: put live keys into key_file");
    }
    if let (true, None, Some(place)) = (production, &config.key_file, &places.switch) {
        top.fault(place, "production needs key_file");
    }
    if config.key_file.is_some() {
        return;
    }
    for (participant, place) in config.participants.iter().zip(&places.participants) {
        for name in [&participant.mac_key, &participant.pin_key, &participant.kek].into_iter().flatten() {
            if !config.test_keys.iter().any(|key| key.name == *name) {
                let known: Vec<&str> = config.test_keys.iter().map(|key| key.name.as_str()).collect();
                let rule =
                    format!("\"{}\" wants the key \"{name}\", which no [[test_key]] gives", participant.name);
                top.doc().fault_like(place, rule, nearest(name, &known));
            }
        }
    }
}

fn unknown(top: &Table<'_>, place: &super::doc::Place, config: &Config, name: &str) {
    let known: Vec<&str> = config.participants.iter().map(|participant| participant.name.as_str()).collect();
    top.doc().fault_like(place, format!("no participant is named \"{name}\""), nearest(name, &known));
}
