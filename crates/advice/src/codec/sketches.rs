//! The byte form of sketches; the other half of [`super`].
//!
//! ```text
//! moments    durations:u8 count:varint mean:8 bytes LE squares:8 bytes LE
//! distinct   0 count:varint hash:8 bytes LE*count          ascending
//!            1 registers:u8*4096
//! histogram  durations:u8 scale:zigzag zeros:varint least:8 bytes LE most:8 bytes LE side side
//!   side     offset:zigzag count:varint varint*count       positive, then negative
//! tally      other:varint count:varint { number:zigzag count:varint }*count
//! top        count:varint { value count:varint excess:varint }*count
//! ```

use super::{ByteReader, ByteWriter};
use crate::error::DecodeError;
use crate::sketch::{
    BucketCounts, DenseBuckets, ExponentialHistogram, HyperLogLog, MAX_BUCKETS, Moments, SpaceSaving,
    ValueCounter,
};

/// The scales that a histogram may have.
const SCALES: std::ops::RangeInclusive<i128> = -10..=20;

impl ByteWriter {
    fn double(&mut self, x: f64) {
        self.raw(&x.to_le_bytes());
    }

    pub(super) fn moments(&mut self, moments: &Moments) {
        self.u8(moments.durations.into());
        self.varint(moments.count);
        self.double(moments.mean);
        self.double(moments.squares);
    }

    pub(super) fn distinct(&mut self, set: &HyperLogLog) {
        match set {
            HyperLogLog::Exact(hashes) => {
                self.u8(0);
                self.varint(hashes.len() as u64);
                hashes.iter().for_each(|hash| self.raw(&hash.to_le_bytes()));
            }
            HyperLogLog::Registers(registers) => {
                self.u8(1);
                self.raw(registers);
            }
        }
    }

    pub(super) fn histogram(&mut self, histogram: &ExponentialHistogram) {
        self.u8(histogram.durations.into());
        self.zigzag(histogram.scale.into());
        self.varint(histogram.zeros);
        self.double(histogram.bounds.0);
        self.double(histogram.bounds.1);
        for side in [&histogram.positive, &histogram.negative] {
            self.zigzag(side.offset.into());
            self.varint(side.counts.len() as u64);
            side.counts.iter().for_each(|count| self.varint(*count));
        }
    }

    pub(super) fn tally(&mut self, tally: &BucketCounts) {
        self.varint(tally.other);
        self.varint(tally.counts.len() as u64);
        for (number, count) in &tally.counts {
            self.zigzag((*number).into());
            self.varint(*count);
        }
    }

    pub(super) fn top(&mut self, top: &SpaceSaving) {
        let ranked = top.ranked();
        self.varint(ranked.len() as u64);
        for ValueCounter { value, count, excess } in &ranked {
            self.value(value);
            self.varint(*count);
            self.varint(*excess);
        }
    }
}

impl ByteReader<'_> {
    fn double(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.fixed()?))
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag { what: "flag", tag }),
        }
    }

    pub(super) fn moments(&mut self) -> Result<Moments, DecodeError> {
        let (durations, count) = (self.flag()?, self.varint()?);
        Ok(Moments { durations, count, mean: self.double()?, squares: self.double()? })
    }

    pub(super) fn distinct(&mut self) -> Result<HyperLogLog, DecodeError> {
        if self.flag()? {
            let registers = self.raw(crate::sketch::REGISTERS)?;
            return HyperLogLog::from_registers(registers).ok_or(DecodeError::ShapeMismatch);
        }

        let count = self.count("set")?;
        let hashes = (0..count).map(|_| self.fixed()).collect::<Result<Vec<_>, _>>()?;
        Ok(HyperLogLog::from_hashes(hashes))
    }

    pub(super) fn histogram(&mut self) -> Result<ExponentialHistogram, DecodeError> {
        let durations = self.flag()?;
        let scale = self.zigzag()?;
        if !SCALES.contains(&scale) {
            return Err(DecodeError::TooLarge { what: "scale" });
        }

        let (scale, zeros) = (scale as i8, self.varint()?);
        let bounds = (self.double()?, self.double()?);
        if bounds.0.is_nan() || bounds.1.is_nan() {
            return Err(DecodeError::ShapeMismatch);
        }
        let (positive, negative) = (self.side(scale)?, self.side(scale)?);

        // Only the bounds of a histogram without numbers are the wrong way round: infinity and minus
        // infinity.
        let empty = zeros == 0 && positive.counts.is_empty() && negative.counts.is_empty();
        if !empty && bounds.0 > bounds.1 {
            return Err(DecodeError::ShapeMismatch);
        }
        Ok(ExponentialHistogram { scale, zeros, positive, negative, bounds, durations })
    }

    /// Takes one side of a histogram. Buckets that no double lies in at this scale are refused, and so are
    /// more buckets than a histogram keeps.
    fn side(&mut self, scale: i8) -> Result<DenseBuckets, DecodeError> {
        let offset = self.zigzag()?;
        let count = self.count("buckets")?;

        // The exponents of doubles are from -1074 to 1024.
        let reach = (2f64.powi(scale.into()) * 1_076.0).ceil() as i128 + 1;
        if count > MAX_BUCKETS || offset < -reach || offset + count as i128 > reach {
            return Err(DecodeError::TooLarge { what: "buckets" });
        }
        let counts = (0..count).map(|_| self.varint()).collect::<Result<_, _>>()?;
        Ok(DenseBuckets { offset: offset as i32, counts })
    }

    pub(super) fn tally(&mut self) -> Result<BucketCounts, DecodeError> {
        let mut tally = BucketCounts { other: self.varint()?, ..BucketCounts::default() };
        for _ in 0..self.count("tally")? {
            let number = i64::try_from(self.zigzag()?);
            let number = number.map_err(|_| DecodeError::TooLarge { what: "number" })?;
            let count = self.varint()?;
            tally.add(number, count);
        }
        Ok(tally)
    }

    pub(super) fn top(&mut self) -> Result<SpaceSaving, DecodeError> {
        let mut top = SpaceSaving::default();
        for _ in 0..self.count("counters")? {
            let (value, count, excess) = (self.value()?, self.varint()?, self.varint()?);
            top.restore(ValueCounter { value, count, excess });
        }
        Ok(top)
    }
}
