/**
 * Heads and chunks as they go out, as Latin-1 text. Headers have been checked
 * when they were parsed or set, so nothing is checked again here.
 */
import { inOnePiece } from '../../../shared/text/in-one-piece.ts';
import type { Headers } from '../../http/headers.ts';
import type { RequestHead, ResponseHead } from '../../http/message.ts';
import { reasonOf } from '../../http/status.ts';

/** @param extra lines that only the connection knows about, each with its CRLF */
export function requestHeadText(head: RequestHead, extra: string): string {
  return head.method + ' ' + head.target + ' HTTP/1.1\r\n' + head.headers.lines() + extra + '\r\n';
}

/** @param extra lines that only the connection knows about, each with its CRLF */
export function responseHeadText(head: ResponseHead, extra: string): string {
  return statusLine(head) + head.headers.lines() + extra + '\r\n';
}

const USUAL_LINES: readonly string[] = Array.from({ length: 600 }, (_, status) =>
  inOnePiece(`HTTP/1.1 ${status} ${reasonOf(status)}\r\n`),
);

function statusLine({ status, reason }: ResponseHead): string {
  const usual = reasonOf(status);
  const isUsual = reason === '' || reason === usual;
  if (!isUsual) return `HTTP/1.1 ${status} ${reason}\r\n`;
  return USUAL_LINES[status] ?? `HTTP/1.1 ${status} ${usual}\r\n`;
}

export function chunkHead(length: number): string {
  return `${length.toString(16)}\r\n`;
}

export function lastChunk(trailers: Headers | undefined): string {
  return trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailers.lines()}\r\n`;
}
