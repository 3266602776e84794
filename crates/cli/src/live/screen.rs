//! The terminal while the live table has it: raw mode on the alternate screen.
//!
//! Leaving the alternate screen brings the prompt back as it was, whatever size the terminal has by then.
//! A screen is written as one synchronized update and only if it changed, so nothing flickers.

use crossterm::cursor::{Hide, MoveTo, MoveToNextLine, Show};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use std::io::{self, Write};

/// The terminal in raw mode; it is restored when this is dropped, also by a panic.
#[derive(Debug)]
pub(super) struct TerminalScreen {
    /// The lines that the terminal shows now.
    drawn: Vec<String>,
}

impl TerminalScreen {
    /// Enters raw mode and the alternate screen.
    pub(super) fn enter() -> io::Result<TerminalScreen> {
        enable_raw_mode()?;

        // From here on the drop restores the terminal, also if the next line fails.
        let screen = TerminalScreen { drawn: Vec::new() };
        execute!(io::stdout(), EnterAlternateScreen, Hide, DisableLineWrap)?;
        Ok(screen)
    }

    /// Draws the lines over the old ones as one update. Writes nothing if they are the same.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        if lines == self.drawn {
            return Ok(());
        }

        // Each line clears what the old one had behind it; a cleared screen would flicker.
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

    /// Makes the next draw write everything, as a resized terminal may have lost any of it.
    pub(super) fn invalidate(&mut self) {
        self.drawn.clear();
    }
}

impl Drop for TerminalScreen {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Restores the terminal as it was before [`TerminalScreen::enter`].
pub(crate) fn restore_terminal() {
    // A terminal that is gone cannot be restored.
    let _ = execute!(io::stdout(), EnableLineWrap, Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Waits for a key and returns it as a lower-case character, or `None` for Ctrl-C and keys without a character.
pub(crate) fn read_key() -> io::Result<Option<char>> {
    enable_raw_mode()?;
    let pressed = loop {
        match read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => break Ok(key),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };

    // An error must not leave the terminal in raw mode, so it is returned only now.
    disable_raw_mode()?;
    let pressed = pressed?;

    Ok(match pressed.code {
        KeyCode::Char(c) if !pressed.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(c.to_ascii_lowercase())
        }
        _ => None,
    })
}
