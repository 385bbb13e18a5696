"""The built-in promptable segmenter: small, permissively trained, packaged with its weights."""
