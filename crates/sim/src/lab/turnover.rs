//! Peers that come and go, from the steady state on, whatever the overlay.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{Core, Rng, Timestamp, fork_rng};

use super::search::Churn;
use crate::churn::{Sessions, duration};
use crate::{App, World, draw};

/// How a peer leaves and comes back.
pub(in crate::lab) trait Comings<C: Core, A: App<C>> {
    /// As by pulling the plug: nobody says goodbye.
    fn leave(&mut self, world: &mut World<C, A>, node: u32);

    /// With what it remembers.
    fn come_back(&mut self, world: &mut World<C, A>, node: u32, rng: Rng);
}

/// When who comes and goes.
#[derive(Debug)]
pub(in crate::lab) struct Turnover {
    churn: Churn,
    /// When each peer comes or goes next.
    next: BTreeSet<(Timestamp, u32)>,
    rng: Rng,
}

impl Turnover {
    /// Takes away who is away in the steady state.
    pub(in crate::lab) fn new<C, A>(
        churn: &Churn,
        world: &mut World<C, A>,
        comings: &mut impl Comings<C, A>,
        rng: &mut Rng,
    ) -> Self
    where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        let mut turnover = Self {
            churn: churn.clone(),
            next: BTreeSet::new(),
            rng: fork_rng(rng),
        };
        let (on, off) = (churn.online.mean(), churn.offline.mean());
        for node in 0..world.nodes() {
            let away = draw::unit(&mut turnover.rng) * (on + off) >= on;
            let sessions = if away { &churn.offline } else { &churn.online };
            let left = sessions.sample_under_way(&mut turnover.rng).residual;
            turnover.next.insert((world.now() + duration(left), node));
            if away {
                comings.leave(world, node);
            }
        }
        turnover
    }

    /// Lets everything happen until then.
    pub(in crate::lab) fn run_until<C, A>(
        &mut self,
        world: &mut World<C, A>,
        comings: &mut impl Comings<C, A>,
        until: Timestamp,
    ) where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        while let Some((at, node)) = self.next.first().copied().filter(|(at, _)| *at <= until) {
            self.next.pop_first();
            world.run_until(at);
            let is_up = world.core(node).is_some();
            let sessions: &Sessions = if is_up {
                comings.leave(world, node);
                &self.churn.offline
            } else {
                comings.come_back(world, node, fork_rng(&mut self.rng));
                &self.churn.online
            };
            let lasts = duration(sessions.sample(&mut self.rng)).max(Duration::from_micros(1));
            self.next.insert((at + lasts, node));
        }
        world.run_until(until);
    }
}
