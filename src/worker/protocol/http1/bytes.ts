/** The bytes of HTTP/1, and which of them may stand where (RFC 9110 §5.6.2, RFC 9112). */
export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HT = 0x09;
export const COLON = 0x3a;

/** What a byte may be part of; bits, so that one table answers all questions. */
export const TOKEN = 1;
export const FIELD_VALUE = 2;
export const TARGET = 4;
export const UNDERSCORE = 8;

/** By byte. For loops over many of them; the functions below say the same for one. */
export const byteClasses = new Uint8Array(256);
const classes = byteClasses;
for (const byte of Buffer.from(
  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
)) {
  classes[byte]! |= TOKEN;
}
for (let byte = 0; byte < 256; byte++) {
  const isControl = byte < 0x20 || byte === 0x7f;
  if (!isControl || byte === HT) classes[byte]! |= FIELD_VALUE;
  // No backslash and no fragment: some peers take them for a slash and for the end of the path.
  if (byte > SP && byte < 0x7f && byte !== 0x5c && byte !== 0x23) classes[byte]! |= TARGET;
}

classes[0x5f]! |= UNDERSCORE;

/** Visible, blank, tab, or above ASCII: never a control byte. */
export function isFieldValue(byte: number): boolean {
  return (classes[byte]! & FIELD_VALUE) !== 0;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** How a byte is shown to an operator. */
export function shown(byte: number): string {
  return `byte 0x${byte.toString(16).padStart(2, '0')}`;
}
