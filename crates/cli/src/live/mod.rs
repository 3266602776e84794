//! The live table: a query's result redrawn in place as its windows close.

mod measure;
mod query_view;
mod screen;
mod trend;
mod watch;

pub(crate) use measure::measure;
pub(crate) use query_view::{QueryView, RowLayout, waiting};
pub(crate) use screen::{give_back, key};
pub(crate) use watch::{WatchEnd, watch};
