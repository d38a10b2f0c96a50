/** What a status means for the shape of a message (RFC 9110 §15), and its usual words. */
import { STATUS_CODES } from 'node:http';

/** 1xx, 204 and 304 never have a body, whatever their header says (RFC 9112 §6.3). */
export function hasNoBody(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

const REASONS: readonly string[] = Array.from(
  { length: 600 },
  (_, status) => STATUS_CODES[status] ?? 'Unknown',
);

/** The usual words for a status: `Not Found`. */
export function reasonOf(status: number): string {
  return REASONS[status] ?? 'Unknown';
}
