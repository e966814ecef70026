//! From a checked configuration to the core's settings, once the journal has given every name its id.

use super::{Config, ParticipantConfig};
use crate::core::entry::{LegRole, Way};
use crate::core::ids::{Currency, ParticipantId};
use crate::core::settings::{ListenerSettings, ParticipantSettings, Route, Routes, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Names in the order of the configuration.
pub fn participant_names(config: &Config) -> impl Iterator<Item = &str> {
    config.participants.iter().map(|participant| participant.name.as_str())
}

/// How each participant that has a host is reached.
///
/// `ids` has every name of the configuration, as for `core_settings`.
pub fn ways(config: &Config, ids: &BTreeMap<String, ParticipantId>) -> BTreeMap<ParticipantId, Way> {
    let of = |participant: &ParticipantConfig| {
        let link = participant.link.as_ref()?;
        let mut addresses: Vec<String> = link.connect.iter().map(ToString::to_string).collect();
        addresses.sort_unstable();
        let role = if participant.coupon_platform { LegRole::CouponPlatform } else { LegRole::Issuer };
        let (dialect, digest) = (link.dialect.name().to_owned(), link.dialect.digest());
        Some((*ids.get(&participant.name)?, Way { role, dialect, digest, addresses }))
    };
    config.participants.iter().filter_map(of).collect()
}

/// `ids` has every name of the configuration (see `core::name_participants`).
pub fn core_settings(config: &Config, ids: &BTreeMap<String, ParticipantId>) -> Settings {
    let id = |name: &str| ids.get(name).copied();
    let width = ids.values().map(|id| usize::from(id.0) + 1).max().unwrap_or(0);
    let mut participants: Vec<Option<ParticipantSettings>> = (0..width).map(|_| None).collect();
    for participant in &config.participants {
        let (Some(id), Some(link)) = (id(&participant.name), &participant.link) else { continue };
        participants[usize::from(id.0)] = Some(ParticipantSettings {
            name: participant.name.clone(),
            dialect: link.dialect.clone(),
            f7_minutes: i32::from(link.dialect.f7_offset_minutes()),
            answer_match: link.answer_match,
            timeout_us: micros(link.timeout),
            inflight_max: link.inflight_max,
            saf_window: link.saf_window,
            backoff_first_us: micros(link.backoff_first),
            backoff_max_us: micros(link.backoff_max),
            stand_in: link.stand_in,
            partial_approval: link.partial_approval,
            forward_unknown_original: link.forward_unknown_original,
        });
    }
    let listeners = config.listeners.iter().filter_map(|listener| {
        Some(ListenerSettings {
            acquirer: id(&listener.participant)?,
            codes: *listener.dialect.codes(),
            mtis: listener.dialect.original_mtis(),
            currencies: listener.currencies.iter().map(|code| Currency(*code)).collect(),
            sign_on_required: listener.sign_on_required,
            deadline_us: micros(listener.deadline),
        })
    });
    let named = config
        .listeners
        .iter()
        .flat_map(|listener| listener.currencies.iter().chain(std::iter::once(&listener.currency)));
    let currencies: BTreeSet<Currency> = named.map(|code| Currency(*code)).collect();
    let routes: Vec<Route> = config
        .routes
        .iter()
        .filter_map(|route| Some(Route { prefix: route.prefix.clone(), to: id(&route.to)? }))
        .collect();
    let platform = config.participants.iter().find(|participant| participant.coupon_platform);
    Settings {
        shard: 0,
        limits: config.limits,
        bounds: config.bounds,
        participants,
        listeners: listeners.collect(),
        routes: Routes::compile(&routes),
        currencies: currencies.into_iter().collect(),
        coupon_platform: platform.and_then(|platform| id(&platform.name)),
        cut_over_minute: config.cut_over_minute,
        zone_minutes: config.zone_minutes,
        completion_percent_max: config.completion_percent_max,
        institution: config.institution.clone(),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
