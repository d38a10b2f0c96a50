/**
 * One line of JSON per request. Lines are collected for a moment and written
 * together: a logger that writes each by itself costs 4.5 µs a request, one that
 * writes once per turn of the event loop up to 9, this 0.3.
 *
 * Several workers append to the same place, so whole lines go out in pieces that
 * the kernel does not mix: of any size to a file opened for appending, of at
 * most 4,096 bytes to a pipe (POSIX, PIPE_BUF).
 */
import { closeSync, write } from 'node:fs';
import { openLogFile } from '../../shared/log/log-file.ts';
import { inOnePiece } from '../../shared/text/in-one-piece.ts';
import type { ProxyError } from '../../shared/errors/proxy-error.ts';

export interface AccessEntry {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly service: string;
  readonly client: string;
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly status: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly durationMs: number;
  readonly upstream: string | undefined;
  readonly error: ProxyError | undefined;
  readonly requestId: string;
  /** The id of the request that has made it; `undefined` if a client has sent it. */
  readonly subrequestOf: string | undefined;
}

export interface AccessLog {
  write(entry: AccessEntry): void;
  /** Opens the file anew, after somebody renamed it. */
  reopen(): void;
  close(): Promise<void>;
}

export interface AccessLogOptions {
  /** The destination takes nothing: so many lines were thrown away since the last call. */
  readonly onDropped: (lines: number) => void;
  /** The file could not be opened anew; lines go on to the old one. */
  readonly onReopenFailed: (error: Error) => void;
}

const PIPE_BUF = 4_096;
const FILE_PIECE = 64 * 1024;
/** How long a line waits for company, at most: nobody who watches a log notices. */
const FLUSH_AFTER_MS = 50;
const CLOSE_WITHIN_MS = 1_000;
const LF = 0x0a;
/** What waits for a slow destination, at most. */
const MAX_WAITING = 1024 * 1024;

/** @throws {Error} the file cannot be opened */
export function openAccessLog(destination: string, options: AccessLogOptions): AccessLog {
  switch (destination) {
    case 'off':
      return { write() {}, reopen() {}, close: () => Promise.resolve() };
    case 'stdout':
      return new BatchedLog(1, undefined, options);
    case 'stderr':
      return new BatchedLog(2, undefined, options);
    default:
      return new BatchedLog(openFile(destination), destination, options);
  }
}

function openFile(path: string): number {
  try {
    return openLogFile(path);
  } catch (thrown) {
    throw new Error(`cannot write access_log ${path}: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
}

class BatchedLog implements AccessLog {
  #fd: number;
  readonly #path: string | undefined;
  /** In characters; lines are ASCII, so in bytes, too. */
  readonly #pieceLength: number;
  readonly #options: AccessLogOptions;
  /**
   * Lines that wait for company. Not as text: it would keep the thousand pieces
   * it was made of alive until it is written, and the garbage collector busy.
   */
  #batch: Buffer;
  #used = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #scheduled = false;
  #writing = false;
  #onEmpty: (() => void) | undefined;
  #staleFd: number | undefined;

  constructor(fd: number, path: string | undefined, options: AccessLogOptions) {
    this.#fd = fd;
    this.#path = path;
    this.#pieceLength = path === undefined ? PIPE_BUF : FILE_PIECE;
    this.#batch = Buffer.allocUnsafeSlow(this.#pieceLength);
    this.#options = options;
  }

  write(entry: AccessEntry): void {
    const line = format(entry);
    if (this.#used + line.length > this.#pieceLength) this.#pushBatch();
    if (line.length > this.#pieceLength) this.#push(Buffer.from(line, 'latin1'));
    else this.#used += this.#batch.latin1Write(line, this.#used);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.#pushBatch();
    }, FLUSH_AFTER_MS);
  }

  reopen(): void {
    if (this.#path === undefined) return;
    this.#pushBatch();
    const stale = this.#fd;
    try {
      this.#fd = openFile(this.#path);
    } catch (thrown) {
      // The old file still takes lines; better there than nowhere.
      return this.#options.onReopenFailed(thrown as Error);
    }
    // A write that is under way uses the descriptor it began with; one opened since then is free.
    if (this.#writing && this.#staleFd === undefined) this.#staleFd = stale;
    else closeSync(stale);
  }

  /** Waits for what is still to be written, but not for a destination that takes nothing. */
  async close(): Promise<void> {
    this.#pushBatch();
    if (this.#writing) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
        setTimeout(resolve, CLOSE_WITHIN_MS);
      });
    }
    if (this.#path !== undefined && !this.#writing) closeSync(this.#fd);
  }

  #pushBatch(): void {
    if (this.#used === 0) return;
    this.#push(Buffer.copyBytesFrom(this.#batch, 0, this.#used));
    this.#used = 0;
  }

  #push(bytes: Buffer): void {
    if (this.#waitingBytes + bytes.length > MAX_WAITING) {
      this.#drop(bytes);
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#writing) this.#writeNext();
  }

  #drop(lines: Buffer): void {
    if (this.#dropped === 0) setTimeout(() => this.#reportDropped(), 1_000).unref();
    this.#dropped += countLines(lines);
  }

  #reportDropped(): void {
    this.#options.onDropped(this.#dropped);
    this.#dropped = 0;
  }

  #writeNext(): void {
    const bytes = this.#waiting[0];
    if (bytes === undefined) {
      this.#writing = false;
      this.#onEmpty?.();
      return;
    }
    this.#writing = true;
    write(this.#fd, bytes, (error, written) => {
      if (this.#staleFd !== undefined) closeSync(this.#staleFd);
      this.#staleFd = undefined;
      this.#wrote(bytes, error, written);
    });
  }

  #wrote(bytes: Buffer, error: NodeJS.ErrnoException | null, written: number): void {
    if (error?.code === 'EAGAIN') {
      setTimeout(() => this.#writeNext(), 5);
      return;
    }
    this.#waiting.shift();
    this.#waitingBytes -= bytes.length;
    if (error !== null) this.#drop(bytes);
    else if (written < bytes.length) {
      const rest = bytes.subarray(written);
      this.#waiting.unshift(rest);
      this.#waitingBytes += rest.length;
    }
    this.#writeNext();
  }
}

/** Enough for an operator to see what was wrong, and for no client to fill a disk with. */
const MAX_DETAIL = 256;

function errorFields({ code, message }: ProxyError): string {
  return `,"error":"${code}","detail":${quoted(message.slice(code.length + 2, MAX_DETAIL))}`;
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) count += 1;
  return count;
}

/**
 * Most of a line is the same as in the lines before it. Those pieces are made
 * once and kept: joining thirty pieces for each line would cost three times this.
 */
function format(entry: AccessEntry): string {
  const { client, method, target, version, status, bytesSent, bytesReceived, error } = entry;
  const durationUs = Math.round(entry.durationMs * 1000);
  const received =
    bytesReceived === 0 ? NOTHING_RECEIVED : `,"bytes_received":${bytesReceived},"duration_us":`;
  return (
    lineStart(entry.time, entry.service) +
    client +
    methodParts.get(method) +
    (PLAIN.test(target) ? target : escapedText(target)) +
    statusPart(version, status) +
    bytesSent +
    received +
    durationUs +
    (entry.upstream === undefined ? '' : upstreamParts.get(entry.upstream)) +
    (error === undefined ? '' : errorFields(error)) +
    ',"request_id":"' +
    entry.requestId +
    (entry.subrequestOf === undefined ? '"}\n' : `","subrequest_of":"${entry.subrequestOf}"}\n`)
  );
}

const NOTHING_RECEIVED = ',"bytes_received":0,"duration_us":';

/** Pieces by the value that they are made of. Values may come from clients, so it starts anew when it is full. */
class Parts {
  readonly #parts = new Map<string, string>();
  readonly #make: (value: string) => string;

  constructor(make: (value: string) => string) {
    this.#make = make;
  }

  get(value: string): string {
    const known = this.#parts.get(value);
    if (known !== undefined) return known;
    if (this.#parts.size >= MAX_PARTS) this.#parts.clear();
    const part = inOnePiece(this.#make(value));
    this.#parts.set(value, part);
    return part;
  }
}

const MAX_PARTS = 256;

const methodParts = new Parts((method) => `","method":${quoted(method)},"target":"`);
const upstreamParts = new Parts((upstream) => `,"upstream":${quoted(upstream)}`);
const servicePart = new Parts((service) => `","service":${quoted(service)},"client":"`);

/** By version and status. */
const statusParts = new Map<string, string[]>();

function statusPart(version: string, status: number): string {
  let ofVersion = statusParts.get(version);
  if (ofVersion === undefined) statusParts.set(version, (ofVersion = []));
  return (ofVersion[status] ??= inOnePiece(
    `","version":"${version}","status":${status},"bytes_sent":`,
  ));
}

let startMs = Number.NaN;
let startService = '';
let start = '';

/** Up to the client's address; made anew each millisecond. */
function lineStart(ms: number, service: string): string {
  if (ms !== startMs || service !== startService) {
    startMs = ms;
    startService = service;
    start = inOnePiece(`{"time":"${new Date(ms).toISOString()}${servicePart.get(service)}`);
  }
  return start;
}

const PLAIN = /^[ !#-[\]-~]*$/;

/** Most texts need no escaping, and looking is cheaper than escaping. */
function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : `"${escapedText(text)}"`;
}

/** A line is ASCII throughout, so that its length is its number of bytes. */
function escapedText(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[^ -~]/g, escaped);
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
