//! The terminal while the live table has it.
//!
//! The alternate screen is used: whatever the size becomes, leaving it brings the REPL back.

use crossterm::cursor::{Hide, MoveTo, MoveToNextLine, Show};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use std::io::{self, Write};

/// Holds the terminal in raw mode; gives it back when dropped, also on a panic.
#[derive(Debug)]
pub(super) struct Screen {
    drawn: Vec<String>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Screen> {
        enable_raw_mode()?;
        let screen = Screen { drawn: Vec::new() };
        execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size() -> (usize, usize) {
        let (columns, rows) = size().unwrap_or((80, 24));
        (columns.into(), rows.into())
    }

    /// Draws the lines over the old ones, as one update; nothing if they are the same.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        if lines == self.drawn {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                queue!(out, MoveToNextLine(1))?;
            }
            queue!(out, Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.drawn = lines;
        out.flush()
    }

    /// Draws everything the next time, as after a resize.
    pub(super) fn forget(&mut self) {
        self.drawn.clear();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Leaves the terminal as it was found.
pub(crate) fn give_back() {
    // A terminal that is gone cannot be restored.
    let _ = execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// The next key as a lower-case character; none for Ctrl-C and keys that are no character.
pub(crate) fn key() -> io::Result<Option<char>> {
    enable_raw_mode()?;
    let pressed = loop {
        match read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => break Ok(key),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    disable_raw_mode()?;
    let pressed = pressed?;
    Ok(match pressed.code {
        KeyCode::Char(c) if !pressed.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(c.to_ascii_lowercase())
        }
        _ => None,
    })
}
