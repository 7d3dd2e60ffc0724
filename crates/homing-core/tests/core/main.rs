//! Tests of the core: tables for every rule, properties for every promise. One binary, for one link is faster than six.

mod anything;
mod guard;
mod keys_and_words;
mod merge;
mod merge_properties;
mod model;
mod order;
mod order_properties;
mod plan;
mod side;
mod sync_properties;
