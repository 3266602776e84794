//! Writes the Rust code of the wire protocol to where it is checked in.

use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let file = pivot_protocol_generator::checked_in();
    let folder = file.parent().ok_or("the file is in no folder")?;
    fs::create_dir_all(folder)?;
    pivot_protocol_generator::generate(folder)?;
    fs::write(pivot_protocol_generator::checked_in_descriptors(), pivot_protocol_generator::descriptors()?)?;
    Ok(())
}
