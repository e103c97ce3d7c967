// SPDX-License-Identifier: MIT
//
// How binary names and keys are written in URLs and control messages: base64url without padding, read strictly, so
// that each value has one spelling (PROTOCOL.md, "Conventions"). Used by names.ts and control.ts. Pure.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export function encodeBase64url(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const [a, b, c] = [bytes[i] ?? 0, bytes[i + 1] ?? 0, bytes[i + 2] ?? 0];
    const group = (a << 16) | (b << 8) | c;
    for (let digit = 0; digit < Math.min(bytes.length - i, 3) + 1; digit++) {
      text += ALPHABET[(group >> (18 - 6 * digit)) & 63];
    }
  }
  return text;
}

// The `size` bytes that `text` spells, or null when it spells anything else or in another way.
export function decodeBase64url(text: string, size: number): Uint8Array | null {
  if (text.length !== Math.ceil((size * 8) / 6)) return null;
  const bytes = new Uint8Array(size);
  let held = 0;
  let bits = 0;
  let written = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return null;
    held = (held << 6) | digit;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[written++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return held === 0 && written === size ? bytes : null;
}
