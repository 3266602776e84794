//! The answer to a statement of SQL as it comes from the frontend.

use crate::error::CliError;
use crate::frame_reader::refused;
use crate::result_frame::{FrameColumn, FrameRow};
use pivot_protocol::wire;
use pivot_query::Diagnostics;
use tonic::Streaming;

/// The request that fails if a statement is not answered.
const ACTION: &str = "answer the statement";

/// The answer of the frontend to a statement.
#[derive(Debug)]
pub(crate) enum SqlOutcome {
    /// The statement is wrong.
    Wrong(Diagnostics),
    /// Its rows begin to come.
    Answer(Box<SqlAnswer>),
}

/// The rows of an answer, which come part by part.
#[derive(Debug)]
pub(crate) struct SqlAnswer {
    pub(crate) columns: Vec<FrameColumn>,
    parts: Streaming<wire::SqlReply>,
    end: Option<wire::SqlEnd>,
}

impl SqlAnswer {
    /// Reads the first part of an answer.
    pub(crate) async fn read(
        mut parts: Streaming<wire::SqlReply>,
        diagnostics: impl Fn(Vec<wire::Diagnostic>) -> Diagnostics,
    ) -> Result<SqlOutcome, CliError> {
        let first = parts.message().await.map_err(|status| refused(ACTION, &status))?.ok_or_else(cut_off)?;
        if !first.diagnostics.is_empty() {
            return Ok(SqlOutcome::Wrong(diagnostics(first.diagnostics)));
        }

        let columns = first.columns.into_iter().map(FrameColumn::of_sql).collect();
        Ok(SqlOutcome::Answer(Box::new(SqlAnswer { columns, parts, end: None })))
    }

    /// Returns the next rows, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<FrameRow>>, CliError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let part =
            self.parts.message().await.map_err(|status| refused(ACTION, &status))?.ok_or_else(cut_off)?;
        self.end = part.end;
        let rows = part.rows.into_iter().map(|row| FrameRow::from_wire(row, self.columns.len()));
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }

    /// Whether there are more rows than came. To be asked behind the last.
    pub(crate) fn is_cut(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.cut)
    }

    /// Returns what is to be said about the answer, or nothing. To be asked behind the last row.
    pub(crate) fn notice(&self) -> &str {
        self.end.as_ref().map_or("", |end| &end.notice)
    }
}

/// Returns the error of an answer that has no end.
fn cut_off() -> CliError {
    CliError::Frontend { action: ACTION, reason: "the stream ended before the last row".to_owned() }
}
