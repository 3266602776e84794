//! The loop of the live table: frames and keys in, screens out.

use super::query_view::View;
use super::screen::Screen;
use crate::client::Connection;
use crate::error::CliError;
use crate::repl::Tee;
use crate::result_frame::Frame;
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
pub(crate) enum Ended {
    /// A person stopped it; the query runs on.
    Stopped,
    /// The query was uninstalled, here or elsewhere, and the result is complete.
    Finished,
}

/// What comes from the frontend.
enum News {
    Frame(Box<Frame>),
    Status(Option<Box<wire::Query>>),
    Lost(CliError),
    End,
}

/// Shows the query until a person stops it or it ends. `since` is when it was installed.
pub(crate) fn watch(
    runtime: &Handle,
    connection: &Connection,
    view: &mut View,
    tee: Option<&mut Tee>,
    since: Instant,
    paint: Paint,
) -> Result<Ended, CliError> {
    let (sender, news) = channel();
    // A file gets every window.
    let wanted = if tee.is_some() { Wanted::All } else { Wanted::Newest };
    let tasks = [
        runtime.spawn(follow(connection.clone(), (view.query, wanted), sender.clone())),
        runtime.spawn(ask(connection.clone(), view.query, sender)),
    ];
    let ended = show(view, tee, &news, since, paint);
    tasks.iter().for_each(JoinHandle::abort);
    ended
}

fn show(
    view: &mut View,
    mut tee: Option<&mut Tee>,
    news: &Receiver<News>,
    since: Instant,
    paint: Paint,
) -> Result<Ended, CliError> {
    let mut screen = Screen::enter()?;
    loop {
        while let Ok(news) = news.try_recv() {
            match news {
                News::Frame(frame) => {
                    let last = frame.last;
                    if let Some(tee) = &mut tee {
                        tee.take(&frame)?;
                    }
                    view.take(*frame);
                    if last {
                        return Ok(Ended::Finished);
                    }
                }
                News::Status(status) => view.status = status.map(|status| *status),
                News::Lost(error) => return Err(error),
                News::End => return Ok(Ended::Finished),
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
            return Ok(Ended::Stopped);
        }
    }
}

/// Does what a key says; true if that is to stop.
fn press(view: &mut View, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char('w') => view.toggle_shown(),
        KeyCode::Char('x') => view.form = view.form.other(),
        _ => {}
    }
    false
}

/// Sends every frame. A receiver that is gone ends it.
async fn follow(connection: Connection, (query, wanted): (u32, Wanted), sender: Sender<News>) {
    let mut frames = match connection.results(query, wanted).await {
        Ok(frames) => frames,
        Err(error) => return drop(sender.send(News::Lost(error))),
    };
    while let Some(frame) = frames.next().await {
        let news = frame.map_or_else(News::Lost, |frame| News::Frame(Box::new(frame)));
        if sender.send(news).is_err() {
            return;
        }
    }
    drop(sender.send(News::End));
}

/// Sends how the frontend sees the query, again and again.
async fn ask(connection: Connection, query: u32, sender: Sender<News>) {
    // A failure shows in the frames as well, and is told from there.
    while let Ok(status) = connection.query(query).await {
        if sender.send(News::Status(status.map(Box::new))).is_err() {
            return;
        }
        tokio::time::sleep(STATUS_INTERVAL).await;
    }
}
