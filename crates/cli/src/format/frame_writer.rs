//! The trait of all output formats.

use crate::result_frame::ResultFrame;
use std::io::{self, Write};

/// Prints frames as they come.
pub(crate) trait FrameWriter: Send {
    /// Prints one window, or a revision of it. In the last call `frame.last` is set: its rows are those since
    /// install, and its window is the whole run.
    fn write_frame(&mut self, out: &mut dyn Write, frame: &ResultFrame) -> io::Result<()>;
}
