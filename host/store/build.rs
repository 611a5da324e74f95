//! Compiles the crate anew when a migration is added; cargo alone would only notice a changed one.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
