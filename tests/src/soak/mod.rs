//! Load, random queries over it, and the memory of the process meanwhile.

mod load;
mod memory;
mod played;
mod queries;

pub use load::{Done, Load};
pub use memory::{Memory, quiet_about, seconds};
pub use played::{Played, Seen};
pub use queries::any;
