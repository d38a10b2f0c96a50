/**
 * The field names that Sluice itself looks at, a bit for each. A head is asked
 * about dozens of them for every message, and nearly always has two or three:
 * with bits, the parser answers all those questions in one pass.
 */
import { CLAIMS } from './name-set.ts';

const NAMES = [
  'host',
  'date',
  'connection',
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'via',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'http2-settings',
  'proxy',
  ...CLAIMS,
] as const;

export type KnownName = (typeof NAMES)[number];

/** A set of known names, as bits. */
export type KnownNames = number;

/** Set for every name with an underscore in it, known or not. */
export const UNDERSCORED: KnownNames = 1 << 30;

export function knownNames(...names: readonly KnownName[]): KnownNames {
  return names.reduce((bits, name) => bits | (1 << NAMES.indexOf(name)), 0);
}

interface Candidate {
  readonly name: KnownName;
  readonly bytes: Uint8Array;
  readonly bit: KnownNames;
}

/** By length and first letter: hardly ever more than one. */
const candidates: (Candidate[] | undefined)[] = Array.from({ length: 32 * 32 });
for (const name of NAMES) {
  const candidate = { name, bytes: Buffer.from(name), bit: knownNames(name) };
  (candidates[place(name.length, name.charCodeAt(0))] ??= []).push(candidate);
}

function place(length: number, first: number): number {
  return (length << 5) | (first & 31);
}

/** The bit of the name in `bytes[from..end)`, in whatever case; 0 if it is none of them. */
export function knownNameAt(bytes: Uint8Array, from: number, end: number): KnownNames {
  const length = end - from;
  if (length > 31) return 0;
  const some = candidates[place(length, bytes[from]!)];
  if (some === undefined) return 0;
  for (const candidate of some) if (isAt(bytes, from, candidate.bytes)) return candidate.bit;
  return 0;
}

/** Bit 5 makes a letter lower case, and of what else may stand in a name nothing a letter of these. */
function isAt(bytes: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let at = 0; at < name.length; at++) {
    if ((bytes[from + at]! | 0x20) !== name[at]) return false;
  }
  return true;
}

/** The same for a name that is a string already, with `UNDERSCORED` where it belongs. */
export function knownName(name: string): KnownNames {
  const underscored = name.includes('_') ? UNDERSCORED : 0;
  if (name.length > 31 || name.length === 0) return underscored;
  const some = candidates[place(name.length, name.charCodeAt(0))];
  if (some === undefined) return underscored;
  const lower = name.toLowerCase();
  for (const candidate of some) if (candidate.name === lower) return candidate.bit;
  return underscored;
}
