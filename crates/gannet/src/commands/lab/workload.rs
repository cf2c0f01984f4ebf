//! What experiments with searches have in common on the command line: how
//! common files are, how messages travel, how peers come and go.

use clap::Args;
use gannet_sim::lab::search::{Churn, Params};
use gannet_sim::{Impossible, Latency};

use super::churn::sessions;
use super::latency;
use crate::exit::Failure;

/// The options of all such experiments, with the same defaults.
#[derive(Debug, Clone, Args)]
pub(super) struct Workload {
    /// On how many peers each file lies, on average
    #[arg(long, value_name = "MEAN", default_value_t = Params::default().copies)]
    pub(super) copies: f64,
    /// The exponent of the files' popularity with searchers; 0: all alike
    #[arg(long, value_name = "A", default_value_t = Params::default().zipf)]
    pub(super) zipf: f64,
    /// How long a hop takes, milliseconds: equal, equal:MS, uniform:LO,HI,
    /// exp:MEAN or plane:BASE,ACROSS [default: uniform:20,180]
    #[arg(long, value_name = "LATENCY")]
    latency: Option<String>,
    /// Messages lost, of a thousand
    #[arg(long, value_name = "PER_MILLE", default_value_t = 0)]
    pub(super) loss: u16,
    /// Peers come and go, and join again by themselves: how long they stay,
    /// seconds: exp:MEAN, weibull:SHAPE,SCALE or trace:PATH
    #[arg(long, value_name = "DIST")]
    churn: Option<String>,
    /// How long they stay away [default: as long as they stay]
    #[arg(long, value_name = "DIST", requires = "churn")]
    offline: Option<String>,
}

impl Workload {
    /// How long a hop takes, as typed.
    pub(super) fn latency(&self) -> Result<Latency, Impossible> {
        latency(self.latency.as_deref(), Params::default().latency)
    }

    /// How peers come and go, as typed.
    pub(super) fn churn(&self) -> Result<Option<Churn>, Failure> {
        let Some(online) = &self.churn else {
            return Ok(None);
        };
        let online = sessions("--churn", online)?;
        let offline = self.offline.as_deref();
        let offline = offline.map(|spec| sessions("--offline", spec));
        let offline = offline.transpose()?.unwrap_or_else(|| online.clone());
        Ok(Some(Churn { online, offline }))
    }
}

/// The arguments of an experiment, as typed.
#[cfg(test)]
pub(super) fn typed<A: Args>(words: &str) -> Result<A, clap::Error> {
    let command = A::augment_args(clap::Command::new("lab"));
    let words = std::iter::once("lab").chain(words.split_whitespace());
    A::from_arg_matches(&command.try_get_matches_from(words)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stays_away_does_so_as_long_as_it_stays() {
        let churn = |words| typed::<Workload>(words).unwrap().churn().unwrap();
        assert!(churn("").is_none());
        let alike = churn("--churn exp:60").unwrap();
        assert_eq!(alike.online, alike.offline);
        let shorter = churn("--churn exp:60 --offline exp:5").unwrap();
        assert_eq!(shorter.offline.mean(), 5.0);
        assert!(typed::<Workload>("--offline exp:1").is_err());
        let failure = typed::<Workload>("--latency slow").unwrap().latency();
        assert!(failure.unwrap_err().to_string().contains("--latency slow"));
    }

    /// The defaults are those of both experiments.
    #[test]
    fn the_defaults_are_everybodys() {
        let usual = Params::default();
        let tiers = gannet_sim::lab::supernode::Params::default();
        assert_eq!((tiers.copies, tiers.zipf), (usual.copies, usual.zipf));
        assert_eq!((tiers.latency, tiers.loss), (usual.latency, usual.loss));
    }
}
