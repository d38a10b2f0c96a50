/**
 * Reads one answer off a connection, and believes nothing: what is not plainly
 * an answer in HTTP/1.1 is a `wrong` loss. A parser of its own, since the
 * server's would share its mistakes.
 */
import { Loss } from '../loss.ts';

/** Ours are below 1 KiB. */
const MAX_HEAD_BYTES = 16 * 1024;

export interface AnswerHead {
  readonly status: number;
  /** By name in lower case; repeated fields are joined with a comma. */
  readonly fields: ReadonlyMap<string, string>;
}

interface Sink {
  /** May throw a `Loss`: then the answer ends there. */
  onHead(head: AnswerHead): void;
  onBody(bytes: Buffer): void;
}

type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; remaining: number }
  | { readonly kind: 'chunked'; state: 'size' | 'data' | 'data-end' | 'trailer'; remaining: number }
  | { readonly kind: 'until-end' };

export class AnswerReader {
  readonly #sink: Sink;
  #pending: Buffer = Buffer.alloc(0);
  #head: AnswerHead | undefined;
  #framing: Framing | undefined;
  #done = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  get done(): boolean {
    return this.#done;
  }

  /** Of the final answer; `undefined` until it is here. */
  get head(): AnswerHead | undefined {
    return this.#head;
  }

  /**
   * @returns what does not belong to this answer
   * @throws {Loss} not the answer it should be
   */
  read(bytes: Buffer): Buffer {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (!this.#done && this.#step());
    if (!this.#done) return Buffer.alloc(0);
    const rest = this.#pending;
    this.#pending = Buffer.alloc(0);
    return rest;
  }

  /** @returns whether the end of the connection completes the answer */
  end(): boolean {
    if (this.#framing?.kind === 'until-end') this.#done = true;
    return this.#done;
  }

  /** @returns whether there may be more to do with what has arrived */
  #step(): boolean {
    if (this.#framing === undefined) return this.#readHead();
    switch (this.#framing.kind) {
      case 'none':
        this.#done = true;
        return false;
      case 'until-end':
        this.#deliver(this.#pending.length);
        return false;
      case 'length':
        this.#framing.remaining -= this.#deliver(this.#framing.remaining);
        this.#done = this.#framing.remaining === 0;
        return false;
      case 'chunked':
        return this.#readChunk(this.#framing);
    }
  }

  #readHead(): boolean {
    const end = this.#pending.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#pending.length > MAX_HEAD_BYTES)
        throw wrong(`a head above ${MAX_HEAD_BYTES} bytes`);
      return false;
    }
    const head = parseHead(this.#pending.toString('latin1', 0, end));
    this.#pending = this.#pending.subarray(end + 4);
    // RFC 9110 §15.2: any number of interim answers may come before the final one.
    if (head.status < 200 && head.status !== 101) return true;
    this.#head = head;
    this.#framing = framingOf(head);
    this.#sink.onHead(head);
    return true;
  }

  #readChunk(framing: Extract<Framing, { kind: 'chunked' }>): boolean {
    if (framing.state === 'data') {
      framing.remaining -= this.#deliver(framing.remaining);
      if (framing.remaining > 0) return false;
      framing.state = 'data-end';
    }
    const end = this.#pending.indexOf('\r\n');
    if (end < 0) {
      if (this.#pending.length > MAX_HEAD_BYTES) throw wrong('a chunk size without an end');
      return false;
    }
    const line = this.#pending.toString('latin1', 0, end);
    this.#pending = this.#pending.subarray(end + 2);
    switch (framing.state) {
      case 'data-end':
        if (line !== '') throw wrong('a chunk that is longer than its size');
        framing.state = 'size';
        return true;
      case 'size':
        framing.remaining = chunkSize(line);
        framing.state = framing.remaining === 0 ? 'trailer' : 'data';
        return true;
      case 'trailer':
        this.#done = line === '';
        return !this.#done;
    }
  }

  #deliver(most: number): number {
    const bytes = this.#pending.subarray(0, most);
    this.#pending = this.#pending.subarray(bytes.length);
    if (bytes.length > 0) this.#sink.onBody(bytes);
    return bytes.length;
  }
}

function parseHead(text: string): AnswerHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 ([1-5][0-9]{2})(?: .*)?$/.exec(statusLine)?.[1];
  if (status === undefined) throw wrong(`the status line ${quote(statusLine)}`);
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name = '', value = ''] = /^([!-9;-~]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === '') throw wrong(`the field line ${quote(line)}`);
    const key = name.toLowerCase();
    const before = fields.get(key);
    fields.set(key, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status), fields };
}

function framingOf({ status, fields }: AnswerHead): Framing {
  if (status === 101 || status === 204 || status === 304) return { kind: 'none' };
  const coding = fields.get('transfer-encoding');
  const length = fields.get('content-length');
  if (coding !== undefined && length !== undefined) throw wrong('an answer of two lengths');
  if (coding === 'chunked') return { kind: 'chunked', state: 'size', remaining: 0 };
  if (coding !== undefined) throw wrong(`the transfer coding ${quote(coding)}`);
  if (length === undefined) return { kind: 'until-end' };
  if (!/^\d{1,15}$/.test(length)) throw wrong(`the length ${quote(length)}`);
  return length === '0' ? { kind: 'none' } : { kind: 'length', remaining: Number(length) };
}

function chunkSize(line: string): number {
  const digits = /^([0-9a-f]{1,8})(?:[ \t]*;.*)?$/i.exec(line)?.[1];
  if (digits === undefined) throw wrong(`the chunk size ${quote(line)}`);
  return Number.parseInt(digits, 16);
}

function wrong(what: string): Loss {
  return new Loss('wrong', `got ${what}`);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
