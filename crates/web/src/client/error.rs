//! What can go wrong when another process is asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Problem;

/// Why a running peer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no `api.json` in the data directory, or nobody answers at the
    /// address in it: start a peer there, or name another data directory.
    #[error(
        "no Gannet is running on {}; start one with `gannet up`, or name its data directory \
         with --data-dir", data_dir.display()
    )]
    NotRunning {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// `api.json` is there and cannot be used: it belongs to another user, or
    /// something else has written it.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The peer refuses the token of `api.json`: it was restarted this moment,
    /// or the file was copied from elsewhere.
    #[error("the running Gannet refuses the token in {}", path.display())]
    Unauthorised {
        /// The file.
        path: PathBuf,
    },
    /// What answers is no Gannet, or one whose API this program does not speak:
    /// restart it with this version.
    #[error(
        "what listens on the address in {} speaks another version of the API ({found}); \
         restart the peer with this version", path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What it said.
        found: String,
    },
    /// The peer said no, and why.
    #[error("{0}")]
    Problem(Problem),
    /// No answer in time: the peer is overloaded or stopped (Ctrl-Z).
    #[error("the running Gannet did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection broke in the middle: the peer has stopped or crashed.
    #[error("the connection to the running Gannet broke: {reason}")]
    Broken {
        /// What the system said.
        reason: String,
    },
    /// The answer is not what the API promises.
    #[error("the running Gannet gave an answer that makes no sense: {reason}")]
    Nonsense {
        /// What is wrong with it.
        reason: String,
    },
    /// The question cannot be written down, such as a path that is not Unicode.
    #[error("this cannot be sent to the running Gannet: {reason}")]
    Unsendable {
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// The status code, if the peer said no.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Unauthorised { .. } => Some(401),
            _ => None,
        }
    }
}
