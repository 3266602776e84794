//! The loop of the live table: frames, status and keys in, screens out.

use super::query_view::QueryView;
use super::screen::TerminalScreen;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::format::WindowFile;
use crate::frame_reader::{AwayReason, FrameNews};
use crate::frontend_lists::ListedQuery;
use crate::result_frame::ResultFrame;
use crate::table::StyleMode;
use crate::terminal::{self, TerminalSize};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use futures::StreamExt;
use pivot_protocol::wire::results_request::Wanted;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The longest time from the arrival of a frame until it is drawn.
const TICK: Duration = Duration::from_millis(50);

/// How often the frontend is asked how the query stands.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Why watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchEnd {
    /// A person stopped it; the query is still installed.
    Stopped,
    /// The query was uninstalled, by this client or another, and the result is complete.
    Finished,
}

/// A message of one of the two tasks to the loop.
enum FrontendUpdate {
    Frame(Box<ResultFrame>),
    /// How the query stands; `None` if it is not installed any more.
    Status(Option<Box<ListedQuery>>),
    /// Why the frontend is away and waited for; `None` if it is back.
    Away(Option<AwayReason>),
    Failed(CliError),
    /// No frame follows.
    StreamEnd,
}

/// Shows a query until a person stops it or it ends, and writes its windows to `file` if there is one.
/// `installed_at` is when the query was installed.
pub(crate) fn watch(
    runtime: &Handle,
    connection: &FrontendConnection,
    view: &mut QueryView,
    file: Option<&mut WindowFile>,
    installed_at: Instant,
    paint: StyleMode,
) -> Result<WatchEnd, CliError> {
    let (sender, updates) = channel();
    // A file gets every window, a screen only the newest when windows come faster than they are read.
    let wanted = if file.is_some() { Wanted::All } else { Wanted::Newest };
    let tasks = [
        runtime.spawn(send_frames(connection.clone(), view.query, wanted, sender.clone())),
        runtime.spawn(send_status(connection.clone(), view.query, sender)),
    ];

    let end = draw_until_end(view, file, &updates, installed_at, paint);
    tasks.iter().for_each(JoinHandle::abort);
    end
}

fn draw_until_end(
    view: &mut QueryView,
    mut file: Option<&mut WindowFile>,
    updates: &Receiver<FrontendUpdate>,
    installed_at: Instant,
    paint: StyleMode,
) -> Result<WatchEnd, CliError> {
    let mut screen = TerminalScreen::enter()?;
    loop {
        if apply_updates(view, file.as_deref_mut(), updates)?.is_break() {
            return Ok(WatchEnd::Finished);
        }

        let TerminalSize { columns, rows } = terminal::size();
        // Clearing behind a line that fills the last column would erase that column.
        let size = TerminalSize { columns: columns.saturating_sub(1), rows };
        screen.draw(view.screen(installed_at.elapsed(), size, paint))?;

        if !poll(TICK)? {
            continue;
        }
        let next = match read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => handle_key(view, key),
            Event::Resize(..) => {
                screen.invalidate();
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        };
        if next.is_break() {
            return Ok(WatchEnd::Stopped);
        }
    }
}

/// Takes in all updates that have come. Breaks after the last frame.
fn apply_updates(
    view: &mut QueryView,
    mut file: Option<&mut WindowFile>,
    updates: &Receiver<FrontendUpdate>,
) -> Result<ControlFlow<()>, CliError> {
    while let Ok(update) = updates.try_recv() {
        match update {
            FrontendUpdate::Frame(frame) => {
                if let Some(file) = &mut file {
                    file.write_window(&frame)?;
                }

                // The last frame is shown too: the caller prints the view once more.
                let last = frame.last;
                view.add_frame(*frame);
                if last {
                    return Ok(ControlFlow::Break(()));
                }
            }
            FrontendUpdate::Status(status) => view.status = status.map(|status| *status),
            FrontendUpdate::Away(reason) => view.away = reason,
            FrontendUpdate::Failed(error) => return Err(error),
            FrontendUpdate::StreamEnd => return Ok(ControlFlow::Break(())),
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Does what a key asks for. Breaks if that is to stop watching.
fn handle_key(view: &mut QueryView, key: KeyEvent) -> ControlFlow<()> {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => ControlFlow::Break(()),
        KeyCode::Char('q') | KeyCode::Esc => ControlFlow::Break(()),

        KeyCode::Char('w') => {
            view.toggle_scope();
            ControlFlow::Continue(())
        }

        KeyCode::Char('x') => {
            view.layout = view.layout.toggled();
            ControlFlow::Continue(())
        }

        _ => ControlFlow::Continue(()),
    }
}

/// Sends every frame of the query, until the stream ends or nobody receives any more.
async fn send_frames(
    connection: FrontendConnection,
    query: u32,
    wanted: Wanted,
    sender: Sender<FrontendUpdate>,
) {
    let mut frames = match connection.results(query, wanted).await {
        Ok(frames) => frames,
        Err(error) => return drop(sender.send(FrontendUpdate::Failed(error))),
    };

    while let Some(news) = frames.next().await {
        // The loop stops at a failure, and so nobody receives what may follow it.
        let update = match news {
            Ok(FrameNews::Frame(frame)) => FrontendUpdate::Frame(frame),
            Ok(FrameNews::Away(reason)) => FrontendUpdate::Away(Some(reason)),
            Ok(FrameNews::Back) => FrontendUpdate::Away(None),
            Err(error) => FrontendUpdate::Failed(error),
        };
        if sender.send(update).is_err() {
            return;
        }
    }

    drop(sender.send(FrontendUpdate::StreamEnd));
}

/// Sends how the query stands, again and again, until nobody receives any more.
async fn send_status(connection: FrontendConnection, query: u32, sender: Sender<FrontendUpdate>) {
    loop {
        // A failure shows in the stream of frames as well, and is reported from there.
        if let Ok(status) = connection.query(query).await
            && sender.send(FrontendUpdate::Status(status.map(Box::new))).is_err()
        {
            return;
        }
        tokio::time::sleep(STATUS_INTERVAL).await;
    }
}
