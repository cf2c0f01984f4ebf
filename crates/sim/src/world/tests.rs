use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{Core, Link, Output, PeerId, Timestamp};

use super::{App, Stats, World};
use crate::{Bandwidth, Cut, Faults, Latency, LinkModel, Mode, peer_id};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECONDS: fn(u64) -> Timestamp = Timestamp::from_secs;

/// Does as it is told, and tells everything that it hears.
#[derive(Default)]
struct Parrot {
    outbox: VecDeque<Output<u32, Heard>>,
    alarms: Vec<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Message(PeerId, u32),
    Link(PeerId, Link),
    Alarm,
}

#[derive(Debug, Clone, Copy)]
enum Tell {
    Send(u32, u32),
    Dial(u32),
    DialStranger,
    Leave(u32),
    Alarm(Timestamp),
    Silence,
}

impl Core for Parrot {
    type Message = u32;
    type Command = Tell;
    type Event = Heard;

    fn handle_message(&mut self, _: Timestamp, from: PeerId, message: u32) {
        self.outbox
            .push_back(Output::Event(Heard::Message(from, message)));
    }

    fn handle_command(&mut self, _: Timestamp, command: Tell) {
        match command {
            Tell::Send(to, message) => self.outbox.push_back(Output::Send {
                to: peer_id(to),
                message,
            }),
            Tell::Dial(node) => self.outbox.push_back(Output::Dial {
                peer: peer_id(node),
            }),
            Tell::DialStranger => self.outbox.push_back(Output::Dial { peer: STRANGER }),
            Tell::Leave(node) => self.outbox.push_back(Output::Disconnect {
                peer: peer_id(node),
            }),
            Tell::Alarm(at) => self.alarms.push(at),
            Tell::Silence => self.alarms.clear(),
        }
    }

    fn handle_link(&mut self, _: Timestamp, peer: PeerId, link: Link) {
        self.outbox
            .push_back(Output::Event(Heard::Link(peer, link)));
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        let before = self.alarms.len();
        self.alarms.retain(|at| *at > now);
        for _ in self.alarms.len()..before {
            self.outbox.push_back(Output::Event(Heard::Alarm));
        }
    }

    fn poll_output(&mut self) -> Option<Output<u32, Heard>> {
        self.outbox.pop_front()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.alarms.iter().min().copied()
    }
}

const STRANGER: PeerId = PeerId::from_bytes([9; 32]);

/// Writes everything down.
#[derive(Default)]
struct Diary(Vec<(Timestamp, u32, Heard)>);

impl App<Parrot> for Diary {
    fn on_event(&mut self, now: Timestamp, node: u32, event: Heard, commands: &mut Vec<Tell>) {
        self.0.push((now, node, event));
        // An answer to some, given at once.
        if let Heard::Message(from, message @ 1_000..) = event {
            let from = crate::node_of(from).expect("a peer of this world");
            commands.push(Tell::Send(from, message - 1_000));
        }
    }

    fn size(&self, _: &u32) -> u32 {
        100
    }
}

fn world(nodes: u32, model: LinkModel) -> World<Parrot, Diary> {
    let mut world = World::new(7, model, Diary::default());
    for _ in 0..nodes {
        world.add(Parrot::default());
    }
    world
}

fn connected() -> LinkModel {
    LinkModel::new(Mode::Connected, Latency::Equal(MS(50)))
}

fn open() -> LinkModel {
    LinkModel::new(Mode::Open, Latency::Equal(MS(50)))
}

/// What was heard since the last time, with milliseconds.
#[track_caller]
fn check(world: &mut World<Parrot, Diary>, expected: &[(u128, u32, Heard)]) {
    let found: Vec<_> = std::mem::take(&mut world.app_mut().0)
        .into_iter()
        .map(|(at, node, heard)| ((at - Timestamp::ZERO).as_millis(), node, heard))
        .collect();
    assert_eq!(found, expected);
}

fn message(from: u32, text: u32) -> Heard {
    Heard::Message(peer_id(from), text)
}

fn link(peer: u32, link: Link) -> Heard {
    Heard::Link(peer_id(peer), link)
}

#[test]
fn a_dial_an_exchange_and_a_farewell() {
    let mut world = world(2, connected());
    world.command(0, Tell::Send(1, 1));
    world.command(0, Tell::Dial(1));
    world.run_until(SECONDS(1));
    check(
        &mut world,
        &[(50, 1, link(0, Link::Up)), (100, 0, link(1, Link::Up))],
    );
    assert_eq!(world.stats().unheard, 1, "sent before there was a link");
    world.command(0, Tell::Send(1, 1_005));
    world.command(0, Tell::Leave(1));
    world.command(0, Tell::Send(1, 2));
    world.run_until(SECONDS(2));
    check(
        &mut world,
        &[
            (1_050, 1, message(0, 1_005)),
            (1_050, 1, link(0, Link::Down)),
        ],
    );
    let stats = world.stats();
    assert_eq!((stats.messages, stats.bytes, stats.delivered), (2, 200, 1));
    assert_eq!(stats.unheard, 3, "the answer came to a link that was left");
}

#[test]
fn both_dial_and_one_link_comes_of_it() {
    let mut world = world(2, connected());
    world.command(0, Tell::Dial(1));
    world.command(1, Tell::Dial(0));
    assert!(world.run_until_idle(SECONDS(60)));
    check(
        &mut world,
        &[(50, 1, link(0, Link::Up)), (100, 0, link(1, Link::Up))],
    );
    assert_eq!(world.linked(0).collect::<Vec<_>>(), [1]);
    world.command(0, Tell::Send(1, 3));
    world.command(1, Tell::Send(0, 4));
    world.run_until_idle(SECONDS(120));
    assert_eq!(world.stats().delivered, 2);
}

#[test]
fn dials_to_nobody_to_the_dead_and_across_a_partition_fail() {
    let mut world = world(4, connected());
    world.crash(1);
    world.partition([2], Cut::Mute);
    world.command(0, Tell::DialStranger);
    world.command(0, Tell::Dial(0));
    world.command(0, Tell::Dial(1));
    world.command(0, Tell::Dial(2));
    world.command(0, Tell::Dial(3));
    assert!(world.run_until_idle(SECONDS(60)));
    let gone = Link::Unreachable;
    check(
        &mut world,
        &[
            (50, 3, link(0, Link::Up)),
            (100, 0, link(3, Link::Up)),
            (5_000, 0, Heard::Link(STRANGER, gone)),
            (5_000, 0, link(0, gone)),
            (5_000, 0, link(1, gone)),
            (5_000, 0, link(2, gone)),
        ],
    );
}

/// A dial that met nobody, or a cut, is none that the other end's has to wait for.
#[test]
fn who_was_not_there_to_be_dialled_dials_back() {
    let is_up = [(1_050, 0, link(1, Link::Up)), (1_100, 1, link(0, Link::Up))];
    let mut down = world(2, connected());
    down.crash(1);
    down.command(0, Tell::Dial(1));
    down.run_until(SECONDS(1));
    down.restart(1, Parrot::default());
    down.command(1, Tell::Dial(0));
    down.run_until(SECONDS(9));
    check(&mut down, &is_up);
    let mut cut = world(2, connected());
    cut.partition([1], Cut::Both);
    cut.command(0, Tell::Dial(1));
    cut.run_until(SECONDS(1));
    cut.heal();
    cut.command(1, Tell::Dial(0));
    cut.run_until(SECONDS(9));
    check(&mut cut, &is_up);
}

#[test]
fn a_crash_is_noticed_late_and_a_restart_starts_anew() {
    let mut world = world(2, connected());
    world.connect(0, 1);
    world.app_mut().0.clear();
    assert!(world.crash(1).is_some() && world.crash(1).is_none());
    world.command(0, Tell::Send(1, 1));
    world.run_until(SECONDS(5));
    check(&mut world, &[]);
    world.restart(1, Parrot::default());
    world.command(0, Tell::Send(1, 2));
    world.run_until(SECONDS(6));
    assert_eq!(world.stats().unheard, 2, "the new core has no link");
    world.run_until(SECONDS(20));
    check(&mut world, &[(15_000, 0, link(1, Link::Down))]);
    // Again, and this time the restarted one dials before anybody noticed.
    world.connect(0, 1);
    world.crash(1);
    world.restart(1, Parrot::default());
    world.app_mut().0.clear();
    world.command(1, Tell::Dial(0));
    assert!(world.run_until_idle(SECONDS(60)));
    check(
        &mut world,
        &[
            (20_050, 0, link(1, Link::Down)),
            (20_050, 0, link(1, Link::Up)),
            (20_100, 1, link(0, Link::Up)),
        ],
    );
    assert_eq!(world.linked(0).count(), 1);
}

#[test]
fn the_dead_forget_their_alarms() {
    let mut world = world(1, open());
    world.command(0, Tell::Alarm(SECONDS(1)));
    world.crash(0);
    world.command(0, Tell::Alarm(SECONDS(1)));
    world.restart(0, Parrot::default());
    assert!(world.run_until_idle(SECONDS(10)));
    check(&mut world, &[]);
}

#[test]
fn who_is_paused_hears_everything_later() {
    let mut world = world(2, open());
    world.command(1, Tell::Alarm(SECONDS(2)));
    world.pause(1, true);
    assert!(!world.is_running(1));
    world.command(0, Tell::Send(1, 1));
    world.command(0, Tell::Send(1, 2));
    world.command(1, Tell::Send(0, 3));
    world.run_until(SECONDS(3));
    check(&mut world, &[]);
    world.pause(1, false);
    world.run_until(SECONDS(4));
    check(
        &mut world,
        &[
            (3_000, 1, message(0, 1)),
            (3_000, 1, message(0, 2)),
            (3_000, 1, Heard::Alarm),
            (3_050, 0, message(1, 3)),
        ],
    );
}

#[test]
fn partitions_cut_one_way_or_both_and_break_links() {
    let table = [(Cut::Both, 0, 0), (Cut::Mute, 1, 0), (Cut::Deaf, 0, 1)];
    for (cut, in_, out) in table {
        let mut world = world(3, connected());
        world.connect(0, 1);
        world.connect(1, 2);
        world.connect(0, 2);
        world.app_mut().0.clear();
        world.partition([0], cut);
        world.command(0, Tell::Send(1, 1));
        world.command(1, Tell::Send(0, 2));
        world.command(1, Tell::Send(2, 3));
        world.run_until(SECONDS(1));
        let heard = |node| {
            let diary = world.app().0.iter();
            diary.filter(|(_, who, _)| *who == node).count()
        };
        assert_eq!((heard(0), heard(1), heard(2)), (in_, out, 1), "{cut:?}");
        assert_eq!(world.stats().cut, 2 - u64::try_from(in_ + out).unwrap());
        world.app_mut().0.clear();
        world.run_until(SECONDS(20));
        let down = world
            .app()
            .0
            .iter()
            .filter(|(_, _, heard)| matches!(heard, Heard::Link(_, Link::Down)));
        assert_eq!(down.count(), 4, "two links, two ends");
        world.heal();
        world.command(0, Tell::Dial(1));
        world.run_until(SECONDS(21));
        assert_eq!(world.linked(0).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn a_short_partition_breaks_no_link() {
    let mut world = world(2, connected());
    world.connect(0, 1);
    world.app_mut().0.clear();
    world.partition([0], Cut::Both);
    world.run_until(SECONDS(10));
    world.heal();
    world.run_until(SECONDS(30));
    check(&mut world, &[]);
}

fn burst(model: LinkModel) -> (Stats, Vec<u32>) {
    let mut world = world(2, model);
    world.connect(0, 1);
    for text in 0..900 {
        world.command(0, Tell::Send(1, text));
    }
    assert!(world.run_until_idle(SECONDS(600)));
    let heard = world.app().0.iter().filter_map(|entry| match entry.2 {
        Heard::Message(_, text) => Some(text),
        _ => None,
    });
    (world.stats(), heard.collect())
}

#[test]
fn each_fault_of_messages_happens() {
    let in_order: Vec<u32> = (0..900).collect();
    let (stats, heard) = burst(connected());
    assert_eq!((heard, stats.delivered), (in_order.clone(), 900));

    let mut model = connected();
    model.faults.loss = 200;
    let (stats, heard) = burst(model);
    assert!(heard.is_sorted() && (130..230).contains(&stats.lost));
    assert_eq!(stats.delivered + stats.lost, 900);

    let mut model = connected();
    model.faults.duplication = 200;
    let (stats, mut heard) = burst(model);
    assert!((1_030..1_130).contains(&stats.delivered));
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard, in_order);

    let mut model = connected();
    model.faults.reordering = 200;
    let (stats, mut heard) = burst(model);
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert_eq!((heard, stats.delivered), (in_order.clone(), 900));

    // Jitter alone disorders nothing along a link, only where there is none.
    let mut model = connected();
    model.jitter = MS(40);
    assert_eq!(burst(model.clone()).1, in_order);
    model.mode = Mode::Open;
    assert!(!burst(model).1.is_sorted());
}

#[test]
fn bandwidth_is_shared_in_order_and_overflows() {
    let mut model = open();
    // Ten messages of 100 bytes a second.
    model.bandwidth.up = 1_000;
    model.queue_bytes_max = 500;
    let mut out = world(3, model);
    for text in 0..7 {
        out.command(0, Tell::Send(1, text));
    }
    out.command(2, Tell::Send(1, 9));
    out.run_until(SECONDS(9));
    let mut expected = vec![(150, 1, message(0, 0)), (150, 1, message(2, 9))];
    expected.extend((1..5).map(|text| (150 + 100 * u128::from(text), 1, message(0, text))));
    check(&mut out, &expected);
    assert_eq!(out.stats().overflowed, 2);

    let mut in_ = world(3, open());
    let down = Bandwidth { up: 0, down: 1_000 };
    in_.set_bandwidth(1, down);
    in_.command(0, Tell::Send(1, 1));
    in_.command(2, Tell::Send(1, 2));
    in_.command(0, Tell::Send(2, 3));
    in_.run_until(SECONDS(9));
    check(
        &mut in_,
        &[
            (50, 2, message(0, 3)),
            (150, 1, message(0, 1)),
            (250, 1, message(2, 2)),
        ],
    );
}

#[test]
fn one_wake_at_a_time_and_stale_ones_do_nothing() {
    let mut world = world(1, open());
    for second in [9, 3, 6] {
        world.command(0, Tell::Alarm(SECONDS(second)));
    }
    world.run_until(SECONDS(5));
    check(&mut world, &[(3_000, 0, Heard::Alarm)]);
    world.command(0, Tell::Silence);
    let events = world.stats().events;
    assert!(world.run_until_idle(SECONDS(20)));
    check(&mut world, &[]);
    assert_eq!(world.stats().events, events, "nobody was woken for nothing");
    // A deadline that is over already is met at once.
    world.command(0, Tell::Alarm(Timestamp::ZERO));
    world.run_until_idle(SECONDS(20));
    check(&mut world, &[(9_000, 0, Heard::Alarm)]);
}

#[test]
fn what_happens_at_one_time_happens_in_order() {
    let mut world = world(20, open());
    for from in (1..20).rev() {
        world.command(from, Tell::Send(0, from));
    }
    world.run_until(SECONDS(1));
    let senders = world.app().0.iter().map(|(_, _, heard)| match heard {
        Heard::Message(_, text) => *text,
        other => panic!("{other:?}"),
    });
    assert!(senders.eq((1..20).rev()));
}

/// A little of everything.
fn chaos(seed: u64) -> (u64, Stats, usize) {
    let mut model = LinkModel::new(Mode::Connected, Latency::Exponential(MS(50)));
    model.jitter = MS(5);
    model.faults = Faults {
        loss: 50,
        duplication: 50,
        reordering: 50,
    };
    model.bandwidth.up = 20_000;
    let mut world = World::new(seed, model, Diary::default());
    for _ in 0..12 {
        world.add(Parrot::default());
    }
    for round in 0..600_u32 {
        let (a, b) = (round % 12, (round % 12 + 1 + round / 12 % 3) % 12);
        world.command(a, Tell::Dial(b));
        world.command(b, Tell::Send(a, 1_000 + round));
        world.command(a, Tell::Alarm(world.now() + MS(u64::from(round))));
        match round % 20 {
            3 => drop(world.crash(a)),
            9 => world.restart(a, Parrot::default()),
            11 => world.partition([a, b], Cut::Both),
            13 => world.pause(b, true),
            17 => world.heal(),
            19 => (0..12).for_each(|node| world.pause(node, false)),
            7 => world.command(a, Tell::Leave(b)),
            _ => world.command(a, Tell::Send(b, round)),
        }
        world.run_until(world.now() + MS(211));
    }
    world.run_until_idle(SECONDS(1_000));
    let stats = world.stats();
    (world.fingerprint(), stats, world.app().0.len())
}

#[test]
fn same_seed_same_fingerprint() {
    let first = chaos(1);
    assert_eq!(first, chaos(1));
    assert_ne!(first.0, chaos(2).0);
    assert!(first.1.events > 400 && first.1.lost > 0 && first.1.cut > 0);
}
