//! File names from strangers, made fit to be created.
//!
//! The rules of every operating system hold on every one: a folder of
//! downloads may be copied, synchronised or shared over the network.
//! Deceptive characters go altogether: a name is what a user judges a file by.

use gannet_base::sanitise_line;
use unicode_normalization::UnicodeNormalization as _;

/// Longest name that comes out, bytes of UTF-8. Room is left up to the 255 of
/// most file systems, for a number and for a suffix of a program's own.
// Derived: file systems take 255 bytes; the rest is room for " (2)" and ".part".
pub(crate) const NAME_BYTES_MAX: usize = 240;

/// Longest ending that is kept when a name is cut, bytes with its dot. A
/// longer one is not an extension but a name with a dot in it.
// Guess: `.flatpakrepo` and the like, and some room.
const EXTENSION_BYTES_MAX: usize = 24;

/// What a file is called of whose name nothing is left.
const UNNAMED: &str = "unnamed";

/// Devices that Windows finds in every folder, with any extension.
const DEVICES: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];

/// Names that make a system act when it opens the folder.
const ACTIVE: [&str; 3] = ["desktop.ini", "autorun.inf", "thumbs.db"];

/// A name from a stranger made into one that is safe as a single path
/// component on every operating system.
///
/// What comes out is the last component of what goes in, in NFC, without
/// control and direction characters, without characters or device names that
/// Windows reserves, without dots or spaces at the end or a dot at the start,
/// at most 240 bytes long with its extension kept, never empty. A name that
/// came out once comes out unchanged.
///
/// ```
/// use gannet_store::sanitise_name;
/// assert_eq!(sanitise_name("../../.ssh/authorized_keys"), "authorized_keys");
/// assert_eq!(sanitise_name("a\u{202e}gpj.exe"), "agpj.exe");
/// assert_eq!(sanitise_name("NUL.txt"), "_NUL.txt");
/// ```
pub fn sanitise_name(name: &str) -> String {
    // Bounded before anything that costs more than a look at each byte. The
    // end is kept: that is where the extension is.
    let name = last_chars(name, 4 * NAME_BYTES_MAX);
    let last = name
        .split(['/', '\\'])
        .rfind(|part| !part.trim_matches(['.', ' ']).is_empty())
        .unwrap_or_default();
    let mut clean = replace_reserved(&sanitise_line(&last.nfc().collect::<String>()));
    // Replacing, trimming and cutting can each lay bare work for another; each
    // round shortens the name or leaves it, except the rounds that add one `_`.
    loop {
        let next = guard_whole(&cut(trim(&clean)));
        if next == clean {
            return clean;
        }
        clean = next;
    }
}

/// The last characters of a text, at most `bytes` bytes.
fn last_chars(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn replace_reserved(name: &str) -> String {
    let replaced: String = name
        .chars()
        .map(|c| match c {
            '<' | '>' | ':' | '"' | '|' | '?' | '*' | '/' | '\\' => '_',
            // What looks like a separator or an extension's dot and is none.
            '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' | '\u{ff3c}' | '\u{2216}' => '_',
            '\u{2024}' | '\u{ff0e}' | '\u{fe52}' => '_',
            '\u{fffd}' => '_',
            c => c,
        })
        .collect();
    // Dropping characters can bring together what NFC then composes.
    replaced.nfc().collect()
}

fn trim(name: &str) -> &str {
    name.trim_start().trim_end_matches(['.', ' '])
}

/// Cuts a name to length, keeping its extension.
fn cut(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let mut end = NAME_BYTES_MAX - extension.len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", stem[..end].trim_end_matches(['.', ' ']))
}

/// A name's stem and its extension with the dot; the extension is empty if it
/// is too long to be one.
pub(crate) fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Makes names harmless that are dangerous as a whole.
fn guard_whole(name: &str) -> String {
    if name.is_empty() {
        return UNNAMED.to_owned();
    }
    if let Some(rest) = name.strip_prefix('.') {
        // A hidden file is one that the user does not see arrive.
        return format!("_{rest}");
    }
    if is_device(name) || ACTIVE.contains(&name.to_lowercase().as_str()) {
        return format!("_{name}");
    }
    name.to_owned()
}

/// Whether Windows takes the name for a device: `NUL`, `nul.txt.jpg`, `com¹`,
/// `con .txt`.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_lowercase();
    if DEVICES.contains(&stem.as_str()) {
        return true;
    }
    let port = stem
        .strip_prefix("com")
        .or_else(|| stem.strip_prefix("lpt"));
    matches!(port, Some(number) if matches!(number,
        "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"))
}

/// The `n`-th name to try for a file whose name is taken: `a.txt`, `a (2).txt`,
/// `a (3).txt`. At most 255 bytes long.
pub(crate) fn numbered(name: &str, n: u32) -> String {
    if n <= 1 {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    format!("{stem} ({n}){extension}")
}

#[cfg(test)]
mod tests;
