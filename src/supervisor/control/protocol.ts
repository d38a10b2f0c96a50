/**
 * What is said on the control socket. A client sends one request and gets one
 * answer, each a line of JSON; then the supervisor closes the connection. One
 * exception: after `stop` it stays open until the process ends, so that a
 * client can wait for the end without polling.
 */
export const CONTROL_VERSION = 1;

export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface Request {
  readonly version: number;
  readonly verb: string;
  /** As the verb defines them. */
  readonly options: Readonly<Record<string, unknown>>;
}

export type Answer =
  /** `data` for programs, `text` for people; at least one of them. */
  | { readonly kind: 'done'; readonly text?: string; readonly data?: unknown }
  /** The supervisor understood, and nothing has changed. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The request cannot be meant for this supervisor. */
  | { readonly kind: 'misunderstood'; readonly reason: string };

export function encode(message: Request | Answer): string {
  return `${JSON.stringify(message)}\n`;
}

/** @throws {Error} it is no request; the message says what was expected */
export function decodeRequest(line: string): Request {
  const given = parseObject(line);
  const { version, verb, options = {} } = given;
  if (version !== CONTROL_VERSION) {
    throw new Error(
      `expected version ${CONTROL_VERSION} of the control protocol, got ${JSON.stringify(version)}: use the command of the release that runs`,
    );
  }
  if (typeof verb !== 'string') throw new Error(`expected a verb, got ${JSON.stringify(verb)}`);
  if (!isObject(options))
    throw new Error(`expected options as an object, got ${JSON.stringify(options)}`);
  return { version, verb, options };
}

/** @throws {Error} it is no answer */
export function decodeAnswer(line: string): Answer {
  const { kind, text, data, reason } = parseObject(line);
  if (kind === 'done')
    return { kind, ...(typeof text === 'string' && { text }), ...(data !== undefined && { data }) };
  if ((kind === 'refused' || kind === 'misunderstood') && typeof reason === 'string')
    return { kind, reason };
  throw new Error('expected an answer of the control protocol, got something else');
}

function parseObject(line: string): Record<string, unknown> {
  let given: unknown;
  try {
    given = JSON.parse(line);
  } catch (thrown) {
    throw new Error('expected a line of JSON, got something else', { cause: thrown });
  }
  if (isObject(given)) return given;
  throw new Error('expected a JSON object, got something else');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
