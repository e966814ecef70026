//! The bench: measured costs beside the limits of the machine, in one run.

fn main() {}
