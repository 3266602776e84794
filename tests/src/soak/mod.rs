//! Load for as long as one likes, random queries over it, and the memory of the process meanwhile.

mod load;
mod memory;
mod played_frontend;
mod queries;

pub use load::{LoadCounts, RequestLoad};
pub use memory::{MemorySamples, quiet_about, seconds};
pub use played_frontend::{PlayedFrontend, PlayedFrontendCounts};
pub use queries::any;
