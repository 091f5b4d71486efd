//! Forged frozen layers: the places of their parts, and checksums that are valid again after an
//! edit. FORMAT.md describes the format.

/// The bytes of the footer.
pub(crate) const FOOTER_BYTES: usize = 88;
/// The bytes of an entry of the directory.
pub(crate) const ENTRY_BYTES: usize = 48;

/// The entries at most whose chunks [`mend`] looks at: a forged number of them may be any.
const MAX_ENTRIES: usize = 100;

/// Returns the number in the 8 bytes at an offset. `None` means that there are none.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

/// Returns the offset of the directory, which the footer has.
pub(crate) fn directory(bytes: &[u8]) -> Option<usize> {
    let footer = bytes.len().checked_sub(FOOTER_BYTES)?;
    word(bytes, footer)?.checked_add(word(bytes, footer + 8)?)
}

/// Makes all checksums valid whose bytes are where the footer says.
///
/// Returns `None` if the footer or the directory leads out of the bytes: then some are not valid.
pub(crate) fn mend(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(FOOTER_BYTES)?;
    let (symbols, directory) = (word(bytes, footer)?, directory(bytes)?);
    for i in 0..word(bytes, footer + 16)?.min(MAX_ENTRIES) {
        let entry = directory.checked_add(i * ENTRY_BYTES)?;
        let (at, keys) = (word(bytes, entry)?, word(bytes, entry + 8)?);
        let end = at.checked_add(keys)?.checked_add(word(bytes, entry + 16)?)?;
        let Some(chunk) = bytes.get(at..end) else { continue };
        let checksum = crc32fast::hash(chunk);
        if let Some(place) = bytes.get_mut(entry + 44..entry + 48) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
    }
    let trailer = bytes.get(symbols..bytes.len() - 16)?;
    let checksum = crc32fast::hash(&[&bytes[..16], trailer].concat());
    bytes[footer + 72..footer + 76].copy_from_slice(&checksum.to_le_bytes());
    Some(())
}

/// Writes the length of the bytes into the footer.
///
/// # Panics
///
/// If the bytes have no footer.
pub(crate) fn mend_length(bytes: &mut [u8]) {
    let (footer, length) = (bytes.len() - FOOTER_BYTES, bytes.len() as u64);
    bytes[footer + 64..footer + 72].copy_from_slice(&length.to_le_bytes());
}
