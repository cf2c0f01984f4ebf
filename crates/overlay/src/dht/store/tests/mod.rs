//! A town of peers with records: what live publishers published is found, by all
//! of them, whatever becomes of those in between.

mod costs;
mod growing;
mod hostile;
mod lists;
mod losing;
mod putting;
mod searching;
mod town;
