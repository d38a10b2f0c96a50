/**
 * How an error stands in a log line: what each of its causes adds to the message
 * is said once, and there is a stack where somebody can do something with it.
 */
import { ProxyError } from '../errors/proxy-error.ts';

/** A chain of causes could be endless, or a circle. */
const MAX_CAUSES = 8;

const SAID_OTHERWISE: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause']);

export function errorFields(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const own = Object.entries(thrown).filter(([name]) => !SAID_OTHERWISE.has(name));
  const chain = [thrown, ...causesOf(thrown)];
  return {
    type: thrown.name,
    message: messageOf(chain),
    ...Object.fromEntries(own),
    // What clients and peers do wrong has no place in the code.
    ...(!isOfOthers(thrown) && { stack: chain.map(({ stack }) => stack).join('\ncaused by: ') }),
  };
}

function causesOf({ cause }: Error): Error[] {
  const causes: Error[] = [];
  for (let next = cause; next instanceof Error && causes.length < MAX_CAUSES; next = next.cause) {
    causes.push(next);
  }
  return causes;
}

function messageOf(chain: readonly Error[]): string {
  return chain.reduce(
    (said, { message }) =>
      said === '' ? message : said.includes(message) ? said : `${said}: ${message}`,
    '',
  );
}

function isOfOthers(thrown: Error): boolean {
  return thrown instanceof ProxyError && thrown.facts.side !== 'internal';
}
