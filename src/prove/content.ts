/**
 * What bodies are made of: bytes that follow from a seed and their place, so
 * that both ends can tell a byte that is missing, repeated or of another body.
 */

/** The bytes from `from` on, of the body with that seed. */
export function contentOf(seed: number, from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = byteAt(seed, from + index);
  return bytes;
}

/** @returns where `bytes` first differ from the body with that seed, counted from the body's start */
export function firstDifference(seed: number, from: number, bytes: Uint8Array): number | undefined {
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== byteAt(seed, from + index)) return from + index;
  }
  return undefined;
}

function byteAt(seed: number, place: number): number {
  // Multipliers of splitmix32: neighbours in either number look unrelated.
  const mixed = Math.imul(place ^ Math.imul(seed, 0x9e3779b9), 0x85ebca6b);
  return ((mixed ^ (mixed >>> 13)) >>> 8) & 0xff;
}
