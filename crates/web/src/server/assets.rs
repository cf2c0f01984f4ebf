//! The page's own files: part of the program, so that nothing is fetched from
//! elsewhere and nothing can be missing.

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// What the page may do: run the scripts beside it, which ask this API and show
/// what it serves. No text can become a script: there is no way from one to the
/// other that the browser allows.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// A file of the page.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
    /// The same, compressed: what browsers take.
    pub(super) gzip: Bytes,
}

macro_rules! assets {
    ($($name:literal: $media_type:expr),* $(,)?) => {
        [$(($name, $media_type, include_str!(concat!("../../assets/", $name)))),*]
    };
}

/// All of them.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all = assets! {
        "api.js": SCRIPT,
        "app.css": STYLE,
        "app.js": SCRIPT,
        "dom.js": SCRIPT,
        "downloads.js": SCRIPT,
        "icon.svg": PICTURE,
        "kept.js": SCRIPT,
        "library.js": SCRIPT,
        "list.js": SCRIPT,
        "network.js": SCRIPT,
        "open.js": SCRIPT,
        "player.js": SCRIPT,
        "search.js": SCRIPT,
        "settings.js": SCRIPT,
        "theme.js": SCRIPT,
        "try.js": SCRIPT,
    };
    let asset = |(name, media_type, text)| Asset {
        name,
        media_type,
        text,
        gzip: gzip(text),
    };
    all.into_iter().map(asset).collect()
});

fn gzip(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(text.as_bytes());
    let bytes = written.and_then(|()| encoder.finish());
    bytes.expect("a Vec takes everything").into()
}

/// The page, the page behind a link, and the page to try the API.
pub(super) const INDEX: &str = include_str!("../../assets/index.html");
pub(super) const OPEN: &str = include_str!("../../assets/open.html");
pub(super) const TRY: &str = include_str!("../../assets/try.html");

/// A file by its name.
pub(super) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_and_style_stay_small() {
        let texts = ASSETS.iter().filter(|asset| asset.media_type != PICTURE);
        let bytes: usize = texts.map(|asset| asset.gzip.len()).sum();
        assert!(bytes <= 60_000, "{bytes}");
    }

    #[test]
    fn pages_name_only_what_is_there() {
        let mut named = 0;
        let scripts = ASSETS.iter().map(|asset| asset.text);
        for text in [INDEX, OPEN, TRY].into_iter().chain(scripts) {
            for (at, _) in text.match_indices("/assets/") {
                let rest = &text[at + "/assets/".len()..];
                let name = rest.split('"').next().unwrap();
                assert!(asset(name).is_some(), "{name}");
                named += 1;
            }
            for (at, _) in text.match_indices("from \"./") {
                let rest = &text[at + "from \"./".len()..];
                let name = rest.split('"').next().unwrap();
                assert!(asset(name).is_some(), "{name}");
                named += 1;
            }
            for loose in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "eval(",
            ] {
                let allowed = "http://www.w3.org/2000/svg";
                assert!(!text.replace(allowed, "").contains(loose), "{loose}");
            }
            let has_inline = text.contains("style=") || text.contains("<script>");
            assert!(!has_inline, "the policy forbids what is inline");
        }
        assert!(named > 20, "{named}");
    }
}
