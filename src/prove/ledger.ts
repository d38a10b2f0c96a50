/**
 * The books: every request that was sent has one end, and every end has its
 * column. One account for each kind of client.
 *
 *     sent = answered + reset + failed + killed + outlived + under way
 */
import { Loss } from './loss.ts';

/** What is kept of each loss in full; the columns count all of them. */
const MAX_INCIDENTS = 100;

export interface Incident {
  /** Since the start of the traffic, milliseconds. */
  readonly atMs: number;
  readonly client: string;
  readonly what: string;
  /** The intervention that came last before it: `reload 3`. */
  readonly last: string;
}

export interface Counts {
  sent: number;
  answered: number;
  /** Cut, wrong or late. */
  failed: number;
  /** Connections that were not made; nothing was sent. */
  refused: number;
  reset: number;
  /** Bytes after the answer that no request had asked for. */
  unasked: number;
  /** Streams that ended before their time. */
  broken: number;
  /** Ended with the worker that was killed, which had accepted their connection. */
  killed: number;
  /** Cut after they had taken longer than the grace period: the machine is too busy for the traffic. */
  outlived: number;
}

export interface Columns extends Readonly<Counts> {
  readonly client: string;
  /** Seen by the origin more often than once. */
  readonly repeated: number;
  /** From the request to the end of its answer. */
  readonly longestMs: number;
}

export class Ledger {
  /** The intervention that came last. */
  #last: { readonly kind: string; readonly number: number } = { kind: 'start', number: 0 };
  readonly #startedAt = performance.now();
  readonly #accounts: Account[] = [];
  readonly #incidents: Incident[] = [];

  account(client: string): Account {
    const account = new Account(client, (what) => this.#note(client, what));
    this.#accounts.push(account);
    return account;
  }

  intervention(kind: string, number: number): void {
    this.#last = { kind, number };
  }

  /** Of the intervention that came last; `start` before the first. */
  get lastKind(): string {
    return this.#last.kind;
  }

  get incidents(): readonly Incident[] {
    return this.#incidents;
  }

  /**
   * @param repeatedOf what the origin has counted
   * @throws {Error} a request has no end, so the figures would prove nothing
   */
  close(repeatedOf: (client: string) => number): readonly Columns[] {
    return this.#accounts.map((account) => account.close(repeatedOf(account.client)));
  }

  #note(client: string, what: string): void {
    if (this.#incidents.length === MAX_INCIDENTS) return;
    const atMs = Math.round(performance.now() - this.#startedAt);
    const { kind, number } = this.#last;
    this.#incidents.push({ atMs, client, what, last: number === 0 ? kind : `${kind} ${number}` });
  }
}

export class Account {
  readonly client: string;
  readonly #note: (what: string) => void;
  readonly #counts: Counts = {
    sent: 0,
    answered: 0,
    failed: 0,
    refused: 0,
    reset: 0,
    unasked: 0,
    broken: 0,
    killed: 0,
    outlived: 0,
  };
  #numbers = 0;
  #longestMs = 0;

  constructor(client: string, note: (what: string) => void) {
    this.client = client;
    this.#note = note;
  }

  /** As it stands; requests may be under way. */
  get counts(): Readonly<Counts> {
    return this.#counts;
  }

  /** A number that no other request of this client has. */
  nextNumber(): number {
    this.#numbers += 1;
    return this.#numbers;
  }

  /** The first byte of a request is on its way. */
  sent(): void {
    this.#counts.sent += 1;
  }

  /** The whole answer is here, and it is the right one. */
  answered(tookMs: number): void {
    this.#counts.answered += 1;
    this.#longestMs = Math.max(this.#longestMs, tookMs);
  }

  /**
   * The connection for a request was not made.
   *
   * @throws what is not a `Loss`
   */
  notConnected(thrown: unknown): void {
    // A reset comes from who had taken the connection: as good as sent.
    if (!(thrown instanceof Loss && thrown.kind === 'refused')) this.sent();
    this.lost(thrown);
  }

  /** @throws what is not a `Loss`: a fault of the proof is not one of the server */
  lost(thrown: unknown): void {
    if (!(thrown instanceof Loss)) throw thrown;
    const { kind, byKill, message } = thrown;
    if (kind === 'refused') this.#counts.refused += 1;
    else if (byKill) this.#counts.killed += 1;
    else if (kind === 'reset') this.#counts.reset += 1;
    else this.#counts.failed += 1;
    if (!byKill) this.#note(`${kind}: ${message}`);
  }

  /** A stream that was answered ended before its time. */
  broke(what: string): void {
    this.#counts.broken += 1;
    this.#note(`stream broken: ${what}`);
  }

  /** A stream that was answered ended with the worker that was killed. */
  brokeByKill(): void {
    this.#counts.killed += 1;
    this.#counts.answered -= 1;
  }

  outlived(): void {
    this.#counts.outlived += 1;
  }

  unasked(what: string): void {
    this.#counts.unasked += 1;
    this.#note(`unasked: ${what}`);
  }

  close(repeated: number): Columns {
    const { sent, answered, reset, failed, killed, outlived } = this.#counts;
    const ends = answered + reset + failed + killed + outlived;
    if (ends !== sent)
      throw new Error(`${this.client}: ${sent} requests were sent and ${ends} have ended`);
    return { client: this.client, ...this.#counts, repeated, longestMs: this.#longestMs };
  }
}
