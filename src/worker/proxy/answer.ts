/** An answer of Sluice's own: small, complete, made without asking a peer. */
import { STATUS_CODES } from 'node:http';
import { Headers } from '../http/headers.ts';

export interface AnswerInit {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as UTF-8. */
  readonly body?: string | Uint8Array | undefined;
}

/** What a request phase returns to answer and stop. Made by `session.respond…`. */
export class Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer | undefined;

  /** @throws {RangeError} the status is not a final one */
  constructor({ status, headers = {}, body }: AnswerInit) {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError(`answer status: expected an integer from 200 to 599, got ${status}`);
    }
    this.status = status;
    this.headers = new Headers();
    for (const [name, value] of Object.entries(headers)) this.headers.set(name, value);
    this.body = typeof body === 'string' ? Buffer.from(body) : body && Buffer.from(body);
  }
}

/** The standard words for a status: `404 Not Found`. */
export function statusText(status: number): string {
  return `${status} ${STATUS_CODES[status] ?? 'Unknown'}`;
}
