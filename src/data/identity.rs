//! A dataset's name for itself: BLAKE3 over what the reader made of the files.

/// Collects named, length-prefixed fields, so that no two different datasets feed the hash the same bytes.
pub(super) struct Identity(blake3::Hasher);

impl Identity {
    /// For one reader; the number is the version of what readers make of files.
    pub fn new(reader: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"nanoresearch data 1\n");
        let mut identity = Identity(hasher);
        identity.bytes("reader", reader.as_bytes());
        identity
    }

    /// A field of bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) {
        self.head(name, value.len());
        self.0.update(value);
    }

    /// A field of 32-bit words, hashed in little-endian order on every machine.
    pub fn words(&mut self, name: &str, length: usize, words: impl Iterator<Item = u32>) {
        self.head(name, length);
        let mut block = Vec::with_capacity(64 << 10);
        for word in words {
            block.extend_from_slice(&word.to_le_bytes());
            if block.len() == 64 << 10 {
                self.0.update(&block);
                block.clear();
            }
        }
        self.0.update(&block);
    }

    fn head(&mut self, name: &str, length: usize) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(length as u64).to_le_bytes());
    }

    /// The hash, in hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
