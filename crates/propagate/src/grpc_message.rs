//! Messages inside a gRPC stream, each with the baggage of its own request. Needs the feature `prost`.
//!
//! The headers and trailers of a call belong to the request that made the call. When one stream
//! carries the messages of many requests, each message brings its own baggage, as one more field of the
//! message. Protobuf readers skip fields they do not know, so no `.proto` file changes and peers without
//! Pivot are not disturbed.

use pivot_baggage::{Baggage, Traced};
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, bytes};
use prost::{DecodeError, Message};

/// The number of the field that holds the baggage: high, out of the way of a message's own.
pub const BAGGAGE_FIELD: u32 = 262_143;

/// A protobuf message that carries baggage with it, in place of the message itself wherever one is
/// encoded: as in `ProstCodec<WithBaggage<Request>, WithBaggage<Reply>>`.
///
/// It converts from and into [`Traced`], whose methods receive a message: `run` works for it and makes
/// the reply, `join` joins its request into the current one.
///
/// ```
/// # use pivot_propagate::{WithBaggage, Traced, request};
/// # use prost::Message;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(request(async {
/// let sent = WithBaggage::new("text".to_owned()).encode_to_vec();
/// let arrived = WithBaggage::<String>::decode(sent.as_slice())?;
/// let reply = Traced::from(arrived).run(|text| text.len() as u64);
/// let reply = WithBaggage::<u64>::decode(WithBaggage::from(reply).encode_to_vec().as_slice())?;
/// assert_eq!(reply.join(), 4);
/// # Ok::<(), prost::DecodeError>(())
/// # }))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Where a message goes, its baggage goes: whoever puts it into a stream has chosen the peer.
#[derive(Debug, Default)]
pub struct WithBaggage<M> {
    message: M,
    /// Encoded when the message is made: another task may send it, outside the request.
    baggage: Vec<u8>,
}

impl<M> WithBaggage<M> {
    /// Adds a branch of the current request to a message. A message that comes back brings it back.
    #[track_caller]
    pub fn new(message: M) -> WithBaggage<M> {
        WithBaggage::from(Traced::new(message))
    }

    /// Adds a detached branch to a message to which no reply comes back.
    pub fn detached(message: M) -> WithBaggage<M> {
        WithBaggage::from(Traced::detached(message))
    }

    /// Returns the message and joins the branch that it brings into the current request.
    #[track_caller]
    pub fn join(self) -> M {
        Traced::from(self).join()
    }
}

impl<M> From<Traced<M>> for WithBaggage<M> {
    fn from(traced: Traced<M>) -> WithBaggage<M> {
        let (message, baggage) = traced.into_parts();
        let baggage = baggage.map_or_else(Vec::new, Baggage::encode);
        WithBaggage { message, baggage }
    }
}

/// A message whose baggage cannot be read, which is counted, is one from outside any request.
impl<M> From<WithBaggage<M>> for Traced<M> {
    #[track_caller]
    fn from(message: WithBaggage<M>) -> Traced<M> {
        let baggage = Baggage::decode(&message.baggage).ok();
        Traced::from_parts(message.message, baggage.filter(|baggage| !baggage.has_no_id()))
    }
}

impl<M: Message> Message for WithBaggage<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.message.encode_raw(buf);
        if !self.baggage.is_empty() {
            bytes::encode(BAGGAGE_FIELD, &self.baggage, buf);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            BAGGAGE_FIELD => bytes::merge(wire_type, &mut self.baggage, buf, context),
            _ => self.message.merge_field(tag, wire_type, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let baggage =
            if self.baggage.is_empty() { 0 } else { bytes::encoded_len(BAGGAGE_FIELD, &self.baggage) };
        self.message.encoded_len() + baggage
    }

    fn clear(&mut self) {
        self.message.clear();
        self.baggage.clear();
    }
}
