//! Signed baggage: peers that share a key accept only baggage that one of them has signed.
//!
//! A signature is the first half of an HMAC-SHA256 (RFC 2104, truncated as its section 5 allows), appended
//! to the encoded baggage as one more protobuf field. A reader without a key skips that field.

#[cfg(feature = "mac")]
use hmac::{Hmac, KeyInit, Mac};
use pivot_baggage::envelope::SIGNATURE_FIELD;
use pivot_baggage::losses;
use std::fmt;
#[cfg(feature = "mac")]
use std::sync::Arc;

/// The bytes of the authentication code that travel.
const CODE_BYTES: usize = 16;

/// The bytes before the code: the tag of its field in the envelope, and its length.
const HEAD: [u8; 2] = [(SIGNATURE_FIELD << 3 | 2) as u8, CODE_BYTES as u8];

/// A secret that peers share to sign their baggage. Can be made with the feature `mac` only.
#[derive(Clone)]
pub struct SigningKey {
    #[cfg(feature = "mac")]
    mac: Arc<Hmac<sha2::Sha256>>,
    /// Without the feature no value of this type exists, so no code path needs one.
    #[cfg(not(feature = "mac"))]
    none: std::convert::Infallible,
}

impl SigningKey {
    /// The bytes that a signature adds.
    pub(crate) const BYTES: usize = HEAD.len() + CODE_BYTES;

    /// Makes a key of a secret, which should have 32 random bytes.
    #[cfg(feature = "mac")]
    pub fn new(secret: &[u8]) -> SigningKey {
        let key = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret);
        // HMAC takes keys of any length: the error that the trait allows cannot occur.
        SigningKey { mac: Arc::new(key.unwrap_or_else(|_| KeyInit::new(&Default::default()))) }
    }

    /// Appends a signature.
    pub(crate) fn sign(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let code = self.code(&bytes);
        bytes.extend(HEAD);
        bytes.extend(code);
        bytes
    }

    /// Removes the signature. Returns `None`, which is counted, if it is missing or wrong.
    pub(crate) fn verify(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let signed = bytes.len().checked_sub(Self::BYTES).filter(|signed| {
            let (message, signature) = bytes.split_at(*signed);
            signature.strip_prefix(&HEAD).is_some_and(|code| self.accepts(message, code))
        });

        if signed.is_none() {
            losses::note_unsigned();
        }
        bytes.truncate(signed?);
        Some(bytes)
    }

    #[cfg(feature = "mac")]
    fn code(&self, bytes: &[u8]) -> [u8; CODE_BYTES] {
        let full = Hmac::clone(&self.mac).chain_update(bytes).finalize().into_bytes();
        std::array::from_fn(|i| full[i])
    }

    /// Compares in constant time, so that nobody finds the code byte by byte.
    #[cfg(feature = "mac")]
    fn accepts(&self, bytes: &[u8], code: &[u8]) -> bool {
        Hmac::clone(&self.mac).chain_update(bytes).verify_truncated_left(code).is_ok()
    }

    #[cfg(not(feature = "mac"))]
    fn code(&self, _: &[u8]) -> [u8; CODE_BYTES] {
        match self.none {}
    }

    #[cfg(not(feature = "mac"))]
    fn accepts(&self, _: &[u8], _: &[u8]) -> bool {
        match self.none {}
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(all(test, feature = "mac"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_with_the_key_is_accepted() {
        let (key, other) = (SigningKey::new(&[7; 32]), SigningKey::new(&[8; 32]));
        let signed = key.sign(b"baggage".to_vec());
        assert_eq!(key.verify(signed.clone()).as_deref(), Some(b"baggage".as_slice()));
        let before = losses().unsigned;
        assert_eq!(other.verify(signed.clone()), None);
        for at in 0..signed.len() {
            let mut damaged = signed.clone();
            damaged[at] ^= 1;
            assert_eq!(key.verify(damaged), None);
        }
        assert_eq!(key.verify(b"baggage".to_vec()), None);
        assert!(losses().unsigned >= before + 2);
    }
}
