//! The laboratory: the very cores, by the hundred thousand, in virtual time.
//!
//! **Problem.** Whether a protocol finds what is there, at what cost, and what
//! faults do to it, shows only at sizes that no desk has room for.
//!
//! **Goals.** Drive the cores of `overlay` and `swarm` over simulated links,
//! seeded and reproducible to the bit; measure; compare with what theory and
//! publications say.
//!
//! **Non-goals.** Models of protocols: only the cores themselves run here.
//!
//! **Invariant.** The same parameters and the same seed give the same result.
