//! Which messages one subscriber has received: the one place where peers meet the [`check`](crate::verify::receipts).

use crate::verify::receipts;
use crate::verify::receipts::{Receipt, Taken};

/// One subscriber's messages of one run.
#[derive(Debug)]
pub struct Received(Receipt);

impl Default for Received {
    fn default() -> Self {
        let mut receipt = Receipt::default();
        receipt.begin(0);
        Received(receipt)
    }
}

impl Received {
    /// A message came. Says whether it is the first time.
    pub fn take(&mut self, index: u32) -> bool {
        self.0.take(index, |_| true) == Taken::New
    }

    /// The accepted messages that did not come.
    pub fn missing(&self, accepted: &[bool]) -> Vec<u32> {
        let indexes = accepted.iter().zip(0..).filter(|(accepted, _)| **accepted).map(|(_, index)| index);
        indexes.filter(|index| !self.0.has(*index)).collect()
    }

    /// Equal for two subscribers that received the same in the same order.
    pub fn order(&self) -> u64 {
        self.0.order()
    }
}

/// The order that most saw; any other order is out of order.
pub fn common_order(orders: impl Iterator<Item = u64>) -> Option<u64> {
    receipts::common_order(orders)
}
