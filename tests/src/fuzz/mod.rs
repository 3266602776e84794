//! What a stranger can send: the queries of the repository, and damage to bytes.

mod corpus;
mod damage;

pub use corpus::corpus;
pub use damage::{EDGES, cases, damage, each_seed, first_seed};
