//! Streams that another task polls, such as the messages that a client streams to its server: the task
//! of the connection pulls them, outside any request.

use futures_core::Stream;
use pin_project_lite::pin_project;
use pivot_baggage::current::run_in;
use pivot_baggage::{Baggage, BranchEnding, current};
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A stream that runs in a branch of the request that made it, and may be polled anywhere.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct CarriedStream<S> {
        // Dropped at the end or with this, in both cases inside the request.
        #[pin]
        stream: Option<S>,
        baggage: Option<Baggage>,
        ending: BranchEnding,
    }

    impl<S> PinnedDrop for CarriedStream<S> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

/// Forks a branch of the current request for a stream. Returns the stream, which runs in the branch
/// wherever it is polled, and the [`BranchEnding`] that receives the branch when the stream ends or is dropped.
///
/// ```
/// # use pivot_propagate::carried_stream;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// # async fn upload(_: impl futures_core::Stream<Item = u8>) {}
/// let (messages, ending) = carried_stream(tokio_stream::iter([1, 2]));
/// upload(messages).await;
/// ending.join(); // the reply came after all messages were read
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn carried_stream<S: Stream>(stream: S) -> (CarriedStream<S>, BranchEnding) {
    let ending = BranchEnding::new();
    let carried = CarriedStream { stream: Some(stream), baggage: current::fork(), ending: ending.clone() };
    (carried, ending)
}

impl<S> CarriedStream<S> {
    /// Drops the stream inside the branch and leaves the branch with its ending.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.baggage.is_some() {
            run_in(this.baggage, || this.stream.set(None));
        }
        if let Some(baggage) = this.baggage.take() {
            this.ending.leave(baggage);
        }
        this.stream.set(None);
    }
}

impl<S: Stream> Stream for CarriedStream<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.as_mut().project();
        let Some(stream) = this.stream.as_pin_mut() else { return Poll::Ready(None) };

        // Outside any request it is a plain stream, polled in whatever is current.
        let item = match this.baggage.is_some() {
            true => run_in(this.baggage, || stream.poll_next(cx)),
            false => stream.poll_next(cx),
        };

        if let Poll::Ready(None) = item {
            self.end();
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}
