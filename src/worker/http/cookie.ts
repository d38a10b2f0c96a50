/** Cookies of a request (RFC 6265 section 5.4). */
import type { Headers } from './headers.ts';

/** The first of that name. */
export function cookieOf(headers: Headers, name: string): string | undefined {
  for (const pair of headers.getAll('cookie').join(';').split(';')) {
    const at = pair.indexOf('=');
    if (at >= 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}
