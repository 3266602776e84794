//! Connects the agent of this process to a frontend, on a thread of its own.
//!
//! ```text
//! Hello ──▶ frontend ──Desired──▶ weave ──Woven──▶ frontend
//! drain ──▶ Reporter ──Report──▶ frontend ──acknowledged──▶ Reporter
//! ```
//!
//! The application never waits for it, except where it asks to: in [`Uplink::wait_until_woven`], in
//! [`Uplink::flush`], and for a bounded time when the [`Uplink`] is dropped.
//!
//! ```
//! let uplink = pivot_uplink::Config::new().process("reader").frontend("http://127.0.0.1:9").start()?;
//! drop(uplink);
//! # Ok::<(), pivot_uplink::UplinkError>(())
//! ```

mod build;
pub mod config;
pub mod error;
mod link;
mod message;
mod switch;
mod thread;

pub use config::Config;
pub use error::UplinkError;
pub use thread::Uplink;
