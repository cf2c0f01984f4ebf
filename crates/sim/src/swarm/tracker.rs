//! The tracker: names random others.

use gannet_base::Core as _;
use gannet_swarm::DownloadCommand;

use super::{CONTENT, Event, Swarm};
use crate::draw::place;
use crate::peer_id;

impl Swarm {
    /// At its start a peer is told of seeds and of others that start as well.
    pub(super) fn name_all(&mut self, node: u32) {
        let all = self.config.seeds + self.config.peers;
        let others = (0..all).filter(|other| *other != node).collect();
        self.name(node, others);
    }

    /// A peer asks, or announces itself: an answer is on its way.
    pub(super) fn ask_tracker(&mut self, node: u32) {
        let round_trip = self.node(node).access * 4;
        self.schedule(self.now + round_trip, Event::Told { node });
    }

    pub(super) fn announce(&mut self, node: u32) {
        self.announced.push(node);
        self.ask_tracker(node);
    }

    pub(super) fn on_told(&mut self, node: u32) {
        let peer = self.node(node);
        if !peer.alive || peer.finished.is_some() {
            return;
        }
        let others = self.announced.iter().copied();
        let others = others.filter(|other| *other != node).collect();
        self.name(node, others);
        self.drain(node);
    }

    fn name(&mut self, node: u32, others: Vec<u32>) {
        let now = self.now;
        let named = self.sample(others, self.config.named_max);
        let peer = self.node_mut(node);
        for other in named {
            let command = DownloadCommand::AddSource {
                content: CONTENT,
                peer: peer_id(other),
            };
            peer.downloads.handle_command(now, command);
        }
    }

    /// Some of `all`, in random order.
    pub(super) fn sample(&mut self, mut all: Vec<u32>, most: usize) -> Vec<u32> {
        let most = most.min(all.len());
        for chosen in 0..most {
            let other = place(&mut self.rng, all.len() - chosen);
            all.swap(chosen, chosen + other);
        }
        all.truncate(most);
        all
    }
}
