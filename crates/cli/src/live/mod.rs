//! The live table: a query's result redrawn in place as its windows close.

mod measure;
mod screen;
mod trend;
mod view;
mod watch;

pub(crate) use measure::measure;
pub(crate) use screen::{give_back, key};
pub(crate) use view::{Form, View, waiting};
pub(crate) use watch::{Ended, watch};
