//! The hubs in use: two or three, so that a list is both small and fast.

use gannet_base::PeerId;

use super::connection::Hub;

/// Hubs in the order of their ids, with no more memory than they need.
#[derive(Debug, Default)]
pub(super) struct Hubs(Vec<(PeerId, Hub)>);

impl Hubs {
    fn position(&self, hub: PeerId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&hub, |(id, _)| *id)
    }

    pub(super) fn get(&self, hub: PeerId) -> Option<&Hub> {
        let position = self.position(hub).ok()?;
        Some(&self.0[position].1)
    }

    pub(super) fn get_mut(&mut self, hub: PeerId) -> Option<&mut Hub> {
        let position = self.position(hub).ok()?;
        Some(&mut self.0[position].1)
    }

    pub(super) fn contains(&self, hub: PeerId) -> bool {
        self.position(hub).is_ok()
    }

    /// Adds a hub that is not there.
    pub(super) fn add(&mut self, hub: PeerId, state: Hub) {
        if let Err(position) = self.position(hub) {
            self.0.reserve_exact(1);
            self.0.insert(position, (hub, state));
        }
    }

    pub(super) fn remove(&mut self, hub: PeerId) -> Option<Hub> {
        let position = self.position(hub).ok()?;
        let (_, state) = self.0.remove(position);
        self.0.shrink_to_fit();
        Some(state)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.0.iter().map(|(hub, _)| *hub)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Hub)> {
        self.0.iter().map(|(hub, state)| (*hub, state))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Hub)> {
        self.0.iter_mut().map(|(hub, state)| (*hub, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::HubClient;
    use crate::hub::client::batches::Registration;

    /// Hundreds of thousands of clients are simulated at once, each with two.
    #[test]
    fn a_client_is_small() {
        let client = size_of::<HubClient>() - size_of::<gannet_base::RestingRng>();
        let hub = size_of::<(PeerId, Hub)>();
        let registration = size_of::<Registration>();
        assert!(client <= 192, "{client}");
        assert!(hub <= 200, "{hub}");
        assert!(registration <= 208, "{registration}");
    }
}
