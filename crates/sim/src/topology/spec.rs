//! Graphs as they are typed: `torus:64x64`, `random:10000,4`, `file:edges.txt`.

use std::fmt;
use std::str::FromStr;

use gannet_base::seeded_rng;

use super::{EDGES_MAX, Graph, NODES_MAX, build, random};
use crate::draw;
use crate::impossible::Impossible;

/// The parameter whose value a [`Topology`] is.
const PARAMETER: &str = "--graph";

/// A kind of graph and its size. Every value that was parsed can be built, but
/// for files, whose text may be wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Topology {
    /// `torus:RxC`: rows and columns that close into rings; node ids are row *
    /// columns + column.
    Torus {
        /// At least 1.
        rows: u32,
        /// At least 1.
        columns: u32,
    },
    /// `grid:RxC`: the same without closing.
    Grid {
        /// At least 1.
        rows: u32,
        /// At least 1.
        columns: u32,
    },
    /// `hypercube:n`: 2^n nodes, linked if their numbers differ in one bit.
    Hypercube {
        /// 1 to 24.
        dimensions: u32,
    },
    /// `random:N,MEAN`: G(N, M) with M = N * MEAN / 2 edges, rounded.
    Random {
        /// At least 2.
        nodes: u32,
        /// The mean degree, above 0, at most `nodes - 1`.
        mean: f64,
    },
    /// `regular:N,D`: a random graph in which every degree is D.
    Regular {
        /// At least 2.
        nodes: u32,
        /// 1 to `nodes - 1`; `nodes * degree` is even.
        degree: u32,
    },
    /// `powerlaw:N,EXP`: a power-law random graph without loops and repeated
    /// edges. The node of rank i (from 1) gets 1.102 * (N / i)^EXP ends of
    /// edges, rounded down, at least one, and ends are matched at random.
    PowerLaw {
        /// At least 2.
        nodes: u32,
        /// The exponent of rank, above 0, at most 1. If 2 or more is typed, it
        /// is taken as the exponent e of the degrees' frequency, which belongs
        /// to the exponent 1 / (e - 1) of rank: 2.25 means 0.8.
        exponent: f64,
    },
    /// `file:PATH`: an edge list.
    File {
        /// Where it is.
        path: String,
    },
}

/// What can be typed.
const KINDS: &str = "a graph is torus:ROWSxCOLUMNS, grid:ROWSxCOLUMNS, hypercube:DIMENSIONS, \
     random:NODES,MEAN, regular:NODES,DEGREE, powerlaw:NODES,EXPONENT or file:PATH";

impl FromStr for Topology {
    type Err = Impossible;

    fn from_str(text: &str) -> Result<Self, Impossible> {
        let wrong = |possible: &str| Impossible::new(PARAMETER, text, possible);
        let (kind, rest) = text.split_once(':').ok_or_else(|| wrong(KINDS))?;
        let topology = match kind {
            "torus" => {
                let (rows, columns) = lattice(rest).ok_or_else(|| wrong(LATTICE))?;
                Self::Torus { rows, columns }
            }
            "grid" => {
                let (rows, columns) = lattice(rest).ok_or_else(|| wrong(LATTICE))?;
                Self::Grid { rows, columns }
            }
            "hypercube" => {
                let dimensions = rest.parse().ok().filter(|n| (1..=24).contains(n));
                let dimensions = dimensions.ok_or_else(|| wrong(HYPERCUBE))?;
                Self::Hypercube { dimensions }
            }
            "random" => {
                let (nodes, mean) = pair(rest, ',').ok_or_else(|| wrong(RANDOM))?;
                Self::Random { nodes, mean }
            }
            "regular" => {
                let (nodes, degree) = pair(rest, ',').ok_or_else(|| wrong(REGULAR))?;
                Self::Regular { nodes, degree }
            }
            "powerlaw" => {
                let (nodes, typed) = pair::<f64>(rest, ',').ok_or_else(|| wrong(POWER_LAW))?;
                let exponent = if typed >= 2.0 {
                    1.0 / (typed - 1.0)
                } else {
                    typed
                };
                Self::PowerLaw { nodes, exponent }
            }
            "file" if !rest.is_empty() => Self::File {
                path: rest.to_owned(),
            },
            _ => return Err(wrong(KINDS)),
        };
        match topology.impossible() {
            Some(possible) => Err(wrong(&possible)),
            None => Ok(topology),
        }
    }
}

const LATTICE: &str = "rows and columns are two whole numbers from 1, such as 64x64";
const HYPERCUBE: &str = "a hypercube has 1 to 24 dimensions";
const RANDOM: &str = "a random graph is NODES,MEAN: the number of nodes and their mean degree, \
     such as random:10000,4";
const REGULAR: &str = "a regular graph is NODES,DEGREE: two whole numbers, such as regular:10000,8";
const POWER_LAW: &str = "a power-law graph is NODES,EXPONENT, such as powerlaw:10000,0.8: the \
     exponent of rank, above 0 and at most 1, or that of the degrees' frequency, at least 2 \
     (2.25 is the same as 0.8)";

impl Topology {
    /// What is possible instead, if this is not.
    fn impossible(&self) -> Option<String> {
        let too_many = format!("a graph has at most {NODES_MAX} nodes");
        match *self {
            Self::Torus { rows, columns } | Self::Grid { rows, columns } => {
                let nodes = u64::from(rows) * u64::from(columns);
                match nodes {
                    0 => Some(LATTICE.to_owned()),
                    1 => Some("one node has nobody to ask: at least 1x2".to_owned()),
                    _ => (nodes > u64::from(NODES_MAX)).then_some(too_many),
                }
            }
            Self::Hypercube { .. } | Self::File { .. } => None,
            Self::Random { nodes, .. }
            | Self::Regular { nodes, .. }
            | Self::PowerLaw { nodes, .. }
                if nodes < 2 =>
            {
                Some("a graph has at least 2 nodes".to_owned())
            }
            Self::Random { nodes, .. }
            | Self::Regular { nodes, .. }
            | Self::PowerLaw { nodes, .. }
                if nodes > NODES_MAX =>
            {
                Some(too_many)
            }
            Self::Random { nodes, mean } => {
                let most = nodes - 1;
                if !(mean > 0.0 && mean <= f64::from(most)) {
                    return Some(format!(
                        "with {nodes} nodes the mean degree is above 0 and at most {most}"
                    ));
                }
                too_many_edges(f64::from(nodes) * mean / 2.0)
            }
            Self::Regular { nodes, degree } => {
                if degree == 0 || degree >= nodes {
                    let most = nodes - 1;
                    return Some(format!(
                        "with {nodes} nodes every degree from 1 to {most} is possible"
                    ));
                }
                if nodes % 2 == 1 && degree % 2 == 1 {
                    return Some(
                        "every edge has two ends, so nodes times degree must be even".to_owned(),
                    );
                }
                // A dense one is built from what a sparse one leaves free.
                too_many_edges(f64::from(nodes) * f64::from(degree) / 2.0)
            }
            Self::PowerLaw { nodes, exponent } => {
                if !(exponent > 0.0 && exponent <= 1.0) {
                    return Some(POWER_LAW.to_owned());
                }
                let ends = f64::from(nodes) * (2.0 + f64::from(nodes).ln());
                too_many_edges(ends / 2.0)
            }
        }
    }

    /// The path of the edge list, whose text [`Topology::build`] wants.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File { path } => Some(path),
            _ => None,
        }
    }

    /// How many nodes the graph will have; `None` if a file says.
    pub fn nodes(&self) -> Option<u32> {
        match *self {
            Self::Torus { rows, columns } | Self::Grid { rows, columns } => Some(rows * columns),
            Self::Hypercube { dimensions } => Some(1 << dimensions),
            Self::Random { nodes, .. }
            | Self::Regular { nodes, .. }
            | Self::PowerLaw { nodes, .. } => Some(nodes),
            Self::File { .. } => None,
        }
    }

    /// Builds the graph: the same for the same seed. `text` is the content of
    /// the edge list, if there is one.
    ///
    /// # Errors
    ///
    /// If the edge list is none; the message has the line.
    pub fn build(&self, seed: u64, text: Option<&str>) -> Result<Graph, Impossible> {
        let mut rng = seeded_rng(seed);
        Ok(match *self {
            Self::Torus { rows, columns } => build::lattice(rows, columns, true),
            Self::Grid { rows, columns } => build::lattice(rows, columns, false),
            Self::Hypercube { dimensions } => build::hypercube(dimensions),
            Self::Random { nodes, mean } => {
                let edges = draw::whole(f64::from(nodes) * mean / 2.0);
                random::with_edges(nodes, edges.min(random::pairs(nodes)), &mut rng)
            }
            Self::Regular { nodes, degree } => random::regular(nodes, degree, &mut rng),
            Self::PowerLaw { nodes, exponent } => {
                let degrees = random::power_law_degrees(nodes, exponent);
                random::with_degrees(&degrees, &mut rng)
            }
            Self::File { .. } => build::edge_list(text.unwrap_or_default())
                .map_err(|problem| Impossible::new(PARAMETER, self, problem))?,
        })
    }
}

impl Graph {
    /// Parses and builds in one go: [`Topology::from_str`], then
    /// [`Topology::build`].
    ///
    /// # Errors
    ///
    /// If there is no such graph; the message says what is possible.
    pub fn parse(spec: &str, seed: u64, text: Option<&str>) -> Result<Self, Impossible> {
        spec.parse::<Topology>()?.build(seed, text)
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torus { rows, columns } => write!(f, "torus:{rows}x{columns}"),
            Self::Grid { rows, columns } => write!(f, "grid:{rows}x{columns}"),
            Self::Hypercube { dimensions } => write!(f, "hypercube:{dimensions}"),
            Self::Random { nodes, mean } => write!(f, "random:{nodes},{mean}"),
            Self::Regular { nodes, degree } => write!(f, "regular:{nodes},{degree}"),
            Self::PowerLaw { nodes, exponent } => write!(f, "powerlaw:{nodes},{exponent}"),
            Self::File { path } => write!(f, "file:{path}"),
        }
    }
}

/// What is possible, if so many edges are not.
#[allow(clippy::cast_precision_loss, reason = "the bound is a power of two")]
fn too_many_edges(edges: f64) -> Option<String> {
    let most = EDGES_MAX as f64;
    (edges > most).then(|| format!("a graph has at most {EDGES_MAX} edges, that is {edges:.0}"))
}

/// Two whole numbers with an `x` between them.
fn lattice(text: &str) -> Option<(u32, u32)> {
    pair(text, 'x')
}

/// A whole number and another one.
fn pair<T: FromStr>(text: &str, between: char) -> Option<(u32, T)> {
    let (a, b) = text.split_once(between)?;
    Some((a.trim().parse().ok()?, b.trim().parse().ok()?))
}
