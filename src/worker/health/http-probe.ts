/**
 * Asks a peer over HTTP whether it is well. It speaks through the connection
 * that requests go through, so that a peer which breaks the protocol is not well.
 *
 *   begin → connected (or kept) → asked → head → (body, if the check looks at it) → end
 */
import type { ProxyError } from '../../shared/errors/proxy-error.ts';
import type { HttpHealthCheck } from '../balance/http-health-check.ts';
import type { BodyReceiver, IncomingBody } from '../http/body.ts';
import { Headers } from '../http/headers.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { UpstreamConnection, type ConnectionEvents } from '../upstream/http1-connection.ts';
import type { HttpPeer } from '../upstream/peer.ts';
import type { ResponseReceiver } from '../upstream/response-receiver.ts';
import type { Probe, ProbeParts, Verdict } from './probe.ts';

/** Of a body, so much is looked at: a page without end would keep a probe reading for ever. */
const MAX_BODY_BYTES = 64 * 1024;
/** Of a body that is not as it should be, so much is told. */
const SHOWN_CHARACTERS = 80;

export class HttpProbe implements Probe, ResponseReceiver, BodyReceiver, ConnectionEvents {
  readonly #peer: HttpPeer;
  readonly #check: HttpHealthCheck;
  readonly #parts: ProbeParts;
  #done: Verdict | undefined;
  #giveUp: (() => void) | undefined;
  #asking: UpstreamConnection | undefined;
  /** From the probe before, for the next one. */
  #kept: UpstreamConnection | undefined;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(peer: HttpPeer, check: HttpHealthCheck, parts: ProbeParts) {
    this.#peer = peer;
    this.#check = check;
    this.#parts = parts;
  }

  begin(done: Verdict): void {
    this.#done = done;
    this.#pieces = [];
    this.#length = 0;
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined) this.#connect();
    else this.#ask(kept);
  }

  stop(): void {
    this.#done = undefined;
    this.#leave();
  }

  close(): void {
    this.stop();
    this.#kept?.close();
  }

  #connect(): void {
    this.#giveUp = this.#parts.dial(
      this.#peer,
      {
        onConnected: (connected) => {
          this.#giveUp = undefined;
          let made: UpstreamConnection | undefined;
          connected((transport) => {
            made = new UpstreamConnection(this.#peer, transport, this.#parts.deadlines, this);
            return made;
          });
          this.#ask(made!);
        },
        onFailed: (error) => this.#end(error.message),
      },
      this.#peer.proxyHeader(undefined),
    );
  }

  #ask(connection: UpstreamConnection): void {
    this.#asking = connection;
    connection.send(requestOf(this.#check, this.#peer), undefined, this, false);
  }

  // ── what the connection tells ─────────────────────────────────────────────

  onInterim(): void {}

  onResponse({ status }: ResponseHead, body: IncomingBody | undefined): void {
    const check = this.#check;
    if (!check.isExpected(status)) {
      return this.#end(`expected a status of ${check.expectedStatuses}, got ${status}`);
    }
    if (body === undefined) return this.#judgeBody();
    // To keep the connection, all of the body has to be read; else only who looks at it needs it.
    if (check.body === undefined && !check.keepAlive) this.#end(undefined);
    else body.start(this);
  }

  /** A probe asks for no upgrade, so the connection has refused this already. */
  onUpgraded(): void {
    this.#end('switched protocols, though nobody asked for it');
  }

  onFailed(error: ProxyError): void {
    this.#asking = undefined;
    // A kept connection may be closed at any time; whether the peer is well, a new one tells.
    if (error.code === 'upstream/idle-connection-closed') this.#connect();
    else this.#end(error.message);
  }

  onData(bytes: Buffer, from: number, end: number): void {
    if (this.#done === undefined) return;
    const wanted = Math.min(end - from, MAX_BODY_BYTES - this.#length);
    // Copied: the bytes are valid only during the call.
    this.#pieces.push(Buffer.from(bytes.subarray(from, from + wanted)));
    this.#length += wanted;
    if (this.#length >= MAX_BODY_BYTES) this.#judgeBody();
  }

  onIdle(): void {}

  onEnd(): void {
    this.#judgeBody();
  }

  onError(error: ProxyError): void {
    this.#asking = undefined;
    this.#end(error.message);
  }

  onReusable(connection: UpstreamConnection): void {
    this.#asking = undefined;
    if (!this.#check.keepAlive) return connection.close();
    this.#kept = connection;
    connection.rest();
  }

  onGone(connection: UpstreamConnection): void {
    if (connection === this.#kept) this.#kept = undefined;
  }

  // ── the end ───────────────────────────────────────────────────────────────

  #judgeBody(): void {
    const check = this.#check;
    if (check.body === undefined) return this.#end(undefined);
    const text = Buffer.concat(this.#pieces).toString('utf8');
    if (check.isInBody(text)) return this.#end(undefined);
    const where = this.#length >= MAX_BODY_BYTES ? `the first ${MAX_BODY_BYTES} bytes of ` : '';
    this.#end(`expected ${String(check.body)} in ${where}the body, got ${beginningOf(text)}`);
  }

  #end(reason: string | undefined): void {
    const done = this.#done;
    this.#done = undefined;
    this.#leave();
    done?.(reason);
  }

  /** A connection whose answer is complete has gone its way already. */
  #leave(): void {
    this.#giveUp?.();
    this.#giveUp = undefined;
    this.#asking?.release(this);
    this.#asking = undefined;
    this.#pieces = [];
  }
}

function requestOf({ method, path, host, headers, keepAlive }: HttpHealthCheck, peer: HttpPeer) {
  const authority = host ?? (peer.path === undefined ? peer.address : peer.host);
  const fields = new Headers();
  fields.append('Host', authority);
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() !== 'host') fields.append(name, value);
  }
  if (!fields.has('user-agent')) fields.append('User-Agent', 'sluice-health-check');
  if (!keepAlive) fields.append('Connection', 'close');
  const head: RequestHead = { method, target: path, version: '1.1', authority, headers: fields };
  return head;
}

/** Quoted: what a peer sends is not to break a line of the log. */
function beginningOf(text: string): string {
  const shown = JSON.stringify(text.slice(0, SHOWN_CHARACTERS));
  return text.length <= SHOWN_CHARACTERS ? shown : `${shown} …`;
}
