/**
 * Heads and chunks as they go out, as Latin-1 text. Headers have been checked
 * when they were parsed or set, so nothing is checked again here.
 */
import { STATUS_CODES } from 'node:http';
import type { Headers } from '../../http/headers.ts';
import type { RequestHead, ResponseHead } from '../../http/message.ts';

/** @param extra lines that only the connection knows about, each with its CRLF */
export function requestHeadText(head: RequestHead, extra: string): string {
  return head.method + ' ' + head.target + ' HTTP/1.1\r\n' + head.headers.lines() + extra + '\r\n';
}

/** @param extra lines that only the connection knows about, each with its CRLF */
export function responseHeadText(head: ResponseHead, extra: string): string {
  return statusLine(head) + head.headers.lines() + extra + '\r\n';
}

const USUAL_LINES: readonly (string | undefined)[] = Array.from({ length: 600 }, (_, status) =>
  status in STATUS_CODES ? `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` : undefined,
);

function statusLine({ status, reason }: ResponseHead): string {
  const usual = USUAL_LINES[status];
  if (usual !== undefined && (reason === '' || reason === STATUS_CODES[status])) return usual;
  return `HTTP/1.1 ${status} ${reason === '' ? reasonOf(status) : reason}\r\n`;
}

export function chunkHead(length: number): string {
  return `${length.toString(16)}\r\n`;
}

export function lastChunk(trailers: Headers | undefined): string {
  return trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailers.lines()}\r\n`;
}

/** The usual words for a status. */
export function reasonOf(status: number): string {
  return STATUS_CODES[status] ?? 'Unknown';
}
