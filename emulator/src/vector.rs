//! Vectors on the wire: arrays or base64 of little-endian elements, in three element types.
//!
//! Elements are kept as `f32`, which holds every `f16` and `i8` exactly; what is written comes back bit for bit.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value as Json;

use crate::error::{ApiError, Result};

/// The type of a vector's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    I8,
}

impl Element {
    /// Bytes of one element, stored and billed.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        }
    }

    /// The nearest value this type can hold.
    fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => from_half(to_half(value)),
            Self::I8 => value.round().clamp(-128.0, 127.0),
        }
    }
}

/// Reads a vector in either form. Clients send base64 as `f32`, whatever the element type.
pub(crate) fn read(json: &Json, element: Element) -> Result<Vec<f32>> {
    let raw = match json {
        Json::String(text) => from_base64(text)?,
        Json::Array(items) => items.iter().map(number).collect::<Result<_>>()?,
        _ => {
            return Err(ApiError::bad(
                "a vector is an array of numbers or a base64 string",
            ));
        }
    };
    Ok(raw.into_iter().map(|value| element.round(value)).collect())
}

fn from_base64(text: &str) -> Result<Vec<f32>> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| ApiError::bad(format!("invalid base64 vector: {error}")))?;
    let (quads, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(ApiError::bad(
            "invalid base64 vector: not a whole number of f32",
        ));
    }
    Ok(quads.iter().map(|quad| f32::from_le_bytes(*quad)).collect())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a vector element is the f32 nearest to the number sent"
)]
fn number(json: &Json) -> Result<f32> {
    json.as_f64()
        .map(|value| value as f32)
        .ok_or_else(|| ApiError::bad("a vector holds numbers only"))
}

/// Writes a vector as base64 in its own element type.
pub(crate) fn to_base64(vector: &[f32], element: Element) -> String {
    let mut bytes = Vec::with_capacity(vector.len() * 4);
    for value in vector {
        match element {
            Element::F32 => bytes.extend(value.to_le_bytes()),
            Element::F16 => bytes.extend(to_half(*value).to_le_bytes()),
            Element::I8 => bytes.extend(to_byte(*value).to_le_bytes()),
        }
    }
    STANDARD.encode(bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded and clamped before"
)]
fn to_byte(value: f32) -> i8 {
    value.round().clamp(-128.0, 127.0) as i8
}

/// The bits of the nearest half, ties to even.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = low16(bits >> 16) & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00; // not a number
    }
    if magnitude >= 0x4780_0000 {
        return sign | 0x7c00; // infinite, or too large
    }
    if magnitude < 0x3880_0000 {
        // Below the smallest normal half: adding 0.5 leaves the wanted bits, already rounded, at the bottom.
        let shifted = f32::from_bits(magnitude) + 0.5;
        return sign | low16(shifted.to_bits().wrapping_sub(0.5f32.to_bits()));
    }
    let odd = (magnitude >> 13) & 1;
    let rounded = magnitude
        .wrapping_sub(0x3800_0000)
        .wrapping_add(0x0fff + odd);
    sign | low16(rounded >> 13)
}

fn from_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let mantissa = u32::from(half & 0x03ff);
    let magnitude = match exponent {
        0 => (f32::from(half & 0x03ff) / 16_777_216.0).to_bits(), // 2⁻²⁴ each
        0x1f => 0x7f80_0000 | (mantissa << 13),
        _ => ((exponent + 112) << 23) | (mantissa << 13),
    };
    f32::from_bits(sign | magnitude)
}

fn low16(bits: u32) -> u16 {
    let [low, high, _, _] = bits.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn f32_survives_both_encodings_bit_for_bit() {
        let vector = [0.1_f32, -0.0, f32::MIN_POSITIVE, 3.402_823_5e38, 1.0 / 3.0];
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let text = Json::String(to_base64(&vector, Element::F32));
        assert_eq!(bits(&read(&text, Element::F32).unwrap()), bits(&vector));
        let array = serde_json::from_str(&serde_json::to_string(&vector).unwrap()).unwrap();
        assert_eq!(bits(&read(&array, Element::F32).unwrap()), bits(&vector));
    }

    #[test]
    fn every_half_survives() {
        for half in 0..=u16::MAX {
            let value = from_half(half);
            if !value.is_nan() {
                assert_eq!(to_half(value), half, "{half:#x}");
            }
        }
        assert_eq!(to_half(65_520.0), 0x7c00);
        assert_eq!(to_half(0.1), 0x2e66);
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for json in [json!("AAA="), json!("?"), json!([1, "x"]), json!(5)] {
            assert_eq!(read(&json, Element::F32).unwrap_err().status, 400);
        }
    }
}
