/** Answers that no peer has given. */
import type { Exchange } from '../http/exchange.ts';
import { httpDate } from '../http/date.ts';
import type { ResponseHead } from '../http/message.ts';
import { hasNoBody } from '../http/status.ts';
import type { Answer } from './answer.ts';

export function headOf({ status, headers }: Answer): ResponseHead {
  const head: ResponseHead = { status, reason: '', version: '1.1', headers: headers.clone() };
  head.headers.set('Date', httpDate());
  return head;
}

export function sendWhole(exchange: Exchange, head: ResponseHead, body: Buffer | undefined): void {
  const length = body?.length ?? 0;
  const writer = exchange.sendHead(head, length);
  if (body !== undefined) writer.write(body, 0, length);
  writer.end(undefined);
}

/** Whether a body follows the head of such a response (RFC 9110 §6.4.1). */
export function takesBody(method: string, status: number): boolean {
  return method !== 'HEAD' && !hasNoBody(status);
}
