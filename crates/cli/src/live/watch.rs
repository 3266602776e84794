//! The loop of the live table: frames and keys in, screens out.

use super::query_view::QueryView;
use super::screen::Screen;
use crate::client::FrontendConnection;
use crate::error::CliError;
use crate::repl::WindowFile;
use crate::result_frame::ResultFrame;
use crate::table::Paint;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use futures::StreamExt;
use pivot_protocol::wire::{self, results_request::Wanted};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long a key or a frame may wait until it is seen.
const TICK: Duration = Duration::from_millis(50);

const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// Why the display ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchEnd {
    /// A person stopped it; the query runs on.
    Stopped,
    /// The query was uninstalled, here or elsewhere, and the result is complete.
    Finished,
}

/// What comes from the frontend.
enum FrontendUpdate {
    Frame(Box<ResultFrame>),
    Status(Option<Box<wire::Query>>),
    Lost(CliError),
    End,
}

/// Shows the query until a person stops it or it ends. `since` is when it was installed.
pub(crate) fn watch(
    runtime: &Handle,
    connection: &FrontendConnection,
    view: &mut QueryView,
    window_file: Option<&mut WindowFile>,
    since: Instant,
    paint: Paint,
) -> Result<WatchEnd, CliError> {
    let (sender, news) = channel();
    // A file gets every window.
    let wanted = if window_file.is_some() { Wanted::All } else { Wanted::Newest };
    let tasks = [
        runtime.spawn(follow(connection.clone(), (view.query, wanted), sender.clone())),
        runtime.spawn(ask(connection.clone(), view.query, sender)),
    ];
    let ended = show(view, window_file, &news, since, paint);
    tasks.iter().for_each(JoinHandle::abort);
    ended
}

fn show(
    view: &mut QueryView,
    mut window_file: Option<&mut WindowFile>,
    news: &Receiver<FrontendUpdate>,
    since: Instant,
    paint: Paint,
) -> Result<WatchEnd, CliError> {
    let mut screen = Screen::enter()?;
    loop {
        while let Ok(news) = news.try_recv() {
            match news {
                FrontendUpdate::Frame(frame) => {
                    let last = frame.last;
                    if let Some(window_file) = &mut window_file {
                        window_file.take(&frame)?;
                    }
                    view.take(*frame);
                    if last {
                        return Ok(WatchEnd::Finished);
                    }
                }
                FrontendUpdate::Status(status) => view.status = status.map(|status| *status),
                FrontendUpdate::Lost(error) => return Err(error),
                FrontendUpdate::End => return Ok(WatchEnd::Finished),
            }
        }
        let (columns, rows) = Screen::size();
        // Clearing behind a line that fills the last column would erase that column.
        screen.draw(view.screen(since.elapsed(), columns.saturating_sub(1), rows, paint))?;
        if !poll(TICK)? {
            continue;
        }
        let stops = match read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => press(view, key),
            Event::Resize(..) => {
                screen.forget();
                false
            }
            _ => false,
        };
        if stops {
            return Ok(WatchEnd::Stopped);
        }
    }
}

/// Does what a key says; true if that is to stop.
fn press(view: &mut QueryView, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('w') => view.toggle_scope(),
        KeyCode::Char('x') => view.form = view.form.other(),
        _ => {}
    }
    false
}

/// Sends every frame. A receiver that is gone ends it.
async fn follow(
    connection: FrontendConnection,
    (query, wanted): (u32, Wanted),
    sender: Sender<FrontendUpdate>,
) {
    let mut frames = match connection.results(query, wanted).await {
        Ok(frames) => frames,
        Err(error) => return drop(sender.send(FrontendUpdate::Lost(error))),
    };
    while let Some(frame) = frames.next().await {
        let news = frame.map_or_else(FrontendUpdate::Lost, |frame| FrontendUpdate::Frame(Box::new(frame)));
        if sender.send(news).is_err() {
            return;
        }
    }
    drop(sender.send(FrontendUpdate::End));
}

/// Sends how the frontend sees the query, again and again.
async fn ask(connection: FrontendConnection, query: u32, sender: Sender<FrontendUpdate>) {
    // A failure shows in the frames as well, and is told from there.
    while let Ok(status) = connection.query(query).await {
        if sender.send(FrontendUpdate::Status(status.map(Box::new))).is_err() {
            return;
        }
        tokio::time::sleep(STATUS_INTERVAL).await;
    }
}
