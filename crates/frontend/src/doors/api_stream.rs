//! Results as they come: server-sent events with ids by which a reader that was cut off goes on, and downloads row by row.

use super::api_formats::{RowFormat, csv_heading, csv_rows, line, ndjson};
use super::api_json::{FrameScope, end, frame as frame_json};
use super::api_problem::ApiProblem;
use crate::frame_stream::FrameStream;
use crate::kept_frames::FrameSelection;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{BoxStream, StreamExt, iter, unfold};
use pivot_protocol::wire;
use serde_json::json;
use std::convert::Infallible;
use std::time::Duration;
use tonic::Status;

/// How often a reader without news is told that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The place of a frame among all of a query, as an id of an event: `frontend.sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId {
    /// Another frontend has other frames.
    pub(super) frontend: u32,
    pub(super) sequence: u64,
}

impl EventId {
    /// Reads an id.
    pub(super) fn read(text: &str) -> Result<EventId, ApiProblem> {
        let parts = text.split_once('.');
        let id = parts.and_then(|(frontend, sequence)| {
            let frontend = u32::from_str_radix(frontend, 16).ok()?;
            Some(EventId { frontend, sequence: sequence.parse().ok()? })
        });
        id.ok_or_else(|| {
            let detail = format!("`{text}` is no id of an event of this stream");
            ApiProblem::new(StatusCode::BAD_REQUEST, detail)
        })
    }

    fn text(self) -> String {
        format!("{:08x}.{}", self.frontend, self.sequence)
    }
}

/// The position of a stream of events.
struct EventPosition {
    reader: FrameStream,
    last: EventId,
    selection: FrameSelection,
    has_ended: bool,
}

/// Returns the frames of a query as events: `frame`, `skipped` where frames were discarded before they were read, `problem`,
/// and at last `end`.
pub(super) fn events(reader: FrameStream, after: EventId, selection: FrameSelection) -> Response {
    let position = EventPosition { reader, last: after, selection, has_ended: false };
    let events = unfold(position, |mut position| async {
        if position.has_ended {
            return None;
        }
        Some((iter(position.next().await), position))
    });

    let stream = Sse::new(events.flatten().map(Ok::<Event, Infallible>));
    let stream = stream.keep_alive(KeepAlive::new().interval(HEARTBEAT));
    ([(CACHE_CONTROL, "no-store")], stream).into_response()
}

impl EventPosition {
    /// Waits for news, and returns the events that tell them.
    async fn next(&mut self) -> Vec<Event> {
        let frame = match self.reader.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(status)) => {
                self.has_ended = true;
                let problem = ApiProblem::from(status).document();
                return vec![Event::default().event("problem").data(problem.to_string())];
            }
            None => {
                self.has_ended = true;
                return vec![Event::default().event("end").data(json!({ "end": "uninstalled" }).to_string())];
            }
        };

        let mut events = Vec::new();
        let before = self.last.sequence;
        // Who wants the newest frame misses none.
        let is_missed = self.selection != FrameSelection::Newest;
        if is_missed && before > 0 && frame.sequence > before + 1 {
            let skipped = json!({ "from": before + 1, "to": frame.sequence - 1 });
            events.push(Event::default().event("skipped").data(skipped.to_string()));
        }
        self.last.sequence = frame.sequence;
        let event = Event::default().event("frame").id(self.last.text());
        events.push(event.data(frame_json(&frame).to_string()));

        if frame.last {
            self.has_ended = true;
            let end = json!({ "end": end(&frame) });
            events.push(Event::default().event("end").data(end.to_string()));
        }
        events
    }
}

/// Returns the windows of frames in a format, as they come. What goes wrong behind the first frame ends the body before its
/// time, so that no reader takes a part for the whole.
pub(super) async fn download(
    frames: BoxStream<'static, Result<wire::Frame, Status>>,
    format: RowFormat,
    scope: FrameScope,
) -> Result<Response, ApiProblem> {
    // Whether there is any is known before it is asked again.
    let mut frames = frames.fuse();
    let first = frames.next().await.transpose()?;
    let heading = match (format, &first) {
        (RowFormat::Csv, Some(frame)) => csv_heading(&frame.columns),
        (RowFormat::Json, _) => "[".to_owned(),
        _ => String::new(),
    };
    let closing = if format == RowFormat::Json { "]\n" } else { "" };

    let all = iter(first.map(Ok)).chain(frames).enumerate();
    let parts = all.map(move |(place, frame)| {
        let frame = frame.map_err(|status| std::io::Error::other(status.to_string()))?;
        Ok::<String, std::io::Error>(match format {
            RowFormat::Json if place == 0 => frame_json(&frame).to_string(),
            RowFormat::Json => format!(",{}", frame_json(&frame)),
            RowFormat::Ndjson => ndjson(&frame, scope),
            RowFormat::Csv => csv_rows(&frame, scope),
        })
    });
    let body = iter([Ok(heading)]).chain(parts).chain(iter([Ok(closing.to_owned())]));
    let body = Body::from_stream(body.map(|part| part.map(Bytes::from)));
    Ok(([(CONTENT_TYPE, format.content_type()), (CACHE_CONTROL, "no-store")], body).into_response())
}

/// Returns a document as a response.
pub(super) fn document(status: StatusCode, document: &serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], line(document))
        .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        let id = EventId { frontend: 0x1f, sequence: 7 };
        assert_eq!(id.text(), "0000001f.7");
        assert_eq!(EventId::read(&id.text()).unwrap(), id);
        for wrong in ["", "7", "x.7", "1.x", "1.", ".1", "1.2.3"] {
            assert!(EventId::read(wrong).is_err(), "{wrong}");
        }
    }
}
