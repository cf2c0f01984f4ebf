//! The rounds, and both ends of each.

use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use gannet_base::PeerAddress;
use gannet_net::{Net, NetEvent};
use tokio::sync::mpsc::Receiver;

use crate::link::{Ends, Path};
use crate::transfers::{self, median, rate};

const CASES: [&str; 6] = [
    "quic:cubic",
    "quic:bbr",
    "quic:reno",
    "tcp:cubic",
    "tcp:bbr",
    "tcp:reno",
];
/// A transfer that takes longer is given up, with what it says.
const ROUND_MAX: Duration = Duration::from_secs(180);

pub(crate) fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["receive", case, blocks] => at_end(receive((*case).to_owned(), number(blocks))),
        ["send", case, blocks, to] => {
            at_end(send((*case).to_owned(), number(blocks), (*to).to_owned()));
        }
        _ => rounds(&words),
    }
}

fn at_end(end: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let end = tokio::time::timeout(ROUND_MAX, tokio::spawn(end)).await;
        end.expect("it ends in time").expect("no panic");
    });
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn rounds(words: &[&str]) {
    let (cases, numbers): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.contains(':'));
    let value = |place: usize, otherwise: f64| {
        let text = numbers.get(place);
        text.map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let (round_trip, loss, mbit) = (value(0, 40.0), value(1, 0.1), value(2, 200.0));
    let blocks = numbers.get(3).map_or(32, |text| number(text));
    let rounds = numbers.get(4).map_or(3, |text| number(text));
    let cases = if cases.is_empty() {
        CASES.to_vec()
    } else {
        cases
    };
    let path = Path {
        delay: Duration::from_secs_f64(round_trip / 2_000.0),
        // A whole number: a per cent is ten thousand of a million.
        loss: format!("{:.0}", loss * 10_000.0).parse().expect("a share"),
        rate: mbit * 125_000.0,
    };
    let ends = match Ends::new(path) {
        Ok(ends) => ends,
        Err(error) => {
            println!("no path can be made: {error}\nthis needs Linux, root and iproute2");
            std::process::exit(1);
        }
    };
    println!("{round_trip} ms round trip, {loss} % lost each way, {mbit} Mbit/s, {blocks} MiB");
    let mut rates = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (rates, case) in rates.iter_mut().zip(&cases) {
            let took = round(&ends, case, blocks);
            rates.push(took.map_or(0.0, |took| rate(blocks, took)));
        }
    }
    for (case, rates) in cases.iter().zip(rates) {
        let all: Vec<String> = rates.iter().map(|rate| format!("{rate:.1}")).collect();
        let middle = median(rates);
        let share = middle / (path.rate / 1e6);
        println!(
            "{case:<11} {middle:>6.1} MB/s, {share:.2} of the rate ({})",
            all.join(", ")
        );
    }
}

/// How long one transfer took; `None` if it did not end.
fn round(ends: &Ends, case: &str, blocks: usize) -> Option<Duration> {
    let blocks = blocks.to_string();
    let (mut receiver, to) = start(ends, 1, &["receive", case, &blocks]);
    let (mut sender, took) = start(ends, 0, &["send", case, &blocks, &to]);
    let is_done = sender.wait().expect("a child").success();
    // It ends by itself when the sender has gone, unless something went wrong.
    if !is_done {
        let _ = receiver.kill();
    }
    receiver.wait().expect("a child");
    let seconds = took.parse().ok().filter(|_| is_done)?;
    Some(Duration::from_secs_f64(seconds))
}

/// This program at one end, and the first line that it prints.
fn start(ends: &Ends, end: usize, arguments: &[&str]) -> (Child, String) {
    let program = std::env::current_exe().expect("this program has a path");
    transfers::start(ends.command(end).arg(program).args(arguments))
}

async fn net(case: &str, end: usize) -> (Net, Receiver<NetEvent>) {
    let ip = Ends::ADDRESSES[end].parse().expect("an address");
    transfers::net(case, SocketAddr::new(ip, 0)).await
}

async fn receive(case: String, blocks: usize) {
    let (net, events) = net(&case, 1).await;
    println!("{}@{}", net.peer_id(), net.addresses()[0]);
    transfers::receive((net, events), blocks).await;
}

async fn send(case: String, blocks: usize, to: String) {
    let (id, address) = to.split_once('@').expect("an id and an address");
    let to = PeerAddress {
        peer: id.parse().expect("an id"),
        addresses: vec![address.parse().expect("an address")],
    };
    let took = transfers::send(net(&case, 0).await, to, blocks).await;
    println!("{}", took.as_secs_f64());
}
