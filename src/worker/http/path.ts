/**
 * The one normal form of a path (RFC 3986 §6.2.2). It decides the route *and*
 * goes upstream: whoever checks one spelling and passes on another lets
 * `/public/../admin` through.
 *
 * Spellings that a peer may decode into a different path are refused, not
 * repaired: nobody can know which of the two readings the peer will choose.
 */
import { ProxyError } from '../../shared/errors/proxy-error.ts';

/** Spellings that the configuration can allow, by the names it has for them. */
export type PathSpelling = 'encoded_slash' | 'encoded_backslash' | 'encoded_nul' | 'encoded_dots';

/** What is passed on although some peers take it for something else. All off by default. */
export interface PathAllowances {
  /** `%2F`: data within a segment, such as a key that contains slashes. */
  readonly encodedSlash?: boolean;
  /** `%5C`: some peers take a backslash for a slash. */
  readonly encodedBackslash?: boolean;
  /** `%00`: some peers end the path there. */
  readonly encodedNul?: boolean;
  /** `%2E` in `.` or `..`: they then count as the dots they stand for. */
  readonly encodedDots?: boolean;
}

export function pathAllowances(spellings: readonly PathSpelling[]): PathAllowances {
  return {
    encodedSlash: spellings.includes('encoded_slash'),
    encodedBackslash: spellings.includes('encoded_backslash'),
    encodedNul: spellings.includes('encoded_nul'),
    encodedDots: spellings.includes('encoded_dots'),
  };
}

const NOTHING: PathAllowances = {};

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const QUESTION_MARK = 0x3f;

/**
 * Dot segments are resolved, encoded unreserved characters decoded, other
 * encodings written in capitals. Empty segments (`//`) and the query stay as
 * they are. The result is its own normal form.
 *
 * @param target in origin form, `/a?b=c`, or `*`
 * @returns `target` itself if there was nothing to do
 * @throws {ProxyError} `downstream/path-not-allowed`: the path leaves the root, its
 *   encoding is broken, or it contains what `allow` does not name
 */
export function normalizePath(target: string, allow: PathAllowances = NOTHING): string {
  if (isNormal(target)) return target;
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  const segments = path
    .slice(1)
    .split('/')
    .map((segment) => normalSegment(segment, allow));
  return `/${withoutDots(segments).join('/')}${query < 0 ? '' : target.slice(query)}`;
}

/** No encoding, and no segment that starts with a dot: the common case, found in one scan. */
function isNormal(target: string): boolean {
  for (let at = 0; at < target.length; at++) {
    const code = target.charCodeAt(at);
    if (code === QUESTION_MARK) return true;
    if (code === PERCENT) return false;
    if (code === DOT && at > 0 && target.charCodeAt(at - 1) === SLASH) return false;
  }
  return true;
}

function normalSegment(segment: string, allow: PathAllowances): string {
  if (!segment.includes('%')) return segment;
  const normal = segment.replaceAll(/%(.{0,2})/g, (seen: string, digits: string) => {
    if (!HEX_PAIR.test(digits)) throw refused('two hex digits after "%"', seen);
    refuseUnlessAllowed(digits, allow);
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`;
  });
  if (isDots(normal) && allow.encodedDots !== true)
    throw refused('no encoded dot segment', segment, 'encoded_dots');
  // A peer that decodes the slash would then resolve the dots, and leave the path we judged.
  if (normal.split(/%2F|%5C/).some(isDots) && !isDots(normal))
    throw refused('no dot segment beside an encoded slash', segment);
  return normal;
}

const HEX_PAIR = /^[0-9A-Fa-f]{2}$/;
/** RFC 3986 §2.3: encoding these makes no difference. */
const UNRESERVED = /^[A-Za-z0-9\-._~]$/;

function refuseUnlessAllowed(digits: string, allow: PathAllowances): void {
  switch (digits.toUpperCase()) {
    case '2F':
      if (allow.encodedSlash !== true)
        throw refused('no encoded slash', `%${digits}`, 'encoded_slash');
      return;
    case '5C':
      if (allow.encodedBackslash !== true) {
        throw refused('no encoded backslash', `%${digits}`, 'encoded_backslash');
      }
      return;
    case '00':
      if (allow.encodedNul !== true) throw refused('no encoded NUL', `%${digits}`, 'encoded_nul');
  }
}

/** RFC 3986 §5.2.4, except that the root cannot be left. */
function withoutDots(segments: readonly string[]): string[] {
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..' && kept.pop() === undefined)
      throw refused('a path below the root', '".." above it');
    if (!isDots(segment)) kept.push(segment);
  }
  // `/a/.` and `/a/b/..` name the folder: what remains of the dots is the slash.
  if (isDots(segments.at(-1)!)) kept.push('');
  return kept;
}

function isDots(segment: string): boolean {
  return segment === '.' || segment === '..';
}

function refused(expected: string, seen: string, option?: PathSpelling): ProxyError {
  const remedy = option === undefined ? '' : `; allow it with paths: [${option}]`;
  return new ProxyError(
    'downstream/path-not-allowed',
    `path: expected ${expected}, got ${JSON.stringify(seen)}${remedy}`,
  );
}
