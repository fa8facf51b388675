//! Metadata values of a GGUF file.

/// A metadata value. Numbers are widened; arrays of numbers stay bytes until someone asks.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Any floating-point number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Several numbers or truth values.
    Numbers(Numbers),
}

/// An array of numbers as it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    kind: Kind,
    bytes: Vec<u8>,
}

/// The type of a value, by the number that the file has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of one value; `None` where that depends on the value.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }

    /// Decodes one number of exactly [`Kind::width`] bytes.
    pub(super) fn decode(self, bytes: &[u8]) -> Value {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unsigned = u64::from_le_bytes(wide);
        match self {
            Self::I8 => Value::Signed(i64::from(unsigned as u8 as i8)),
            Self::I16 => Value::Signed(i64::from(unsigned as u16 as i16)),
            Self::I32 => Value::Signed(i64::from(unsigned as u32 as i32)),
            Self::I64 => Value::Signed(unsigned as i64),
            Self::F32 => Value::Float(f64::from(f32::from_bits(unsigned as u32))),
            Self::F64 => Value::Float(f64::from_bits(unsigned)),
            Self::Bool => Value::Bool(unsigned != 0),
            _ => Value::Unsigned(unsigned),
        }
    }
}

impl Numbers {
    /// `bytes` holds whole values of `kind`.
    pub(super) fn new(kind: Kind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// The values as floating-point numbers; others are left out.
    pub fn floats(&self) -> impl Iterator<Item = f64> + '_ {
        let width = self.kind.width().unwrap_or(1);
        self.bytes.chunks_exact(width).filter_map(|bytes| match self.kind.decode(bytes) {
            Value::Float(value) => Some(value),
            _ => None,
        })
    }

    /// The values as integers; floating-point ones are left out.
    pub fn integers(&self) -> impl Iterator<Item = i64> + '_ {
        let width = self.kind.width().unwrap_or(1);
        self.bytes.chunks_exact(width).filter_map(|bytes| self.kind.decode(bytes).as_integer())
    }
}

impl Value {
    /// The value as an integer, where it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Unsigned(value) => i64::try_from(*value).ok(),
            Self::Signed(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
