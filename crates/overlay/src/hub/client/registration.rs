//! Having registered, at every hub, what is published here.

use std::time::Duration;

use gannet_base::{ContentId, PeerId, Publication, Timestamp};

use super::batches::{Registration, Shape};
use super::connection::Hub;
use super::health::Known;
use super::{DownReason, HubClient, HubClientEvent};
use crate::hub::message::{Budget, Refusal, Standing};

/// A full hub is offered the refused entries again after so many repair
/// intervals.
const FULL_INTERVALS: u32 = 12;

/// What the layer above was told of a registration, and when it was repaired.
#[derive(Debug, Default)]
pub(super) struct Notices {
    registered: Option<u32>,
    refused: u32,
    began_at: Option<Timestamp>,
    repaired_at: Option<Timestamp>,
}

impl HubClient {
    pub(super) fn on_publish(&mut self, now: Timestamp, publications: Vec<Publication>) {
        let (mut invalid, mut excess, mut any) = (0, 0, false);
        let entries_max = self.config.entries_max;
        for publication in publications {
            let holder = publication.holder;
            if publication.entry.validate().is_err() || self.own.is_some_and(|own| own != holder) {
                invalid += 1;
            } else if self.log.len() >= entries_max && !self.log.has_entry(&publication.entry) {
                excess += 1;
            } else {
                self.own = Some(holder);
                any |= self.log.publish(publication);
            }
        }
        if invalid + excess > 0 {
            self.event(HubClientEvent::PublishRefused {
                invalid,
                excess,
                entries_max,
            });
        }
        if any {
            self.register_everywhere(now);
        }
    }

    pub(super) fn on_withdraw(&mut self, now: Timestamp, entries: Vec<(ContentId, String)>) {
        let mut any = false;
        for (content, path) in entries {
            any |= self.log.withdraw(content, path, self.config.removals_max);
        }
        if any {
            self.register_everywhere(now);
            self.tidy_log();
        }
    }

    fn register_everywhere(&mut self, now: Timestamp) {
        let hubs: Vec<PeerId> = self.hubs.ids().collect();
        for hub in hubs {
            let state = self.hubs.get_mut(hub);
            if let Some(notices) = state.and_then(|state| state.notices.as_mut()) {
                notices.registered = None;
            }
            self.register(now, hub);
        }
    }

    /// Sends a hub what it may be sent now.
    fn register(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub).filter(|state| state.is_live()) else {
            return;
        };
        let Some(registration) = &mut state.registration else {
            if self.log.len() > 0 {
                let (epoch, number) = (state.epoch, state.number);
                self.begin(now, hub, epoch, number);
            }
            return;
        };
        if registration.missed_withdrawals(&self.log) {
            let (epoch, number) = (registration.epoch, registration.number);
            self.begin(now, hub, epoch, number);
            return;
        }
        let shape = Shape {
            window: usize::from(
                self.config
                    .window_batches
                    .min(state.limits.window_batches.max(1)),
            ),
            batch_bytes: self.config.batch_bytes_max,
            entries_max: usize::try_from(state.limits.entries_max).unwrap_or(usize::MAX),
            resend_min: self.config.resend_min,
        };
        for message in registration.fill(now, &self.log, shape) {
            self.send(hub, message);
        }
        self.tell(hub);
    }

    /// Starts over at a hub, under a number above `number`.
    fn begin(&mut self, now: Timestamp, hub: PeerId, epoch: u64, number: u64) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        // Ours are counted up from one: it would take a liar to get here.
        let Some(number) = number.checked_add(1) else {
            self.on_down(now, hub, DownReason::Nonsense);
            return;
        };
        let before = state.registration.as_deref();
        let begun = Registration::begin(before, epoch, number, &self.log);
        state.registration = Some(Box::new(begun));
        let notices = state.notices.get_or_insert_default();
        notices.registered = None;
        notices.refused = 0;
        notices.began_at = Some(now);
        self.register(now, hub);
    }

    /// Tells the layer above when a hub has everything.
    fn tell(&mut self, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        let caught_up = state.registration.as_ref();
        let Some(registration) = caught_up.filter(|one| one.is_caught_up(&self.log)) else {
            return;
        };
        let entries = registration.entries;
        let missing = registration.missing();
        let notices = state.notices.get_or_insert_default();
        let told_registered = notices.registered.replace(entries) == Some(entries);
        // Told again when it is twice as many: they may come one by one.
        let told = notices.refused;
        let told_refused = missing == told || (missing > told && missing / 2 < told);
        if !told_refused {
            notices.refused = missing;
        }
        let held_back = Refusal::of(
            Budget::Entries,
            usize::try_from(state.limits.entries_max).unwrap_or(usize::MAX),
        );
        let reason = registration.refusal.unwrap_or(held_back);
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        if !told_registered {
            let entries = count(entries);
            self.event(HubClientEvent::Registered { hub, entries });
        }
        if !told_refused {
            let entries = count(missing);
            self.event(HubClientEvent::RegistrationRefused {
                hub,
                entries,
                reason,
            });
        }
    }

    /// The welcome's standing: go on where we stopped, or start over.
    pub(super) fn on_first_standing(&mut self, now: Timestamp, hub: PeerId, standing: Standing) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        (state.epoch, state.number) = (standing.epoch, standing.registration);
        let begun = state.registration.as_mut().filter(|registration| {
            registration.epoch == standing.epoch
                && registration.number == standing.registration
                && registration.acked <= standing.next
        });
        if let Some(registration) = begun
            && registration
                .advance(now, &standing, &self.log, &mut self.rng.wake())
                .is_ok()
        {
            registration.send_again();
            self.register(now, hub);
        } else if self.log.len() > 0 || standing.entries > 0 {
            self.begin(now, hub, standing.epoch, standing.registration);
        } else {
            // Nothing to register, nothing to forget: no registration at all.
            state.registration = None;
        }
    }

    pub(super) fn on_ack(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        standing: Standing,
        (early, wait_ms, refusal): (bool, u32, Option<Refusal>),
    ) {
        let Some(state) = self.hubs.get_mut(hub).filter(|state| state.is_live()) else {
            return;
        };
        let Some(registration) = &mut state.registration else {
            return;
        };
        if standing.epoch != registration.epoch {
            return;
        }
        if standing.registration > registration.number {
            self.on_lie(now, hub, standing);
            return;
        }
        let begun = standing.registration == registration.number;
        let progress = match begun {
            true => registration.advance(now, &standing, &self.log, &mut self.rng.wake()),
            false => Ok(false),
        };
        let Ok(progress) = progress else {
            self.on_lie(now, hub, standing);
            return;
        };
        if progress {
            // A rest is not a refusal of entries.
            let of_entries = refusal.filter(|one| one.budget != Budget::RegistrationRate);
            registration.refusal = registration.refusal.or(of_entries);
        } else if wait_ms > 0 {
            registration.hold(now, wait_ms);
        } else if early && (standing.next == registration.acked || !begun) {
            registration.on_gap(now, self.config.resend_min);
        }
        self.register(now, hub);
        self.tidy_log();
    }

    /// The standing in an answer to a keep-alive: nothing that was
    /// acknowledged may be missing.
    pub(super) fn on_standing(
        &mut self,
        now: Timestamp,
        hub: PeerId,
        standing: Standing,
        known: Known,
    ) {
        let Some(state) = self.hubs.get_mut(hub) else {
            return;
        };
        (state.epoch, state.number) = (standing.epoch, standing.registration);
        let Some(registration) = &mut state.registration else {
            self.register(now, hub);
            return;
        };
        if standing.epoch != registration.epoch {
            self.begin(now, hub, standing.epoch, standing.registration);
            return;
        }
        let begun = standing.registration == registration.number;
        let acknowledged = known.number == registration.number && known.acked > 0;
        let lost = if begun {
            known.number == registration.number && standing.next < known.acked
        } else {
            acknowledged || standing.registration > registration.number
        };
        let advanced = match begun && !lost {
            true => registration.advance(now, &standing, &self.log, &mut self.rng.wake()),
            false => Ok(false),
        };
        if lost || advanced.is_err() {
            self.on_lie(now, hub, standing);
            return;
        }
        let forgot =
            begun && standing.next == registration.acked && standing.entries < registration.entries;
        if self.wants_repair(now, hub, forgot) {
            self.repair(now, hub, standing);
        } else {
            self.register(now, hub);
        }
        self.tidy_log();
    }

    /// The hub's word does not fit what it was sent: start over, and remember.
    fn on_lie(&mut self, now: Timestamp, hub: PeerId, standing: Standing) {
        self.on_strike(now, hub);
        if self.hubs.get(hub).is_some_and(Hub::is_live) {
            self.begin(now, hub, standing.epoch, standing.registration);
        }
    }

    /// Whether a new registration is worth its price: entries went missing at
    /// the hub, or refused ones may now be taken.
    fn wants_repair(&self, now: Timestamp, hub: PeerId, forgot: bool) -> bool {
        let Some(state) = self.hubs.get(hub) else {
            return false;
        };
        let Some(registration) = &state.registration else {
            return false;
        };
        let missing = registration.missing() > 0;
        let shrunk = self.log.len() < registration.began_len;
        let full = registration
            .refusal
            .is_some_and(|refusal| refusal.budget == Budget::HubEntries);
        let wait: Duration = match (forgot, missing && shrunk, missing && full) {
            (true, ..) | (_, true, _) => self.config.repair_interval,
            (.., true) => self.config.repair_interval * FULL_INTERVALS,
            _ => return false,
        };
        let notices = state.notices.as_ref();
        let last = notices.and_then(|notices| match forgot {
            true => notices.repaired_at,
            false => notices.began_at,
        });
        registration.is_caught_up(&self.log) && last.is_none_or(|last| now - last >= wait)
    }

    fn repair(&mut self, now: Timestamp, hub: PeerId, standing: Standing) {
        if let Some(state) = self.hubs.get_mut(hub) {
            state.notices.get_or_insert_default().repaired_at = Some(now);
        }
        self.begin(now, hub, standing.epoch, standing.registration);
    }

    pub(super) fn on_registration_timeout(&mut self, now: Timestamp, hub: PeerId) {
        let Some(state) = self.hubs.get_mut(hub).filter(|state| state.is_live()) else {
            return;
        };
        let Some(registration) = &mut state.registration else {
            return;
        };
        if registration.next_deadline().is_none_or(|due| now < due) {
            return;
        }
        registration.handle_timeout(now);
        if registration.stalls > self.config.resend_attempts {
            self.on_down(now, hub, DownReason::Stalled);
        } else {
            self.register(now, hub);
        }
    }

    /// Forgets withdrawals that every hub with a registration has heard of;
    /// later registrations do not need them.
    pub(super) fn tidy_log(&mut self) {
        let heard = self
            .hubs
            .iter()
            .filter_map(|(_, state)| state.registration.as_ref())
            .map(|registration| registration.cursor)
            .min()
            .unwrap_or(self.log.latest());
        self.log.forget_withdrawn(heard);
    }
}
