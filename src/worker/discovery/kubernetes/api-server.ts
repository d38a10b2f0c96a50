/**
 * Requests to the API server of Kubernetes. Token and authorities are read anew for
 * each: the kubelet replaces them while the pod runs.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';

export interface ApiServerOptions {
  /** `https://host:port`. */
  readonly url: URL;
  readonly tokenFile: string;
  readonly caFile: string;
}

/** What the server says instead of what it was asked for. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** As in HTTP. */
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** Silence, before the head and within a list. */
const ANSWER_MS = 10_000;
const MAX_LIST_BYTES = 32 * 1024 * 1024;
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
/** Of a watch: finds out that the other end is gone without a word. */
const KEEP_ALIVE_MS = 15_000;

export class ApiServer {
  readonly #options: ApiServerOptions;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  /** @throws {Error} no answer, or not the one that was asked for */
  async get(path: string, signal: AbortSignal): Promise<unknown> {
    const response = await this.#request(path, signal);
    return JSON.parse(await textOf(response, MAX_LIST_BYTES, path)) as unknown;
  }

  /**
   * Objects of a watch, one for each line.
   *
   * @param onOpen the server has agreed to tell
   * @param silenceMs the server ends a watch sooner than that, or it is broken
   * @throws {Error} as `get`
   */
  async *watch(
    path: string,
    signal: AbortSignal,
    { onOpen, silenceMs }: { readonly onOpen: () => void; readonly silenceMs: number },
  ): AsyncGenerator<unknown, void, undefined> {
    const response = await this.#request(path, signal);
    response.socket.setTimeout(silenceMs);
    response.socket.setKeepAlive(true, KEEP_ALIVE_MS);
    onOpen();
    let rest = '';
    response.setEncoding('utf8');
    for await (const piece of response as AsyncIterable<string>) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop()!;
      if (rest.length > MAX_EVENT_BYTES)
        throw new Error(`${this.#shown(path)}: an event is longer than ${MAX_EVENT_BYTES} bytes`);
      for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as unknown;
    }
  }

  async #request(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { url, tokenFile, caFile } = this.#options;
    const [token, ca] = await Promise.all([readFile(tokenFile, 'utf8'), readFile(caFile, 'utf8')]);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = request(
        new URL(path, url),
        {
          ca,
          signal,
          agent: false,
          headers: { authorization: `Bearer ${token.trim()}`, accept: 'application/json' },
          timeout: ANSWER_MS,
        },
        resolve,
      );
      asked.on('timeout', () => asked.destroy(new Error('the server has gone silent')));
      asked.on('error', (error) =>
        reject(new Error(`${this.#shown(path)}: ${error.message}`, { cause: error })),
      );
      asked.end();
    });
    if (response.statusCode === 200) return response;
    const { statusCode: status = 0 } = response;
    const said = messageIn(await textOf(response, MAX_ERROR_BYTES, path));
    throw new ApiError(`${this.#shown(path)}: answered ${status}${said}`, status);
  }

  #shown(path: string): string {
    return `GET ${this.#options.url.origin}${path.replace(/\?.*$/, '')}`;
  }
}

async function textOf(response: IncomingMessage, maxBytes: number, path: string): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxBytes) throw new Error(`${path}: the answer is longer than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Of a `Status` object, in which it says why. */
function messageIn(text: string): string {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === 'string' ? `: ${message}` : '';
  } catch {
    return '';
  }
}
