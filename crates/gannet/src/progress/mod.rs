//! Downloads while they run: bars on a terminal, JSON lines for programs.

mod bars;
mod follow;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use bars::{Bars, final_line, may_send, source_line, state_word};
pub(crate) use follow::Follow;
