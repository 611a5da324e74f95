//! Writes a world of the contract as C: what `wit-bindgen c` does, without the languages that are not needed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> Result<()> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [wit, world, out] = words.as_slice() else { bail!("usage: c-bindings WIT WORLD FOLDER") };
    let (world, out) = (world.to_str().context("the world's name is no text")?, PathBuf::from(out));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    for (name, content) in files.iter() {
        let file = out.join(name);
        fs::write(&file, content).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
