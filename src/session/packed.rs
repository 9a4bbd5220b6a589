//! The compressed forms of a payload, kept with the body.
//!
//! Lives on: every core. Read next: `packing`, which makes them.

use std::cell::{OnceCell, RefCell};
use std::num::NonZeroU64;
use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

/// Names a payload that a stream ends with; unique on its core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextId(NonZeroU64);

impl TextId {
    /// The id with this number.
    ///
    /// # Panics
    /// If it is zero.
    pub fn new(number: u64) -> TextId {
        TextId(NonZeroU64::new(number).expect("ids count from one"))
    }
}

/// The forms of one payload, shared by all bodies that have it.
#[derive(Debug, Default, Clone)]
pub struct Packed(pub(super) Rc<OnceCell<Box<PackedForms>>>);

/// The forms by format.
#[derive(Debug)]
pub(super) struct PackedForms {
    pub text_id: TextId,
    pub zlib: FormatForms,
    pub zstd: FormatForms,
}

impl PackedForms {
    pub fn new(text_id: TextId) -> PackedForms {
        PackedForms { text_id, zlib: FormatForms::default(), zstd: FormatForms::default() }
    }
}

/// The forms in one format.
#[derive(Debug, Default)]
pub(super) struct FormatForms {
    /// Refers to nothing before it.
    pub independent: OnceCell<Bytes>,
    /// Each refers to the payload of that id, directly before it.
    pub chained: ChainedForms,
}

/// Forms by the payload that is their dictionary.
pub(super) type ChainedForms = RefCell<SmallVec<[(TextId, Bytes); 1]>>;
