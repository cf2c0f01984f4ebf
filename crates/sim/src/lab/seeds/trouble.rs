//! What a seed draws: files, links, and what goes wrong with them.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::{Core, Rng, fork_rng};

use super::super::below;
use super::super::library::{Library, Shares};
use crate::{App, Cut, Faults, Latency, LinkModel, Mode, World, draw};

/// The files of a small network: how many, and how common, is drawn.
pub(in crate::lab) fn library(nodes: u32, rng: &mut Rng) -> Library {
    let shares = Shares {
        nodes,
        files: 20 + below(rng, 40),
        copies: 1.0 + f64::from(below(rng, 30)) / 10.0,
        zipf: 0.8,
    };
    Library::new(shares, &mut fork_rng(rng))
}

/// What goes wrong next, or happens beside it.
pub(in crate::lab) enum Trouble {
    /// This peer is to crash.
    Crash(u32),
    /// This one, which is down, is to come back.
    Restart(u32),
    /// This one is to look for something.
    Search(u32),
    /// Nothing, or what the world itself does: pauses and partitions.
    None,
}

/// Draws what goes wrong next, and does of it what is the world's to do.
pub(in crate::lab) fn trouble<C, A>(world: &mut World<C, A>, rng: &mut Rng) -> Trouble
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    let nodes = world.nodes();
    let node = below(rng, nodes);
    match below(rng, 10) {
        0 if up(world) * 2 > nodes => return Trouble::Crash(node),
        1 if world.core(node).is_none() => return Trouble::Restart(node),
        2 => world.pause(node, true),
        3 => (0..nodes).for_each(|node| world.pause(node, false)),
        4 => {
            let cuts = [Cut::Both, Cut::Mute, Cut::Deaf];
            let cut = cuts[draw::place(rng, cuts.len())];
            let inside: BTreeSet<u32> = (0..nodes).filter(|_| below(rng, 3) == 0).collect();
            world.partition(inside, cut);
        }
        5 => world.heal(),
        _ if world.is_running(node) => return Trouble::Search(node),
        _ => {}
    }
    Trouble::None
}

/// How many peers are up.
fn up<C, A>(world: &World<C, A>) -> u32
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    let up = (0..world.nodes()).filter(|node| world.core(*node).is_some());
    u32::try_from(up.count()).expect("at most all")
}

/// No message is lost from now on, and nobody sleeps or is cut off. Who is down is
/// the caller's to start again.
pub(in crate::lab) fn heal<C, A>(world: &mut World<C, A>) -> Vec<u32>
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    world.set_faults(Faults::NONE);
    world.heal();
    (0..world.nodes()).for_each(|node| world.pause(node, false));
    let down = (0..world.nodes()).filter(|node| world.core(*node).is_none());
    down.collect()
}

/// Links, messages and faults, drawn from a seed.
pub(in crate::lab) fn model(rng: &mut Rng) -> LinkModel {
    let ms = Duration::from_millis;
    let latency = match below(rng, 3) {
        0 => Latency::Equal(ms(50)),
        1 => Latency::Uniform(ms(5), ms(200)),
        _ => Latency::Exponential(ms(80)),
    };
    let mut model = LinkModel::new(Mode::Connected, latency);
    let mut per_mille = |most| u16::try_from(below(rng, most)).unwrap_or(0);
    model.faults = Faults {
        loss: per_mille(120),
        duplication: per_mille(80),
        reordering: per_mille(80),
    };
    model
}
