//! Histograms as text, to travel from a worker to the coordinator inside any format that carries strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{
    DeserializeError, Deserializer, Serializer, V2DeflateSerializeError, V2DeflateSerializer,
};
use thiserror::Error;

/// Why a histogram did not travel.
#[derive(Debug, Error)]
pub(crate) enum CodecError {
    /// It cannot be written.
    #[error("a histogram cannot be encoded: {0}")]
    Encode(V2DeflateSerializeError),
    /// What came is not base64.
    #[error("a worker sent a histogram that is not base64")]
    Base64(#[from] base64::DecodeError),
    /// What came is no histogram in V2 with deflate.
    #[error("a worker sent a histogram that cannot be decoded: {0}")]
    Decode(DeserializeError),
    /// What came has other bounds than the histograms of this program.
    #[error("a worker sent a histogram that cannot be merged: {0}")]
    Merge(#[from] hdrhistogram::AdditionError),
}

/// V2, deflated, base64: what a `.hlog` line ends with.
pub(crate) fn encode(histogram: &Histogram<u64>) -> Result<String, CodecError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(CodecError::Encode)?;
    Ok(STANDARD.encode(bytes))
}

/// The reverse of [`encode`].
pub(crate) fn decode(text: &str) -> Result<Histogram<u64>, CodecError> {
    let bytes = STANDARD.decode(text)?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(CodecError::Decode)
}
